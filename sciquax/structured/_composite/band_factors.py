"""QR and LU factors of band matrices in linear time and memory, and the types that hold them."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core.internal import ShapedArray

from .._matrices.bands import BandMatrix, rows_of
from .._matrices.narrowest import from_bands
from .._matrices.permutation import PermutationMatrix
from .._matrix import operations
from .._matrix.base import real_dtype
from .._matrix.fields import leaf, static
from .implicit import ImplicitMatrix, TriangularFactor


class ReflectorsMatrix(ImplicitMatrix):
    """The orthogonal factor Q of a band matrix: a product of Householder reflections.

    **Attributes**: `v`, of shape (..., n, lower), each reflector below its leading 1; `tau`,
    (..., n), as LAPACK's `geqrf` has them; and whether this is the adjoint of their product. What
    `jnp.linalg.qr` gives; products cost O(n lower).
    """

    claims: ClassVar = frozenset({"orthogonal"})

    v: Any = leaf(core_ndim=2)
    tau: Any = leaf(core_ndim=1)
    adjoint_: bool = static(converter=bool)

    def aval(self):
        return self.matrix_aval((*self.tau.shape, self.tau.shape[-1]))

    def matmat(self, x: Any) -> Any:
        dtype = jnp.promote_types(self.dtype, x.dtype)
        batch = np.broadcast_shapes(self.batch_shape(), x.shape[:-2])
        x = jnp.broadcast_to(x, (*batch, *x.shape[-2:])).astype(dtype)
        p = self.v.shape[-1]
        grow = lambda y, count: jnp.broadcast_to(y, (*batch, *y.shape[y.ndim - count :]))  # noqa: E731
        v = jnp.moveaxis(grow(self.v, 2), -2, 0)
        tau = jnp.moveaxis(grow(self.tau, 1), -1, 0)
        x = jnp.moveaxis(x, -2, 0)  # (n, ..., k)
        tail = jnp.zeros((p, *x.shape[1:]), dtype)

        def reflected(y: Any, v: Any, tau: Any) -> Any:
            full = jnp.concatenate([jnp.ones((*v.shape[:-1], 1), v.dtype), v], -1)
            full = jnp.moveaxis(full, -1, 0)[..., None]
            return y - tau[..., None] * full * jnp.sum(jnp.conj(full) * y, 0)

        if self.adjoint_:

            def down(window: Any, row: Any) -> Any:
                new, v, tau = row
                y = reflected(jnp.concatenate([window, new[None]]), v, jnp.conj(tau))
                return y[1:], y[0]

            padded = jnp.concatenate([x, tail])
            out = lax.scan(down, padded[:p], (padded[p:], v, tau))[1]
        else:

            def up(window: Any, row: Any) -> Any:
                new, v, tau = row
                y = reflected(jnp.concatenate([new[None], window]), v, tau)
                return y[:p], y[p]

            first, rest = lax.scan(up, tail, (x, v, tau), reverse=True)
            out = jnp.concatenate([first, rest])[: x.shape[0]]
        return jnp.moveaxis(out, 0, -2)

    def solve(self, b: Any) -> Any:
        return self.adjoint().matmat(b)

    def adjoint(self) -> Any:
        return self.rebuild(self.arrays(), adjoint_=not self.adjoint_, properties=self.properties)

    def transpose(self) -> Any:
        return self.adjoint().conj()

    def convert(self, dtype: Any) -> Any:
        return self.rebuild([lax.convert_element_type(x, dtype) for x in self.arrays()])

    def slogdet(self) -> Any:
        size = 1 + jnp.sum(jnp.abs(self.v) ** 2, -1)
        sign = jnp.prod(1 - self.tau * size, -1)
        sign = sign / jnp.abs(sign)
        return jnp.conj(sign) if self.adjoint_ else sign, jnp.zeros_like(jnp.abs(sign))


class EliminationMatrix(TriangularFactor):
    """The unit triangular factor L of a band matrix, whose rows were exchanged: or its transpose.

    **Attributes**: `multipliers` and `places`, (..., n, lower): the elements of each column below
    the diagonal, and their rows; n where there is none. What `jax.scipy.linalg.lu` gives.
    """

    multipliers: Any = leaf(core_ndim=2)
    places: Any = leaf(core_ndim=2)

    @classmethod
    def index_leaves(cls) -> tuple[str, ...]:
        return ("places",)

    def aval(self):
        n = self.multipliers.shape[-2]
        return ShapedArray((*self.batch_shape(), n, n), self.multipliers.dtype)

    def batch_shape(self) -> tuple[int, ...]:
        return self.multipliers.shape[:-2]

    def matmat(self, x: Any) -> Any:
        dtype = jnp.promote_types(self.dtype, x.dtype)
        return self._mapped(self._times, x.astype(dtype))

    def _mapped(self, function: Any, x: Any) -> Any:
        """`function(multipliers, places, x)` for each of the batch."""
        batch = np.broadcast_shapes(self.batch_shape(), x.shape[:-2])
        arrays = [
            jnp.broadcast_to(y, (*batch, *y.shape[y.ndim - 2 :]))
            for y in (self.multipliers, self.places, x)
        ]
        for _ in batch:
            function = jax.vmap(function)
        return function(*arrays)

    def _times(self, m: Any, places: Any, x: Any) -> Any:
        if self.upper:
            found = jnp.take(x, places, axis=0, mode="fill", fill_value=0)  # (n, p, k)
            return x + jnp.sum(m[..., None] * found, 1)
        return x.at[places].add(m[..., None] * x[:, None, :], mode="drop")

    def solve(self, b: Any) -> Any:
        dtype = jnp.promote_types(self.dtype, b.dtype)
        return self._mapped(self._substitute, b.astype(dtype))

    def _substitute(self, m: Any, places: Any, b: Any) -> Any:
        def down(b: Any, row: Any) -> Any:
            k, m, places = row
            return b.at[places].add(-m[:, None] * b[k], mode="drop"), None

        def up(b: Any, row: Any) -> Any:
            k, m, places = row
            found = jnp.take(b, places, axis=0, mode="fill", fill_value=0)
            return b.at[k].add(-jnp.sum(m[:, None] * found, 0)), None

        rows = jnp.arange(m.shape[0]), m, places
        return lax.scan(up if self.upper else down, b, rows, reverse=self.upper)[0]

    def conj(self) -> Any:
        return self.rebuild([jnp.conj(self.multipliers), self.places], properties=self.properties)

    def diagonal(self) -> Any:
        return jnp.ones(self.shape[:-1], self.dtype)

    def slogdet(self) -> Any:
        one = jnp.ones(self.batch_shape(), self.dtype)
        return one, jnp.zeros_like(one.real)


def _window(a: BandMatrix) -> tuple[Any, Any, int, int]:
    """The first `lower + 1` rows from the first column on, and the rows that follow, time first."""
    lower, upper = a.widths()
    n, width = a.shape[-1], lower + upper + 1
    rows = rows_of(a)
    zero = jnp.zeros(a.shape[:-1], a.dtype)
    full = jnp.stack([rows.get(k, zero) for k in range(-lower, upper + 1)], -1)
    full = jnp.moveaxis(full, -2, 0)  # (n, ..., width)
    full = jnp.concatenate([full, jnp.zeros((2 * lower + 1, *full.shape[1:]), a.dtype)])
    first = []
    for r in range(lower + 1):  # row r starts at column r - lower
        cut = full[r][..., max(lower - r, 0) :]
        rest = [(0, 0)] * (cut.ndim - 1)
        first.append(jnp.pad(cut, [*rest, (0, width - cut.shape[-1])]))
    return jnp.stack(first, -2), full[lower + 1 : lower + 1 + n], lower, upper


def _shifted(window: Any, row: Any) -> Any:
    """The window one row further down and one column to the right."""
    left = jnp.concatenate([window[..., 1:, 1:], jnp.zeros_like(window[..., 1:, :1])], -1)
    return jnp.concatenate([left, row[..., None, :]], -2)


def _upper_bands(rows: Any, a: BandMatrix, width: int) -> Any:
    """A band matrix from its rows (n, ..., width), each starting on the diagonal."""
    n = a.shape[-1]
    rows = jnp.moveaxis(rows, 0, -2)
    bands = {k: rows[..., : n - k, k] for k in range(min(width, n))}
    return from_bands(bands, n, allow_materialise=a.allow_materialise)


operations.inverse.register(ReflectorsMatrix)(ReflectorsMatrix.adjoint)


@operations.qr.register(BandMatrix)
def qr(a: BandMatrix) -> tuple[Any, Any]:
    """Householder's QR within the bands, O(n w^2), signs as LAPACK's.

    Golub and Van Loan, Matrix Computations, 4th ed., section 5.2.2; R has `lower + upper`
    superdiagonals.
    """
    window, rest, lower, upper = _window(a)

    def step(window: Any, row: Any) -> Any:
        alpha, x = window[..., 0, 0], window[..., 1:, 0]
        tail = jnp.sum(jnp.abs(x) ** 2, -1)
        idle = (tail == 0) & (jnp.imag(alpha) == 0)
        size = jnp.sqrt(jnp.where(idle, 1, jnp.abs(alpha) ** 2 + tail))
        beta = jnp.where(jnp.real(alpha) < 0, size, -size).astype(alpha.dtype)
        tau = jnp.where(idle, 0, (beta - alpha) / beta)
        v = jnp.where(idle[..., None], 0, x / jnp.where(idle, 1, alpha - beta)[..., None])
        full = jnp.concatenate([jnp.ones_like(v[..., :1]), v], -1)[..., None]
        inner = jnp.sum(jnp.conj(full) * window, -2, keepdims=True)
        window = window - jnp.conj(tau)[..., None, None] * full * inner
        return _shifted(window, row), (window[..., 0, :], v, tau)

    _, (rows, v, tau) = lax.scan(step, window, rest)
    q = ReflectorsMatrix.build(
        [jnp.moveaxis(v, 0, -2), jnp.moveaxis(tau, 0, -1)],
        adjoint_=False,
        allow_materialise=a.allow_materialise,
    )
    return q, _upper_bands(rows, a, lower + upper + 1)


@operations.lu.register(BandMatrix)
def lu(a: BandMatrix) -> Any:
    """LU with partial pivoting within the bands, O(n w^2) (Golub and Van Loan, section 4.3.3).

    **Returns** the permutation, L (an `EliminationMatrix`), and U, of `lower + upper`
    superdiagonals: `a = P @ L @ U`. NotImplemented for an upper triangular one.
    """
    if a.is_triangular(lower=False):
        return NotImplemented
    n = a.shape[-1]
    window, rest, lower, upper = _window(a)
    batch = a.batch_shape()
    order = jnp.broadcast_to(jnp.arange(lower + 1, dtype=np.int32), (*batch, lower + 1))

    def step(carry: Any, arriving: Any) -> Any:
        window, order = carry
        row, number = arriving
        pivot = jnp.argmax(_size(window[..., 0]), -1)[..., None]
        place = jnp.arange(lower + 1)
        swap = jnp.where(place == 0, pivot, jnp.where(place == pivot, 0, place))
        window = jnp.take_along_axis(window, swap[..., None], -2)
        order = jnp.take_along_axis(order, swap, -1)
        top = window[..., :1, :]
        zero = top[..., 0] == 0
        m = jnp.where(zero, 0, window[..., 1:, 0] / jnp.where(zero, 1, top[..., 0]))
        below = window[..., 1:, :] - m[..., None] * top
        after = _shifted(jnp.concatenate([top, below], -2), row)
        number = jnp.broadcast_to(number, (*batch, 1))
        following = jnp.concatenate([order[..., 1:], number], -1)
        return (after, following), (window[..., 0, :], m, order)

    numbers = jnp.arange(lower + 1, lower + 1 + n, dtype=np.int32)
    _, (rows, m, orders) = lax.scan(step, (window, order), (rest, numbers))
    m, orders = jnp.moveaxis(m, 0, -2), jnp.moveaxis(orders, 0, -2)
    chosen = orders[..., 0]  # which row each step took
    when = jnp.argsort(chosen, -1).astype(np.int32)  # at which step each row was taken
    ahead = jnp.concatenate([when, jnp.full((*batch, 2 * lower + 1), n, np.int32)], -1)
    below = orders[..., 1:]
    places = jnp.take_along_axis(ahead, below.reshape(*batch, -1), -1).reshape(below.shape)
    left = EliminationMatrix.build(
        [m, places],
        upper=False,
        allow_materialise=a.allow_materialise,
        properties=frozenset({"unit_diagonal"}),
    )
    p = PermutationMatrix(when, real_dtype(a.dtype), allow_materialise=a.allow_materialise)
    return p, left, _upper_bands(rows, a, lower + upper + 1)


def _size(x: Any) -> Any:
    """The size by which LAPACK picks pivots: for complex numbers |re| + |im|."""
    return jnp.abs(x.real) + jnp.abs(x.imag) if jnp.iscomplexobj(x) else jnp.abs(x)
