"""Terms of the user's own classes: their methods see quantities, the solver sees magnitudes.

A control is stripped, since some solvers ask for a bare number there; its units are found once. A
vector field stays a tree of quantities, of which Diffrax multiplies and adds leaves.
"""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp

from sciquax.core import strip
from sciquax.units.internal import InternedUnit, difference_unit, wrap

from .._solving.tree_units import TreeUnits, tree_to_units
from .._solving.user_functions import call, keep


class OwnTerm(diffrax.AbstractTerm):
    """A term on bare magnitudes, made of the user's on quantities."""

    term: Any
    time: InternedUnit = eqx.field(static=True)
    takes: TreeUnits = eqx.field(static=True)
    controls: TreeUnits = eqx.field(static=True)

    def vf(self, t: Any, y: Any, args: Any) -> Any:
        return _method(self.term, "vf", wrap(t, self.time), self.takes.label(y), args)

    def contr(self, t0: Any, t1: Any, **options: Any) -> Any:
        times = wrap(t0, self.time), wrap(t1, self.time)
        out = _method(self.term, "contr", *times, finish=keep, **options)
        return self._fit(out, self.controls, "contr", "which it gave in '{}' before")

    def prod(self, vf: Any, control: Any) -> Any:
        out = _method(self.term, "prod", vf, self.controls.label(control), finish=keep)
        return self._change(out, "prod")

    def vf_prod(self, t: Any, y: Any, args: Any, control: Any) -> Any:
        given = wrap(t, self.time), self.takes.label(y), args, self.controls.label(control)
        return self._change(_method(self.term, "vf_prod", *given, finish=keep), "vf_prod")

    def is_vf_expensive(self, t0: Any, t1: Any, y: Any, args: Any) -> bool:
        times = wrap(t0, self.time), wrap(t1, self.time)
        return self.term.is_vf_expensive(*times, self.takes.label(y), args)

    def _change(self, out: Any, name: str) -> Any:
        changes = self.takes.map(difference_unit)
        return self._fit(out, changes, name, "whose change over a step must be in '{}'")

    def _fit(self, out: Any, due: TreeUnits, name: str, why: str) -> Any:
        name, function = _written_by_the_user(self.term, name)
        what = f"`{type(self.term).__name__}.{name}`"
        return tree_to_units(out, due, function, what, lambda _, unit: why.format(unit))


def _written_by_the_user(term: Any, name: str) -> tuple[str, Callable]:
    """The user's function behind the output of one of Diffrax's own term methods, for errors."""
    for method in (name, "prod", "vf"):
        function = getattr(type(term), method)
        if not function.__module__.startswith("diffrax"):
            return method, function
    return "vector_field", getattr(term, "vector_field", getattr(type(term), name))


def _method(term: Any, name: str, *args: Any, finish: Callable = strip, **options: Any) -> Any:
    """Call a user's method on quantities, including those that the term holds."""

    def method(term: Any, *args: Any) -> Any:
        return getattr(term, name)(*args, **options)

    method.__wrapped__ = getattr(type(term), name)  # type: ignore[attr-defined]  # errors name it
    return call(method, term, *args, finish=finish)


def bare_own_term(term: Any, time: InternedUnit, takes: TreeUnits) -> OwnTerm:
    """A term of the user's own for Diffrax to solve on bare magnitudes.

    **Raises** what its method `contr` raises on times of this unit.
    """
    t = wrap(jnp.asarray(0.0), time)
    control = eqx.filter_eval_shape(lambda term, t: _method(term, "contr", t, t), term, t)
    return OwnTerm(term, time, takes, TreeUnits.of(control, "control").map(difference_unit))
