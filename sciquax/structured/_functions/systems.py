"""Linear systems, inverses and determinants."""

from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp

from sciquax.core import VALUE_TYPES

from .._composite.lazy import ProductMatrix
from .._matrix import operations
from .._matrix.operands import _is
from .._matrix.solve import solve_any, solve_sided
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


@_rule(jnp.linalg.inv)
def _inv(a: Any) -> Any:
    return operations.inverse(_inexact(a)) if a.is_square() else NotImplemented


@_rule(jnp.linalg.det)
def _det(a: Any) -> Any:
    return _inexact(a).det() if a.is_square() else NotImplemented


@_rule(jnp.linalg.slogdet)
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
    if not _is(a) or type(b) in VALUE_TYPES:
        return NotImplemented
    params = {
        "lower": lower,
        "unit_diagonal": unit_diagonal,
        "transpose_a": trans in (1, "T", 2, "C"),
        "conjugate_a": trans in (2, "C"),
        "left_side": True,
    }
    b = jnp.asarray(b)
    vector = b.ndim == 1
    x = solve_half(_inexact(a), b[:, None] if vector else b, params)
    return x if x is NotImplemented or not vector else x[..., 0]


def solve_half(a: Any, b: Any, params: dict[str, Any]) -> Any:
    """`triangular_solve` with one half of a matrix, or NotImplemented."""
    half = operations.band_part(a, *((None, 0) if params["lower"] else (0, None)))
    if half is NotImplemented or isinstance(half, ProductMatrix):  # some rows of a permutation
        return NotImplemented
    if params["unit_diagonal"]:
        half = operations.with_unit_diagonal(half)
    return half if half is NotImplemented else solve_sided(half, b, params)


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
    """What the caller assumes is a property of the matrix."""
    if _is(a) and assume_a == "pos":
        a = a.rebuild(a.arrays(), properties=a.properties | {"positive_definite", "hermitian"})
    return _solve(a, b)
