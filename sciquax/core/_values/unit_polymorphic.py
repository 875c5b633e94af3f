"""Constants that belong to every unit: literal 0, inf and nan, and what is built from them.

JAX's own code is full of them: `where(mask, x, 0)`, `full(n, inf)`, masked reductions, padding,
the start of an accumulation. They are known from the *program* (a literal, and what shape-moving,
converting, multiplying and storing make of it), never from an array's contents, so that nothing
waits for a device and jit changes nothing.

A `UnitPolymorphic` also carries what it would be if its literals were plain numbers, `inner`, used
when nothing else decides: `jnp.zeros(3) * q` leaves in q's unit, `jnp.zeros(3)` as a plain array.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.dtypes import float0

from .._facts import Scaling, facts_of
from .kinds import VALUE_TYPES, aval_of, brief, describe
from .value import Value


class UnitPolymorphic(Value, leaves=("inner",), static=("_static",)):
    """An array of zeros, infinities and nans that takes the unit of whatever it meets."""

    inner: Any
    _static: None

    def __init__(self, inner: Any):
        self.inner = inner
        self._static = None

    def aval(self) -> Any:
        return aval_of(self.inner)

    def __repr__(self) -> str:  # the public name of what makes one
        return f"any_unit({brief(self.inner)})"

    def __short__(self) -> str:
        return f"any_unit({describe(self.inner)})"

    def materialise(self) -> Any:
        return self.inner.materialise() if type(self.inner) in VALUE_TYPES else self.inner

    def as_sliceable(self) -> Any:
        plain = type(self.inner) not in VALUE_TYPES
        return self if plain else UnitPolymorphic(self.inner.as_sliceable())

    def as_element(self, leaves: Sequence[Any]) -> Any:
        plain = type(self.inner) not in VALUE_TYPES
        return UnitPolymorphic(leaves[0] if plain else self.inner.as_element(leaves))

    def as_stacked(self, leaves: Sequence[Any]) -> Any:
        plain = type(self.inner) not in VALUE_TYPES
        return UnitPolymorphic(leaves[0] if plain else self.inner.as_stacked(leaves))


_INTEGER_LIMITS = frozenset(
    limit for bits in (32, 64) for limit in (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
)


def strip(x: Any) -> Any:
    """Remove the mark of a number that fits every unit; return anything else unchanged."""
    return x.inner if type(x) is UnitPolymorphic else x


def for_rules(operands: Sequence[Any]) -> Sequence[Any]:
    """Operands as rules see them: without marks, unless a type among them asks to see the marks."""
    if any(type(x) in VALUE_TYPES and x.polymorphic_constants for x in map(strip, operands)):
        return operands
    return [*map(strip, operands)]


def is_polymorphic_literal(x: Any) -> bool:
    """Whether a literal of the program belongs to every unit: 0, inf or nan, not a boolean.

    The least and the greatest integer are what JAX's maxima and minima of integers start from.
    """
    if type(x) is float or type(x) is int:
        return x == 0 or not math.isfinite(x) or type(x) is int and x in _INTEGER_LIMITS
    dtype = getattr(x, "dtype", None)
    if dtype is None or dtype in (np.bool_, float0) or getattr(x, "shape", ()) != ():
        return False
    kind = np.dtype(dtype).kind
    if kind in "iufcV" and not isinstance(x, np.void):
        if kind == "i" and int(x) in _INTEGER_LIMITS:
            return True
        number = np.asarray(x).astype(complex if kind == "c" else float)
        return bool(number == 0 or not np.isfinite(number))
    return False


def is_polymorphic_constant(x: np.ndarray) -> bool:
    """Whether an array that the program itself states consists of zeros, infinities and nans."""
    return all(map(is_polymorphic_literal, x.flat))


POWERS = ("pow", "integer_pow")
_ADDITIVE = (Scaling.FIRST, Scaling.JOIN, Scaling.EACH)


def stays_polymorphic(primitive: Any, operands: Sequence[Any]) -> bool:
    """Whether the outputs consist of zeros, infinities and nans because the operands do.

    A product needs one polymorphic factor; a sum, a selection or a copy needs nothing but
    polymorphic data; a quotient needs a polymorphic numerator, a power a polymorphic base, and an
    exponent that is not zero (whoever applies the rule asks).
    """
    if primitive.name in POWERS:
        return type(operands[0]) is UnitPolymorphic
    facts = facts_of(primitive)
    if facts.scaling is Scaling.PRODUCT:
        return any(type(x) is UnitPolymorphic for x in operands)
    if facts.scaling is Scaling.POWER:
        return type(operands[0]) is UnitPolymorphic
    if facts.scaling is Scaling.QUOTIENT:
        return type(operands[0]) is UnitPolymorphic
    if facts.scaling in _ADDITIVE:
        data = [x for i, x in enumerate(operands) if facts.is_data(i)]
        return bool(data) and all(type(x) is UnitPolymorphic for x in data)
    return False
