"""Integers in two units, one a whole multiple of the other: compared and divided exactly.

`x` counts the finer unit and `y` the coarser one, `k` times as large. `k * y` is never formed,
which may be more than an integer of the dtype: 2000000000 s in milliseconds.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sciquax.core import VALUE_TYPES, aval_of, quaxify

from .contexts import redefinitions
from .unit import InternedUnit


class Multiple(NamedTuple):
    """How two units count: the second is `times` the first, or the other way if `swapped`."""

    times: int
    swapped: bool


def whole_multiple(magnitudes: Any, units: Any) -> Multiple | None:
    """How the units of two integer magnitudes count. None of others, and where neither divides."""
    first, second = units
    if first is None or second is None or first is second or first.offset or second.offset:
        return None
    if any(not jnp.issubdtype(aval_of(x).dtype, jnp.integer) for x in magnitudes):
        return None
    if not first.compatible(second) or redefinitions(first) is not None:
        return None
    for coarse, fine, swapped in ((second, first, False), (first, second, True)):
        times = _whole(coarse, fine)
        if times is not None:
            return Multiple(times, swapped)
    return None


def _whole(coarse: InternedUnit, fine: InternedUnit) -> int | None:
    factor = coarse.conversion(fine)[0]
    if not 1.0 <= factor < 1e300:
        return None
    nearest = round(factor)
    return nearest if abs(factor - nearest) <= 1e-14 * factor else None


def _apply(function: Any, *operands: Any) -> Any:
    values = any(type(x) in VALUE_TYPES for x in operands)
    return (quaxify(function) if values else function)(*operands)


def _same_dtype(*operands: Any, grows: bool = False) -> list[Any]:
    """Operands of one dtype; if a result `grows` with the multiple, of 32 bits or more."""
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.promote_types(*(aval_of(x).dtype for x in operands))
    if grows and dtype.itemsize < 4:
        dtype = jnp.dtype("int32")
    return [jnp.asarray(x, dtype) for x in operands]


def _split(x: Any, k: int) -> tuple[Any, Any]:
    """`x // k`, and whether something is left."""
    if k > jnp.iinfo(x.dtype).max:
        return jnp.where(x < 0, -1, 0).astype(x.dtype), x != 0
    floor = x // k
    return floor, floor * k != x


_SWAPPED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def comparable(name: str, x: Any, y: Any, multiple: Multiple) -> tuple[Any, Any]:
    """Two integers that compare, by `name`, as these do in their units."""
    if multiple.swapped:
        y, x = comparable(_SWAPPED[name], y, x, Multiple(multiple.times, False))
        return x, y

    def pair(x: Any, y: Any) -> tuple[Any, Any]:
        x, y = _same_dtype(x, y)
        floor, rest = _split(x, multiple.times)
        if name in ("lt", "ge"):
            return floor, y
        if name in ("gt", "le"):
            return floor + rest.astype(floor.dtype), y
        return floor, jnp.where(rest, ~floor, y)

    return _apply(pair, x, y)


def divided(x: Any, y: Any, multiple: Multiple) -> tuple[Any, Any]:
    """The whole quotient, rounded down, and the remainder in the finer unit."""

    def fine_by_coarse(x: Any, y: Any) -> tuple[Any, Any]:
        x, y = _same_dtype(x, y)
        floor, rest = _split(x, multiple.times)
        quotient = jnp.where(y < 0, floor + rest.astype(floor.dtype), floor) // y
        k = jnp.asarray(multiple.times % 2 ** (8 * x.dtype.itemsize), _unsigned(x)).astype(x.dtype)
        return quotient, x - k * y * quotient  # which wraps around, and back

    def coarse_by_fine(x: Any, y: Any) -> tuple[Any, Any]:
        x, y = _same_dtype(x, y, grows=True)  # 100 km holds 1 m more often than an int8 says
        whole = x // y
        down, size = jnp.where(y < 0, -1, 1).astype(x.dtype), jnp.abs(y)
        quotient, rest = _scaled((x - whole * y) * down, multiple.times, size)
        k = jnp.asarray(multiple.times % 2 ** (8 * x.dtype.itemsize), _unsigned(x)).astype(x.dtype)
        return whole * k + quotient, rest * down

    return _apply(coarse_by_fine if multiple.swapped else fine_by_coarse, x, y)


def _unsigned(x: Any) -> Any:
    return jnp.dtype(f"uint{8 * x.dtype.itemsize}")


def _scaled(x: Any, k: int, y: Any) -> tuple[Any, Any]:
    """`divmod(k * x, y)` for 0 <= x < y, by doubling: no number on the way is larger than y."""
    quotient = rest = jnp.zeros_like(x)
    for bit in f"{k:b}":
        for term in (rest, x) if bit == "1" else (rest,):
            over = rest >= y - term
            quotient = (quotient + quotient if term is rest else quotient) + over.astype(x.dtype)
            rest = jnp.where(over, rest - (y - term), rest + term)
    return quotient, rest


def truncated_remainder(x: Any, y: Any, multiple: Multiple) -> Any:
    """The remainder with the sign of x, in the finer unit, as C and `lax.rem` have it."""

    def of_sizes(x: Any, y: Any) -> Any:
        return jnp.sign(x).astype(x.dtype) * divided(jnp.abs(x), jnp.abs(y), multiple)[1]

    return _apply(of_sizes, x, y)


def common_divisor(x: Any, y: Any, multiple: Multiple) -> Any:
    """The greatest common divisor, in the finer unit."""
    if multiple.swapped:
        x, y = y, x

    def divisor(x: Any, y: Any) -> Any:
        x, y = map(jnp.abs, _same_dtype(x, y, grows=True))
        safe = jnp.where(x == 0, 1, x)
        rest = _scaled(y % safe, multiple.times, safe)[1]
        return jnp.where(x == 0, y * multiple.times, jnp.gcd(x, rest))

    return _apply(divisor, x, y)
