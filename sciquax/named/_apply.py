"""Calling JAX on what a named array holds: a plain array, or a value such as a quantity."""

from collections.abc import Callable
from typing import Any

from sciquax.core import VALUE_TYPES, call_compiled, is_compiled_function, quaxify


def apply(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, where arrays (also in lists) may be values."""
    if not _holds_value(args) and not (kwargs and _holds_value(kwargs.values())):
        return function(*args, **kwargs)
    if is_compiled_function(function):
        return call_compiled(function, args, kwargs)
    return quaxify(function)(*args, **kwargs)


def _holds_value(items: Any) -> bool:
    for x in items:
        if type(x) in VALUE_TYPES:
            return True
        if type(x) in (list, tuple) and _holds_value(x):
            return True
    return False
