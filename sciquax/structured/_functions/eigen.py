"""Eigenvalues and eigenvectors."""

from typing import Any

import jax.numpy as jnp

from .._composite.lazy import ProductMatrix
from .._kernels import spectra
from .._matrices.bands import BandMatrix
from .._matrices.block_diagonal import BlockDiagonalMatrix
from .._matrices.circulant import CirculantMatrix
from .._matrices.identity import DIAGONAL, IdentityMatrix
from .._matrices.kronecker import KroneckerMatrix, linalg, outer, square
from .._matrices.low_rank import LowRankPlusDiagonalMatrix
from .._matrices.permutation import PermutationMatrix
from .._matrices.toeplitz import ToeplitzMatrix
from .._matrices.triangular import TriangularMatrix
from .._matrices.tridiagonal import SymmetricTridiagonalMatrix, TridiagonalMatrix
from .._matrix import operations
from .._matrix.properties import surviving
from .function_rule import _inexact, _rule
from .uncomputed import Withheld


def _identity(a: Any, dtype: Any) -> IdentityMatrix:
    """One for each matrix of a batch."""
    one = IdentityMatrix(a.shape[-1], dtype, allow_materialise=a.allow_materialise)
    return one.rebuild([jnp.ones(a.batch_shape(), dtype)])


# -- eigenvalues and factors ----------------------------------------------------------------------


def symmetrised(a: Any) -> Any:
    """(a + a^H) / 2, as JAX makes of the arguments of `eigh` and `cholesky`; or NotImplemented."""
    a = _inexact(a)
    if isinstance(a, KroneckerMatrix):
        return a.symmetrised()
    if a.is_hermitian():
        return a
    if isinstance(a, BlockDiagonalMatrix):
        return a.each(lambda x: (x + jnp.conj(jnp.swapaxes(x, -1, -2))) / 2)
    if isinstance(a, TridiagonalMatrix) and not jnp.issubdtype(a.dtype, jnp.complexfloating):
        return SymmetricTridiagonalMatrix(
            a.main_diag,
            (a.lower_diag + a.upper_diag) / 2,
            allow_materialise=a.allow_materialise,
            properties=surviving("add", a.properties),
        )
    if isinstance(a, (BandMatrix, CirculantMatrix)):
        total = operations.add(a, a.adjoint()).scale(jnp.asarray(0.5, a.dtype))
        return total.rebuild(
            total.arrays(), properties=surviving("add", a.properties) | {"hermitian"}
        )
    half = jnp.asarray(0.5, a.dtype)
    if isinstance(a, LowRankPlusDiagonalMatrix):
        adjoint: Any = a.adjoint()
        made = a.rebuild(
            [
                a.diag.real.astype(a.dtype),
                half * jnp.concatenate([a.u, adjoint.u], -1),
                jnp.concatenate([a.v, adjoint.v], -2),
            ]
        )
        return made.rebuild(
            made.arrays(), properties=surviving("add", a.properties) | {"hermitian"}
        )
    if isinstance(a, ToeplitzMatrix):
        column = half * (a.column + jnp.conj(a.row.at[..., 0].set(a.column[..., 0])))
        return a.rebuild(
            [column, jnp.conj(column)], properties=surviving("add", a.properties) | {"hermitian"}
        )
    return NotImplemented


def _eigenvalues(a: Any) -> Any:
    a = symmetrised(a)
    if a is NotImplemented:
        return NotImplemented
    if isinstance(a, DIAGONAL):
        return jnp.sort(a.diagonal().real, -1)
    if isinstance(a, BandMatrix):
        return spectra.eigenvalues({k: x for k, x in a.diagonals().items() if k >= 0})
    return a.eigenvalues()


