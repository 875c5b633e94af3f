"""Rules for whole functions of linear algebra, where a matrix's meaning is lost in primitives.

Each says what the function is for a structure. Where it says NotImplemented the result would be
dense: it becomes so if the matrix allows it, and is refused by the function's name otherwise.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from sciquax.core import materialised, register_rule

from .._matrix.factor import linalg
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import _is, _is_empty
from .._matrix.value_contract import refuse_unless_allowed


def _rule(
    function: Callable, opened: Callable | None = None, derivative: Callable | None = None
) -> Callable:
    """Decorator: a rule that falls back to the function on dense arrays, if they are allowed.

    Calls for which `opened(*args)` holds are left to the rules of the primitives in their bodies.
    `derivative` is what `register_rule` says.
    """
    shown = function.__name__

    def decorator(rule: Callable) -> Callable:
        def whole(*args: Any, **kwargs: Any) -> Any:
            if opened is not None and opened(*args):
                return NotImplemented
            if any(_is(x) and len(x.shape) < 2 for x in args):  # mapped over rows
                return NotImplemented
            if not any(map(_is_empty, args)):
                out = rule(*args, **kwargs)
                if out is not NotImplemented:
                    return out
            refuse_unless_allowed(shown, args)
            arrays = [materialised(x, shown) if _is(x) else x for x in args]
            return linalg(lambda *xs: function(*xs, **kwargs), *arrays)

        whole.__name__ = whole.__qualname__ = rule.__name__
        whole.__module__ = rule.__module__
        if derivative is not None:
            whole.derivative = derivative  # pyright: ignore[reportFunctionMemberAccess]
        register_rule(StructuredMatrix, function, whole)
        return whole

    return decorator


def _inexact(a: Any) -> Any:
    """As JAX's functions of linear algebra, which take integers as floats."""
    if jnp.issubdtype(a.dtype, jnp.inexact):
        return a
    return a.convert(jnp.promote_types(a.dtype, jnp.result_type(float)))
