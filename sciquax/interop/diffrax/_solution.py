"""The solution: what Diffrax found, with its units."""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import jax.tree_util as jtu

from sciquax.core import MODE, RuleError
from sciquax.units import Quantity
from sciquax.units._algebra import magnitude_of, wrap
from sciquax.units._unit import InternedUnit

from ._deferred import deferred
from ._places import at_stack
from ._saveat import label_saved
from ._units import TreeUnits, Working, is_quantity, time_to_unit, without_units


class DenseInterpolation(diffrax.DenseInterpolation):
    """A dense solution that takes times and gives states with units.

    The units are those of `ts` and of `y0_if_trivial`; the polynomials are on bare magnitudes.
    """

    ts: Any

    @property
    def _working(self) -> Working:
        state = TreeUnits.of(self.y0_if_trivial)
        (time,) = TreeUnits.of(self.ts, "t").units
        return Working(time, state)

    @property
    def _bare(self) -> diffrax.DenseInterpolation:
        fields = {f: getattr(self, f) for f in _DENSE_FIELDS}
        for name in ("ts", "t0_if_trivial", "y0_if_trivial"):
            fields[name] = without_units(fields[name])
        return diffrax.DenseInterpolation(**fields)

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Any:
        """The state at `t0`, or its increment from `t0` to `t1`.

        **Arguments**: times in any unit of time, and Diffrax's `left`.

        **Returns** a tree shaped like `y0`, in its units; an increment's are those of differences.

        **Raises** `DimensionalityError` for times that are none.
        """
        if MODE.staging:
            given = {"path": self, "t0": t0, "t1": t1, "left": left}
            return deferred(_evaluate, _evaluate_shapes, given, keep=("t0", "t1"))
        working, bare = self._working, self._bare
        start = bare.evaluate(time_to_unit(t0, working.time, "t0", "evaluate"), left=left)
        if t1 is None:
            return working.state.label(start)
        stop = bare.evaluate(time_to_unit(t1, working.time, "t1", "evaluate"), left=left)
        return working.differences.label(jtu.tree_map(lambda a, b: a - b, stop, start))

    def derivative(self, t: Any, left: bool = True) -> Any:
        """The derivative of the interpolation, in units of the state per unit of time.

        **Raises** `DimensionalityError` for a time that is none.
        """
        if MODE.staging:
            given = {"path": self, "t": t, "left": left}
            return deferred(_differentiate, _differentiate_shapes, given, keep=("t",))
        working = self._working
        t = time_to_unit(t, working.time, "t", "derivative")
        return working.rates.label(self._bare.derivative(t, left=left))

    @property
    def t0(self) -> Any:
        """The start of the interval over which the interpolation is defined."""
        return wrap(self._bare.t0, self._working.time)

    @property
    def t1(self) -> Any:
        """The end of the interval over which the interpolation is defined."""
        return wrap(self._bare.t1, self._working.time)


def _evaluate(given: dict[str, Any]) -> Any:
    return given["path"].evaluate(given["t0"], given["t1"], given["left"])


def _evaluate_shapes(given: dict[str, Any]) -> Any:
    given = without_units(given)
    out = given["path"]._bare.evaluate(given["t0"], left=given["left"])
    return out


def _differentiate(given: dict[str, Any]) -> Any:
    return given["path"].derivative(given["t"], given["left"])


def _differentiate_shapes(given: dict[str, Any]) -> Any:
    given = without_units(given)
    return given["path"]._bare.derivative(given["t"], left=given["left"])


_DENSE_FIELDS = tuple(diffrax.DenseInterpolation.__dataclass_fields__)


class WorkingState(eqx.Module):
    """A solver's or a controller's internal state, and the units its numbers are in.

    **Attributes**: `state`, as Diffrax gave it, bare magnitudes.
    """

    state: Any
    time: InternedUnit = eqx.field(static=True)
    units: TreeUnits = eqx.field(static=True)


def bare_state(given: Any, name: str, working: Working) -> Any:
    """The internal state to start from, for Diffrax.

    **Raises** `RuleError` for one of a solve in other units, whose numbers mean something else.
    """
    if given is None or not isinstance(given, WorkingState) and working.plain:
        return given
    if not isinstance(given, WorkingState):
        raise at_stack(
            RuleError(
                f"`diffeqsolve` got `{name}` as bare numbers, of which it is not known in what units "
                "they are.",
                f"Pass the `{name}` of a solution of this module's `diffeqsolve`.",
            )
        )
    if given.time is not working.time or given.units != working.state:
        raise at_stack(
            RuleError(
                f"`diffeqsolve` got a `{name}` of a solve in other units: time in "
                f"'{given.time}' and states in {_list(given.units)}, now '{working.time}' and "
                f"{_list(working.state)}.",
                "Start both solves with `t0` and `y0` in the same units, by `.to(...)`.",
            )
        )
    return given.state


def _list(units: TreeUnits) -> str:
    return ", ".join(f"'{unit}'" for unit in units.units)


def label_solution(sol: diffrax.Solution, saveat: Any, working: Working) -> diffrax.Solution:
    """A solution on bare magnitudes with the units put back."""
    if working.plain and not working.state.unknown:
        return sol
    time = working.time

    def label_times(ts: Any) -> Any:
        return jtu.tree_map(lambda t: wrap(t, time), ts)

    dense = sol.interpolation
    if dense is not None:
        fields = {f: getattr(dense, f) for f in _DENSE_FIELDS}
        fields["ts"] = wrap(dense.ts, time)
        fields["t0_if_trivial"] = wrap(dense.t0_if_trivial, time)
        fields["y0_if_trivial"] = working.state.label(dense.y0_if_trivial)
        dense = DenseInterpolation(**fields)
    states = {
        name: None if state is None else WorkingState(state, time, working.state)
        for name in ("solver_state", "controller_state")
        for state in [getattr(sol, name)]
    }
    return dataclasses.replace(
        sol,
        t0=wrap(sol.t0, time),
        t1=wrap(sol.t1, time),
        ts=label_times(sol.ts),
        ys=label_saved(sol.ys, saveat, working),
        interpolation=dense,
        **states,
    )


__all__ = ["DenseInterpolation", "Quantity", "WorkingState", "bare_state", "label_solution"]
