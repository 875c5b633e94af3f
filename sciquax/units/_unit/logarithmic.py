"""Logarithmic units: dB, dBm, Np, pH. Levels, and what may be added to them.

A level is `rate * ln(x / scale)` of a linear quantity x. A *relative* one (dB, Np, octave) is of a
ratio, a gain; the others (dBm, pH) are of something with a unit. Gains add up and may be added to a
level, which multiplies what the level is of. Two levels differ by a gain. Nothing else is defined:
the sum of 30 dBm and 30 dBm could mean 33 dBm, 60 dBm or a square, and is refused. Gains themselves
are numbers of a kind: they have sums, multiples and means. The mean of levels is that of what they
are levels of.
"""

import math
from typing import Any

import jax.numpy as jnp

from sciquax.core import is_value, quaxify

from .errors import OffsetUnitCalculusError
from .parsing import as_unit
from .unit import InternedUnit, difference_unit

# The rates of levels whose differences have a unit: 10 dB, or -2.5 mag, for a factor of ten.
_GAINS = {"decibel": 10.0 / math.log(10.0), "mag": -2.5 / math.log(10.0)}


def to_linear(magnitude: Any, unit: InternedUnit) -> tuple[Any, InternedUnit]:
    """The linear quantity of a floating-point level, and its unit."""
    level = unit.logarithm()

    def linear(x: Any) -> Any:
        if level.base == 10:  # so that 30 dBm is 1000 mW exactly
            ratio = jnp.power(10.0, x / level.factor)
        elif level.base == 2:
            ratio = jnp.exp2(x / level.factor)
        else:
            ratio = jnp.exp(x / level.rate)
        return ratio * level.scale if level.scale != 1.0 else ratio

    return _call(linear, magnitude), level.reference


def from_linear(magnitude: Any, unit: InternedUnit) -> Any:
    """The level in `unit` of a magnitude in the unit that it refers to."""
    level = unit.logarithm()

    def logarithm(x: Any) -> Any:
        ratio = x / level.scale
        if level.base == 10:
            return jnp.log10(ratio) * level.factor
        if level.base == 2:
            return jnp.log2(ratio) * level.factor
        return jnp.log(ratio) * level.rate

    return _call(logarithm, magnitude)


def span_unit(unit: InternedUnit) -> InternedUnit:
    """The unit of differences, of levels too: dB for dBm, delta_degC for degC.

    **Raises** `OffsetUnitCalculusError` for levels whose differences have no unit, such as a pH.
    """
    return (_gain(unit) if unit.level else None) or difference_unit(unit)


def _gain(level: InternedUnit) -> InternedUnit | None:
    for name, rate in _GAINS.items():
        if math.isclose(level.logarithm().rate, rate):
            return as_unit(name, level.registry)
    return None


def _call(function: Any, x: Any) -> Any:
    return (quaxify(function) if is_value(x) else function)(x)


def add_levels(
    name: str, lhs: InternedUnit, rhs: InternedUnit, subtract: bool
) -> tuple[tuple[float, float], tuple[float, float], InternedUnit]:
    """The parts of a sum or difference of two levels.

    **Returns** for each operand the `(factor, offset)` that its magnitude is first converted by,
    and the unit of the result. **Raises** `OffsetUnitCalculusError` where it has none.
    """
    as_it_is = (1.0, 0.0)
    if lhs.logarithmic and rhs.logarithmic:
        a, b = lhs.logarithm(), rhs.logarithm()
        if rhs.gain:
            return as_it_is, (a.rate / b.rate, a.rate * math.log(b.scale)), lhs
        if lhs.gain and not subtract:
            return (b.rate / a.rate, b.rate * math.log(a.scale)), as_it_is, rhs
        if subtract and lhs.compatible(rhs) and (gain := _gain(lhs)) and gain is _gain(rhs):
            return as_it_is, rhs.conversion(lhs), gain
    raise OffsetUnitCalculusError(
        f"`{name}` of '{lhs}' and '{rhs}' is ambiguous: a scale is logarithmic.",
        lhs.pint,
        rhs.pint,
        "Convert to a linear unit first, such as `.to('mW')`; only gains (dB, Np) can be added to "
        "a level.",
    )
