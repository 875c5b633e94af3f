"""`equinox.internal.noinline`: on values it is the function itself, interpreted in place."""

from collections.abc import Sequence
from typing import Any

import jax.tree_util as jtu

from .._compat.jaxprs import Tracer
from .._errors import RuleError
from .._stage.quaxify import quaxify
from .._values.kinds import is_value
from .._values.unit_polymorphic import strip


def noinline(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Interpret the function, in place. Private: how Equinox 0.13 passes it."""
    from equinox.internal import _noinline, _primitive

    leaves = _primitive._combine([strip(x) for x in operands], params["static"])
    index, _, transforms, args = jtu.tree_unflatten(params["treedef"], leaves)
    if isinstance(index, Tracer):
        raise RuleError(
            "`noinline` was given a value and a function that is chosen while the program runs.",
            "Call the function without `equinox.internal.noinline`.",
        )
    function = _noinline._index_to_fn[int(index)]
    for transform in transforms:
        function = transform(function)
    return jtu.tree_leaves(quaxify(function)(args), is_leaf=is_value)
