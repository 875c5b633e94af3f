"""Products, quotients and powers: units are multiplied."""

import math
from typing import Any

import numpy as np

from sciquax.core import Scaling, bind, describe, facts_of, register_rule, stated_number

from .._quantity.arithmetic import (
    Operands,
    Params,
    as_number,
    as_plain,
    multiplicative,
    radian,
    wrap_all,
)
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
            unit = own if unit.plain else unit if own.plain else unit * own
    if unit.offset:
        multiplicative(primitive.name, unit)
    magnitudes = [
        magnitude_of(x) if facts.is_data(i) else as_plain(primitive.name, x, "group sizes")
        for i, x in enumerate(operands)
    ]
    return wrap_all(primitive, bind(primitive, *magnitudes, **params), unit)


def _quotient(primitive: Any, operands: Operands, params: Params) -> Any:
    operands = as_factors(operands)
    numerator, denominator = map(own_unit, operands)
    unit = multiplicative(
        primitive.name, numerator / denominator if not denominator.plain else numerator
    )
    return wrap(bind(primitive, *map(magnitude_of, operands), **params), unit)


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
    if not unit.plain:
        unit = unit ** params["y"]
    return wrap(bind(primitive, magnitude_of(x), **params), unit)


def _pow(primitive: Any, operands: Operands, params: Params) -> Any:
    """The exponent is a number; a dimensional base needs one that the program states."""
    base, exponent = operands
    unit = own_unit(base)
    exponent = as_number("pow", exponent, "an exponent that is a number")
    if unit.pure:
        return bind(primitive, as_number("pow", base), exponent, **params)
    number = stated_number(exponent, data=True)
    number = None if number is None or np.iscomplexobj(number) else number
    if number is None and unit.must_be_pure():  # found to be a number, by `infer`
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


def _mul(primitive: Any, operands: Operands, params: Params) -> Any:
    """A product; but `deg2rad` and `rad2deg`, of which only a factor is left, are conversions."""
    for x, factor in (operands, operands[::-1]):
        if isinstance(x, Quantity) and (target := _converted_by(factor, x._unit)) is not None:
            return wrap(bind(primitive, *map(magnitude_of, operands), **params), target)
    return _product(primitive, operands, params)


def _converted_by(factor: Any, unit: InternedUnit) -> InternedUnit | None:
    """The other unit of angle that a literal pi/180 or 180/pi converts `unit` to.

    **Raises** `DimensionalityError` for an angle in the wrong one, where it is not known whether
    `deg2rad` was meant or a product.
    """
    if not unit.pure or unit.plain or (number := stated_number(factor, _angle_factor)) is None:
        return None
    degree = as_unit("degree")
    for ratio, source, target in (
        (math.pi / 180, degree, radian()),
        (180 / math.pi, radian(), degree),
    ):
        if math.isclose(number, ratio, rel_tol=1e-3):
            if unit is source:
                return target
            if not _is_angle(unit):
                return None
            raise DimensionalityError(
                f"`mul` got an angle in '{unit}' and a literal {number:.6g}, which takes "
                f"'{source}' to '{target}'.",
                unit.pint,
                source.pint,
                f"A quantity knows its unit: leave the factor out, or write `.to('{target}')`.",
            )
    return None


def _angle_factor(number: np.ndarray) -> float | None:
    """The number that is asked for, if it takes degrees to radians or back."""
    x = float(number.flat[0]) if np.isrealobj(number) else math.nan
    ratios = math.pi / 180, 180 / math.pi
    return x if any(math.isclose(x, ratio, rel_tol=1e-3) for ratio in ratios) else None


def _is_angle(unit: InternedUnit) -> bool:
    """Whether a unit is made of radians: degrees, arcminutes, turns."""
    root = unit.registry.get_root_units(unit.pint)[1]
    return root == radian().pint


register_rule(Quantity, "mul", _mul)
register_rule(Quantity, "integer_pow", _integer_pow)
register_rule(Quantity, "pow", _pow)
register_rule(Quantity, "reduce_prod", _reduce_prod)
