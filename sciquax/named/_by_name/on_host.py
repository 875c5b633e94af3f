"""Coordinates in arithmetic: what stays on the host, exact, and how the rest meets JAX.

`a.coord("lat") > 30`, `t - t.isel(t=0)`, `t.min("t")`: NumPy computes these in the coordinates' own
precision, so that they are known when a program is traced. Everything else is JAX's.
"""

from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, user_line

from .._array.base import NamedBase, bare, labels_of
from .._array.coordinates import Coordinate
from .._array.errors import PositionalError
from .._labels.host_functions import host_leaf
from .._labels.lookup import labels_among, pandas
from .alignment import alignment

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_EXACT = ("add", "sub", *COMPARISONS)


def labels(a: Any) -> Coordinate | None:
    """The coordinate that a named array is, if it is one."""
    if a.ndim != 1:
        return None
    known = a._axes.coords.get(a.dims[0])
    leaf = host_leaf(a.array)
    if known is None or leaf is None:
        return None
    own = known.values is leaf or np.array_equal(known.values, leaf)
    tree = jtu.tree_structure(a.array) if is_value(a.array) else None
    return known if own and tree == known.tree else None


def computed(what: str, op: Callable[..., Any], lhs: Any, rhs: Any) -> Any:
    """An operator of a coordinate and something known, by NumPy; else NotImplemented."""
    if what not in _EXACT:
        return NotImplemented
    for own, other, swapped in ((lhs, rhs, False), (rhs, lhs, True)):
        if not isinstance(own, NamedBase):
            continue
        leaf = host_leaf(own.array)
        if leaf is None:
            continue
        if what in COMPARISONS or leaf.dtype.kind not in "iufbc":
            out = _labelled(what, op, own, other, swapped)
            if out is not NotImplemented:
                return out
    if isinstance(lhs, NamedBase) and isinstance(rhs, NamedBase):
        return _both(what, op, lhs, rhs)
    return NotImplemented


def _labelled(what: str, op: Callable[..., Any], own: Any, other: Any, swapped: bool) -> Any:
    """Coordinates beside labels, which are read as `sel` reads them."""
    known = labels(own)
    if known is None:
        leaf = host_leaf(own.array)
        if leaf is None or leaf.dtype.kind in "iufbc" or leaf.ndim == 0:
            return NotImplemented
        known = Coordinate(leaf.ravel())
    if isinstance(other, NamedBase):
        if other.ndim or host_leaf(other.array) is None:
            return NotImplemented
        other = other.array
    if getattr(other, "shape", ()) != () or isinstance(other, (list, tuple)):
        return NotImplemented
    if labels_of(other)[0] is None:
        return NotImplemented
    given = labels_among(known, str(own.dims[0]), other, what).values
    if known.dated and given.dtype.kind in "UO":
        given = np.datetime64(pandas().Timestamp(str(given[()])))
    mine = host_leaf(own.array)
    try:
        out = np.asarray(op(given, mine) if swapped else op(mine, given[()]))
    except (TypeError, np.exceptions.DTypePromotionError) as error:
        raise PositionalError(f"`{what}` of coordinates of {known.values.dtype}: {error}").at(
            user_line()
        ) from None
    return bare(out, own._axes.plain)


def _both(what: str, op: Callable[..., Any], lhs: Any, rhs: Any) -> Any:
    """Two arrays that NumPy holds, of one unit where one has one."""
    first, second = host_leaf(lhs.array), host_leaf(rhs.array)
    if first is None or second is None:
        return NotImplemented
    values = is_value(lhs.array), is_value(rhs.array)
    if any(values):
        if not all(values) or jtu.tree_structure(lhs.array) != jtu.tree_structure(rhs.array):
            return NotImplemented
        tree = jtu.tree_structure(lhs.array)
        examples = [jtu.tree_unflatten(tree, [np.float32(x)]) for x in (3.0, 2.0)]
        example = op(*examples)
        leaves, tree = jtu.tree_flatten(example)
        if len(leaves) != 1 or float(leaves[0]) != float(op(3.0, 2.0)):
            return NotImplemented  # decibels add up otherwise
        made = tree if is_value(example) else None
    else:
        made = None
    plan = alignment(what, (lhs._axes, rhs._axes))
    plan.check(what, (first.shape, second.shape))
    try:
        out = np.asarray(op(plan.steps[0](first), plan.steps[1](second)))
    except (TypeError, np.exceptions.DTypePromotionError):
        return NotImplemented
    return bare(out if made is None else jtu.tree_unflatten(made, [out]), plan.axes)
