"""What JAX's primitives do to structured matrices: a rule for each family, and the exceptions."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import VALUE_TYPES, Structure, register_family, strip
from sciquax.core._compat import Tracer

from . import _pairs as pairs
from ._bands import BandMatrix, from_bands, rows_of
from ._block_diagonal import BlockDiagonalMatrix
from ._circulant import CirculantMatrix
from ._contract import (
    dot_general,
    reduce_sum,
    stores_elements,
    times_array,
    transpose,
)
from ._diagonal import DiagonalMatrix
from ._factor import LuFactor
from ._identity import IdentityMatrix
from ._indexing import dynamic_slice, gather, slice_
from ._kronecker import KroneckerMatrix
from ._lenient import lenient
from ._low_rank import LowRankPlusDiagonalMatrix
from ._masks import BandMask, Filled, Transient
from ._matrix import StructuredMatrix, allow_both
from ._permutation import PermutationMatrix
from ._raveled import Raveled
from ._surrounded import surround
from ._toeplitz import ToeplitzMatrix
from ._triangular import TriangularMatrix

Params = dict[str, Any]
Operands = Sequence[Any]


def _is(x: Any) -> bool:
    return isinstance(x, StructuredMatrix)


def _plain(operands: Operands) -> list[Any] | None:
    """The operands with constants by formula as small arrays; None if another type is there."""
    out = []
    for x in operands:
        x = strip(x)
        if isinstance(x, Filled):
            x = x.array
        if isinstance(x, Transient):
            return None
        if type(x) in VALUE_TYPES and not _is(x):
            return None
        out.append(x)
    return out


def static_number(x: Any) -> Any:
    """A number that stands in the program, or None."""
    if isinstance(x, (bool, int, float, complex, np.generic)):
        return x
    if isinstance(x, np.ndarray) and x.size == 1:
        return x.reshape(())[()]
    if isinstance(x, jax.Array) and not isinstance(x, Tracer) and x.size == 1:
        return np.asarray(x).reshape(())[()]
    return None


# -- elementwise ----------------------------------------------------------------------------------

_COPIES = {
    "copy", "copy_p", "stop_gradient", "name", "reduce_precision", "nonbatchable", "pvary",
    "nontraceable", "nondifferentiable_backward",
}  # fmt: skip
_MULTIPLICATIVE = {"abs", "sign", "square", "integer_pow"}


def _elementwise(primitive: Any, operands: Operands, params: Params) -> Any:
    """A function of the elements; where zeros give zero, of the stored elements."""
    if primitive.multiple_results:
        return NotImplemented
    plain = _plain(operands)
    if plain is None:
        return NotImplemented
    if primitive.name in _COPIES and len(plain) == 1:
        return _each_array(plain[0], lambda x: primitive.bind(x, **params))
    structured = [x for x in plain if _is(x)]
    numbers = [None if _is(x) else static_number(x) for x in plain]
    if any(n is None and not _is(x) for n, x in zip(numbers, plain, strict=True)):
        return _with_arrays(primitive, operands, plain, params)

    def function(*elements: Any) -> Any:
        given = iter(elements)
        shape = elements[0].shape
        values = [
            next(given) if _is(x) else _as_operand(primitive.name, n, x, shape)
            for n, x in zip(numbers, plain, strict=True)
        ]
        return primitive.bind(*values, **params)

    if (
        primitive.name in _MULTIPLICATIVE
        and isinstance(structured[0], KroneckerMatrix)
        and params.get("y", 1) >= 0
    ):
        return structured[0].map_factors(lambda x: primitive.bind(x, **params))
    zero = _keeps_zero(function, [x.dtype for x in structured])
    if len(structured) == 1:
        out = structured[0].map_entries(function, zero)
    else:
        out = pairs.elementwise(structured, function, zero)
    return surround(primitive, operands, params) if out is NotImplemented and not zero else out


def _with_arrays(primitive: Any, operands: Operands, plain: list[Any], params: Params) -> Any:
    """With a dense array of the same shape the result is dense, and is no larger than that."""
    shape = next(x.shape for x in plain if _is(x))
    arrays = [x for x in plain if not _is(x)]
    if any(np.shape(x) == shape for x in arrays):
        if any(np.shape(x) not in ((), shape) for x in arrays):
            return NotImplemented
        return primitive.bind(*[x.materialise() if _is(x) else x for x in plain], **params)
    toeplitz = (ToeplitzMatrix, CirculantMatrix)
    if all(isinstance(x, toeplitz) for x in plain if _is(x)) and all(
        np.size(x) == 1 for x in arrays
    ):

        def function(*elements: Any) -> Any:
            given = iter(elements)
            like = elements[0].shape
            return primitive.bind(
                *[
                    next(given) if _is(x) else jnp.broadcast_to(jnp.reshape(x, ()), like)
                    for x in plain
                ],
                **params,
            )

        return pairs.elementwise([x for x in plain if _is(x)], function, False)
    return surround(primitive, operands, params)


def _as_operand(name: str, number: Any, original: Any, shape: tuple[int, ...]) -> Any:
    """A number as an operand next to an array; some primitives do not broadcast."""
    dtype = getattr(original, "dtype", None)
    if name in ("mul", "add", "sub", "max", "min", "pow", "rem", "div"):
        return jnp.asarray(number, dtype)
    return jnp.full(shape, number, dtype)


def _keeps_zero(function: Callable, dtypes: Sequence[Any]) -> bool:
    """Whether zeros give zero: tried, outside of any trace."""
    with jax.ensure_compile_time_eval():
        out = function(*[jnp.zeros((1,), d) for d in dtypes])
        return bool(np.all(np.asarray(out) == 0))


def _each_array(matrix: Any, function: Callable) -> Any:
    """A function that changes no value, of every defining array."""
    arrays = [_each_array(x, function) if _is(x) else function(x) for x in matrix.arrays()]
    return matrix.rebuild(arrays, properties=matrix.properties)


def _mul(primitive: Any, operands: Operands, params: Params) -> Any:
    plain = _plain(operands)
    if plain is None:
        return NotImplemented
    lhs, rhs = plain
    if _is(lhs) and _is(rhs):
        return pairs.hadamard(lhs, rhs)
    matrix, other = (lhs, rhs) if _is(lhs) else (rhs, lhs)
    number = static_number(other)
    if number is not None and np.isreal(number):
        return matrix.scale(jnp.asarray(other), jnp.multiply, _sign(number))
    return times_array(matrix, other)


def _sign(number: Any) -> str:
    """What scaling by this number keeps."""
    return "scale_positive" if number > 0 else "scale_real"


def _div(primitive: Any, operands: Operands, params: Params) -> Any:
    plain = _plain(operands)
    if plain is None:
        return NotImplemented
    lhs, rhs = plain
    if not _is(lhs) or _is(rhs):
        if isinstance(rhs, ToeplitzMatrix) or isinstance(rhs, CirculantMatrix):
            return _elementwise(primitive, operands, params)
        return surround(primitive, operands, params)
    number = static_number(rhs)
    if number is not None and np.isreal(number):
        return lhs.scale(jnp.asarray(rhs), lax.div, _sign(number))
    if jnp.issubdtype(lhs.dtype, jnp.integer):
        return NotImplemented
    if np.shape(rhs) == lhs.shape:
        return _with_arrays(primitive, operands, plain, params)
    return times_array(lhs, rhs, divide=True)


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    plain = _plain(operands)
    if plain is None:
        return NotImplemented
    lhs, rhs = plain
    subtract = primitive.name == "sub"
    if _is(lhs) and _is(rhs):
        return pairs.add(lhs, rhs, subtract)
    matrix, other = (lhs, rhs) if _is(lhs) else (rhs, lhs)
    whole = np.shape(other) == matrix.shape  # of one element, perhaps
    number = None if whole else static_number(other)
    if number is not None:
        if number == 0:
            return matrix.negate() if subtract and matrix is rhs else matrix
        return _plus_number(primitive, operands, params, matrix, other, subtract)
    if np.ndim(other) == 0 or not whole and np.shape(other)[-2:] == (1, 1):
        return _plus_number(primitive, operands, params, matrix, other, subtract)
    if np.shape(other)[-2:] != matrix.shape[-2:] or np.ndim(other) != len(matrix.shape):
        return NotImplemented
    return _plus_dense(lhs, rhs, subtract)


def _plus_dense(lhs: Any, rhs: Any, subtract: bool) -> Any:
    """With a dense array of the same shape the sum is dense, and is no larger than that."""
    matrix, x = (lhs, rhs) if _is(lhs) else (rhs, lhs)
    if subtract:
        matrix, x = (matrix, -x) if _is(lhs) else (matrix.negate(), x)
    return matrix.add_dense(x) if hasattr(matrix, "add_dense") else x + matrix.materialise()


def _plus_number(
    primitive: Any, operands: Operands, params: Params, matrix: Any, s: Any, subtract: bool
) -> Any:
    """Toeplitz and circulant matrices stay; a diagonal becomes a correction of rank one."""
    if isinstance(matrix, (ToeplitzMatrix, CirculantMatrix)) and np.ndim(s) == 0:
        first = matrix is strip(operands[0])
        return matrix.map_entries(
            lambda x: primitive.bind(x, s, **params) if first else primitive.bind(s, x, **params),
            False,
        )
    if np.ndim(s) != 0:
        return surround(primitive, operands, params)
    if isinstance(matrix, LowRankPlusDiagonalMatrix) or (
        isinstance(matrix, BandMatrix) and matrix.widths() == (0, 0)
    ):
        batch, n = matrix.batch_shape(), matrix.shape[-1]
        negate_matrix = subtract and matrix is strip(operands[1])
        matrix = matrix.negate() if negate_matrix else matrix
        s = -jnp.asarray(s) if subtract and not negate_matrix else jnp.asarray(s)
        ones = jnp.ones((*batch, n, 1), matrix.dtype)
        constant = LowRankPlusDiagonalMatrix(
            jnp.zeros((*batch, n), matrix.dtype),
            s * ones,
            jnp.swapaxes(ones, -1, -2),
            allow_materialise=matrix.allow_materialise,
        )
        return pairs.add(matrix, constant)
    return surround(primitive, operands, params)


def _neg(primitive: Any, operands: Operands, params: Params) -> Any:
    return operands[0].negate()


def _conj(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    if not jnp.issubdtype(x.dtype, jnp.complexfloating):
        return x.convert(jnp.result_type(x.dtype, jnp.complex64))
    return x.conj()


def _convert(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    new = np.dtype(params["new_dtype"])
    exact = jnp.promote_types(x.dtype, new) == new or (
        jnp.issubdtype(new, jnp.floating) and jnp.issubdtype(x.dtype, jnp.floating)
    )
    if exact and new != np.bool_:
        return x.convert(new)
    return x.map_entries(lambda y: primitive.bind(y, **params), True)


def _select(primitive: Any, operands: Operands, params: Params) -> Any:
    """`where`: by a band mask, by one boolean for all, or by structured booleans."""
    which, *cases = map(strip, operands)
    if isinstance(which, BandMask) and len(cases) == 2:
        return masked(which, *cases)
    if not _is(which) and not isinstance(which, Transient) and jnp.ndim(which) == 0:
        cases = [_zero_like(x, cases) for x in cases]
        if all(map(_is, cases)):
            return pairs.elementwise(cases, lambda *xs: primitive.bind(which, *xs, **params), True)
        return NotImplemented
    return _elementwise(primitive, operands, params)


def _zero_like(x: Any, others: Operands) -> Any:
    """A constant zero as a matrix of the structure of another case."""
    if isinstance(x, Filled) and static_number(x.array) == 0:
        matrix = next((y for y in others if _is(y)), None)
        if matrix is not None and stores_elements(matrix):
            return matrix.scale(0)
    return x


def masked(mask: BandMask, off: Any, on: Any, allow: bool = True) -> Any:
    """Elements of `on` on the mask's diagonals, of `off` elsewhere."""
    if not mask.finite() and (_is(off) or not _is(on)):
        # the complement of a half is the other half
        if mask.low is None and mask.high is not None:
            return masked(BandMask(mask.extent, mask.high + 1, None), on, off)
        if mask.high is None and mask.low is not None:
            return masked(BandMask(mask.extent, None, mask.low - 1), on, off)
    if _is(on) and _is_zero(off):
        return part(on, mask.low, mask.high)
    if mask.finite() and mask.extent[-1] == mask.extent[-2]:
        base: dict[int, Any] = {}
        if not _is_zero(off):
            if not isinstance(off, BandMatrix):
                return NotImplemented
            base = off.diagonals()
        n, bands = mask.extent[-1], dict(base)
        assert mask.low is not None and mask.high is not None
        for k in range(max(mask.low, 1 - n), min(mask.high, n - 1) + 1):
            found = _on_diagonal(on, k, n)
            if found is NotImplemented:
                return NotImplemented
            bands[k] = found
        allow = allow and all(x.allow_materialise for x in (off, on) if _is(x))
        return from_bands(bands, n, allow_materialise=allow)
    return NotImplemented


