"""Matrices whose arrays are not their elements: what follows from products and systems alone."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import lax

from .._matrices.identity import identity_like
from .._matrix import operations
from .._matrix.fields import static
from .._matrix.matrix import StructuredMatrix


class ImplicitMatrix(StructuredMatrix):
    """The base of matrices that multiply, and have elements by products with unit vectors."""

    def diagonal(self) -> Any:
        """From products with unit vectors, one at a time: O(n) memory, n products."""
        n = self.shape[-1]

        def one(i: Any) -> Any:
            column = self.matvec((jnp.arange(n) == i).astype(self.dtype))
            return jnp.take(column, i, axis=-1)

        return jnp.moveaxis(lax.map(one, jnp.arange(min(self.shape[-2:]))), 0, -1)

    def entries(self, i: Any, j: Any) -> Any:
        """One element, or none."""
        i, j = jnp.broadcast_arrays(i, j)
        if i.size == 0:
            return jnp.zeros((*self.batch_shape(), *i.shape), self.dtype)
        if i.ndim > 1 or i.size > 1:
            return NotImplemented
        unit = (jnp.arange(self.shape[-1]) == j.reshape(())).astype(self.dtype)
        return jnp.take(self.matvec(unit), i, axis=-1)

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        one = identity_like(self, self.dtype, allow=True)
        return operations.kept_product(one.scale(s, function), self)


class OfMatrices(ImplicitMatrix):
    """The base of what is `of` other matrices, and conjugated and converted as they are."""

    of: ClassVar[Callable[..., Any]]

    def conj(self) -> Any:
        return self.of(*[x.conj() for x in self.arrays()])

    def convert(self, dtype: Any) -> Any:
        return self.of(*[x.convert(dtype) for x in self.arrays()])


class TriangularFactor(ImplicitMatrix):
    """The base of triangular factors: lower ones, and their transposes, which are `upper`."""

    upper: bool = static(converter=bool)

    def is_triangular(self, lower: bool) -> bool:
        return self.upper != lower

    def transpose(self) -> Any:
        return self.rebuild(self.arrays(), upper=not self.upper, properties=self.properties)
