"""`lineax.linear_solve` of a unit-carrying operator and vector."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import lineax as lx

from sciquax.core import MODE, RuleError
from sciquax.core.internal import adopt_all, takes_values_apart
from sciquax.units import DimensionalityError
from sciquax.units.internal import dimensionless

from .._solving.deferred_calls import deferred
from .._solving.tree_units import TreeUnits, has_quantity, without_units
from .._solving.unit_operator import UnitLinearOperator, tidied, to_units_up_to_a_factor
from .._solving.user_functions import caller_line
from .._solving.with_units import fitted, labelled, weighed_alike
from ._constructors import FunctionLinearOperator

_AUTO = lx.AutoLinearSolver(well_posed=True)
_NO_STATE: Any = object()


def linear_solve(
    operator: Any,
    vector: Any,
    solver: lx.AbstractLinearSolver = _AUTO,
    *,
    options: dict[str, Any] | None = None,
    state: Any = _NO_STATE,
    throw: bool = True,
) -> lx.Solution:
    """Solve a linear system of quantities: `value` is in vector units per operator units.

    As `lineax.linear_solve`, which does the work on bare magnitudes.

    **Arguments**

    - `operator`: any of Lineax's, whose matrix, diagonals, scalars or functions may carry units;
      sums, compositions and multiples of such.
    - `vector`: a tree of quantities or arrays, structured as what the operator gives.
    - `options`: of the solver; `y0`, a first guess, is in any units that convert to the solution's.
    - `state`: what `solver.init` gave for the operator, or for the bare one within a
      `UnitLinearOperator`, or the `state` of another solution with the same operator.
    - the others as in Lineax.

    **Returns** a `lineax.Solution`, whose `state` is the solver's own, bare; within `quaxify` and
    `sciquax.grad` it is None and `stats` is empty.

    **Raises** `DimensionalityError` where no `x` can have units such that the operator gives those
    of the vector, or where operators that are added measure different things; and as Lineax does.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.interop import lineax as lx
    >>> from sciquax.units import Quantity
    >>> stiffness = Quantity(jnp.array([[3.0, -1.0], [-1.0, 2.0]]), "kN/m")
    >>> load = Quantity(jnp.array([0.0, 5.0]), "N")
    >>> lx.linear_solve(lx.MatrixLinearOperator(stiffness), load).value.to("mm")
    Quantity([1., 3.], 'mm')

    ```
    """
    operator, vector, options = adopt_all((operator, vector, options))
    given = dict(operator=operator, vector=vector, options=options)
    if state is not _NO_STATE:
        given["state"] = state
    fixed: dict[str, Any] = dict(solver=solver, throw=throw)
    if not MODE.staging:
        return _solve(**given, **fixed)

    def later(given: dict[str, Any]) -> lx.Solution:
        return dataclasses.replace(_solve(**given, **fixed), stats={}, state=None)

    def shapes(given: dict[str, Any]) -> lx.Solution:
        results = lx.RESULTS
        done = results.where(jnp.array(True), results.successful, results.successful)
        return lx.Solution(_zeros(given["operator"]), done, {}, None)  # pyright: ignore

    return deferred("linear_solve", later, shapes, given)


def invert(
    operator: Any,
    solver: lx.AbstractLinearSolver = _AUTO,
    *,
    options: dict[str, Any] | None = None,
    throw: bool = True,
) -> lx.AbstractLinearOperator:
    """The inverse of an operator: it takes what that one gives, and gives what that one takes.

    As `lineax.invert`; arguments and errors as of
    [`linear_solve`][sciquax.interop.lineax.linear_solve].

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.interop import lineax as lx
    >>> from sciquax.units import Quantity
    >>> stiffness = lx.MatrixLinearOperator(Quantity(2.0 * jnp.eye(2), "kN/m"))
    >>> lx.invert(stiffness).mv(Quantity(jnp.array([1.0, 5.0]), "N")).to("mm")
    Quantity([0.5, 2.5], 'mm')

    ```
    """
    operator, options = adopt_all((operator, options))
    if MODE.staging:
        return FunctionLinearOperator(
            lambda b: linear_solve(operator, b, solver, options=options, throw=throw).value,
            operator.out_structure(),
        )
    known = weighed_alike(labelled(operator))
    if known.takes.unitless and known.gives.unitless:
        return lx.invert(known.operator, solver, options=options, throw=throw)
    options = _bare_options(options, known.takes)
    bare = lx.invert(known.operator, solver, options=options, throw=throw)
    return UnitLinearOperator(bare, known.gives, known.takes)


@takes_values_apart
def _solve(
    operator: Any, vector: Any, options: Any, solver: Any, throw: bool, **state: Any
) -> lx.Solution:
    known = _of_vector(labelled(operator), vector)
    weighed = weighed_alike(known)
    if state and weighed is not known:
        raise RuleError(
            "`linear_solve` got a `state` for least squares of leaves in several units of one "
            "kind, and in which of them it was computed is not known.",
            "Convert what measures one thing to one unit, or leave `state` out.",
        ).at(caller_line())
    known = weighed
    bare, factor = to_units_up_to_a_factor(vector, known.gives, "linear_solve")
    bare, factor = tidied(bare, factor, known.takes)
    units = known.takes.map(lambda unit: unit * factor)
    solution = lx.linear_solve(
        known.operator, bare, solver, options=_bare_options(options, units), throw=throw, **state
    )
    return dataclasses.replace(solution, value=units.label(solution.value))


def _of_vector(operator: UnitLinearOperator, vector: Any) -> UnitLinearOperator:
    return fitted(operator, TreeUnits.of(vector, operator.gives.name))


def _bare_options(options: dict[str, Any] | None, units: TreeUnits) -> dict[str, Any] | None:
    if options is None or not has_quantity(options):
        return options
    options = dict(options)
    if "y0" in options:
        guess, factor = to_units_up_to_a_factor(options["y0"], units, "linear_solve")
        number = factor.conversion(dimensionless())[0] if factor.dimensionless else None
        if number is None:
            guessed = units.units[0] * factor
            error = DimensionalityError(
                f"`linear_solve` got `options['y0']` in '{guessed}', and the solution is in "
                f"'{units.units[0]}'.",
                guessed.pint,
                units.units[0].pint,
                f"Give it in a unit that converts to '{units.units[0]}'.",
            )
            raise error.at(caller_line())
        options["y0"] = jtu.tree_map(lambda x: x * number, guess)
    if has_quantity(options):
        raise RuleError(
            "`linear_solve` got options with quantities, which this adapter cannot convert.",
            "Give plain numbers.",
        ).at(caller_line())
    return options


def _zeros(operator: lx.AbstractLinearOperator) -> Any:
    """Zeros like what an operator takes, without units."""
    structure = without_units(operator.in_structure())
    return jtu.tree_map(lambda s: jnp.zeros(s.shape, s.dtype), structure)
