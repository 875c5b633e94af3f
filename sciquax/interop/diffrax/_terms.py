"""Terms: the user's vector field sees quantities, the solver sees their magnitudes."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax.tree_util as jtu

from sciquax.core import MODE, RuleError
from sciquax.core.internal import add_hook
from sciquax.units.internal import InternedUnit, wrap

from .._solving.edited import edited
from .._solving.tree_units import TreeUnits, Working, has_quantity, tree_to_units, without_units
from .._solving.user_functions import call, caller_line, keep
from ._controls import Diffusion, DiffusionShapes, bare_control
from ._custom_terms import bare_own_term
from ._langevin import LANGEVIN, bare_langevin_term
from ._running import is_directed, runs_on_quantities


class VectorField(eqx.Module):
    """A vector field on bare magnitudes, made of the user's on quantities.

    A pytree with the leaves of the user's function, so that its parameters are differentiated.
    Where the units that come are those due nothing is added to the program.
    """

    fn: Callable
    time: InternedUnit = eqx.field(static=True)
    takes: TreeUnits = eqx.field(static=True)
    gives: TreeUnits = eqx.field(static=True)

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        if self.gives.unknown:
            return y  # for the shapes only
        given = (wrap(t, self.time), self.takes.label(y), args)
        out = call(self.fn, *given, finish=keep)
        return tree_to_units(
            out, self.gives, self.fn, "The vector field",
            lambda name, unit: f"whose time derivative is in '{unit}'", given,
        )  # fmt: skip


def bare_terms(terms: Any, solver: Any, working: Working) -> Any:
    """The terms for Diffrax to solve on bare magnitudes.

    Of several that a solver of the user's takes, only that solver knows what each one sees.

    **Raises** `RuleError` for a term that units cannot be carried through.
    """
    if not isinstance(terms, diffrax.AbstractTerm) and runs_on_quantities(solver):
        return jtu.tree_map(lambda term: _unplaced(term, working), terms, is_leaf=is_term)
    return diffrax_terms(terms, solver, working)


def is_term(x: Any) -> bool:
    return isinstance(x, diffrax.AbstractTerm)


def _unplaced(term: Any, working: Working) -> Any:
    """A term that only gives Diffrax shapes: the user's solver sees the user's own term."""
    somewhere = dataclasses.replace(working.state, unknown=True)
    if type(term) is diffrax.ODETerm:
        return diffrax.ODETerm(VectorField(term.vector_field, working.time, somewhere, somewhere))
    if type(term) is diffrax.ControlTerm:
        control, _ = bare_control(term.control, working.time)
        return diffrax.ControlTerm(DiffusionShapes(term.vector_field, control), control)
    return UnplacedTerm(term)


class UnplacedTerm(diffrax.AbstractTerm):
    """A term of the user's own, of which Diffrax only asks for shapes."""

    term: Any

    def vf(self, t: Any, y: Any, args: Any) -> Any:
        return y

    def contr(self, t0: Any, t1: Any, **options: Any) -> Any:
        return t1 - t0

    def prod(self, vf: Any, control: Any) -> Any:
        return vf


def diffrax_terms(terms: Any, solver: Any, working: Working) -> Any:
    """The part of the terms that is Diffrax's, on bare magnitudes."""
    if isinstance(terms, diffrax.AbstractTerm):
        return _bare_term(terms, working, working.state, working.rates)
    if crossed(terms, solver) and len(working.state.children()) == 2:
        first, second = working.state.children()
        first_rate, second_rate = working.rates.children()
        return (
            _bare_term(terms[0], working, second, first_rate),
            _bare_term(terms[1], working, first, second_rate),
        )
    if working.unitless and not working.state.unknown:
        return terms
    if isinstance(solver, diffrax.EulerHeun | diffrax.ItoMilstein | diffrax.StratonovichMilstein):
        terms = diffrax.MultiTerm(*terms)  # the old way to write it
        return _bare_term(terms, working, working.state, working.rates)
    raise RuleError(
        f"`{type(solver).__name__}` takes several terms, and what part of the state each one "
        "sees is not known.",
        "Strip the units by hand: solve on `.m_as(unit)` and put the units back.",
    ).at(caller_line())


def crossed(terms: Any, solver: Any) -> bool:
    """Whether there are two terms, each the derivative of one half of the state by the other half.

    So they are for `SemiImplicitEuler`.
    """
    if isinstance(terms, diffrax.AbstractTerm):
        return False
    while isinstance(solver, diffrax.AbstractWrappedSolver):
        solver = solver.solver
    return isinstance(solver, diffrax.SemiImplicitEuler) and len(terms) == 2


# What `ControlTerm.to_ode` makes the vector field of; private to Diffrax 0.7.
ControlToODE: Any = type(
    diffrax.ControlTerm(lambda *_: None, lambda *_: None).to_ode().vector_field
)


def _bare_term(term: Any, working: Working, takes: TreeUnits, gives: TreeUnits) -> Any:
    time = working.time
    if is_directed(term):
        return edited(term, term=_bare_term(term.term, working, takes, gives))
    if isinstance(term, diffrax.MultiTerm):
        terms = tuple(_bare_term(t, working, takes, gives) for t in term.terms)
        return edited(term, terms=terms)
    if type(term) is diffrax.ODETerm:
        field: Any = term.vector_field
        if isinstance(field, ControlToODE):
            return _bare_term(field.control_term, working, takes, gives).to_ode()
        return diffrax.ODETerm(VectorField(field, time, takes, gives))
    if time.unitless and takes.unitless and not takes.unknown and not has_quantity(term):
        return term
    if type(term) is diffrax.ControlTerm:
        if takes.unknown:
            control, _ = bare_control(without_units(term.control), time, True)
            return diffrax.ControlTerm(DiffusionShapes(term.vector_field, control), control)
        control, units = bare_control(term.control, time)
        return diffrax.ControlTerm(Diffusion(term.vector_field, time, takes, units), control)
    if isinstance(term, LANGEVIN):
        return bare_langevin_term(term, working)
    if takes.unknown:  # for the shapes only, as an ordinary term's
        return diffrax.ODETerm(VectorField(type(term).vf, time, takes, gives))
    return bare_own_term(term, time, takes)


def _quaxified(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a term's method: called by hand on quantities it would compare units as it does shapes.

    Within a solve, quantities are in `args` only.
    """
    signature = inspect.signature(original)

    def hook(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        measured = [x for name, x in given.items() if name not in ("self", "args")]
        if MODE.staging or not has_quantity(measured):
            return original(*args, **kwargs)
        term = given.pop("self")
        method = lambda given: original(term, **given)  # noqa: E731
        method.__wrapped__ = original  # type: ignore[attr-defined]  # errors name it
        return call(method, given, finish=keep)

    return hook


for _kind in diffrax.ODETerm, *diffrax.ControlTerm.__mro__, diffrax.MultiTerm:
    for _name in ("vf", "prod", "vf_prod"):
        if _name in vars(_kind) and _kind is not diffrax.AbstractTerm:
            add_hook(vars(_kind)[_name], _quaxified, now=True)
