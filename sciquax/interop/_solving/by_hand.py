"""Methods and functions of a library's own, called on quantities, go to ours.

`diffrax.LinearInterpolation(ts, ys).evaluate(t)` is `dfx.LinearInterpolation(ts, ys).evaluate(t)`
where something has a unit. On numbers, as within a solve, the library's code runs as ever.
"""

from collections.abc import Callable
from typing import Any

from sciquax.core.internal import add_hook

from .edited import edited
from .tree_units import has_quantity


def methods_go_to(ours: type, theirs: type, *names: str) -> None:
    """Have these methods of a class do what those of its subclass do, where it holds quantities."""
    for name in names:
        add_hook(getattr(theirs, name), _method_of(ours), now=True)


def _method_of(cls: type) -> Callable[..., Any]:
    def hook_for(original: Callable[..., Any]) -> Callable[..., Any]:
        def hook(part: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(part, cls) or not has_quantity((part, args, kwargs)):
                return original(part, *args, **kwargs)
            return getattr(cls, original.__name__)(edited(part, cls), *args, **kwargs)

        return hook

    return hook_for


def function_goes_to(ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    """Have a function do what ours does, where it is given quantities."""

    def hook_for(original: Callable[..., Any]) -> Callable[..., Any]:
        def hook(*args: Any, **kwargs: Any) -> Any:
            return (ours if has_quantity((args, kwargs)) else original)(*args, **kwargs)

        return hook

    add_hook(theirs, hook_for, now=True)
