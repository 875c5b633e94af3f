"""Toeplitz matrices."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._kernels import compensated
from .._kernels.conjugate_gradients import conjugate_gradients, solved
from .._matrix import operations
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .circulant import CirculantMatrix, reflected
from .identity import MULTIPLES
from .narrowest import from_bands

_REFINEMENTS = 8
"""How many steps of iterative refinement at most: each gains about a digit."""


class ToeplitzMatrix(StructuredMatrix):
    """A Toeplitz matrix: constant along each diagonal.

    **Arguments**

    - `column`: the first column, (..., m).
    - `row`: the first row, (..., n); as in `scipy.linalg.toeplitz`, its first element is ignored.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    Products cost O((m + n) log(m + n)) by embedding in a circulant matrix; systems O(n^2) time
    and O(n) memory, or some tens of products where `properties={"positive_definite"}` is claimed:
    then also those of its sum with a diagonal.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.structured import ToeplitzMatrix
    >>> a = ToeplitzMatrix(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 0.0, 5.0]))
    >>> (a @ jnp.array([1.0, 1.0, 1.0])).round(4)
    Array([6., 3., 6.], dtype=float32)

    ```
    """

    arrays_are_entries: ClassVar[bool] = True
    covers_all: ClassVar[bool] = True

    column: Any = leaf(core_ndim=1)
    row: Any = leaf(core_ndim=1, default=None)

    def __check_init__(self) -> None:
        if self.row is None:
            object.__setattr__(self, "row", jnp.conj(jnp.asarray(self.column)))

    def aval(self) -> Any:
        return self.matrix_aval((*self.column.shape, self.row.shape[-1]))

    def _joined(self) -> Any:
        """The values from the last column's top to the first column's bottom, (..., m + n - 1)."""
        return jnp.concatenate([jnp.flip(self.row[..., 1:], -1), self.column], -1)

    def materialise(self) -> Any:
        m, n = self.shape[-2:]
        if 0 in (m, n):
            return jnp.zeros(self.shape, self.dtype)
        return self.entries(np.arange(m)[:, None], np.arange(n)[None, :])

    def matmat(self, x: Any) -> Any:
        """By embedding in a circulant matrix (Golub and Van Loan, section 4.8.4)."""
        m, n = self.shape[-2:]
        size = fast_length(m + n - 1)
        gap = jnp.zeros((*self.batch_shape(), size - (m + n - 1)), self.dtype)
        column = jnp.concatenate([self.column, gap, jnp.flip(self.row[..., 1:], -1)], -1)
        made = CirculantMatrix.build([column])
        padded = jnp.pad(x, [*[(0, 0)] * (x.ndim - 2), (0, size - n), (0, 0)])
        return made.matmat(padded)[..., :m, :]

    def stored(self, beside: Any = 0) -> Any:
        return jnp.concatenate([self.column, self.row[..., 1:]], -1)

    def transpose(self) -> Any:
        corner = self.column[..., :1]
        return self.rebuild(
            [jnp.concatenate([corner, self.row[..., 1:]], -1), self.column],
            properties=self.properties,
        )

    def diagonal(self) -> Any:
        return jnp.broadcast_to(self.column[..., :1], (*self.batch_shape(), min(self.shape[-2:])))

    def entries(self, i: Any, j: Any) -> Any:
        place = jnp.asarray(i) - jnp.asarray(j) + (self.shape[-1] - 1)
        return jnp.take(self._joined(), place, axis=-1)

    def solve(self, b: Any) -> Any:
        """By conjugate gradients where it is claimed to be positive definite, O(n log n) a step.

        What these do not solve, and all else, by Levinson's recursion.
        """
        batch = np.broadcast_shapes(self.batch_shape(), b.shape[:-2])
        b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
        if "positive_definite" not in self.known() or b.shape[-2] < 2:
            return self._directly(b)
        x, holds = self.iterated(jnp.zeros((), self.dtype), b)
        return lax.cond(holds, lambda: x, lambda: self._directly(b))

    def iterated(self, d: Any, b: Any) -> tuple[Any, Any]:
        """The solution with a diagonal added, and whether it is one.

        By conjugate gradients, preconditioned by the circulant matrix that is nearest (T. Chan, An
        optimal circulant preconditioner for Toeplitz systems, SIAM J. Sci. Stat. Comput. 9 (1988)),
        restarted once.
        """
        n, place = self.shape[-1], np.arange(self.shape[-1])
        after = jnp.concatenate([self.column[..., :1], jnp.flip(self.row[..., 1:], -1)], -1)
        near = ((n - place) * self.column + place * after) / n
        near = near.astype(self.dtype).at[..., 0].add(jnp.mean(d, -1) if d.ndim else d)
        circulant = CirculantMatrix.build([near])
        d = d[..., None] if d.ndim else d
        times = lambda x: self.matmat(x) + d * x  # noqa: E731
        x = conjugate_gradients(times, circulant.solve, b)
        x = x + conjugate_gradients(times, circulant.solve, b - times(x))
        size = jnp.sum(jnp.abs(self._joined()), -1)[..., None, None] + jnp.max(jnp.abs(d))
        return x, solved(times, x, b, jnp.max(size))

    def _directly(self, b: Any) -> Any:
        """Levinson's recursion, with steps of iterative refinement.

        Golub and Van Loan, section 4.7.3, for matrices that need not be symmetric. Stable for
        positive definite ones; as `scipy.linalg.solve_toeplitz` it fails where a leading minor is
        singular, and the refinement recovers accuracy where one is nearly so. In 32 bits the
        residuals have twice the precision, so that the solution has full accuracy for condition
        numbers up to about 1e7 (Higham, section 12.1); else they are FFT products.
        """
        precise = self.dtype == b.dtype == np.float32
        x = self._levinson(b)[0]
        rounding = float(jnp.finfo(x.dtype).eps)

        def more(state: Any) -> Any:
            x, size, before, count = state
            converging = (size < before / 2) & (size > rounding * jnp.max(jnp.abs(x), initial=0))
            return (count < _REFINEMENTS) & converging

        def refined(state: Any) -> Any:
            x, before, _, count = state
            residual = self._residual(b, x) if precise else b - self.matmat(x)
            step = self._levinson(residual.astype(x.dtype))[0]
            size = jnp.max(jnp.abs(step), initial=0)
            x = jnp.where(size < before, x + step, x)
            return x, size, before, count + 1

        largest = jnp.asarray(jnp.finfo(x.dtype).max, x.real.dtype)
        return lax.while_loop(more, refined, (x, largest / 4, largest, 0))[0]

    def _residual(self, b: Any, x: Any) -> Any:
        """b - self @ x, rounded once: O(n^2), one column at a time."""
        n = self.shape[-1]
        joined = self._joined()

        def step(total: Any, j: Any) -> Any:
            column = lax.dynamic_slice_in_dim(joined, n - 1 - j, n, -1)[..., None]
            element = lax.dynamic_index_in_dim(x, j, -2)
            return compensated.add_product(total, -column, element), None

        (high, low), _ = lax.scan(step, (b, jnp.zeros_like(b)), jnp.arange(n))
        return high + low

    def pivots(self) -> Any:
        """The ratios of consecutive leading minors."""
        return self._levinson(None)[1]

    def _levinson(self, b: Any) -> tuple[Any, Any]:
        """The solution, and the ratios of consecutive leading minors."""
        n = self.shape[-1]
        if b is None:
            b = jnp.zeros((*self.batch_shape(), n, 1), self.dtype)
        dtype = jnp.promote_types(jnp.promote_types(self.dtype, b.dtype), jnp.float32)
        joined = self._joined().astype(dtype)  # joined[n - 1 + d] is t_d, elements i - j = d
        batch = np.broadcast_shapes(self.batch_shape(), b.shape[:-2])
        joined = jnp.broadcast_to(joined, (*batch, 2 * n - 1))
        b = jnp.broadcast_to(b, (*batch, *b.shape[-2:])).astype(dtype)
        place = np.arange(n)
        corner = joined[..., n - 1]

        def step(carry: Any, k: Any) -> Any:
            # The leading k by k matrix times f is e_0 and times g is e_{k-1}; x solves its system.
            f, g, x, beta = carry
            # elements (k, j) are t_{k-j}; elements (0, j + 1) are t_{-(j+1)}
            last = jnp.flip(lax.dynamic_slice_in_dim(joined, k, n, -1), -1)
            first = jnp.flip(joined[..., : n - 1], -1)
            inside = place < k
            below = jnp.sum(jnp.where(inside, last * f, 0), -1)
            above = jnp.sum(jnp.where(inside[: n - 1], first * g[..., : n - 1], 0), -1)
            shifted = jnp.concatenate([jnp.zeros_like(g[..., :1]), g[..., :-1]], -1)
            scale = (1 - below * above)[..., None]
            f, g = (
                (f - below[..., None] * shifted) / scale,
                (shifted - above[..., None] * f) / scale,
            )
            beta = beta * scale[..., 0]
            missing = jnp.sum(jnp.where(inside, last, 0)[..., None] * x, -2)
            target = lax.dynamic_index_in_dim(b, k, -2, keepdims=False)
            x = x + g[..., None] * (target - missing)[..., None, :]
            return (f, g, x, beta), beta

        unit = jnp.zeros((*batch, n), dtype).at[..., 0].set(1 / corner)
        x = jnp.zeros_like(b).at[..., 0, :].set(b[..., 0, :] / corner[..., None])
        (_, _, x, _), ratios = lax.scan(step, (unit, unit, x, corner), jnp.arange(1, n))
        ratios = jnp.concatenate([corner[..., None], jnp.moveaxis(ratios, 0, -1)], -1)
        return x, ratios


def fast_length(n: int) -> int:
    """The next length with factors 2, 3 and 5 only: the fast ones for an FFT."""
    best = 1 << (n - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            rest = -(-n // three)
            best = min(best, three << max(0, (rest - 1).bit_length()))
            three *= 3
        five *= 5
    return best


@operations.fitted.register(CirculantMatrix, ToeplitzMatrix)
def _fitted_circulant(m: CirculantMatrix, example: Any) -> ToeplitzMatrix:
    return ToeplitzMatrix.build_equal(m, [m.column, reflected(m.column)])


def _fitted_multiple(m: Any, example: ToeplitzMatrix) -> ToeplitzMatrix:
    first = np.arange(m.shape[-1]) == 0
    column = jnp.where(first, m.diagonal(), jnp.zeros((), m.dtype))
    return ToeplitzMatrix.build_equal(m, [column, reflected(column)])


for _cls in MULTIPLES:
    operations.fitted.register(_cls, ToeplitzMatrix)(_fitted_multiple)


@operations.submatrix.register(ToeplitzMatrix)
@operations.submatrix.register(CirculantMatrix)
def _submatrix(a: Any, starts: Sequence[int], sizes: Sequence[int]) -> ToeplitzMatrix:
    i, j = (start + np.arange(size) for start, size in zip(starts, sizes, strict=True))
    sides = a.entries(i, starts[1]), a.entries(starts[0], j)
    return ToeplitzMatrix(*sides, allow_materialise=a.allow_materialise)


@operations.band_part.register(ToeplitzMatrix)
@operations.band_part.register(CirculantMatrix)
def _part(matrix: Any, low: int | None, high: int | None) -> Any:
    m, n = matrix.shape[-2:]
    if m == n and low is not None and high is not None and high - low < 8:
        i = {k: np.arange(n - abs(k)) for k in range(low, high + 1)}
        bands = {k: matrix.entries(x + max(0, -k), x + max(0, k)) for k, x in i.items()}
        return from_bands(bands, n, allow_materialise=matrix.allow_materialise)
    whole = matrix if isinstance(matrix, ToeplitzMatrix) else _fitted_circulant(matrix, None)
    below, above = -np.arange(m), np.arange(n)
    keep = [
        (k >= (low if low is not None else -m)) & (k <= (high if high is not None else n))
        for k in (below, above)
    ]
    return whole.rebuild(
        [jnp.where(k, x, 0) for k, x in zip(keep, (whole.column, whole.row), strict=True)]
    )
