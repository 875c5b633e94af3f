"""Diffrax's own steps and step size controllers, called by a part of the user's on quantities.

A solver of the user's may call another one, `self.solver.step(...)` or `super().step(...)`, and a
controller the one that it wraps. While a part of the user's runs on quantities, those calls pass
through here: what they are given is stripped, what they return is labelled, and in between they run
on magnitudes as they always do. So their tolerances, their root finders and their first step keep
the meaning that they have in a solve by themselves.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import diffrax
import jax.tree_util as jtu
import optimistix

from sciquax.core import MODE
from sciquax.core.internal import add_hook
from sciquax.units.internal import dimensionless, wrap

from .._solving.deferred_calls import deferred
from .._solving.edited import edited
from .._solving.own_finders import hook_finders, methods_of
from .._solving.tolerances import TreeTolerance
from .._solving.tree_units import (
    TreeUnits,
    Working,
    has_quantity,
    time_to_unit,
    tree_to_units,
    without_units,
    working_units,
)
from .._solving.trial import TRIAL
from .._solving.user_functions import call, keep
from ..optimistix import fixed_point, least_squares, minimise, root_find
from ._controllers import TreePIDController, diffrax_controller
from ._on_quantities import terms_on_quantities
from ._own_solver import of
from ._running import RUNNING, running
from ._solution import WorkingState, units_of_state, without_working
from ._solvers import diffrax_solver
from ._staged import terms_without_tracers
from ._terms import crossed, diffrax_terms


def hook_for(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of Diffrax's so that it takes quantities when a user's part calls it."""
    signature = inspect.signature(original)
    owner, _, name = original.__qualname__.rpartition(".")

    def hook(*args: Any, **kwargs: Any) -> Any:
        working = RUNNING.working
        if working is None and not (MODE.staging and _is_implicit(args[0])):
            return original(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        run = _Call(original, f"{owner}.{name}", name, working)
        if not MODE.staging:
            return run.on_quantities(given)
        if "terms" in given:
            given["terms"] = _without_tracers(given)
        return deferred(f"{owner}.{name}", run.on_quantities, run.shapes, given)

    return hook


def _is_implicit(part: Any) -> bool:
    """Whether a step needs roots: on quantities, only with tolerances that count in their units."""
    return isinstance(part, diffrax.AbstractImplicitSolver)


def _without_tracers(given: dict[str, Any]) -> Any:
    t, y, args = without_units((given["t0"], given["y0"], given["args"]))
    if not isinstance(given["terms"], diffrax.AbstractTerm) and not crossed(
        given["terms"], given["self"]
    ):
        return given["terms"]  # of which Diffrax's own solver takes one: it will be said
    return terms_without_tracers(given["terms"], given["self"], t, y, args)


@dataclasses.dataclass(frozen=True)
class _Call:
    """A call of a method of Diffrax's on quantities.

    **Attributes**: the method and its name; and the working units of the solve, None in a step by
    hand, whose own units they are.
    """

    original: Callable[..., Any]
    of: str
    name: str
    working: Working | None

    def on_quantities(self, given: dict[str, Any]) -> Any:
        """The method's result with its units; for other values, the quaxified method's result."""
        if self.working is None and not has_quantity(given):
            return call(lambda given: self.original(**given), given, finish=keep)
        working = self.working or self._units_by_hand(given)
        with running(None):
            bare = self._strip(given, working)
            judged_by_leaf = isinstance(getattr(bare["self"], "atol", None), TreeTolerance)
            if self.name == "adapt_step_size" and judged_by_leaf:
                out = TreePIDController.adapt_step_size(**bare)
            else:
                out = self.original(**bare)
            return self._label(out, working)

    def _units_by_hand(self, given: dict[str, Any]) -> Working:
        """The units of a step within no solve: those of its internal state, which has them."""
        state = units_of_state(given.get("solver_state"))
        return state or working_units(given["t0"], given["y0"], [given["t1"]])

    def shapes(self, given: dict[str, Any]) -> Any:
        """The method's result on bare arrays, before any unit is known."""
        given = {k: v if k == "args" else without_units(v) for k, v in given.items()}
        state = dataclasses.replace(TreeUnits.of(given["y0"]), unknown=True)
        if isinstance(given["self"], diffrax.PIDController):
            given["self"] = edited(given["self"], rtol=1.0, atol=1.0)
        if "func" in given:
            given["func"] = lambda terms, t, y, args: y
        elif "terms" in given:
            given["terms"] = diffrax_terms(
                given["terms"], given["self"], Working(dimensionless(), state)
            )
        with running(None):
            return self.original(**given)

    def _strip(self, given: dict[str, Any], working: Working) -> dict[str, Any]:
        bare = dict(given)
        part = given["self"]
        if isinstance(part, diffrax.AbstractSolver):
            bare["self"] = diffrax_solver(part, working)
        else:
            bare["self"] = diffrax_controller(part, working)
        for name in ("t0", "t1", "dt0"):
            if name in given:
                bare[name] = time_to_unit(given[name], working.time, name, self.of)
        trees = {name: working.state for name in ("y0", "y1_candidate")}
        for name, units in (trees | {"y_error": working.differences}).items():
            if given.get(name) is not None:
                why = f"which as `{name}` must be in '{{}}'"
                bare[name] = tree_to_units(
                    given[name], units, self.original, f"What `{self.of}` was given",
                    lambda _, unit, why=why: why.format(unit),
                )  # fmt: skip
        if self.working is None and "solver_state" in given:
            bare["solver_state"] = without_working(given["solver_state"])
        if "func" in given:
            bare["func"] = _bare_function(given["func"], working)
        several = not isinstance(given.get("terms"), diffrax.AbstractTerm)
        if "terms" in given and not ("func" in given and several):
            bare["terms"] = diffrax_terms(given["terms"], part, working)
        return bare

    def _label(self, out: Any, working: Working) -> Any:
        time = working.time
        if self.name == "adapt_step_size":
            kept, t0, t1, *rest = out
            return kept, wrap(t0, time), wrap(t1, time), *rest
        if self.name == "step":
            y1, error, info, *rest = out
            error = None if error is None else working.differences.label(error)
            info = {name: _labelled(x, of(name, working)) for name, x in info.items()}
            state, result = rest
            return working.state.label(y1), error, info, self._state(state, working), result
        if isinstance(out, tuple) and "func" in inspect.signature(self.original).parameters:
            return wrap(out[0], time), out[1]  # of a controller's `init`
        return self._state(out, working)

    def _state(self, state: Any, working: Working) -> Any:
        """An internal state: bare in a solve, whose units are fixed; by hand it says its own."""
        if self.working is not None:
            return state
        return WorkingState(state, working.time, working.state).by_leaf().state


def _labelled(x: Any, units: TreeUnits) -> Any:
    return units.label(x) if jtu.tree_structure(x) == units.bare else x


def _bare_function(func: Callable[..., Any], working: Working) -> Callable[..., Any]:
    """A solver's `func` on bare magnitudes, made of one on quantities."""

    def bare(terms: Any, t: Any, y: Any, args: Any) -> Any:
        terms = terms_on_quantities(terms, working)
        out = call(func, terms, wrap(t, working.time), working.state.label(y), args, finish=keep)
        return tree_to_units(
            out, working.rates, func, "The vector field",
            lambda name, unit: f"whose time derivative is in '{unit}'",
        )  # fmt: skip

    return bare


def _solved(ours: Callable[..., Any]) -> Callable[..., Any]:
    """Make a hook of one of Optimistix's entry points: a user's solver calls ours."""

    def hook_for(original: Callable[..., Any]) -> Callable[..., Any]:
        def hook(*args: Any, **kwargs: Any) -> Any:
            if RUNNING.working is None or not MODE.staging:
                return original(*args, **kwargs)
            return ours(*args, **kwargs)

        return hook

    return hook_for


def _loop(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a loop of Diffrax's so that it returns its state in a trial of an adjoint."""

    def hook(*args: Any, **kwargs: Any) -> Any:
        if TRIAL.active:
            return kwargs["init_state"], {}
        return original(*args, **kwargs)

    return hook


_STEPPING = {
    diffrax.AbstractSolver: ("init", "step"),
    diffrax.AbstractStepSizeController: ("init", "adapt_step_size"),
}
for _method in methods_of(diffrax, _STEPPING):
    add_hook(_method, hook_for)
for _ours in fixed_point, least_squares, minimise, root_find:
    add_hook(getattr(optimistix, _ours.__name__), _solved(_ours))
for _method in methods_of(diffrax, {diffrax.AbstractAdjoint: ("loop",)}):
    add_hook(_method, _loop)
if _loop_of_all := getattr(diffrax.DirectAdjoint(), "_loop", None):
    add_hook(_loop_of_all, _loop)
hook_finders(diffrax)
