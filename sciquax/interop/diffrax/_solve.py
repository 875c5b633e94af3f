"""`diffeqsolve` on quantities: strip units from the inputs, solve, label the results."""

import dataclasses
from typing import Any

import diffrax

from sciquax.core import MODE, RuleError
from sciquax.core.internal import adopt_all, takes_values_apart
from sciquax.units.internal import dimensionless

from .._solving.deferred_calls import deferred
from .._solving.edited import edited
from .._solving.flattened_values import Storage
from .._solving.object_arrays import without_object_arrays
from .._solving.static_quantities import without_static_quantities
from .._solving.tolerances import TreeTolerance
from .._solving.tree_units import (
    TreeUnits,
    Working,
    has_quantity,
    time_to_unit,
    without_units,
    working_units,
)
from .._solving.user_functions import caller_line
from . import _hooks as _hooks
from ._checked import checked_adjoint
from ._controllers import bare_controller
from ._events import bare_event
from ._langevin import has_langevin, to_units_of, velocities_in_working_units, with_atol_in_units_of
from ._running import runs_on_quantities
from ._saveat import SaveAt, bare_saveat, map_saved, times_of
from ._solution import bare_state, label_solution, states_by_leaf, states_of_unknown_units
from ._solvers import bare_solver
from ._staged import self_contained
from ._terms import bare_terms


def diffeqsolve(
    terms: Any,
    solver: diffrax.AbstractSolver[Any],
    t0: Any,
    t1: Any,
    dt0: Any,
    y0: Any,
    args: Any = None,
    *,
    saveat: diffrax.SaveAt = SaveAt(t1=True),  # noqa: B008 (immutable, as in Diffrax)
    stepsize_controller: diffrax.AbstractStepSizeController[Any, Any] = diffrax.ConstantStepSize(),  # noqa: B008
    adjoint: diffrax.AbstractAdjoint = diffrax.RecursiveCheckpointAdjoint(),  # noqa: B008
    event: diffrax.Event | None = None,
    max_steps: int | None = 4096,
    throw: bool = True,
    progress_meter: diffrax.AbstractProgressMeter[Any] = diffrax.NoProgressMeter(),  # noqa: B008
    solver_state: Any = None,
    controller_state: Any = None,
    made_jump: Any = None,
    **further: Any,
) -> diffrax.Solution:
    """Solve a differential equation whose time and state are quantities.

    As `diffrax.diffeqsolve`, which does the work on bare magnitudes: the numbers found and the
    compiled program are the same. Units are checked while JAX traces. The working units are those
    of `t0` and, leaf by leaf, of `y0`; everything else is converted to them. Without quantities
    this is Diffrax's function.

    **Arguments**

    - `terms`: as in Diffrax, subclasses of `AbstractTerm` among them. The vector field is plain JAX
      code, or code that knows of quantities; it sees `t`, `y` and `args` with their units and
      returns a tree shaped like `y0`, in any units that convert to those of `y0` over that of `t0`.
    - `t0`, `t1`, `dt0`: quantities in any units of time (or of whatever the system evolves in).
      Literal 0 and inf belong to every unit; `dt0` may be None.
    - `y0`: any tree of quantities, each in its own unit, and arrays, which are dimensionless.
    - `args`: any tree; quantities in it can be differentiated with respect to.
    - `saveat`, `stepsize_controller`, `event`: this module's, whose times, tolerances and functions
      take quantities.
    - `solver_state`, `controller_state`: from a solution in the same working units.
    - the others as in Diffrax.

    **Returns** a `diffrax.Solution` whose `t0`, `t1`, `ts`, `ys`, `evaluate` and `derivative` carry
    units.

    **Raises** `DimensionalityError` for a time, a tolerance or a derivative that measures something
    else, naming the argument or the leaf and the user's line; and as Diffrax does.

    ```python
    >>> from sciquax.interop import diffrax as dfx
    >>> from sciquax.units import Quantity
    >>> g = Quantity(9.81, "m/s**2")
    >>> def fall(t, y, args):
    ...     return {"height": y["speed"], "speed": -g}
    >>> y0 = {"height": Quantity(0.1, "km"), "speed": Quantity(0.0, "m/s")}
    >>> sol = dfx.diffeqsolve(
    ...     dfx.ODETerm(fall), dfx.Heun(), 0, Quantity(2.0, "s"), Quantity(100.0, "ms"), y0
    ... )
    >>> print(f"{sol.ys['height'][0].to('m'):.2f~P}")
    80.38 m

    ```
    """
    given = dict(
        terms=terms, solver=solver, t0=t0, t1=t1, dt0=dt0, y0=y0, args=args, saveat=saveat,
        stepsize_controller=stepsize_controller, adjoint=adjoint, event=event, max_steps=max_steps,
        throw=throw, progress_meter=progress_meter, solver_state=solver_state,
        controller_state=controller_state, made_jump=made_jump, **further,
    )  # fmt: skip
    given = adopt_all(given)
    for name in ("y0", "args"):
        given[name] = without_object_arrays(given[name])
    for name in ("terms", "args", "saveat", "event"):
        given[name] = without_static_quantities(given[name])
    if MODE.staging:
        return deferred(
            "diffeqsolve",
            lambda given: states_by_leaf(_solve(given)),
            lambda given: states_of_unknown_units(_shapes(given)),
            self_contained(given),
            keep=("t0", "t1", "dt0"),
        )
    return _solve(given)


