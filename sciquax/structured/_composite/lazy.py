"""Inverses, products and sums that no other type can hold, kept as such."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from .._blocks.block_matrix import BlockMatrix
from .._matrices.diagonal import AnyDiagonal, DiagonalMatrix
from .._matrices.identity import MULTIPLES
from .._matrices.kronecker import KroneckerMatrix
from .._matrices.low_rank import LowRankPlusDiagonalMatrix
from .._matrices.outer import LowRankMatrix
from .._matrices.toeplitz import ToeplitzMatrix
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.factor import square
from .._matrix.fields import leaf
from .._matrix.matrix import aligned
from .._matrix.properties import surviving
from .._matrix.solve import solve
from .implicit import ImplicitMatrix, OfMatrices
from .product_pair import ProductPair
from .shifted import ShiftedKronecker


class InverseMatrix(OfMatrices):
    """The inverse of a structured matrix whose elements are not stored: products solve systems.

    What `jnp.linalg.inv` gives for tridiagonal, banded and Toeplitz matrices, whose inverses are
    dense.
    """

    matrix: Any = leaf(core_ndim=2)

    @staticmethod
    def of(matrix: Any) -> Any:
        properties = surviving("inverse", matrix.known())
        return InverseMatrix.build(
            [matrix], allow_materialise=matrix.allow_materialise, properties=properties
        )

    def aval(self) -> Any:
        return self.matrix_aval(self.matrix.shape)

    def matmat(self, x: Any) -> Any:
        return solve(self.matrix, x)

    def solve(self, b: Any) -> Any:
        return self.matrix.matmat(b)

    def transpose(self) -> Any:
        return InverseMatrix.of(self.matrix.transpose())

    def diagonal(self) -> Any:
        """Of tridiagonal matrices that need no pivoting O(n); otherwise n systems in turn."""
        found = self.matrix.inverse_diagonal()
        return ImplicitMatrix.diagonal(self) if found is NotImplemented else found

    def slogdet(self) -> Any:
        sign, log = self.matrix.slogdet()
        return jnp.conj(sign) if jnp.iscomplexobj(sign) else sign, -log

    def det(self) -> Any:
        return 1 / self.matrix.det()


class ProductMatrix(OfMatrices):
    """The product of two structured matrices that has no structure of one type."""

    left: Any = leaf(core_ndim=2)
    right: Any = leaf(core_ndim=2)

    @staticmethod
    def of(left: Any, right: Any) -> Any:
        left, right = aligned(left, right)
        properties = surviving("matmul", left.known(), right.known())
        return ProductMatrix.build(
            [left, right], allow_materialise=allow_both(left, right), properties=properties
        )

    def aval(self) -> Any:
        batch = jnp.broadcast_shapes(self.left.shape[:-2], self.right.shape[:-2])
        return self.matrix_aval((*batch, self.left.shape[-2], self.right.shape[-1]))  # pyright: ignore[reportArgumentType]

    def matmat(self, x: Any) -> Any:
        return self.left.matmat(self.right.matmat(x))

    def diagonal(self) -> Any:
        """Of rows or columns that are scaled O(n); otherwise n products in turn."""
        for scale, matrix in ((self.left, self.right), (self.right, self.left)):
            if isinstance(scale, AnyDiagonal):
                found = matrix.diagonal()
                if found is not NotImplemented:
                    return scale.diagonal()[..., : found.shape[-1]] * found
        return ImplicitMatrix.diagonal(self)

    def can_solve(self) -> bool:
        return self.left.can_solve() and self.right.can_solve()

    def solves_directly(self) -> bool:
        return self.left.solves_directly() or self.right.solves_directly()

    def solve(self, b: Any) -> Any:
        return self.right.solve(self.left.solve(b))

    def transpose(self) -> Any:
        return ProductMatrix.of(self.right.transpose(), self.left.transpose())

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        for left, right in ((True, False), (False, True)):
            scaled = (self.left if left else self.right).scale(s, function, properties)
            if scaled is not NotImplemented:
                return ProductMatrix.of(
                    scaled if left else self.left, scaled if right else self.right
                )
        return NotImplemented

    def _of_both(self, function: Callable[..., Any]) -> Any:
        """Of each factor, if both are square and have it; or NotImplemented."""
        if not (self.left.is_square() and self.right.is_square()):
            return NotImplemented
        found = [function(x) for x in self.arrays()]
        return NotImplemented if any(x is NotImplemented for x in found) else found

    def slogdet(self) -> Any:
        found = self._of_both(lambda x: x.slogdet())
        if found is NotImplemented:
            return NotImplemented
        left, right = found
        return left[0] * right[0], left[1] + right[1]

    def det(self) -> Any:
        found = self._of_both(lambda x: x.det())
        return found if found is NotImplemented else found[0] * found[1]


class SumMatrix(OfMatrices):
    """The sum of two structured matrices that has no structure of one type.

    It multiplies, transposes, and has elements, rows, a diagonal and a trace. Systems have a direct
    solution where all but a term of low rank has (a tridiagonal matrix plus one of low rank), as
    the bordered systems that they are Schur complements of (the Sherman-Morrison-Woodbury identity,
    Golub and Van Loan, section 2.1.4). A positive definite Toeplitz matrix and a diagonal have one
    by conjugate gradients, which is not a number where these do not converge; a Kronecker product
    and a multiple of the identity by their factors' spectra, two Kronecker products as one and a
    Kronecker sum. Others are for `jax.scipy.sparse.linalg.cg` and `gmres`.
    """

    left: Any = leaf(core_ndim=2)
    right: Any = leaf(core_ndim=2)

    @staticmethod
    def of(left: Any, right: Any) -> Any:
        left, right = aligned(left, right)
        properties = surviving("add", left.known(), right.known())
        return SumMatrix.build(
            [left, right], allow_materialise=allow_both(left, right), properties=properties
        )

    def aval(self) -> Any:
        return self.matrix_aval(jnp.broadcast_shapes(self.left.shape, self.right.shape))  # pyright: ignore[reportArgumentType]

    def _bordered(self) -> tuple[BlockMatrix, int] | None:
        """[[A, u], [v, -1]], whose Schur complement is this matrix A + u v, and the rank of u v.

        None if not all that is besides terms of low rank is solved directly.
        """
        with_diagonal = [x for x in self._terms() if isinstance(x, LowRankPlusDiagonalMatrix)]
        low = [*with_diagonal, *(x for x in self._terms() if isinstance(x, LowRankMatrix))]
        if not low or not self.is_square():
            return None
        rest = [x for x in self._terms() if not any(x is y for y in low)]
        rest += [DiagonalMatrix(x.diag) for x in with_diagonal]
        whole: Any = functools.reduce(operations.add, rest)
        if whole is NotImplemented or not whole.can_solve():
            return None
        batch = self.batch_shape()
        u, v = ([jnp.broadcast_to(y, (*batch, *y.shape[-2:])) for y in x] for x in _factors(low))
        rank = sum(x.shape[-1] for x in u)
        corner = jnp.broadcast_to(-jnp.eye(rank, dtype=self.dtype), (*batch, rank, rank))
        blocks = [whole, jnp.concatenate(u, -1), jnp.concatenate(v, -2), corner]
        return BlockMatrix.build(blocks), rank

    def _terms(self) -> list[Any]:
        parts = (self.left, self.right)
        return [y for x in parts for y in (x._terms() if isinstance(x, SumMatrix) else [x])]

    def _plus_diagonal(self) -> tuple[ToeplitzMatrix, Any] | None:
        """A positive definite Toeplitz matrix and the diagonal added to it, if it is that."""
        for matrix, other in ((self.left, self.right), (self.right, self.left)):
            if isinstance(matrix, ToeplitzMatrix) and isinstance(other, AnyDiagonal):
                if "positive_definite" in matrix.known():
                    return matrix, other.diagonal()
        return None

    def shifted(self) -> ShiftedKronecker | None:
        """A Kronecker product of square factors and a multiple of the identity, if it is that."""
        for matrix, other in ((self.left, self.right), (self.right, self.left)):
            if isinstance(matrix, KroneckerMatrix) and isinstance(other, MULTIPLES):
                if all(map(square, matrix.arrays())):
                    return ShiftedKronecker(matrix, other.diagonal()[..., 0])
        return None

    def by_factors(self) -> ShiftedKronecker | ProductPair | None:
        """The same as what is solved factor by factor, if it is that."""
        shifted = self.shifted()
        return ProductPair.of(self.left, self.right) if shifted is None else shifted

    def can_solve(self) -> bool:
        return any(x() is not None for x in (self.by_factors, self._plus_diagonal, self._bordered))

    def inverse_diagonal(self) -> Any:
        shifted = self.shifted()
        return NotImplemented if shifted is None else shifted.inverse_diagonal()

    def solve(self, b: Any) -> Any:
        if (factors := self.by_factors()) is not None:
            return factors.solve(b)
        if (definite := self._plus_diagonal()) is not None:
            matrix, d = definite
            x, holds = matrix.iterated(d, b)
            return jnp.where(holds, x, jnp.nan)  # it is not positive definite
        found = self._bordered()
        if found is None:
            return NotImplemented
        whole, rank = found
        sides = jnp.concatenate([b, jnp.zeros((*b.shape[:-2], rank, b.shape[-1]), b.dtype)], -2)
        return whole.solve(sides)[..., : self.shape[-1], :]

    def slogdet(self) -> Any:
        """By the matrix determinant lemma."""
        if (factors := self.by_factors()) is not None:
            return factors.slogdet()
        found = self._bordered()
        own = NotImplemented if found is None else found[0].slogdet()
        if found is None or own is NotImplemented:
            return NotImplemented
        return (-own[0] if found[1] % 2 else own[0]), own[1]

    def matmat(self, x: Any) -> Any:
        return self.left.matmat(x) + self.right.matmat(x)

    def materialise(self) -> Any:
        return self.left.materialise() + self.right.materialise()

    def transpose(self) -> Any:
        return SumMatrix.of(self.left.transpose(), self.right.transpose())

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        left = self.left.scale(s, function, properties)
        right = self.right.scale(s, function, properties)
        if left is NotImplemented or right is NotImplemented:
            return NotImplemented
        return SumMatrix.of(left, right)

    def diagonal(self) -> Any:
        return self.left.diagonal() + self.right.diagonal()

    def entries(self, i: Any, j: Any) -> Any:
        found = [x.entries(i, j) for x in self.arrays()]
        return NotImplemented if any(x is NotImplemented for x in found) else found[0] + found[1]


def _factors(low: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    return [x.u for x in low], [x.v for x in low]


operations.inverse.register(InverseMatrix)(lambda a: a.matrix)


@operations.inverse.register(ProductMatrix)
def _inverse_of_product(a: ProductMatrix) -> Any:
    found = a._of_both(operations.inverse)
    return found if found is NotImplemented else ProductMatrix.of(*reversed(found))


@operations.norm_bound.register(ProductMatrix)
def _norm_of_product(a: ProductMatrix) -> Any:
    return operations.norm_bound(a.left) * operations.norm_bound(a.right)


@operations.norm_bound.register(SumMatrix)
def _norm_of_sum(a: SumMatrix) -> Any:
    return operations.norm_bound(a.left) + operations.norm_bound(a.right)


def _plus_multiple(function: operations.Operation) -> Callable[[SumMatrix], Any]:
    """Eigenvalues are moved by a multiple of the identity; eigenvectors, if any, stay."""

    def rule(a: SumMatrix) -> Any:
        for matrix, other in ((a.left, a.right), (a.right, a.left)):
            found = function(matrix) if isinstance(other, MULTIPLES) else NotImplemented
            if found is NotImplemented:
                continue
            move = other.diagonal()
            if not isinstance(found, tuple):
                return found + move.astype(found.dtype)
            return (found[0] + move.astype(found[0].dtype), *found[1:])
        return NotImplemented

    return rule


@operations.symmetrised.register(SumMatrix)
def _symmetrised(a: SumMatrix) -> Any:
    """Of a matrix and a real multiple of the identity."""
    for matrix, other in ((a.left, a.right), (a.right, a.left)):
        if isinstance(other, MULTIPLES) and not jnp.iscomplexobj(other):
            half = operations.symmetrised(matrix)
            return half if half is NotImplemented else operations.add(half, other)
    return NotImplemented


for _function in (operations.eigvalsh, operations.eigh, operations.eigvals, operations.eig):
    _function.register(SumMatrix)(_plus_multiple(_function))
