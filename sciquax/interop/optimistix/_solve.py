"""The four entry points: strip units from the inputs, solve, label the results."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import lineax.internal as lxi
import optimistix

from sciquax.core import MODE, RuleError
from sciquax.core.internal import adopt_all, takes_values_apart

from .._solving.captured_tracers import without_captured_tracers
from .._solving.deferred_calls import deferred
from .._solving.edited import edited
from .._solving.own_finders import checked_finder
from .._solving.tree_units import TreeUnits, is_quantity, without_units
from .._solving.trial import is_own
from .._solving.user_functions import definition_of, place_of
from ._arguments import bare_options, bare_solver
from ._functions import BareFunction, units_returned
from ._own_solver import own_solver

_IMPLICIT = optimistix.ImplicitAdjoint()


def root_find(
    fn: Callable[..., Any],
    solver: Any,
    y0: Any,
    args: Any = None,
    options: dict[str, Any] | None = None,
    *,
    has_aux: bool = False,
    max_steps: int | None = 256,
    adjoint: optimistix.AbstractAdjoint = _IMPLICIT,
    throw: bool = True,
    tags: frozenset[object] = frozenset(),
) -> optimistix.Solution[Any, Any]:
    """Find where a function of quantities is zero.

    As `optimistix.root_find`, which does the work on bare magnitudes in the units of `y0`.

    **Arguments**

    - `fn(y, args)`: plain JAX code, or code that knows of quantities. It sees `y` and `args` with
      their units, may use quantities that it captured, and returns a tree in any units.
    - `solver`: Optimistix's. `atol` is a number, which counts in the units of `y0` and in those in
      which `fn` returns; or a quantity or a tree of quantities like `y0`, for `y`, whose number in
      the units of `y0` then also serves for what `fn` returns. `rtol` is a number.
    - `y0`, `args`: any trees of quantities and arrays.
    - `options`: `lower` and `upper` are quantities shaped like `y0`.
    - the others as in Optimistix.

    **Returns** an `optimistix.Solution` whose `value` is in the units of `y0`. `aux` is what `fn`
    returned, `state` is the solver's own, bare; within `quaxify` and `sciquax.grad` it is None.

    **Raises** `DimensionalityError` for a tolerance or a bound that measures something else, and
    `OffsetUnitCalculusError` for a root of what has no zero (degC); and as Optimistix does.

    ```python
    >>> from sciquax.interop import optimistix as optx
    >>> from sciquax.units import Quantity
    >>> g = Quantity(9.81, "m/s**2")
    >>> def overshoot(t, height):
    ...     return 0.5 * g * t**2 - height
    >>> newton = optx.Newton(rtol=1e-5, atol=Quantity(1.0, "ms"))
    >>> sol = optx.root_find(overshoot, newton, Quantity(1.0, "s"), Quantity(0.02, "km"))
    >>> print(f"{sol.value:.3f~P}")
    2.019 s

    ```
    """
    return _call("root_find", locals())


def least_squares(
    fn: Callable[..., Any],
    solver: Any,
    y0: Any,
    args: Any = None,
    options: dict[str, Any] | None = None,
    *,
    has_aux: bool = False,
    max_steps: int | None = 256,
    adjoint: optimistix.AbstractAdjoint = _IMPLICIT,
    throw: bool = True,
    tags: frozenset[object] = frozenset(),
) -> optimistix.Solution[Any, Any]:
    """Make the sum of squares of residuals, which are quantities, as small as possible.

    As [`root_find`][sciquax.interop.optimistix.root_find]; `fn` returns residuals of one dimension,
    whose squares add. Different units of it are converted to one.

    **Raises** `DimensionalityError` for residuals in metres and in seconds, whose squares do not
    add: divide each by its standard deviation.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.interop import optimistix as optx
    >>> from sciquax.units import Quantity
    >>> stretch, force = Quantity(jnp.array([1.0, 2.0]), "cm"), Quantity(jnp.array([0.5, 1.0]), "N")
    >>> solver = optx.LevenbergMarquardt(rtol=1e-5, atol=1e-5)
    >>> sol = optx.least_squares(
    ...     lambda k, data: k * data[0] - data[1], solver, Quantity(10.0, "N/m"), (stretch, force)
    ... )
    >>> print(f"{sol.value:.2f~P}")
    50.00 N/m

    ```
    """
    return _call("least_squares", locals())


def minimise(
    fn: Callable[..., Any],
    solver: Any,
    y0: Any,
    args: Any = None,
    options: dict[str, Any] | None = None,
    *,
    has_aux: bool = False,
    max_steps: int | None = 256,
    adjoint: optimistix.AbstractAdjoint = _IMPLICIT,
    throw: bool = True,
    tags: frozenset[object] = frozenset(),
) -> optimistix.Solution[Any, Any]:
    """Make a quantity as small as possible, by other quantities.

    As [`root_find`][sciquax.interop.optimistix.root_find]; `fn` returns a scalar in any unit. Where
    the leaves of `y0` measure different things, a step downhill depends on their units, as it does
    on any scaling: choose units in which the numbers are near one.

    ```python
    >>> from sciquax.interop import optimistix as optx
    >>> from sciquax.units import Quantity
    >>> well = lambda r, r0: Quantity(2.0, "eV") * ((r0 / r) ** 12 - 2 * (r0 / r) ** 6)
    >>> bfgs = optx.BFGS(rtol=1e-4, atol=1e-4)
    >>> sol = optx.minimise(well, bfgs, Quantity(1.2, "angstrom"), Quantity(0.11, "nm"))
    >>> print(f"{sol.value:.2f~P}")
    1.10 Å

    ```
    """
    return _call("minimise", locals())


def fixed_point(
    fn: Callable[..., Any],
    solver: Any,
    y0: Any,
    args: Any = None,
    options: dict[str, Any] | None = None,
    *,
    has_aux: bool = False,
    max_steps: int | None = 256,
    adjoint: optimistix.AbstractAdjoint = _IMPLICIT,
    throw: bool = True,
    tags: frozenset[object] = frozenset(),
) -> optimistix.Solution[Any, Any]:
    """Find the quantities that a function gives back unchanged.

    As [`root_find`][sciquax.interop.optimistix.root_find]; `fn` returns a tree shaped like `y0`, in
    any units that convert to those of `y0`.

    **Raises** `DimensionalityError`, with the user's line, where it returns something else.

    ```python
    >>> from sciquax.interop import optimistix as optx
    >>> from sciquax.units import Quantity
    >>> babylonian = lambda side, area: (side + area / side) / 2
    >>> solver = optx.FixedPointIteration(rtol=1e-5, atol=1e-5)
    >>> sol = optx.fixed_point(babylonian, solver, Quantity(1.0, "m"), Quantity(4e4, "cm**2"))
    >>> print(f"{sol.value:.3f~P}")
    2.000 m

    ```
    """
    return _call("fixed_point", locals())


def _call(kind: str, given: dict[str, Any]) -> optimistix.Solution[Any, Any]:
    """The result of an entry point; or a late call, where the arguments become values later."""
    given = given | adopt_all({name: given[name] for name in ("solver", "y0", "args", "options")})
    if not MODE.staging:
        return _solve(kind, **given)
    fn, y0, args = given["fn"], given["y0"], given["args"]
    given["fn"] = without_captured_tracers(fn, _inexact(y0), args, place=place_of(fn))
    later = lambda given: _common_part(_solve(kind, **given))  # noqa: E731
    return deferred(kind, later, lambda given: _shapes(**given), given)


@takes_values_apart
@eqx.filter_jit
def _solve(
    kind: str,
    *,
    fn: Callable,
    solver: Any,
    y0: Any,
    args: Any,
    options: Any,
    has_aux: bool,
    **rest: Any,
) -> optimistix.Solution[Any, Any]:
    """Solve, compiled once for all calls with the same function and the same units."""
    takes = TreeUnits.of(y0)
    gives = units_returned(kind, fn, y0, args, has_aux)
    solution = getattr(optimistix, kind)(
        BareFunction(fn, takes, gives, kind, has_aux),
        _bare_solver(kind, solver, takes, gives),
        takes.strip(y0),
        args,
        bare_options(options, takes, kind),
        has_aux=has_aux,
        **rest,
    )
    return dataclasses.replace(solution, value=takes.label(solution.value))


def _bare_solver(kind: str, solver: Any, takes: TreeUnits, gives: TreeUnits) -> Any:
    inner = getattr(solver, "solver", None)
    if isinstance(inner, eqx.Module) and not is_own(solver):  # `BestSoFarMinimiser` and its like
        return edited(solver, solver=_bare_solver(kind, inner, takes, gives))
    seen = _values(kind, solver, gives)
    if (own := own_solver(solver, takes, seen)) is not None:
        return own
    return checked_finder(
        bare_solver(solver, takes, gives, _compares_steps(kind, solver)), takes, seen
    )


def _values(kind: str, solver: Any, gives: TreeUnits) -> TreeUnits:
    """The units of what a solver sees of the function: a minimiser a sum of squares, or a norm."""
    if kind == "least_squares" and isinstance(solver, optimistix.AbstractMinimiser):
        return gives.map(lambda unit: unit**2)
    return gives


def _compares_steps(kind: str, solver: Any) -> bool:
    """Whether a solver is of the kind of the problem, so that no norm is compared with `atol`."""
    if kind in ("least_squares", "minimise"):
        return True
    own = (optimistix.AbstractRootFinder, optimistix.AbstractFixedPointSolver)
    return isinstance(solver, own)


# -- within a program that is being staged ---------------------------------------------------------


def _inexact(y0: Any) -> Any:
    """The shapes of `y` as the function will see them: in floating point, as Optimistix has it."""

    def struct(x: Any) -> jax.ShapeDtypeStruct:
        x = jnp.asarray(without_units(x))
        inexact = jnp.issubdtype(x.dtype, jnp.inexact)
        return jax.ShapeDtypeStruct(x.shape, x.dtype if inexact else lxi.default_floating_dtype())

    return jtu.tree_map(struct, y0, is_leaf=is_quantity)


def _common_part(solution: optimistix.Solution[Any, Any]) -> optimistix.Solution[Any, Any]:
    """A solution without what depends on the solver."""
    stats = {name: solution.stats[name] for name in ("num_steps", "max_steps")}
    return dataclasses.replace(solution, stats=stats, state=None)


def _shapes(fn: Callable, y0: Any, args: Any, has_aux: bool, max_steps: Any, **_: Any) -> Any:
    """The shapes of `_common_part`."""
    y = jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), _inexact(y0))
    try:
        aux = jtu.tree_map(jnp.asarray, fn(y, args)[1]) if has_aux else None
    except AttributeError:
        error = RuleError(
            "What `fn` returns beside its value is not known within `quaxify`, where units are not "
            "known yet and `fn` uses a quantity's own methods.",
            "Write it without, solve outside of `quaxify`, or return no auxiliary data.",
        )
        raise error.at(definition_of(fn)) from None
    results = optimistix.RESULTS
    done = results.where(jnp.array(True), results.successful, results.successful)
    stats = {"num_steps": jnp.array(0), "max_steps": max_steps}
    return optimistix.Solution(value=y, result=done, aux=aux, stats=stats, state=None)
