"""JAX's own jitted functions on concrete values, called again without staging again.

`sciquax.numpy.sqrt(q)` needs no tracing at every call: `jnp.sqrt` closes over nothing of the
user's, so what it does to given types is known after the first. It is compiled as a whole, which is
what `jnp.sqrt` itself is, and found by JAX's own dispatch at the next call.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._compat.jaxprs import Tracer
from .._dispatch.tables import CACHES_TO_CLEAR
from .._values.kinds import VALUE_TYPES, taker_of
from .._values.mode import MODE
from .quaxify import call

_compiled: dict[Any, Callable] = {}
CACHES_TO_CLEAR.append(_compiled)
_LIMIT = 4096  # entries; distinct static arguments are few, but an index may be a static argument


def is_compiled_function(fn: Any) -> bool:
    """Whether JAX compiles a function as a whole: it is jitted, or a `jnp.ufunc`."""
    return hasattr(fn, "lower") or isinstance(fn, jnp.ufunc)


def call_compiled(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`quaxify(fn)(*args, **kwargs)` for a function of JAX's that `is_compiled_function`."""
    if MODE.staging or MODE.direct:
        return call(fn, args, kwargs)
    dynamic: list[Any] = []
    statics: list[Any] = []
    has_value = False
    for name, x in (*enumerate(args), *kwargs.items()):
        if type(x) not in VALUE_TYPES and (taker := taker_of(type(x))) is not None:
            x = taker(x)
        if type(x) in VALUE_TYPES:
            has_value = True
            if any(isinstance(leaf, Tracer) for leaf in jtu.tree_leaves(x)):
                return call(fn, args, kwargs)
            dynamic.append(x)
            statics.append((name, None, None))
        elif (part := _key(x)) is not None:
            statics.append((name, part, x))
        elif isinstance(x, (jax.Array, np.ndarray)) and not isinstance(x, Tracer):
            dynamic.append(x)
            statics.append((name, None, None))
        else:
            return call(fn, args, kwargs)
    if not has_value:
        return fn(*args, **kwargs)
    key = (fn, *[(name, part) for name, part, _ in statics])
    compiled = _compiled.get(key)
    if compiled is None:
        if len(_compiled) >= _LIMIT:
            _compiled.clear()
        compiled = _compiled[key] = _compile(fn, statics, len(args))
    return compiled(*dynamic)


def _key(x: Any) -> Any:
    """What tells a static argument from every other, or None if it is not a plain one.

    `1`, `1.0` and `True` are equal to Python, and so are `0.0` and `-0.0`.
    """
    kind = type(x)
    if kind in (int, bool, str, type(None), np.dtype) or isinstance(x, type):
        return kind, x
    if kind is float:
        return kind, x.hex()
    if kind is tuple:
        parts = tuple(map(_key, x))
        return None if None in parts else parts
    return None


def _compile(fn: Callable, statics: list[Any], n_args: int) -> Callable:
    names = [name for name, _, _ in statics][n_args:]

    def whole(*dynamic: Any) -> Any:
        given = iter(dynamic)
        values = [next(given) if part is None else x for _, part, x in statics]
        return call(fn, tuple(values[:n_args]), dict(zip(names, values[n_args:], strict=True)))

    return jax.jit(whole)
