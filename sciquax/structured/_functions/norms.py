"""Norms and condition numbers."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._matrix import operations
from .._matrix.base import real_dtype
from .function_rule import _inexact, _rule
from .singular import svdvals


def _absolute_sums(x: Any, rows: bool) -> Any:
    """The sum of the absolute values of each row or column, (..., n)."""
    absolute = x.map_multiplicative(jnp.abs, True)
    if absolute is NotImplemented:  # column by column, O(n) numbers at a time
        x = x.transpose() if rows else x
        return x.each_column(lambda column: jnp.sum(jnp.abs(column), -1))
    return absolute.sum_rows() if rows else absolute.sum_columns()


@_rule(jnp.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    ndim = len(x.shape)
    if axis is not None:
        axes = axis if isinstance(axis, tuple) else (axis,)
        if len(axes) == 1 and axes[0] % ndim >= ndim - 2:
            rows = axes[0] % ndim == ndim - 1
            out = _vector_norms(_inexact(x), ord, rows)
            return jnp.expand_dims(out, -1 if rows else -2) if keepdims else out
        if [a % ndim for a in axes] != [ndim - 2, ndim - 1]:
            return NotImplemented
    elif ndim != 2:
        return NotImplemented
    out = _matrix_norm(_inexact(x), ord)
    if out is not NotImplemented and keepdims:
        out = out[..., None, None]
    return out


def _vector_norms(x: Any, ord: Any, rows: bool) -> Any:
    """The norm of each row or column, (..., n): of the stored elements, or one at a time."""
    if ord == 1:
        return _absolute_sums(x, rows)
    if ord in (None, 2):
        squares = x.map_entries(lambda y: jnp.abs(y) ** 2, True)
        if squares is not NotImplemented:
            return jnp.sqrt(squares.sum_rows() if rows else squares.sum_columns())
    x = x.transpose() if rows else x
    return x.each_column(lambda column: jnp.linalg.norm(column, ord, -1))


def _matrix_norm(x: Any, ord: Any) -> Any:
    if ord is None or isinstance(ord, str) and ord == "fro":
        if (own := x.frobenius()) is not NotImplemented:
            return jnp.sqrt(own)
        squares = x.map_entries(lambda y: jnp.abs(y) ** 2, True)
        if squares is NotImplemented:
            if "orthogonal" not in x.known():
                columns = x.each_column(lambda column: jnp.sum(jnp.abs(column) ** 2, -1))
                return jnp.sqrt(jnp.sum(columns, -1))
            return jnp.full(x.batch_shape(), np.sqrt(x.shape[-1]), real_dtype(x.dtype))
        return jnp.sqrt(squares.sum_rows().sum(-1))
    if isinstance(ord, str) and ord == "nuc" or ord in (2, -2):
        values = svdvals(x)
        if values is NotImplemented:
            return NotImplemented
        if isinstance(ord, str):
            return jnp.sum(values, -1)
        return values[..., 0] if ord == 2 else values[..., -1]
    if ord in (1, -1, np.inf, -np.inf):
        sums = _absolute_sums(x, abs(ord) != 1)
        return jnp.max(sums, -1) if ord > 0 else jnp.min(sums, -1)
    return NotImplemented


@_rule(jnp.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    if p is None or p in (2, -2):
        values = svdvals(x)
        if values is NotImplemented:
            return NotImplemented
        first, last = values[..., 0], values[..., -1]
        return last / first if p == -2 else first / last
    a = _inexact(x)
    inverse = operations.inverse(a)
    if inverse is NotImplemented:
        return NotImplemented
    own, other = _matrix_norm(a, p), _matrix_norm(inverse, p)
    return NotImplemented if own is NotImplemented or other is NotImplemented else own * other
