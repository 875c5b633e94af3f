"""Calling the user's functions on quantities, and naming them in errors."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu

from sciquax.core import (
    Location,
    UnitPolymorphic,
    is_value,
    output_places,
    run,
    strip,
    user_line,
)

from .captured_tracers import Traced
from .deferred_calls import PLACE


def call(
    fn: Callable[..., Any], *args: Any, finish: Callable[[Any], Any] = strip, **kwargs: Any
) -> Any:
    """Call a function of the user's on quantities: quaxified, or directly if it needs methods.

    Plain JAX code, code that captures quantities, code that calls `y.to("m")` and code that is
    quaxified already all work. `finish` is what becomes of outputs that are literal 0, inf or nan.
    """
    if isinstance(fn, Traced):
        out = fn(*args, **kwargs)
        return jtu.tree_map(
            lambda x: finish(x) if type(x) is UnitPolymorphic else x, out, is_leaf=is_value
        )
    try:
        return run(fn, args, kwargs, finish)
    except AttributeError as error:
        if "Tracer" in str(error):
            place = place_of(fn)
            error.add_note(
                f"While calling {place or fn} on quantities. A function that uses a quantity's own "
                "methods must take JAX's functions from `sciquax.numpy`, not from `jax.numpy`."
            )
        raise


def keep(constant: Any) -> Any:
    """For `finish` of a `call`: keep a derivative or residual of literal 0 as of every unit."""
    return constant


def place_of(fn: Any) -> Location | None:
    """Where a callable is defined, below whatever wraps it; None for one not written in Python."""
    if isinstance(fn, Traced):
        return fn.place
    while not hasattr(fn, "__code__"):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        else:
            method = type(fn).__call__ if callable(fn) else None
            if not hasattr(method, "__code__") and not hasattr(method, "__wrapped__"):
                return None
            fn = method
    fn = inspect.unwrap(fn)
    code = fn.__code__
    return Location(code.co_filename, code.co_firstlineno, 0, code.co_qualname)


def definition_of(fn: Callable[..., Any]) -> Location | None:
    """The place of an error about a function: where it is defined, else the line that calls."""
    return place_of(fn) or caller_line()


def line_of_output(
    fn: Callable[..., Any], arguments: tuple[Any, ...], leaf: int
) -> Location | None:
    """The line that made one leaf of what `fn` returned, else where it is defined."""
    place = None
    if arguments and not isinstance(fn, Traced):
        try:
            place = output_places(fn, arguments, {})[leaf]
        except Exception:  # it cannot be traced again: it uses the quantities' own methods, say
            pass
    return place or definition_of(fn)


def caller_line() -> Location | None:
    """The user's line that is running; None in a deferred call, whose interpreter knows it."""
    return None if PLACE.deferred else user_line()
