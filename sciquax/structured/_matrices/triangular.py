"""Triangular matrices."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.fields import leaf, static
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .bands import BandMatrix
from .diagonal import DiagonalMatrix


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

    arrays_are_entries: ClassVar[bool] = True

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

    def is_triangular(self, lower: bool) -> bool:
        return self.lower == lower

    def times_dense(self, x: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        return self.rebuild([function(self.full_array(), x)])

    def stored(self, beside: Any = 0) -> Any:
        index = np.arange(self.shape[-1])
        own = index[:, None] >= index if self.lower else index[:, None] <= index
        beside = jnp.asarray(beside, self.dtype)
        array = jnp.where(own, self.full_array(), beside[..., None, None])
        return array.reshape(*self.batch_shape(), -1)

    def each_row(self, function: Callable[..., Any]) -> Any:
        return function(self.materialise())


def check_square(matrix: Any, array: Any) -> None:
    """**Raises** ValueError unless the last two axes are of one size."""
    if array.shape[-1] != array.shape[-2]:
        raise ValueError(
            f"A `{type(matrix).__name__}` is made of square arrays; got shape {array.shape}."
        )


@operations.inverse.register(TriangularMatrix)
def _inverse(a: TriangularMatrix) -> TriangularMatrix:
    return a.rebuild([a.solve(jnp.eye(a.shape[-1], dtype=a.dtype))])


@operations.cholesky.register(TriangularMatrix)
def _cholesky(a: TriangularMatrix) -> Any:
    """Of the Hermitian matrix whose lower triangle is that of `a`: a diagonal, of an upper one."""
    if not a.lower:
        main = DiagonalMatrix(a.diagonal(), allow_materialise=a.allow_materialise)
        return operations.cholesky(main)
    factor = jax.lax.linalg.cholesky(a.materialise(), symmetrize_input=False)
    return a.rebuild([factor])


@operations.svdvals.register(TriangularMatrix)
def _svdvals(a: TriangularMatrix) -> Any:
    return jnp.linalg.svdvals(a.materialise())  # it stores n^2 numbers as it is


@operations.expm.register(TriangularMatrix)
def _expm(a: TriangularMatrix, max_squarings: int) -> TriangularMatrix:
    return a.rebuild([jax.scipy.linalg.expm(a.materialise(), max_squarings=max_squarings)])


@operations.sqrtm.register(TriangularMatrix)
def _sqrtm(a: TriangularMatrix) -> Any:
    if a.batch_shape():
        return NotImplemented
    if a.lower:
        return operations.sqrtm(a.transpose()).transpose()
    return a.rebuild([jax.scipy.linalg.sqrtm(a.materialise())])


@operations.with_unit_diagonal.register(TriangularMatrix)
def _with_unit_diagonal(a: TriangularMatrix) -> TriangularMatrix:
    return a.rebuild([a.array], properties=frozenset({"unit_diagonal"}))


@operations.fitted.register(TriangularMatrix, TriangularMatrix)
def _fitted_half(m: TriangularMatrix, example: TriangularMatrix) -> Any:
    return m.rebuild([m.full_array()]) if m.lower == example.lower else NotImplemented


@operations.fitted.register(BandMatrix, TriangularMatrix)
def _fitted_bands(m: BandMatrix, example: TriangularMatrix) -> Any:
    if m.widths()[1 if example.lower else 0] != 0:
        return NotImplemented
    return TriangularMatrix.build_equal(m, [m.materialise()], lower=example.lower)


@operations.matmul.register(TriangularMatrix, StructuredMatrix)
@operations.matmul.register(StructuredMatrix, TriangularMatrix)
def _product(lhs: Any, rhs: Any) -> Any:
    example = lhs if isinstance(lhs, TriangularMatrix) else rhs
    a, b = operations.fitted(lhs, example), operations.fitted(rhs, example)
    if a is NotImplemented or b is NotImplemented:
        return NotImplemented
    return a.rebuild([a.matmat(b.materialise())], allow_materialise=allow_both(lhs, rhs))


@operations.hadamard.register(TriangularMatrix, TriangularMatrix)
def _hadamard(a: TriangularMatrix, b: TriangularMatrix) -> Any:
    if a.lower != b.lower:
        return NotImplemented
    return a.rebuild(
        [a.full_array() * b.full_array()],
        allow_materialise=allow_both(a, b),
        properties=surviving("hadamard", a.known(), b.known()),
    )


@operations.both_orders(operations.hadamard, TriangularMatrix, StructuredMatrix)
def hadamard_half(a: TriangularMatrix, b: Any) -> Any:
    """The product element by element, in the half of `a`."""
    return a.rebuild([a.full_array() * b.materialise()], allow_materialise=allow_both(a, b))


@operations.band_part.register(TriangularMatrix)
def _part(matrix: TriangularMatrix, low: int | None, high: int | None) -> Any:
    n = matrix.shape[-1]
    cut = np.arange(n)[None, :] - np.arange(n)[:, None]
    keep = (cut >= (low if low is not None else -n)) & (cut <= (high if high is not None else n))
    return matrix.rebuild([jnp.where(keep, matrix.full_array(), 0)])
