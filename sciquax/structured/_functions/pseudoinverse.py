"""Pseudoinverses and least squares."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES

from .._matrix import operations
from .._matrix.operands import _is
from .function_rule import _inexact, _rule
from .singular import svdvals
from .uncomputed import Withheld


@_rule(jnp.linalg.pinv)
def _pinv(a: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Any:
    return operations.pinv(_inexact(a), rcond if rtol is None else rtol)


@_rule(jnp.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None, *, numpy_resid: bool = False) -> Any:
    if not _is(a) or type(b) in VALUE_TYPES or a.batch_shape() or rcond is not None:
        return NotImplemented
    inverse = operations.pinv(_inexact(a), None)
    if inverse is NotImplemented or not _is(inverse):
        return NotImplemented
    values = svdvals(a)
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
