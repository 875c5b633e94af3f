"""Linear systems with sparse matrices, and their determinants: by LU factors on the host."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jax import lax

from sciquax._storage.lu_factor import Kind, LuFactor
from sciquax.core import RuleError, describe, register_rule, strip

from ._array import BCOO
from ._host import direct
from ._host.factor_cache import Definite
from ._indices import array_of, data_of, in_batch

Operands = Sequence[Any]
Params = dict[str, Any]


def _computed(*dtypes: Any) -> tuple[Any, Any]:
    """The dtype of a result, as of dense arrays; and that which SuperLU computes in."""
    result = jnp.result_type(*dtypes)
    if not jnp.issubdtype(result, jnp.inexact):
        result = jnp.promote_types(result, jnp.result_type(float))
    return result, jnp.promote_types(result, jnp.float32)


def _matrix(a: Any, function: str) -> BCOO:
    """With batch axes as such."""
    shape = a.aval().shape
    made = in_batch(a, shape[:-2] if a.n_batch else (1,) * len(shape[:-2]))
    if made is None or any(n != m for n, m in zip(made.aval().shape, shape, strict=True)):
        raise RuleError(
            f"`{function}` of {describe(a)}, whose batch axes hold elements at different places.",
            "Make it of batched data and indices.",
        )
    return made


def _flat(data: Any, places: Any) -> tuple[Any, Any]:
    """With one leading axis for all batch axes."""
    count = math.prod(data.shape[:-1])
    return data.reshape(count, data.shape[-1]), places.reshape(count, *places.shape[-2:])


def solution(
    a: BCOO,
    b: Any,
    function: str,
    transposed: bool = False,
    incomplete: direct.Kind = None,
) -> Any:
    """For right-hand sides of shape (*batch, n, columns)."""
    mat, n = _matrix(a, function), a.aval().shape[-1]
    if b.shape[-2] != n:
        raise ValueError(
            f"A system with a matrix of shape {a.aval().shape} takes right-hand sides of {n} "
            f"rows; got shape {b.shape}."
        )
    dtype, computed = _computed(a.dtype, b.dtype)
    data, places, b = data_of(mat).astype(computed), mat.indices, b.astype(computed)
    own = mat.aval().shape[:-2]
    batch = np.broadcast_shapes(own, b.shape[:-2])
    if any(m != 1 for m in own):
        data, places = (jnp.broadcast_to(x, (*batch, *x.shape[len(own) :])) for x in (data, places))
        b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
    data, places = _flat(data, places)
    x = direct.solve(
        data, places, b.reshape(math.prod(batch), *b.shape[-2:]), transposed, incomplete
    )
    return x.reshape(*batch, *x.shape[1:]).astype(dtype)


def _solve(a: Any, b: Any, kind: direct.Kind = None) -> Any:
    """Direct, by SuperLU: one factorisation for all right-hand sides of a matrix."""
    if not isinstance(a, BCOO) or isinstance(b, BCOO):
        raise RuleError(
            f"`solve` takes a sparse matrix and an array, not {describe(a)} and {describe(b)}.",
            "The solution is dense where that is sparse: call its `todense()`.",
        )
    b = array_of(b)
    if b.ndim == 1:
        return solution(a, b[:, None], "solve", incomplete=kind)[..., 0]
    return solution(a, b, "solve", incomplete=kind)


def _scipy_solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Any:
    """Solve from one triangle if `assume_a="pos"` says that it determines the matrix."""
    if not isinstance(a, BCOO) or assume_a != "pos":
        return _solve(a, b)
    return _solve(_of_triangle(a, lower), b, Definite())


def _of_triangle(a: BCOO, lower: bool) -> BCOO:
    """The Hermitian matrix of one triangle, with the derivative of the whole one, as JAX has it."""
    half = _half(a, lower, False)
    inner, data = half.indices[..., 0] != half.indices[..., 1], data_of(half)
    other = jnp.where(inner, data.conj(), jnp.zeros((), data.dtype))
    data, indices = [data, other], [half.indices, half.indices[..., ::-1]]
    data = [lax.stop_gradient(x) for x in data]
    if jnp.issubdtype(a.dtype, jnp.inexact):
        data.append(data_of(a) - lax.stop_gradient(data_of(a)))
        indices.append(a.indices)
    shape = half.aval().shape
    return BCOO(jnp.concatenate(data, -1), jnp.concatenate(indices, -2), shape)


def _slogdet(a: Any, *, method: str | None = None) -> Any:
    mat = _matrix(a, "slogdet")
    batch, n = mat.aval().shape[:-2], mat.aval().shape[-1]
    dtype, computed = _computed(a.dtype)
    data, places = _flat(data_of(mat).astype(computed), mat.indices)
    sign, log = direct.slogdet_p.bind(data, places, n=n)
    real = jnp.finfo(dtype).dtype
    return sign.reshape(batch).astype(dtype), log.reshape(batch).astype(real)


def _det(a: Any) -> Any:
    sign, log = _slogdet(a)
    return sign * jnp.exp(log).astype(sign.dtype)


# -- triangles ------------------------------------------------------------------------------------


def _sided(a: BCOO, b: Any, params: Params) -> Any:
    """`triangular_solve`'s sides and transposes, for any matrix."""
    if params["conjugate_a"]:
        a = a.with_payload(data_of(a).conj())
    transposed, b = params["transpose_a"], array_of(b)
    if params["left_side"]:
        return solution(a, b, "solve", transposed)
    x = solution(a, jnp.swapaxes(b, -1, -2), "solve", not transposed)
    return jnp.swapaxes(x, -1, -2)


