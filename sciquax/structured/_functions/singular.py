"""Singular values and vectors."""

from typing import Any

import jax.numpy as jnp

from .._kernels import spectra
from .._matrices.bands import BandMatrix
from .._matrices.block_diagonal import BlockDiagonalMatrix
from .._matrices.diagonal import DiagonalMatrix
from .._matrices.identity import DIAGONAL
from .._matrices.kronecker import KroneckerMatrix, linalg, outer, square
from .._matrices.permutation import PermutationMatrix
from .._matrices.triangular import TriangularMatrix
from .._matrix import operations
from .eigen import _eigenvalues, _identity
from .function_rule import _inexact, _rule
from .uncomputed import Withheld

# -- norms and singular values --------------------------------------------------------------------


def _singular_values(a: Any) -> Any:
    """In descending order, or NotImplemented."""
    a = _inexact(a)
    if "orthogonal" in a.known():
        return jnp.ones(a.shape[:-1], jnp.abs(jnp.zeros((), a.dtype)).dtype)
    if (own := a.singular_values()) is not NotImplemented:
        return own
    if isinstance(a, DIAGONAL):
        return jnp.sort(jnp.abs(a.diagonal()), -1)[..., ::-1]
    if isinstance(a, BandMatrix) and a.is_hermitian():
        return jnp.sort(jnp.abs(_eigenvalues(a)), -1)[..., ::-1]
    if isinstance(a, BandMatrix):
        return spectra.singular_values(a.diagonals())
    if isinstance(a, TriangularMatrix):  # which stores n^2 numbers as it is
        return jnp.linalg.svdvals(a.materialise())
    return NotImplemented


@_rule(jnp.linalg.svd)
def _svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: Any = None,
) -> Any:
    if subset_by_index is not None or not a.is_square():
        return NotImplemented
    return _singular_vectors(a) if compute_uv else _singular_values(a)


def _singular_vectors(a: Any) -> Any:
    """U, the singular values and V^H, or NotImplemented; vectors without structure are withheld."""
    matrix = _inexact(a)
    allow, shape, dtype = a.allow_materialise, a.shape, matrix.dtype
    one = _identity(matrix, dtype)
    if "orthogonal" in matrix.known():
        return matrix, _singular_values(matrix), one
    if isinstance(matrix, DIAGONAL):
        d = matrix.diagonal()
        size = jnp.abs(d)
        phase = jnp.where(size == 0, 1, d / jnp.where(size == 0, 1, size))
        left = DiagonalMatrix(phase, allow_materialise=allow, properties={"orthogonal"})
        return _descending(left, size, one, allow)
    if isinstance(matrix, BlockDiagonalMatrix):
        u, s, vh = jnp.linalg.svd(matrix.blocks)
        left, right = (matrix.rebuild([x], properties=_UNITARY) for x in (u, vh))
        return _descending(left, matrix.joined(s), right, allow)
    if isinstance(matrix, KroneckerMatrix) and all(map(square, matrix.arrays())):
        (u_a, s_a, vh_a), (u_b, s_b, vh_b) = (
            linalg(lambda x: tuple(jnp.linalg.svd(x)), x) for x in matrix.arrays()
        )
        left, right = (
            matrix.rebuild([x, y], properties=_UNITARY) for x, y in ((u_a, u_b), (vh_a, vh_b))
        )
        values = outer(s_a, s_b)
        return _descending(left, values, right, allow)
    values = NotImplemented if allow else _singular_values(a)
    if values is NotImplemented:
        return NotImplemented
    withheld = Withheld.of("svd", shape, dtype)
    return withheld, values, withheld


_UNITARY = frozenset({"orthogonal"})


def _descending(left: Any, values: Any, right: Any, allow: bool) -> tuple[Any, Any, Any]:
    """left @ diag(values) @ right with the values in descending order."""
    order = jnp.argsort(-values, -1)
    rows = PermutationMatrix(order, left.dtype, allow_materialise=allow)
    values = jnp.take_along_axis(values, order, -1)
    return operations.matmul(left, rows.transpose()), values, operations.matmul(rows, right)


@_rule(jnp.linalg.svdvals)
def _svdvals(x: Any, /) -> Any:
    return _singular_values(x) if x.is_square() else NotImplemented
