"""Tolerances: numbers, quantities, and trees of them, in working units."""

from typing import Any

import equinox as eqx
import jax.tree_util as jtu
from equinox.internal import ω

from sciquax.core import LocatedError, RuleError
from sciquax.units import DimensionalityError, OffsetUnitCalculusError, Quantity
from sciquax.units.internal import InternedUnit, convert, dimensionless

from .tree_units import TreeUnits, Working, has_quantity, is_quantity
from .user_functions import caller_line


class TreeTolerance(eqx.Module):
    """An absolute tolerance for each leaf of the state.

    Diffrax, and the root finders of its implicit solvers, write `atol + rtol * ω(y)`, where `ω`
    maps operators over a tree: so this needs addition only.
    """

    tree: Any

    def __add__(self, other: Any) -> Any:
        return ω(self.tree) + other


def number(x: Any, field: str, owner: str) -> Any:
    """A relative tolerance: a number, of which `percent` is one.

    **Raises** `DimensionalityError`.
    """
    if not isinstance(x, Quantity):
        return x
    if not x._unit.dimensionless:
        error = DimensionalityError(
            f"`{owner}` got `{field}` in '{x._unit}', but it is a number.",
            x._unit.pint,
            dimensionless().pint,
            f"An absolute tolerance is `atol`; `{field}` is a fraction of the state.",
        )
        raise error.at(caller_line())
    return convert(x.magnitude, x._unit, dimensionless())


def atol_to_units(atol: Any, working: Working, owner: str) -> Any:
    """An absolute tolerance in working units: a number for all leaves, or a `TreeTolerance`.

    **Raises** `DimensionalityError`, naming the leaf of the state, for one that measures something
    else; ValueError for a tree that does not fit the state.
    """
    leaves, structure = jtu.tree_flatten(atol, is_leaf=is_quantity)
    alone = structure == jtu.tree_structure(0)
    if alone and not isinstance(atol, Quantity):
        return atol  # in the units of `y0`, whatever they are
    differences = working.differences
    units, names = differences.units, differences.names()
    if alone:
        given = leaves * len(units)
        if units and all(unit is units[0] for unit in units):
            return _to_leaf(atol, units[0], names[0], owner)
    else:
        given = _broadcast(leaves, structure, differences, owner)
    magnitudes = [_to_leaf(x, u, n, owner) for x, u, n in zip(given, units, names, strict=True)]
    return TreeTolerance(differences.spread(magnitudes))


def _broadcast(leaves: list[Any], structure: Any, state: TreeUnits, owner: str) -> list[Any]:
    """A leaf of the tolerance for each leaf of the state, of which its tree is a prefix."""
    try:
        subtrees = structure.flatten_up_to(state.tree.unflatten(range(len(state.units))))
    except ValueError:
        error: LocatedError = RuleError(
            f"`{owner}` got `atol` as a tree, {structure}, that does not fit `y0`, {state.tree}.",
            "Give it shaped like `y0`, or one number for all leaves.",
        )
        raise error.at(caller_line()) from None
    return [x for x, sub in zip(leaves, subtrees, strict=True) for _ in jtu.tree_leaves(sub)]


def _to_leaf(x: Any, unit: InternedUnit, name: str, owner: str) -> Any:
    if not isinstance(x, Quantity):
        return x
    if x._unit.offset:
        error: LocatedError = OffsetUnitCalculusError(
            f"`{owner}` got `atol` in '{x._unit}', whose scale has an offset; a tolerance is a "
            "difference.",
            x._unit.pint,
            unit.pint,
            f"Give it in '{unit}'.",
        )
        raise error.at(caller_line())
    if not x._unit.compatible(unit):
        error = DimensionalityError(
            f"`{owner}` got `atol` in '{x._unit}', and {name} is in '{unit}'.",
            x._unit.pint,
            unit.pint,
            "Give `atol` as a tree shaped like `y0`, or as a number, which counts in the units of "
            "`y0`, leaf by leaf.",
        )
        raise error.at(caller_line())
    return convert(x.magnitude, x._unit, unit)


def refuse_quantities(part: Any) -> None:
    """**Raises** `RuleError` for a part of a solve that holds quantities nobody has converted."""
    if has_quantity(part):
        raise RuleError(
            f"`{type(part).__name__}` has quantity fields that this adapter cannot convert.",
            "Hold plain numbers, in the units of `t0` and `y0`.",
        ).at(caller_line())
