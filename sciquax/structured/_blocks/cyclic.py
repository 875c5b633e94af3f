"""Banded matrices on a circle: the diagonals that leave at one side come in at the other."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import VALUE_TYPES

from .._kernels.bands import Bands
from .._matrices.narrowest import from_bands
from .._matrix.factor import linalg
from .._matrix.fields import leaf, size, static
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import checked
from .block_matrix import BlockMatrix

_TOLERANCE = 64
"""A residual of so many units in the last place of the product's size counts as solved."""


class CyclicBandedMatrix(StructuredMatrix):
    """A banded matrix on a circle: column n is column 0, as in differences on a periodic grid.

    **Arguments**

    - `bands`: the diagonals, (..., lower + upper + 1, n), as for
      [`sciquax.structured.BandedMatrix`][] with the columns counted modulo n: element (i, i + k) is
      `bands[upper - k, i + k]`. So there are no corners to ignore.
    - `lower`, `upper`: the numbers of diagonals on each side. Where the circle is so short that two
      of them meet, their elements are added.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    Systems cost O(n w^2): the circle is cut, and the unknowns at the cut are found by themselves
    (block elimination). Where the matrix of what is left is singular or nearly so, which the
    residual shows, the circle is folded into a band twice as wide, and solved with pivoting;
    determinants and eigenvalues always are.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import CyclicBandedMatrix
    >>> bands = jnp.array([[1.0, 1.0, 1.0, 1.0], [-2.0, -2.0, -2.0, -3.0]])
    >>> a = CyclicBandedMatrix(bands, lower=0, upper=1)
    >>> a @ jnp.array([1.0, 2.0, 4.0, 8.0])
    Array([  0.,   0.,   0., -23.], dtype=float32)
    >>> bool(jnp.allclose(quaxify(jnp.linalg.det)(a), 23.0))
    True

    ```
    """

    arrays_are_entries: ClassVar[bool] = True

    bands: Any = leaf(core_ndim=2)
    lower: int = static(converter=size)
    upper: int = static(converter=size)

    def check(self) -> None:
        rows = self.bands.shape[-2]
        if rows != self.lower + self.upper + 1:
            raise ValueError(
                f"A `{type(self).__name__}` with lower={self.lower} and upper={self.upper} has "
                f"{self.lower + self.upper + 1} rows of bands; got shape {self.bands.shape}."
            )

    def normalise(self) -> None:
        super().normalise()
        n = self.bands.shape[-1]
        if type(self.bands) in VALUE_TYPES or self.lower + self.upper < max(n, 1):
            return
        folded = around(self, self.rows(), n)
        for name in ("bands", "lower", "upper"):
            object.__setattr__(self, name, getattr(folded, name))

    def aval(self) -> Any:
        n = self.bands.shape[-1]
        return self.matrix_aval((*self.bands.shape[:-2], n, n))

    def rows(self) -> Bands:
        """The diagonals by rows: `rows[k][..., i]` is the element (i, i + k)."""
        offsets = range(-self.lower, self.upper + 1)
        return {k: jnp.roll(self.bands[..., self.upper - k, :], -k, -1) for k in offsets}

    def matmat(self, x: Any) -> Any:
        return sum(row[..., None] * rolled(x, k, -2) for k, row in self.rows().items())

    def matvec(self, x: Any) -> Any:
        return sum(row * rolled(x, k, -1) for k, row in self.rows().items())

    def transpose(self) -> Any:
        rows = {-k: jnp.roll(row, k, -1) for k, row in self.rows().items()}
        return around(self, rows, self.shape[-1], self.properties)

    def diagonal(self) -> Any:
        return self.bands[..., self.upper, :]

    def entries(self, i: Any, j: Any) -> Any:
        n = self.shape[-1]
        i, j = jnp.broadcast_arrays(i, j)
        out = jnp.zeros((*self.batch_shape(), *i.shape), self.dtype)
        for k in range(-self.lower, self.upper + 1):
            found = jnp.take(self.bands[..., self.upper - k, :], j, axis=-1)
            out = jnp.where((j - i - k) % n == 0, found, out)
        return out

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        offsets = range(self.upper, -self.lower - 1, -1)
        return self.rebuild(
            [function(self.bands, jnp.stack([jnp.roll(d, k, -1) for k in offsets], -2))]
        )

    # -- systems ----------------------------------------------------------------------------------

    def cut(self) -> BlockMatrix:
        """A band matrix, bordered by the last rows and columns, as many as the band is wide."""
        n, m = self.shape[-1], max(self.lower, self.upper)
        rest, last = np.arange(n - m), np.arange(n - m, n)
        bands = {k: row[..., max(0, -k) : n - m - max(0, k)] for k, row in self.rows().items()}
        kept = self.known() & {"diagonally_dominant", "positive_definite", "hermitian", "symmetric"}
        path = from_bands(bands, n - m, allow_materialise=self.allow_materialise, properties=kept)

        def part(i: Any, j: Any) -> Any:
            return self.entries(
                np.broadcast_to(i, (len(i), j.shape[-1])), np.broadcast_to(j, (len(i), j.shape[-1]))
            )

        def ends(x: Any) -> Any:
            """Of the path, where alone it meets the border."""
            return np.concatenate([x[:m], x[-m:]])

        sides = ends(rest)
        wide = (*self.batch_shape(), n - m, m)
        column = jnp.zeros(wide, self.dtype).at[..., sides, :].set(part(sides[:, None], last[None]))
        row = jnp.zeros((*wide[:-2], m, n - m), self.dtype)
        row = row.at[..., :, sides].set(part(last[:, None], sides[None]))
        corner = part(last[:, None], last[None])
        return BlockMatrix.build(
            [path, column, row, corner], allow_materialise=self.allow_materialise, properties=kept
        )

    def order(self) -> Any:
        """The indices 0, n - 1, 1, n - 2, ..., in which the circle is a band."""
        n = self.shape[-1]
        place = np.arange(n)
        return np.where(place % 2 == 0, place // 2, n - 1 - place // 2)

    def folded(self) -> Any:
        """The band matrix of the rows and columns in that order."""
        n, order = self.shape[-1], self.order()
        width = 2 * max(self.lower, self.upper)
        bands = {}
        for k in range(-width, width + 1):
            if abs(k) < n:
                i = np.arange(n - abs(k)) + max(0, -k)
                bands[k] = self.entries(order[i], order[i + k])
        kept = self.known() & {"positive_definite", "hermitian", "symmetric", "diagonally_dominant"}
        return from_bands(bands, n, properties=kept)

    def solve(self, b: Any) -> Any:
        n, m = self.shape[-1], max(self.lower, self.upper)
        if m == 0:
            return b / self.diagonal()[..., None]
        if n < 4 * m + 2:
            return linalg(_dense_solve, self.materialise(), b)
        whole = self.cut()
        batch = np.broadcast_shapes(self.batch_shape(), b.shape[:-2])
        b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
        column = jnp.broadcast_to(whole.b, (*batch, n - m, m))
        found = whole.a.solve(jnp.concatenate([b[..., : n - m, :], column], -1))
        x, right = found[..., : b.shape[-1]], found[..., b.shape[-1] :]
        ends = lambda y: jnp.concatenate([y[..., :m, :], y[..., -m:, :]], -2)  # noqa: E731
        row = jnp.concatenate([whole.c[..., :m], whole.c[..., -m:]], -1)
        inner = whole.d - _mm(row, ends(right))
        y = _dense_solve(inner, b[..., n - m :, :] - _mm(row, ends(x)))
        x = jnp.concatenate([x - _mm(right, y), y], -2)
        if self.known() & {"diagonally_dominant", "positive_definite"}:
            return x
        residual = jnp.max(jnp.abs(b - self.matmat(x)), initial=0)
        size = jnp.max(jnp.abs(self.bands)) * jnp.max(jnp.abs(x), initial=0)
        solved = residual <= _TOLERANCE * float(jnp.finfo(x.dtype).eps) * (
            size + jnp.max(jnp.abs(b), initial=0)
        )

        def again() -> Any:
            order = self.order()
            back = np.argsort(order)
            return jnp.take(self.folded().solve(jnp.take(b, order, -2)), back, -2).astype(x.dtype)

        return lax.cond(solved, lambda: x, again)

    def slogdet(self) -> Any:
        return self.folded().slogdet()


class CyclicTridiagonalMatrix(CyclicBandedMatrix):
    """A tridiagonal matrix on a circle.

    **Arguments**

    - `lower_diag`, `main_diag`, `upper_diag`: (..., n). Row i holds `lower_diag[i]`,
      `main_diag[i]` and `upper_diag[i]` in columns i - 1, i and i + 1, which wrap around.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    As a [`sciquax.structured.CyclicBandedMatrix`][], which it is.

    ```python
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from sciquax import quaxify
    >>> from sciquax.structured import CyclicTridiagonalMatrix
    >>> laplacian = CyclicTridiagonalMatrix(jnp.ones(5), -2 * jnp.ones(5), jnp.ones(5))
    >>> step = quaxify(lambda A, u: jnp.linalg.solve(jnp.eye(5) - 0.5 * A, u))
    >>> print(np.asarray(step(laplacian, jnp.array([0.0, 0.0, 0.0, 0.0, 1.0]))).round(3))
    [0.158 0.053 0.053 0.158 0.579]

    ```
    """

    def __init__(
        self,
        lower_diag: Any,
        main_diag: Any,
        upper_diag: Any,
        *,
        allow_materialise: bool = False,
        properties: Iterable[str] = (),
    ):
        diagonals = [
            x if type(x) in VALUE_TYPES else jnp.asarray(x)
            for x in (upper_diag, main_diag, lower_diag)
        ]
        if len({x.shape[-1:] for x in diagonals}) > 1 or not diagonals[1].shape:
            raise ValueError(
                "The diagonals of a `CyclicTridiagonalMatrix` are of one length; got shapes "
                f"{diagonals[2].shape}, {diagonals[1].shape}, {diagonals[0].shape}."
            )
        self.bands = linalg(_stacked, *diagonals)
        self.lower = self.upper = 1
        self.allow_materialise, self.properties = allow_materialise, checked(properties)


def _stacked(*diagonals: Any) -> Any:
    shape = jnp.broadcast_shapes(*[x.shape for x in diagonals])
    each = [
        jnp.roll(jnp.broadcast_to(x, shape), k, -1)
        for k, x in zip((1, 0, -1), diagonals, strict=True)
    ]
    return jnp.stack(each, -2)


def _mm(x: Any, y: Any) -> Any:
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


def rolled(x: Any, k: int, axis: int) -> Any:
    return x if k == 0 else jnp.roll(x, -k, axis)


def _dense_solve(a: Any, b: Any) -> Any:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    return jnp.linalg.solve(a, b)


def around(
    like: Any, rows: Bands, n: int, properties: Iterable[str] = (), allow: Any = None
) -> Any:
    """The matrix with these diagonals by rows, those that meet on the circle added."""
    low, high = max(0, -min(rows)), max(0, max(rows))
    if low + high >= max(n, 1):
        low = min(low, max(n - 1, 0))
        high = max(n - 1, 0) - low
        folded: Bands = {}
        for k, row in rows.items():
            place = (k + low) % max(n, 1) - low
            folded[place] = folded[place] + row if place in folded else row
        rows = folded
    some = next(iter(rows.values()))
    none = jnp.zeros(some.shape, some.dtype)
    bands = [jnp.roll(rows.get(k, none), k, -1) for k in range(high, -low - 1, -1)]
    cls = CyclicTridiagonalMatrix if (low, high) == (1, 1) else CyclicBandedMatrix
    return cls.build(
        [jnp.stack(jnp.broadcast_arrays(*bands), -2)],
        lower=low,
        upper=high,
        allow_materialise=like.allow_materialise if allow is None else allow,
        properties=frozenset(properties),
    )
