"""Events: conditions that see quantities and may return one."""

import dataclasses
import types
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import MODE, RuleError
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import own_unit, wrap

from .._solving.deferred_calls import deferred
from .._solving.edited import edited
from .._solving.tolerances import TreeTolerance, atol_to_units
from .._solving.tree_units import (
    TreeUnits,
    Working,
    has_quantity,
    is_quantity,
    to_unit,
    tree_to_units,
)
from .._solving.user_functions import call, caller_line, definition_of
from ._checked import checked_event_finder
from ._controllers import bare_controller
from ._own_controller import parts_on_quantities
from ._running import RUNNING, running

TIMES = ("t0", "t1", "dt0")


def steady_state_event(
    rtol: Any = None, atol: Any = None, norm: Callable[..., Any] | None = None
) -> Any:
    """A condition that holds where nothing changes any more, as `diffrax.steady_state_event`:

        norm(dy/dt) < atol + rtol * norm(y)

    **Arguments**, of which the step size controller's are taken where they are None

    - `rtol`: a rate, such as 1e-3/s; a number counts per working unit of time.
    - `atol`: what dy/dt may be: a number, in the units of `y0` over that of `t0`, a quantity, or a
      tree of them shaped like `y0`. With a tree both sides are divided by it, leaf by leaf. A
      controller's `atol`, a tolerance of y, counts per working unit of time.
    - `norm`: sees numbers, in a tree shaped like `y0`.

    **Returns** a condition, for `Event`.
    """
    return SteadyState(rtol, atol, norm)


class SteadyState(eqx.Module):
    """The condition of a `steady_state_event`, for bare magnitudes."""

    rtol: Any
    atol: Any
    norm: Callable | None

    def in_units(self, working: Working) -> "SteadyState":
        """This condition in working units.

        **Raises** `DimensionalityError` for tolerances that measure something else.
        """
        rate = working.time**-1

        def complain(x: Any) -> DimensionalityError:
            error = DimensionalityError(
                f"`steady_state_event` got `rtol` in '{x._unit}', but it is a rate: norm(dy/dt) is "
                "compared with `rtol` times norm(y).",
                own_unit(x).pint,
                rate.pint,
                f"Give it in a unit that converts to '{rate}'.",
            )
            return error.at(caller_line())

        rtol, atol = self.rtol, self.atol
        if isinstance(rtol, Quantity):
            rtol = to_unit(rtol, rate, complain)
        if atol is not None:
            rates = dataclasses.replace(working.rates, name="the derivative of y")
            atol = atol_to_units(atol, Working(working.time, rates), "steady_state_event")
        return SteadyState(rtol, atol, self.norm)

    def __call__(self, t: Any, y: Any, args: Any, **kwargs: Any) -> Any:
        if RUNNING.working is not None:
            return self._on_quantities(RUNNING.working, t, y, args, **kwargs)
        solver, controller = kwargs["solver"], kwargs["stepsize_controller"]
        atol = getattr(controller, "atol", None) if self.atol is None else self.atol
        if not isinstance(atol, TreeTolerance):
            return diffrax.steady_state_event(self.rtol, self.atol, self.norm)(t, y, args, **kwargs)

        def over(tree: Any) -> Any:
            return jtu.tree_map(lambda x, a: x / a, tree, atol.tree)

        def func(terms: Any, t: Any, _: Any, args: Any) -> Any:
            return over(solver.func(terms, t, y, args))

        known = dict(kwargs, solver=types.SimpleNamespace(func=func))
        return diffrax.steady_state_event(self.rtol, 1.0, self.norm)(t, over(y), args, **known)

    def _on_quantities(
        self, working: Working, t: Any, y: Any, args: Any, *, terms: Any, solver: Any,
        stepsize_controller: Any, **_: Any,
    ) -> Any:  # fmt: skip
        """Whether the condition holds, asked within a condition of the user's."""
        given = dict(event=self, y=y, controller=stepsize_controller)
        given["change"] = solver.func(terms, t, y, args)

        def later(given: dict[str, Any]) -> Any:
            why = lambda name, unit: f"which must be in '{unit}'"  # noqa: E731
            what = "What `steady_state_event` was given"
            change = tree_to_units(given["change"], working.rates, later, what, why)
            bare = tree_to_units(given["y"], working.state, later, what, why)
            known = dict(
                terms=None,
                solver=types.SimpleNamespace(func=lambda *_: change),
                stepsize_controller=bare_controller(given["controller"], working),
            )
            with running(None):
                return given["event"].in_units(working)(None, bare, None, **known)

        if not MODE.staging:
            return later(given)
        return deferred(
            "steady_state_event", later, lambda _: jnp.array(True), given, keep=("change",)
        )


