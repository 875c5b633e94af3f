"""The identity, and its multiples."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax.numpy as jnp

from .._kernels.bands import Bands
from .._matrix import operations
from .._matrix.base import allow_both, real_dtype
from .._matrix.fields import leaf, size, static
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import checked, surviving
from .bands import BandMatrix
from .diagonal import AnyDiagonal, columns_scaled, positive_root, rows_scaled, same_batch


class IdentityMatrix(AnyDiagonal):
    """The identity matrix.

    **Arguments**: its size `n`, its `dtype` (JAX's default float), `allow_materialise`.

    Its one array, `one`, is there so that batches and mapped axes are counted as for any other
    matrix; its number is never read.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import IdentityMatrix, TridiagonalMatrix
    >>> a = TridiagonalMatrix(jnp.ones(2), jnp.zeros(3), jnp.ones(2))
    >>> (a + 2 * IdentityMatrix(3)).main_diag
    Array([2., 2., 2.], dtype=float32)

    ```
    """

    claims: ClassVar[frozenset[str]] = frozenset(
        {"symmetric", "hermitian", "positive_definite", "orthogonal", "unit_diagonal"}
    )

    arrays_are_entries: ClassVar[bool] = False

    one: Any = leaf(core_ndim=0)
    n: int = static(converter=size)

    def __init__(
        self,
        n: int,
        dtype: Any = None,
        *,
        allow_materialise: bool = False,
        properties: Iterable[str] = (),
    ):
        self.one, self.n = jnp.ones((), dtype), size(n)
        self.allow_materialise, self.properties = allow_materialise, checked(properties)

    def aval(self) -> Any:
        return self.matrix_aval((*self.one.shape, self.n, self.n))

    def diagonals(self) -> Bands:
        return {0: jnp.ones((*self.one.shape, self.n), self.dtype)}

    def matmat(self, x: Any) -> Any:
        batch = jnp.broadcast_shapes(self.batch_shape(), x.shape[:-2])
        x = jnp.broadcast_to(x, (*batch, *x.shape[-2:]))
        return x.astype(jnp.promote_types(x.dtype, self.dtype))

    def matvec(self, x: Any) -> Any:
        return self.matmat(x[..., None])[..., 0]

    def solve(self, b: Any) -> Any:
        return self.matmat(b)

    def slogdet(self) -> Any:
        one = jnp.ones(self.batch_shape(), self.dtype)
        return one, jnp.zeros_like(one.real)

    def det(self) -> Any:
        return jnp.ones(self.batch_shape(), self.dtype)

    def scale(
        self, s: Any, function: Callable[..., Any] = jnp.multiply, properties: str = "scale"
    ) -> Any:
        number = jnp.broadcast_to(
            function(jnp.ones(self.batch_shape(), self.dtype), s), self.batch_shape()
        )
        return ScalarMatrix.of(number, self, surviving(properties, self.known()))

    def apply_spectrum(self, function: Callable[..., Any]) -> Any:
        return self.scale(1, lambda one, _: function(one))


class ScalarMatrix(AnyDiagonal):
    """A multiple of the identity: `2.0 * IdentityMatrix(n)` is one.

    **Arguments**: the `scalar`, of the batch shape; the size `n`; `allow_materialise`.
    """

    scalar: Any = leaf(core_ndim=0)
    n: int = static(converter=size)

    @staticmethod
    def of(scalar: Any, like: Any, properties: Iterable[str] = ()) -> Any:
        """The multiple of the identity of the size of `like`."""
        return ScalarMatrix.build(
            [scalar],
            n=like.shape[-1],
            allow_materialise=like.allow_materialise,
            properties=frozenset(properties),
        )

    def aval(self) -> Any:
        return self.matrix_aval((*self.scalar.shape, self.n, self.n))

    def diagonals(self) -> Bands:
        return {0: jnp.broadcast_to(self.scalar[..., None], (*self.scalar.shape, self.n))}

    def matmat(self, x: Any) -> Any:
        return self.scalar[..., None, None] * x

    def matvec(self, x: Any) -> Any:
        return self.scalar[..., None] * x

    def solve(self, b: Any) -> Any:
        return b / self.scalar[..., None, None]


MULTIPLES = (IdentityMatrix, ScalarMatrix)
"""The types of multiples of the identity."""


def identity_like(a: Any, dtype: Any, allow: bool | None = None) -> IdentityMatrix:
    """The identity of a matrix's size and batch shape."""
    return IdentityMatrix.build(
        [jnp.ones(a.batch_shape(), dtype)],
        n=a.shape[-1],
        allow_materialise=a.allow_materialise if allow is None else allow,
    )


operations.inverse.register(IdentityMatrix)(lambda a: a)
operations.cholesky.register(IdentityMatrix)(lambda a: a)
operations.cholesky.register(ScalarMatrix)(lambda a: a.rebuild([positive_root(a.scalar)]))


@operations.inverse.register(ScalarMatrix)
def _inverse(a: ScalarMatrix) -> ScalarMatrix:
    return a.rebuild([1 / a.scalar], properties=surviving("inverse", a.known()))


@operations.pinv.register(ScalarMatrix)
def _pinv(a: ScalarMatrix, rtol: Any) -> ScalarMatrix:
    zero = a.scalar == 0
    return a.rebuild([jnp.where(zero, 0, 1 / jnp.where(zero, 1, a.scalar))])


@operations.eig.register(AnyDiagonal)
def _eig(a: AnyDiagonal) -> tuple[Any, IdentityMatrix]:
    values = a.diagonal().astype(jnp.promote_types(a.dtype, jnp.complex64))
    return values, identity_like(a, values.dtype)


@operations.lu.register(StructuredMatrix)
def _lu_of_upper(a: Any) -> Any:
    if a.batch_shape() or not a.is_triangular(lower=False):
        return NotImplemented
    return identity_like(a, real_dtype(a.dtype)), identity_like(a, a.dtype), a


def _sum(lhs: Any, rhs: Any, subtract: bool = False) -> Any:
    properties = surviving("sub" if subtract else "add", lhs.known(), rhs.known())
    scalars = [
        m.scalar if isinstance(m, ScalarMatrix) else jnp.ones_like(m.one) for m in (lhs, rhs)
    ]
    total = jnp.subtract(*scalars) if subtract else jnp.add(*scalars)
    return ScalarMatrix.of(total, lhs, properties).rebuild(
        [total], allow_materialise=allow_both(lhs, rhs), properties=properties
    )


def _identity_product(lhs: Any, rhs: Any) -> Any:
    for a, b in ((lhs, rhs), (rhs, lhs)):
        if isinstance(a, IdentityMatrix) and a.dtype == b.dtype and a.batch_shape() == ():
            return b
    if isinstance(lhs, BandMatrix) and isinstance(rhs, BandMatrix):
        return NotImplemented
    return (rows_scaled if isinstance(lhs, IdentityMatrix) else columns_scaled)(lhs, rhs)


def _scalar_product(a: ScalarMatrix, b: Any) -> Any:
    made = b.scale(a.scalar) if same_batch(a, b) else NotImplemented
    if made is NotImplemented:
        return NotImplemented
    return made.rebuild(made.arrays(), allow_materialise=allow_both(a, b))


for _first, _second in itertools.product(MULTIPLES, repeat=2):
    operations.add.register(_first, _second)(_sum)
for _other in (StructuredMatrix, BandMatrix):
    operations.matmul.register(IdentityMatrix, _other)(_identity_product)
    operations.matmul.register(_other, IdentityMatrix)(_identity_product)
for _other in (StructuredMatrix, BandMatrix):
    operations.both_orders(operations.matmul, ScalarMatrix, _other)(_scalar_product)
