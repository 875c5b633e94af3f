"""Adjoints and root finders of the user's own, which are tried on quantities when JAX traces them.

Diffrax hands them magnitudes in working units. See `trial`.
"""

from typing import Any

import diffrax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.units.internal import InternedUnit, wrap

from .._solving.edited import edited
from .._solving.own_finders import checked_finder
from .._solving.tree_units import TreeUnits, Working
from .._solving.trial import apart, attempt, checked, is_own
from ._own_controller import parts_on_quantities


def checked_adjoint(adjoint: Any, working: Working) -> Any:
    """An adjoint that, if its `loop` is the user's, is tried on quantities before it runs."""
    if working.unitless or not is_own(adjoint):
        return adjoint
    return checked(adjoint, "loop", _try_loop, working)


def checked_root_finder(solver: Any, finder: Any, working: Working) -> Any:
    """A solver whose root finder, if it is the user's, is tried on quantities before it runs."""
    if working.state.unknown:
        return finder
    # Those of Runge and Kutta find slopes where the last is the first of the next step.
    slopes = isinstance(solver, diffrax.AbstractRungeKutta)
    units = working.rates if slopes else working.differences
    return checked_finder(finder, units, units)


def checked_event_finder(finder: Any, time: InternedUnit) -> Any:
    """An event whose root finder, if it is the user's, is tried on quantities before it runs."""
    units = TreeUnits.of(wrap(0.0, time))
    return checked_finder(finder, units, units)


def _try_loop(adjoint: Any, working: Working, *, init_state: Any, **given: Any) -> None:
    """`loop` on a state in units; Diffrax's own gives it back as it is."""
    units = apart(working.state)
    names = ("terms", "solver", "stepsize_controller")
    given |= parts_on_quantities({name: given[name] for name in names}, working)
    times = {name: given.pop(name) for name in ("t0", "t1", "dt0") if given.get(name) is not None}

    def loop(y: Any, tprev: Any, tnext: Any, times: Any) -> Any:
        state = edited(init_state, y=y, tprev=tprev, tnext=tnext)
        final, _ = adjoint.loop(init_state=state, **{"dt0": None, **given, **times})
        return jtu.tree_map(jnp.add, y, final.y), tprev + final.tprev, tnext + final.tnext

    label = lambda t: wrap(t, working.time)  # noqa: E731
    given_times = {name: label(t) for name, t in times.items()}
    times_of_state = label(init_state.tprev), label(init_state.tnext)
    attempt(adjoint, "an adjoint", loop, units.label(init_state.y), *times_of_state, given_times)
