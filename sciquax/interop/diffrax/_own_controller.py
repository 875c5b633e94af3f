"""Step size controllers of the user's own: their methods see quantities, as a solver's do."""

from typing import Any

import diffrax
import equinox as eqx

from sciquax.core import LocatedError
from sciquax.units import DimensionalityError
from sciquax.units.internal import own_unit, wrap

from .._solving.internal_states import as_before, settled
from .._solving.tolerances import atol_to_units, number
from .._solving.tree_units import Working, how_given, to_unit
from .._solving.trial import is_own
from .._solving.user_functions import definition_of
from ._on_quantities import controller_on_quantities, terms_on_quantities
from ._own_solver import OwnSolver
from ._running import on_quantities, running


class OwnController(diffrax.AbstractStepSizeController[Any, Any]):
    """A step size controller on bare magnitudes, made of the user's on quantities."""

    controller: Any
    working: Working = eqx.field(static=True)

    def wrap(self, direction: Any) -> Any:
        with running(self.working):
            return type(self)(self.controller.wrap(direction), self.working)  # pyright: ignore

    def init(
        self, terms: Any, t0: Any, t1: Any, y0: Any, dt0: Any, args: Any, func: Any,
        error_order: Any,
    ) -> Any:  # fmt: skip
        solver: Any = getattr(func, "__self__", None)
        if isinstance(solver, OwnSolver):
            func = solver.solver.func
        time, state = self.working.time, self.working.state
        terms = terms_on_quantities(terms, self.working)
        given = terms, wrap(t0, time), wrap(t1, time), state.label(y0)
        dt0 = None if dt0 is None else wrap(dt0, time)
        t1, controller_state = on_quantities(
            self.controller, "init", self.working, *given, dt0, args, func, error_order
        )

        def following(controller_state: Any) -> Any:
            error = self.working.differences.label(y0)
            adapt = lambda controller_state: on_quantities(  # noqa: E731
                self.controller, "adapt_step_size", self.working, *given[1:], given[3], args,
                error, error_order, controller_state,
            )[4]  # fmt: skip
            return eqx.filter_eval_shape(adapt, controller_state)

        return self._time(t1, "init"), settled(controller_state, following)

    def adapt_step_size(
        self, t0: Any, t1: Any, y0: Any, y1_candidate: Any, args: Any, y_error: Any,
        error_order: Any, controller_state: Any,
    ) -> Any:  # fmt: skip
        time, state = self.working.time, self.working.state
        given = wrap(t0, time), wrap(t1, time), state.label(y0), state.label(y1_candidate)
        if y_error is not None:
            y_error = self.working.differences.label(y_error)
        keep, t0, t1, jump, new, result = on_quantities(
            self.controller, "adapt_step_size", self.working, *given, args, y_error,
            error_order, controller_state,
        )  # fmt: skip
        name = "adapt_step_size"
        method = getattr(type(self.controller), name)
        new = as_before(new, controller_state, method, self._name(name))
        return keep, self._time(t0, name), self._time(t1, name), jump, new, result

    def _time(self, t: Any, name: str) -> Any:
        unit = self.working.time
        method = getattr(type(self.controller), name)

        def complain(t: Any) -> LocatedError:
            error = DimensionalityError(
                f"{self._name(name)} returned {how_given(t)} for a time, and time is in '{unit}' "
                "(as `t0` is).",
                own_unit(t).pint,
                unit.pint,
                "Return something that converts to it.",
            )
            return error.at(definition_of(method))

        return to_unit(t, unit, complain)

    def _name(self, name: str) -> str:
        return f"`{type(self.controller).__name__}.{name}`"


class OwnAdaptiveController(OwnController, diffrax.AbstractAdaptiveStepSizeController[Any, Any]):
    """An `OwnController` with tolerances, which implicit solvers take over."""

    @property
    def rtol(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return number(self.controller.rtol, "rtol", type(self.controller).__name__)

    @property
    def atol(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return atol_to_units(self.controller.atol, self.working, type(self.controller).__name__)

    @property
    def norm(self) -> Any:  # pyright: ignore
        return self.controller.norm


def own_controller(controller: Any, working: Working) -> Any:
    """A controller of the user's for Diffrax to step with; None if it is Diffrax's."""
    if not is_own(controller):
        return None
    adaptive = isinstance(controller, diffrax.AbstractAdaptiveStepSizeController)
    kind: Any = OwnAdaptiveController if adaptive else OwnController
    return kind(controller, working)


def parts_on_quantities(parts: dict[str, Any], working: Working) -> dict[str, Any]:
    """The parts of a solve that Diffrax hands to an event's condition, as the user gave them."""
    solver, controller = parts["solver"], parts["stepsize_controller"]
    if isinstance(controller, OwnController):
        controller = controller.controller
    else:
        controller = controller_on_quantities(controller, working)
    return dict(
        terms=terms_on_quantities(parts["terms"], working),
        solver=solver.solver if isinstance(solver, OwnSolver) else solver,
        stepsize_controller=controller,
    )
