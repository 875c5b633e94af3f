"""Block-diagonal matrices."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .identity import DIAGONAL
from .permutation import PermutationMatrix
from .triangular import TriangularMatrix, check_square


class BlockDiagonalMatrix(StructuredMatrix):
    """A matrix of square blocks along the diagonal.

    **Arguments**

    - `blocks`: (..., k, m, m); the matrix has k * m rows.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    Everything is done block by block, batched.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import BlockDiagonalMatrix
    >>> a = BlockDiagonalMatrix(jnp.array([[[1.0, 2.0], [3.0, 4.0]], [[2.0, 0.0], [0.0, 2.0]]]))
    >>> quaxify(jnp.linalg.det)(a).round(4)
    Array(-8., dtype=float32)

    ```
    """

    arrays_are_entries: ClassVar[bool] = True

    blocks: Any = leaf(core_ndim=3)

    def check(self) -> None:
        check_square(self, self.blocks)

    def aval(self) -> Any:
        *batch, k, m, _ = self.blocks.shape
        return self.matrix_aval((*batch, k * m, k * m))

    def sizes(self) -> tuple[int, int]:
        """The number of blocks, and their size."""
        return self.blocks.shape[-3], self.blocks.shape[-1]

    def materialise(self) -> Any:
        k, m = self.sizes()
        full = self.blocks[..., :, :, None, :] * jnp.eye(k, dtype=self.dtype)[:, None, :, None]
        return full.reshape(*self.batch_shape(), k * m, k * m)

    def matmat(self, x: Any) -> Any:
        out = jnp.matmul(self.blocks, self._split(x), precision=lax.Precision.HIGHEST)
        return self._merge(out)

    def _split(self, x: Any) -> Any:
        k, m = self.sizes()
        return x.reshape(*x.shape[:-2], k, m, x.shape[-1])

    def _merge(self, x: Any) -> Any:
        *batch, k, m, columns = x.shape
        return x.reshape(*batch, k * m, columns)

    def transpose(self) -> Any:
        return self.rebuild([jnp.swapaxes(self.blocks, -1, -2)], properties=self.properties)

    def diagonal(self) -> Any:
        return self.joined(jnp.diagonal(self.blocks, 0, -2, -1))

    def joined(self, x: Any) -> Any:
        """One vector of each block's: (..., k, m) as (..., k * m)."""
        return x.reshape(*x.shape[:-2], -1)

    def entries(self, i: Any, j: Any) -> Any:
        _, m = self.sizes()
        i, j = jnp.asarray(i), jnp.asarray(j)
        found = self.blocks[..., i // m, i % m, j % m]
        return jnp.where(i // m == j // m, found, jnp.zeros((), self.dtype))

    def each(self, function: Callable[..., Any], properties: Iterable[str] = ()) -> Any:
        """A matrix of `function` of each block."""
        return self.rebuild([function(self.blocks)], properties=frozenset(properties))

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        k, m = self.sizes()
        return self.rebuild([function(self.blocks, d.reshape(*d.shape[:-1], k, m, 1))])

    def solve(self, b: Any) -> Any:
        split = self._split(b)
        batch = jnp.broadcast_shapes(self.batch_shape(), split.shape[:-3])
        blocks = jnp.broadcast_to(self.blocks, (*batch, *self.blocks.shape[-3:]))
        split = jnp.broadcast_to(split, (*batch, *split.shape[-3:]))
        return self._merge(jnp.linalg.solve(blocks, split))

    def slogdet(self) -> Any:
        sign, log = jnp.linalg.slogdet(self.blocks)
        return jnp.prod(sign, -1), jnp.sum(log, -1)

    def det(self) -> Any:
        return jnp.prod(jnp.linalg.det(self.blocks), -1)

    def inverse(self) -> Any:
        return self.each(jnp.linalg.inv, surviving("inverse", self.known()))

    def cholesky(self) -> Any:
        return self.each(lambda x: lax.linalg.cholesky(x, symmetrize_input=False))

    def eigenvalues(self) -> Any:
        return jnp.sort(self.joined(jnp.linalg.eigvalsh(self.blocks)), -1)

    def singular_values(self) -> Any:
        values = jnp.linalg.svd(self.blocks, compute_uv=False)
        return jnp.sort(self.joined(values), -1)[..., ::-1]


def _fitted_diagonal(m: Any, example: BlockDiagonalMatrix) -> Any:
    k, size = example.sizes()
    d = m.diagonal()
    blocks = d.reshape(*d.shape[:-1], k, size, 1) * jnp.eye(size, dtype=d.dtype)
    return BlockDiagonalMatrix.build_equal(m, [blocks])


for _cls in DIAGONAL:
    operations.fitted.register(_cls, BlockDiagonalMatrix)(_fitted_diagonal)


@operations.matmul.register(BlockDiagonalMatrix, BlockDiagonalMatrix)
def _product(a: BlockDiagonalMatrix, b: BlockDiagonalMatrix) -> Any:
    if a.sizes() != b.sizes():
        return NotImplemented
    return a.rebuild(
        [jnp.matmul(a.blocks, b.blocks, precision=lax.Precision.HIGHEST)],
        allow_materialise=allow_both(a, b),
        properties=surviving("matmul", a.known(), b.known()),
    )


@operations.hadamard.register(BlockDiagonalMatrix, BlockDiagonalMatrix)
def _hadamard(a: BlockDiagonalMatrix, b: BlockDiagonalMatrix) -> Any:
    if a.sizes() != b.sizes():
        return NotImplemented
    return a.rebuild(
        [a.blocks * b.blocks],
        allow_materialise=allow_both(a, b),
        properties=surviving("hadamard", a.known(), b.known()),
    )


@operations.both_orders(operations.hadamard, BlockDiagonalMatrix, PermutationMatrix)
@operations.both_orders(operations.hadamard, BlockDiagonalMatrix, StructuredMatrix)
@operations.hadamard.register(BlockDiagonalMatrix, TriangularMatrix)
def _hadamard_blocks(a: BlockDiagonalMatrix, b: Any) -> Any:
    k, m = a.sizes()
    start, inner = m * np.arange(k)[:, None, None], np.arange(m)
    found = b.entries(start + inner[:, None] + 0 * inner, start + inner + 0 * inner[:, None])
    if found is NotImplemented:
        return NotImplemented
    return a.rebuild([a.blocks * found], allow_materialise=allow_both(a, b))


@operations.band_part.register(BlockDiagonalMatrix)
def _part(matrix: BlockDiagonalMatrix, low: int | None, high: int | None) -> Any:
    if low is not None and high is not None:
        return NotImplemented
    return matrix.each(lambda x: jnp.triu(x, low) if low is not None else jnp.tril(x, high or 0))
