"""The data of a quantity: a magnitude and a unit."""

from typing import Any, TypeVar

import pint

from sciquax.core import ArrayValue, strip

from .._unit.unit import InternedUnit, dimensionless

_set = object.__setattr__
_new = object.__new__
_kind: Any = None


class QuantityBase:
    """The data of [`sciquax.units.Quantity`][], for the modules that define its methods."""

    magnitude: Any
    _unit: InternedUnit

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Note the class that `bare` makes: the first one that is a value."""
        global _kind
        super().__init_subclass__(**kwargs)
        if _kind is None and issubclass(cls, ArrayValue):
            _kind = cls

    @property
    def m(self) -> Any:
        """The magnitude: the array without its unit."""
        return self.magnitude

    @property
    def units(self) -> pint.Unit:
        """The unit, as pint's."""
        return self._unit.pint

    @property
    def u(self) -> pint.Unit:
        """The unit, as pint's."""
        return self._unit.pint

    @property
    def dimensionality(self) -> Any:
        """pint's dimensionality of the unit, such as `[length] / [time]`."""
        return self._unit.dimensionality

    @property
    def dimensionless(self) -> bool:
        """Whether this is a number: also of `km/m`, percent and radians."""
        return self._unit.dimensionless

    @property
    def unitless(self) -> bool:
        """Whether the unit is exactly dimensionless."""
        return self._unit.unitless


Q = TypeVar("Q", bound=QuantityBase)
"""A quantity that a method returns another of its class for."""


def bare(magnitude: Any, unit: InternedUnit) -> Any:
    """A quantity without any checks: `__init__` costs more than an addition."""
    q = _new(_kind)
    _set(q, "magnitude", magnitude)
    _set(q, "_unit", unit)
    return q


def own_unit(x: Any) -> InternedUnit:
    """An operand's unit, where a polymorphic constant counts as what its literals give it."""
    x = strip(x)
    return x._unit if isinstance(x, QuantityBase) else dimensionless()


def magnitude_of(x: Any) -> Any:
    """An operand without its unit."""
    x = strip(x)
    return x.magnitude if isinstance(x, QuantityBase) else x


def wrap(magnitude: Any, unit: InternedUnit) -> Any:
    """A quantity, or a plain array where the unit is exactly dimensionless."""
    return magnitude if unit.unitless else bare(magnitude, unit)