def _is_zero(x: Any) -> bool:
    return isinstance(x, Filled) and bool(static_number(x.array) == 0)


def _on_diagonal(x: Any, k: int, n: int) -> Any:
    """The diagonal k of a matrix, or of an array known by a formula."""
    i = np.arange(n - abs(k))
    rows, columns = i + max(0, -k), i + max(0, k)
    if _is(x):
        return x.entries(rows, columns)
    if isinstance(x, Filled):
        x = x.array
        x = x if x.shape[-2] == 1 else x[..., rows, :]
        x = x if x.shape[-1] == 1 else x[..., :, columns]
        if x.shape[-2] != 1 and x.shape[-1] != 1:
            return NotImplemented
        return jnp.broadcast_to(x.reshape(*x.shape[:-2], -1), (*x.shape[:-2], n - abs(k)))
    if isinstance(x, Transient) or type(x) in VALUE_TYPES:
        return NotImplemented
    return jnp.diagonal(x, k, -2, -1)


def part(matrix: Any, low: int | None, high: int | None) -> Any:
    """The elements on the diagonals from `low` to `high`: `tril`, `triu`, `diag`."""
    m, n = matrix.shape[-2:]
    if isinstance(matrix, BandMatrix):
        return matrix.masked(low, high)
    if isinstance(matrix, ToeplitzMatrix) or isinstance(matrix, CirculantMatrix):
        return _toeplitz_part(matrix, low, high)
    if isinstance(matrix, TriangularMatrix):
        cut = np.arange(n)[None, :] - np.arange(n)[:, None]
        keep = (cut >= (low if low is not None else -n)) & (
            cut <= (high if high is not None else n)
        )
        return matrix.rebuild([jnp.where(keep, matrix.full_array(), 0)])
    if isinstance(matrix, BlockDiagonalMatrix) and (low is None or high is None):
        return matrix.each(
            lambda x: jnp.triu(x, low) if low is not None else jnp.tril(x, high or 0)
        )
    if (half := matrix.half()) is not None and (low, high) in ((None, 0), (0, None)):
        if half == ("lower" if high == 0 else "upper"):
            return matrix
        return DiagonalMatrix(matrix.diagonal(), allow_materialise=matrix.allow_materialise)
    if isinstance(matrix, PermutationMatrix):
        return matrix.masked(low, high)
    if isinstance(matrix, KroneckerMatrix) and (low, high) in ((None, 0), (0, None)):
        factors = matrix.arrays()
        if all(isinstance(x, TriangularMatrix) and x.lower == (high == 0) for x in factors):
            return matrix
    if low is not None and high is not None and m == n and high - low < 8:
        bands = {k: matrix.entries(*_places(k, n)) for k in range(low, high + 1) if abs(k) < n}
        if any(x is NotImplemented for x in bands.values()):
            return NotImplemented
        return from_bands(bands, n, allow_materialise=matrix.allow_materialise)
    return NotImplemented


