"""Block-tridiagonal matrices, and their Cholesky factors."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from .._kernels import block_elimination
from .._matrix import operations
from .._matrix.fields import leaf, static
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .bands import BandMatrix
from .block_diagonal import BlockDiagonalMatrix
from .narrowest import from_bands


class _BlockBands(StructuredMatrix):
    """The base of matrices that store square blocks on some diagonals of blocks."""

    arrays_are_entries: ClassVar[bool] = True

    def blocks(self) -> dict[int, Any]:
        """The blocks by offset, each (..., k - abs(offset), m, m)."""
        raise NotImplementedError

    def sizes(self) -> tuple[int, int]:
        """The number of rows of blocks, and the size of a block."""
        *_, k, m, _ = self.blocks()[0].shape
        return k, m

    def aval(self) -> Any:
        *batch, k, m, _ = self.blocks()[0].shape
        return self.matrix_aval((*batch, k * m, k * m))

    def check(self) -> None:
        (k, m), name = self.sizes(), type(self).__name__
        for x, step in zip(self.blocks().values(), self.blocks(), strict=True):
            count = max(k - abs(step), 0)
            if x.shape[-3:] != (count, m, m):
                raise ValueError(
                    f"A `{name}` of {k} rows of blocks of size {m} has blocks of shape "
                    f"{(count, m, m)} at offset {step}; got {x.shape[-3:]}."
                )

    def matmat(self, x: Any) -> Any:
        k, m = self.sizes()
        if self.size == 0 or k == 0:
            return jnp.zeros(
                (*np.broadcast_shapes(self.batch_shape(), x.shape[:-2]), *x.shape[-2:])
            )
        out = None
        rows, x = self._blocks_first(x)
        for step, y in rows.items():
            first, last = max(0, -step), k - max(0, step)
            part = block_elimination.mm(y, x[first + step : last + step])
            if out is None:
                out = jnp.zeros((k, *part.shape[1:]), part.dtype)
            out = out.at[first:last].add(part)
        return _restored(out)

    def _blocks_first(self, x: Any) -> tuple[dict[int, Any], Any]:
        """Blocks, and columns x (..., n, c) as (k, ..., m, c), with one set of batch axes."""
        batch = np.broadcast_shapes(self.batch_shape(), x.shape[:-2])
        x = jnp.broadcast_to(x, (*batch, *x.shape[-2:]))
        x = x.reshape(*batch, *self.sizes(), x.shape[-1])
        rows = {
            step: jnp.moveaxis(jnp.broadcast_to(y, (*batch, *y.shape[-3:])), -3, 0)
            for step, y in self.blocks().items()
        }
        return rows, jnp.moveaxis(x, -3, 0)

    def diagonal(self) -> Any:
        d = jnp.diagonal(self.blocks()[0], 0, -2, -1)
        return d.reshape(*d.shape[:-2], -1)

    def entries(self, i: Any, j: Any) -> Any:
        k, m = self.sizes()
        i, j = jnp.broadcast_arrays(i, j)
        row, column = i // m, j // m
        out = jnp.zeros((*self.batch_shape(), *i.shape), self.dtype)
        for step, x in self.blocks().items():
            if abs(step) < k:
                place = jnp.clip(row - max(0, -step), 0, k - abs(step) - 1)
                found = x[..., place, i % m, j % m]
                out = jnp.where(column - row == step, found, out)
        return out

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        k, m = self.sizes()
        d = d.reshape(*d.shape[:-1], k, m, 1)
        cut = lambda step: d[..., max(0, -step) : k - max(0, step), :, :]  # noqa: E731
        return self.rebuild([function(x, cut(step)) for step, x in self.blocks().items()])

    def times_dense(self, x: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        k, m = self.sizes()
        x = jnp.moveaxis(x.reshape(*x.shape[:-2], k, m, k, m), -2, -3)
        each = [
            function(own, jnp.moveaxis(jnp.diagonal(x, step, -4, -3), -1, -3))
            for step, own in self.blocks().items()
        ]
        return self.rebuild(each)

    def masked(self, low: int | None, high: int | None) -> list[Any]:
        """The arrays, with zeros for what is not on the diagonals from `low` to `high`."""
        m = self.sizes()[1]
        offset = np.arange(m)[None, :] - np.arange(m)[:, None]
        arrays = []
        for step, x in self.blocks().items():
            place = offset + step * m
            keep = np.ones(place.shape, bool)
            keep &= place >= low if low is not None else True
            keep &= place <= high if high is not None else True
            arrays.append(jnp.where(keep, x, jnp.zeros((), x.dtype)))
        return arrays

    def as_bands(self) -> Any:
        """The same matrix by its diagonals."""
        m, n = self.sizes()[1], self.shape[-1]
        bands = {}
        for offset in range(1 - 2 * m, 2 * m):
            if abs(offset) < n:
                i = np.arange(n - abs(offset))
                bands[offset] = self.entries(i + max(0, -offset), i + max(0, offset))
        return from_bands(
            bands, n, allow_materialise=self.allow_materialise, properties=self.known()
        )


class BlockTridiagonalMatrix(_BlockBands):
    """A matrix of square blocks on the diagonal and next to it.

    **Arguments**

    - `lower`: the blocks below the diagonal, (..., k - 1, m, m).
    - `main`: those on it, (..., k, m, m); the matrix has k * m rows.
    - `upper`: those above it, (..., k - 1, m, m).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].
      `positive_definite` or `diagonally_dominant` lets systems be solved without exchanging rows
      of different blocks.

    Products cost O(k m^2), systems, determinants and Cholesky factors O(k m^3). Kalman smoothers
    and Gaussian Markov processes have such precision matrices; line by line, so has a Laplacian.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import BlockTridiagonalMatrix
    >>> main = jnp.broadcast_to(jnp.array([[4.0, 1.0], [1.0, 3.0]]), (3, 2, 2))
    >>> off = jnp.broadcast_to(jnp.array([[1.0, 0.0], [0.5, 1.0]]), (2, 2, 2))
    >>> a = BlockTridiagonalMatrix(off, main, jnp.swapaxes(off, 1, 2))
    >>> x = quaxify(jnp.linalg.solve)(a, jnp.arange(6.0))
    >>> bool(jnp.allclose(a @ x, jnp.arange(6.0), atol=1e-5))
    True

    ```
    """

    lower: Any = leaf(core_ndim=3)
    main: Any = leaf(core_ndim=3)
    upper: Any = leaf(core_ndim=3)

    def blocks(self) -> dict[int, Any]:
        return {-1: self.lower, 0: self.main, 1: self.upper}

    def transpose(self) -> Any:
        turned = [jnp.swapaxes(x, -1, -2) for x in (self.upper, self.main, self.lower)]
        return self.rebuild(turned, properties=self.properties)

    def no_pivoting(self) -> bool:
        return bool(self.known() & {"diagonally_dominant", "positive_definite"})

    def solve(self, b: Any) -> Any:
        """Block Thomas where it is stable by what is claimed, else with partial pivoting."""
        rows, sides = self._blocks_first(b)
        way = block_elimination.thomas if self.no_pivoting() else block_elimination.pivoted
        return _restored(way(rows[-1], rows[0], rows[1], sides))

    def pivots(self) -> Any:
        """U's diagonal, the permutation's sign included."""
        rows, sides = self._blocks_first(jnp.zeros((self.shape[-1], 0), self.dtype))
        u, _, sign = block_elimination.eliminate(rows[-1], rows[0], rows[1], sides)
        d = jnp.moveaxis(jnp.diagonal(u, 0, -2, -1), 0, -2)
        d = d.reshape(*d.shape[:-2], -1)
        return d.at[..., 0].multiply(sign.astype(d.dtype))


class BlockBidiagonalMatrix(_BlockBands):
    """A triangular matrix of square blocks on the diagonal and on one side of it.

    **Arguments**

    - `main`: the blocks on the diagonal, (..., k, m, m); one triangle of each is read.
    - `off`: those below it, or above it, (..., k - 1, m, m).
    - `lower`: on which side.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    The Cholesky factor of a [`sciquax.structured.BlockTridiagonalMatrix`][]; systems cost O(k m^2).
    """

    main: Any = leaf(core_ndim=3)
    off: Any = leaf(core_ndim=3)
    lower: bool = static(converter=bool, default=True)

    def normalise(self) -> None:
        super().normalise()
        half = jnp.tril if self.lower else jnp.triu
        object.__setattr__(self, "main", half(self.main))

    def blocks(self) -> dict[int, Any]:
        return {0: self.main, -1 if self.lower else 1: self.off}

    def transpose(self) -> Any:
        turned = [jnp.swapaxes(x, -1, -2) for x in self.arrays()]
        return self.rebuild(turned, lower=not self.lower, properties=self.properties)

    def is_triangular(self, lower: bool) -> bool:
        return self.lower == lower

    def solve(self, b: Any) -> Any:
        rows, sides = self._blocks_first(b)
        main, off = rows.values()
        return _restored(block_elimination.substitute(main, off, sides, self.lower))

    def pivots(self) -> Any:
        return self.diagonal()

    def stored(self, beside: Any = 0) -> Any:
        """The triangles of the blocks on the diagonal are not zeros of the matrix twice."""
        m = self.sizes()[1]
        i, j = (np.tril_indices if self.lower else np.triu_indices)(m)
        rows = [self.main[..., i, j], self.off]
        return jnp.concatenate([x.reshape(*self.batch_shape(), -1) for x in rows], -1)

    def map_entries(self, function: Callable[..., Any], zero: bool) -> Any:
        return super().map_entries(function, zero) if zero else NotImplemented


def _restored(x: Any) -> Any:
    """(k, ..., m, c) as (..., n, c)."""
    x = jnp.moveaxis(x, 0, -3)
    *lead, k, m, c = x.shape
    return x.reshape(*lead, k * m, c)


@operations.cholesky.register(BlockTridiagonalMatrix)
def _cholesky(a: BlockTridiagonalMatrix) -> BlockBidiagonalMatrix:
    lower, main = (jnp.moveaxis(x, -3, 0) for x in (a.lower, a.main))
    arrays = [jnp.moveaxis(x, 0, -3) for x in block_elimination.cholesky(lower, main)]
    failed = jnp.isnan(jnp.sum(jnp.diagonal(arrays[0], 0, -2, -1), (-2, -1)))[..., None, None, None]
    arrays = [jnp.where(failed, jnp.nan, x) for x in arrays]
    return BlockBidiagonalMatrix.build(arrays, lower=True, allow_materialise=a.allow_materialise)


@operations.symmetrised.register(BlockTridiagonalMatrix)
def _symmetrised(a: BlockTridiagonalMatrix) -> BlockTridiagonalMatrix:
    turned = a.adjoint()
    each = [(x + y) / 2 for x, y in zip(a.arrays(), turned.arrays(), strict=True)]
    return a.rebuild(each, properties=surviving("add", a.properties) | {"hermitian"})


def _by_bands(operation: Any) -> None:
    operation.register(_BlockBands)(lambda a, *more: operation(a.as_bands(), *more))


for _operation in (
    operations.eigvalsh,
    operations.eigh,
    operations.svdvals,
    operations.qr,
    operations.lu,
):
    _by_bands(_operation)


@operations.band_part.register(BlockTridiagonalMatrix)
def _part(a: BlockTridiagonalMatrix, low: int | None, high: int | None) -> Any:
    lower, main, upper = a.masked(low, high)
    if low is None and high is not None and high <= 0:
        return _triangle(a, main, lower, True)
    if high is None and low is not None and low >= 0:
        return _triangle(a, main, upper, False)
    return a.rebuild([lower, main, upper])


@operations.band_part.register(BlockBidiagonalMatrix)
def _part_of_triangle(a: BlockBidiagonalMatrix, low: int | None, high: int | None) -> Any:
    return a.rebuild(a.masked(low, high))


def _triangle(a: Any, main: Any, off: Any, lower: bool) -> BlockBidiagonalMatrix:
    return BlockBidiagonalMatrix.build(
        [main, off], lower=lower, allow_materialise=a.allow_materialise
    )


@operations.fitted.register(BandMatrix, BlockTridiagonalMatrix)
def _fitted_bands(a: BandMatrix, example: BlockTridiagonalMatrix) -> Any:
    """Whose diagonals are within the blocks."""
    k, m = example.sizes()
    if max(a.widths()) > m:
        return NotImplemented
    inner = np.arange(m)
    arrays = []
    for step in (-1, 0, 1):
        start = m * np.arange(max(0, -step), max(k - max(0, step), max(0, -step)))[:, None, None]
        shape = (len(start), m, m)
        i = np.broadcast_to(start + inner[:, None], shape)
        j = np.broadcast_to(start + step * m + inner, shape)
        arrays.append(a.entries(i, j))
    return BlockTridiagonalMatrix.build_equal(a, arrays)


@operations.fitted.register(BlockDiagonalMatrix, BlockTridiagonalMatrix)
def _fitted_blocks(a: BlockDiagonalMatrix, example: BlockTridiagonalMatrix) -> Any:
    if a.sizes() != example.sizes():
        return NotImplemented
    none = jnp.zeros_like(a.blocks[..., 1:, :, :])
    return BlockTridiagonalMatrix.build_equal(a, [none, a.blocks, none])


@operations.fitted.register(BlockBidiagonalMatrix, BlockTridiagonalMatrix)
def _fitted_triangle(a: BlockBidiagonalMatrix, example: BlockTridiagonalMatrix) -> Any:
    if a.sizes() != example.sizes():
        return NotImplemented
    blocks = a.blocks()
    arrays = [blocks.get(step, jnp.zeros_like(a.off)) for step in (-1, 0, 1)]
    return BlockTridiagonalMatrix.build_equal(a, arrays)


@operations.add.register(BlockBidiagonalMatrix, BlockBidiagonalMatrix)
def _sum_of_triangles(a: Any, b: Any, subtract: bool = False) -> Any:
    """Of a lower and an upper one."""
    if a.lower == b.lower or a.sizes() != b.sizes():
        return NotImplemented
    whole = _fitted_triangle(a, a)
    return operations.add(whole, b, subtract)
