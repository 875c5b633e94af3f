"""Matrices that store diagonals: what diagonal to banded ones have in common.

Each says what its `diagonals()` are, as arrays by offset: what `jnp.diagonal` with that offset
gives. Everything else is written once here, and `from_bands` returns the narrowest
type for a set of offsets. So sums, products and elementwise functions of such matrices are closed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from .._kernels import elimination, spectra
from .._kernels.bands import Bands, _along, _product, pad
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .narrowest import from_bands


class BandMatrix(StructuredMatrix):
    """The base of matrices that store diagonals.

    A subclass says what its `diagonals()` are, and has products, systems, determinants, Cholesky
    factors and all that the other bands have. Results come in the narrowest type: a subclass enters
    in `narrowest`, for the pair of its lowest and highest offset, a function that gives its class,
    its arrays and its static fields, if they are to come in it.

    ```python
    >>> from typing import Any
    >>> import jax.numpy as jnp
    >>> from sciquax.structured import BandMatrix, leaf
    >>> class UnitLower(BandMatrix):
    ...     below: Any = leaf(core_ndim=1)
    ...
    ...     def aval(self):
    ...         *batch, n = self.below.shape
    ...         return self.matrix_aval((*batch, n + 1, n + 1))
    ...
    ...     def diagonals(self):
    ...         ones = jnp.ones((*self.below.shape[:-1], self.shape[-1]), self.dtype)
    ...         return {0: ones, -1: self.below}
    >>> a = UnitLower([2.0, 3.0])
    >>> a @ jnp.ones(3)
    Array([1., 3., 4.], dtype=float32)
    >>> a + a.T
    TridiagonalMatrix(lower_diag=[2., 3.], main_diag=[2., 2., 2.], upper_diag=[2., 3.])

    ```
    """

    arrays_are_entries: ClassVar[bool] = True

    def diagonals(self) -> Bands:
        """The stored diagonals by offset, each (..., n - abs(offset)): what `jnp.diagonal` gives.

        One array for the offsets k and -k says that the matrix is symmetric.
        """
        raise NotImplementedError

    def like(self, bands: Bands, properties: Iterable[str] = (), **static: Any) -> Any:
        """The narrowest matrix with these bands and this one's shape."""
        return from_bands(
            bands,
            self.shape[-1],
            allow_materialise=static.get("allow_materialise", self.allow_materialise),
            properties=properties,
        )

    def widths(self) -> tuple[int, int]:
        """The numbers of subdiagonals and of superdiagonals."""
        offsets = self.diagonals()
        return max(0, -min(offsets)), max(0, max(offsets))

    def is_triangular(self, lower: bool) -> bool:
        return self.widths()[1 if lower else 0] == 0

    def stored(self, beside: Any = 0) -> Any:
        return jnp.concatenate(list(self.diagonals().values()), -1)

    def matmat(self, x: Any) -> Any:
        return _product({k: band[..., None] for k, band in self.diagonals().items()}, x, -2)

    def matvec(self, x: Any) -> Any:
        return _product(self.diagonals(), x, -1)

    def materialise(self) -> Any:
        n = self.shape[-1]
        out = jnp.zeros((*self.batch_shape(), n, n), self.dtype)
        for k, band in self.diagonals().items():
            i = np.arange(n - abs(k))
            out = out.at[..., i + max(0, -k), i + max(0, k)].set(band)
        return out

    def transpose(self) -> Any:
        return self.like({-k: x for k, x in self.diagonals().items()}, self.properties)

    def diagonal(self) -> Any:
        bands = self.diagonals()
        return bands[0] if 0 in bands else jnp.zeros(self.shape[:-1], self.dtype)

    def entries(self, i: Any, j: Any) -> Any:
        n = self.shape[-1]
        shape = np.broadcast_shapes(jnp.shape(i), jnp.shape(j))
        out = jnp.zeros((*self.batch_shape(), *shape), self.dtype)
        for k, band in self.diagonals().items():
            if abs(k) >= n:  # a diagonal without elements
                continue
            place = jnp.clip(i if k >= 0 else j, 0, n - abs(k) - 1)
            found = jnp.take(band, jnp.broadcast_to(place, shape), axis=-1)
            out = jnp.where(jnp.asarray(j) - jnp.asarray(i) == k, found, out)
        return out

    def map_entries(self, function: Callable[..., Any], zero: bool) -> Any:
        if not zero:
            return NotImplemented
        return self.map_bands([self], lambda x: function(x))

    def map_together(
        self, matrices: Sequence[Any], function: Callable[..., Any], zero: bool
    ) -> Any:
        return self.map_bands(matrices, function) if zero else NotImplemented

    def map_bands(self, matrices: Any, function: Callable[..., Any]) -> Any:
        """`function` of the elements of several matrices that store diagonals, zeros filled in.

        What gave one array on both sides of the diagonal is computed once, so that a symmetric
        matrix stays one.
        """
        each = [m.diagonals() for m in matrices]
        offsets = sorted({k for bands in each for k in bands})
        done: dict[Any, Any] = {}
        out: Bands = {}
        for k in offsets:
            operands = [bands.get(k) for bands in each]
            key = (abs(k), *map(id, operands))
            if key not in done:
                shape = next(x.shape for x in operands if x is not None)
                filled = [
                    jnp.zeros(shape, m.dtype) if x is None else x
                    for x, m in zip(operands, matrices, strict=True)
                ]
                done[key] = function(*filled)
            out[k] = done[key]
        return self.like(
            out,
            surviving("elementwise", *[m.known() for m in matrices]),
            allow_materialise=all(m.allow_materialise for m in matrices),
        )

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        n = self.shape[-1]
        return self.like(
            {
                k: function(x, d[..., : n - k] if k >= 0 else d[..., -k:])
                for k, x in self.diagonals().items()
            }
        )

    def scale_columns(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        n = self.shape[-1]
        return self.like(
            {
                k: function(x, d[..., k:] if k >= 0 else d[..., : n + k])
                for k, x in self.diagonals().items()
            }
        )

    def times(self, other: "BandMatrix") -> Any:
        """`self @ other`, whose widths are the sums."""
        n = self.shape[-1]
        mine, theirs = rows_of(self), rows_of(other)
        out: Bands = {}
        for p, x in mine.items():
            for q, y in theirs.items():
                if abs(p + q) < n:
                    part = x * _along(y, p)
                    out[p + q] = out[p + q] + part if p + q in out else part
        bands = {k: x[..., : n - k] if k >= 0 else x[..., -k:] for k, x in out.items()}
        both = surviving("matmul", self.known(), other.known())
        return self.like(
            bands, both, allow_materialise=self.allow_materialise and other.allow_materialise
        )

    def masked(self, low: int | None, high: int | None) -> Any:
        """The part on the diagonals from `low` to `high`."""
        kept = {
            k: x
            for k, x in self.diagonals().items()
            if (low is None or k >= low) and (high is None or k <= high)
        }
        return self.like(kept or {0: jnp.zeros(self.shape[:-1], self.dtype)})

    # -- solving ----------------------------------------------------------------------------------

    def no_pivoting(self) -> bool:
        return bool(self.known() & {"diagonally_dominant", "positive_definite"})

    def solve(self, b: Any) -> Any:
        """Gaussian elimination within the bands, O(n w^2): see `_kernels/elimination.py`."""
        lower, upper = self.widths()
        if max(lower, upper) >= self.shape[-1]:  # diagonals without elements
            return self.like(self.diagonals(), self.properties).solve(b)
        rows, sides, restore = _time_first(self, b)
        return restore(elimination.solve(rows, sides, lower, upper, not self.no_pivoting()))

    def pivots(self) -> Any:
        """U's diagonal by elimination with partial pivoting, the permutation's sign included."""
        lower, upper = self.widths()
        if lower == 0 or upper == 0:
            return self.diagonal()
        rows, _, _ = _time_first(self, None)
        u, _, sign = elimination.eliminate(rows, [], lower, upper, not self.no_pivoting())
        pivots = jnp.moveaxis(u[0], 0, -1)
        return pivots.at[..., 0].multiply(sign.astype(pivots.dtype))

    def times_dense(self, x: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        bands = self.diagonals().items()
        return self.like({k: function(y, jnp.diagonal(x, k, -2, -1)) for k, y in bands})

    def add_dense(self, x: Any) -> Any:
        n = self.shape[-1]
        shape = np.broadcast_shapes(self.shape, x.shape)
        out = jnp.broadcast_to(x, shape)
        for k, band in self.diagonals().items():
            i = np.arange(n - abs(k))
            out = out.at[..., i + max(0, -k), i + max(0, k)].add(band)
        return out


def rows_of(matrix: BandMatrix) -> Bands:
    """The bands by rows: `rows[k][..., i]` is the element (i, i + k), zero outside."""
    return {k: pad(x, k, -1) for k, x in matrix.diagonals().items()}


def _time_first(matrix: BandMatrix, b: Any) -> tuple[Bands, list[Any], Callable]:
    """Rows and right-hand sides (..., n, k) with the matrix's axis first, and the way back."""
    rows = {k: jnp.moveaxis(x, -1, 0) for k, x in rows_of(matrix).items()}
    if b is None:
        return rows, [], lambda x: x
    batch = np.broadcast_shapes(matrix.batch_shape(), b.shape[:-2])
    b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
    if b.shape[-1] == 1:
        side = jnp.moveaxis(b[..., 0], -1, 0)
        rows = {k: _grow(x, len(batch)) for k, x in rows.items()}
        return rows, [side], lambda x: jnp.moveaxis(x[0], 0, -1)[..., None]
    side = jnp.moveaxis(b, -2, 0)
    rows = {k: _grow(x, len(batch))[..., None] for k, x in rows.items()}
    return rows, [side], lambda x: jnp.moveaxis(x[0], 0, -2)


def _grow(x: Any, batch_ndim: int) -> Any:
    """(n, *batch) with axes of size 1 for the batch axes that it lacks."""
    missing = batch_ndim - (x.ndim - 1)
    return jnp.reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:]))


