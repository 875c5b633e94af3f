"""Circulant matrices."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from .._kernels import spectra
from .._matrix import operations
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .diagonal import as_complex
from .fourier import FourierMatrix
from .identity import MULTIPLES
from .permutation import ascending


class CirculantMatrix(StructuredMatrix):
    """A circulant matrix: element (i, j) is `column[(i - j) % n]`.

    **Arguments**

    - `column`: the first column, (..., n).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    The discrete Fourier transform diagonalises it, so that products, solutions, determinants and
    functions of it cost O(n log n) (Golub and Van Loan, Matrix Computations, 4th ed., 4.8.2).

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.structured import CirculantMatrix
    >>> (CirculantMatrix(jnp.array([0.0, 1.0, 0.0])) @ jnp.array([1.0, 2.0, 3.0])).round(5)
    Array([3., 1., 2.], dtype=float32)

    ```
    """

    arrays_are_entries: ClassVar[bool] = True
    covers_all: ClassVar[bool] = True

    column: Any = leaf(core_ndim=1)

    def aval(self) -> Any:
        return self.matrix_aval((*self.column.shape, self.column.shape[-1]))

    def materialise(self) -> Any:
        n = self.shape[-1]
        if n == 0:
            return jnp.zeros(self.shape, self.dtype)
        return self.entries(np.arange(n)[:, None], np.arange(n)[None, :])

    def spectrum(self) -> Any:
        """The eigenvalues, in the order of the Fourier modes."""
        return jnp.fft.fft(self.column)

    def _multiplied(self, factors: Callable, x: Any) -> Any:
        """Each Fourier mode of `x` (..., n, k) by a function of the spectrum."""
        n = self.shape[-1]
        dtype = jnp.promote_types(self.dtype, x.dtype)
        if n == 1:  # XLA's transform of one element refuses some layouts
            return (factors(self.column)[..., None] * x).astype(dtype)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            modes = factors(jnp.fft.fft(self.column))[..., None] * jnp.fft.fft(x, axis=-2)
            return jnp.fft.ifft(modes, axis=-2).astype(dtype)
        modes = factors(jnp.fft.rfft(_real(self.column)))[..., None]
        out = jnp.fft.irfft(modes * jnp.fft.rfft(_real(x), axis=-2), n, axis=-2)
        return (out if jnp.issubdtype(dtype, jnp.floating) else jnp.round(out)).astype(dtype)

    def matmat(self, x: Any) -> Any:
        return self._multiplied(lambda modes: modes, x)

    def solve(self, b: Any) -> Any:
        return self._multiplied(lambda modes: 1 / modes, b)

    def apply_spectrum(self, function: Callable[..., Any]) -> Any:
        """The function of the matrix (not of its elements): `inv`, `expm`, powers."""
        column = jnp.fft.ifft(function(self.spectrum()))
        if not jnp.issubdtype(self.dtype, jnp.complexfloating):
            column = column.real
        return self.rebuild([column.astype(jnp.promote_types(self.dtype, jnp.float16))])

    def transpose(self) -> Any:
        return self.rebuild([reflected(self.column)], properties=self.properties)

    def diagonal(self) -> Any:
        return jnp.broadcast_to(self.column[..., :1], self.column.shape)

    def entries(self, i: Any, j: Any) -> Any:
        place = (jnp.asarray(i) - jnp.asarray(j)) % self.shape[-1]
        return jnp.take(self.column, place, axis=-1)

    def slogdet(self) -> Any:
        modes = self.spectrum()
        size = jnp.abs(modes)
        sign = jnp.prod(jnp.where(size == 0, modes, modes / jnp.where(size == 0, 1, size)), -1)
        if not jnp.issubdtype(self.dtype, jnp.complexfloating):
            sign = jnp.round(sign.real)
        return sign, jnp.sum(jnp.log(size), -1)

    def times(self, other: "CirculantMatrix") -> Any:
        column = self.matmat(other.column[..., None])[..., 0]
        return self.rebuild(
            [column],
            properties=surviving("matmul", self.known(), other.known()),
            allow_materialise=self.allow_materialise and other.allow_materialise,
        )


def _real(x: Any) -> Any:
    """The DFT takes 32 and 64 bits."""
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)


def reflected(x: Any) -> Any:
    return jnp.concatenate([x[..., :1], jnp.flip(x[..., 1:], -1)], -1)


def _fitted_multiple(m: Any, example: CirculantMatrix) -> CirculantMatrix:
    first = np.arange(m.shape[-1]) == 0
    column = jnp.where(first, m.diagonal(), jnp.zeros((), m.dtype))
    return CirculantMatrix.build_equal(m, [column])


for _cls in MULTIPLES:
    operations.fitted.register(_cls, CirculantMatrix)(_fitted_multiple)
operations.matmul.register(CirculantMatrix, CirculantMatrix)(CirculantMatrix.times)


@operations.inverse.register(CirculantMatrix)
def _inverse(a: CirculantMatrix) -> CirculantMatrix:
    made = a.apply_spectrum(lambda modes: 1 / modes)
    return made.rebuild(made.arrays(), properties=surviving("inverse", a.known()))


@operations.pinv.register(CirculantMatrix)
def _pinv(a: CirculantMatrix, rtol: Any) -> CirculantMatrix:
    return a.apply_spectrum(lambda d: spectra.pseudo_reciprocal(d, rtol, a.shape[-1]))


@operations.svdvals.register(CirculantMatrix)
def _svdvals(a: CirculantMatrix) -> Any:
    """A circulant matrix is normal."""
    return jnp.sort(jnp.abs(a.spectrum()), -1)[..., ::-1]


operations.eigvals.register(CirculantMatrix)(CirculantMatrix.spectrum)
operations.eigvalsh.register(CirculantMatrix)(lambda a: jnp.sort(a.spectrum().real, -1))
operations.expm.register(CirculantMatrix)(lambda a, _: a.apply_spectrum(jnp.exp))
operations.funm.register(CirculantMatrix)(
    lambda a, function: as_complex(a).apply_spectrum(function)
)


@operations.eigh.register(CirculantMatrix)
def _eigh(a: CirculantMatrix) -> tuple[Any, Any]:
    """The vectors are those of Fourier; of a real matrix, whose values come in pairs, Hartley's."""
    real = not jnp.issubdtype(a.dtype, jnp.complexfloating)
    return ascending(a.spectrum().real, FourierMatrix.like(a, a.dtype, hartley=real))


@operations.eig.register(CirculantMatrix)
def _eig(a: CirculantMatrix) -> tuple[Any, Any]:
    values = a.spectrum()
    return values, FourierMatrix.like(a, values.dtype)
