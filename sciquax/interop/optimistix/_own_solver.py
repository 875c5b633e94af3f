"""Solvers of the user's own that hold quantities, on which their methods run."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu
import optimistix

from sciquax.core.internal import takes_values_apart
from sciquax.units.internal import dimensionless

from .._solving.deferred_calls import deferred
from .._solving.edited import edited
from .._solving.internal_states import as_before, settled
from .._solving.tolerances import atol_to_units, number
from .._solving.tree_units import TreeUnits, Working, has_quantity, tree_to_units
from .._solving.trial import is_own, of_every_unit
from .._solving.user_functions import call, keep


class OwnSolver(eqx.Module):
    """A solver on bare magnitudes, made of the user's on quantities.

    A number as `atol` counts in the units of what it meets.
    """

    solver: Any
    takes: TreeUnits = eqx.field(static=True)
    gives: TreeUnits = eqx.field(static=True)
    rtol: Any
    atol: Any
    norm: Callable[..., Any] = eqx.field(static=True)

    def init(
        self, fn: Any, y: Any, args: Any, options: Any, f_struct: Any, aux_struct: Any, tags: Any
    ) -> Any:
        given = self._function(fn, args), self.takes.label(y), args, self._options(options)
        state = self._on_quantities("init", *given, f_struct, aux_struct, tags)

        def following(state: Any) -> Any:
            step = lambda state: self._on_quantities("step", *given, state, tags)[1]  # noqa: E731
            return eqx.filter_eval_shape(step, state)

        return settled(state, following)

    def step(self, fn: Any, y: Any, args: Any, options: Any, state: Any, tags: Any) -> Any:
        given = self._function(fn, args), self.takes.label(y), args, self._options(options)
        y, new, aux = self._on_quantities("step", *given, state, tags)
        new = as_before(new, state, type(self.solver).step, self._name("step"))
        return self._fit(y, "step"), new, aux

    def terminate(self, fn: Any, y: Any, args: Any, options: Any, state: Any, tags: Any) -> Any:
        given = self._function(fn, args), self.takes.label(y), args, self._options(options)
        return self._on_quantities("terminate", *given, state, tags)

    def postprocess(
        self, fn: Any, y: Any, aux: Any, args: Any, options: Any, state: Any, tags: Any, result: Any
    ) -> Any:
        given = self._function(fn, args), self.takes.label(y), aux, args, self._options(options)
        y, aux, stats = self._on_quantities("postprocess", *given, state, tags, result)
        return self._fit(y, "postprocess"), aux, stats

    def _on_quantities(self, name: str, *args: Any) -> Any:
        @takes_values_apart
        def method(part: Any, *args: Any) -> Any:
            return getattr(part, name)(*args)

        method.__wrapped__ = getattr(type(self.solver), name)  # type: ignore[attr-defined]
        part = self.solver
        if isinstance(part.atol, float | int | jax.Array):
            part = edited(part, atol=of_every_unit(part.atol))
        return call(method, part, *args, finish=keep)

    def _function(self, fn: Any, args: Any) -> Callable[..., Any]:
        """The function as a solver sees it that is staged before its units are known."""

        def later(given: dict[str, Any]) -> Any:
            why = lambda name, unit: f"which is in '{unit}' in `y0`"  # noqa: E731
            what = f"`{type(self.solver).__name__}` calls the function on `y`, and"
            f, aux = fn(tree_to_units(given["y"], self.takes, later, what, why), args)
            return self.gives.label(f), aux

        def on_quantities(y: Any, _: Any = None) -> Any:
            bare = self.takes.bare.unflatten(jtu.tree_leaves(y))
            return deferred("the function to solve", later, lambda _: fn(bare, args), {"y": y})

        return on_quantities

    def _options(self, options: Any) -> Any:
        bounds = {k: options[k] for k in ("lower", "upper") if k in options}
        return {**options, **{k: self.takes.label(x) for k, x in bounds.items()}}

    def _fit(self, y: Any, name: str) -> Any:
        function = getattr(type(self.solver), name)
        why = lambda _, unit: f"which is in '{unit}' in `y0`"  # noqa: E731
        return tree_to_units(y, self.takes, function, self._name(name), why)

    def _name(self, name: str) -> str:
        return f"`{type(self.solver).__name__}.{name}`"


class OwnRootFinder(OwnSolver, optimistix.AbstractRootFinder):
    """The same of a root finder."""


class OwnFixedPointSolver(OwnSolver, optimistix.AbstractFixedPointSolver):
    """The same of one for fixed points."""


class OwnLeastSquaresSolver(OwnSolver, optimistix.AbstractLeastSquaresSolver):
    """The same of one for least squares."""


class OwnMinimiser(OwnSolver, optimistix.AbstractMinimiser):
    """The same of a minimiser."""


_KINDS = OwnRootFinder, OwnFixedPointSolver, OwnLeastSquaresSolver, OwnMinimiser


def own_solver(solver: Any, takes: TreeUnits, gives: TreeUnits) -> Any:
    """A solver of the user's that runs on quantities; None if it holds no more than tolerances."""
    kind = next((k for k in _KINDS if isinstance(solver, k.__mro__[2])), None)
    if kind is None or not is_own(solver) or not has_quantity(edited(solver, rtol=0.0, atol=0.0)):
        return None
    name = type(solver).__name__
    rtol = number(solver.rtol, "rtol", name)
    atol = atol_to_units(solver.atol, Working(dimensionless(), takes), name)
    given = dict(takes=takes, gives=gives, rtol=rtol, atol=atol, norm=solver.norm)
    return kind(solver=solver, **given)
