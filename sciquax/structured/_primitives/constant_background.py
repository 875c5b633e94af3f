"""Elementwise results that are not zero outside of a structure: `jnp.isfinite(A)`, `exp(A)`.

Such a result has one number wherever the matrix stores nothing. It may be mapped further, compared,
and reduced (`jnp.all`, `sum`, `max`, so `jnp.allclose` and `jnp.array_equal`), all in the matrix's
own memory. Its elements are n by n numbers: whoever needs them is refused, unless a dense result is
allowed.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from sciquax._storage.formulas import Filled, Transient
from sciquax._storage.promotion import lenient
from sciquax.core import (
    VALUE_TYPES,
    ArrayValue,
    RuleError,
    Structure,
    current_location,
    register_rule,
    strip,
)
from sciquax.core.internal import ShapedArray, Tracer

from .._arithmetic import layouts
from .._matrices.bands import BandMatrix
from .._matrices.triangular import TriangularMatrix
from .._matrix.fields import unchecked
from .._matrix.matrix import StructuredMatrix
from .._matrix.value_contract import refuse_unless_allowed


class Origin:
    """The operation, and where it was: for the refusal. All are equal, since none is data."""

    __slots__ = ("location", "operation")

    def __init__(self, operation: str, location: Any):
        self.operation, self.location = operation, location

    def __eq__(self, other: Any) -> bool:
        return type(other) is Origin

    def __hash__(self) -> int:
        return 0


class Surrounded(ArrayValue, leaves=("inside", "outside"), static=("origin",)):
    """The elements that a matrix stores, and the one number that is everywhere else."""

    layer: ClassVar[int] = 101
    transient: ClassVar[bool] = True
    wants_deferred: ClassVar[bool] = True

    inside: Any
    outside: Any
    origin: Origin

    def aval(self):
        return ShapedArray(self.inside.shape, self.inside.dtype)

    def materialise(self) -> Any:
        try:
            refuse_unless_allowed(self.origin.operation, [self.inside])
        except RuleError as error:
            error.at(self.origin.location)
            raise
        return self.dense()

    def dense(self) -> Any:
        stored = pattern(self.inside).materialise()
        outside = jnp.asarray(self.outside)
        outside = outside[..., None, None] if outside.ndim else outside
        return jnp.where(stored, self.inside.materialise(), outside)


def pattern(matrix: Any) -> Any:
    """True where the matrix stores an element."""
    if isinstance(matrix, TriangularMatrix):
        return matrix.rebuild([jnp.ones(matrix.array.shape, bool)])
    return matrix.map_entries(lambda x: jnp.ones(x.shape, bool), True)


def stored_count(matrix: Any) -> int:
    """How many elements of a matrix are stored, each once."""
    n = matrix.shape[-1]
    if isinstance(matrix, BandMatrix):
        return sum(n - abs(k) for k in matrix.diagonals())
    if isinstance(matrix, TriangularMatrix):
        return n * (n + 1) // 2
    return stored_elements(matrix, None).shape[-1]


def surround(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """An elementwise primitive of such results, matrices and single numbers, or NotImplemented."""
    if primitive.multiple_results:
        return NotImplemented
    inner: list[Any] = []
    outer: list[Any] = []
    for x in map(strip, operands):
        x = x.array if isinstance(x, Filled) else x
        if isinstance(x, Surrounded):
            inner.append(x.inside)
            outer.append(x.outside)
        elif isinstance(x, StructuredMatrix):
            inner.append(x)
            outer.append(np.zeros((), x.dtype))
        elif isinstance(x, Transient) or type(x) in VALUE_TYPES or np.shape(x)[-2:] not in _ONE:
            return NotImplemented
        else:
            inner.append(None)
            outer.append(x if np.ndim(x) == 0 else x[..., 0, 0])
    places = [i for i, x in enumerate(inner) if x is not None]
    fitted = _one_layout([inner[i] for i in places], [outer[i] for i in places])
    if fitted is None:
        return NotImplemented

    def function(*elements: Any) -> Any:
        given = iter(elements)
        shape = elements[0].shape
        values = [
            next(given) if m is not None else _beside(o, shape)
            for m, o in zip(inner, outer, strict=True)
        ]
        return primitive.bind(*values, **params)

    made = layouts.elementwise(fitted, function, True)
    if made is NotImplemented:
        return NotImplemented
    outside = _of_numbers(primitive, outer, params)
    if not isinstance(outside, Tracer) and not np.any(np.asarray(outside)):
        return made
    origin = next((x.origin for x in map(strip, operands) if isinstance(x, Surrounded)), None)
    origin = origin or Origin(primitive.name, current_location())
    return unchecked(Surrounded, inside=made, outside=outside, origin=origin)


_ONE = ((), (1, 1))


def _beside(numbers: Any, shape: tuple[int, ...]) -> Any:
    """One number for each matrix of a batch, or for all of them, repeated for its elements."""
    numbers = _array(numbers)
    numbers = numbers.reshape(() if numbers.size == 1 else numbers.shape)
    return jnp.broadcast_to(
        numbers.reshape(*numbers.shape, *(1,) * (len(shape) - numbers.ndim))
        if numbers.ndim
        else numbers,
        shape,
    )


def _one_layout(matrices: Sequence[Any], outside: Sequence[Any]) -> list[Any] | None:
    """Matrices of types that store elements, in one layout, what is outside of each filled in."""
    if len({m.shape for m in matrices}) > 1:
        return None
    if all(isinstance(m, BandMatrix) for m in matrices):
        offsets = {k for m in matrices for k in m.diagonals()}
        return [_widened(m, o, offsets) for m, o in zip(matrices, outside, strict=True)]
    fitted = layouts.common(matrices)
    if fitted is None or any(m.covers_all or not m.arrays_are_entries for m in fitted):
        return None
    for m, made, o in zip(matrices, fitted, outside, strict=True):
        if type(m) is not type(made) and np.any(o):  # it was filled up with zeros
            return None
    return fitted


def _widened(matrix: Any, outside: Any, offsets: set[int]) -> Any:
    bands, n = matrix.diagonals(), matrix.shape[-1]
    if offsets <= set(bands):
        return matrix
    filler = _array(outside).astype(matrix.dtype)
    shape = matrix.batch_shape()
    sides = {abs(k): _beside(filler, (*shape, n - abs(k))) for k in offsets - set(bands)}
    wide = {k: bands[k] if k in bands else sides[abs(k)] for k in offsets}
    return matrix.like(wide)


def _array(x: Any) -> Any:
    return x if isinstance(x, jax.Array) else jnp.asarray(x, _dtype(x))


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else jnp.result_type(x)


def _of_numbers(primitive: Any, numbers: Sequence[Any], params: dict[str, Any]) -> Any:
    """The primitive of single numbers: known now, if they are."""
    shape = np.broadcast_shapes(*[() if np.size(x) == 1 else np.shape(x) for x in numbers])
    if any(isinstance(x, jax.Array) for x in numbers):
        return primitive.bind(*[_beside(x, shape) for x in numbers], **params)
    with jax.ensure_compile_time_eval():
        return np.asarray(primitive.bind(*[_beside(x, shape) for x in numbers], **params))


_REDUCERS = {
    "reduce_max": (jnp.max, jnp.maximum),
    "reduce_min": (jnp.min, jnp.minimum),
    "reduce_or": (jnp.any, jnp.logical_or),
    "reduce_and": (jnp.all, jnp.logical_and),
}


def _reduce(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Over both axes of the matrix, and batch axes; sums also over one of them."""
    (x,) = operands
    ndim = len(x.shape)
    axes = {int(a) % ndim for a in params["axes"]}
    batch = tuple(a for a in axes if a < ndim - 2)
    both = {ndim - 2, ndim - 1} <= axes
    with lenient():
        if primitive.name == "reduce_sum":
            return _sum(x, axes, batch)
        if not both or primitive.name not in _REDUCERS:
            return NotImplemented
        function, combine = _REDUCERS[primitive.name]
        out = function(stored_elements(x.inside, x.outside), -1)
        outside = jnp.asarray(x.outside, out.dtype)
        if stored_count(x.inside) < x.shape[-1] * x.shape[-2]:
            out = combine(out, outside)
        return function(out, batch) if batch else out


