"""Cholesky factors that are dense but made of few numbers: of low-rank and Toeplitz matrices."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._matrices.circulant import CirculantMatrix
from .._matrices.low_rank import LowRankPlusDiagonalMatrix
from .._matrices.toeplitz import ToeplitzMatrix
from .._matrix import operations
from .._matrix.fields import leaf
from .._matrix.solve import solve
from .implicit import TriangularFactor


class SemiseparableMatrix(TriangularFactor):
    """The matrix `diag(diag) + tril(u @ w, -1)`, or its transpose.

    **Attributes**: `diag` (..., n), `u` (..., n, rank), `w` (..., rank, n), and whether it is upper
    triangular. The Cholesky factor of a low-rank plus diagonal matrix; products and systems cost
    O(n rank).
    """

    diag: Any = leaf(core_ndim=1)
    u: Any = leaf(core_ndim=2)
    w: Any = leaf(core_ndim=2)

    def aval(self):
        return self.matrix_aval((*self.diag.shape, self.diag.shape[-1]))

    def _sides(self) -> tuple[Any, Any]:
        """Row i times what columns have gathered: (..., n, rank) each."""
        columns = jnp.swapaxes(self.w, -1, -2)
        return (columns, self.u) if self.upper else (self.u, columns)

    def materialise(self) -> Any:
        low = jnp.tril(jnp.matmul(self.u, self.w, precision="highest"), -1)
        i = np.arange(self.shape[-1])
        low = low.at[..., i, i].set(self.diag)
        return jnp.swapaxes(low, -1, -2) if self.upper else low

    def matmat(self, x: Any) -> Any:
        rows, columns = self._sides()
        each = columns[..., None] * x[..., None, :]  # (..., n, rank, k)
        zero = jnp.zeros_like(each[..., :1, :, :])
        if self.upper:
            after = jnp.concatenate([each[..., 1:, :, :], zero], -3)
            gathered = jnp.flip(jnp.cumsum(jnp.flip(after, -3), -3), -3)
        else:
            gathered = jnp.cumsum(jnp.concatenate([zero, each[..., :-1, :, :]], -3), -3)
        return self.diag[..., None] * x + jnp.sum(rows[..., None] * gathered, -2)

    def solve(self, b: Any) -> Any:
        rows, columns = self._sides()
        batch = np.broadcast_shapes(self.batch_shape(), b.shape[:-2])
        b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))

        def step(gathered: Any, each: Any) -> Any:
            d, row, column, side = each
            x = (side - jnp.sum(row[..., None] * gathered, -2)) / d[..., None]
            return gathered + column[..., None] * x[..., None, :], x

        first = [jnp.moveaxis(self.diag, -1, 0)]
        first += [jnp.moveaxis(x, -2, 0) for x in (rows, columns, b)]
        start = jnp.zeros((*batch, rows.shape[-1], b.shape[-1]), b.dtype)
        return jnp.moveaxis(lax.scan(step, start, tuple(first), reverse=self.upper)[1], 0, -2)

    def pivots(self) -> Any:
        return self.diag

    def diagonal(self) -> Any:
        return self.diag

    def entries(self, i: Any, j: Any) -> Any:
        i, j = jnp.broadcast_arrays(*((j, i) if self.upper else (i, j)))
        columns = jnp.swapaxes(self.w, -1, -2)
        low = jnp.sum(jnp.take(self.u, i, axis=-2) * jnp.take(columns, j, axis=-2), -1)
        return jnp.where(i > j, low, jnp.where(i == j, jnp.take(self.diag, i, axis=-1), 0))


@operations.cholesky.register(LowRankPlusDiagonalMatrix)
def low_rank_cholesky(a: Any) -> Any:
    """The lower factor of a Hermitian `diag + u @ v`, O(n rank^2).

    Foreman-Mackey, Agol, Ambikasaran and Angus, Fast and scalable Gaussian process modeling with
    applications to astronomical time series, Astron. J. 154 (2017), section 4, without damping.
    """
    rank = a.u.shape[-1]
    start = jnp.zeros((*a.batch_shape(), rank, rank), a.dtype)

    def step(gram: Any, row: Any) -> Any:
        d, u, v = row
        inner = jnp.sum(gram * jnp.conj(u)[..., None, :], -1)  # gram @ u^H
        square = d + jnp.sum(u * (v - inner), -1).real
        root = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), jnp.nan)
        w = (v - inner) / root[..., None]
        gram = gram + w[..., :, None] * jnp.conj(w)[..., None, :]
        return gram, (root.astype(a.dtype), w)

    rows = (
        jnp.moveaxis(a.diag.real, -1, 0),
        jnp.moveaxis(a.u, -2, 0),
        jnp.moveaxis(a.v, -1, 0),
    )
    _, (diag, w) = lax.scan(step, start, rows)
    return SemiseparableMatrix.build(
        [jnp.moveaxis(diag, 0, -1), a.u, jnp.moveaxis(w, 0, -1)],
        upper=False,
        allow_materialise=a.allow_materialise,
    )


class ToeplitzCholeskyMatrix(TriangularFactor):
    """The lower Cholesky factor of a Hermitian Toeplitz matrix, or its transpose.

    **Attributes**: the matrix's first `column`. The factor's columns are made one after the other
    by Schur's algorithm (Golub and Van Loan, Matrix Computations, 4th ed., section 12.1.4;
    stable for positive definite matrices), so that products and systems cost O(n^2) operations
    and O(n) memory.
    """

    column: Any = leaf(core_ndim=1)

    @staticmethod
    def of(column: Any, allow: bool) -> Any:
        return ToeplitzCholeskyMatrix.build([column], upper=False, allow_materialise=allow)

    def aval(self):
        return self.matrix_aval((*self.column.shape, self.column.shape[-1]))

    def _columns(self, step: Any, start: Any, extra: Any) -> tuple[Any, Any]:
        """A scan of `step(carry, k, column k of the factor, row k of extra)`.

        In about sqrt(n) pieces that a gradient computes again: it keeps O(n^1.5) numbers.
        """
        n = self.shape[-1]
        length = math.isqrt(n - 1) + 1
        count = -(-n // length)
        extra = jnp.pad(extra, [(0, count * length - n), *[(0, 0)] * (extra.ndim - 1)])
        extra = extra.reshape(count, length, *extra.shape[1:])
        order = jnp.arange(count * length).reshape(count, length)
        corner = self.column[..., :1].real
        root = jnp.where(corner > 0, jnp.sqrt(jnp.where(corner > 0, corner, 1)), jnp.nan)
        a = self.column / root
        b = a.at[..., 0].set(0)

        def one(carry: Any, row: Any) -> Any:
            a, b, own = carry
            k, given = row
            own, out = step(own, k, a, given)
            a = jnp.concatenate([jnp.zeros_like(a[..., :1]), a[..., :-1]], -1)
            following = jnp.minimum(k + 1, n - 1)
            last = k + 1 >= n
            top, below = (lax.dynamic_index_in_dim(x, following, -1) for x in (a, b))
            ratio = below / jnp.where(last, 1, top)
            square = 1 - jnp.abs(ratio) ** 2
            size = jnp.sqrt(jnp.where((square > 0) & ~last, square, 1))
            size = jnp.where((square > 0) | last, size, jnp.nan)
            ratio = jnp.where(last, 0, ratio)
            a, b = (a - jnp.conj(ratio) * b) / size, (b - ratio * a) / size
            inside = jnp.arange(n) > k
            return (jnp.where(inside, a, 0), jnp.where(inside, b, 0), own), out

        piece = jax.checkpoint(lambda carry, rows: lax.scan(one, carry, rows), prevent_cse=False)
        (_, _, own), outs = lax.scan(piece, (a, b, start), (order, extra))
        outs = jax.tree.map(lambda y: y.reshape(count * length, *y.shape[2:])[:n], outs)
        return own, outs

    def matmat(self, x: Any) -> Any:
        batch = np.broadcast_shapes(self.batch_shape(), x.shape[:-2])
        x = jnp.broadcast_to(x, (*batch, *x.shape[-2:]))
        x = x.astype(jnp.promote_types(x.dtype, self.dtype))
        if self.upper:

            def row(_: Any, k: Any, column: Any, given: Any) -> Any:
                return None, jnp.sum(column[..., None] * x, -2)

            rows = jnp.zeros((self.shape[-1],))
            return jnp.moveaxis(self._columns(row, None, rows)[1], 0, -2)

        def column(y: Any, k: Any, column: Any, given: Any) -> Any:
            return y + column[..., None] * given[..., None, :], None

        return self._columns(column, jnp.zeros_like(x), jnp.moveaxis(x, -2, 0))[0]

    def solves_directly(self) -> bool:
        return True

    def solve(self, b: Any) -> Any:
        batch = np.broadcast_shapes(self.batch_shape(), b.shape[:-2])
        b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
        if self.upper:  # L^-T = conj(A^-1) conj(L), since A = L L^H
            whole = ToeplitzMatrix.build([jnp.conj(self.column), self.column])
            return solve(whole, self.transpose().conj().matmat(b))

        def step(rest: Any, k: Any, column: Any, _: Any) -> Any:
            pivot = jnp.where(k < self.shape[-1], lax.dynamic_index_in_dim(column, k, -1), 1)
            x = lax.dynamic_index_in_dim(rest, k, -2) / pivot[..., None]
            return rest - column[..., None] * x, x[..., 0, :]

        rows = jnp.zeros((self.shape[-1],))
        return jnp.moveaxis(self._columns(step, b, rows)[1], 0, -2)

    def pivots(self) -> Any:
        def step(_: Any, k: Any, column: Any, __: Any) -> Any:
            return None, lax.dynamic_index_in_dim(column, k, -1, keepdims=False)

        found = self._columns(step, None, jnp.zeros((self.shape[-1],)))[1]
        return jnp.moveaxis(found, 0, -1)

    def diagonal(self) -> Any:
        return self.pivots()


@operations.cholesky.register(CirculantMatrix)
@operations.cholesky.register(ToeplitzMatrix)
def _toeplitz_cholesky(a: Any) -> Any:
    return ToeplitzCholeskyMatrix.of(a.column, a.allow_materialise)
