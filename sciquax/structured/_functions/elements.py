"""Diagonals, triangles, the trace and Kronecker products: functions of single elements."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import strip

from .._matrices.kronecker import KroneckerMatrix
from .._matrix import operations
from .._matrix.factor import linalg
from .._matrix.operands import _is, static_number
from .function_rule import _rule

# -- elements -------------------------------------------------------------------------------------


def _offset_diagonal(a: Any, k: int) -> Any:
    m, n = a.shape[-2:]
    length = min(m, n - k) if k >= 0 else min(m + k, n)
    if k == 0:
        return a.diagonal()
    if length > 0 and m == n:
        return a.diagonals_at([k])[k]
    i = np.arange(max(length, 0))
    return a.entries(i + max(0, -k), i + max(0, k))


def _last_two(a: Any, axis1: int, axis2: int) -> tuple[bool, bool]:
    """Whether two axes are the matrix's, and whether in reverse order."""
    ndim = len(a.shape)
    axes = axis1 % ndim, axis2 % ndim
    return set(axes) == {ndim - 2, ndim - 1}, axes[0] > axes[1]


@_rule(jnp.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    matrix, reverse = _last_two(a, axis1, axis2)
    return _offset_diagonal(a, -offset if reverse else offset) if matrix else NotImplemented


@_rule(jnp.diag)
def _diag(v: Any, k: int = 0) -> Any:
    return _offset_diagonal(v, k) if len(v.shape) == 2 else NotImplemented


@_rule(jnp.trace)
def _trace(
    a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None
) -> Any:
    matrix, reverse = _last_two(a, axis1, axis2)
    static = static_number(strip(offset))  # an operand, in `jnp.linalg.trace`
    if not matrix or static is None:
        return NotImplemented
    offset = int(static)
    found = _offset_diagonal(a, -offset if reverse else offset)
    return found if found is NotImplemented else jnp.sum(found, -1, dtype=dtype)


@_rule(jnp.tril)
def _tril(m: Any, k: int = 0) -> Any:
    return operations.band_part(m, None, k)


@_rule(jnp.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return operations.band_part(m, k, None)


@_rule(jnp.kron)
def _kron(a: Any, b: Any) -> Any:
    if len(a.shape) != 2 or len(b.shape) != 2:
        return NotImplemented
    matrices = [x for x in (a, b) if _is(x)]
    dtype = jnp.promote_types(a.dtype, b.dtype)
    factors = [x.convert(dtype) if _is(x) else linalg(lambda y: y.astype(dtype), x) for x in (a, b)]
    return KroneckerMatrix(*factors, allow_materialise=all(x.allow_materialise for x in matrices))
