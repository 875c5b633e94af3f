"""Factors of a matrix, each an array, a matrix or another value."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax.core import VALUE_TYPES, quaxify

from .matrix import StructuredMatrix


def linalg(function: Callable[..., Any], *operands: Any) -> Any:
    """A function of factors that are arrays or values."""
    if any(type(x) in VALUE_TYPES for x in operands):
        return quaxify(function)(*operands)
    return function(*operands)


def dense(x: Any) -> Any:
    return x.materialise() if type(x) in VALUE_TYPES else x


def times(factor: Any, x: Any) -> Any:
    if isinstance(factor, StructuredMatrix):
        return factor.matmat(x)
    return linalg(lambda f, x: jnp.matmul(f, x, precision=lax.Precision.HIGHEST), factor, x)


def solve(factor: Any, b: Any) -> Any:
    if isinstance(factor, StructuredMatrix):
        return factor.solve(b)

    def direct(factor: Any, b: Any) -> Any:
        batch = jnp.broadcast_shapes(factor.shape[:-2], b.shape[:-2])
        factor = jnp.broadcast_to(factor, (*batch, *factor.shape[-2:]))
        return jnp.linalg.solve(factor, jnp.broadcast_to(b, (*batch, *b.shape[-2:])))

    return linalg(direct, factor, b)


def entries(factor: Any, i: Any, j: Any) -> Any:
    if isinstance(factor, StructuredMatrix):
        return factor.entries(i, j)
    return linalg(lambda x: x[..., i, j], factor)


def square(x: Any) -> bool:
    return x.shape[-1] == x.shape[-2]


def swap(x: Any) -> Any:
    return (
        x.transpose()
        if isinstance(x, StructuredMatrix)
        else linalg(lambda x: jnp.swapaxes(x, -1, -2), x)
    )


def outer(x: Any, y: Any) -> Any:
    product = x[..., :, None] * y[..., None, :]
    return product.reshape(*product.shape[:-2], -1)
