"""What Equinox binds that is not what it looks like.

`eqx.error_if(x, pred, msg)` is a conditional between `x` and the result of a host callback that
raises. What it returns never exists, so it is of every type, as a literal nan is of every unit.

`eqxi.noinline(f)` is a host callback to a compiled `f`, found by a number among the operands. On
values it is `f` itself, interpreted in place.
"""

from collections.abc import Sequence
from typing import Any

import jax.tree_util as jtu

from ._compat import Tracer, bind_equation
from ._errors import RuleError
from ._polymorphic import Polymorphic, strip
from ._value import is_value


def never_returns(eqn: Any) -> bool:
    """Whether an equation is the callback with which Equinox raises an error at run time."""
    if eqn.primitive.name != "pure_callback":
        return False
    function = getattr(eqn.params["callback"], "callback_func", None)
    return getattr(function, "__module__", None) == "equinox._errors"


def bind_error(eqn: Any, operands: list[Any]) -> list[Polymorphic]:
    """Bind it on bare arrays; its outputs are of every type."""
    return [Polymorphic(x) for x in bind_equation(eqn, jtu.tree_leaves(operands))]


def noinline(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Interpret the function, in place. Private: how Equinox 0.13 passes it."""
    from equinox.internal import _noinline, _primitive

    from ._quaxify import quaxify

    leaves = _primitive._combine([strip(x) for x in operands], params["static"])
    index, _, transforms, args = jtu.tree_unflatten(params["treedef"], leaves)
    if isinstance(index, Tracer):
        raise RuleError(
            "`noinline` got a value, and a function that is chosen while the program runs.",
            "Call the function without `equinox.internal.noinline`.",
        )
    function = _noinline._index_to_fn[int(index)]
    for transform in transforms:
        function = transform(function)
    return jtu.tree_leaves(quaxify(function)(args), is_leaf=is_value)
