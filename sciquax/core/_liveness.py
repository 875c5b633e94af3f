"""Which equations of a jaxpr matter, and how long its variables do."""

from typing import Any

from ._compat.jaxprs import Literal
from ._weak_cache import WeakCache


def live_equations(jaxpr: Any) -> set[int]:
    """The ids of the equations that have an effect, or on which the outputs depend."""
    needed = {id(var) for var in jaxpr.outvars}
    live = set()
    for eqn in reversed(jaxpr.eqns):
        if eqn.effects or not needed.isdisjoint(map(id, eqn.outvars)):
            live.add(id(eqn))
            needed.update(map(id, eqn.invars))
    return live


_last_use_cache: WeakCache = WeakCache()


def last_uses(jaxpr: Any) -> list[list[Any]]:
    """For each equation, the variables that nothing needs after it, so that memory is freed."""
    found = _last_use_cache.get(jaxpr, ())
    if found is None:
        seen = {var for var in jaxpr.outvars if type(var) is not Literal}
        found = []
        for eqn in reversed(jaxpr.eqns):
            dead = []
            for var in (*eqn.invars, *eqn.outvars):
                if type(var) is not Literal and var not in seen:
                    seen.add(var)
                    dead.append(var)
            found.append(dead)
        found.reverse()
        _last_use_cache.put(jaxpr, (), found)
    return found
