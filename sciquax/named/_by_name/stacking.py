"""Axes as one, whose places keep their labels, and back by these labels."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.axes import as_names, name_of
from .._array.base import bare
from .._array.coordinates import Beside, Coordinate
from .._array.errors import AxisError, CoordinateError, show_dims
from .._labels.distances import inexact, with_leaf
from .._labels.lookup import pandas


def stacked(a: Any, names: Any, into: Any) -> Any:
    """`a.flatten(names, into)`, with the labels of the names beside the new axis."""
    new = name_of(into)
    own = [a.dims[i] for i in a._axes.positions("stack", a.dims if names is ... else names, a)]
    sizes = [a.sizes[n] for n in own]
    beside = {}
    for i, name in enumerate(own):
        known = a._axes.coords.get(name, Coordinate(np.arange(sizes[i])))
        shape = [-1 if k == i else 1 for k in range(len(own))]
        labels = np.broadcast_to(known.values.reshape(shape), sizes).ravel()
        beside[name] = Beside((new,), Coordinate(labels, known.tree))
    for key, c in a._axes.beside.items():
        if len(c.dims) == 1 and c.dims[0] in own:
            shape = [-1 if n == c.dims[0] else 1 for n in own]
            labels = np.broadcast_to(c.held.values.reshape(shape), sizes).ravel()
            beside[key] = Beside((new,), Coordinate(labels, c.held.tree))
    out = a.flatten(own, into)
    return bare(out.array, out._axes.with_beside(**beside))


def unstacked(a: Any, name: Any, levels: Any) -> Any:
    """One axis as several, each element where its labels say; nan where there is none."""
    place = a._axes.position("unflatten", name, a)
    name, names = a.dims[place], tuple(map(name_of, as_names(levels)))
    known, codes = [], []
    for level in names:
        own = a._axes.beside.get(level)
        if own is None or own.dims != (name,):
            raise AxisError(
                f"`unflatten` got {level!r} without a size, and {name!r} has no labels of that "
                "name.",
                f"Give sizes, `.unflatten({name!r}, {level}=3)`; `stack` keeps labels.",
            ).at(user_line())
        code, labels = pandas().factorize(own.held.values)
        if (code < 0).any():
            raise CoordinateError(
                f"`unflatten` got a missing label of {level!r} at place {int(np.argmin(code))}.",
                "Leave such places out first.",
            ).at(user_line())
        known.append(Coordinate(np.asarray(labels), own.held.tree))
        codes.append(np.asarray(code))
    for i in range(len(names)):
        order = _order(known[i], codes[i], codes[:i])
        known[i], codes[i] = known[i].take(order), np.argsort(order)[codes[i]]
    shape = [len(c) for c in known]
    index = np.full(shape, -1)
    if len(set(zip(*(c.tolist() for c in codes), strict=True))) < len(codes[0]):
        raise CoordinateError(
            f"`unflatten` got several elements for one place of {show_dims(names)}.",
            "Reduce them first: `groupby`.",
        ).at(user_line())
    index[tuple(codes)] = np.arange(len(codes[0]))
    full = np.array_equal(index.ravel(), np.arange(len(codes[0])))
    kept = bare(a.array, a._axes.without(name))
    if not full:
        missing = index.ravel() < 0
        kept = kept.isel({name: np.maximum(index.ravel(), 0)})
        if missing.any():
            gone = missing.reshape([-1 if i == place else 1 for i in range(a.ndim)])
            kept = inexact(kept)
            held = with_leaf(kept, lambda x: jnp.where(gone, jnp.nan, x))
            kept = bare(held, kept._axes)
    out = kept.unflatten(name, dict(zip(names, shape, strict=True)))
    return out.assign_coords({n: c.value() for n, c in zip(names, known, strict=True)})


def _order(known: Coordinate, codes: np.ndarray, slower: list[np.ndarray]) -> np.ndarray:
    """The order of labels: up or down if places of equal slower labels all are, else the given."""
    given = np.arange(len(known))
    if known.values.dtype.kind not in "iufmMUS":
        return given
    up = np.argsort(known.values, kind="stable")
    rank = np.argsort(up)[codes]
    within = np.ones(max(len(codes) - 1, 0), bool)
    for other in slower:
        within &= other[1:] == other[:-1]
    steps = np.diff(rank)[within]
    if (steps >= 0).all():
        return up
    return up[::-1] if (steps <= 0).all() else given
