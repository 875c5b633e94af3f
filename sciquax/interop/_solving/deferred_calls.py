"""Functions that need values, called while a program is staged and there are only tracers.

`sciquax.grad(loss)` and `quaxify(loss)` trace `loss` before any unit is known; a `diffeqsolve`
inside it cannot check anything yet. It becomes one equation of the staged program, whose outputs'
shapes are those of the same solve without units, and which the interpreter carries out when the
values have arrived.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import MODE, RuleError, inject, is_value, strip
from sciquax.core.internal import LateCall, ShapedArray, Tracer, leave_call, takes_values_apart


class _Place(threading.local):
    """Whether this thread carries out a deferred call: the user's line is not on the stack."""

    deferred = False


PLACE = _Place()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class DeferredCall(LateCall):
    """A call of a Python function, which takes the operands and returns a list."""

    function: Callable[..., list[Any]]

    def once(self, operands: Sequence[Any]) -> list[Any]:
        outer, PLACE.deferred = PLACE.deferred, True
        try:
            return self.function(*operands)
        finally:
            PLACE.deferred = outer


def deferrable(keep: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: a function of keyword arguments that within staging is called later.

    It must give the same tree of shapes whatever the units. `keep` as for `deferred`.
    """

    def decorator(function: Callable) -> Callable:
        by_itself = takes_values_apart(function)

        @functools.wraps(function)
        def wrapped(**given: Any) -> Any:
            if not MODE.staging:
                return by_itself(**given)
            bare = lambda given: function(**jtu.tree_map(_bare, given, is_leaf=is_value))  # noqa: E731
            of = function.__name__.lstrip("_")
            return deferred(of, lambda given: function(**given), bare, given, keep)

        return wrapped

    return decorator


def _bare(x: Any) -> Any:
    return _bare(x.magnitude) if hasattr(x, "magnitude") else strip(x)


def deferred(
    of: str,
    function: Callable[..., Any],
    shapes: Callable[..., Any],
    argument: Any,
    keep: Sequence[str] = (),
) -> Any:
    """Call `function(argument)` once values have arrived.

    **Arguments**: what is called, in words; the function; one that gives the same tree on bare
    arrays, whatever the units; a dictionary of arguments, with tracers for values in it; and which
    of its entries may see polymorphic constants.

    **Returns** the function's result, with tracers for values and arrays.
    """
    flat, tree = jtu.tree_flatten_with_path(argument, is_leaf=is_value)
    leaves = [leaf for _, leaf in flat]
    chosen = [i for i, x in enumerate(leaves) if _holds_tracer(x)]
    kept = {i for i in chosen if getattr(flat[i][0][0], "key", None) in keep}
    outs, out_tree = jtu.tree_flatten(eqx.filter_eval_shape(shapes, argument))
    arrays = [i for i, x in enumerate(outs) if isinstance(x, jax.ShapeDtypeStruct)]
    operands = [inject(x) if is_value(x) else x for x in (leaves[i] for i in chosen)]
    avals = tuple(map(_aval, (outs[i] for i in arrays)))
    count = len(outs)
    for i in chosen:
        leaves[i] = None  # `call` outlives the tracers

    def call(*operands: Any) -> list[Any]:
        filled = list(leaves)
        for i, x in zip(chosen, operands, strict=True):
            filled[i] = x if i in kept else strip(x)
        found = jtu.tree_leaves(function(jtu.tree_unflatten(tree, filled)), is_leaf=is_value)
        if len(found) != count:
            raise RuleError(
                f"This call returns {count} arrays for plain arrays but {len(found)} for these "
                "values, so `quaxify` cannot trace the program around it.",
                "Call it outside of `quaxify`: it takes values by itself.",
            )
        return [found[i] if is_value(found[i]) else jnp.asarray(found[i]) for i in arrays]

    tracers = leave_call(DeferredCall(of=of, function=call), operands, avals=avals)
    for i, tracer in zip(arrays, tracers, strict=True):
        outs[i] = tracer
    return jtu.tree_unflatten(out_tree, outs)


def _holds_tracer(leaf: Any) -> bool:
    return any(isinstance(x, Tracer) for x in jtu.tree_leaves(leaf))


def _aval(struct: jax.ShapeDtypeStruct) -> Any:
    return ShapedArray(struct.shape, struct.dtype, weak_type=struct.weak_type)
