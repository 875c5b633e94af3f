"""Sums of products in twice the precision, from arithmetic in one."""

from typing import Any

import jax.numpy as jnp


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b and its rounding error (Knuth, The Art of Computer Programming 2, section 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Any, b: Any) -> tuple[Any, Any]:
    """a b and its rounding error (Dekker, Numerische Mathematik 18 (1971), section 5)."""
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, error


def _halves(x: Any) -> tuple[Any, Any]:
    """Two numbers of half as many digits, whose sum is x."""
    scaled = x * (2.0 ** ((jnp.finfo(x.dtype).nmant + 2) // 2) + 1)
    high = scaled - (scaled - x)
    return high, x - high


def add_product(total: tuple[Any, Any], a: Any, b: Any) -> tuple[Any, Any]:
    """`total` plus a b, where a total is a sum and what rounding took from it."""
    product, error = two_product(a, b)
    high, lost = two_sum(total[0], product)
    return high, total[1] + (lost + error)
