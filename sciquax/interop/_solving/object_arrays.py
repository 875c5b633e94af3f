"""NumPy arrays of Python objects that are quantities, as lists of them become."""

from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import LocatedError, is_value
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import own_unit, wrap

from .tree_units import has_quantity, how_given, to_unit
from .user_functions import caller_line


def without_object_arrays(tree: Any) -> Any:
    """A tree whose NumPy arrays of quantities are quantities of arrays.

    **Raises** `DimensionalityError` for one whose elements measure different things.
    """

    def stacked(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype != object or not has_quantity(list(x.flat)):
            return x
        first = next(q for q in x.flat if isinstance(q, Quantity))

        def complain(q: Any) -> LocatedError:
            error = DimensionalityError(
                f"A NumPy array of objects holds one in '{first._unit}' and {how_given(q)}.",
                first._unit.pint,
                own_unit(q).pint,
                "Give a tuple or a dictionary where elements measure different things.",
            )
            return error.at(caller_line())

        bare = [jnp.asarray(to_unit(q, first._unit, complain)) for q in x.flat]
        return wrap(jnp.stack(bare).reshape(x.shape), first._unit)

    return jtu.tree_map(stacked, tree, is_leaf=is_value)
