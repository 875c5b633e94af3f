"""The data of a quantity: a magnitude and a unit."""

from typing import Any

from sciquax.core import ArrayValue

from ._unit import InternedUnit

_set = object.__setattr__
_new = object.__new__
_kind: Any = None


class QuantityBase:
    """What [`sciquax.units.Quantity`][] is to the modules that it is made of."""

    magnitude: Any
    _unit: InternedUnit

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Note the class that `bare` makes: the first one that is a value."""
        global _kind
        super().__init_subclass__(**kwargs)
        if _kind is None and issubclass(cls, ArrayValue):
            _kind = cls


def bare(magnitude: Any, unit: InternedUnit) -> Any:
    """A quantity without any checks: `__init__` costs more than an addition."""
    q = _new(_kind)
    _set(q, "magnitude", magnitude)
    _set(q, "_unit", unit)
    return q
