"""`Quantity["m/s"]` and `Quantity["[length]/[time]"]` as annotations, checked by dimension."""

import weakref
from typing import Any

from pint.util import ParserHelper

from sciquax.core import MODE
from sciquax.core.internal import StagingTracer, ValueMeta, asked_by_the_user

from .._unit.parsing import as_unit
from .._unit.registry import get_registry
from .._unit.spelling import check_spelling, no_unit
from .base import QuantityBase


def _check_asked(cls: type) -> None:
    """**Raises** TypeError where a line of the user's asks a program's array what it will be."""
    if MODE.staging and asked_by_the_user():
        name = getattr(cls, "__name__", "Quantity")
        raise TypeError(
            f"`isinstance(x, {name})` inside a quaxified function cannot be answered: there a "
            "quantity is an array of the program, whose unit is not known yet. Use `.to(unit)`, "
            "`.m_as(unit)` or `.to_base_units()`, or ask outside of it."
        )


_is_instance = ValueMeta.__instancecheck__


class QuantityKind(ValueMeta):
    """Metaclass of [`sciquax.units.Quantity`][]."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type(instance) is StagingTracer:
            _check_asked(cls)
        return _is_instance(cls, instance)


class _ByDimension(type):
    """Metaclass of annotations: an instance is a quantity of the dimension."""

    _dimension: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        if type(instance) is StagingTracer:
            _check_asked(cls)
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