@takes_values_apart
def _solve(given: dict[str, Any]) -> diffrax.Solution:
    times = [given["t1"], given["dt0"], *times_of(given["saveat"])]
    y0 = given["y0"]
    working = working_units(given["t0"], y0, times)
    for storage in working.state.stored:
        if storage is not None and not storage.adds_by_parts():
            raise _not_additive(storage)
    if not has_langevin(given["terms"]):
        return _solve_in(working, **given)
    converted = velocities_in_working_units(y0, working.time)
    if TreeUnits.of(converted) == working.state:
        return _solve_in(working, **given)
    controller = with_atol_in_units_of(y0, given["stepsize_controller"])
    given = dict(given, y0=converted, stepsize_controller=controller)
    solution = _solve_in(working_units(given["t0"], converted, times), **given)
    ys = map_saved(lambda y: to_units_of(y0, y), solution.ys, given["saveat"])
    return dataclasses.replace(solution, ys=ys)


def _not_additive(storage: Storage) -> RuleError:
    error = RuleError(
        f"`diffeqsolve` cannot step a `{storage.kind}` in `y0`: the arrays of a sum of two are not "
        "the sums of their arrays.",
        "Pass `.materialise()` of it.",
    )
    return error.at(caller_line())


_NUMBERS = ("t0", "t1", "dt0", "y0", "solver", "saveat", "stepsize_controller", "adjoint", "event")


def _shapes(given: dict[str, Any]) -> diffrax.Solution:
    """The same solve without units, which gives the shapes of the results."""
    given = {k: without_units(v) if k in _NUMBERS else v for k, v in given.items()}
    state = dataclasses.replace(TreeUnits.of(given["y0"]), unknown=True)
    return _solve_in(Working(dimensionless(), state), **given)


def _solve_in(
    working: Working,
    *,
    terms: Any,
    solver: Any,
    t0: Any,
    t1: Any,
    dt0: Any,
    y0: Any,
    args: Any,
    saveat: Any,
    stepsize_controller: Any,
    adjoint: Any,
    event: Any,
    solver_state: Any,
    controller_state: Any,
    max_steps: Any,
    throw: Any,
    progress_meter: Any,
    made_jump: Any,
    **further: Any,
) -> diffrax.Solution:
    """Solve in the working units given."""
    for name, value in further.items():
        _refuse_unknown(name, value, working)
    controller = bare_controller(stepsize_controller, working)
    solution = diffrax.diffeqsolve(
        bare_terms(terms, solver, working),
        bare_solver(solver, working),
        time_to_unit(t0, working.time, "t0"),
        time_to_unit(t1, working.time, "t1"),
        time_to_unit(dt0, working.time, "dt0"),
        working.state.strip(y0),
        args,
        saveat=bare_saveat(saveat, working),
        stepsize_controller=controller,
        adjoint=_bare_adjoint(adjoint, controller, solver, working),
        event=bare_event(event, working),
        max_steps=max_steps,
        throw=throw,
        progress_meter=progress_meter,
        solver_state=bare_state(solver_state, "solver_state", working),
        controller_state=bare_state(controller_state, "controller_state", working),
        made_jump=made_jump,
        **further,
    )
    return label_solution(solution, saveat, working)


def _refuse_unknown(name: str, value: Any, working: Working) -> None:
    """A keyword that this version does not know goes to Diffrax as it is, if it has no units."""
    if name == "discrete_terminating_event" and not working.unitless:
        what = f"`diffeqsolve` does not take quantities together with `{name}`."
        raise RuleError(what, "Use `event=Event(...)`.").at(caller_line())
    if has_quantity(value):
        what = f"`diffeqsolve` got `{name}` with quantities, and does not know what they measure."
        remedy = "Give it plain numbers, in the units of `t0` and `y0`."
        raise RuleError(what, remedy).at(caller_line())


def _bare_adjoint(adjoint: Any, controller: Any, solver: Any, working: Working) -> Any:
    """The adjoint for Diffrax. `BacksolveAdjoint` holds arguments of its own solve."""
    adjoint = checked_adjoint(adjoint, working)
    if not isinstance(adjoint, diffrax.BacksolveAdjoint):
        return adjoint
    given = dict(adjoint.kwargs)
    for name, part in (("solver", solver), ("stepsize_controller", controller)):
        part = given.get(name, getattr(part, "controller", part))
        if not working.unitless and runs_on_quantities(part):
            raise RuleError(
                f"`BacksolveAdjoint` would solve with `{type(part).__name__}`, which runs on "
                "quantities, for the state and its adjoints together, whose units are not known.",
                f"Give it Diffrax's own, `BacksolveAdjoint({name}=...)`, or take another adjoint.",
            ).at(caller_line())
    if "dt0" in given:
        given["dt0"] = time_to_unit(given["dt0"], working.time, "dt0", "BacksolveAdjoint")
    if "stepsize_controller" in given:
        given["stepsize_controller"] = bare_controller(given["stepsize_controller"], working)
    backward = given.get("stepsize_controller", controller)
    if isinstance(getattr(backward, "atol", None), TreeTolerance):
        raise RuleError(
            "`BacksolveAdjoint` solves for the state and its adjoints together, to which an "
            "`atol` shaped like `y0` does not apply.",
            "Give it its own, `BacksolveAdjoint(stepsize_controller=PIDController(rtol=..., "
            "atol=...))`, with `atol` a number.",
        ).at(caller_line())
    if has_quantity(given):
        raise RuleError(
            "`BacksolveAdjoint` holds quantities in a place where they are not understood.",
            "Give plain numbers, in the units of `t0` and `y0`.",
        ).at(caller_line())
    return edited(adjoint, kwargs=given)
