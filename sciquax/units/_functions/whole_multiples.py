"""`jax.numpy`: `//`, `%` and their kin, and common divisors; integers exactly."""

from typing import Any

import jax.numpy as jnp

from .._quantity.arithmetic import (
    multiplicative,
    unify,
    whole_numbers,
)
from .._quantity.base import magnitude_of, own_unit, wrap
from .._unit.convert import convert
from .._unit.whole_numbers import common_divisor, divided, truncated_remainder
from .signature import call, rule


def _whole_multiples(name: str) -> None:
    """Counted in the finer unit, where 5 km holds 5 m a thousand times; in km, 0.005 fits 999."""

    def divide(*operands: Any) -> Any:
        unit = multiplicative(name, unify(name, operands)[1])
        if (multiple := whole_numbers(name, operands)) is not None:
            finest = own_unit(operands[multiple.swapped])
            x, y = map(magnitude_of, operands)
            out = divided(x, y, multiple)
            if name == "fmod":
                out = truncated_remainder(x, y, multiple)
            elif name != "divmod":
                out = out[name != "floor_divide"]
        else:
            magnitudes, finest = unify(name, operands, finest=True)
            out = call(getattr(jnp, name), *magnitudes)
        if name == "floor_divide":
            return out
        *quotient, remainder = out if name == "divmod" else (out,)
        remainder = wrap(convert(remainder, finest, unit), unit)
        return (*quotient, remainder) if quotient else remainder

    rule(f"jax.numpy.{name}")(divide)


for _name in ("floor_divide", "remainder", "mod", "fmod", "divmod"):
    _whole_multiples(_name)


def _common(name: str) -> None:
    """`gcd`, `lcm` of integers in two units: in the finer one."""

    def divisor(x1: Any, x2: Any) -> Any:
        if (multiple := whole_numbers(name, (x1, x2))) is None:
            magnitudes, unit = unify(name, (x1, x2))
            return wrap(call(getattr(jnp, name), *magnitudes), multiplicative(name, unit))
        unit = own_unit((x1, x2)[multiple.swapped])
        x, y = map(magnitude_of, (x1, x2))
        shared = common_divisor(x, y, multiple)
        if name == "gcd":
            return wrap(shared, unit)
        fine, coarse = (y, x) if multiple.swapped else (x, y)
        return wrap(call(_least_multiple, fine, coarse, shared, multiple.times), unit)

    rule(f"jax.numpy.{name}")(divisor)


def _least_multiple(fine: Any, coarse: Any, shared: Any, times: int) -> Any:
    return jnp.abs(fine) // jnp.where(shared == 0, 1, shared) * times * jnp.abs(coarse)


_common("gcd")
_common("lcm")