def _places(k: int, n: int) -> tuple[Any, Any]:
    i = np.arange(n - abs(k))
    return i + max(0, -k), i + max(0, k)


def _toeplitz_part(matrix: Any, low: int | None, high: int | None) -> Any:
    m, n = matrix.shape[-2:]
    if m == n and low is not None and high is not None and high - low < 8:
        bands = {k: matrix.entries(*_places(k, n)) for k in range(low, high + 1)}
        return from_bands(bands, n, allow_materialise=matrix.allow_materialise)
    fitted = pairs._as_toeplitz(matrix)
    below, above = -np.arange(m), np.arange(n)
    keep = [
        (k >= (low if low is not None else -m)) & (k <= (high if high is not None else n))
        for k in (below, above)
    ]
    return fitted.rebuild(
        [jnp.where(k, x, 0) for k, x in zip(keep, (fitted.column, fitted.row), strict=True)]
    )


# -- moving axes ----------------------------------------------------------------------------------


def _transpose(primitive: Any, operands: Operands, params: Params) -> Any:
    return transpose(operands[0], list(map(int, params["permutation"])))


def _broadcast(primitive: Any, operands: Operands, params: Params) -> Any:
    """New batch axes."""
    x, *dynamic = operands
    shape, axes = tuple(params["shape"]), tuple(map(int, params["broadcast_dimensions"]))
    ndim = len(shape)
    if dynamic or axes[-2:] != (ndim - 2, ndim - 1) or shape[-2:] != x.shape[-2:]:
        return NotImplemented

    def extend(y: Any, count: int) -> Any:
        core = y.shape[count:]
        inner = range(ndim - 2, ndim - 2 + len(core))
        return lax.broadcast_in_dim(y, (*shape[:-2], *core), (*axes[:-2], *inner))

    return x.map_batch(extend)


