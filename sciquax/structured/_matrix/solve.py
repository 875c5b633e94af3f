"""Solving structured systems, with their derivatives."""

from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax.core.internal import default_promotion


def solve(matrix: Any, b: Any) -> Any:
    """The solution x of `matrix @ x = b`, for b of shape (..., n, k), or NotImplemented.

    The derivative is the implicit one, of the solution's own cost: a cotangent needs one system
    with the transpose, and the defining arrays get theirs through the product `matrix @ x`.
    """
    check_sides(matrix, b)
    with default_promotion():
        return _solve(matrix, b)


def check_sides(matrix: Any, b: Any) -> None:
    """**Raises** ValueError unless right-hand sides have as many rows as the matrix."""
    rows = b.shape[-2] if len(b.shape) > 1 else b.shape[0]
    if rows != matrix.shape[-2]:
        raise ValueError(
            f"A system with a matrix of shape {matrix.shape} takes right-hand sides of "
            f"{matrix.shape[-2]} rows; got shape {b.shape}."
        )


def _solve(matrix: Any, b: Any) -> Any:
    """As JAX's triangular systems, 16-bit numbers in 32 bits."""
    dtype = jnp.promote_types(matrix.dtype, b.dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):
        dtype = jnp.promote_types(dtype, jnp.result_type(float))
    computed = jnp.promote_types(dtype, jnp.float32)
    if computed != matrix.dtype:
        matrix = matrix.convert(computed)
    b = b.astype(computed)
    batch = jnp.broadcast_shapes(matrix.batch_shape(), b.shape[:-2])
    b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
    if not matrix.can_solve():
        return NotImplemented
    if matrix.solves_directly():
        return matrix.solve(b).astype(dtype)
    fixed = lax.stop_gradient(matrix)
    x = lax.custom_linear_solve(
        matrix.matmat,
        b,
        lambda _, y: fixed.solve(y),
        lambda _, y: fixed.transpose().solve(y),
    )
    return x.astype(dtype)


def solve_any(matrix: Any, b: Any) -> Any:
    """`solve` for b a vector (..., n) of the matrix's own batch shape, or of shape (..., n, k).

    As `jnp.linalg.solve`, b is a vector if it has one axis.
    """
    check_sides(matrix, b)
    if b.ndim == 1:
        x = solve(matrix, b[:, None])
        return x if x is NotImplemented else x[..., 0]
    return solve(matrix, b)


def solve_sided(matrix: Any, b: Any, params: dict[str, Any]) -> Any:
    """`triangular_solve`'s sides and transposes, for any matrix."""
    if params["transpose_a"]:
        matrix = matrix.transpose()
    if params["conjugate_a"]:
        matrix = matrix.conj()
    if params["left_side"]:
        return solve(matrix, b)
    x = solve(matrix.transpose(), jnp.swapaxes(b, -1, -2))
    return x if x is NotImplemented else jnp.swapaxes(x, -1, -2)
