"""A solve within a program that is being staged: its functions must not hold that program's tracers."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import lineax.internal as lxi

from sciquax.core import RuleError

from ._deferred import without_captured_tracers
from ._places import at_stack
from ._saveat import SAVE_Y, is_sub, times_of
from ._units import is_quantity, without_units


def self_contained(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a solve, whose functions have what they captured as leaves.

    **Raises** `RuleError` for what cannot be asked for here.
    """
    saveat = given["saveat"]
    if saveat.solver_state or saveat.controller_state:
        raise at_stack(
            RuleError(
                "`SaveAt(solver_state=True)` and `SaveAt(controller_state=True)` do not work within "
                "`quaxify`, where the units that the state is in are not known yet.",
                "Solve outside of `quaxify`: `diffeqsolve` takes quantities by itself.",
            )
        )
    t, y = _shapes_of_time_and_state(given)
    args = given["args"]

    def field(term: Any) -> Any:
        if isinstance(term, diffrax.MultiTerm):
            return diffrax.MultiTerm(*map(field, term.terms))
        if type(term) is diffrax.ODETerm:
            return diffrax.ODETerm(without_captured_tracers(term.vector_field, t, y, args))
        return term

    def saved(sub: Any) -> Any:
        if not is_sub(sub) or sub.fn is SAVE_Y:
            return sub
        return eqx.tree_at(lambda s: s.fn, sub, without_captured_tracers(sub.fn, t, y, args))

    new = dict(given)
    new["terms"] = jtu.tree_map(
        field, given["terms"], is_leaf=lambda x: isinstance(x, diffrax.AbstractTerm)
    )
    new["saveat"] = eqx.tree_at(
        lambda s: s.subs,
        saveat,
        jtu.tree_map(saved, saveat.subs, is_leaf=is_sub),
        is_leaf=lambda x: x is None,
    )
    return new


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
