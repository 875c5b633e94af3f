"""Bands of matrices that are not square: rows of a band matrix, differences of neighbours."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._kernels.bands import Bands
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.fields import leaf, size, static
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .bands import BandMatrix
from .narrowest import from_bands


class RectangularBandedMatrix(StructuredMatrix):
    """A matrix with a few diagonals and any numbers of rows and columns.

    **Arguments**

    - `elements`: those of the diagonals, one diagonal after the other, (..., count): of each what
      `jnp.diagonal` with its offset gives.
    - `rows`, `columns`: the numbers of them.
    - `offsets`: those of the diagonals, ascending.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    What `A[1:]`, `A[:, 2:]` and `jnp.diff(A, axis=0)` of a band matrix are. Sums and products with
    band matrices are such matrices, and band matrices where they are square.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import IdentityMatrix
    >>> D = quaxify(lambda eye: jnp.diff(eye, axis=0))(IdentityMatrix(5))
    >>> D.shape, D.offsets, D @ jnp.array([0.0, 1.0, 4.0, 9.0, 16.0])
    ((4, 5), (0, 1), Array([1., 3., 5., 7.], dtype=float32))
    >>> type(D.T @ D).__name__
    'TridiagonalMatrix'

    ```
    """

    arrays_are_entries: ClassVar[bool] = True

    elements: Any = leaf(core_ndim=1)
    rows: int = static(converter=size)
    columns: int = static(converter=size)
    offsets: tuple[int, ...] = static(converter=lambda x: tuple(map(int, x)))

    def check(self) -> None:
        count = sum(length_of(k, self.rows, self.columns) for k in self.offsets)
        if count != self.elements.shape[-1] or sorted({*self.offsets}) != [*self.offsets]:
            raise ValueError(
                f"A `RectangularBandedMatrix` of {self.rows} rows and {self.columns} columns has "
                f"{count} elements on the diagonals {self.offsets}, which ascend; got shape "
                f"{self.elements.shape}."
            )

    def aval(self) -> Any:
        return self.matrix_aval((*self.elements.shape[:-1], self.rows, self.columns))

    def diagonals(self) -> Bands:
        """The diagonals by offset: what `jnp.diagonal` gives."""
        lengths = [length_of(k, self.rows, self.columns) for k in self.offsets]
        parts = jnp.split(self.elements, np.cumsum(lengths)[:-1], -1)
        return dict(zip(self.offsets, parts, strict=True))

    def like(self, bands: Bands, properties: Iterable[str] = ()) -> Any:
        return rectangular(bands, self.rows, self.columns, self.allow_materialise, properties)

    def _places(self) -> tuple[Any, Any]:
        """The rows and the columns of the elements."""
        first = [max(0, -k) for k in self.offsets]
        lengths = [length_of(k, self.rows, self.columns) for k in self.offsets]
        i = np.concatenate([f + np.arange(n) for f, n in zip(first, lengths, strict=True)])
        return i, i + np.repeat(self.offsets, lengths)

    def matvec(self, x: Any) -> Any:
        return _product(self, x, lambda band: band, -1)

    def matmat(self, x: Any) -> Any:
        return _product(self, x, lambda band: band[..., None], -2)

    def transpose(self) -> Any:
        bands = {-k: x for k, x in self.diagonals().items()}
        return rectangular(bands, self.columns, self.rows, self.allow_materialise, self.properties)

    def materialise(self) -> Any:
        zeros = jnp.zeros(self.shape, self.dtype)
        return zeros.at[(..., *self._places())].set(self.elements)

    def add_dense(self, x: Any) -> Any:
        whole = jnp.broadcast_to(x, np.broadcast_shapes(self.shape, x.shape))
        return whole.at[(..., *self._places())].add(self.elements)

    def times_dense(self, x: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        return self.rebuild([function(self.elements, x[(..., *self._places())])])

    def entries(self, i: Any, j: Any) -> Any:
        i, j = jnp.broadcast_arrays(i, j)
        out = jnp.zeros((*self.batch_shape(), *i.shape), self.dtype)
        for k, band in self.diagonals().items():
            place = jnp.clip(i - max(0, -k), 0, band.shape[-1] - 1)
            out = jnp.where(j - i == k, jnp.take(band, place, axis=-1), out)
        return out

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        return self.rebuild([function(self.elements, jnp.take(d, self._places()[0], axis=-1))])

    def frobenius(self) -> Any:
        return jnp.sum(jnp.abs(self.elements) ** 2, -1)


def length_of(k: int, rows: int, columns: int) -> int:
    """How long the diagonal with an offset is."""
    return max(0, min(rows - max(0, -k), columns - max(0, k)))


def rectangular(
    bands: Bands, rows: int, columns: int, allow: bool, properties: Iterable[str] = ()
) -> Any:
    """The narrowest matrix with these diagonals, a band matrix if it is square."""
    some = next(iter(bands.values()))
    bands = {k: x for k, x in bands.items() if length_of(k, rows, columns)}
    if not bands:
        length = length_of(0, rows, columns)
        bands = {0: jnp.zeros((*some.shape[:-1], length), some.dtype)}
    if rows == columns:
        return from_bands(bands, rows, allow_materialise=allow, properties=properties)
    batch = np.broadcast_shapes(*[x.shape[:-1] for x in bands.values()])
    offsets = tuple(sorted(bands))
    parts = [jnp.broadcast_to(bands[k], (*batch, bands[k].shape[-1])) for k in offsets]
    return RectangularBandedMatrix.build(
        [jnp.concatenate(parts, -1)],
        rows=rows,
        columns=columns,
        offsets=offsets,
        allow_materialise=allow,
        properties=frozenset(properties),
    )


def selection(start: int, rows: int, columns: int, dtype: Any) -> Any:
    """The matrix whose product with a matrix or vector is `x[start : start + rows]`."""
    return rectangular({start: jnp.ones(rows, dtype)}, rows, columns, True)


def _product(a: RectangularBandedMatrix, x: Any, across: Callable, axis: int) -> Any:
    total: Any = None
    for k, band in a.diagonals().items():
        start, length = max(0, k), band.shape[-1]
        part = across(band) * lax.slice_in_dim(x, start, start + length, axis=axis)
        part = _padded(part, max(0, -k), a.rows, axis)
        total = part if total is None else total + part
    return total


def _padded(x: Any, before: int, whole: int, axis: int) -> Any:
    """Zeros around `x` until it is as long as the whole; what is before 0 is cut off."""
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (before, whole - before - x.shape[axis], 0)
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _rows(a: Any) -> Bands:
    """`rows[k][..., i]` is the element (i, i + k), zero outside."""
    return {k: _padded(x, max(0, -k), a.shape[-2], -1) for k, x in a.diagonals().items()}


@operations.matmul.register(RectangularBandedMatrix, RectangularBandedMatrix)
@operations.matmul.register(RectangularBandedMatrix, BandMatrix)
@operations.matmul.register(BandMatrix, RectangularBandedMatrix)
def _times(a: Any, b: Any) -> Any:
    """On the sums of the offsets."""
    rows, columns = a.shape[-2], b.shape[-1]
    out: Bands = {}
    for p, x in _rows(a).items():
        for q, y in _rows(b).items():
            if length := length_of(p + q, rows, columns):
                first = max(0, -p - q)
                along = _padded(y, -p, rows, -1)
                part = (x * along)[..., first : first + length]
                out[p + q] = out[p + q] + part if p + q in out else part
    some = jnp.zeros(np.broadcast_shapes(a.batch_shape(), b.batch_shape()) + (1,), a.dtype)
    return rectangular(out or {rows + columns: some}, rows, columns, allow_both(a, b))


@operations.add.register(RectangularBandedMatrix, RectangularBandedMatrix)
def _sum(a: Any, b: Any, subtract: bool = False) -> Any:
    if a.shape[-2:] != b.shape[-2:]:
        return NotImplemented
    out, more = a.diagonals(), b.diagonals()
    for k, x in more.items():
        x = -x if subtract else x
        out[k] = out[k] + x if k in out else x
    properties = surviving("sub" if subtract else "add", a.known(), b.known())
    return rectangular(out, a.rows, a.columns, allow_both(a, b), properties)


@operations.hadamard.register(RectangularBandedMatrix, RectangularBandedMatrix)
def _hadamard(a: Any, b: Any) -> Any:
    if a.shape[-2:] != b.shape[-2:]:
        return NotImplemented
    mine, theirs = a.diagonals(), b.diagonals()
    both = {k: x * theirs[k] for k, x in mine.items() if k in theirs}
    none = {0: jnp.zeros((*a.batch_shape(), length_of(0, a.rows, a.columns)), a.dtype)}
    return rectangular(both or none, a.rows, a.columns, allow_both(a, b))


@operations.both_orders(operations.hadamard, RectangularBandedMatrix, StructuredMatrix)
def _hadamard_entries(a: Any, b: Any) -> Any:
    if a.shape[-2:] != b.shape[-2:]:
        return NotImplemented
    theirs = b.entries(*a._places())
    if theirs is NotImplemented:
        return NotImplemented
    return a.rebuild([a.elements * theirs], allow_materialise=allow_both(a, b))


@operations.fitted.register(RectangularBandedMatrix, RectangularBandedMatrix)
def _fitted(a: Any, example: Any) -> Any:
    """With all the diagonals of the example."""
    if a.shape[-2:] != example.shape[-2:] or not {*a.offsets} <= {*example.offsets}:
        return NotImplemented
    own = a.diagonals()
    none = {
        k: jnp.zeros((*a.batch_shape(), length_of(k, a.rows, a.columns)), a.dtype)
        for k in example.offsets
    }
    return a.like(none | own, a.known())


@operations.band_part.register(RectangularBandedMatrix)
def _part(a: Any, low: int | None, high: int | None) -> Any:
    kept = {
        k: x
        for k, x in a.diagonals().items()
        if (low is None or k >= low) and (high is None or k <= high)
    }
    some = a.elements[..., :1]
    return a.like(kept or {a.rows + a.columns: some})


@operations.submatrix.register(BandMatrix)
@operations.submatrix.register(RectangularBandedMatrix)
def _submatrix(a: Any, starts: Sequence[int], sizes: Sequence[int]) -> Any:
    """The diagonals moved; a small part beside the main diagonal comes as an array."""
    rows, columns = sizes
    bands = a.diagonals()
    stored = sum(x.shape[-1] for x in bands.values())
    central = starts[0] == starts[1] and rows == columns
    if not central and rows * columns <= max(stored, 2 * a.shape[-1]):
        return NotImplemented
    out: Bands = {}
    for k, band in bands.items():
        moved = k + starts[0] - starts[1]
        if length := length_of(moved, rows, columns):
            first = max(0, -moved) + starts[0] - max(0, -k)
            out[moved] = band[..., first : first + length]
    none = {rows + columns: jnp.zeros((*a.batch_shape(), 1), a.dtype)}
    return rectangular(out or none, rows, columns, a.allow_materialise)
