"""Cholesky, QR and LU factors."""

from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp

from .._matrices.identity import identity_like
from .._matrices.permutation import PermutationMatrix
from .._matrix import operations
from .function_rule import _inexact, _rule


@_rule(jnp.linalg.cholesky)
def _cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    a = _inexact(a)
    # Of a permutation, whose Hermitian part is no matrix of a type, the factor is known without it.
    known = isinstance(a, PermutationMatrix) or not symmetrize_input
    half = a if known else operations.symmetrised(a)
    factor = half if half is NotImplemented else operations.cholesky(half)
    return factor if factor is NotImplemented or not upper else factor.adjoint()


@_rule(jnp.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r") or not a.is_square():
        return NotImplemented
    found = qr_factors(_inexact(a))
    return found if found is NotImplemented or mode != "r" else found[1]


def qr_factors(a: Any) -> Any:
    """Q and R, where both are structured; or NotImplemented."""
    if a.batch_shape() == () and a.is_triangular(lower=False):
        return identity_like(a, a.dtype), a
    if a.batch_shape() == () and "orthogonal" in a.known():
        return a, identity_like(a, a.dtype)
    return operations.qr(a)


@_rule(jsp.linalg.lu)
def _lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    found = operations.lu(_inexact(a)) if a.is_square() else NotImplemented
    if found is NotImplemented:
        return NotImplemented
    p, lower, u = found
    return (operations.matmul(p.convert(lower.dtype), lower), u) if permute_l else (p, lower, u)
