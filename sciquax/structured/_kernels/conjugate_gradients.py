"""Conjugate gradients with a preconditioner, for all right-hand sides and systems side by side."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax


def conjugate_gradients(
    times: Callable[[Any], Any], precondition: Callable[[Any], Any], b: Any
) -> Any:
    """The solution for right-hand sides (..., n, k) of a positive definite system, O(n) memory.

    Golub and Van Loan, Matrix Computations, 4th ed., section 11.5.2. It ends where the residual has
    a few units in the last place of b, or after 2 n steps, so that the caller checks what it found.
    """
    eps = float(jnp.finfo(b.dtype).eps)
    dot = lambda x, y: jnp.sum(jnp.conj(x) * y, -2, keepdims=True)  # noqa: E731
    goal = 4 * eps * jnp.sqrt(dot(b, b).real)
    most = 2 * b.shape[-2]

    def going(state: Any) -> Any:
        _, residual, *_, count = state
        return (count < most) & jnp.any(jnp.sqrt(dot(residual, residual).real) > goal)

    def step(state: Any) -> Any:
        x, residual, direction, size, count = state
        image = times(direction)
        along = dot(direction, image)
        length = jnp.where(along == 0, 0, size / jnp.where(along == 0, 1, along))
        x, residual = x + length * direction, residual - length * image
        near = precondition(residual)
        new = dot(residual, near)
        ratio = jnp.where(size == 0, 0, new / jnp.where(size == 0, 1, size))
        return x, residual, near + ratio * direction, new, count + 1

    near = precondition(b)
    start = jnp.zeros_like(b), b, near, dot(b, near), jnp.zeros((), jnp.int32)
    return lax.while_loop(going, step, start)[0]


def solved(times: Callable[[Any], Any], x: Any, b: Any, size: Any) -> Any:
    """Whether the residual is one of rounding, beside a bound of the product's `size`."""
    residual = jnp.max(jnp.abs(b - times(x)), initial=0)
    scale = size * jnp.max(jnp.abs(x), initial=0) + jnp.max(jnp.abs(b), initial=0)
    return residual <= 32 * float(jnp.finfo(b.dtype).eps) * scale
