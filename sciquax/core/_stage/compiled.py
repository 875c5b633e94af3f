"""JAX's own functions on concrete values, called again without staging again.

`sciquax.numpy.sqrt(q)` needs no tracing at every call: `jnp.sqrt` closes over nothing of the
user's, so what it does to given types is known after the first. Called a second time alike, it is
compiled as a whole, which is what `jnp.sqrt` itself is, and found by JAX's own dispatch from then
on. A call with numbers that never come again costs no compilation.
"""

import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._compat.jaxprs import Tracer
from .._dispatch.resolve import has_rule
from .._dispatch.tables import CACHES_TO_CLEAR
from .._errors import LocatedError
from .._values.array_methods import REDUCTIONS
from .._values.kinds import VALUE_TYPES, from_foreign
from .._values.mode import MODE
from .._values.operators import CALLER
from .quaxify import call


class _Kept:
    """A function that has been called on some static arguments, and its compiled program."""

    __slots__ = ("function", "program", "pure")

    def __init__(self, function: Callable[..., Any], pure: bool):
        self.function, self.pure = function, pure  # held, since the key has its `id`
        self.program: Callable[..., Any] | None = None


_kept: dict[Any, _Kept] = {}
CACHES_TO_CLEAR.append(_kept)
_LIMIT = 4096  # entries; distinct static arguments are few, but an index may be a static argument

_ARRAYS: set[type] = {np.ndarray}
"""The types of concrete arrays, JAX's as they are met: `isinstance` of it costs ten times that."""

_HOUSE = f"{__name__.partition('.')[0]}."
_DYNAMIC = object()


_REDUCTIONS = {getattr(jnp, name) for name in REDUCTIONS}
"""Python functions of JAX's around one that it compiles."""


def is_compiled_function(fn: Any) -> bool:
    """Whether JAX compiles a function as a whole: a jitted one, a `jnp.ufunc` or a reduction."""
    if isinstance(fn, types.FunctionType):
        return fn in _REDUCTIONS
    return hasattr(fn, "lower") or isinstance(fn, jnp.ufunc)


def call_compiled(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`quaxify(fn)(*args, **kwargs)` for a function that closes over nothing of the user's.

    It is JAX's own (`is_compiled_function`) or a method of its arrays. Nothing is kept where the
    user's own code is called: the rules of a stranger's type, or those registered on signatures.
    """
    if MODE.staging or MODE.direct or MODE.observer is not None:
        return call(fn, args, kwargs)
    dynamic: list[Any] = []
    parts: list[Any] = [id(fn), *kwargs]
    has_value = False
    for x in (*args, *kwargs.values()) if kwargs else args:
        kind = type(x)
        if kind in _ARRAYS:
            dynamic.append(x)
            parts.append(_DYNAMIC)
            continue
        if kind not in VALUE_TYPES:
            if (part := _key(x)) is not None:
                parts.append(part)
                continue
            x = from_foreign(x)
            kind = type(x)
        if kind in VALUE_TYPES:
            if not _is_pure(x):
                return call(fn, args, kwargs)
            has_value = True
        elif not _is_array(x):
            return call(fn, args, kwargs)
        dynamic.append(x)
        parts.append(_DYNAMIC)
    if not has_value:
        return fn(*args, **kwargs)
    key = tuple(parts)
    kept = _kept.get(key)
    if kept is None or not kept.pure:
        before = MODE.signature_rules_called
        out = call(fn, args, kwargs)
        if kept is None:
            if len(_kept) >= _LIMIT:
                _kept.clear()
            _kept[key] = _Kept(fn, MODE.signature_rules_called == before)
        return out
    if kept.program is None:
        given = (*args, *kwargs.values())
        kinds = parts[len(parts) - len(given) :]
        statics = [_DYNAMIC if p is _DYNAMIC else x for p, x in zip(kinds, given, strict=True)]
        kept.program = _compile(kept, statics, list(kwargs))
    try:
        return kept.program(*dynamic)
    except LocatedError:  # un-jitted, an exponent that an array holds is known
        pass
    except TypeError:
        if _hashes(dynamic):
            raise
    return call(fn, args, kwargs)  # or a static field that JAX cannot compile for


def _is_array(x: Any) -> bool:
    """Whether `x` is a concrete array, whose type is then known."""
    if isinstance(x, jax.Array) and not isinstance(x, Tracer):
        _ARRAYS.add(type(x))
        return True
    return isinstance(x, np.ndarray)


def _is_pure(value: Any) -> bool:
    """Whether a value is concrete, and its rules and those of what it holds do but compute."""
    kind = type(value)
    if not (kind.pure_rules or kind.__module__.startswith(_HOUSE)):
        return False
    payload = kind.payload
    if payload is not None and type(getattr(value, payload)) in _ARRAYS:
        parts = jtu.tree_leaves(value)
    else:
        parts = jtu.tree_leaves(value, is_leaf=lambda x: x is not value and type(x) in VALUE_TYPES)
    for x in parts:
        if type(x) not in _ARRAYS and not (_is_pure(x) if type(x) in VALUE_TYPES else _is_array(x)):
            return False
    return True


def _hashes(values: list[Any]) -> bool:
    try:
        hash(jtu.tree_structure(values))
    except TypeError:
        return False
    return True


def _key(x: Any) -> Any:
    """A key that tells a plain static argument from every other, or None for other arguments.

    `1`, `1.0` and `True` are equal to Python, and so are `0.0` and `-0.0`.
    """
    kind = type(x)
    if kind in _STATIC or isinstance(x, (type, np.dtype)):
        return kind, x
    if kind is float:
        return kind, x.hex()
    if kind is tuple:
        parts = tuple(map(_key, x))
        return None if None in parts else parts
    return None


_STATIC = frozenset((int, bool, str, type(None)))


def _compile(kept: _Kept, statics: list[Any], names: list[str]) -> Callable:
    n_args = len(statics) - len(names)

    def whole(*dynamic: Any) -> Any:
        given = iter(dynamic)
        values = [next(given) if x is _DYNAMIC else x for x in statics]
        named = dict(zip(names, values[n_args:], strict=True))
        before = MODE.signature_rules_called
        out = call(kept.function, tuple(values[:n_args]), named)
        if MODE.signature_rules_called != before:  # values of other types than at the first call
            kept.pure = False
        return out

    return jax.jit(whole)


CALLER.call, CALLER.compiled, CALLER.has_rule = call, call_compiled, has_rule
