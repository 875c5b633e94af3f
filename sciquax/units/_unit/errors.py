"""pint's exceptions, subclassed: they also name the primitive and the user's line."""

import difflib
import re
from typing import Any

import pint

from sciquax.core import LocatedError

from .spelling import quoted


class DimensionalityError(LocatedError, pint.DimensionalityError):
    """Two units of different dimensions met, or a quantity was given where a number was expected.

    **Attributes**: pint's `units1`, `units2`, `dim1`, `dim2`; `location`, the user's line;
    `remedy`.
    """

    def __init__(self, message: str, units1: Any = "", units2: Any = "", remedy: str = ""):
        dims = {"dim1": _dimensionality(units1), "dim2": _dimensionality(units2)}
        super().__init__(message, remedy, units1=units1, units2=units2, **dims)


class UndefinedUnitError(LocatedError, pint.UndefinedUnitError):
    """The registry does not know a unit. **Attributes**: `unit_names`, `suggestions`."""

    def __init__(self, unit_names: Any, suggestions: tuple[str, ...] = ()):
        names = [unit_names] if isinstance(unit_names, str) else list(unit_names)
        listed = ", ".join(map(quoted, names[:3]))
        near = ", ".join(f"'{s}'" for s in suggestions)
        super().__init__(
            f"{listed} {'is' if len(names) == 1 else 'are'} not defined in the unit registry.",
            f"Did you mean {near}?" if near else "",
            unit_names=unit_names,
        )
        self.suggestions: tuple[str, ...] = tuple(suggestions)


class OffsetUnitCalculusError(LocatedError, pint.OffsetUnitCalculusError):
    """Arithmetic is ambiguous on a scale with an offset, such as degrees Celsius."""

    def __init__(self, message: str, units1: Any = "", units2: Any = "", remedy: str = ""):
        super().__init__(message, remedy)
        self.units1: Any = units1
        self.units2: Any = units2


class UnknownContextError(LocatedError, KeyError):
    """The unit registry has no context of this name; pint raises KeyError here."""


class MixedRegistriesError(LocatedError, ValueError):
    """Units of two pint registries met. **Attributes**: `unit1`, `unit2`, as text."""

    remedy = (
        "Make all quantities after `sciquax.units.set_registry`, or take one over: "
        "`Quantity(q.to_pint())`."
    )

    def __init__(self, unit1: str, unit2: str):
        super().__init__(f"'{unit1}' and '{unit2}' belong to two pint registries.")
        self.unit1: str = unit1
        self.unit2: str = unit2


def _dimensionality(unit: Any) -> Any:
    return getattr(unit, "dimensionality", "")


def undefined(error: pint.UndefinedUnitError, registry: Any) -> UndefinedUnitError:
    """Our error for pint's, with near names of what the user wrote."""
    names = error.unit_names
    names = (names,) if isinstance(names, str) else tuple(names)
    known = _known_names(registry)
    suggestions: list[str] = []
    for name in names:
        word = re.sub(r"\W", "", name)
        if f"[{word}]" in registry._dimensions:
            suggestions.append(f"[{word}]")
        if len(word) <= 40:
            suggestions += difflib.get_close_matches(word, known, n=3, cutoff=0.7)
    return UndefinedUnitError(error.unit_names, tuple(dict.fromkeys(suggestions)))


_PREFIXES = ("kilo", "milli", "micro", "nano", "centi", "mega", "giga")
_PREFIXED = ("meter", "gram", "second", "ampere", "pascal", "joule", "watt", "newton", "volt")


def _known_names(registry: Any) -> list[str]:
    """Units by name, with the commonest prefixes: the same whatever has been used before.

    pint adds a prefixed unit to its table when it is first met.
    """
    names = [n for n in registry._units if n.isidentifier() and "_times_2_to_the_" not in n]

    def is_prefixed(name: str) -> bool:
        return any(name.startswith(p) and name[len(p) :] in registry._units for p in _PREFIXES)

    plain = [n for n in names if not is_prefixed(n)]
    return [*plain, *(p + n for p in _PREFIXES for n in _PREFIXED if n in registry._units)]
