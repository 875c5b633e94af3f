"""The internal states of solvers that run on quantities: from step to step in the same units."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import LocatedError, UnitPolymorphic, strip
from sciquax.units import DimensionalityError
from sciquax.units.internal import magnitude_of, own_unit, wrap

from .flattened_values import is_stored
from .tree_units import how_given, is_quantity, to_unit
from .user_functions import definition_of


def settled(state: Any, following: Callable[[Any], Any]) -> Any:
    """An initial internal state in which zeros of every unit have units.

    **Arguments**: what `init` gave; and what gives the state after it.
    """
    leaves, tree = jtu.tree_flatten(state, is_leaf=is_stored)
    if not any(type(x) is UnitPolymorphic for x in leaves):
        return state
    after, new_tree = jtu.tree_flatten(following(state), is_leaf=is_stored)
    if new_tree == tree:
        for i, (x, new) in enumerate(zip(leaves, after, strict=True)):
            if type(x) is UnitPolymorphic:
                leaves[i] = wrap(jnp.asarray(magnitude_of(strip(x))), own_unit(new))
    return tree.unflatten(leaves)


def as_before(new: Any, old: Any, method: Callable[..., Any], op: str) -> Any:
    """An internal state with its leaves in the units that they had before.

    **Raises** `DimensionalityError` where one measures something else now.
    """
    leaves, tree = jtu.tree_flatten(old, is_leaf=is_stored)
    after, new_tree = jtu.tree_flatten(new, is_leaf=is_stored)
    if new_tree != tree:
        return new  # JAX says what is wrong

    def convert(x: Any, before: Any) -> Any:
        if not is_quantity(x) and not is_quantity(before):
            return x
        unit = own_unit(before)

        def complain(x: Any) -> LocatedError:
            error = DimensionalityError(
                f"{op} returned {how_given(x)} in its internal state, which was in '{unit}'.",
                own_unit(x).pint,
                unit.pint,
                "A state keeps what it measures from step to step, and so must what `init` gives.",
            )
            return error.at(definition_of(method))

        return wrap(to_unit(x, unit, complain), unit)

    return tree.unflatten([convert(*pair) for pair in zip(after, leaves, strict=True)])
