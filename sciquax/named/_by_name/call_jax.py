"""Calling JAX on what a named array holds: a plain array, or a value such as a quantity."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import (
    MODE,
    VALUE_TYPES,
    LocatedError,
    RuleError,
    aval_of,
    call_compiled,
    describe,
    interpret,
    is_compiled_function,
    is_value,
    quaxify,
    strip,
    user_line,
)
from sciquax.core.internal import Staged, Tracer, stage, taken_apart, trace_context

from .._array.host import check_numbers, for_jax, host_leaf
from .._labels.host_functions import on_host

_STATIC = (bool, int, float, complex, str, type(None), type, np.dtype)
_LIMIT = 4096
_staged: dict[Any, Staged] = {}


def apply(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, where arrays (also in lists) may be values.

    The function is JAX's, or of this package, and closes over nothing: it is staged once for given
    types, which costs most of a quantity's way through it.
    """
    if any(type(x) is list or host_leaf(x) is not None for x in args):
        out = on_host(function, args, kwargs)
        if out is not NotImplemented:
            return out
        for x in (*args, *kwargs.values()):
            for held in x if type(x) is list else (x,):
                if (leaf := host_leaf(held)) is not None:
                    check_numbers(leaf.dtype, f"`{getattr(function, '__name__', 'this')}`")
        args = tuple([*map(for_jax, x)] if type(x) is list else for_jax(x) for x in args)
    if not _holds_value(args) and not (kwargs and _holds_value(kwargs.values())):
        return function(*args, **kwargs)
    if MODE.staging:
        return quaxify(function)(*args, **kwargs)
    leaves, tree = jtu.tree_flatten((args, kwargs), is_leaf=is_value)
    compiled = is_compiled_function(function) and not MODE.direct  # there, values stay whole
    if compiled and not any(
        isinstance(x, Tracer) for leaf in leaves for x in jtu.tree_leaves(leaf)
    ):
        return call_compiled(function, args, kwargs)
    dynamic = [i for i, x in enumerate(leaves) if is_value(x) or hasattr(x, "aval")]
    fixed = [(type(x), x) for i, x in enumerate(leaves) if i not in dynamic]
    if not all(isinstance(x, _STATIC) for _, x in fixed):
        return quaxify(function)(*args, **kwargs)
    values = [leaves[i] for i in dynamic]
    avals = tuple(map(aval_of, values))
    # 1, 1.0 and True are equal to Python, and so are 0.0 and -0.0.
    statics = tuple((kind, repr(x) if kind is float else x) for kind, x in fixed)
    key = (function, tree, tuple(dynamic), avals, statics, trace_context())
    found = _staged.get(key)
    if found is None:
        if len(_staged) >= _LIMIT:
            _staged.clear()
        # Quaxified, since `mean` of degrees Celsius has a rule as a whole.
        called, whole = jtu.tree_flatten((quaxify(function), args, kwargs), is_leaf=is_value)
        n = len(called) - len(leaves)
        found = _staged[key] = stage(called, whole, [n + i for i in dynamic])
    try:
        outs = interpret(found.jaxpr, found.consts, values)
    except LocatedError as error:  # its place would be that of the call that was staged
        error.location = None
        error.at(user_line())
        raise
    return found.rebuild([*map(strip, outs)])


def _holds_value(items: Any) -> bool:
    for x in items:
        if type(x) in VALUE_TYPES:
            return True
        if type(x) in (list, tuple) and _holds_value(x):
            return True
    return False


def reduced_tree(function: Callable[..., Any], held: Any, count: int, what: str) -> Any:
    """The structure of a value's reduction that is computed of its numbers alone.

    **Arguments**: JAX's reduction; the value; how many elements are reduced to one; and what the
    error calls this. **Raises** `RuleError` where the reduction is another one than that of
    the numbers: a mean of levels is one of powers.
    """
    leaves, tree = taken_apart(held)
    if len(leaves) != 1:  # no array of numbers
        return tree
    new, same = _tried(function, tree, count, leaves[0].dtype)
    if not same:
        raise RuleError(
            f"{what} of {describe(held)} is not that of its numbers.",
            "Convert to a linear unit first, such as mW for dBm.",
        ).at(user_line())
    return new


@functools.lru_cache(_LIMIT)
def _tried(function: Callable[..., Any], tree: Any, count: int, dtype: Any) -> tuple[Any, bool]:
    """The structure of a reduction of a few numbers, and whether it is theirs."""
    with jax.ensure_compile_time_eval():
        numbers = jnp.ones(count, dtype).at[0].set(3)
        (made,), new = taken_apart(apply(function, jtu.tree_unflatten(tree, [numbers])))
        return new, bool(jnp.allclose(made, function(numbers), equal_nan=True))
