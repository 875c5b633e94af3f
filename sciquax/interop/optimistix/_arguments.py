"""A solver's tolerances and a solve's bounds, in working units."""

from typing import Any

import equinox as eqx

from sciquax.core import LocatedError, RuleError, describe
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import InternedUnit, dimensionless, own_unit

from .._solving.tolerances import TreeTolerance, atol_to_units, number, refuse_quantities
from .._solving.tree_units import TreeUnits, Working, has_quantity, leaves_to_units
from .._solving.user_functions import caller_line


def bare_solver(solver: Any, takes: TreeUnits, gives: TreeUnits, may_be_tree: bool) -> Any:
    """A solver whose tolerances are numbers in the units of `y0`.

    **Arguments**: the solver; the units of `y0` and of what the function returns; and whether
    `atol` may be a tree: not where the solve compares a norm with it.

    **Raises** `DimensionalityError` for one that measures something else; `RuleError` for other
    quantities in it.
    """
    if not has_quantity(solver):
        return solver
    name, rtol, given = type(solver).__name__, solver.rtol, solver.atol
    atol = atol_to_units(given, Working(dimensionless(), takes), name)
    if isinstance(atol, TreeTolerance) and (not may_be_tree or takes.bare != gives.bare):
        raise RuleError(
            f"`{name}` got a tolerance for each leaf of `y0`, and compares it with what the "
            "function returns, which has other leaves.",
            "Give `atol` as one number: it counts in the units of `y0` and in those of what "
            "the function returns.",
        ).at(caller_line())
    solver = eqx.tree_at(lambda s: s.atol, solver, atol, is_leaf=lambda x: x is given)
    if isinstance(rtol, Quantity):
        rtol_ = number(rtol, "rtol", name)
        solver = eqx.tree_at(lambda s: s.rtol, solver, rtol_, is_leaf=lambda x: x is rtol)
    refuse_quantities(solver)
    return solver


def bare_options(options: dict[str, Any] | None, takes: TreeUnits, owner: str) -> Any:
    """Options whose bounds, `lower` and `upper`, are in the units of `y0`.

    **Raises** `DimensionalityError` for a bound that measures something else, and for a plain
    number (other than a literal 0, inf or nan) where `y0` has a unit.
    """
    if options is None:
        return None
    options = dict(options)
    for key in ("lower", "upper"):
        if options.get(key) is not None:
            options[key] = _bound(options[key], key, takes, owner)
    if has_quantity(options):
        key = next(k for k, v in options.items() if has_quantity(v))
        raise RuleError(
            f"`{owner}` got `options[{key!r}]` with quantities, which this adapter cannot convert.",
            "Give plain numbers, in the units of `y0`.",
        ).at(caller_line())
    return options


def _bound(bound: Any, key: str, takes: TreeUnits, owner: str) -> Any:
    structure = TreeUnits.of(bound).tree
    if structure != takes.tree:
        if not has_quantity(bound) and takes.unitless:
            return bound  # Optimistix says what is wrong
        raise RuleError(
            f"`{owner}` got `options[{key!r}]` as a tree, {structure}, that does not fit `y0`, "
            f"{takes.tree}.",
            "Give it shaped like `y0`.",
        ).at(caller_line())

    def complain(x: Any, unit: InternedUnit, i: int) -> LocatedError:
        came = f"in '{x._unit}'" if isinstance(x, Quantity) else f"as {describe(x)}"
        error = DimensionalityError(
            f"`{owner}` got `options[{key!r}]` {came}, and {takes.names()[i]} is in '{unit}' in "
            "`y0`.",
            own_unit(x).pint,
            unit.pint,
            f"Give it in a unit that converts to '{unit}'.",
        )
        return error.at(caller_line())

    return takes.bare.unflatten(takes.parts(leaves_to_units(bound, takes, complain)))
