"""Diagonal matrices."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp

from .._kernels import spectra
from .._kernels.bands import Bands
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .bands import BandMatrix
from .narrowest import Layout, narrowest


def positive_root(d: Any) -> Any:
    """The square root of a Hermitian matrix's pivots: not a number unless they are positive."""
    real = jnp.real(d)
    root = jnp.sqrt(jnp.where(real > 0, real, 1))
    return jnp.where(real > 0, root, jnp.nan).astype(d.dtype)


def as_complex(a: Any) -> Any:
    """The same matrix of complex numbers, as functions of matrices are."""
    return a.convert(jnp.promote_types(a.dtype, jnp.complex64))


class AnyDiagonal(BandMatrix):
    """The base of diagonal matrices, whatever they store."""

    claims: ClassVar[frozenset[str]] = frozenset({"symmetric"})

    def transpose(self) -> Any:
        return self

    def apply_spectrum(self, function: Callable[..., Any]) -> Any:
        """The function of the matrix (not of its elements): `expm`, powers."""
        return self.rebuild([function(x) for x in self.arrays()])


operations.eigvalsh.register(AnyDiagonal)(lambda a: jnp.sort(a.diagonal().real, -1))
operations.svdvals.register(AnyDiagonal)(lambda a: jnp.sort(jnp.abs(a.diagonal()), -1)[..., ::-1])
operations.expm.register(AnyDiagonal)(lambda a, _: a.apply_spectrum(jnp.exp))
operations.matrix_power.register(AnyDiagonal)(lambda a, n: a.apply_spectrum(lambda d: d**n))
operations.funm.register(AnyDiagonal)(lambda a, function: as_complex(a).apply_spectrum(function))


class DiagonalMatrix(AnyDiagonal):
    """A diagonal matrix.

    **Arguments**

    - `diag`: the diagonal, of shape (..., n), the leading axes being batches.
    - `allow_materialise`: whether operations without a structured result may make it dense; else
      they raise `RuleError`.
    - `properties`: what else is known, see `sciquax.structured.PROPERTIES`.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import DiagonalMatrix
    >>> a = DiagonalMatrix(jnp.array([2.0, 4.0]))
    >>> quaxify(jnp.linalg.solve)(a, jnp.array([1.0, 1.0]))
    Array([0.5 , 0.25], dtype=float32)
    >>> quaxify(lambda a: jnp.linalg.inv(a) + jnp.eye(2))(a)
    DiagonalMatrix(diag=[1.5 , 1.25], properties=['hermitian', 'symmetric'])

    ```
    """

    diag: Any = leaf(core_ndim=1)

    def aval(self) -> Any:
        return self.matrix_aval((*self.diag.shape, self.diag.shape[-1]))

    def diagonals(self) -> Bands:
        return {0: self.diag}

    def solve(self, b: Any) -> Any:
        return b / self.diag[..., None]

    def pivots(self) -> Any:
        return self.diag


@operations.inverse.register(DiagonalMatrix)
def _inverse(a: DiagonalMatrix) -> DiagonalMatrix:
    return a.rebuild([1 / a.diag], properties=surviving("inverse", a.known()))


@operations.pinv.register(DiagonalMatrix)
def _pinv(a: DiagonalMatrix, rtol: Any) -> DiagonalMatrix:
    inverse = spectra.pseudo_reciprocal(a.diag, rtol, a.shape[-1])
    return a.rebuild([inverse], properties=surviving("inverse", a.known()))


@operations.cholesky.register(DiagonalMatrix)
def _cholesky(a: DiagonalMatrix) -> DiagonalMatrix:
    return a.rebuild([none_or_all(positive_root(a.diag), -1)])


def none_or_all(x: Any, axes: Any) -> Any:
    """Not a number anywhere, if any along these axes is not: as LAPACK's factors are."""
    failed = jnp.any(jnp.isnan(x), axes, keepdims=True)
    return jnp.where(failed, jnp.nan, x)


def _layout(band: Callable[[int], Any], low: int, high: int) -> Layout:
    return DiagonalMatrix, [band(0)], {}


narrowest[0, 0] = _layout


def same_batch(lhs: Any, rhs: Any) -> bool:
    return lhs.batch_shape() in ((), rhs.batch_shape()) or rhs.batch_shape() == ()


@operations.matmul.register(DiagonalMatrix, StructuredMatrix)
def rows_scaled(lhs: BandMatrix, rhs: Any) -> Any:
    """`lhs @ rhs` for a matrix that is diagonal, if `rhs` stays in its type."""
    made = rhs.scale_rows(lhs.diagonal()) if same_batch(lhs, rhs) else NotImplemented
    if made is NotImplemented:
        return NotImplemented
    return made.rebuild(made.arrays(), allow_materialise=allow_both(lhs, rhs))


@operations.matmul.register(StructuredMatrix, DiagonalMatrix)
def columns_scaled(lhs: Any, rhs: BandMatrix) -> Any:
    """`lhs @ rhs` for a matrix that is diagonal, if `lhs` stays in its type."""
    made = lhs.scale_columns(rhs.diagonal()) if same_batch(lhs, rhs) else NotImplemented
    if made is NotImplemented:
        return NotImplemented
    return made.rebuild(made.arrays(), allow_materialise=allow_both(lhs, rhs))