def _reshape(primitive: Any, operands: Operands, params: Params) -> Any:
    """Of the batch axes; or flat, which a product or sum of all elements may follow."""
    x = operands[0]
    shape = _new_shape(primitive.name, x.shape, params)
    if shape == (x.size,) and len(x.shape) == 2:
        return Raveled.of(x)
    if shape is None or len(shape) < 2 or shape[-2:] != x.shape[-2:]:
        return NotImplemented
    return x.map_batch(lambda y, count: jnp.reshape(y, (*shape[:-2], *y.shape[count:])))


def _new_shape(name: str, shape: tuple[int, ...], params: Params) -> tuple[int, ...] | None:
    if name == "reshape":
        return None if params.get("dimensions") is not None else tuple(params["new_sizes"])
    axes = {int(a) % len(shape) for a in params["dimensions"]}
    if name == "squeeze":
        if axes & {len(shape) - 1, len(shape) - 2}:
            return None
        return tuple(s for a, s in enumerate(shape) if a not in axes)
    return None


def _concatenate(primitive: Any, operands: Operands, params: Params) -> Any:
    """Along a batch axis."""
    if not all(map(_is, operands)):
        return NotImplemented
    axis = int(params["dimension"])
    if axis >= len(operands[0].shape) - 2:
        return NotImplemented
    fitted = pairs.common(operands)
    if fitted is None:
        if len({type(x) for x in operands}) > 1:
            return NotImplemented
        fitted = list(operands)
    if isinstance(fitted[0], BandMatrix):
        offsets = sorted({k for m in fitted for k in m.diagonals()})
        n = fitted[0].shape[-1]
        each = [m.diagonals() for m in fitted]
        bands = {
            k: jnp.concatenate(
                [
                    d[k] if k in d else jnp.zeros((*m.batch_shape(), n - abs(k)), m.dtype)
                    for d, m in zip(each, fitted, strict=True)
                ],
                axis,
            )
            for k in offsets
        }
        return from_bands(bands, n, allow_materialise=allow_both(*fitted))
    statics = {tuple(getattr(m, name) for name in type(m).STATIC[:-2]) for m in fitted}
    if len(statics) > 1 or any(_is(x) for m in fitted for x in m.arrays()):
        return NotImplemented
    columns = zip(*[m.arrays() for m in fitted], strict=True)
    return fitted[0].rebuild(
        [jnp.concatenate(xs, axis) for xs in columns], allow_materialise=allow_both(*fitted)
    )


