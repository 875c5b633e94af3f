"""Cholesky, QR and LU factors."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy as jsp

from .._composite import band_factors
from .._matrices.bands import BandMatrix
from .._matrices.block_diagonal import BlockDiagonalMatrix
from .._matrices.identity import IdentityMatrix
from .._matrices.kronecker import KroneckerMatrix, linalg
from .._matrices.permutation import PermutationMatrix
from .._matrices.triangular import TriangularMatrix
from .._matrix import operations
from .._matrix.base import real_dtype
from .eigen import symmetrised
from .function_rule import _inexact, _rule


@_rule(jnp.linalg.cholesky)
def _cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    matrix = a if isinstance(a, PermutationMatrix) or not symmetrize_input else symmetrised(a)
    matrix = matrix if matrix is NotImplemented else _inexact(matrix)
    if matrix is NotImplemented:
        return NotImplemented
    factor = matrix.cholesky()
    return factor if factor is NotImplemented or not upper else factor.adjoint()


@_rule(jnp.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r") or not a.is_square():
        return NotImplemented
    found = qr_factors(_inexact(a))
    return found if found is NotImplemented or mode != "r" else found[1]


def qr_factors(a: Any) -> Any:
    """Q and R, where both are structured; or NotImplemented."""
    allow, n = a.allow_materialise, a.shape[-1]
    one = IdentityMatrix(n, a.dtype, allow_materialise=allow)
    upper = isinstance(a, TriangularMatrix) and not a.lower
    if a.batch_shape() == () and (upper or isinstance(a, BandMatrix) and a.widths()[0] == 0):
        q, r = one, a
    elif a.batch_shape() == () and "orthogonal" in a.known():
        q, r = a, one
    elif isinstance(a, BlockDiagonalMatrix):
        blocks_q, blocks_r = jnp.linalg.qr(a.blocks)
        q = a.rebuild([blocks_q], properties=frozenset({"orthogonal"}))
        r = a.rebuild([blocks_r])
    elif isinstance(a, KroneckerMatrix):
        (q_a, r_a), (q_b, r_b) = (linalg(lambda x: tuple(jnp.linalg.qr(x)), x) for x in a.arrays())
        q, r = a.rebuild([q_a, q_b], properties=frozenset({"orthogonal"})), a.rebuild([r_a, r_b])
    elif isinstance(a, BandMatrix):
        q, r = band_factors.qr(a)
    else:
        return NotImplemented
    return q, r


@_rule(jsp.linalg.lu)
def _lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """By blocks and factors; within bands; and of what is upper triangular already."""
    a = _inexact(a)
    upper = isinstance(a, TriangularMatrix) and not a.lower
    if isinstance(a, BlockDiagonalMatrix):
        flat = a.blocks.reshape(-1, *a.blocks.shape[-2:])
        parts = [x.reshape(a.blocks.shape) for x in jax.vmap(jsp.linalg.lu)(flat)]
        p, lower, u = (a.rebuild([x]) for x in parts)
        return (operations.matmul(p, lower), u) if permute_l else (p, lower, u)
    if isinstance(a, KroneckerMatrix):
        parts = [linalg(lambda x: tuple(jsp.linalg.lu(x)), x) for x in a.arrays()]
        p, lower, u = (a.rebuild(list(factors)) for factors in zip(*parts, strict=True))
        return (operations.matmul(p, lower), u) if permute_l else (p, lower, u)
    if isinstance(a, BandMatrix) and a.is_square() and a.widths()[0] > 0:
        p, lower, u = band_factors.lu(a)
        return (operations.matmul(p, lower), u) if permute_l else (p, lower, u)
    permutes = isinstance(a, PermutationMatrix)
    upper = upper or isinstance(a, BandMatrix) and a.widths()[0] == 0
    if a.batch_shape() or not (upper or permutes):
        return NotImplemented
    one = IdentityMatrix(a.shape[-1], a.dtype, allow_materialise=a.allow_materialise)
    if permutes:
        return (a, one) if permute_l else (a.convert(real_dtype(a.dtype)), one, one)
    p = IdentityMatrix(a.shape[-1], real_dtype(a.dtype), allow_materialise=a.allow_materialise)
    return (one, a) if permute_l else (p, one, a)
