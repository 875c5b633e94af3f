"""Solvers: Diffrax's own, whose root finders may hold quantities."""

from typing import Any

import diffrax
import equinox as eqx

from .._solving.tolerances import atol_to_units, number, refuse_quantities
from .._solving.tree_units import Working, has_quantity


def bare_solver(solver: Any, working: Working) -> Any:
    """A solver whose root finder's tolerances, if it has one, are in working units.

    **Raises** `RuleError` for a solver that holds quantities elsewhere.
    """
    if not has_quantity(solver):
        return solver
    if isinstance(solver, diffrax.AbstractWrappedSolver):
        return eqx.tree_at(lambda s: s.solver, solver, bare_solver(solver.solver, working))
    if isinstance(solver, diffrax.AbstractImplicitSolver):
        given: Any = solver.root_finder
        owner = type(given).__name__
        bare = number(given.rtol, "rtol", owner), atol_to_units(given.atol, working, owner)
        solver = eqx.tree_at(
            lambda s: (s.root_finder.rtol, s.root_finder.atol), solver, bare,
            is_leaf=lambda x: x is given.rtol or x is given.atol,
        )  # fmt: skip
    refuse_quantities(solver)
    return solver
