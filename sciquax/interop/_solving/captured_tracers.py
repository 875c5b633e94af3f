"""Functions that captured tracers of the program being staged, with these made arguments."""

import inspect
from typing import Any

import equinox as eqx
import jax.core
import jax.tree_util as jtu
import numpy as np

from sciquax.core import MODE, inject, interpret, is_value
from sciquax.core.internal import Tracer, fill, open_jaxpr, template_of, typeof_aval


class Traced(eqx.Module):
    """A function that captured tracers of the program being staged, as a jaxpr and those.

    What the tracers stand for arrives in `captured`, and the leaves of the function, if it is a
    pytree itself, in `own`.
    """

    captured: list[Any]
    own: list[Any]
    jaxpr: Any = eqx.field(static=True)
    template: Any = eqx.field(static=True)
    out_tree: Any = eqx.field(static=True)
    place: Any = eqx.field(static=True)

    def __call__(self, *args: Any) -> Any:
        data = [x for x in jtu.tree_leaves(args, is_leaf=is_value) if _is_data(x)]
        captured, operands = self.captured, [*self.own, *data]
        if MODE.staging:  # within another function that is staged, which will be interpreted
            captured, operands = (
                [inject(x) if is_value(x) else x for x in xs] for xs in (captured, operands)
            )
            results = jax.core.eval_jaxpr(self.jaxpr, captured, *operands)
        else:
            results = interpret(self.jaxpr, captured, operands)
        return jtu.tree_unflatten(self.out_tree, [fill(x, results) for x in self.template])


def without_captured_tracers(fn: Any, *args: Any, place: Any = None) -> Any:
    """`fn`, or if it captured tracers of the program being staged, what is the same without.

    **Arguments**: the function; arguments as it will be called with, arrays as their shapes; and
    where it is defined.
    """
    leaves, tree = jtu.tree_flatten((fn, args), is_leaf=is_value)
    chosen = [i for i, x in enumerate(leaves) if _is_data(x)]
    n_own = sum(map(_is_data, jtu.tree_leaves(fn, is_leaf=is_value)))
    template: list[Any] = []
    out_tree = None

    def staged(*tracers: Any) -> list[Any]:
        nonlocal out_tree
        filled = list(leaves)
        for i, tracer in zip(chosen, tracers, strict=True):
            filled[i] = tracer
        function, arguments = jtu.tree_unflatten(tree, filled)
        out_leaves, out_tree = jtu.tree_flatten(function(*arguments), is_leaf=is_value)
        traced: list[Any] = []
        template.extend(template_of(x, traced) for x in out_leaves)
        return traced

    try:
        closed = jax.make_jaxpr(staged)(*[_struct(leaves[i]) for i in chosen])
    except AttributeError:  # it wants quantities, for `y.to("m")`, and will get them later
        if _captured_tracer(fn):
            raise
        return fn
    jaxpr, consts = open_jaxpr(closed)
    if not any(isinstance(x, Tracer) for x in consts):
        return fn
    own = [leaves[i] for i in chosen[:n_own]]
    return Traced(list(consts), own, jaxpr, tuple(template), out_tree, place)


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
    return is_value(x) or eqx.is_array(x) or isinstance(x, arrays)


def _struct(x: Any) -> jax.ShapeDtypeStruct:
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    aval = typeof_aval(x) if is_value(x) else jax.typeof(x)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)
