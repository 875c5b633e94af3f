"""Tridiagonal matrices."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._kernels import thomas
from .._kernels.bands import Bands, pad
from .._matrix import operations
from .._matrix.fields import leaf
from .._matrix.properties import surviving
from .bands import BandMatrix
from .bidiagonal import check_lengths
from .narrowest import Layout, narrowest


class _Tridiagonal(BandMatrix):
    """The base of both tridiagonal types: solutions and determinants."""

    def _diagonals(self) -> tuple[Any, Any, Any]:
        bands = self.diagonals()
        return bands[-1], bands[0], bands[1]

    def solve(self, b: Any) -> Any:
        """LAPACK's `gtsv` (partial pivoting) by `lax.linalg.tridiagonal_solve`.

        For matrices known to be diagonally dominant or positive definite, Thomas' algorithm:
        elimination without pivoting, which is stable for them (Higham, Accuracy and Stability of
        Numerical Algorithms, 2nd ed., section 9.6) and takes two thirds of the time.
        """
        if self.shape[-1] < 3 or b.ndim < 2:
            return BandMatrix.solve(self, b)
        lower, main, upper = self._diagonals()
        batch = np.broadcast_shapes(self.batch_shape(), b.shape[:-2])
        if self.no_pivoting():
            return _without_pivoting(lower, main, upper, b, batch)
        if self.dtype not in (np.float32, np.float64):
            return BandMatrix.solve(self, b)
        n = self.shape[-1]
        padded = [pad(lower, -1, -1), main, pad(upper, 1, -1)]
        padded = [jnp.broadcast_to(x, (*batch, n)) for x in padded]
        b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
        lower, main, upper = padded
        return lax.linalg.tridiagonal_solve(lower, main, upper, b)

    def slogdet(self) -> Any:
        """By the three-term recurrence of the leading minors, scaled at each step.

        The computed value is the determinant of a matrix whose elements differ by a few units in
        the last place: the recurrence rounds each product and sum once (Higham, section 14.6.1).
        Scaling keeps it from overflow; it needs no pivoting, since it never divides by a minor.
        """
        lower, main, upper = (jnp.moveaxis(x, -1, 0) for x in self._diagonals())
        product = jnp.concatenate([jnp.zeros_like(main[:1]), lower * upper])

        def step(carry: Any, x: Any) -> Any:
            minor, before = carry
            d, p = x
            new = d * minor - p * before
            size = lax.stop_gradient(jnp.maximum(jnp.abs(new), jnp.abs(minor)))
            size = jnp.where((size == 0) | ~jnp.isfinite(size), 1, size)
            return (new / size, minor / size), size

        one = jnp.ones_like(main[0])
        (minor, _), sizes = lax.scan(step, (one, jnp.zeros_like(one)), (main, product))
        left = jnp.abs(minor)
        sign = jnp.where(left == 0, minor, minor / jnp.where(left == 0, 1, left))
        return sign, jnp.log(left) + jnp.sum(jnp.log(sizes), 0)

    def inverse_diagonal(self) -> Any:
        """From the pivots of elimination downwards and upwards.

        Meurant, A review on the inverse of symmetric tridiagonal and block tridiagonal matrices,
        SIAM J. Matrix Anal. Appl. 13 (1992), section 2. Without pivoting, as in `solve`.
        """
        if not self.no_pivoting():
            return NotImplemented
        lower, main, upper = (jnp.moveaxis(x, -1, 0) for x in self._diagonals())
        product = lower * upper
        zero = jnp.zeros_like(main[:1])

        def step(pivot: Any, x: Any) -> Any:
            d, p = x
            new = d - p / pivot
            return new, new

        one = jnp.ones_like(main[0])
        down = lax.scan(step, one, (main, jnp.concatenate([zero, product])))[1]
        up = lax.scan(step, one, (main, jnp.concatenate([product, zero])), reverse=True)[1]
        return jnp.moveaxis(1 / (down + up - main), 0, -1)

    def det(self) -> Any:
        sign, log = self.slogdet()
        return sign * jnp.exp(log).astype(sign.dtype)


def _without_pivoting(lower: Any, main: Any, upper: Any, b: Any, batch: tuple[int, ...]) -> Any:
    """Thomas' algorithm for diagonals (..., n) and right-hand sides (..., n, k)."""
    rows = [jnp.broadcast_to(x, (*batch, x.shape[-1])) for x in (lower, main, upper)]
    b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
    if b.shape[-1] == 1:
        return thomas.solve(rows[0], rows[1], rows[2], b[..., 0])[..., None]
    rows = [jnp.moveaxis(x, -1, 0)[..., None] for x in rows]
    return jnp.moveaxis(thomas.thomas(*rows, jnp.moveaxis(b, -2, 0)), 0, -2)


