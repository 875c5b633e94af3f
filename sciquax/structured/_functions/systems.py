"""Linear systems, inverses and determinants."""

from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp
from jax import lax

from sciquax.core import VALUE_TYPES

from .._composite.lazy import ProductMatrix
from .._matrix import operations
from .._matrix.operands import _is
from .._matrix.solve import check_sides, solve, solve_any, solve_sided
from .function_rule import _inexact, _rule

# -- systems and determinants ---------------------------------------------------------------------


@_rule(jnp.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    if not _is(a):
        return NotImplemented
    if _is(b):
        inverse = operations.inverse(_inexact(a))
        return NotImplemented if inverse is NotImplemented else operations.matmul(inverse, b)
    if type(b) in VALUE_TYPES:
        return NotImplemented
    return solve_any(a, b)


def _slope_of_inv(given: dict[int, Any], transposed: bool, a: Any) -> Any:
    inverse = jnp.linalg.inv(a)
    if transposed:
        inverse = jnp.swapaxes(inverse, -1, -2)
    return {0: -(inverse @ given[0] @ inverse)}


@_rule(jnp.linalg.inv, derivative=_slope_of_inv)
def _inv(a: Any) -> Any:
    return operations.inverse(_inexact(a)) if a.is_square() else NotImplemented


def _slope_of_det(given: dict[int, Any], transposed: bool, a: Any) -> Any:
    """Jacobi's formula, det(A) tr(inv(A) dA); the inverse stays one."""
    inverse, det = jnp.linalg.inv(a), jnp.linalg.det(a)
    if transposed:
        return {0: (given[0] * det)[..., None, None] * jnp.swapaxes(inverse, -1, -2)}
    return {0: det * jnp.trace(inverse @ given[0], axis1=-2, axis2=-1)}


def _slope_of_slogdet(given: dict[int, Any], transposed: bool, a: Any, **_: Any) -> Any:
    """Of the logarithm, the real part of tr(inv(A) dA); the sign turns by the imaginary one."""
    inverse, log = jnp.linalg.inv(a), jnp.asarray(given.get(1, 0), a.dtype)
    if not jnp.iscomplexobj(a):
        if transposed:
            return {0: log[..., None, None] * jnp.swapaxes(inverse, -1, -2)}
        slope = jnp.trace(inverse @ given[0], axis1=-2, axis2=-1)
        return {0: jnp.zeros_like(slope), 1: slope}
    sign = jnp.linalg.slogdet(a)[0]
    if transposed:
        both = log + 1j * (given.get(0, 0) * sign).imag
        return {0: both[..., None, None] * jnp.swapaxes(inverse, -1, -2)}
    slope = jnp.trace(inverse @ given[0], axis1=-2, axis2=-1)
    return {0: sign * 1j * slope.imag, 1: slope.real}


@_rule(jnp.linalg.det, derivative=_slope_of_det)
def _det(a: Any) -> Any:
    return _inexact(a).det() if a.is_square() else NotImplemented


@_rule(jnp.linalg.slogdet, derivative=_slope_of_slogdet)
def _slogdet(a: Any, *, method: str | None = None) -> Any:
    return _inexact(a).slogdet() if a.is_square() else NotImplemented


def _batched_vectors(a: Any, b: Any, *_: Any) -> bool:
    """Whether JAX takes `b` for vectors, one for each of a batch: its body says how."""
    return len(b.shape) > 1 and len(a.shape) == len(b.shape) + 1


@_rule(jsp.linalg.solve_triangular, _batched_vectors)
def _solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Any:
    if not _is(a) or type(b) in VALUE_TYPES and not _is(b):
        return NotImplemented
    params = {
        "lower": lower,
        "unit_diagonal": unit_diagonal,
        "transpose_a": trans in (1, "T", 2, "C"),
        "conjugate_a": trans in (2, "C"),
        "left_side": True,
    }
    if _is(b):
        return _times_inverse(half_of(_inexact(a), params), b, params)
    b = jnp.asarray(b)
    vector = b.ndim == 1
    x = solve_half(_inexact(a), b[:, None] if vector else b, params)
    return x if x is NotImplemented or not vector else x[..., 0]


def _times_inverse(half: Any, b: Any, params: dict[str, Any]) -> Any:
    """A system with a triangular matrix whose right-hand sides are a matrix's."""
    if half is not NotImplemented and params["transpose_a"]:
        half = half.adjoint() if params["conjugate_a"] else half.transpose()
    inverse = half if half is NotImplemented else operations.inverse(half)
    return inverse if inverse is NotImplemented else operations.matmul(inverse, b)


def solve_half(a: Any, b: Any, params: dict[str, Any]) -> Any:
    """`triangular_solve` with one half of a matrix, or NotImplemented."""
    half = half_of(a, params)
    return half if half is NotImplemented else solve_sided(half, b, params)


def half_of(a: Any, params: dict[str, Any]) -> Any:
    """The triangle that `triangular_solve` reads, or NotImplemented."""
    half = operations.band_part(a, *((None, 0) if params["lower"] else (0, None)))
    if half is NotImplemented or isinstance(half, ProductMatrix):  # some rows of a permutation
        return NotImplemented
    if params["unit_diagonal"]:
        half = operations.with_unit_diagonal(half)
    return half


@_rule(jsp.linalg.solve, _batched_vectors)
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
    """Of one triangle, where the caller assumes that it says the whole."""
    if not _is(a) or _is(b) or assume_a != "pos" or type(b) in VALUE_TYPES or not a.is_square():
        return _solve(a, b)
    check_sides(a, b)
    found = _solve_positive(a, b[:, None] if b.ndim == 1 else b, lower)
    return found if found is NotImplemented or b.ndim > 1 else found[..., 0]


def _solve_positive(a: Any, b: Any, lower: bool) -> Any:
    """By the Cholesky factor that one triangle has: not a number unless that is positive definite.

    As JAX's, the derivative is that of the whole matrix, which is taken for Hermitian.
    """
    a = _inexact(a)
    dtype = jnp.promote_types(a.dtype, b.dtype)
    a, b = a.convert(dtype), b.astype(dtype)
    batch = jnp.broadcast_shapes(a.batch_shape(), b.shape[:-2])
    fixed = lax.stop_gradient(a)
    factor = operations.cholesky(fixed if lower else fixed.adjoint())
    if factor is NotImplemented:
        return NotImplemented
    return lax.custom_linear_solve(
        a.matmat,
        jnp.broadcast_to(b, (*batch, *b.shape[-2:])),
        lambda _, y: solve(factor.adjoint(), solve(factor, y)),
        symmetric=True,
    )
