"""`jax.numpy`: conversions of angles, and what wraps around."""

import math
from typing import Any

import jax.numpy as jnp

from .._quantity.arithmetic import (
    multiplicative,
    radian,
    unify,
)
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity
from .._unit.convert import convert
from .._unit.errors import DimensionalityError
from .._unit.parsing import as_unit
from .._unit.unit import dimensionless
from .signature import call, rule


def _angle_conversion(name: str, source: str, target: str) -> None:
    """`deg2rad`: takes what is in degrees, or a number without a unit; the result says radians."""

    def convert_angle(x: Any) -> Any:
        unit, wanted = own_unit(x), as_unit(target)
        if not unit.require_dimensionless() or not unit.unitless and unit is not as_unit(source):
            raise DimensionalityError(
                f"`{name}` takes '{source}', and got '{unit}'.",
                unit.pint,
                as_unit(source).pint,
                f"A quantity knows its unit: write `.to('{target}')`."
                if unit.dimensionless
                else f"Only angles can be converted to '{target}'.",
            )
        return wrap(call(getattr(jnp, name), magnitude_of(x)), wanted)

    rule(f"jax.numpy.{name}")(convert_angle)


for _name in ("deg2rad", "radians"):
    _angle_conversion(_name, "degree", "radian")
for _name in ("rad2deg", "degrees"):
    _angle_conversion(_name, "radian", "degree")


@rule("jax.numpy.angle")
def _angle(z: Any, deg: bool = False) -> Any:
    multiplicative("angle", own_unit(z))
    return wrap(call(jnp.angle, magnitude_of(z), deg), as_unit("degree") if deg else radian())


@rule("jax.numpy.unwrap")
def _unwrap(p: Any, discont: Any = None, axis: int = -1, period: Any = 2 * math.pi) -> Any:
    """The period is a full turn in p's own unit, unless it is given."""
    if isinstance(period, float) and period == 2 * math.pi and own_unit(p).dimensionless:
        full_turn = own_unit(p) if not own_unit(p).unitless else dimensionless()
        period = Quantity(convert(2 * math.pi, radian(), full_turn), full_turn)
    given = [x for x in (p, period, discont) if x is not None]
    magnitudes, unit = unify("unwrap", given)
    multiplicative("unwrap", unit)
    discont = magnitudes[2] if discont is not None else None
    out = call(jnp.unwrap, magnitudes[0], discont=discont, axis=axis, period=magnitudes[1])
    return wrap(out, unit)
