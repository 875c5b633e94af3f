"""Operators and un-jitted functions on quantities, against the same on arrays."""

import jax.numpy as jnp

import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.units import Quantity

from ._timing import Ratio, compare


def twenty_operations(x, y):
    """Ten sums and ten products, quotients between them."""
    for _ in range(10):
        x = x + y
        y = x * y / x
    return x


def run() -> list[Ratio]:
    x, y = jnp.arange(1.0, 4.0), jnp.arange(2.0, 5.0)
    p, q, k = Quantity(x, "m"), Quantity(y, "m"), Quantity(y, "km")
    return [
        compare("quantity + quantity", lambda: x + y, lambda: p + q, number=300, limit=2),
        compare("quantity - quantity", lambda: x - y, lambda: p - q, number=300, limit=2),
        compare("quantity * quantity", lambda: x * y, lambda: p * q, number=300, limit=2),
        compare("quantity / quantity", lambda: x / y, lambda: p / q, number=300, limit=2),
        compare("quantity > quantity", lambda: x > y, lambda: p > q, number=300, limit=2),
        compare("2.0 * quantity", lambda: 2.0 * x, lambda: 2.0 * p, number=300, limit=2),
        compare("metres + kilometres", lambda: x + 1e3 * y, lambda: p + k, number=300, limit=2),
        compare("quantity.sum()", lambda: x.sum(), lambda: p.sum(), number=100, limit=3),
        compare("quantity.T", lambda: x.T, lambda: p.T, number=100, limit=3),
        compare("sciquax.numpy.sum", lambda: jnp.sum(x), lambda: sqnp.sum(p), number=100, limit=2),
        compare(
            "sciquax.numpy.sqrt", lambda: jnp.sqrt(x), lambda: sqnp.sqrt(p), number=100, limit=2
        ),
        compare(
            "30 operations, un-jitted, quaxified",
            lambda: twenty_operations(x, y),
            lambda: quaxify(twenty_operations)(p, q),
            number=5,
        ),
    ]
