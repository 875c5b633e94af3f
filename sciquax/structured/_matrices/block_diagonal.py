"""Block-diagonal matrices."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._kernels import spectra
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .diagonal import AnyDiagonal, none_or_all
from .permutation import UNITARY, PermutationMatrix, ascending, descending
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

    def times_dense(self, x: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        k, m = self.sizes()
        x = x.reshape(*x.shape[:-2], k, m, k, m)
        blocks = jnp.moveaxis(jnp.diagonal(x, 0, -4, -2), -1, -3)
        return self.rebuild([function(self.blocks, blocks)])


@operations.inverse.register(BlockDiagonalMatrix)
def _inverse(a: BlockDiagonalMatrix) -> Any:
    return a.each(jnp.linalg.inv, surviving("inverse", a.known()))


@operations.pinv.register(BlockDiagonalMatrix)
def _pinv(a: BlockDiagonalMatrix, rtol: Any) -> Any:
    u, s, vh = jnp.linalg.svd(a.blocks, full_matrices=False)
    inverse = spectra.pseudo_reciprocal(a.joined(s), rtol, a.shape[-1]).reshape(s.shape)
    left = jnp.conj(jnp.swapaxes(vh, -1, -2)) * inverse[..., None, :]
    return a.rebuild([jnp.matmul(left, jnp.conj(jnp.swapaxes(u, -1, -2)), precision="highest")])


@operations.cholesky.register(BlockDiagonalMatrix)
def _cholesky(a: BlockDiagonalMatrix) -> Any:
    return a.each(
        lambda x: none_or_all(lax.linalg.cholesky(x, symmetrize_input=False), (-3, -2, -1))
    )


@operations.eigvalsh.register(BlockDiagonalMatrix)
def _eigvalsh(a: BlockDiagonalMatrix) -> Any:
    return jnp.sort(a.joined(jnp.linalg.eigvalsh(a.blocks)), -1)


@operations.eigh.register(BlockDiagonalMatrix)
def _eigh(a: BlockDiagonalMatrix) -> tuple[Any, Any]:
    values, vectors = jnp.linalg.eigh(a.blocks)
    return ascending(a.joined(values), a.rebuild([vectors], properties=UNITARY))


@operations.eigvals.register(BlockDiagonalMatrix)
def _eigvals(a: BlockDiagonalMatrix) -> Any:
    return a.joined(jnp.linalg.eigvals(a.blocks))


@operations.eig.register(BlockDiagonalMatrix)
def _eig(a: BlockDiagonalMatrix) -> tuple[Any, Any]:
    values, vectors = jnp.linalg.eig(a.blocks)
    return a.joined(values), a.rebuild([vectors])


@operations.svdvals.register(BlockDiagonalMatrix)
def _svdvals(a: BlockDiagonalMatrix) -> Any:
    values = jnp.linalg.svd(a.blocks, compute_uv=False)
    return jnp.sort(a.joined(values), -1)[..., ::-1]


@operations.svd.register(BlockDiagonalMatrix)
def _svd(a: BlockDiagonalMatrix) -> tuple[Any, Any, Any]:
    u, s, vh = jnp.linalg.svd(a.blocks)
    left, right = (a.rebuild([x], properties=UNITARY) for x in (u, vh))
    return descending(left, a.joined(s), right)


@operations.qr.register(BlockDiagonalMatrix)
def _qr(a: BlockDiagonalMatrix) -> tuple[Any, Any]:
    q, r = jnp.linalg.qr(a.blocks)
    return a.rebuild([q], properties=UNITARY), a.rebuild([r])


@operations.lu.register(BlockDiagonalMatrix)
def _lu(a: BlockDiagonalMatrix) -> Any:
    flat = a.blocks.reshape(-1, *a.blocks.shape[-2:])
    parts = jax.vmap(jax.scipy.linalg.lu)(flat)
    return [a.rebuild([x.reshape(a.blocks.shape)]) for x in parts]


@operations.expm.register(BlockDiagonalMatrix)
def _expm(a: BlockDiagonalMatrix, max_squarings: int) -> Any:
    return a.each(lambda x: jax.scipy.linalg.expm(x, max_squarings=max_squarings))


@operations.sqrtm.register(BlockDiagonalMatrix)
def _sqrtm(a: BlockDiagonalMatrix) -> Any:
    return a.each(lambda x: _each_block(jax.scipy.linalg.sqrtm, x))


@operations.funm.register(BlockDiagonalMatrix)
def _funm(a: BlockDiagonalMatrix, function: Callable[..., Any]) -> Any:
    return a.each(lambda x: _each_block(lambda y: jax.scipy.linalg.funm(y, function), x))


def _each_block(function: Callable[..., Any], blocks: Any) -> Any:
    made = jax.vmap(function)(blocks.reshape(-1, *blocks.shape[-2:]))
    return made.reshape(blocks.shape)


@operations.fitted.register(AnyDiagonal, BlockDiagonalMatrix)
def _fitted_diagonal(m: Any, example: BlockDiagonalMatrix) -> Any:
    k, size = example.sizes()
    d = m.diagonal()
    blocks = d.reshape(*d.shape[:-1], k, size, 1) * jnp.eye(size, dtype=d.dtype)
    return BlockDiagonalMatrix.build_equal(m, [blocks])


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
