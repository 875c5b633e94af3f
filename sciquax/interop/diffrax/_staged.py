"""A solve within a program that is being staged: its functions may not hold that one's tracers."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import lineax.internal as lxi

from .._solving.captured_tracers import Traced, without_captured_tracers
from .._solving.edited import edited
from .._solving.tree_units import is_quantity, without_units
from .._solving.user_functions import place_of
from ._events import TIMES, of_diffrax
from ._running import is_directed
from ._saveat import SAVE_Y, is_sub, times_of
from ._terms import crossed


def self_contained(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a solve, whose functions have what they captured as leaves."""
    saveat = given["saveat"]
    t, y = _shapes_of_time_and_state(given)
    args, terms, event = given["args"], given["terms"], given["event"]
    new = dict(given, terms=terms_without_tracers(terms, given["solver"], t, y, args))

    def saved(sub: Any) -> Any:
        if not is_sub(sub) or sub.fn is SAVE_Y:
            return sub
        fn = without_captured_tracers(sub.fn, t, y, args, place=place_of(sub.fn))
        return eqx.tree_at(lambda s: s.fn, sub, fn)

    new["saveat"] = eqx.tree_at(
        lambda s: s.subs,
        saveat,
        jtu.tree_map(saved, saveat.subs, is_leaf=is_sub),
        is_leaf=lambda x: x is None,
    )
    if event is not None:
        conditions = jtu.tree_map(
            lambda fn: _condition(fn, t, y, new), event.cond_fn, is_leaf=callable
        )
        new["event"] = edited(event, cond_fn=conditions)
    return new


def terms_without_tracers(terms: Any, solver: Any, t: Any, y: Any, args: Any) -> Any:
    """The terms, whose functions have what they captured as leaves."""
    if crossed(terms, solver):
        return (_terms(terms[0], t, y[1], args), _terms(terms[1], t, y[0], args))
    return _terms(terms, t, y, args)


def _terms(terms: Any, t: Any, y: Any, args: Any) -> Any:
    def contained(term: Any) -> Any:
        if is_directed(term):
            return edited(term, term=contained(term.term))
        if isinstance(term, diffrax.MultiTerm):
            return edited(term, terms=tuple(map(contained, term.terms)))
        if isinstance(term, diffrax.UnderdampedLangevinDriftTerm):
            fn = term.grad_f
            fn = without_captured_tracers(fn, y[0], args, place=place_of(fn))
            return edited(term, grad_f=fn)
        if type(term) not in (diffrax.ODETerm, diffrax.ControlTerm):
            return term
        fn = term.vector_field
        fn = without_captured_tracers(fn, t, y, args, place=place_of(fn))
        if type(term) is diffrax.ODETerm:
            return diffrax.ODETerm(fn)
        control = term.control
        if isinstance(control, _CallableToPath):
            function = control.fn  # pyright: ignore[reportAttributeAccessIssue]
            control = without_captured_tracers(function, t, t, place=place_of(function))
        return diffrax.ControlTerm(fn, control)

    return jtu.tree_map(contained, terms, is_leaf=lambda x: isinstance(x, diffrax.AbstractTerm))


# What `ControlTerm` makes of a function; private to Diffrax 0.7.
_CallableToPath = type(diffrax.ControlTerm(lambda *_: None, lambda *_: None).control)

_PASSED_ON = ("terms", "solver", "saveat", "stepsize_controller", "max_steps")


def _condition(fn: Any, t: Any, y: Any, given: dict[str, Any]) -> Any:
    """An event's condition; Diffrax hands it the arguments of the solve by name."""
    if of_diffrax(fn):
        return fn
    known = {name: given[name] for name in _PASSED_ON}

    def condition(t: Any, y: Any, args: Any, times: dict[str, Any]) -> Any:
        return fn(t, y, args, **known, **times)

    times = {name: t for name in TIMES if given[name] is not None}
    found = without_captured_tracers(condition, t, y, given["args"], times, place=place_of(fn))
    return TracedCondition(found) if isinstance(found, Traced) else fn


class TracedCondition(eqx.Module):
    """A condition that captured tracers, called as Diffrax calls one."""

    fn: Traced

    @property
    def __wrapped__(self) -> Any:
        return self.fn

    def __call__(self, t: Any, y: Any, args: Any, **kwargs: Any) -> Any:
        return self.fn(t, y, args, {k: kwargs[k] for k in TIMES if kwargs.get(k) is not None})


def _shapes_of_time_and_state(given: dict[str, Any]) -> tuple[Any, Any]:
    """Shapes of `t` and `y` as the user's functions will see them; dtypes as Diffrax chooses."""
    times = [given["t0"], given["t1"], given["dt0"], *times_of(given["saveat"])]
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*[without_units(t) for t in times if t is not None])
        if not jnp.issubdtype(dtype, jnp.floating):
            dtype = lxi.default_floating_dtype()

        def struct(leaf: Any) -> jax.ShapeDtypeStruct:
            bare = without_units(leaf)
            return jax.ShapeDtypeStruct(jnp.shape(bare), jnp.result_type(bare, dtype))

        y = jtu.tree_map(struct, given["y0"], is_leaf=is_quantity)
    return jax.ShapeDtypeStruct((), dtype), y
