"""The factors of an update as plain arrays: multiplied out, and made of a weight."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def principal(
    weight: Any, batch: Sequence[int], rows: Sequence[int], columns: Sequence[int], rank: int
) -> tuple[Any, Any]:
    """The factors of the largest singular values, in the shapes of a `LoraArray`'s `a` and `b`.

    F. Meng et al., *PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large
    Language Models* (2024), section 3.
    """
    sizes = [[weight.shape[d] for d in axes] for axes in (batch, rows, columns)]
    m, n = math.prod(sizes[1]), math.prod(sizes[2])
    matrix = jnp.transpose(weight, (*batch, *rows, *columns)).reshape(*sizes[0], m, n)
    wide = matrix.astype(jnp.float32) if matrix.dtype.itemsize < 4 else matrix
    u, s, vh = jnp.linalg.svd(wide, full_matrices=False)
    root = jnp.sqrt(s[..., :rank])
    a = u[..., :rank] * root[..., None, :]
    b = vh[..., :rank, :] * root[..., :, None]
    # The axes of `a` are in the weight's order, batch axes among them.
    a = a.reshape(*sizes[0], *sizes[1], rank)
    kept = [*batch, *rows]
    order = sorted(range(len(kept)), key=lambda i: kept[i])
    a = jnp.transpose(a, (*order, len(kept)))
    b = b.reshape(*sizes[0], rank, *sizes[2])
    return a.astype(weight.dtype), b.astype(weight.dtype)


def combine(a: Any, b: Any, scaling: float) -> jax.Array:
    """The update from aligned factors: one contraction over the rank."""
    n = a.ndim - 1
    batch = [d for d in range(n) if a.shape[d] == b.shape[d] != 1]
    rows = [d for d in range(n) if d not in batch and a.shape[d] != 1]
    columns = [d for d in range(n) if d not in batch and b.shape[d] != 1]
    used = [*batch, *rows, *columns]
    x = lax.squeeze(a, [d for d in range(n) if d not in batch + rows])
    y = lax.squeeze(b, [d for d in range(n) if d not in batch + columns])

    def places(axes: list[int]) -> dict[int, int]:
        return {d: i for i, d in enumerate(sorted(axes))}

    in_x, in_y = places(batch + rows), places(batch + columns)
    dimensions = (
        ((x.ndim - 1,), (y.ndim - 1,)),
        (tuple(in_x[d] for d in batch), tuple(in_y[d] for d in batch)),
    )
    out = lax.dot_general(x, y, dimensions)
    where = {d: i for i, d in enumerate(used)}
    out = lax.transpose(out, [where[d] for d in sorted(used)])
    out = lax.expand_dims(out, [d for d in range(n) if d not in used])
    return out if scaling == 1.0 else out * scaling