operations.matmul.register(BandMatrix, BandMatrix)(BandMatrix.times)
operations.band_part.register(BandMatrix)(lambda a, low, high: a.masked(low, high))


@operations.cholesky.register(BandMatrix)
def _cholesky(a: BandMatrix) -> Any:
    rows = {k: jnp.moveaxis(x, -1, 0) for k, x in rows_of(a).items() if k <= 0}
    factor = elimination.cholesky(rows, a.widths()[0])
    return a.like({k: jnp.moveaxis(x, 0, -1)[..., -k:] for k, x in factor.items()})


@operations.eigvalsh.register(BandMatrix)
def _eigvalsh(a: BandMatrix) -> Any:
    return spectra.eigenvalues({k: x for k, x in a.diagonals().items() if k >= 0})


@operations.svdvals.register(BandMatrix)
def _svdvals(a: BandMatrix) -> Any:
    return NotImplemented if a.is_hermitian() else spectra.singular_values(a.diagonals())


@operations.with_unit_diagonal.register(BandMatrix)
def _with_unit_diagonal(a: BandMatrix) -> Any:
    return a.like({**a.diagonals(), 0: jnp.ones_like(a.diagonal())})


@operations.hadamard.register(BandMatrix, BandMatrix)
def _hadamard_bands(lhs: BandMatrix, rhs: BandMatrix) -> Any:
    mine, theirs = lhs.diagonals(), rhs.diagonals()
    both = {k: mine[k] * theirs[k] for k in mine if k in theirs}
    if all(m.diagonals().get(1) is m.diagonals().get(-1) for m in (lhs, rhs)) and 1 in both:
        both[-1] = both[1]
    properties = surviving("hadamard", lhs.known(), rhs.known())
    return lhs.like(both, properties, allow_materialise=allow_both(lhs, rhs))


@operations.both_orders(operations.hadamard, BandMatrix, StructuredMatrix)
def _hadamard_entries(a: BandMatrix, b: Any) -> Any:
    mine = {k: x for k, x in a.diagonals().items() if abs(k) < a.shape[-1]}
    theirs = b.diagonals_at([*mine])
    properties = surviving("hadamard", a.known(), b.known())
    bands = {k: x * theirs[k] for k, x in mine.items()}
    return a.like(bands, properties, allow_materialise=allow_both(a, b))
