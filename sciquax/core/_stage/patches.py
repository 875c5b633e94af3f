"""Captured values among the operands of `jax.lax`'s functions.

`jnp.sin(g)` asks a captured value for an array. `lax.fori_loop(0, 3, body, g)` does not: it takes
`g` apart, as any pytree, so that the body returns another kind of thing than went in. While a
function is staged, the functions of `jax.lax` that take functions are therefore replaced by ones
that first turn values into arrays of the program. The others, as `lax.sin(g)`, bind `g` as it is;
`_values/captured.py` tells JAX what that is.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.tree_util as jtu

from .._values.captured import inject
from .._values.kinds import VALUE_TYPES, is_value
from .._values.mode import MODE

# Which positional arguments of a function are functions, whose outputs must match something.
_BODIES = {
    "scan": (0,),
    "fori_loop": (2,),
    "while_loop": (0, 1),
    "cond": (1, 2),
    "switch": (1,),
    "map": (0,),
    "associative_scan": (0,),
    "reduce": (2,),
    "reduce_window": (2,),
}

_lock = threading.RLock()
_active: dict[str, list[Any]] = {}  # by name: the original, and how many want it replaced


def _injected(tree: Any) -> Any:
    if not any(map(is_value, jtu.tree_leaves(tree, is_leaf=is_value))):
        return tree
    return jtu.tree_map(
        lambda x: inject(x) if type(x) in VALUE_TYPES else x, tree, is_leaf=is_value
    )


def _returning_arrays(body: Any) -> Any:
    if isinstance(body, (list, tuple)):
        return [_returning_arrays(x) for x in body]
    if not callable(body):
        return body
    return lambda *args, **kwargs: _injected(body(*args, **kwargs))


@functools.cache
def _wrapped(name: str, function: Callable) -> Callable:
    bodies = _BODIES[name]

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not MODE.staging:
            return function(*args, **kwargs)
        args = tuple(x if i in bodies else _injected(x) for i, x in enumerate(args))
        kwargs = {key: _injected(x) for key, x in kwargs.items()}
        if name != "associative_scan":  # which does not compare what goes in with what comes out
            try:  # the very function first, by which JAX finds its trace again
                return function(*args, **kwargs)
            except TypeError:
                if not bodies:
                    raise
        args = tuple(_returning_arrays(x) if i in bodies else x for i, x in enumerate(args))
        return function(*args, **kwargs)

    return wrapper


@contextlib.contextmanager
def lax_takes_values() -> Iterator[None]:
    """While active, `jax.lax`'s functions that take functions turn captured values into arrays.

    Other threads see the replacements too, and no difference.
    """
    with _lock:
        for name in _BODIES:
            if name in _active:
                _active[name][1] += 1
            else:
                original = getattr(jax.lax, name)
                _active[name] = [original, 1]
                setattr(jax.lax, name, _wrapped(name, original))
    try:
        yield
    finally:
        with _lock:
            for name in _BODIES:
                _active[name][1] -= 1
                if _active[name][1] == 0:
                    setattr(jax.lax, name, _active.pop(name)[0])
