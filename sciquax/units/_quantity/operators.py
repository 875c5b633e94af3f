"""Operators on quantities. The common cases directly, everything else through the rules.

`quantity + quantity` costs what `array + array` costs: it does not stage a program. A direct path
exists for sums, products, quotients and comparisons of quantities, arrays and numbers; the algebra
of units is the same functions that the rules use.
"""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pint

from sciquax.core import MODE, VALUE_TYPES, ArrayValue, LocatedError, converter_for, user_line
from sciquax.core.internal import Plain

from .._unit.parsing import as_unit
from .arithmetic import add_units, compared, linear
from .bare_numbers import remember_scale, scaled_by
from .base import QuantityBase, bare, magnitude_of, own_unit, wrap

_ARRAYS = (jax.Array, np.ndarray, np.generic)
_NUMBERS = (int, float, complex)


class Operators(QuantityBase):
    """Operators of [`sciquax.units.Quantity`][]: the common cases run without staging."""

    def _binary(self, name: str, lhs: Any, rhs: Any) -> Any:
        return _DIRECT.get(name, _by_rules)(name, lhs, rhs)

    def __lt__(self, other: Any) -> Plain:
        return _comparison("lt", self, other)

    def __le__(self, other: Any) -> Plain:
        return _comparison("le", self, other)

    def __gt__(self, other: Any) -> Plain:
        return _comparison("gt", self, other)

    def __ge__(self, other: Any) -> Plain:
        return _comparison("ge", self, other)


def _sum(name: str, lhs: Any, rhs: Any) -> Any:
    op = _PYTHON[name]
    if isinstance(lhs, QuantityBase) and isinstance(rhs, QuantityBase):
        unit = lhs._unit
        if rhs._unit is unit and not unit.offset:
            return bare(op(lhs.magnitude, rhs.magnitude), unit)
    if (operands := _direct_operands(lhs, rhs)) is None:
        return _by_rules(name, lhs, rhs)
    with _Located():
        magnitudes, unit = add_units(name, *operands, subtract=name == "sub")
    return wrap(op(*magnitudes), unit)


def _product(name: str, lhs: Any, rhs: Any) -> Any:
    direct = isinstance(lhs, QuantityBase) and isinstance(rhs, QuantityBase)
    if not direct or MODE.staging:
        if (operands := _direct_operands(lhs, rhs)) is None:
            return _by_rules(name, lhs, rhs)
        lhs, rhs = operands
    with _Located():
        a, b = own_unit(lhs), own_unit(rhs)
        scale = None
        if name == "mul":
            unit = a if b.unitless else b if a.unitless else a * b
            if unit.dimensionless and a.unitless != b.unitless:
                x, factor = (rhs, lhs) if a.unitless else (lhs, rhs)
                scale = scaled_by(name, unit, x.magnitude, factor)
        else:
            unit = a if b.unitless else a / b
            if b.unitless and unit.dimensionless and not unit.unitless:
                scale = scaled_by("div", unit, lhs.magnitude, rhs, -1)
        if unit.offset:
            linear("mul" if name == "mul" else "div", unit)
    result = _PYTHON[name](magnitude_of(lhs), magnitude_of(rhs))
    remember_scale(result, scale)
    return result if unit.unitless else bare(result, unit)


def _comparison(name: str, lhs: Any, rhs: Any) -> Any:
    if (operands := _direct_operands(lhs, rhs)) is None:
        return _by_rules(name, lhs, rhs)
    with _Located():
        x, y = compared(name, operands)
    return _PYTHON[name](x, y)


_SUMS = ("add", "sub")
_PRODUCTS = ("mul", "truediv")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_PYTHON = {name: getattr(operator, name) for name in (*_SUMS, *_PRODUCTS, *_COMPARISONS)}
_DIRECT = {
    **dict.fromkeys(_SUMS, _sum),
    **dict.fromkeys(_PRODUCTS, _product),
    **dict.fromkeys(_COMPARISONS, _comparison),
}


def _direct_operands(lhs: Any, rhs: Any) -> tuple[Any, Any] | None:
    """The operands if they need no staging: quantities of plain arrays, arrays and numbers.

    None while a function is being staged,
    where an array may stand for a value.
    """
    if MODE.staging:
        return None
    operands = []
    for x in (lhs, rhs):
        if isinstance(x, QuantityBase):
            if type(x.magnitude) in VALUE_TYPES:
                return None
        elif isinstance(x, _NUMBERS):
            if isinstance(x, bool):
                return None
        elif not isinstance(x, _ARRAYS) or converter_for(type(x)) is not None:
            return None
        operands.append(x)
    return operands[0], operands[1]


class _Located:
    """Gives an error raised within the user's line on the Python stack."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, LocatedError) and error.location is None:
            error.at(user_line())


def _by_rules(name: str, lhs: Any, rhs: Any) -> Any:
    """An operator as the quaxified JAX function, for whatever has no direct path."""
    own: Any
    own, lhs = (lhs, lhs) if isinstance(lhs, QuantityBase) else (rhs, _of_unit(lhs))
    return ArrayValue._binary(own, name, lhs, _of_unit(rhs))


def _of_unit(x: Any) -> Any:
    return bare(jnp.asarray(1.0), as_unit(x)) if isinstance(x, pint.Unit) else x
