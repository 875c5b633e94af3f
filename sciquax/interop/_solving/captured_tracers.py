"""Functions that captured tracers of the program being staged, turned into arguments."""

import contextlib
import inspect
from typing import Any

import equinox as eqx
import jax.core
import jax.tree_util as jtu
import numpy as np

from sciquax.core import MODE, inject, interpret, is_value
from sciquax.core.internal import Staged, Tracer, is_masked, stage


class Traced(eqx.Module):
    """A function that captured tracers of the program being staged, as a jaxpr and these tracers.

    What the tracers stand for arrives in `captured`, and the leaves of the function, if it is a
    pytree itself, in `own`.
    """

    captured: list[Any]
    own: list[Any]
    staged: Staged = eqx.field(static=True)
    place: Any = eqx.field(static=True)

    def __call__(self, *args: Any) -> Any:
        data = [x for x in jtu.tree_leaves(args, is_leaf=is_value) if _is_data(x)]
        captured, operands = self.captured, [*self.own, *data]
        if MODE.staging:  # within another function that is staged, which will be interpreted
            captured, operands = (
                [inject(x) if is_value(x) else x for x in xs] for xs in (captured, operands)
            )
            results = jax.core.eval_jaxpr(self.staged.jaxpr, captured, *operands)
        else:
            results = interpret(self.staged.jaxpr, captured, operands)
        return self.staged.rebuild(results)


def without_captured_tracers(fn: Any, *args: Any, place: Any = None) -> Any:
    """`fn`, or an equal function without tracers if it captured some of the program being staged.

    **Arguments**: the function; arguments as it will be called with, arrays as their shapes; and
    where it is defined.
    """
    leaves, tree = jtu.tree_flatten((fn, args, {}), is_leaf=is_value)
    chosen = [i for i, x in enumerate(leaves) if _is_data(x)]
    n_own = sum(map(_is_data, jtu.tree_leaves(fn, is_leaf=is_value)))
    try:  # within a program that is being staged already
        staged = stage(leaves, tree, chosen, contextlib.nullcontext)
    except AttributeError:  # it wants quantities, for `y.to("m")`, and will get them later
        if _captured_tracer(fn):
            raise
        return fn
    if not any(isinstance(x, Tracer) for x in staged.consts):
        return fn
    own = [leaves[i] for i in chosen[:n_own]]
    return Traced(list(staged.consts), own, staged._replace(consts=()), place)


def _captured_tracer(fn: Any, depth: int = 4) -> bool:
    """Whether a Python function holds a tracer in its closure, or functions there do."""
    cells = getattr(inspect.unwrap(fn), "__closure__", None) or ()
    for cell in cells if depth else ():
        for leaf in jtu.tree_leaves(cell.cell_contents):
            if isinstance(leaf, Tracer) or callable(leaf) and _captured_tracer(leaf, depth - 1):
                return True
    return False


def _is_data(x: Any) -> bool:
    arrays = (jax.ShapeDtypeStruct, np.ndarray, np.generic)
    return is_value(x) and not is_masked(x) or eqx.is_array(x) or isinstance(x, arrays)
