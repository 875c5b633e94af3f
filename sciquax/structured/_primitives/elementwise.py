"""Elementwise primitives of matrices, numbers and arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax._storage.formulas import BandMask, Filled, Transient
from sciquax.core import VALUE_TYPES, Structure, bind, facts_of, register_rule, strip, vanishes

from .._arithmetic import layouts
from .._arithmetic.band_part import masked
from .._arithmetic.products import times_array
from .._matrices.diagonal import DiagonalMatrix
from .._matrices.outer import constant_like, low_rank_of
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix, aligned
from .._matrix.operands import Operands, Params, _guarded, _is, _plain, static_number
from .constant_background import surround

# -- elementwise ----------------------------------------------------------------------------------


def _broadcasting(rule: Callable) -> Callable:
    """A matrix of one row or column that broadcasts against a larger operand is an array there."""

    def broadcasting(primitive: Any, operands: Operands, params: Params) -> Any:
        *batch, m, n = np.broadcast_shapes(*[np.shape(x) for x in operands])
        if any(_is(x) and x.shape[-2:] != (m, n) for x in operands):
            arrays = [x.materialise() if _is(x) and x.shape[-2:] != (m, n) else x for x in operands]
            return bind(primitive, *arrays, **params)
        if any(isinstance(x, Filled) for x in operands):  # whose rules see no batch axes of it
            operands = [x.over_batch(tuple(batch)) if _is(x) else x for x in operands]
            if any(x is NotImplemented for x in operands):
                return NotImplemented
        return rule(primitive, operands, params)

    broadcasting.__name__, broadcasting.__module__ = rule.__name__, rule.__module__
    return _guarded(broadcasting)


_MULTIPLICATIVE = {"abs", "sign", "square", "integer_pow"}


def _elementwise(primitive: Any, operands: Operands, params: Params) -> Any:
    """A function of the elements; where zeros give zero, of the stored elements."""
    if primitive.multiple_results:
        return NotImplemented
    plain = _plain(operands)
    if plain is None:
        return NotImplemented
    if len(plain) == 1 and (facts_of(primitive).copies or primitive.name == "reduce_precision"):
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

    zero = _keeps_zero(function, [x.dtype for x in structured])
    if primitive.name in _MULTIPLICATIVE and params.get("y", 1) >= 0:
        out = structured[0].map_multiplicative(lambda x: primitive.bind(x, **params), zero)
    elif len(structured) == 1:
        out = structured[0].map_entries(function, zero)
    else:
        out = layouts.elementwise(structured, function, zero)
    return surround(primitive, operands, params) if out is NotImplemented and not zero else out


def _with_arrays(primitive: Any, operands: Operands, plain: list[Any], params: Params) -> Any:
    """With a dense array of the same shape the result is dense, and is no larger than that."""
    shape = next(x.shape for x in plain if _is(x))
    arrays = [x for x in plain if not _is(x)]
    if any(np.shape(x) == shape for x in arrays):
        if any(np.shape(x) not in ((), shape) for x in arrays):
            return NotImplemented
        return primitive.bind(*[x.materialise() if _is(x) else x for x in plain], **params)
    if all(x.covers_all for x in plain if _is(x)) and all(np.size(x) == 1 for x in arrays):

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

        return layouts.elementwise([x for x in plain if _is(x)], function, False)
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
    plain = _plain([*map(low_rank_of, operands)])
    if plain is None:
        return NotImplemented
    lhs, rhs = plain
    if _is(lhs) and _is(rhs):
        found = operations.hadamard(*aligned(lhs, rhs))
        if found is not NotImplemented or _is(operands[0]) and _is(operands[1]):
            return found
        lhs, rhs = (x if _is(x) else x.materialise() for x in operands)
    matrix, other = (lhs, rhs) if _is(lhs) else (rhs, lhs)
    if (kept := static_number(other, _kept)) is not None:
        return matrix.scale(jnp.asarray(other).reshape(()), jnp.multiply, kept)
    return times_array(matrix, other)


def _kept(number: np.ndarray) -> str | None:
    """The question what scaling by this number keeps."""
    if not np.isreal(number).all():
        return None
    return "scale_positive" if (np.real(number) > 0).all() else "scale_real"


def _div(primitive: Any, operands: Operands, params: Params) -> Any:
    plain = _plain(operands)
    if plain is None:
        return NotImplemented
    lhs, rhs = plain
    if not _is(lhs) or _is(rhs):
        if _is(rhs) and rhs.covers_all:
            return _elementwise(primitive, operands, params)
        return surround(primitive, operands, params)
    if (kept := static_number(rhs, _kept)) is not None:
        return lhs.scale(jnp.asarray(rhs).reshape(()), lax.div, kept)
    if jnp.issubdtype(lhs.dtype, jnp.integer):
        return NotImplemented
    if np.shape(rhs) == lhs.shape:
        return _with_arrays(primitive, operands, plain, params)
    return times_array(lhs, rhs, divide=True)


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    plain = _plain([*map(low_rank_of, operands)])
    if plain is None:
        return NotImplemented
    lhs, rhs = plain
    subtract = primitive.name == "sub"
    if _is(lhs) and _is(rhs):
        return operations.add(*aligned(lhs, rhs), subtract)
    matrix, other = (lhs, rhs) if _is(lhs) else (rhs, lhs)
    whole = np.shape(other) == matrix.shape  # of one element, perhaps
    nothing = None if whole else static_number(other, vanishes)
    if nothing:
        return matrix.negate() if subtract and matrix is rhs else matrix
    if matrix.shape[-2:] == (1, 1):  # a correction of rank one has no diagonal to solve by
        arrays = [x.materialise() if _is(x) else x for x in plain]
        return bind(primitive, *arrays, **params)
    if nothing is not None or np.ndim(other) == 0 or not whole and np.shape(other)[-2:] == (1, 1):
        return _plus_number(primitive, operands, params, matrix, other, subtract)
    if np.shape(other)[-2:] != matrix.shape[-2:] or np.ndim(other) != len(matrix.shape):
        return NotImplemented
    return _plus_dense(lhs, rhs, subtract)


def _plus_dense(lhs: Any, rhs: Any, subtract: bool) -> Any:
    """With a dense array of the same shape the sum is dense, and is no larger than that."""
    matrix, x = (lhs, rhs) if _is(lhs) else (rhs, lhs)
    if subtract:
        matrix, x = (matrix, -x) if _is(lhs) else (matrix.negate(), x)
    return matrix.add_dense(x)


def _plus_number(
    primitive: Any, operands: Operands, params: Params, matrix: Any, s: Any, subtract: bool
) -> Any:
    """Toeplitz and circulant matrices stay; a diagonal becomes a correction of rank one.

    A number that the program broadcasts to a matrix, `jnp.ones((n, n)) / n`, is one of rank one.
    """
    negated = subtract and matrix is strip(operands[1])
    s = -jnp.asarray(s) if subtract and not negated else jnp.asarray(s)
    s = s.reshape(()) if s.size == 1 else s[..., 0, 0]
    matrix = matrix.over_batch(np.broadcast_shapes(matrix.batch_shape(), s.shape))
    if matrix is NotImplemented:
        return NotImplemented
    matrix = matrix.negate() if negated else matrix
    if matrix.covers_all and matrix.scaled_leaves is None:
        return matrix.scale(s, jnp.add, "elementwise")
    made = operations.plus_number(matrix, s)
    if made is NotImplemented and not any(isinstance(strip(x), Filled) for x in operands):
        made = surround(primitive, operands, params)
    return operations.add(matrix, constant_like(matrix, s)) if made is NotImplemented else made


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
    if type(which) not in VALUE_TYPES and len(cases) == 2:
        kept = _kept_by_array(which, *cases)
        if kept is not NotImplemented:
            return kept
    if isinstance(which, Filled) and len(cases) == 2:
        kept = _kept_lines(which.array, *cases)
        if kept is not NotImplemented:
            return kept
    if not _is(which) and not isinstance(which, Transient) and jnp.ndim(which) == 0:
        cases = [_zero_like(x, cases) for x in cases]
        if all(map(_is, cases)):
            return layouts.elementwise(
                cases, lambda *xs: primitive.bind(which, *xs, **params), True
            )
        return NotImplemented
    return _elementwise(primitive, operands, params)


def _kept_by_array(keep: Any, off: Any, on: Any) -> Any:
    """`where(keep, A, 0)`, or `where(drop, 0, A)`, for an array of all elements."""
    zeros = [isinstance(x, Filled) and static_number(x.array) == 0 for x in (off, on)]
    matrix = on if zeros[0] else off
    if not any(zeros) or not _is(matrix) or np.shape(keep) != matrix.shape:
        return NotImplemented
    keep = keep if zeros[0] else jnp.logical_not(keep)
    return matrix.times_dense(keep, lambda x, keep: jnp.where(keep, x, jnp.zeros((), x.dtype)))


def _kept_lines(keep: Any, off: Any, on: Any) -> Any:
    """`where(mask, A, 0)`, for a mask of whole rows or columns."""
    zeros = [isinstance(x, Filled) and static_number(x.array) == 0 for x in (off, on)]
    matrix = on if zeros[0] else off
    shape = np.shape(keep)
    if not any(zeros) or not _is(matrix) or np.prod(shape) not in shape[-2:] or keep.size == 1:
        return NotImplemented
    keep = jnp.asarray(keep).reshape(-1)
    keep = keep if zeros[0] else jnp.logical_not(keep)
    scale = matrix.scale_columns if shape[-2] == 1 else matrix.scale_rows
    made = scale(keep, lambda x, keep: jnp.where(keep, x, jnp.zeros((), x.dtype)))
    if made is not NotImplemented:
        return made
    lines = DiagonalMatrix(keep.astype(matrix.dtype), allow_materialise=True)
    return operations.matmul(*((matrix, lines) if shape[-2] == 1 else (lines, matrix)))


def _zero_like(x: Any, others: Operands) -> Any:
    """A constant zero as a matrix of the structure of another case."""
    if isinstance(x, Filled) and static_number(x.array) == 0:
        matrix = next((y for y in others if _is(y)), None)
        if matrix is not None and matrix.arrays_are_entries:
            return matrix.scale(0)
    return x


def _integer_pow(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    if params["y"] == 1:
        return x
    return (_square if params["y"] == 2 else _elementwise)(primitive, operands, params)


def _square(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    out = _elementwise(primitive, operands, params)
    return operations.hadamard(x, x) if out is NotImplemented else out


register_rule(StructuredMatrix, Structure.ELEMENTWISE, _broadcasting(_elementwise))
register_rule(StructuredMatrix, "mul", _broadcasting(_mul))
register_rule(StructuredMatrix, "div", _broadcasting(_div))
register_rule(StructuredMatrix, ("add", "sub", "add_any"), _broadcasting(_add))
register_rule(StructuredMatrix, "neg", _guarded(_neg))
register_rule(StructuredMatrix, "conj", _guarded(_conj))
register_rule(StructuredMatrix, "convert_element_type", _guarded(_convert))
register_rule(StructuredMatrix, "select_n", _broadcasting(_select))
register_rule(StructuredMatrix, "integer_pow", _guarded(_integer_pow))
register_rule(StructuredMatrix, "square", _guarded(_square))
