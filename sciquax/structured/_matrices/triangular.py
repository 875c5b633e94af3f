"""Triangular matrices."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._matrix.fields import leaf, static
from .._matrix.matrix import StructuredMatrix


class TriangularMatrix(StructuredMatrix):
    """A triangular matrix, stored as a square array whose other half is ignored.

    **Arguments**

    - `array`: (..., n, n).
    - `lower`: which half counts.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][];
      `unit_diagonal` says that the diagonal is ones whatever the array holds there.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import TriangularMatrix
    >>> a = TriangularMatrix(jnp.array([[2.0, 7.0], [1.0, 4.0]]))
    >>> quaxify(jnp.linalg.det)(a)
    Array(8., dtype=float32)

    ```
    """

    array: Any = leaf(core_ndim=2)
    lower: bool = static(converter=bool, default=True)

    def check(self) -> None:
        check_square(self, self.array)

    def aval(self) -> Any:
        return self.matrix_aval(self.array.shape)

    def _unit(self) -> bool:
        return "unit_diagonal" in self.properties

    def materialise(self) -> Any:
        out = jnp.tril(self.array) if self.lower else jnp.triu(self.array)
        if self._unit():
            i = np.arange(self.shape[-1])
            out = out.at[..., i, i].set(1)
        return out

    def matmat(self, x: Any) -> Any:
        return jnp.matmul(self.materialise(), x, precision=lax.Precision.HIGHEST)

    def transpose(self) -> Any:
        return self.rebuild(
            [jnp.swapaxes(self.array, -1, -2)], lower=not self.lower, properties=self.properties
        )

    def diagonal(self) -> Any:
        if self._unit():
            return jnp.ones(self.shape[:-1], self.dtype)
        return jnp.diagonal(self.array, 0, -2, -1)

    def entries(self, i: Any, j: Any) -> Any:
        stored = self.array[..., i, j]
        inside = jnp.asarray(i) >= jnp.asarray(j) if self.lower else jnp.asarray(i) <= j
        found = jnp.where(inside, stored, jnp.zeros((), self.dtype))
        if self._unit():
            found = jnp.where(jnp.asarray(i) == j, jnp.ones((), self.dtype), found)
        return found

    def map_entries(self, function: Callable[..., Any], zero: bool) -> Any:
        if not zero:
            return NotImplemented
        return self.rebuild([function(self.full_array())])

    def full_array(self) -> Any:
        """The stored array with a unit diagonal written out; its other half is anything."""
        return self.materialise() if self._unit() else self.array

    def scale(
        self, s: Any, function: Callable[..., Any] = jnp.multiply, properties: str = "scale"
    ) -> Any:
        written = self.rebuild([self.full_array()])
        return StructuredMatrix.scale(written, s, function, properties)

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        return self.rebuild([function(self.full_array(), d[..., :, None])])

    def solve(self, b: Any) -> Any:
        batch = np.broadcast_shapes(self.batch_shape(), b.shape[:-2])
        return lax.linalg.triangular_solve(
            jnp.broadcast_to(self.array, (*batch, *self.array.shape[-2:])),
            jnp.broadcast_to(b, (*batch, *b.shape[-2:])),
            left_side=True,
            lower=self.lower,
            unit_diagonal=self._unit(),
        )

    def pivots(self) -> Any:
        return self.diagonal()

    def inverse(self) -> Any:
        eye = jnp.eye(self.shape[-1], dtype=self.dtype)
        return self.rebuild([self.solve(eye)])

    def add_dense(self, x: Any) -> Any:
        return x + self.materialise()


def check_square(matrix: Any, array: Any) -> None:
    """**Raises** ValueError unless the last two axes are of one size."""
    if array.shape[-1] != array.shape[-2]:
        raise ValueError(
            f"A `{type(matrix).__name__}` is made of square arrays; got shape {array.shape}."
        )
