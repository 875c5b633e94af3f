"""The weights of a model that are to be stored otherwise, by layer or by the user's choice."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import aval_of, is_value

_CELLS = (eqx.nn.GRUCell, eqx.nn.LSTMCell)
_LAYERS = (eqx.nn.Linear, eqx.nn.Conv, eqx.nn.ConvTranspose, eqx.nn.Embedding, *_CELLS)

_Axes = tuple[tuple[int, ...] | None, tuple[int, ...] | None]


def _layers(model: Any, prefix: tuple = ()) -> dict[str, _Axes]:
    """The weights of known layers by path, with the axes of their outputs and of their inputs."""
    found: dict[str, _Axes] = {}
    nodes = jtu.tree_flatten_with_path(model, is_leaf=lambda x: isinstance(x, _LAYERS))[0]
    for path, node in nodes:
        if not isinstance(node, _LAYERS):
            continue
        for name in ("weight_ih", "weight_hh") if isinstance(node, _CELLS) else ("weight",):
            weight = getattr(node, name)
            if not is_weight(weight):
                continue
            ndim = len(aval_of(weight).shape)
            axes: _Axes = (None, None)  # the last two axes; those before are a stack of layers
            if isinstance(node, (eqx.nn.Conv, eqx.nn.ConvTranspose)):
                axes = ((0,), tuple(range(1, ndim)))  # (out, in / groups, window)
            elif isinstance(node, eqx.nn.Embedding):  # (index, feature): features are the output
                axes = ((ndim - 1,), (ndim - 2,))
            found[jtu.keystr((*prefix, *path, jtu.GetAttrKey(name)))] = axes
    return found


def is_weight(x: Any) -> bool:
    if not (is_value(x) or eqx.is_array(x)):
        return False
    aval = aval_of(x)
    return len(aval.shape) >= 2 and jnp.issubdtype(aval.dtype, jnp.inexact)


def chosen_weights(model: Any, where: Callable[[Any], Any] | None) -> dict[str, _Axes]:
    known = _layers(model)
    if where is None:
        return known
    leaves = jtu.tree_flatten_with_path(model, is_leaf=is_value)[0]
    selected = _select(model, where)
    if selected is None:  # a predicate on arrays
        wanted = {jtu.keystr(path) for path, leaf in leaves if is_weight(leaf) and where(leaf)}
        return {at: known.get(at, (None, None)) for at in sorted(wanted)}
    nodes = [node for node in selected if node is not None]
    found: dict[str, _Axes] = {}
    every = {jtu.keystr(path): leaf for path, leaf in leaves}
    for node in nodes:
        if is_value(node) or eqx.is_array(node):
            found |= {at: known.get(at, (None, None)) for at, x in every.items() if x is node}
            continue
        inside = {id(x) for x in jtu.tree_leaves(node, is_leaf=is_value)}
        found |= {at: axes for at, axes in known.items() if id(every[at]) in inside}
    return found


def _select(model: Any, where: Callable[[Any], Any]) -> list[Any] | None:
    """The nodes that a selector returns, or None if `where` is a predicate."""
    try:
        nodes = where(model)
    except Exception:  # a predicate such as `lambda x: x.ndim == 2` fails on a model
        return None
    if isinstance(nodes, (bool, np.bool_)):
        return None
    return list(nodes) if isinstance(nodes, (tuple, list)) else [nodes]


def name_of(path: Any) -> str:
    """A layer's name: its weight's place in the model, without `weight` itself."""
    parts = [
        str(getattr(key, "name", getattr(key, "idx", getattr(key, "key", key)))) for key in path
    ]
    if len(parts) > 1 and parts[-1] == "weight":
        del parts[-1]
    return ".".join(parts)
