"""`Quantity["m/s"]` and `Quantity["[length]/[time]"]` as annotations, checked by dimension."""

from typing import Any

from pint.util import ParserHelper

from .._unit.parsing import as_unit
from .._unit.registry import get_registry
from .base import QuantityBase


class _ByDimension(type):
    """Metaclass of annotations: an instance is a quantity of the dimension."""

    _dimension: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, QuantityBase) and instance._unit.dimensionality == cls._dimension
        )


_made: dict[tuple[int, str], type] = {}


def annotation(spec: Any) -> type:
    """A class whose instances are the quantities of a dimension.

    **Arguments**: a unit in pint's grammar, a `pint.Unit`, or dimensions in brackets.

    Works alone and in jaxtyping, `Float[Quantity["m/s"], "n 3"]`, under beartype or typeguard.
    """
    registry = get_registry()
    text = str(spec)
    found = _made.get((id(registry), text))
    if found is None:
        if "[" in text:
            dimension = registry.get_dimensionality(registry.UnitsContainer(_brackets(text)))
        else:
            dimension = as_unit(spec).dimensionality
        name = f'Quantity["{text}"]'
        found = _ByDimension(name, (), {"_dimension": dimension, "__module__": "sciquax.units"})
        _made[id(registry), text] = found
    return found


def _brackets(text: str) -> dict[str, Any]:
    """`[length]/[time]**2` as a dictionary of powers."""
    return dict(ParserHelper.from_string(text).items())
