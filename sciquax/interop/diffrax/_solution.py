"""The solution: what Diffrax found, with its units."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import diffrax
import equinox as eqx
import jax.tree_util as jtu

from sciquax.core import ArrayValue, RuleError, aval_of, bind
from sciquax.units.internal import InternedUnit, wrap

from .._solving.flattened_values import unpack
from .._solving.tree_units import TreeUnits, Working
from .._solving.user_functions import caller_line
from ._interpolations import DENSE_FIELDS, DenseInterpolation
from ._saveat import label_saved


class WorkingState(eqx.Module):
    """A solver's or a controller's internal state, and the units its numbers are in.

    **Attributes**: `state`, as Diffrax gave it, bare magnitudes. Of a solve within `quaxify`, a
    tree of `WorkingArray`s; `time` and `units` are None.
    """

    state: Any
    time: InternedUnit | None = eqx.field(static=True)
    units: TreeUnits | None = eqx.field(static=True)

    def known(self) -> "WorkingState":
        """This state as bare magnitudes and units, whichever way it is held."""
        if self.units is not None:
            return self
        known = units_of_state(self.state)
        if known is None:
            return self
        return WorkingState(without_working(self.state), known.time, known.state)

    def by_leaf(self) -> "WorkingState":
        """This state with the units held by each array."""

        def say(x: Any) -> Any:
            return WorkingArray(x, self.time, self.units) if eqx.is_array(x) else x

        return WorkingState(jtu.tree_map(say, self.state), None, None)


class WorkingArray(ArrayValue, leaves=("array",), static=("time", "units")):
    """A part of an internal state, which starts a solve in the same units and nothing else."""

    array: Any
    time: InternedUnit
    units: TreeUnits

    def __init__(self, array: Any, time: Any, units: Any):
        self.array, self.time, self.units = array, time, units

    def aval(self) -> Any:
        return aval_of(self.array)

    def units_as(self, other: "WorkingArray") -> bool:
        return self.time is other.time and self.units == other.units

    @staticmethod
    def default(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
        held = [x for x in values if _is_working(x)]
        bare = [x.array if _is_working(x) else x for x in values]
        if primitive.name in _KEEPING and all(x.units_as(held[0]) for x in held):
            return WorkingArray(bind(primitive, *bare, **params), held[0].time, held[0].units)
        raise RuleError(
            f"`{primitive.name}` got a part of the internal state of a solver or of a step size "
            "controller.",
            "It is for `solver_state` and `controller_state` of the next `diffeqsolve`.",
        )


# What a loop does to the state that it carries.
_KEEPING = ("copy", "copy_p", "select_if_vmap", "select_n", "stop_gradient")


def _is_working(x: Any) -> bool:
    return isinstance(x, WorkingArray)


def units_of_state(state: Any) -> Working | None:
    """The units that an internal state says it is in; None for one that holds nothing."""
    first = next(filter(_is_working, jtu.tree_leaves(state, is_leaf=_is_working)), None)
    return None if first is None else Working(first.time, first.units)


def without_working(state: Any) -> Any:
    return jtu.tree_map(lambda x: x.array if _is_working(x) else x, state, is_leaf=_is_working)


def states_by_leaf(sol: diffrax.Solution) -> diffrax.Solution:
    """A solution whose internal states' units are told by their leaves, not by their tree."""
    states = {
        name: state.by_leaf()
        for name in STATES
        for state in [getattr(sol, name)]
        if isinstance(state, WorkingState)
    }
    return dataclasses.replace(sol, **states)


def states_of_unknown_units(sol: diffrax.Solution) -> diffrax.Solution:
    """The same tree, for the shapes, before any unit is known."""
    states = {
        name: WorkingState(state.state, None, None)
        for name in STATES
        for state in [getattr(sol, name)]
        if isinstance(state, WorkingState)
    }
    return dataclasses.replace(sol, **states)


STATES = ("solver_state", "controller_state")


def bare_state(given: Any, name: str, working: Working) -> Any:
    """The internal state to start from, for Diffrax.

    **Raises** `RuleError` for one of a solve in other units, whose numbers mean something else.
    """
    if isinstance(given, WorkingState):
        if working.state.unknown:
            return without_working(given.state)  # for the shapes only
        given = given.known()
        if given.units is None:  # of a solve of plain numbers, within `quaxify`
            given = given.state
    if given is None or working.unitless and not isinstance(given, WorkingState):
        return given
    if not isinstance(given, WorkingState):
        raise RuleError(
            f"`diffeqsolve` got `{name}` as bare numbers, whose units are not known.",
            f"Pass the `{name}` of a solution of this module's `diffeqsolve`.",
        ).at(caller_line())
    units = given.units
    assert units is not None
    if given.time is not working.time or units != working.state:
        raise RuleError(
            f"`diffeqsolve` got a `{name}` of a solve in other units: time in "
            f"'{given.time}' and states in {_list(units)}, now '{working.time}' and "
            f"{_list(working.state)}.",
            "Start both solves with `t0` and `y0` in the same units, by `.to(...)`.",
        ).at(caller_line())
    return given.state


def _list(units: TreeUnits) -> str:
    return ", ".join(f"'{unit}'" for unit in units.units)


def label_solution(sol: diffrax.Solution, saveat: Any, working: Working) -> diffrax.Solution:
    """A solution on bare magnitudes with the units put back."""
    if working.unitless and not working.state.unknown:
        return dataclasses.replace(sol, ys=unpack(sol.ys))
    time = working.time

    def label_times(ts: Any) -> Any:
        return jtu.tree_map(lambda t: wrap(t, time), ts)

    dense = sol.interpolation
    if dense is not None:
        fields = {f: getattr(dense, f) for f in DENSE_FIELDS}
        fields["ts"] = wrap(dense.ts, time)
        fields["t0_if_trivial"] = wrap(dense.t0_if_trivial, time)
        fields["y0_if_trivial"] = working.state.label(dense.y0_if_trivial)
        dense = DenseInterpolation(**fields)
    states = {
        name: None if state is None else WorkingState(state, time, working.state)
        for name in STATES
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
