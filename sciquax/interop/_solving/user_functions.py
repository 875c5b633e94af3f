"""Calling the user's functions on quantities, and naming them in errors."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax.tree_util as jtu

from sciquax.core import (
    LocatedError,
    Location,
    Polymorphic,
    is_value,
    locate_stack,
    output_places,
    run,
    strip,
)

from .captured_tracers import Traced
from .deferred_calls import PLACE

Error = TypeVar("Error", bound=BaseException)


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
            lambda x: finish(x) if type(x) is Polymorphic else x, out, is_leaf=is_value
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


def at_function(error: Error, fn: Callable[..., Any]) -> Error:
    """`error` with the place where a function is defined."""
    place = place_of(fn)
    if place is None:
        return at_stack(error)
    error._sciquax_located = True  # type: ignore[attr-defined]  # the innermost place stays
    if isinstance(error, LocatedError):
        error.location = place
    return error


def at_output(error: Error, fn: Callable[..., Any], arguments: tuple[Any, ...], leaf: int) -> Error:
    """`error` with the line that made one leaf of what `fn` returned, else where it is defined."""
    if arguments and not isinstance(fn, Traced):
        try:
            place = output_places(fn, arguments, {})[leaf]
        except Exception:  # it cannot be traced again: it uses the quantities' own methods, say
            place = None
        if place is not None:
            error._sciquax_located = True  # type: ignore[attr-defined]
            if isinstance(error, LocatedError):
                error.location = place
            return error
    return at_function(error, fn)


def at_stack(error: Error) -> Error:
    """`error` with the user's line that is running; a deferred call's, its interpreter fills in."""
    if not PLACE.deferred:
        locate_stack(error, depth=2)
    return error
