"""How the outputs of a staged function are made from those of its jaxpr."""

from typing import Any

import jax.tree_util as jtu

from ._compat import Tracer
from ._foreign import captured_foreign, taker_of
from ._polymorphic import strip
from ._value import VALUE_TYPES


class Output:
    """An output of the staged function: its number among the traced ones."""

    __slots__ = ("index",)

    def __init__(self, index: int):
        self.index = index


class BuiltOutput:
    """A value that the staged function built itself, its leaves outputs or constants."""

    __slots__ = ("leaves", "tree")

    def __init__(self, leaves: list[Any], tree: Any):
        self.leaves, self.tree = leaves, tree


def template_of(leaf: Any, traced: list[Any]) -> Any:
    """How an output is made after interpretation; what was not traced passes through."""
    if type(leaf) in VALUE_TYPES:
        leaves, tree = jtu.tree_flatten(leaf)
        return BuiltOutput([template_of(x, traced) for x in leaves], tree)
    if isinstance(leaf, Tracer):
        traced.append(leaf)
        return Output(len(traced) - 1)
    if taker_of(type(leaf)) is not None and _holds_tracer(leaf):
        raise captured_foreign(leaf)
    return leaf


def _holds_tracer(x: Any) -> bool:
    parts = (x, getattr(x, "magnitude", None), getattr(x, "value", None))
    return any(isinstance(leaf, Tracer) for leaf in jtu.tree_leaves(parts))


def fill(item: Any, results: list[Any]) -> Any:
    if type(item) is Output:
        return results[item.index]
    if type(item) is BuiltOutput:
        return jtu.tree_unflatten(
            item.tree, [strip(fill(x, results)) for x in item.leaves]
        ).canonical()
    return item
