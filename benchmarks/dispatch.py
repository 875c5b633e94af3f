"""Calling a compiled function with many quantities: the price of flattening them."""

import jax
import jax.numpy as jnp

from sciquax import quaxify
from sciquax.units import Quantity

from ._timing import Ratio, compare


def total(*args):
    return sum(args[1:], args[0])


def run() -> list[Ratio]:
    arrays = [jnp.arange(3.0) + i for i in range(20)]
    quantities = [Quantity(x, "m") for x in arrays]
    plain, ours = jax.jit(total), jax.jit(quaxify(total))
    return [
        compare(
            "jitted call, 20 arguments",
            lambda: plain(*arrays),
            lambda: ours(*quantities),
            number=200,
        )
    ]