class TridiagonalMatrix(_Tridiagonal):
    """A tridiagonal matrix.

    **Arguments**

    - `lower_diag`: the diagonal below the main one, (..., n - 1).
    - `main_diag`: the main diagonal, (..., n).
    - `upper_diag`: the diagonal above it, (..., n - 1).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.DiagonalMatrix`][].
      `diagonally_dominant` or `positive_definite` lets systems be solved without pivoting.

    Quantities in its arrays make a quantity of a tridiagonal matrix, of one unit.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import TridiagonalMatrix
    >>> a = TridiagonalMatrix(jnp.ones(3), -2 * jnp.ones(4), jnp.ones(3))
    >>> a @ jnp.array([1.0, 2.0, 3.0, 5.0])
    Array([ 0.,  0.,  1., -7.], dtype=float32)
    >>> quaxify(jnp.linalg.solve)(a, jnp.array([0.0, 0.0, 1.0, -7.0])).round(5)
    Array([1., 2., 3., 5.], dtype=float32)

    ```
    """

    lower_diag: Any = leaf(core_ndim=1)
    main_diag: Any = leaf(core_ndim=1)
    upper_diag: Any = leaf(core_ndim=1)

    def check(self) -> None:
        check_lengths(self, lower_diag=1, upper_diag=1)

    def aval(self) -> Any:
        return self.matrix_aval((*self.main_diag.shape, self.main_diag.shape[-1]))

    def diagonals(self) -> Bands:
        return {-1: self.lower_diag, 0: self.main_diag, 1: self.upper_diag}


class SymmetricTridiagonalMatrix(_Tridiagonal):
    """A symmetric tridiagonal matrix.

    **Arguments**

    - `main_diag`: the main diagonal, (..., n).
    - `off_diag`: the diagonals next to it, (..., n - 1).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    Complex numbers make it symmetric, not Hermitian.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import SymmetricTridiagonalMatrix
    >>> a = SymmetricTridiagonalMatrix(2 * jnp.ones(3), -jnp.ones(2))
    >>> quaxify(jnp.linalg.det)(a).round(4)
    Array(4., dtype=float32)

    ```
    """

    claims: ClassVar[frozenset[str]] = frozenset({"symmetric"})

    main_diag: Any = leaf(core_ndim=1)
    off_diag: Any = leaf(core_ndim=1)

    def check(self) -> None:
        check_lengths(self, off_diag=1)

    def aval(self) -> Any:
        return self.matrix_aval((*self.main_diag.shape, self.main_diag.shape[-1]))

    def diagonals(self) -> Bands:
        return {-1: self.off_diag, 0: self.main_diag, 1: self.off_diag}

    def transpose(self) -> Any:
        return self


def _layout(band: Callable[[int], Any], low: int, high: int) -> Layout:
    arrays = [band(-1), band(0), band(1)]
    if arrays[0] is arrays[2]:  # one array was given for both sides
        return SymmetricTridiagonalMatrix, arrays[1:], {}
    return TridiagonalMatrix, arrays, {}


narrowest[-1, 1] = _layout


@operations.symmetrised.register(TridiagonalMatrix)
def _symmetrised(a: TridiagonalMatrix) -> Any:
    """One array for both sides, of real numbers."""
    if a.is_hermitian() or jnp.issubdtype(a.dtype, jnp.complexfloating):
        return NotImplemented
    return SymmetricTridiagonalMatrix.build(
        [a.main_diag, (a.lower_diag + a.upper_diag) / 2],
        allow_materialise=a.allow_materialise,
        properties=surviving("add", a.properties),
    )
