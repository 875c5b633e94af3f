"""The user's function on bare magnitudes, and what units it returns."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.tree_util as jtu

from sciquax.units import DimensionalityError, OffsetUnitCalculusError
from sciquax.units.internal import InternedUnit, dimensionless, from_pint

from .._solving.tree_units import TreeUnits, is_literal_of_every_unit, tree_to_units
from .._solving.user_functions import call, definition_of, keep, line_of_output

WHAT = {
    "root_find": "The function to find a root of",
    "least_squares": "The residual function",
    "minimise": "The objective",
    "fixed_point": "The function to find a fixed point of",
}


class BareFunction(eqx.Module):
    """A function on bare magnitudes, made of the user's on quantities.

    A pytree with the leaves of the user's function, so that its parameters are differentiated.
    """

    fn: Callable
    takes: TreeUnits = eqx.field(static=True)
    gives: TreeUnits = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    has_aux: bool = eqx.field(static=True)

    def __call__(self, y: Any, args: Any) -> Any:
        given = (self.takes.label(y), args)
        out = call(self.fn, *given, finish=keep)
        out, aux = out if self.has_aux else (out, None)
        bare = tree_to_units(out, self.gives, self.fn, WHAT[self.kind], _due, given)
        if self.kind == "minimise" and self.gives.bare != self.gives.tree:
            bare = jtu.tree_leaves(bare)[0]  # of a named array without axes
        return (bare, aux) if self.has_aux else bare


def _due(name: str, unit: str) -> str:
    return f"which must be in '{unit}', as `y0` is"


def units_returned(
    kind: str, fn: Callable[..., Any], y0: Any, args: Any, has_aux: bool
) -> TreeUnits:
    """The units that the solve counts the function's values in, from an abstract evaluation.

    **Raises** `DimensionalityError` for residuals of different dimensions in `least_squares`, and
    `OffsetUnitCalculusError` for a residual on a scale with an offset.
    """
    if kind == "fixed_point":
        return TreeUnits.of(y0)
    out = eqx.filter_eval_shape(lambda y, a: call(fn, y, a, finish=keep), y0, args)
    out = out[0] if has_aux else out
    # Tolerances count in these units: in eV, not in eV*nm**12/angstrom**12.
    gives = TreeUnits.of(out, "residual").map(_reduced)
    if kind == "minimise":
        return gives
    if any(unit.offset for unit in gives.units):
        number = [unit.offset for unit in gives.units].index(True)
        raise _offset(kind, fn, (y0, args), gives, number, has_aux)
    if kind == "root_find":
        return gives
    literal = list(map(is_literal_of_every_unit, gives.tree.flatten_up_to(out)))
    known = [i for i, of_every in enumerate(literal) if not of_every]
    if not known:
        return gives
    common = gives.units[known[0]]
    for i in known:
        if not common.compatible(gives.units[i]):
            raise _mixed(fn, (y0, args), gives, known[0], i, has_aux)
    return gives.map(lambda _: common)


def _reduced(unit: InternedUnit) -> InternedUnit:
    """A unit in which no two factors measure the same thing."""
    if unit.offset or unit.logarithmic:
        return unit
    one = unit.registry.Quantity(1.0, unit.pint)
    return from_pint(one.to_reduced_units().units, unit.registry)


def _mixed(
    fn: Callable, given: tuple, gives: TreeUnits, first: int, other: int, has_aux: bool
) -> DimensionalityError:
    names, units = gives.names(), gives.units
    error = DimensionalityError(
        f"`least_squares` adds up the squares of residuals, and {names[first]} is in "
        f"'{units[first]}', {names[other]} in '{units[other]}', which measure different things.",
        units[first].pint,
        units[other].pint,
        "Divide each residual by its own scale, such as its standard deviation.",
    )
    return error.at(definition_of(fn)) if has_aux else error.at(line_of_output(fn, given, other))


def _offset(
    kind: str, fn: Callable, given: tuple, gives: TreeUnits, number: int, has_aux: bool
) -> OffsetUnitCalculusError:
    unit: InternedUnit = gives.units[number]
    error = OffsetUnitCalculusError(
        f"{WHAT[kind]} returned {gives.names()[number]} in '{unit}', whose zero is not zero.",
        unit.pint,
        dimensionless().pint,
        "Return a difference, or convert with `.to('kelvin')`.",
    )
    return error.at(definition_of(fn)) if has_aux else error.at(line_of_output(fn, given, number))
