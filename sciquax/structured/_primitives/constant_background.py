"""Elementwise results that are not zero outside of a structure: `jnp.isfinite(A)`, `exp(A)`.

Such a result has one number wherever the matrix stores nothing. It may be mapped further, compared,
and reduced (`jnp.all`, `sum`, `max`, so `jnp.allclose` and `jnp.array_equal`), all in the matrix's
own memory. Its elements are n by n numbers: whoever needs them is refused, unless a dense result is
allowed. Where a number was added, `A + 1.0`, it is a matrix plus one of rank one to all others.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np

from sciquax._storage.formulas import Filled, Transient
from sciquax._storage.origin import Origin
from sciquax.core import (
    VALUE_TYPES,
    ArrayValue,
    RuleError,
    Structure,
    bind,
    register_rule,
    strip,
)
from sciquax.core.internal import ShapedArray, Tracer

from .._arithmetic import layouts
from .._matrices.bands import BandMatrix
from .._matrices.outer import constant_like
from .._matrix import operations
from .._matrix.factor import linalg
from .._matrix.fields import unchecked
from .._matrix.matrix import StructuredMatrix
from .._matrix.value_contract import refuse_unless_allowed
from .reducing import EXTREMES


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

    def as_matrix(self) -> Any:
        """The stored elements less the number around them, plus a matrix of that number.

        Only of a matrix that a number was added to; of anything else, itself.
        """
        if self.origin.operation not in ("add", "sub") or not jnp.issubdtype(
            self.dtype, jnp.inexact
        ):
            return self
        outside = jnp.asarray(self.outside, self.dtype)
        inside = self.inside.map_entries(lambda x: x - _beside(outside, x.shape), True)
        return operations.add(inside, constant_like(self.inside, outside))

    @staticmethod
    def default(primitive: Any, values: Any, params: dict[str, Any]) -> Any:
        made = [x.as_matrix() if isinstance(x, Surrounded) else x for x in values]
        if any(isinstance(x, Surrounded) for x in made):
            return ArrayValue.default(primitive, values, params)
        return bind(primitive, *made, **params)

    def materialise(self) -> Any:
        if not self.inside.allow_materialise and not isinstance(
            made := self.as_matrix(), Surrounded
        ):
            return made
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
    return matrix.map_entries(lambda x: jnp.ones(x.shape, bool), True)


def surround(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """An elementwise primitive of such results, matrices and single numbers, or NotImplemented."""
    if primitive.multiple_results:
        return NotImplemented
    return _surrounded(lambda *xs: primitive.bind(*xs, **params), operands, primitive.name)


def _surrounded(function: Callable[..., Any], operands: Sequence[Any], name: str) -> Any:
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

    def of_elements(*elements: Any) -> Any:
        given = iter(elements)
        shape = elements[0].shape
        return function(
            *[
                next(given) if m is not None else _beside(o, shape)
                for m, o in zip(inner, outer, strict=True)
            ]
        )

    made = layouts.elementwise(fitted, of_elements, True)
    if made is NotImplemented:
        return NotImplemented
    outside = _of_numbers(function, outer)
    if _is_zero(outside):
        return made
    origin = next((x.origin for x in map(strip, operands) if isinstance(x, Surrounded)), None)
    origin = origin or Origin.here(name)
    return unchecked(Surrounded, inside=made, outside=outside, origin=origin)


_ONE = ((), (1, 1))


def _is_zero(number: Any) -> bool:
    return not isinstance(number, Tracer) and not np.any(np.asarray(number))


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
        if type(m) is not type(made) and not _is_zero(o):  # it was filled up with zeros
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


def _of_numbers(function: Callable[..., Any], numbers: Sequence[Any]) -> Any:
    """A function of single numbers: known now, if they are."""
    shape = np.broadcast_shapes(*[() if np.size(x) == 1 else np.shape(x) for x in numbers])
    if any(isinstance(x, jax.Array) for x in numbers):
        return function(*[_beside(x, shape) for x in numbers])
    with jax.ensure_compile_time_eval():
        return np.asarray(function(*[_beside(x, shape) for x in numbers]))


def _reduce(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Over both axes of the matrix, and batch axes; sums also over one of them."""
    (x,) = operands
    ndim = len(x.shape)
    axes = {int(a) % ndim for a in params["axes"]}
    batch = tuple(a for a in axes if a < ndim - 2)
    both = {ndim - 2, ndim - 1} <= axes
    if primitive.name == "reduce_sum":
        return _sum(x, axes, batch)
    if not both or primitive.name not in EXTREMES:
        return NotImplemented
    function, combine = EXTREMES[primitive.name]
    stored = x.inside.stored(x.outside)
    out = function(stored, -1)
    if stored.shape[-1] < x.shape[-1] * x.shape[-2]:
        out = combine(out, jnp.asarray(x.outside, out.dtype))
    return function(out, batch) if batch else out


def _sum(x: Surrounded, axes: set[int], batch: tuple[int, ...]) -> Any:
    ndim, (rows, columns) = len(x.shape), x.shape[-2:]
    if not {ndim - 2, ndim - 1} & axes:
        return NotImplemented
    along = ndim - 1 in axes
    sums = lambda m: m.sum_rows() if along else m.sum_columns()  # noqa: E731
    count = (columns if along else rows) - sums(pattern(x.inside).convert(jnp.int32))
    outside = jnp.asarray(x.outside, x.dtype)[..., None]
    beside = jnp.where(count == 0, 0, outside * count.astype(x.dtype))  # none of them, infinite
    out = sums(x.inside) + beside.astype(x.dtype)
    out = jnp.sum(out, -1) if {ndim - 2, ndim - 1} <= axes else out
    return jnp.sum(out, batch) if batch else out.astype(x.dtype)


def _elementwise(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Beside a dense array of the same shape the result is dense, and is no larger than that."""
    operands = [strip(x) for x in operands]
    shape = next(x.shape for x in operands if isinstance(x, Surrounded))
    if not any(type(x) not in VALUE_TYPES and np.shape(x) == shape for x in operands):
        return surround(primitive, operands, params)
    if primitive.multiple_results or any(np.shape(x) not in ((), shape) for x in operands):
        return NotImplemented
    dense = [
        x.dense() if isinstance(x, Surrounded) else x.materialise() if type(x) in VALUE_TYPES else x
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
register_rule(Surrounded, ("reduce_sum", *EXTREMES), _reduce)
register_rule(Surrounded, Structure.PERMUTE, _transposed)


def _of_matrices(function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a function of linear algebra: as of the matrix that it is."""

    def rule(*args: Any, **kwargs: Any) -> Any:
        made = [x.as_matrix() if isinstance(x, Surrounded) else x for x in args]
        if any(isinstance(x, Surrounded) for x in made):
            return NotImplemented
        return linalg(lambda *xs: function(*xs, **kwargs), *made)

    return rule


for _function in (
    jnp.linalg.solve, jnp.linalg.inv, jnp.linalg.det, jnp.linalg.slogdet, jnp.linalg.matrix_power,
    jsp.linalg.solve, jsp.linalg.expm, jnp.trace, jnp.diag, jnp.diagonal,
):  # fmt: skip
    register_rule(Surrounded, _function, _of_matrices(_function))


def _isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """As one function: a number added to a diagonal matrix would be a correction of rank one."""
    isclose = functools.partial(jnp.isclose, equal_nan=equal_nan)
    return _surrounded(isclose, [a, b, rtol, atol], "isclose")


register_rule(StructuredMatrix, jnp.isclose, _isclose)
