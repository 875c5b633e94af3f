"""Operators on quantities. The common cases directly, everything else through the rules.

`quantity + quantity` costs what `array + array` costs: it does not stage a program. A direct path
exists for sums, products, quotients and comparisons of quantities, arrays and numbers; the algebra
of units is the same functions that the rules use.
"""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pint

from sciquax.core import (
    MODE,
    VALUE_TYPES,
    LocatedError,
    adopt,
    call_compiled,
    is_compiled_function,
    quaxify,
    taker_of,
    user_line,
)

from .._unit.parsing import as_unit
from .arithmetic import add_units, multiplicative, unify
from .base import QuantityBase, bare, magnitude_of, own_unit, wrap

_ARRAYS = (jax.Array, np.ndarray, np.generic)
_NUMBERS = (int, float, complex)


class Operators:
    """The operators of [`sciquax.units.Quantity`][]."""

    def __add__(self, other: Any) -> Any:
        return _sum("add", operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _sum("add", operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _sum("sub", operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _sum("sub", operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _product("mul", operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _product("mul", operator.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _product("div", operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _product("div", operator.truediv, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _by_rules(jnp.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _by_rules(jnp.floor_divide, other, self)

    def __mod__(self, other: Any) -> Any:
        return _by_rules(jnp.remainder, self, other)

    def __rmod__(self, other: Any) -> Any:
        return _by_rules(jnp.remainder, other, self)

    def __divmod__(self, other: Any) -> Any:
        return _by_rules(jnp.divmod, self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return _by_rules(jnp.divmod, other, self)

    def __pow__(self, other: Any) -> Any:
        return _by_rules(jnp.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _by_rules(jnp.power, other, self)

    def __matmul__(self, other: Any) -> Any:
        return _by_rules(jnp.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _by_rules(jnp.matmul, other, self)

    def __and__(self, other: Any) -> Any:
        return _by_rules(jnp.bitwise_and, self, other)

    def __or__(self, other: Any) -> Any:
        return _by_rules(jnp.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Any:
        return _by_rules(jnp.bitwise_xor, self, other)

    def __lshift__(self, other: Any) -> Any:
        return _by_rules(jnp.left_shift, self, other)

    def __rshift__(self, other: Any) -> Any:
        return _by_rules(jnp.right_shift, self, other)

    def __lt__(self, other: Any) -> Any:
        return _comparison("lt", operator.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return _comparison("le", operator.le, self, other)

    def __gt__(self, other: Any) -> Any:
        return _comparison("gt", operator.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return _comparison("ge", operator.ge, self, other)

    def __eq__(self, other: Any) -> Any:
        return _comparison("eq", operator.eq, self, other)

    def __ne__(self, other: Any) -> Any:
        return _comparison("ne", operator.ne, self, other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __neg__(self) -> Any:
        return _by_rules(jnp.negative, self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _by_rules(jnp.abs, self)

    def __invert__(self) -> Any:
        return _by_rules(jnp.invert, self)

    def __round__(self, ndigits: int = 0) -> Any:
        return _by_rules(lambda x: jnp.round(x, ndigits), self)


def _sum(name: str, op: Callable, lhs: Any, rhs: Any) -> Any:
    if isinstance(lhs, QuantityBase) and isinstance(rhs, QuantityBase):
        unit = lhs._unit
        if rhs._unit is unit and not unit.offset:
            return bare(op(lhs.magnitude, rhs.magnitude), unit)
    if (operands := _direct_operands(lhs, rhs)) is None:
        return _by_rules(jnp.add if name == "add" else jnp.subtract, lhs, rhs)
    with _Located():
        magnitudes, unit = add_units(name, *operands, subtract=name == "sub")
    return wrap(op(*magnitudes), unit)


def _product(name: str, op: Callable, lhs: Any, rhs: Any) -> Any:
    direct = isinstance(lhs, QuantityBase) and isinstance(rhs, QuantityBase)
    if not direct or MODE.staging:
        if (operands := _direct_operands(lhs, rhs)) is None:
            return _by_rules(jnp.multiply if name == "mul" else jnp.true_divide, lhs, rhs)
        lhs, rhs = operands
    with _Located():
        a, b = own_unit(lhs), own_unit(rhs)
        if name == "mul":
            unit = a if b.plain else b if a.plain else a * b
        else:
            unit = a if b.plain else a / b
        if unit.offset:
            multiplicative(name, unit)
    result = op(magnitude_of(lhs), magnitude_of(rhs))
    return result if unit.plain else bare(result, unit)


def _comparison(name: str, op: Callable, lhs: Any, rhs: Any) -> Any:
    if (operands := _direct_operands(lhs, rhs)) is None:
        return _by_rules(getattr(jnp, _COMPARISONS[name]), lhs, rhs)
    with _Located():
        (x, y), _ = unify(name, operands, finest=True)
    return op(x, y)


_COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "eq": "equal", "ne": "not_equal",
}  # fmt: skip


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
        elif not isinstance(x, _ARRAYS) or taker_of(type(x)) is not None:
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


def _by_rules(function: Callable, *operands: Any) -> Any:
    """An operator as the quaxified JAX function, for whatever has no direct path."""
    given = []
    for x in operands:
        if type(x).__dict__.get("own_operators") and not MODE.staging:
            return NotImplemented  # a value that holds quantities: its operator calls ours
        if isinstance(x, pint.Unit):
            x = bare(jnp.asarray(1.0), as_unit(x))
        else:
            x = adopt(x)
        if type(x) not in VALUE_TYPES and not isinstance(x, (*_ARRAYS, *_NUMBERS)):
            return NotImplemented
        given.append(x)
    if is_compiled_function(function):
        return call_compiled(function, tuple(given), {})
    return quaxify(function)(*given)
