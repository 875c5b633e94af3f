"""Positions of extremes along one name or several, and the labels there."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from .._array.base import bare
from .call_jax import apply
from .label_at import label_at


def place_of(a: Any, op: str, function: Callable[..., Any], name: Any) -> Any:
    """The place that `function(array, axis=...)` finds along a name.

    Along several, a list, a tuple or `...` for all, a dictionary of the places by name.
    """
    if name is not ... and not isinstance(name, (list, tuple)):
        axis = a._axes.position(op, name, a)
        rest = [i for i in range(a.ndim) if i != axis]
        return bare(apply(function, a.array, axis=axis), a._axes.keep(rest))
    positions = a._axes.positions(op, a.dims if name is ... else name, a)
    rest = [i for i in range(a.ndim) if i not in positions]
    turned = apply(jnp.transpose, a.array, (*rest, *positions))
    flat = apply(jnp.reshape, turned, (*(a.shape[i] for i in rest), -1))
    found, layout = apply(function, flat, axis=-1), a._axes.keep(rest)
    stride, places = 1, {}
    for i in reversed(positions):
        size = a.shape[i]
        # Without any element there is the place -1, along each name.
        none = (found < 0).astype(found.dtype)
        places[a.dims[i]] = bare(found // stride % size - none * size, layout)
        stride *= size
    return dict(reversed(places.items()))


def label_of(a: Any, op: str, name: Any, skipna: bool) -> Any:
    """The coordinate of the largest or smallest element along a name; of several, a dictionary."""
    function = getattr(jnp, op.replace("idx", "nanarg" if skipna else "arg"))
    places = place_of(a, op, function, name)
    if isinstance(places, dict):
        return {n: label_at(a, op, n, x) for n, x in places.items()}
    name = a.dims[a._axes.position(op, name, a)]
    labels, layout = label_at(a, op, name, places), a._axes.without(name)
    return bare(labels.array, layout.keep(i for i, d in enumerate(a.dims) if d != name))