def _half(a: Any, lower: bool, unit_diagonal: bool) -> BCOO:
    """One triangle: the other elements become zeros."""
    a = _matrix(a, "triangular_solve")
    offset = a.indices[..., 1] - a.indices[..., 0]
    kept = offset <= 0 if lower else offset >= 0
    if unit_diagonal:
        kept &= offset != 0
    data = jnp.where(kept, data_of(a), jnp.zeros((), a.dtype))
    # What is left out stands in the first row or column, so that no place is outside the triangle.
    places = jnp.where(kept[..., None], a.indices, jnp.zeros((), a.indices.dtype))
    shape = a.aval().shape
    if unit_diagonal:
        batch, n = shape[:-2], shape[-1]
        i = jnp.broadcast_to(jnp.arange(n, dtype=places.dtype), (*batch, n))
        places = jnp.concatenate([places, jnp.stack([i, i], -1)], -2)
        data = jnp.concatenate([data, jnp.ones((*batch, n), data.dtype)], -1)
    return BCOO(data, places, shape)


def _triangular_solve(primitive: Any, operands: Operands, params: Params) -> Any:
    a, b = map(strip, operands)
    if not isinstance(a, BCOO) or isinstance(b, BCOO):
        return NotImplemented
    return _sided(_half(a, params["lower"], params["unit_diagonal"]), b, params)


_KIND = Kind(BCOO, _sided, "sparse arrays")


def _lu(primitive: Any, operands: Operands, params: Params) -> Any:
    """The factors are kept as the matrix itself; see `LuFactor`."""
    (a,) = operands
    shape = a.aval().shape
    if shape[-1] != shape[-2]:
        return NotImplemented
    order = jnp.broadcast_to(jnp.arange(shape[-1], dtype=np.int32), shape[:-1])
    return [LuFactor(a, _KIND), order, order]


_INSTEAD = {
    "cholesky": "`jax.scipy.linalg.solve(A, b, assume_a='pos')` and `jnp.linalg.slogdet(A)`",
    "eigh": "`sciquax.sparse.eigsh(A, k)`",
}


def _factored(primitive: Any, operands: Operands, params: Params) -> Any:
    """Leave factors to the default if the matrix may become dense; else say what to call."""
    (a,) = operands
    if a.may_materialise():
        return NotImplemented
    raise RuleError(
        f"`{primitive.name}` of {describe(a)} would need the elements that are not stored.",
        f"Use {_INSTEAD[primitive.name]}, pass `allow_materialise=True`, or call its `todense()`.",
    )


register_rule(BCOO, jnp.linalg.solve, _solve)
register_rule(BCOO, [*_INSTEAD], _factored)
register_rule(BCOO, jsp.linalg.solve, _scipy_solve)
register_rule(BCOO, jnp.linalg.slogdet, _slogdet)
register_rule(BCOO, jnp.linalg.det, _det)
register_rule(BCOO, "lu", _lu)
register_rule(BCOO, "triangular_solve", _triangular_solve)
