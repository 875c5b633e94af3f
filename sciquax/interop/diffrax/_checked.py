"""Root finders and adjoints of the user's own: tried on quantities, they then run on numbers.

Diffrax hands them magnitudes in working units. When JAX traces them they are first tried on
quantities, whose arithmetic is checked as that of any code: what adds a number of its own to the
state means another thing in other units, and is refused. Diffrax's and Optimistix's own methods,
which they may call, are not carried out in the trial: see `_hooks`.
"""

import functools
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optimistix

from sciquax.core import LocatedError, RuleError, UnitPolymorphic
from sciquax.units.internal import InternedUnit, from_pint, wrap

from .._solving.edited import edited
from .._solving.tolerances import TreeTolerance
from .._solving.tree_units import TreeUnits, Working
from .._solving.user_functions import call, keep
from ._own_controller import parts_on_quantities
from ._running import is_own, trial


def checked_adjoint(adjoint: Any, working: Working) -> Any:
    """An adjoint that, if its `loop` is the user's, is tried on quantities before it runs."""
    if working.unitless or not is_own(adjoint):
        return adjoint
    return _checked(adjoint, "loop", _try_loop, working)


def checked_root_finder(solver: Any, finder: Any, working: Working) -> Any:
    """A solver whose root finder, if it is the user's, is tried on quantities before it runs."""
    if not _is_own_finder(finder) or working.state.unknown:
        return finder
    # Those of Runge and Kutta find slopes where the last is the first of the next step.
    slopes = isinstance(solver, diffrax.AbstractRungeKutta)
    units = working.rates if slopes else working.differences
    return finder if units.unitless else _checked(finder, "init", _try_steps, units)


def checked_event_finder(finder: Any, time: InternedUnit) -> Any:
    """An event whose root finder, if it is the user's, is tried on quantities before it runs."""
    if not _is_own_finder(finder) or time.unitless:
        return finder
    return _checked(finder, "init", _try_steps, TreeUnits.of(wrap(0.0, time)))


# Optimistix finds roots by minimising, too.
FINDERS = (
    optimistix.AbstractRootFinder,
    optimistix.AbstractLeastSquaresSolver,
    optimistix.AbstractMinimiser,
)


def _is_own_finder(finder: Any) -> bool:
    return isinstance(finder, FINDERS) and is_own(finder)


def _checked(part: Any, name: str, attempt: Callable[..., None], units: Any) -> Any:
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


def _try_loop(adjoint: Any, working: Working, *, init_state: Any, **given: Any) -> None:
    """`loop` on a state in units; Diffrax's own gives it back as it is."""
    units = _apart(working.state)
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
    _try(adjoint, "an adjoint", loop, units.label(init_state.y), *times_of_state, given_times)


def _try_steps(
    finder: Any, units: TreeUnits, fn: Any, y: Any, args: Any, options: Any, f_struct: Any,
    aux_struct: Any, tags: Any,
) -> None:  # fmt: skip
    """Two steps towards a root of a function whose values are in the units of its unknowns.

    A minimiser is given their norm, if they have one unit.
    """
    del fn
    minimises = isinstance(finder, optimistix.AbstractMinimiser)
    if jtu.tree_structure(y) != units.bare or minimises and len(set(units.units)) > 1:
        return
    units = _apart(units) if not minimises else units
    options = {k: units.label(options[k]) for k in ("lower", "upper") if k in options}
    aux = jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), aux_struct)
    atol = getattr(finder, "atol", None)
    if isinstance(atol, TreeTolerance):
        finder = edited(finder, atol=TreeTolerance(jtu.tree_map(_of_every_unit, atol.tree)))
    elif isinstance(atol, float | int | jax.Array):
        finder = edited(finder, atol=_of_every_unit(atol))

    def residual(y: Any, args: Any) -> Any:
        y = jtu.tree_map(lambda x: x + 0.5 * jnp.abs(x), y)
        if not minimises:
            return y, aux
        return jnp.sqrt(sum(jnp.sum(x**2) for x in jtu.tree_leaves(y))), aux

    def steps(finder: Any, first: Any) -> Any:
        done, y = None, first
        state = finder.init(residual, first, args, options, f_struct, aux_struct, tags)
        for _ in range(2):
            done, _ = finder.terminate(residual, y, args, options, state, tags)
            y, state, _ = finder.step(residual, y, args, options, state, tags)
        return jtu.tree_map(jnp.add, first, y), done

    _try(finder, "a root finder", steps, finder, units.label(y))


def _of_every_unit(x: Any) -> Any:
    """A tolerance as a number of every unit: it counts in the units of whatever it meets."""
    return UnitPolymorphic(jnp.asarray(x))


def _apart(units: TreeUnits) -> TreeUnits:
    """Units made equal within a dimension, since numbers in m and in cm do not mix."""
    seen: list[InternedUnit] = []

    def apart(unit: InternedUnit) -> InternedUnit:
        others = [x for x in seen if x.compatible(unit) and x is not unit]
        seen.append(unit)
        for _ in others:
            unit = unit * from_pint(unit.registry.kelvin, unit.registry)
        return unit

    return units.map(apart)


def _try(part: Any, kind: str, function: Callable[..., Any], *given: Any) -> None:
    """**Raises** `RuleError` where a part of the user's does not hold on quantities."""
    with trial():
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
