"""Medians of windows, in a time that does not depend on their size.

The elements' ranks are sorted by one bit after another, the highest first, as in a wavelet matrix
(Claude, Navarro and Ordonez, "The wavelet matrix", Information Systems 47, 2015): how many of a
window have the bit is the difference of two prefix sums, and decides the bit of the rank sought.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def _of_rank(ranks: Any, starts: Any, ends: Any, wanted: Any) -> Any:
    """The rank that is the `wanted`-th smallest of those in each window."""
    n, bits = ranks.shape[0], max(1, int(ranks.shape[0] - 1).bit_length())
    places = jnp.arange(n, dtype=ranks.dtype)

    def level(i: Any, state: Any) -> Any:
        ranks, starts, ends, wanted, found = state
        bit = (ranks >> (bits - 1 - i)) & 1
        zeros = jnp.concatenate([jnp.zeros(1, ranks.dtype), jnp.cumsum(1 - bit)])
        before, upto, all_of = zeros[starts], zeros[ends], zeros[-1]
        one = wanted >= upto - before
        found = 2 * found + one.astype(ranks.dtype)
        wanted = jnp.where(one, wanted - (upto - before), wanted)
        starts = jnp.where(one, all_of + starts - before, before)
        ends = jnp.where(one, all_of + ends - upto, upto)
        order = jnp.where(bit == 1, all_of + places - zeros[:-1], zeros[:-1])
        return ranks.at[order].set(ranks, unique_indices=True), starts, ends, wanted, found

    state = (ranks, starts, ends, wanted, jnp.zeros_like(wanted))
    return lax.fori_loop(0, bits, level, state)[-1]


def _median(x: Any, valid: Any, size: int, before: int, skip: bool) -> Any:
    n = x.shape[0]
    first = np.arange(n, dtype=np.int32) - before
    starts, ends = (jnp.asarray(np.clip(v, 0, n)) for v in (first, first + size))
    seen = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(valid.astype(jnp.int32))])
    count = seen[ends] - seen[starts]
    order = jnp.argsort(x).astype(jnp.int32)
    ranks = jnp.zeros(n, jnp.int32).at[order].set(jnp.arange(n, dtype=jnp.int32))
    middle = [jnp.maximum(k, 0) for k in ((count - 1) // 2, count // 2)]
    low, high = (x[order[_of_rank(ranks, starts, ends, k)]] for k in middle)
    out = jnp.where(low == high, low, (low + high) / 2)
    return jnp.where(count > 0 if skip else count == size, out, jnp.nan)


@partial(jax.jit, static_argnames=("axis", "size", "before", "skip"))
def median(x: Any, axis: int, size: int, before: int, skip: bool) -> Any:
    """The median of the window of each place along an axis; nans are left out, or give nan."""
    moved = jnp.moveaxis(x, axis, -1)
    rows = moved.reshape(-1, moved.shape[-1])
    out = jax.vmap(lambda r, v: _median(r, v, size, before, skip))(rows, ~jnp.isnan(rows))
    return jnp.moveaxis(out.reshape(moved.shape), -1, axis)