def stored_elements(matrix: Any, otherwise: Any) -> Any:
    """What a matrix stores, in one row (..., count); `otherwise` where an array holds more."""
    if isinstance(matrix, BandMatrix):
        return jnp.concatenate(list(matrix.diagonals().values()), -1)
    if isinstance(matrix, TriangularMatrix):
        array = matrix.array
        own = jnp.tril(jnp.ones(array.shape[-2:], bool))
        otherwise = _array(otherwise)
        otherwise = otherwise[..., None, None] if otherwise.ndim else otherwise
        array = jnp.where(own if matrix.lower else own.T, matrix.full_array(), otherwise)
        return array.reshape(*matrix.batch_shape(), -1)
    rows = [x.reshape(*matrix.batch_shape(), -1) for x in matrix.arrays()]
    return jnp.concatenate(rows, -1)


def _sum(x: Surrounded, axes: set[int], batch: tuple[int, ...]) -> Any:
    ndim, (rows, columns) = len(x.shape), x.shape[-2:]
    outside = jnp.asarray(x.outside, x.dtype)
    if {ndim - 2, ndim - 1} <= axes:
        own = x.inside.sum_rows().sum(-1)
        out = own + outside * (rows * columns - stored_count(x.inside))
    elif ndim - 1 in axes or ndim - 2 in axes:
        along = ndim - 1 in axes
        sums = lambda m: m.sum_rows() if along else m.sum_columns()  # noqa: E731
        stored = sums(pattern(x.inside).convert(jnp.int32))
        outside = outside[..., None] if outside.ndim else outside
        out = sums(x.inside) + outside * ((columns if along else rows) - stored).astype(x.dtype)
    else:
        return NotImplemented
    return jnp.sum(out, batch) if batch else out.astype(x.dtype)


def _elementwise(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Beside a dense array of the same shape the result is dense, and is no larger than that."""
    operands = [strip(x) for x in operands]
    shape = next(x.shape for x in operands if isinstance(x, Surrounded))
    with lenient():
        if not any(type(x) not in VALUE_TYPES and np.shape(x) == shape for x in operands):
            return surround(primitive, operands, params)
        if primitive.multiple_results or any(np.shape(x) not in ((), shape) for x in operands):
            return NotImplemented
        dense = [
            x.dense()
            if isinstance(x, Surrounded)
            else x.materialise()
            if type(x) in VALUE_TYPES
            else x
            for x in operands
        ]
        return primitive.bind(*dense, **params)


def _transposed(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (x,) = operands
    *batch, i, j = map(int, params["permutation"])
    if batch != [*range(len(batch))]:
        return NotImplemented
    inside = x.inside.transpose() if i > j else x.inside
    return _like(x, inside)


def _like(x: Surrounded, inside: Any) -> Surrounded:
    return unchecked(Surrounded, inside=inside, outside=x.outside, origin=x.origin)


register_rule(Surrounded, Structure.ELEMENTWISE, _elementwise)
register_rule(
    Surrounded, ("reduce_sum", "reduce_max", "reduce_min", "reduce_or", "reduce_and"), _reduce
)
register_rule(Surrounded, Structure.PERMUTE, _transposed)
