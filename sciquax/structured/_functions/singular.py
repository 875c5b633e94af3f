"""Singular values and vectors."""

from typing import Any

import jax.numpy as jnp

from .._matrices.identity import identity_like
from .._matrix import operations
from .._matrix.base import real_dtype
from .function_rule import _inexact, _rule
from .uncomputed import Withheld


def svdvals(a: Any) -> Any:
    """In descending order, or NotImplemented."""
    if not a.is_square():
        return NotImplemented
    a = _inexact(a)
    if "orthogonal" in a.known():
        return jnp.ones(a.shape[:-1], real_dtype(a.dtype))
    return operations.svdvals(a)


def svd(a: Any) -> Any:
    """U, the singular values and V^H, or NotImplemented; vectors without structure are withheld."""
    if not a.is_square():
        return NotImplemented
    matrix = _inexact(a)
    if "orthogonal" in matrix.known():
        return matrix, svdvals(matrix), identity_like(matrix, matrix.dtype)
    found = operations.svd(matrix)
    if found is not NotImplemented or a.allow_materialise:
        return found
    values = operations.svdvals(matrix)
    withheld = Withheld.of("svd", a.shape, matrix.dtype)
    return values if values is NotImplemented else (withheld, values, withheld)


@_rule(jnp.linalg.svd)
def _svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: Any = None,
) -> Any:
    if subset_by_index is not None:
        return NotImplemented
    return svd(a) if compute_uv else svdvals(a)


@_rule(jnp.linalg.svdvals)
def _svdvals(x: Any, /) -> Any:
    return svdvals(x)
