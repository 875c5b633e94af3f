"""Solvers of the user's own: their methods see quantities, Diffrax's loop sees magnitudes.

Their arithmetic is checked as that of any other code: what adds the square of a time to a length is
refused, and a maximum of metres and centimetres converts. Where units agree nothing is added to the
program.
"""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx

from sciquax.units.internal import wrap

from .._solving.internal_states import as_before, settled
from .._solving.tree_units import TreeUnits, Working, tree_to_units
from .._solving.trial import is_own
from ._on_quantities import terms_on_quantities
from ._running import on_quantities


class OwnSolver(diffrax.AbstractWrappedSolver):
    """A solver on bare magnitudes, made of the user's on quantities."""

    solver: Any
    working: Working = eqx.field(static=True)

    @property
    def term_structure(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.solver.term_structure

    @property
    def term_compatible_contr_kwargs(self) -> Any:  # pyright: ignore
        return self.solver.term_compatible_contr_kwargs

    @property
    def interpolation_cls(self) -> Any:  # pyright: ignore
        cls = self.solver.interpolation_cls
        return OwnInterpolations(cls, self.working) if _is_own_function(cls) else cls

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in dir(type(self)) and "solver" not in vars(self):
            raise AttributeError(name)
        return getattr(self.solver, name)  # Diffrax asks some solvers for their root finder

    def order(self, terms: Any) -> Any:
        return self.solver.order(terms)

    def strong_order(self, terms: Any) -> Any:
        return self.solver.strong_order(terms)

    def error_order(self, terms: Any) -> Any:
        return self.solver.error_order(terms)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        given = self._given(terms, t0, t1, y0, args)
        state = on_quantities(self.solver, "init", self.working, *given)

        def following(state: Any) -> Any:
            step = lambda state: on_quantities(  # noqa: E731
                self.solver, "step", self.working, *given, state, False
            )[3]
            return eqx.filter_eval_shape(step, state)

        return settled(state, following)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any
    ) -> Any:
        given = self._given(terms, t0, t1, y0, args)
        out = on_quantities(self.solver, "step", self.working, *given, solver_state, made_jump)
        y1, y_error, info, state, result = out
        y1 = self._fit(y1, self.working.state, "which is in '{}' in `y0`")
        if y_error is not None:
            y_error = self._fit(y_error, self.working.differences, "whose error is in '{}'")
        state = as_before(state, solver_state, type(self.solver).step, self._name("step"))
        return y1, y_error, self._dense(info), state, result

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        terms, t0, _, y0, args = self._given(terms, t0, t0, y0, args)
        out = on_quantities(self.solver, "func", self.working, terms, t0, y0, args)
        return self._fit(out, self.working.rates, "whose time derivative is in '{}'", "func")

    def _given(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> tuple[Any, ...]:
        time, state = self.working.time, self.working.state
        terms = terms_on_quantities(terms, self.working)
        return terms, wrap(t0, time), wrap(t1, time), state.label(y0), args

    def _fit(self, out: Any, due: TreeUnits, why: str, name: str = "step") -> Any:
        function = getattr(type(self.solver), name)
        return tree_to_units(out, due, function, self._name(name), lambda _, unit: why.format(unit))

    def _name(self, name: str) -> str:
        return f"`{type(self.solver).__name__}.{name}`"

    def _dense(self, info: Any) -> Any:
        """The data of an interpolation: bare for Diffrax's classes, as it is for the user's own."""
        if isinstance(self.interpolation_cls, OwnInterpolations):
            return info
        return {
            name: self._fit(x, of(name, self.working), f"which as `{name}` must be in '{{}}'")
            for name, x in info.items()
        }


def of(name: str, working: Working) -> TreeUnits:
    """The unit of an entry of a step's `dense_info`, for Diffrax's own interpolations."""
    return working.state if name in ("y0", "y1") else working.differences


def _is_own_function(cls: Any) -> bool:
    return not getattr(cls, "__module__", "diffrax").partition(".")[0] == "diffrax"


@dataclasses.dataclass(frozen=True)
class OwnInterpolations:
    """A maker of interpolations on bare magnitudes from a user's interpolation on quantities."""

    cls: Any
    working: Working

    def __call__(self, *, t0: Any, t1: Any, **info: Any) -> Any:
        return OwnInterpolation(t0, t1, info, self)  # pyright: ignore[reportCallIssue]


class OwnInterpolation(diffrax.AbstractLocalInterpolation):
    """An interpolation within a step on bare magnitudes, made of the user's on quantities."""

    t0: Any
    t1: Any
    info: Any
    of: OwnInterpolations = eqx.field(static=True)

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Any:
        time, working = self.of.working.time, self.of.working
        ends = wrap(self.t0, time), wrap(self.t1, time)
        t1 = None if t1 is None else wrap(t1, time)
        part = _Interpolating(self.of.cls, *ends, self.info)
        out = on_quantities(part, "evaluate", working, wrap(t0, time), t1, left)
        due = working.state if t1 is None else working.differences
        name = getattr(self.of.cls, "__name__", "interpolation")
        return tree_to_units(
            out, due, part.evaluate, f"`{name}.evaluate`", lambda _, unit: f"due in '{unit}'"
        )


class _Interpolating(eqx.Module):
    """The user's interpolation, made where its values are known to be quantities."""

    cls: Any = eqx.field(static=True)
    t0: Any
    t1: Any
    info: Any

    def evaluate(self, t0: Any, t1: Any, left: bool) -> Any:
        return self.cls(t0=self.t0, t1=self.t1, **self.info).evaluate(t0, t1, left)


def own_solver(solver: Any, working: Working) -> Any:
    """A solver of the user's for Diffrax to step with; None if it is Diffrax's."""
    return OwnSolver(solver, working) if is_own(solver) else None
