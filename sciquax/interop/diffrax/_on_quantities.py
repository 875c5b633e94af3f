"""Turning the bare parts that Diffrax holds back into the user's parts on quantities."""

from typing import Any

import diffrax
import jax.tree_util as jtu

from sciquax.units.internal import wrap

from .._solving.edited import edited
from .._solving.tolerances import TreeTolerance
from .._solving.tree_units import TreeUnits, Working
from ._brownian import OURS, BareBrownianPath
from ._controls import BareControl, Diffusion, DiffusionShapes
from ._custom_terms import OwnTerm
from ._langevin import LANGEVIN, PotentialGradient
from ._running import is_directed
from ._terms import ControlToODE, UnplacedTerm, VectorField, is_term


def terms_on_quantities(terms: Any, working: Working) -> Any:
    """The terms that a solver was given, with the user's own functions, paths and classes."""

    def one(term: Any) -> Any:
        if isinstance(term, OwnTerm | UnplacedTerm):
            return term.term
        if is_directed(term):
            return edited(term, term=one(term.term))
        if isinstance(term, diffrax.MultiTerm):
            return edited(term, terms=tuple(map(one, term.terms)))
        if isinstance(term, LANGEVIN):
            return _langevin(term, working)
        field: Any = getattr(term, "vector_field", None)
        if isinstance(field, ControlToODE):
            return one(field.control_term).to_ode()
        if isinstance(field, VectorField):
            return edited(term, vector_field=field.fn)
        if isinstance(field, Diffusion | DiffusionShapes):
            return edited(term, vector_field=field.fn, control=_path(term.control, working))
        return term

    return jtu.tree_map(one, terms, is_leaf=is_term)


def _path(path: Any, working: Working) -> Any:
    """A control that takes times with units."""
    if isinstance(path, BareControl | BareBrownianPath):
        return path.path
    for ours, theirs in OURS.items():
        if type(path) is theirs:
            ends = {
                k: wrap(getattr(path, k), working.time) for k in ("t0", "t1") if k in vars(path)
            }
            return edited(path, ours, **ends)
    return path


def _langevin(term: Any, working: Working) -> Any:
    time, state = working.time, working.state
    positions = state.children()[0]
    fields = {"gamma": positions.map(lambda _: time**-1)}
    fields["u"] = positions.map(lambda unit: (unit / time) ** 2)
    found = {k: _label(getattr(term, k), units) for k, units in fields.items()}
    if isinstance(getattr(term, "grad_f", None), PotentialGradient):
        return edited(term, grad_f=term.grad_f.fn, **found)
    if hasattr(term, "control"):
        return edited(term, control=_path(term.control, working), **found)
    return edited(term, **found)


def _label(given: Any, units: TreeUnits) -> Any:
    """A tree that the positions' extends, with units."""
    tree = jtu.tree_structure(given)
    if tree == units.bare:
        return units.label(given)
    unit = units.units[0]
    return jtu.tree_map(lambda x: wrap(x, unit), given)


def controller_on_quantities(controller: Any, working: Working) -> Any:
    """One of Diffrax's step size controllers with its tolerances and times as quantities."""
    fields = vars(controller)
    new = {k: wrap(fields[k], working.time) for k in _TIMES if fields.get(k) is not None}
    if isinstance(fields.get("atol"), TreeTolerance):
        new["atol"] = working.differences.label(fields["atol"].tree)
    if "controller" in fields:
        new["controller"] = controller_on_quantities(fields["controller"], working)
    return edited(controller, **new)


_TIMES = ("dtmin", "dtmax", "step_ts", "jump_ts", "ts")
