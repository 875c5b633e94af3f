"""What Equinox binds that is not what it looks like.

`eqx.error_if(x, pred, msg)` is a conditional between `x` and the result of a host callback that
raises. What it returns never exists, so it is of every type, as a literal nan is of every unit.
"""

from typing import Any

import jax.tree_util as jtu

from ._compat import bind_equation
from ._polymorphic import Polymorphic


def never_returns(eqn: Any) -> bool:
    """Whether an equation is the callback with which Equinox raises an error at run time."""
    if eqn.primitive.name != "pure_callback":
        return False
    function = getattr(eqn.params["callback"], "callback_func", None)
    return getattr(function, "__module__", None) == "equinox._errors"


def bind_error(eqn: Any, operands: list[Any]) -> list[Polymorphic]:
    """Bind it on bare arrays; its outputs are of every type."""
    return [Polymorphic(x) for x in bind_equation(eqn, jtu.tree_leaves(operands))]
