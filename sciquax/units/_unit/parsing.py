"""Units from strings, from pint's and from pickles."""

import copyreg
import math
import weakref
from collections.abc import Callable
from typing import Any

import pint

from sciquax.core import RuleError, user_line

from .errors import undefined
from .registry import PINT, get_registry
from .spelling import as_in_files, check_spelling, no_unit, not_as_pint, quoted
from .unit import InternedUnit, _logarithm_in_product, _normal, difference_unit, intern

_parsed: weakref.WeakKeyDictionary[Any, dict[Any, "InternedUnit"]] = weakref.WeakKeyDictionary()


def definition(unit: InternedUnit) -> tuple[str, str, float]:
    """A unit's name, the unit in root units, and how large it is there: what files say of it."""
    registry = unit.registry
    with PINT:
        root = registry.get_root_units(unit.pint, check_nonmult=False)[1]
        span = unit if not unit.offset else difference_unit(unit) if not unit.logarithmic else None
        factor = 1.0 if span is None else float(registry.convert(1.0, span.pint, root))
    return str(unit.pint), str(root), factor


def defined(
    text: str, root: str, factor: float, registry: Any = None, how: str = "stored"
) -> InternedUnit:
    """A unit by its `definition`, perhaps of a program with other definitions.

    **Arguments**: and the registry, by default the one in use; how it was kept, for the error.

    **Raises** ValueError where it is defined otherwise here.
    """
    unit = as_unit(text, registry)
    _, here, size = definition(unit)
    if here != root or size != factor and not math.isclose(size, factor, rel_tol=1e-12):
        raise ValueError(
            f"'{text}' was {how} as {factor!r} {root}, and is {size!r} {here} in the unit "
            "registry in use."
        )
    return unit


def _restore(text: str, root: str, factor: float) -> InternedUnit:
    """The constructor that pickle calls."""
    return defined(text, root, factor, how="pickled")


def _reduced(unit: InternedUnit) -> Any:
    return _restore, definition(unit)


copyreg.pickle(InternedUnit, _reduced)


UNIT_READERS: list[Callable[[Any], InternedUnit | None]] = []
"""What reads units of other libraries, filled in by `_foreign.py`."""


def as_unit(spec: Any, registry: Any = None) -> InternedUnit:
    """The unit that `spec` names: a string, a `pint.Unit`, or a unit of ours.

    **Arguments**: and the registry that strings are read in, by default the one in use.

    **Raises** `UndefinedUnitError` with near names; ValueError for a string that is not a unit.
    """
    if isinstance(spec, InternedUnit):
        return spec
    registry = get_registry() if registry is None else registry
    if isinstance(spec, str):
        table = _parsed.get(registry)
        found = None if table is None else table.get(spec)
        if found is None:
            with PINT:
                found = _parse(registry, spec)
                _parsed.setdefault(registry, {})[spec] = found
        return found
    if isinstance(spec, pint.Unit):
        return from_pint(spec, registry)
    if spec is None:
        return as_unit("", registry)
    for read in UNIT_READERS:
        if (found := read(spec)) is not None:
            return found
    text = type(spec).__name__
    raise RuleError(
        f"A unit is a string, a `pint.Unit` or another quantity's `.units`, not {text}."
    ).at(user_line())


def _parse(registry: Any, text: str) -> InternedUnit:
    def no_logarithm(error: pint.UndefinedUnitError) -> None:
        if _names_logarithm(error, registry):
            raise _logarithm_in_product(text).at(user_line()) from None

    return read(text, registry, _by_pint, no_logarithm)


def read(
    text: str,
    registry: Any,
    by_pint: Callable[[Any, str], Any],
    look: Callable[[pint.UndefinedUnitError], None] = lambda error: None,
) -> Any:
    """Read a text as pint does, or else in the spellings of files.

    **Arguments**: and who asks pint, and who looks at its error first.
    """
    check_spelling(text)
    text = not_as_pint(text, registry)
    try:
        return by_pint(registry, text)
    except (pint.UndefinedUnitError, ValueError) as error:
        wrong: Exception = error
        if (other := as_in_files(text, registry)) is not None:
            try:
                return by_pint(registry, other)
            except pint.UndefinedUnitError as of_other:
                wrong = error if isinstance(error, pint.UndefinedUnitError) else of_other
            except ValueError:
                pass
        if not isinstance(wrong, pint.UndefinedUnitError):
            raise
        look(wrong)
        raise undefined(wrong, registry).at(user_line()) from None


def _by_pint(registry: Any, text: str) -> InternedUnit:
    try:
        parsed = registry.parse_units(text)
    except pint.UndefinedUnitError:
        raise
    except Exception as error:  # pint has no error of its own for most that is no unit
        why = str(error)
        if "scaling factor" in why:
            why = "it has a factor: `Quantity` reads it as a quantity."
        raise no_unit(text, why) from None
    return intern(registry, _normal(registry, parsed._units))


def _names_logarithm(error: pint.UndefinedUnitError, registry: Any) -> bool:
    """Whether pint looked for the difference unit of a logarithmic one, as it does in a product."""
    names = error.unit_names
    names = [names] if isinstance(names, str) else list(names)
    known = [registry._units.get(name.removeprefix("delta_")) for name in names]
    return any(getattr(d, "is_logarithmic", False) for d in known)


def from_pint(unit: pint.Unit, registry: Any) -> InternedUnit:
    """Intern a `pint.Unit`. One of another registry is accepted if both define it alike."""
    own = unit._REGISTRY
    if own is registry:
        return intern(registry, _normal(registry, unit._units))
    with PINT:
        found = as_unit(str(unit), registry)
        # In root units, which do not depend on either's default system.
        base, our_base = (
            r.get_root_units(u, check_nonmult=False)[1]
            for r, u in ((own, unit), (registry, found.pint))
        )
        # By `convert`: the factor that `get_root_units` gives is stale after a redefinition.
        theirs, ours = own.convert(1.0, unit, base), registry.convert(1.0, found.pint, our_base)
    if not math.isclose(theirs, ours, rel_tol=1e-12) or str(base) != str(our_base):
        raise ValueError(
            f"'{unit}' is defined differently in its own pint registry and in sciquax's. "
            "Call `sciquax.units.set_registry` with the registry you use."
        )
    return found


def base_unit(unit: InternedUnit, system: str | None = None) -> InternedUnit:
    """The base unit of a unit's dimension, in a unit system.

    **Raises** ValueError for a system that the registry does not have.
    """
    registry = unit.registry
    with PINT:
        if system is not None and system not in registry._systems:
            known = ", ".join(sorted(map(str, registry._systems)))
            raise ValueError(
                f"{quoted(str(system))} is not a unit system of the registry, which has: {known}."
            )
        base = registry.get_base_units(unit.pint, check_nonmult=False, system=system)[1]
    return from_pint(base, registry)
