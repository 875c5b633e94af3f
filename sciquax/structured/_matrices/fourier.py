"""The matrix of the discrete Fourier transform: the eigenvectors of circulant matrices."""

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from .._matrix import operations
from .._matrix.fields import leaf, size, static
from .._matrix.matrix import StructuredMatrix
from .identity import identity_like


class FourierMatrix(StructuredMatrix):
    """The unitary Fourier matrix, exp(2 pi i j k / n) / sqrt(n), or Hartley's real one.

    What `jnp.linalg.eig` and `eigh` give for a circulant matrix. Hartley's has the elements
    (cos + sin)(2 pi j k / n) / sqrt(n), and is its own inverse (R. N. Bracewell, The discrete
    Hartley transform, J. Opt. Soc. Am. 73 (1983)). Products cost O(n log n).

    Its one array, `one`, is there so that batches are counted; its number is never read.
    """

    claims: ClassVar[frozenset[str]] = frozenset({"symmetric", "orthogonal"})

    one: Any = leaf(core_ndim=0)
    n: int = static(converter=size)
    hartley: bool = static(converter=bool, default=False)
    inverse: bool = static(converter=bool, default=False)

    @staticmethod
    def like(a: Any, dtype: Any, hartley: bool = False) -> Any:
        """Of a matrix's size and batch shape."""
        return FourierMatrix.build(
            [jnp.ones(a.batch_shape(), dtype)],
            n=a.shape[-1],
            hartley=hartley,
            inverse=False,
            allow_materialise=a.allow_materialise,
        )

    def known(self) -> frozenset[str]:
        own = StructuredMatrix.known(self)
        return own | {"hermitian"} if self.hartley else own

    def aval(self) -> Any:
        return self.matrix_aval((*self.one.shape, self.n, self.n))

    def matmat(self, x: Any) -> Any:
        batch = np.broadcast_shapes(self.batch_shape(), x.shape[:-2])
        dtype = jnp.promote_types(self.dtype, x.dtype)
        x = jnp.broadcast_to(x, (*batch, *x.shape[-2:])).astype(dtype)
        if self.n < 2:  # XLA's transform of one element refuses some layouts
            return x
        if self.hartley and jnp.issubdtype(dtype, jnp.complexfloating):
            return self.matmat(x.real) + (1j * self.matmat(x.imag)).astype(dtype)
        if self.hartley:
            modes = jnp.fft.fft(x, axis=-2, norm="ortho")
            return (modes.real - modes.imag).astype(dtype)
        transform = jnp.fft.fft if self.inverse else jnp.fft.ifft
        return transform(x, axis=-2, norm="ortho").astype(dtype)

    def solve(self, b: Any) -> Any:
        return self.adjoint().matmat(b)

    def transpose(self) -> Any:
        return self

    def conj(self) -> Any:
        if self.hartley:
            return self
        return self.rebuild(self.arrays(), inverse=not self.inverse, properties=self.properties)

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        one = identity_like(self, self.dtype, allow=True)
        return operations.kept_product(one.scale(s, function), self)

    def convert(self, dtype: Any) -> Any:
        whole = jnp.issubdtype(dtype, jnp.complexfloating) or self.hartley
        if not (whole and jnp.issubdtype(dtype, jnp.inexact)):
            return NotImplemented
        return self.rebuild([self.one.astype(dtype)], properties=self.properties)

    def entries(self, i: Any, j: Any) -> Any:
        turn = (jnp.asarray(i) * jnp.asarray(j)) % max(self.n, 1) * (2 * np.pi / max(self.n, 1))
        imaginary = jnp.sin(turn) if self.hartley else (-1j if self.inverse else 1j) * jnp.sin(turn)
        made = ((jnp.cos(turn) + imaginary) / np.sqrt(max(self.n, 1))).astype(self.dtype)
        return jnp.broadcast_to(made, (*self.batch_shape(), *made.shape))


operations.inverse.register(FourierMatrix)(lambda a: a.adjoint())
