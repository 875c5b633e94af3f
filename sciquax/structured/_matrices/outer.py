"""Matrices of low rank: products of thin factors."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from sciquax._storage.thin import ThinProduct

from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .diagonal import AnyDiagonal
from .low_rank import LowRankPlusDiagonalMatrix, mm


class LowRankMatrix(StructuredMatrix):
    """The matrix `u @ v` of few columns times few rows, which are never multiplied out.

    **Arguments**

    - `u`: (..., m, rank); `v`: (..., rank, n).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    Of quantities, `v` holds numbers; the unit is that of `u`. What `jnp.outer(u, v)` and `U @ V`
    are to a structured matrix that they are added to. With a diagonal matrix it makes a
    [`sciquax.structured.LowRankPlusDiagonalMatrix`][], with others a sum that has solutions.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import TridiagonalMatrix
    >>> a = TridiagonalMatrix(jnp.ones(3), jnp.full(4, 4.0), jnp.ones(3))
    >>> u, v = jnp.arange(4.0), jnp.array([1.0, 0.0, 2.0, 1.0])
    >>> quaxify(lambda A: (A + jnp.outer(u, v)) @ jnp.ones(4))(a)
    Array([ 5., 10., 14., 17.], dtype=float32)

    ```
    """

    scaled_leaves: ClassVar[tuple[str, ...] | None] = ("u",)
    scaling: ClassVar[str] = "product"

    u: Any = leaf(core_ndim=2)
    v: Any = leaf(core_ndim=2)

    def check(self) -> None:
        if self.u.shape[-1] != self.v.shape[-2]:
            raise ValueError(
                "A `LowRankMatrix` takes u of shape (m, rank) and v of shape (rank, n); got "
                f"{self.u.shape} and {self.v.shape}."
            )

    def aval(self) -> Any:
        return self.matrix_aval((*self.u.shape[:-1], self.v.shape[-1]))

    def matmat(self, x: Any) -> Any:
        return mm(self.u, mm(self.v, x))

    def materialise(self) -> Any:
        return mm(self.u, self.v)

    def transpose(self) -> Any:
        swap = [jnp.swapaxes(x, -1, -2) for x in (self.v, self.u)]
        return self.rebuild(swap, properties=self.properties)

    def entries(self, i: Any, j: Any) -> Any:
        i, j = jnp.broadcast_arrays(i, j)
        columns = jnp.swapaxes(self.v, -1, -2)
        return jnp.sum(jnp.take(self.u, i, axis=-2) * jnp.take(columns, j, axis=-2), -1)

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        return self.rebuild([function(self.u, d[..., None]), self.v])

    def frobenius(self) -> Any:
        """The square of the Frobenius norm, O(n rank^2)."""
        adjoint = lambda x: jnp.conj(jnp.swapaxes(x, -1, -2))  # noqa: E731
        grams = mm(adjoint(self.u), self.u), mm(self.v, adjoint(self.v))
        return jnp.sum(grams[0] * jnp.swapaxes(grams[1], -1, -2), (-2, -1)).real


def low_rank_of(x: Any) -> Any:
    """A product of thin factors as a matrix; anything else as it is."""
    if not isinstance(x, ThinProduct):
        return x
    return LowRankMatrix.build([x.left, x.right], allow_materialise=True)


def with_zero_diagonal(a: LowRankMatrix) -> LowRankPlusDiagonalMatrix:
    none = jnp.zeros(a.u.shape[:-1], a.dtype)
    return LowRankPlusDiagonalMatrix.build_equal(a, [none, a.u, a.v])


@operations.add.register(LowRankMatrix, LowRankMatrix)
def _sum(a: LowRankMatrix, b: LowRankMatrix, subtract: bool = False) -> Any:
    if a.shape[-2:] != b.shape[-2:]:
        return NotImplemented
    batch = np.broadcast_shapes(a.batch_shape(), b.batch_shape())
    grow = lambda x: jnp.broadcast_to(x, (*batch, *x.shape[-2:]))  # noqa: E731
    u = jnp.concatenate([grow(a.u), grow(-b.u if subtract else b.u)], -1)
    v = jnp.concatenate([grow(a.v), grow(b.v)], -2)
    properties = surviving("sub" if subtract else "add", a.known(), b.known())
    return a.rebuild([u, v], allow_materialise=allow_both(a, b), properties=properties)


def _plus(lhs: Any, rhs: Any, subtract: bool = False) -> Any:
    """With a diagonal."""
    if lhs.shape[-2:] != rhs.shape[-2:]:
        return NotImplemented
    lhs, rhs = (with_zero_diagonal(x) if isinstance(x, LowRankMatrix) else x for x in (lhs, rhs))
    return operations.add(lhs, rhs, subtract)


for _other in (AnyDiagonal, LowRankPlusDiagonalMatrix):
    operations.add.register(LowRankMatrix, _other)(_plus)
    operations.add.register(_other, LowRankMatrix)(_plus)


@operations.matmul.register(LowRankMatrix, StructuredMatrix)
def _product(a: LowRankMatrix, b: Any) -> Any:
    v = jnp.swapaxes(b.transpose().matmat(jnp.swapaxes(a.v, -1, -2)), -1, -2)
    return _rebuilt(a, a.u, v, allow_both(a, b))


@operations.matmul.register(StructuredMatrix, LowRankMatrix)
def _product_of(b: Any, a: LowRankMatrix) -> Any:
    return _rebuilt(a, b.matmat(a.u), a.v, allow_both(a, b))


def _rebuilt(a: LowRankMatrix, u: Any, v: Any, allow: bool) -> LowRankMatrix:
    batch = np.broadcast_shapes(u.shape[:-2], v.shape[:-2])
    u, v = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (u, v))
    return a.rebuild([u, v], allow_materialise=allow)


@operations.matmul.register(LowRankMatrix, LowRankMatrix)
def _product_of_two(a: LowRankMatrix, b: LowRankMatrix) -> Any:
    return _rebuilt(a, a.u, mm(mm(a.v, b.u), b.v), allow_both(a, b))


@operations.hadamard.register(LowRankMatrix, LowRankMatrix)
def _hadamard(a: LowRankMatrix, b: LowRankMatrix) -> Any:
    """The columns of one times those of the other (Golub and Van Loan, section 12.3.3)."""
    u = a.u[..., :, None] * b.u[..., None, :]
    v = a.v[..., :, None, :] * b.v[..., None, :, :]
    u, v = u.reshape(*u.shape[:-2], -1), v.reshape(*v.shape[:-3], -1, v.shape[-1])
    return _rebuilt(a, u, v, allow_both(a, b))


@operations.plus_number.register(LowRankMatrix)
@operations.plus_number.register(LowRankPlusDiagonalMatrix)
@operations.plus_number.register(AnyDiagonal)
def _plus_number(a: Any, s: Any) -> Any:
    """A correction of rank one."""
    return operations.add(a, constant_like(a, s))


def constant_like(a: Any, s: Any) -> LowRankMatrix:
    """The matrix of the size of another whose elements are all `s`, a number or one per matrix."""
    s = s if s.ndim == 0 else s[..., None, None]
    u = s * jnp.ones((*a.shape[:-1], 1), a.dtype)
    v = jnp.ones((*a.batch_shape(), 1, a.shape[-1]), a.dtype)
    return LowRankMatrix.build([u, v], allow_materialise=a.allow_materialise)


@operations.norm_bound.register(LowRankMatrix)
def _norm_bound(a: LowRankMatrix) -> Any:
    return jnp.max(jnp.sum(jnp.abs(a.u), -2)[..., None, :] @ jnp.abs(a.v), (-2, -1))
