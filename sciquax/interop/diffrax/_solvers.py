"""Solvers: Diffrax's own, whose root finders may hold quantities."""

from typing import Any

import diffrax
import equinox as eqx

from .._solving.edited import edited
from .._solving.tolerances import atol_to_units, number, refuse_quantities
from .._solving.tree_units import Working, has_quantity
from .._solving.trial import is_own
from ._checked import checked_root_finder
from ._own_solver import own_solver


def bare_solver(solver: Any, working: Working) -> Any:
    """The solver for Diffrax to step with, on bare magnitudes.

    One of a class of the user's runs on quantities, see `_own_solver`.

    **Raises** `RuleError` for one of Diffrax's that holds quantities other than tolerances.
    """
    if working.state.unknown:  # for the shapes only
        return solver
    own = own_solver(solver, working)
    if own is None or working.unitless and not has_quantity(solver):
        return diffrax_solver(solver, working)
    return own


def diffrax_solver(solver: Any, working: Working) -> Any:
    """The part of a solver that is Diffrax's, on bare magnitudes: a subclass may hold more."""
    if isinstance(getattr(solver, "solver", None), diffrax.AbstractSolver):
        return edited(solver, solver=bare_solver(solver.solver, working))
    if isinstance(solver, diffrax.AbstractImplicitSolver):
        finder = checked_root_finder(solver, solver.root_finder, working)
        solver = solver if finder is solver.root_finder else edited(solver, root_finder=finder)
    if not has_quantity(solver):
        return solver
    if isinstance(solver, diffrax.AbstractImplicitSolver) and has_quantity(solver.root_finder):
        given: Any = solver.root_finder
        owner = type(given).__name__
        bare = number(given.rtol, "rtol", owner), atol_to_units(given.atol, working, owner)
        solver = eqx.tree_at(
            lambda s: (s.root_finder.rtol, s.root_finder.atol), solver, bare,
            is_leaf=lambda x: x is given.rtol or x is given.atol,
        )  # fmt: skip
    if not is_own(solver):
        refuse_quantities(solver)
    return solver