# -- reducing -------------------------------------------------------------------------------------


def _reduce_sum(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    return reduce_sum(x, [*map(int, params["axes"])])


def _extreme(primitive: Any, operands: Operands, params: Params) -> Any:
    """Of all elements of a matrix: of the stored ones and, if any is not stored, zero."""
    (x,) = operands
    ndim = len(x.shape)
    axes = {int(a) % ndim for a in params["axes"]}
    function, combine = {
        "reduce_max": (jnp.max, jnp.maximum),
        "reduce_min": (jnp.min, jnp.minimum),
        "reduce_or": (jnp.any, jnp.logical_or),
        "reduce_and": (jnp.all, jnp.logical_and),
    }[primitive.name]
    if not axes:
        return x
    if not {ndim - 2, ndim - 1} <= axes:
        return _extreme_along(x, primitive.name[7:], axes)
    if isinstance(x, KroneckerMatrix) and ndim == 2 and primitive.name[7:] in ("max", "min"):
        return x.extreme(primitive.name == "reduce_max")
    if isinstance(x, IdentityMatrix):
        x = DiagonalMatrix(x.diagonal())
    if isinstance(x, PermutationMatrix) and x.shape[-1] > 1:
        one = jnp.ones((*x.batch_shape(), 1), x.dtype)
        x = DiagonalMatrix(jnp.concatenate([one, jnp.zeros_like(one)], -1))
    if not stores_elements(x):
        if primitive.name not in ("reduce_max", "reduce_min") or x.size == 0:
            return NotImplemented
        out = function(x.each_column(lambda column: function(column, -1)), -1)
        batch = tuple(a for a in axes if a < ndim - 2)
        return function(out, batch) if batch else out
    if isinstance(x, BandMatrix):
        stored = list(x.diagonals().values())
    elif isinstance(x, ToeplitzMatrix):
        stored = [x.column, x.row[..., 1:]]
    elif isinstance(x, TriangularMatrix):
        stored = [x.materialise().reshape(*x.batch_shape(), -1)]
    else:
        stored = [y.reshape(*x.batch_shape(), -1) for y in x.arrays()]
    out = function(jnp.concatenate(stored, -1), -1)
    full = isinstance(x, (ToeplitzMatrix, TriangularMatrix, CirculantMatrix))
    count = sum(y.shape[-1] for y in stored)
    if not full and count < x.shape[-1] * x.shape[-2]:
        out = combine(out, jnp.zeros((), out.dtype))
    batch = tuple(a for a in axes if a < ndim - 2)
    return function(out, batch) if batch else out


def _extreme_along(x: Any, name: str, axes: set[int]) -> Any:
    """Of each row or column: within bands, or of the elements of one row at a time."""
    ndim = len(x.shape)
    if not axes & {ndim - 2, ndim - 1}:
        return NotImplemented
    rows = ndim - 1 in axes
    x = x if rows else x.transpose()
    function, combine = {
        "max": (jnp.max, jnp.maximum),
        "min": (jnp.min, jnp.minimum),
        "or": (jnp.any, jnp.logical_or),
        "and": (jnp.all, jnp.logical_and),
    }[name]
    if isinstance(x, BandMatrix):
        out, outside = x.diagonal(), np.full(x.shape[-1], x.shape[-1] - 1)
        for k, row in rows_of(x).items():
            place = np.arange(x.shape[-1]) + k
            inside = (place >= 0) & (place < x.shape[-1]) & (k != 0)
            out, outside = jnp.where(inside, combine(out, row), out), outside - inside
        out = jnp.where(outside > 0, combine(out, jnp.zeros((), x.dtype)), out)
    elif isinstance(x, TriangularMatrix):
        out = function(x.materialise(), -1)
    else:
        columns = np.arange(x.shape[-1])
        if x.entries(np.zeros_like(columns), columns) is NotImplemented:
            return NotImplemented

        def one(i: Any) -> Any:
            return function(x.entries(jnp.full(columns.shape, i), columns), -1)

        out = jnp.moveaxis(lax.map(one, jnp.arange(x.shape[-2])), 0, -1)
    batch = tuple(a for a in axes if a < ndim - 2)
    return function(out, batch) if batch else out


# -- factorisations -------------------------------------------------------------------------------


def _lu(primitive: Any, operands: Operands, params: Params) -> Any:
    """The factors are kept as the matrix itself; see `LuFactor`."""
    (x,) = operands
    if not x.can_solve():
        return NotImplemented
    order = jnp.broadcast_to(jnp.arange(x.shape[-1], dtype=np.int32), x.shape[:-1])
    return [LuFactor.of(x), order, order]


def _cholesky(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    return x.cholesky()


def _triangular_solve(primitive: Any, operands: Operands, params: Params) -> Any:
    """With one half of a structured matrix, as the parameters say."""
    a, b = operands
    if not _is(a) or type(b) in VALUE_TYPES:
        return NotImplemented
    half = part(a, None, 0) if params["lower"] else part(a, 0, None)
    if half is NotImplemented or isinstance(a, PermutationMatrix):
        return NotImplemented
    if params["unit_diagonal"]:
        if isinstance(half, TriangularMatrix):
            half = half.rebuild([half.array], properties=frozenset({"unit_diagonal"}))
        elif isinstance(half, BandMatrix):
            bands = dict(half.diagonals())
            bands[0] = jnp.ones_like(half.diagonal())
            half = half.like(bands)
        else:
            return NotImplemented
    return solve_sided(half, b, params)


def solve_sided(matrix: Any, b: Any, params: dict[str, Any]) -> Any:
    """`triangular_solve`'s sides and transposes, for any matrix."""
    from ._solve import solve

    if params["transpose_a"]:
        matrix = matrix.transpose()
    if params["conjugate_a"]:
        matrix = matrix.conj()
    if params["left_side"]:
        return solve(matrix, b)
    x = solve(matrix.transpose(), jnp.swapaxes(b, -1, -2))
    return x if x is NotImplemented else jnp.swapaxes(x, -1, -2)


def _integer_pow(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    if params["y"] == 1:
        return x
    if isinstance(x, LowRankPlusDiagonalMatrix) and params["y"] == 2:
        return pairs.hadamard(x, x)
    return _elementwise(primitive, operands, params)


def _square(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    if isinstance(x, LowRankPlusDiagonalMatrix):
        return pairs.hadamard(x, x)
    return _elementwise(primitive, operands, params)


def _guarded(rule: Callable) -> Callable:
    """Where another type's matrix of the same layer meets ours, neither rule applies."""

    def guarded(primitive: Any, operands: Operands, params: Params) -> Any:
        operands = [strip(x) for x in operands]
        if not any(map(_is, operands)):
            return NotImplemented
        with lenient():
            return rule(primitive, operands, params)

    guarded.__name__ = guarded.__qualname__ = f"structured{rule.__name__}"
    guarded.__module__ = rule.__module__
    return guarded


register_family(StructuredMatrix, Structure.ELEMENTWISE, _guarded(_elementwise))
register_family(StructuredMatrix, "mul", _guarded(_mul))
register_family(StructuredMatrix, "div", _guarded(_div))
register_family(StructuredMatrix, ("add", "sub", "add_any"), _guarded(_add))
register_family(StructuredMatrix, "neg", _guarded(_neg))
register_family(StructuredMatrix, "conj", _guarded(_conj))
register_family(StructuredMatrix, "convert_element_type", _guarded(_convert))
register_family(StructuredMatrix, "select_n", _guarded(_select))
register_family(StructuredMatrix, "integer_pow", _guarded(_integer_pow))
register_family(StructuredMatrix, "square", _guarded(_square))
register_family(StructuredMatrix, Structure.PERMUTE, _guarded(_transpose))
register_family(StructuredMatrix, "broadcast_in_dim", _guarded(_broadcast))
register_family(StructuredMatrix, ("reshape", "squeeze"), _guarded(_reshape))
register_family(StructuredMatrix, "concatenate", _guarded(_concatenate))
register_family(StructuredMatrix, "slice", _guarded(slice_))
register_family(StructuredMatrix, "dynamic_slice", _guarded(dynamic_slice))
register_family(StructuredMatrix, "gather", _guarded(gather))
register_family(StructuredMatrix, "reduce_sum", _guarded(_reduce_sum))
register_family(
    StructuredMatrix, ("reduce_max", "reduce_min", "reduce_or", "reduce_and"), _guarded(_extreme)
)
register_family(StructuredMatrix, "dot_general", _guarded(dot_general))
register_family(StructuredMatrix, "lu", _guarded(_lu))
register_family(StructuredMatrix, "cholesky", _guarded(_cholesky))
register_family(StructuredMatrix, "triangular_solve", _guarded(_triangular_solve))
