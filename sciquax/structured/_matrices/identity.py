"""The identity, and its multiples."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax.numpy as jnp

from .._kernels.bands import Bands
from .._matrix.fields import leaf, static
from .._matrix.properties import checked, surviving
from .bands import BandMatrix
from .diagonal import positive_root


class IdentityMatrix(BandMatrix):
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

    one: Any = leaf(core_ndim=0)
    n: int = static(converter=int)

    def __init__(
        self,
        n: int,
        dtype: Any = None,
        *,
        allow_materialise: bool = False,
        properties: Iterable[str] = (),
    ):
        self.one, self.n = jnp.ones((), dtype), n
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

    def transpose(self) -> Any:
        return self

    def inverse(self) -> Any:
        return self

    def cholesky(self) -> Any:
        return self

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


class ScalarMatrix(BandMatrix):
    """A multiple of the identity: `2.0 * IdentityMatrix(n)` is one.

    **Arguments**: the `scalar`, of the batch shape; the size `n`; `allow_materialise`.
    """

    claims: ClassVar[frozenset[str]] = frozenset({"symmetric"})

    scalar: Any = leaf(core_ndim=0)
    n: int = static(converter=int)

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

    def transpose(self) -> Any:
        return self

    def inverse(self) -> Any:
        return self.rebuild([1 / self.scalar], properties=surviving("inverse", self.known()))

    def cholesky(self) -> Any:
        return self.rebuild([positive_root(self.scalar)])

    def apply_spectrum(self, function: Callable[..., Any]) -> Any:
        return self.rebuild([function(self.scalar)])
