"""Pseudoinverses and least squares."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES

from .._matrices.block_diagonal import BlockDiagonalMatrix
from .._matrices.circulant import CirculantMatrix
from .._matrices.diagonal import DiagonalMatrix
from .._matrices.identity import ScalarMatrix
from .._matrices.kronecker import KroneckerMatrix, linalg
from .._matrix.operands import _is
from .._matrix.properties import surviving
from .function_rule import _inexact, _rule
from .singular import _singular_values
from .uncomputed import Withheld


def _cutoff(values: Any, rtol: Any, n: int) -> Any:
    """The largest singular value that counts as zero, as `jnp.linalg.pinv` has it."""
    if rtol is None:
        rtol = 10.0 * n * jnp.finfo(values.dtype).eps
    return jnp.asarray(rtol, values.dtype) * jnp.max(values, -1, keepdims=True)


@_rule(jnp.linalg.pinv)
def _pinv(a: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Any:
    return pinv(a, rcond if rtol is None else rtol)


def pinv(a: Any, rtol: Any = None) -> Any:
    """The pseudoinverse, or NotImplemented."""
    a = _inexact(a)
    if not a.is_square():
        return NotImplemented
    n = a.shape[-1]

    def reciprocal(values: Any) -> Any:
        size = jnp.abs(values)
        keep = size > _cutoff(size, rtol, n)
        return jnp.where(keep, 1 / jnp.where(keep, values, 1), 0)

    if isinstance(a, DiagonalMatrix):
        return a.rebuild([reciprocal(a.diag)], properties=surviving("inverse", a.known()))
    if isinstance(a, ScalarMatrix):
        return a.rebuild([jnp.where(a.scalar == 0, 0, 1 / jnp.where(a.scalar == 0, 1, a.scalar))])
    if isinstance(a, CirculantMatrix):
        return a.apply_spectrum(reciprocal)
    if isinstance(a, BlockDiagonalMatrix):
        u, s, vh = jnp.linalg.svd(a.blocks, full_matrices=False)
        inverse = reciprocal(a.joined(s)).reshape(s.shape)
        left = jnp.conj(jnp.swapaxes(vh, -1, -2)) * inverse[..., None, :]
        return a.rebuild([jnp.matmul(left, jnp.conj(jnp.swapaxes(u, -1, -2)), precision="highest")])
    if isinstance(a, KroneckerMatrix) and rtol is None:
        return a.rebuild([linalg(jnp.linalg.pinv, x) for x in a.arrays()])
    # The inverse: infinite, or not a number, where the matrix is singular.
    return a.inverse()


@_rule(jnp.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None, *, numpy_resid: bool = False) -> Any:
    if not _is(a) or type(b) in VALUE_TYPES or a.batch_shape() or rcond is not None:
        return NotImplemented
    inverse = pinv(a)
    values = _singular_values(a) if a.is_square() else NotImplemented
    if inverse is NotImplemented or not _is(inverse):
        return NotImplemented
    if values is NotImplemented and a.allow_materialise:
        return NotImplemented
    x = inverse.matvec(b) if b.ndim == 1 else inverse.matmat(b)
    residual = b - (a.matvec(x) if b.ndim == 1 else a.matmat(x))
    squares = jnp.sum(jnp.abs(residual) ** 2, 0, keepdims=b.ndim == 1)
    if numpy_resid:
        squares = jnp.asarray([], squares.dtype)
    if values is NotImplemented:
        real = jnp.finfo(_inexact(a).dtype).dtype
        rank = Withheld.of("lstsq", (), np.dtype(np.int32))
        return x, squares, rank, Withheld.of("lstsq", a.shape[-1:], real)
    rank = jnp.sum(values > jnp.finfo(values.dtype).eps * a.shape[-1] * values[0])
    return x, squares, rank, values
