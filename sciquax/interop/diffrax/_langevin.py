"""The terms of underdamped Langevin diffusion, whose state is a pair of positions and velocities.

    dx = v dt,    dv = -gamma v dt - u grad f(x) dt + sqrt(2 gamma u) dW

For x in m and time in s, dW is in s**(1/2): so `gamma` is in 1/s, `u` in the square of a velocity,
m**2/s**2, and the potential f is a number, an energy over k T. Then `u` is k T over a mass.

Diffrax's solvers for it add v dt to x, without a vector field that could convert. The working unit
of a velocity therefore is that of its position over that of time, whatever `y0` has it in.
"""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax.tree_util as jtu

from sciquax.core import LocatedError
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import InternedUnit, convert, difference_unit, own_unit, wrap

from .._solving.edited import edited
from .._solving.tree_units import (
    TreeUnits,
    Working,
    is_quantity,
    to_unit,
    tree_to_units,
    without_units,
)
from .._solving.user_functions import call, caller_line
from ._brownian import bare_path

LANGEVIN = (diffrax.UnderdampedLangevinDriftTerm, diffrax.UnderdampedLangevinDiffusionTerm)


def has_langevin(terms: Any) -> bool:
    """Whether any of the terms is one of these."""
    if isinstance(terms, diffrax.MultiTerm):
        terms = terms.terms
    found = jtu.tree_leaves(terms, is_leaf=lambda x: isinstance(x, diffrax.AbstractTerm))
    return any(isinstance(term, LANGEVIN) for term in found)


def velocities_in_working_units(y0: Any, time: InternedUnit) -> Any:
    """`y0`, a pair, with its velocities converted to units of its positions over that of time.

    **Raises** `DimensionalityError` for velocities that are none.
    """
    state = TreeUnits.of(y0, "y0")
    if len(state.children()) != 2 or state.unitless and time.unitless:
        return y0
    positions, velocities = state.children()
    if positions.tree != velocities.tree:
        return y0  # Diffrax says what is wrong
    rates = positions.map(lambda unit: difference_unit(unit) / time)

    def convert_leaf(v: Any, x: InternedUnit, rate: InternedUnit, name: str) -> Any:
        def complain(v: Any) -> LocatedError:
            came = f"'{v._unit}'" if isinstance(v, Quantity) else "plain numbers"
            error = DimensionalityError(
                f"`diffeqsolve` got the velocity {name} of a Langevin diffusion in {came}, and its "
                f"position is in '{x}', so that it must be in '{rate}'.",
                own_unit(v).pint,
                rate.pint,
                f"Give it in a unit that converts to '{rate}'; `y0` is (positions, velocities).",
            )
            return error.at(caller_line())

        return wrap(to_unit(v, rate, complain), rate)

    x, v = state.tree.unflatten(jtu.tree_leaves(y0, is_leaf=is_quantity))
    leaves = zip(
        velocities.tree.flatten_up_to(v),
        positions.units,
        rates.units,
        velocities.names(),
        strict=True,
    )
    return (x, velocities.tree.unflatten([convert_leaf(*leaf) for leaf in leaves]))


def to_units_of(y0: Any, ys: Any) -> Any:
    """The saved states in the units of `y0`."""

    def convert_leaf(start: Any, y: Any) -> Any:
        if not isinstance(start, Quantity) or not isinstance(y, Quantity):
            return y
        return wrap(convert(y.magnitude, y._unit, start._unit), start._unit)

    return jtu.tree_map(convert_leaf, y0, ys, is_leaf=is_quantity)


def with_atol_in_units_of(y0: Any, controller: Any) -> Any:
    """A controller whose `atol`, if it is a number, counts in the units of `y0`."""
    if isinstance(controller, diffrax.ClipStepSizeController):
        inner = with_atol_in_units_of(y0, controller.controller)
        return eqx.tree_at(lambda c: c.controller, controller, inner)
    if not isinstance(controller, diffrax.PIDController):
        return controller
    atol = controller.atol
    if jtu.tree_structure(atol, is_leaf=is_quantity) != jtu.tree_structure(0) or is_quantity(atol):
        return controller
    units = TreeUnits.of(y0)
    tree = units.tree.unflatten([wrap(atol, difference_unit(unit)) for unit in units.units])
    return eqx.tree_at(lambda c: c.atol, controller, tree)


class PotentialGradient(eqx.Module):
    """The gradient of the potential on bare magnitudes, made of the user's on quantities."""

    fn: Callable
    takes: TreeUnits = eqx.field(static=True)

    def __call__(self, x: Any, args: Any) -> Any:
        if self.takes.unknown:
            return x  # for the shapes only
        gives = self.takes.map(lambda unit: difference_unit(unit) ** -1)
        given = (self.takes.label(x), args)
        out = call(self.fn, *given, finish=lambda constant: constant)
        return tree_to_units(
            out, gives, self.fn, "`grad_f`",
            lambda name, unit: f"along which a potential, a number, changes in '{unit}'", given,
        )  # fmt: skip


def bare_langevin_term(term: Any, working: Working) -> Any:
    """One of these terms for Diffrax to solve on bare magnitudes.

    **Raises** `DimensionalityError` for a `gamma`, a `u` or a gradient of the wrong dimension.
    """
    time = working.time
    if working.state.unknown:
        gamma, u = without_units((term.gamma, term.u))
        positions = TreeUnits(None, (), unknown=True)
    else:
        positions = working.state.children()[0]
        owner = type(term).__name__
        friction = positions.map(lambda _: time**-1)
        gamma = _coefficient(term.gamma, friction, "gamma", owner)
        squares = positions.map(lambda unit: (difference_unit(unit) / time) ** 2)
        u = _coefficient(term.u, squares, "u", owner)
    if isinstance(term, diffrax.UnderdampedLangevinDriftTerm):
        grad_f = PotentialGradient(term.grad_f, positions)
        return edited(term, gamma=gamma, u=u, grad_f=grad_f)
    control = without_units(term.control) if working.state.unknown else term.control
    return edited(term, gamma=gamma, u=u, control=bare_path(control, time))


def _coefficient(given: Any, due: TreeUnits, name: str, owner: str) -> Any:
    """`gamma` or `u`, a tree that `y0`'s positions extend, in working units."""

    def complain(x: Any, unit: InternedUnit, leaf: str) -> LocatedError:
        came = f"'{x._unit}'" if isinstance(x, Quantity) else "plain numbers"
        error = DimensionalityError(
            f"`{owner}` got `{name}` in {came} for {leaf}, but it must be in '{unit}'.",
            own_unit(x).pint,
            unit.pint,
            f"Give it in a unit that converts to '{unit}'. `gamma` is a rate, `u` the square of a "
            "velocity: k T over the mass.",
        )
        return error.at(caller_line())

    def in_unit(x: Any, unit: InternedUnit, leaf: str) -> Any:
        return to_unit(x, unit, lambda x: complain(x, unit, leaf))

    pairs = due.tree.unflatten(list(zip(due.units, due.names(), strict=True)))

    def in_units(x: Any, below: Any) -> Any:
        found = jtu.tree_leaves(below, is_leaf=_is_pair)
        if len({unit for unit, _ in found}) == 1:
            return in_unit(x, *found[0])
        return jtu.tree_map(lambda pair: in_unit(x, *pair), below, is_leaf=_is_pair)

    try:
        return jtu.tree_map(in_units, given, pairs, is_leaf=is_quantity)
    except ValueError:
        return without_units(given)  # no prefix of the positions: Diffrax says so


def _is_pair(x: Any) -> bool:
    return isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], InternedUnit)
