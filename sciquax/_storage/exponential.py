"""The action of a matrix exponential, by products with the matrix alone."""

from collections.abc import Callable
from typing import Any

import equinox.internal as eqxi
import jax.numpy as jnp
from jax import lax

_DEGREE = 20
_RADIUS = {24: 3.5, 53: 1.4}
"""Norms for which the Taylor polynomial of that degree has a backward error of one unit roundoff,
by the bits of the mantissa."""
_CHECKPOINTS = 32
"""How many states between steps a gradient keeps; it computes the others again."""


def exponential_times(matmat: Callable[[Any], Any], x: Any, norm: Any, mean: Any) -> Any:
    """`expm(A) @ x`, in steps of Taylor's polynomial.

    About 6 norm(A, 1) products with A, or 15 in 64 bits (Al-Mohy and Higham, Computing the Action
    of the Matrix Exponential, SIAM J. Sci. Comput. 33 (2011), algorithm 3.2 with one degree).
    Derivatives are by reverse mode alone: how many steps are taken depends on the numbers.

    **Arguments**: products with A; `x` of shape (*batch, n, k) and of the result's dtype; a bound
    of A's norm and the mean of its diagonal, or zero, of shape (*batch).
    """
    dtype = x.dtype
    # the diagonal's mean is taken out: its exponential is a number, and the norm is least
    norm = lax.stop_gradient(norm + jnp.abs(mean))
    bits = jnp.finfo(dtype).nmant + 1
    steps = jnp.maximum(jnp.ceil(norm / _RADIUS[53 if bits > 24 else 24]), 1)
    steps = jnp.where(jnp.isfinite(steps), steps, 1)
    count = jnp.max(steps).astype(jnp.int32)
    width = 1 / count.astype(jnp.finfo(dtype).dtype)
    factor = jnp.exp(mean * width)[..., None, None]

    def term(carry: Any, k: Any) -> Any:
        y, total = carry
        y = ((matmat(y) - mean[..., None, None] * y) * (width / k)).astype(dtype)
        return (y, total + y), None

    def taylor(y: Any) -> Any:
        orders = jnp.arange(1, _DEGREE + 1, dtype=width.dtype)
        return lax.scan(term, (y, y), orders)[0][1] * factor

    _, out = eqxi.while_loop(
        lambda state: state[0] < count,
        lambda state: (state[0] + 1, taylor(state[1]).astype(dtype)),
        (jnp.zeros((), jnp.int32), x),
        kind="checkpointed",
        checkpoints=_CHECKPOINTS,
    )
    return out