@_rule(jnp.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    return _eigenvalues(a) if a.is_square() else NotImplemented


@_rule(jnp.linalg.eigvals)
def _eigvals(a: Any) -> Any:
    """Of what is triangular or diagonalised by the DFT; in no order."""
    a = _inexact(a)
    if isinstance(a, CirculantMatrix):
        return a.spectrum()
    one_sided = isinstance(a, TriangularMatrix) or (isinstance(a, BandMatrix) and 0 in a.widths())
    if one_sided:
        d = a.diagonal()
        return d.astype(jnp.promote_types(d.dtype, jnp.complex64))
    if isinstance(a, BlockDiagonalMatrix):
        return a.joined(jnp.linalg.eigvals(a.blocks))
    if isinstance(a, KroneckerMatrix) and all(map(square, a.arrays())):
        u, v = (linalg(jnp.linalg.eigvals, x) for x in a.arrays())
        return outer(u, v)
    return NotImplemented


def _eig(a: Any) -> Any:
    """Eigenvalues and right eigenvectors; those without structure are withheld."""
    a = _inexact(a)
    dtype = jnp.promote_types(a.dtype, jnp.complex64)
    if isinstance(a, DIAGONAL):
        return a.diagonal().astype(dtype), _identity(a, dtype)
    if isinstance(a, BlockDiagonalMatrix):
        values, vectors = jnp.linalg.eig(a.blocks)
        return a.joined(values), a.rebuild([vectors])
    if isinstance(a, KroneckerMatrix) and all(map(square, a.arrays())):
        (w_a, v_a), (w_b, v_b) = (linalg(lambda x: tuple(jnp.linalg.eig(x)), x) for x in a.arrays())
        values = outer(w_a, w_b)
        return values, a.rebuild([v_a, v_b])
    values = NotImplemented if a.allow_materialise else _eigvals(a)
    if values is NotImplemented:
        return NotImplemented
    return values, Withheld.of("eig", a.shape, dtype)


def _sorting(values: Any, vectors: Any, allow: bool) -> tuple[Any, Any]:
    """Eigenvalues in ascending order, and the vectors as a product with a permutation."""
    order = jnp.argsort(values, -1)
    permutation = PermutationMatrix(jnp.argsort(order, -1), vectors.dtype, allow_materialise=allow)
    if isinstance(vectors, IdentityMatrix):
        return jnp.take_along_axis(values, order, -1), permutation
    return jnp.take_along_axis(values, order, -1), ProductMatrix.of(vectors, permutation)


@_rule(jnp.linalg.eigh)
def _eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> Any:
    """Where eigenvectors are structured: diagonal matrices, blocks and Kronecker products."""
    if not a.is_square():
        return NotImplemented
    found = _eigenvectors(a)
    if found is NotImplemented and not a.allow_materialise:
        values = _eigenvalues(a)
        if values is not NotImplemented:
            return values, Withheld.of("eigh", a.shape, _inexact(a).dtype)
    return found


def _eigenvectors(a: Any) -> Any:
    matrix = symmetrised(a)
    if matrix is NotImplemented:
        return NotImplemented
    allow = a.allow_materialise
    if isinstance(matrix, DIAGONAL):
        one = IdentityMatrix(a.shape[-1], matrix.dtype, allow_materialise=allow)
        return _sorting(matrix.diagonal().real, one, allow)
    if isinstance(matrix, BlockDiagonalMatrix):
        values, vectors = jnp.linalg.eigh(matrix.blocks)
        return _sorting(
            matrix.joined(values),
            matrix.rebuild([vectors], properties=frozenset({"orthogonal"})),
            allow,
        )
    if isinstance(matrix, KroneckerMatrix):
        (w_a, v_a), (w_b, v_b) = (
            linalg(lambda x: tuple(jnp.linalg.eigh(x)), x) for x in matrix.arrays()
        )
        values = outer(w_a, w_b)
        vectors = matrix.rebuild([v_a, v_b], properties=frozenset({"orthogonal"}))
        return _sorting(values, vectors, allow)
    return NotImplemented
