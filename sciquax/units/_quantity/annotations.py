"""`Quantity["m/s"]` and `Quantity["[length]/[time]"]` as annotations, checked by dimension."""

import weakref
from typing import Any

from pint.util import ParserHelper

from .._unit.parsing import as_unit
from .._unit.registry import get_registry
from .._unit.spelling import check_spelling, no_unit
from .base import QuantityBase


class _ByDimension(type):
    """Metaclass of annotations: an instance is a quantity of the dimension."""

    _dimension: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, QuantityBase) and instance._unit.dimensionality == cls._dimension
        )


_made: weakref.WeakKeyDictionary[Any, dict[str, type]] = weakref.WeakKeyDictionary()


def annotation(spec: Any) -> type:
    """A class whose instances are the quantities of a dimension.

    **Arguments**: a unit in pint's grammar, a `pint.Unit`, or dimensions in brackets.

    Works alone and in jaxtyping, `Float[Quantity["m/s"], "n 3"]`, under beartype or typeguard.
    """
    registry = get_registry()
    text = str(spec)
    made = _made.setdefault(registry, {})
    if text not in made:
        members = {"_dimension": dimension_of(spec, registry), "__module__": "sciquax.units"}
        made[text] = _ByDimension(f'Quantity["{text}"]', (), members)
    return made[text]


def dimension_of(spec: Any, registry: Any) -> Any:
    """The dimension that brackets say, `[length]/[time]**2`, or that a unit has."""
    if not isinstance(spec, str) or "[" not in spec:
        return as_unit(spec, registry).dimensionality
    check_spelling(spec, brackets=True)
    try:
        powers = dict(ParserHelper.from_string(spec).items())
        if not all(name.startswith("[") for name in powers):
            raise ValueError("units and dimensions are mixed.")
        return registry.get_dimensionality(registry.UnitsContainer(powers))
    except Exception as error:  # pint has no error of its own for most that is no dimension
        raise no_unit(spec, error) from None
