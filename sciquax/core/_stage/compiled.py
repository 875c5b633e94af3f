"""JAX's own functions on concrete values, which are staged once and called again from a cache.

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

    __slots__ = ("function", "make", "program", "pure", "tree", "whole")

    def __init__(self, function: Callable[..., Any], pure: bool):
        self.function, self.pure = function, pure  # held, since the key has its `id`
        self.program: Callable[..., Any] | None = None
        self.whole: Any = None  # what is compiled
        self.tree: Any = None  # of its result
        self.make: Callable[[list[Any]], Any] | None = None  # makes it of the program's leaves


_kept: dict[Any, _Kept] = {}
CACHES_TO_CLEAR.append(_kept)
_LIMIT = 4096  # entries; distinct static arguments are few, but an index may be a static argument

_ARRAYS: set[type] = {np.ndarray}
"""The types of concrete arrays, JAX's as they are met: `isinstance` of it costs ten times that."""

_OF_ONE_LEAF: dict[type, tuple[Callable[..., Any], Callable[..., Any]]] = {}
"""How values of one array are taken apart and made: JAX takes as long over them as over a sum."""

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
            apart = _OF_ONE_LEAF.get(kind)
            if apart is not None:
                (leaf,), static = apart[0](x)
                if type(leaf) in _ARRAYS:
                    has_value = True
                    dynamic.append(leaf)
                    parts.append((_DYNAMIC, kind, static))
                    continue
            if not _is_pure(x):
                return call(fn, args, kwargs)
            if kind._of_one_leaf is not None:
                _OF_ONE_LEAF[kind] = kind._of_one_leaf
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
        kept.whole = _whole(kept, parts[len(parts) - len(given) :], given, list(kwargs))
        kept.program = _in_leaves(kept)
    try:
        out = kept.program(*dynamic)
        if (make := kept.make) is not None:
            return make(out)
        if kept.tree is not None:  # it depends on the shapes, as the unit of a product does
            kept.program, kept.tree = jax.jit(kept.whole), None
            out = kept.program(*dynamic)
        return out
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


def _whole(kept: _Kept, parts: list[Any], given: tuple[Any, ...], names: list[str]) -> Callable:
    """The call as a function of the arrays among its arguments."""
    n_args = len(parts) - len(names)

    def whole(*dynamic: Any) -> Any:
        arrays = iter(dynamic)
        values: list[Any] = []
        for part, x in zip(parts, given, strict=True):
            if part is _DYNAMIC:
                x = next(arrays)
            elif part[:1] == (_DYNAMIC,):
                _, kind, static = part
                x = _OF_ONE_LEAF[kind][1](kind, static, [next(arrays)])
            values.append(x)
        named = dict(zip(names, values[n_args:], strict=True))
        before = MODE.signature_rules_called
        out = call(kept.function, tuple(values[:n_args]), named)
        if MODE.signature_rules_called != before:  # values of other types than at the first call
            kept.pure = False
        return out

    return whole


def _in_leaves(kept: _Kept) -> Callable[..., list[Any]]:
    """Compile the call to return arrays, and note how its result is made of them."""

    def leaves_of(*dynamic: Any) -> list[Any]:
        out = kept.whole(*dynamic)
        leaves, tree = jtu.tree_flatten(out)
        if kept.tree is None:
            kept.tree, kept.make = tree, _maker(out, leaves, tree)
        elif kept.tree != tree:
            kept.make = None
        return leaves

    return jax.jit(leaves_of)


def _maker(out: Any, leaves: list[Any], tree: Any) -> Callable[[list[Any]], Any]:
    kind = type(out)
    if len(leaves) == 1 and kind in VALUE_TYPES and kind._of_one_leaf is not None:
        apart, make = kind._of_one_leaf
        children, static = apart(out)
        if children[0] is leaves[0]:
            return lambda made: make(kind, static, made)
    return tree.unflatten


CALLER.call, CALLER.compiled, CALLER.has_rule = call, call_compiled, has_rule
