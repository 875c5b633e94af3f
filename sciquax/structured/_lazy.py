"""Inverses, products and sums that no other type can hold, kept as such."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jax import lax

from ._matrix import StructuredMatrix, allow_both
from ._properties import surviving


def _make(cls: type, arrays: Any, allow: bool, properties: Any) -> Any:
    made = object.__new__(cls)
    for name, x in zip(cls.LEAVES, arrays, strict=True):
        object.__setattr__(made, name, x)
    object.__setattr__(made, "allow_materialise", allow)
    object.__setattr__(made, "properties", frozenset(properties))
    return made


def _aligned(left: Any, right: Any) -> tuple[Any, Any]:
    """Both with all batch axes, so that a mapped axis is an axis of every array."""
    batch = jnp.broadcast_shapes(left.batch_shape(), right.batch_shape())

    def broadcast(m: Any) -> Any:
        if m.batch_shape() == batch:
            return m
        made = m.map_batch(lambda y, count: jnp.broadcast_to(y, (*batch, *y.shape[count:])))
        return m if made is NotImplemented else made

    return broadcast(left), broadcast(right)


class InverseMatrix(
    StructuredMatrix, leaves=("matrix",), static=("allow_materialise", "properties")
):
    """The inverse of a structured matrix whose elements are not stored: products solve systems.

    What `jnp.linalg.inv` gives for tridiagonal, banded and Toeplitz matrices, whose inverses are
    dense.
    """

    LEAVES: ClassVar[tuple[str, ...]] = ("matrix",)
    CORE: ClassVar[tuple[int, ...]] = (2,)

    matrix: Any

    @staticmethod
    def of(matrix: Any) -> Any:
        properties = surviving("inverse", matrix.known())
        return _make(InverseMatrix, [matrix], matrix.allow_materialise, properties)

    def aval(self) -> Any:
        return self._aval(self.matrix.shape)

    def matmat(self, x: Any) -> Any:
        from ._solve import solve

        return solve(self.matrix, x)

    def solve(self, b: Any) -> Any:
        return self.matrix.matmat(b)

    def transpose(self) -> Any:
        return InverseMatrix.of(self.matrix.transpose())

    def conj(self) -> Any:
        return InverseMatrix.of(self.matrix.conj())

    def inverse(self) -> Any:
        return self.matrix

    def convert(self, dtype: Any) -> Any:
        return InverseMatrix.of(self.matrix.convert(dtype))

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        scaled = self.matrix.scale(1 / function(jnp.ones((), self.dtype), s))
        return NotImplemented if scaled is NotImplemented else InverseMatrix.of(scaled)

    def diagonal(self) -> Any:
        """Of tridiagonal matrices that need no pivoting O(n); otherwise n systems in turn."""
        found = self.matrix.inverse_diagonal()
        if found is not NotImplemented:
            return found
        n = self.shape[-1]

        def one(i: Any) -> Any:
            column = self.matvec((jnp.arange(n) == i).astype(self.dtype))
            return jnp.take(column, i, axis=-1)

        return jnp.moveaxis(lax.map(one, jnp.arange(n)), 0, -1)

    def slogdet(self) -> Any:
        sign, log = self.matrix.slogdet()
        return jnp.conj(sign) if jnp.iscomplexobj(sign) else sign, -log

    def det(self) -> Any:
        return 1 / self.matrix.det()

    def entries(self, i: Any, j: Any) -> Any:
        return by_columns(self, i, j)


class ProductMatrix(
    StructuredMatrix, leaves=("left", "right"), static=("allow_materialise", "properties")
):
    """The product of two structured matrices that has no structure of one type."""

    LEAVES: ClassVar[tuple[str, ...]] = ("left", "right")
    CORE: ClassVar[tuple[int, ...]] = (2, 2)

    left: Any
    right: Any

    @staticmethod
    def of(left: Any, right: Any) -> Any:
        left, right = _aligned(left, right)
        properties = surviving("matmul", left.known(), right.known())
        return _make(ProductMatrix, [left, right], allow_both(left, right), properties)

    def aval(self) -> Any:
        batch = jnp.broadcast_shapes(self.left.shape[:-2], self.right.shape[:-2])
        return self._aval((*batch, self.left.shape[-2], self.right.shape[-1]))  # pyright: ignore[reportArgumentType]

    def matmat(self, x: Any) -> Any:
        return self.left.matmat(self.right.matmat(x))

    def can_solve(self) -> bool:
        return self.left.can_solve() and self.right.can_solve()

    def solves_directly(self) -> bool:
        return self.left.solves_directly() or self.right.solves_directly()

    def solve(self, b: Any) -> Any:
        return self.right.solve(self.left.solve(b))

    def transpose(self) -> Any:
        return ProductMatrix.of(self.right.transpose(), self.left.transpose())

    def conj(self) -> Any:
        return ProductMatrix.of(self.left.conj(), self.right.conj())

    def convert(self, dtype: Any) -> Any:
        return ProductMatrix.of(self.left.convert(dtype), self.right.convert(dtype))

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        for left, right in ((True, False), (False, True)):
            scaled = (self.left if left else self.right).scale(s, function, properties)
            if scaled is not NotImplemented:
                return ProductMatrix.of(
                    scaled if left else self.left, scaled if right else self.right
                )
        return NotImplemented

    def inverse(self) -> Any:
        if not (self.left.is_square() and self.right.is_square()):
            return NotImplemented
        left, right = self.left.inverse(), self.right.inverse()
        if left is NotImplemented or right is NotImplemented:
            return NotImplemented
        return ProductMatrix.of(right, left)

    def slogdet(self) -> Any:
        if not (self.left.is_square() and self.right.is_square()):
            return NotImplemented
        left, right = self.left.slogdet(), self.right.slogdet()
        if left is NotImplemented or right is NotImplemented:
            return NotImplemented
        return left[0] * right[0], left[1] + right[1]

    def det(self) -> Any:
        if not (self.left.is_square() and self.right.is_square()):
            return NotImplemented
        left, right = self.left.det(), self.right.det()
        if left is NotImplemented or right is NotImplemented:
            return NotImplemented
        return left * right

    def entries(self, i: Any, j: Any) -> Any:
        return by_columns(self, i, j)


class SumMatrix(
    StructuredMatrix, leaves=("left", "right"), static=("allow_materialise", "properties")
):
    """The sum of two structured matrices that has no structure of one type.

    It multiplies, transposes, and has elements, rows, a diagonal and a trace; systems with it have
    no direct solution (`jax.scipy.sparse.linalg.cg` and `gmres` take it).
    """

    LEAVES: ClassVar[tuple[str, ...]] = ("left", "right")
    CORE: ClassVar[tuple[int, ...]] = (2, 2)

    left: Any
    right: Any

    @staticmethod
    def of(left: Any, right: Any) -> Any:
        left, right = _aligned(left, right)
        properties = surviving("add", left.known(), right.known())
        return _make(SumMatrix, [left, right], allow_both(left, right), properties)

    def aval(self) -> Any:
        return self._aval(jnp.broadcast_shapes(self.left.shape, self.right.shape))  # pyright: ignore[reportArgumentType]

    def can_solve(self) -> bool:
        return False

    def matmat(self, x: Any) -> Any:
        return self.left.matmat(x) + self.right.matmat(x)

    def materialise(self) -> Any:
        return self.left.materialise() + self.right.materialise()

    def transpose(self) -> Any:
        return SumMatrix.of(self.left.transpose(), self.right.transpose())

    def conj(self) -> Any:
        return SumMatrix.of(self.left.conj(), self.right.conj())

    def convert(self, dtype: Any) -> Any:
        return SumMatrix.of(self.left.convert(dtype), self.right.convert(dtype))

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        left = self.left.scale(s, function, properties)
        right = self.right.scale(s, function, properties)
        if left is NotImplemented or right is NotImplemented:
            return NotImplemented
        return SumMatrix.of(left, right)

    def diagonal(self) -> Any:
        return self.left.diagonal() + self.right.diagonal()

    def entries(self, i: Any, j: Any) -> Any:
        return self.left.entries(i, j) + self.right.entries(i, j)


def by_columns(matrix: Any, i: Any, j: Any) -> Any:
    """Elements from products with unit vectors, for up to a few rows or columns."""
    i, j = jnp.broadcast_arrays(i, j)
    if i.ndim > 1 or i.size > 1:
        return NotImplemented
    n = matrix.shape[-1]
    unit = (jnp.arange(n) == j.reshape(())).astype(matrix.dtype)
    column = matrix.matvec(unit)
    return jnp.take(column, i, axis=-1)
