"""`.to`, `.m_as`, `.to_base_units` of arguments inside a quaxified function.

There a quantity is an array of the program: its unit comes when the program is interpreted. These
methods leave primitives that wait for it; what wants the unit itself is told what to do instead.
"""

from collections.abc import Sequence
from typing import Any

from sciquax.core import MODE
from sciquax.core.internal import add_property_of_tracers

from .._quantity.base import own_unit
from .._unit.parsing import as_unit, base_unit
from .._unit.unit import InternedUnit, dimensionless
from .through_contexts import convert_through
from .unit_primitives import Role, unit_given_p, unit_taken_p


class _BaseUnits(Role):
    """The base units of what is converted, which stands as the reference."""

    def due(self, references: Sequence[Any]) -> InternedUnit:
        return base_unit(own_unit(references[0]), self.name or None)


def _to(x: Any, unit: Any, *contexts: Any, **parameters: Any) -> Any:
    target = as_unit(unit)
    if (converted := convert_through(x, target, contexts, parameters)) is not None:
        return converted
    role = Role("to", "its array", True, target)
    return unit_given_p.bind(unit_taken_p.bind(x, role=role), role=role)


def _m_as(x: Any, unit: Any, *contexts: Any, **parameters: Any) -> Any:
    target = as_unit(unit)
    converted = convert_through(x, target, contexts, parameters)
    x = x if converted is None else converted
    return unit_taken_p.bind(x, role=Role("m_as", "its array", True, target))


def _to_base_units(x: Any, system: str | None = None) -> Any:
    role = _BaseUnits("to_base_units", system or "", False, dimensionless())
    return unit_given_p.bind(unit_taken_p.bind(x, x, role=role), x, role=role)


def _method(name: str, function: Any) -> None:
    def method(x: Any) -> Any:
        if not MODE.staging:
            raise AttributeError(f"{type(x).__name__} has no attribute {name}")
        return lambda *args, **kwargs: function(x, *args, **kwargs)

    add_property_of_tracers(name, method)


def _told(name: str) -> None:
    def nothing(x: Any) -> Any:
        message = f"{type(x).__name__} has no attribute {name}"
        if MODE.staging:
            message += (
                ": inside a quaxified function a quantity is an array of the program, whose unit "
                "is not known yet. Use `.to(unit)`, `.m_as(unit)` or `.to_base_units()`, or ask "
                f"for `.{name}` outside of it."
            )
        raise AttributeError(message)

    add_property_of_tracers(name, nothing)


for _name, _function in (("to", _to), ("m_as", _m_as), ("to_base_units", _to_base_units)):
    _method(_name, _function)
for _name in (
    *("units", "u", "magnitude", "m", "dimensionality", "is_compatible_with"),
    *("check", "to_compact", "to_reduced_units", "to_root_units"),
):
    _told(_name)
