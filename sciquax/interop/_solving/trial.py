"""Trying a part of the user's on quantities before it runs on numbers.

A library hands it magnitudes in working units. When JAX traces it, it is first tried on quantities,
whose arithmetic is checked as that of any code: what adds a number of its own to the state means
another thing in other units, and is refused.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from sciquax.core import LocatedError, RuleError, UnitPolymorphic
from sciquax.units.internal import InternedUnit, from_pint

from .edited import edited
from .tree_units import TreeUnits
from .user_functions import call, keep


class _Trial(threading.local):
    """Whether parts of the user's are being tried on quantities, and nothing is to be solved."""

    active = False


TRIAL = _Trial()


def is_own(part: Any) -> bool:
    """Whether the class of a part is neither of Diffrax, of Optimistix nor of this package."""
    package = type(part).__module__.partition(".")[0]
    return package not in ("diffrax", "optimistix", "sciquax")


@contextlib.contextmanager
def _trial() -> Iterator[None]:
    """Have the libraries' own loops and root finders give back what they are given for a while."""
    outer, TRIAL.active = TRIAL.active, True
    try:
        yield
    finally:
        TRIAL.active = outer


def checked(part: Any, name: str, attempt: Callable[..., None], units: Any) -> Any:
    """A part that is tried when its method of this name is called.

    **Arguments**: `attempt` is called on the part, the units, which are hashable, and what the
    method is given.
    """
    return edited(part, _checking(type(part), name, attempt), tried_in=units)


@functools.lru_cache(maxsize=256)
def _checking(cls: type, name: str, attempt: Callable[..., None]) -> type:
    """A subclass whose method first tries the part on quantities, then calls the original."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        attempt(edited(self, cls), self.tried_in, *args, **kwargs)
        return getattr(super(made, self), name)(*args, **kwargs)

    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__annotations__": {"tried_in": Any},
        "tried_in": eqx.field(static=True, default=None, kw_only=True),
        name: method,
    }
    made = type(cls)(cls.__name__, (cls,), namespace)
    return made


def attempt(part: Any, kind: str, function: Callable[..., Any], *given: Any) -> None:
    """**Raises** `RuleError` where a part of the user's does not hold on quantities."""
    with _trial():
        try:
            eqx.filter_eval_shape(lambda *given: call(function, *given, finish=keep), *given)
        except LocatedError as error:
            place, what = error.location, error.what()
        except Exception:  # it does what only numbers do: whether that is right JAX will say
            return
        else:
            return
    raise RuleError(
        f"`{type(part).__name__}`, {kind} of your own, runs on numbers in working units, and means "
        f"another thing in others. Tried on quantities: {what}",
        "Compare with multiples of the state or of `atol`, not with numbers of its own.",
    ).at(place)


def of_every_unit(x: Any) -> Any:
    """A tolerance as a number of every unit: it counts in the units of whatever it meets."""
    return UnitPolymorphic(jnp.asarray(x))


def apart(units: TreeUnits) -> TreeUnits:
    """Units made equal within a dimension, since numbers in m and in cm do not mix."""
    seen: list[InternedUnit] = []

    def told_apart(unit: InternedUnit) -> InternedUnit:
        others = [x for x in seen if x.compatible(unit) and x is not unit]
        seen.append(unit)
        for _ in others:
            unit = unit * from_pint(unit.registry.kelvin, unit.registry)
        return unit

    return units.map(told_apart)
