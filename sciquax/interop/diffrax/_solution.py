"""The solution: what Diffrax found, with its units."""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import jax.tree_util as jtu

from sciquax.core import RuleError
from sciquax.units._algebra import wrap
from sciquax.units._unit import InternedUnit

from .._places import at_stack
from .._storage import unpack
from .._units import TreeUnits, Working
from ._interpolations import DENSE_FIELDS, DenseInterpolation
from ._saveat import label_saved


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
    if given is None or working.plain and not isinstance(given, WorkingState):
        return given
    if isinstance(given, WorkingState) and working.state.unknown:
        return given.state  # for the shapes only
    if not isinstance(given, WorkingState):
        raise at_stack(
            RuleError(
                f"`diffeqsolve` got `{name}` as bare numbers: in what units they are is not known.",
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
