"""Diagonal matrices with a correction of low rank."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .diagonal import AnyDiagonal


def mm(x: Any, y: Any) -> Any:
    """The matrix product of plain arrays in full precision."""
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


class LowRankPlusDiagonalMatrix(StructuredMatrix):
    """The matrix `diag(diag) + u @ v`.

    **Arguments**

    - `diag`: (..., n).
    - `u`: (..., n, rank); `v`: (..., rank, n).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    Of quantities, `v` holds numbers; the unit is that of `diag` and `u`.

    Systems are solved by the Sherman-Morrison-Woodbury identity and determinants by the matrix
    determinant lemma (Golub and Van Loan, section 2.1.4), O(n rank^2), which need a diagonal
    without zeros; a step of iterative refinement recovers what cancels.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import LowRankPlusDiagonalMatrix
    >>> a = LowRankPlusDiagonalMatrix(jnp.ones(2), jnp.ones((2, 1)), jnp.ones((1, 2)))
    >>> quaxify(jnp.linalg.det)(a).round(4)
    Array(3., dtype=float32)

    ```
    """

    scaled_leaves: ClassVar[tuple[str, ...] | None] = ("diag", "u")
    scaling: ClassVar[str] = "join_first_two"

    diag: Any = leaf(core_ndim=1)
    u: Any = leaf(core_ndim=2)
    v: Any = leaf(core_ndim=2)

    def check(self) -> None:
        n, (rows, rank) = self.diag.shape[-1], self.u.shape[-2:]
        if rows != n or self.v.shape[-2:] != (rank, n):
            raise ValueError(
                f"A `{type(self).__name__}` of size {n} takes u of shape ({n}, rank) and v of "
                f"shape (rank, {n}); got {self.u.shape} and {self.v.shape}."
            )

    def aval(self) -> Any:
        return self.matrix_aval((*self.diag.shape, self.diag.shape[-1]))

    def matmat(self, x: Any) -> Any:
        return self.diag[..., None] * x + mm(self.u, mm(self.v, x))

    def materialise(self) -> Any:
        i = np.arange(self.shape[-1])
        return mm(self.u, self.v).at[..., i, i].add(self.diag)

    def transpose(self) -> Any:
        swap = [jnp.swapaxes(x, -1, -2) for x in (self.v, self.u)]
        return self.rebuild([self.diag, *swap], properties=self.properties)

    def diagonal(self) -> Any:
        return self.diag + jnp.sum(self.u * jnp.swapaxes(self.v, -1, -2), -1)

    def entries(self, i: Any, j: Any) -> Any:
        i, j = jnp.broadcast_arrays(i, j)
        product = jnp.sum(
            jnp.take(self.u, i, axis=-2)
            * jnp.moveaxis(jnp.take(self.v, j, axis=-1), self.v.ndim - 2, -1),
            -1,
        )
        return product + jnp.where(i == j, jnp.take(self.diag, i, axis=-1), 0)

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        return self.rebuild([function(self.diag, d), function(self.u, d[..., None]), self.v])

    def capacitance(self) -> Any:
        """I + v diag^-1 u, of the size of the rank."""
        rank = self.u.shape[-1]
        return jnp.eye(rank, dtype=self.dtype) + mm(self.v, self.u / self.diag[..., None])

    def solve(self, b: Any) -> Any:
        x = self._woodbury(b)
        return x + self._woodbury(b - self.matmat(x))

    def _woodbury(self, b: Any) -> Any:
        y = b / self.diag[..., None]
        inner = solve_dense(self.capacitance(), mm(self.v, y))
        return y - mm(self.u / self.diag[..., None], inner)

    def slogdet(self) -> Any:
        sign, log = jnp.linalg.slogdet(self.capacitance())
        size = jnp.abs(self.diag)
        own = jnp.prod(self.diag / jnp.where(size == 0, 1, size), -1)
        return sign * own, log + jnp.sum(jnp.log(size), -1)

    def frobenius(self) -> Any:
        """The square of the Frobenius norm, O(n rank^2)."""
        conj_u, conj_v = jnp.conj(self.u), jnp.conj(self.v)
        gram = jnp.sum(
            mm(jnp.swapaxes(conj_u, -1, -2), self.u) * mm(conj_v, jnp.swapaxes(self.v, -1, -2)),
            (-2, -1),
        ).real
        product = jnp.sum(self.u * jnp.swapaxes(self.v, -1, -2), -1)
        mixed = 2 * jnp.sum((jnp.conj(self.diag) * product).real, -1)
        return gram + mixed + jnp.sum(jnp.abs(self.diag) ** 2, -1)

    def hadamard(self, other: "LowRankPlusDiagonalMatrix") -> list[Any]:
        """The defining arrays of the elementwise product, whose rank is the ranks' product.

        The elementwise product of u v and w x has the columns of u times those of w, and the rows
        of v times those of x (Golub and Van Loan, section 12.3.3: Khatri-Rao products).
        """
        n = self.diag.shape[-1]
        low = [jnp.sum(m.u * jnp.swapaxes(m.v, -1, -2), -1) for m in (self, other)]
        diag = self.diag * other.diag + self.diag * low[1] + other.diag * low[0]
        u = self.u[..., :, None] * other.u[..., None, :]
        v = self.v[..., :, None, :] * other.v[..., None, :, :]
        return [diag, u.reshape(*u.shape[:-2], -1), v.reshape(*v.shape[:-3], -1, n)]


def solve_dense(a: Any, b: Any) -> Any:
    """`jnp.linalg.solve` whose batch axes broadcast."""
    batch = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return jnp.linalg.solve(
        jnp.broadcast_to(a, (*batch, *a.shape[-2:])), jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
    )


def _concatenated(x: Any, y: Any, axis: int) -> Any:
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = (jnp.broadcast_to(z, (*batch, *z.shape[-2:])) for z in (x, y))
    return jnp.concatenate([x, y], axis)


@operations.inverse.register(LowRankPlusDiagonalMatrix)
def _inverse(a: LowRankPlusDiagonalMatrix) -> LowRankPlusDiagonalMatrix:
    scaled = a.u / a.diag[..., None]
    right = solve_dense(a.capacitance(), a.v / a.diag[..., None, :])
    return a.rebuild([1 / a.diag, -scaled, right], properties=surviving("inverse", a.known()))


@operations.norm_bound.register(LowRankPlusDiagonalMatrix)
def _norm_bound(a: LowRankPlusDiagonalMatrix) -> Any:
    low = jnp.sum(jnp.abs(a.u), -2)[..., None, :] @ jnp.abs(a.v)
    return jnp.max(jnp.abs(a.diag), -1) + jnp.max(low, (-2, -1))


def _sum(lhs: Any, rhs: Any, subtract: bool = False) -> Any:
    properties = surviving("sub" if subtract else "add", lhs.known(), rhs.known())
    rhs = rhs.negate() if subtract else rhs
    a, b = (lhs, rhs) if isinstance(lhs, LowRankPlusDiagonalMatrix) else (rhs, lhs)
    if isinstance(b, LowRankPlusDiagonalMatrix):
        arrays = [a.diag + b.diag, _concatenated(a.u, b.u, -1), _concatenated(a.v, b.v, -2)]
    else:
        arrays = [a.diag + b.diagonal(), a.u, a.v]
    return a.rebuild(arrays, allow_materialise=allow_both(lhs, rhs), properties=properties)


operations.add.register(LowRankPlusDiagonalMatrix, LowRankPlusDiagonalMatrix)(_sum)
operations.add.register(LowRankPlusDiagonalMatrix, AnyDiagonal)(_sum)
operations.add.register(AnyDiagonal, LowRankPlusDiagonalMatrix)(_sum)


def _of_rank(m: Any, rank: int) -> Any:
    """A diagonal matrix, or one of a lower rank, padded with zeros; or NotImplemented."""
    if isinstance(m, AnyDiagonal):
        d = m.diagonal()
        u = jnp.zeros((*d.shape, rank), d.dtype)
        return LowRankPlusDiagonalMatrix.build_equal(m, [d, u, jnp.swapaxes(u, -1, -2)])
    missing = rank - m.u.shape[-1]
    if missing < 0:
        return NotImplemented
    batch = [(0, 0)] * (m.u.ndim - 2)
    u = jnp.pad(m.u, [*batch, (0, 0), (0, missing)])
    v = jnp.pad(m.v, [*batch, (0, missing), (0, 0)])
    return m.rebuild([m.diag, u, v], properties=m.properties)


def _joined(a: Any, b: Any) -> Any:
    """The one of the higher rank."""
    low = [m for m in (a, b) if isinstance(m, LowRankPlusDiagonalMatrix)]
    return _of_rank(low[0], max(m.u.shape[-1] for m in low))


def _converted(value: Any, example: LowRankPlusDiagonalMatrix) -> Any:
    made = _of_rank(value, example.u.shape[-1])
    return made if made is NotImplemented else made.in_type_of(example)


operations.joined.register(LowRankPlusDiagonalMatrix, LowRankPlusDiagonalMatrix)(_joined)
operations.joined.register(LowRankPlusDiagonalMatrix, AnyDiagonal)(_joined)
operations.joined.register(AnyDiagonal, LowRankPlusDiagonalMatrix)(_joined)
for _cls in (LowRankPlusDiagonalMatrix, AnyDiagonal):
    operations.convert_to.register(_cls, LowRankPlusDiagonalMatrix)(_converted)


@operations.matmul.register(LowRankPlusDiagonalMatrix, LowRankPlusDiagonalMatrix)
def _product(a: LowRankPlusDiagonalMatrix, b: LowRankPlusDiagonalMatrix) -> Any:
    """(D + U V)(E + X Y) = D E + [D X, U] [Y; V E + V X Y]."""
    u = _concatenated(a.diag[..., :, None] * b.u, a.u, -1)
    v = _concatenated(b.v, a.v * b.diag[..., None, :] + mm(mm(a.v, b.u), b.v), -2)
    return a.rebuild([a.diag * b.diag, u, v], allow_materialise=allow_both(a, b))


@operations.hadamard.register(LowRankPlusDiagonalMatrix, LowRankPlusDiagonalMatrix)
def _hadamard(a: LowRankPlusDiagonalMatrix, b: LowRankPlusDiagonalMatrix) -> Any:
    properties = surviving("hadamard", a.known(), b.known())
    return a.rebuild(a.hadamard(b), allow_materialise=allow_both(a, b), properties=properties)
