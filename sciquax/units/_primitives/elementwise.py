"""Rules of quantities for elementwise primitives: one for each scaling, and the exceptions.

The scalings are facts of the primitives, kept in `sciquax/core/_facts.py`.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import Scaling, UnitPolymorphic, bind, facts_of, register_rule

from .._quantity.arithmetic import (
    Operands,
    Params,
    _unify_data,
    add_units,
    as_number,
    as_plain,
    compared,
    linear,
    multiplicative,
    radian,
    unify,
    whole_numbers,
    wrap_all,
)
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity
from .._unit.convert import convert
from .._unit.unit import InternedUnit
from .._unit.whole_numbers import truncated_remainder


def _first(primitive: Any, operands: Operands, params: Params) -> Any:
    """Linear in the data: its unit passes through."""
    facts = facts_of(primitive)
    name = primitive.name
    first = 0 if facts.data is None else facts.data[0]
    unit = own_unit(operands[first])
    if not facts.moves_only:
        linear(name, unit)
    if name == "convert_element_type" and _is_ratio(unit):
        if jnp.issubdtype(params["new_dtype"], jnp.integer):  # which rounds
            return bind(primitive, as_number(name, operands[first]), **params)
    magnitudes = [
        magnitude_of(x) if facts.is_data(i) else as_plain(name, x, "index")
        for i, x in enumerate(operands)
    ]
    out = bind(primitive, *magnitudes, **params)
    if name == "convert_element_type" and params["new_dtype"] == np.bool_:
        return out  # "is it zero", as `jnp.any` asks
    return wrap_all(primitive, out, unit)


def _each(primitive: Any, operands: Operands, params: Params) -> Any:
    """Every output in the unit of its operand."""
    units = [own_unit(x) for x in operands]
    if not facts_of(primitive).moves_only:
        for unit in units:
            multiplicative(primitive.name, unit)
    out = bind(primitive, *map(magnitude_of, operands), **params)
    if not primitive.multiple_results:
        return wrap(out, units[0])
    labelled = [wrap(x, u) for x, u in zip(out, units, strict=True)]
    return [
        UnitPolymorphic(x) if type(y) is UnitPolymorphic else x
        for x, y in zip(labelled, operands, strict=True)
    ]


def _join(primitive: Any, operands: Operands, params: Params) -> Any:
    """The data in one unit, which the output keeps."""
    magnitudes, unit = _unify_data(primitive, operands)
    return wrap_all(primitive, bind(primitive, *magnitudes, **params), unit)


def _compare(primitive: Any, operands: Operands, params: Params) -> Any:
    return bind(primitive, *compared(primitive.name, operands), **params)


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    magnitudes, unit = add_units(primitive.name, *operands, subtract=primitive.name == "sub")
    return wrap(bind(primitive, *magnitudes, **params), unit)


def _predicate(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    if primitive.name == "sign":
        multiplicative("sign", own_unit(x))
    return bind(primitive, magnitude_of(x), **params)


def _is_ratio(unit: InternedUnit) -> bool:
    """Whether a unit is a ratio of units, and no name for a number: km/m, not percent."""
    if type(unit) is not InternedUnit or not unit.dimensionless:
        return False
    return not (unit.unitless or unit.offset or unit.single)


def _round(primitive: Any, operands: Operands, params: Params) -> Any:
    """In the unit that it is in: 12.6 percent becomes 13 percent. A ratio, km/m, is a number."""
    (x,) = operands
    if _is_ratio(own_unit(x)):
        return bind(primitive, as_number(primitive.name, x), **params)
    return wrap(bind(primitive, magnitude_of(x), **params), own_unit(x))


def _pure(primitive: Any, operands: Operands, params: Params) -> Any:
    """Numbers in, numbers out."""
    return bind(primitive, *[as_number(primitive.name, x) for x in operands], **params)


def _angle(primitive: Any, operands: Operands, params: Params) -> Any:
    """An angle or a number in, a number out."""
    (x,) = operands
    return bind(primitive, as_number(primitive.name, x, "angles or numbers"), **params)


def _arc(primitive: Any, operands: Operands, params: Params) -> Any:
    """Radians out, as pint has it."""
    if len(operands) == 1:
        magnitudes = [as_number(primitive.name, operands[0])]
    else:
        magnitudes, unit = unify(primitive.name, operands)
        multiplicative(primitive.name, unit)
    return wrap(bind(primitive, *magnitudes, **params), radian())


def _bits(primitive: Any, operands: Operands, params: Params) -> Any:
    """Bits have no unit."""
    return bind(primitive, *[as_plain(primitive.name, x, "operand") for x in operands], **params)


register_rule(Quantity, Scaling.FIRST, _first)
register_rule(Quantity, Scaling.EACH, _each)
register_rule(Quantity, Scaling.JOIN, _join)
register_rule(Quantity, Scaling.COMPARE, _compare)
register_rule(Quantity, ("add", "sub"), _add)

register_rule(Quantity, Scaling.PREDICATE, _predicate)
register_rule(Quantity, Scaling.ROUND, _round)
register_rule(Quantity, Scaling.PURE, _pure)
register_rule(Quantity, Scaling.ANGLE, _angle)
register_rule(Quantity, Scaling.ARC, _arc)
register_rule(Quantity, Scaling.BITS, _bits)


def _join_differences(primitive: Any, operands: Operands, params: Params) -> Any:
    """`rem`, `complex`: not meaningful on a scale with an offset."""
    if primitive.name == "rem" and (multiple := whole_numbers("rem", operands)) is not None:
        units = [own_unit(x) for x in operands]
        rest = truncated_remainder(magnitude_of(operands[0]), magnitude_of(operands[1]), multiple)
        return wrap(convert(rest, units[multiple.swapped], units[0]), units[0])
    magnitudes, unit = _unify_data(primitive, operands)
    multiplicative(primitive.name, unit)
    return wrap_all(primitive, bind(primitive, *magnitudes, **params), unit)


register_rule(Quantity, ("rem", "complex", "add_any", "nextafter"), _join_differences)
