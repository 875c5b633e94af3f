"""Means by weights, along names."""

from typing import Any

import jax.numpy as jnp

from sciquax.core import is_value
from sciquax.core.internal import taken_apart

from .._array.base import as_named, bare
from .._array.coordinates import meet
from .._labels.distances import inexact, with_leaf
from .call_jax import apply, reduced_tree


def weighted_mean(a: Any, op: str, weights: Any, names: Any, skipna: bool) -> Any:
    weights = inexact(as_named(weights, op))
    for name in weights.dims:
        a._axes.position(op, name)
    a = inexact(a)
    if is_value(a.array):
        reduced_tree(jnp.mean, a.array, 3, f"`{op}`")
    over = range(a.ndim) if names is None else a._axes.positions(op, names, a)
    weights = weights.broadcast_like(a).transpose(*a.dims)
    meet(op, a._axes.coords, weights._axes.coords)
    if skipna:
        valid = ~jnp.isnan(taken_apart(a.array)[0][0])
        weights = bare(with_leaf(weights, lambda w: jnp.where(valid, w, 0)), weights._axes)
        a = bare(with_leaf(a, lambda x: jnp.where(valid, x, 0)), a._axes)
    axis = tuple(over)
    total = apply(jnp.sum, weights.array, axis=axis, keepdims=True)
    # The shares sum to one: degrees Celsius are averaged as they are.
    shares = apply(jnp.true_divide, weights.array, total)
    out = with_leaf(a, lambda x: apply(_weighted, x, shares, axis=axis))
    return bare(out, a._axes.keep(i for i in range(a.ndim) if i not in axis))


def _weighted(x: Any, shares: Any, axis: tuple[int, ...]) -> Any:
    return jnp.sum(x * shares, axis=axis)
