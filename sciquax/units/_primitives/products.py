"""Products, quotients and powers: units are multiplied."""

import math
from typing import Any

import numpy as np

from sciquax.core import Scaling, bind, describe, facts_of, register_rule, stated_number
from sciquax.core.internal import function_within, open_jaxpr

from .._quantity.arithmetic import (
    Operands,
    Params,
    as_number,
    as_plain,
    linear,
    multiplicative,
    wrap_all,
)
from .._quantity.bare_numbers import has_angle, remember_scale, scaled_by
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity
from .._quantity.trusted_literals import as_factors
from .._unit.errors import DimensionalityError
from .._unit.exponents import rational
from .._unit.parsing import as_unit
from .._unit.unit import InternedUnit, dimensionless


def _product(primitive: Any, operands: Operands, params: Params) -> Any:
    operands = as_factors(operands)
    facts = facts_of(primitive)
    unit = dimensionless()
    for i, x in enumerate(operands):
        if facts.is_data(i):
            own = own_unit(x)
            unit = own if unit.unitless else unit if own.unitless else unit * own
    scale = None
    if primitive.name == "mul":
        unit, scale = _scaled(operands, unit)
    if unit.offset:
        linear(primitive.name, unit)
    magnitudes = [
        magnitude_of(x) if facts.is_data(i) else as_plain(primitive.name, x, "group sizes")
        for i, x in enumerate(operands)
    ]
    out = bind(primitive, *magnitudes, **params)
    remember_scale(out, scale)
    return wrap_all(primitive, out, unit)


_CONVERSIONS = {
    "deg2rad": ("radian", "degree"),
    "radians": ("radian", "degree"),
    "rad2deg": ("degree", "radian"),
    "degrees": ("degree", "radian"),
}


def _scaled(operands: Operands, unit: InternedUnit) -> tuple[InternedUnit, float | None]:
    """The unit of a product of two, and what an angle has been scaled by, if one is stated.

    Within `deg2rad`, where JAX's own code calls it, the factor is radians per degree.
    """
    for x, factor in (operands, operands[::-1]):
        if isinstance(x, Quantity) and x._unit is unit and not isinstance(factor, Quantity):
            if has_angle(unit) and (name := function_within(_CONVERSIONS)) is not None:
                up, down = (as_unit(u, unit.registry) for u in _CONVERSIONS[name])
                return unit * up / down, None
            return unit, scaled_by("mul", unit, x.magnitude, factor)
    return unit, None


def _quotient(primitive: Any, operands: Operands, params: Params) -> Any:
    operands = as_factors(operands)
    numerator, denominator = map(own_unit, operands)
    unit = linear(
        primitive.name, numerator / denominator if not denominator.unitless else numerator
    )
    x, y = map(magnitude_of, operands)
    scale = scaled_by(primitive.name, unit, x, y, -1) if denominator.unitless else None
    out = bind(primitive, x, y, **params)
    remember_scale(out, scale)
    return wrap(out, unit)


def _power(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    degree = facts_of(primitive).degree
    return wrap(bind(primitive, magnitude_of(x), **params), own_unit(x) ** degree)


register_rule(Quantity, Scaling.PRODUCT, _product)
register_rule(Quantity, Scaling.QUOTIENT, _quotient)
register_rule(Quantity, Scaling.POWER, _power)


# -- exceptions -----------------------------------------------------------------------------------


def _integer_pow(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    unit = own_unit(x)
    if not unit.unitless:
        unit = unit ** params["y"]
    return wrap(bind(primitive, magnitude_of(x), **params), unit)


def _pow(primitive: Any, operands: Operands, params: Params) -> Any:
    """The exponent is a number; a dimensional base needs one that the program states.

    Angles, percentages and ratios keep their unit if it is stated, as in squares, and are reduced
    to numbers if not.
    """
    base, exponent = operands
    unit = own_unit(base)
    if own_unit(exponent).gain:  # in `10 ** (gain / 10)` a number of decibels is meant
        multiplicative("pow", own_unit(exponent))
    exponent = as_number("pow", exponent, "an exponent that is a number")
    number = None if unit.unitless else stated_number(exponent, data=not unit.dimensionless)
    if number is not None and np.iscomplexobj(number):  # as JAX makes it beside a complex base
        number = None if number.imag else number.real
    if number is not None and unit.dimensionless and not np.isfinite(number):
        number = None
    if number is None and unit.require_dimensionless():  # perhaps only found to be, by `infer`
        return bind(primitive, as_number("pow", base), exponent, **params)
    if number is None:
        raise DimensionalityError(
            f"`pow` got a base in '{unit}' and an exponent ({describe(exponent)}) that is only "
            "known when the program runs, so that the result's unit is not known.",
            unit.pint,
            dimensionless().pint,
            "Write the exponent as a Python number, or divide the base by a reference scale first.",
        )
    if not np.isfinite(np.float64(number)):
        raise DimensionalityError(
            f"`pow` got a base in '{unit}' and the exponent {number}, for which there is no unit.",
            unit.pint,
            dimensionless().pint,
            "Divide the base by a reference scale first.",
        )
    power = rational(number)
    return wrap(bind(primitive, magnitude_of(base), exponent, **params), unit**power)


def _reduce_prod(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    magnitude, unit = magnitude_of(x), own_unit(x)
    count = math.prod(magnitude.shape[axis] for axis in params["axes"])
    return wrap(bind(primitive, magnitude, **params), unit**count)


def _reduce_window(primitive: Any, operands: Operands, params: Params) -> Any:
    """A product over windows that are all full has a unit; all else is by the function given."""
    x, start = operands if len(operands) == 2 else (None, None)
    jaxpr, _ = open_jaxpr(params["jaxpr"])
    product = [e.primitive.name for e in jaxpr.eqns] == ["mul"] and {*jaxpr.invars} == {
        *jaxpr.eqns[0].invars
    }
    full = not any(map(any, params["padding"]))
    if not (product and full and isinstance(x, Quantity)) or stated_number(start, _is_one) is None:
        return NotImplemented
    unit = own_unit(x) ** math.prod(params["window_dimensions"])
    out = bind(primitive, magnitude_of(x), magnitude_of(start), **params)
    return wrap_all(primitive, out, unit)


def _is_one(number: np.ndarray) -> bool | None:
    return True if number.item() == 1 else None


register_rule(Quantity, "reduce_window", _reduce_window)
register_rule(Quantity, "integer_pow", _integer_pow)
register_rule(Quantity, "pow", _pow)
register_rule(Quantity, "reduce_prod", _reduce_prod)