def of_diffrax(fn: Any) -> bool:
    """Whether a condition is a `steady_state_event`, for bare magnitudes."""
    return (
        isinstance(fn, SteadyState)
        or getattr(fn, "__module__", None) == diffrax.steady_state_event().__module__
    )


class Condition(eqx.Module):
    """An event's condition on bare magnitudes, made of the user's on quantities.

    Whether a quantity changes sign does not depend on its unit, so a returned one is stripped. The
    terms, the solver and the controller that it is handed are the user's own.
    """

    fn: Callable
    time: Any = eqx.field(static=True)
    state: TreeUnits = eqx.field(static=True)

    def __call__(self, t: Any, y: Any, args: Any, **kwargs: Any) -> Any:
        if self.state.unknown:
            return jnp.array(False)  # for the shapes only
        if isinstance(self.fn, SteadyState):
            return self.fn.in_units(Working(self.time, self.state))(t, y, args, **kwargs)
        if of_diffrax(self.fn):
            # `steady_state_event` compares norms of magnitudes with the step size controller's
            # tolerances, in working units as these are.
            return self.fn(t, y, args, **kwargs)
        times = {k: wrap(kwargs[k], self.time) for k in TIMES if kwargs.get(k) is not None}
        working = Working(self.time, self.state)
        known = {k: v for k, v in kwargs.items() if k not in times}
        if not working.unitless:
            known |= parts_on_quantities(known, working)
        fn = self.fn

        # What Diffrax passes on of the solve itself is no data of the user's: not staged.
        def condition(t: Any, y: Any, args: Any, times: dict[str, Any]) -> Any:
            return fn(t, y, args, **known, **times)

        condition.__wrapped__ = fn  # type: ignore[attr-defined]  # so that errors name it
        with running(None if working.unitless else working):
            out = call(condition, wrap(t, self.time), self.state.label(y), args, times)
        if isinstance(out, Quantity):
            if out._unit.offset:
                error = RuleError(
                    f"An event's condition returned '{out._unit}', whose zero is not where nothing "
                    "is: its change of sign means nothing.",
                    "Subtract the value to watch for, or convert with `.to('kelvin')`.",
                )
                raise error.at(definition_of(fn))
            return out.magnitude
        return out


def bare_event(event: Any, working: Working) -> Any:
    """The event for Diffrax to watch on bare magnitudes.

    **Raises** `RuleError` for a root finder that holds quantities.
    """
    if event is None:
        return None
    if has_quantity(event.root_finder):
        quantity = next(
            x for x in jtu.tree_leaves(event.root_finder, is_leaf=is_quantity) if is_quantity(x)
        )
        raise RuleError(
            f"The root finder of an `Event` holds {quantity!r}: its tolerances are used for "
            "the time of the event and for the condition's value alike, in their own units.",
            "Give plain numbers: of the unit of `t0`, and of what the condition returns.",
        ).at(caller_line())
    conditions = jtu.tree_map(
        lambda fn: Condition(fn, working.time, working.state), event.cond_fn, is_leaf=callable
    )
    finder = checked_event_finder(event.root_finder, working.time)
    return edited(event, cond_fn=conditions, root_finder=finder)
