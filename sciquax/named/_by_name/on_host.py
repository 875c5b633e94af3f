"""Coordinates in arithmetic: what stays on the host, exact, and how the rest meets JAX.

`a.coord("lat") > 30`, `t - t.isel(t=0)`, `t.min("t")`: NumPy computes these in the coordinates' own
precision, so that they are known when a program is traced. Everything else is JAX's.
"""

from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import taken_apart

from .._array.base import NamedBase, bare
from .._array.coordinates import Coordinate
from .._array.errors import PositionalError
from .._array.host import check_numbers, host_leaf
from .._array.known_labels import labels_of
from .._labels.lookup import labels_among, pandas
from .alignment import alignment

_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_SCALING = ("mul", "truediv")
_EXACT = ("add", "sub", "mod", *_SCALING, *_COMPARISONS)


def computed(op: str, function: Callable[..., Any], lhs: Any, rhs: Any) -> Any:
    """An operator of what NumPy holds and something known, by NumPy; else NotImplemented."""
    if op not in _EXACT:
        return NotImplemented
    named = [isinstance(x, NamedBase) for x in (lhs, rhs)]
    if all(named) and op not in ("mod", *_SCALING):
        out = _both(op, function, lhs, rhs)
        if out is not NotImplemented:
            return out
    for own, other, swapped in ((lhs, rhs, False), (rhs, lhs, True)):
        if isinstance(own, NamedBase) and host_leaf(own.array) is not None:
            out = _beside_label(op, function, own, other, swapped)
            if out is not NotImplemented:
                return out
    return NotImplemented


def _beside_label(
    op: str, function: Callable[..., Any], own: Any, other: Any, swapped: bool
) -> Any:
    """Coordinates, or what was made of them, beside a label, which is read as `sel` reads it."""
    mine: Any = host_leaf(own.array)
    if isinstance(other, NamedBase):
        if other.ndim:
            return NotImplemented
        other = other.array
    if getattr(other, "shape", ()) != () or isinstance(other, (list, tuple)):
        return NotImplemented
    if is_value(other) and op not in _COMPARISONS or labels_of(other)[0] is None:
        return NotImplemented
    if op in ("mod", *_SCALING) and (swapped or mine.dtype.kind not in "iuf"):
        return NotImplemented
    tree = taken_apart(own.array)[1] if is_value(own.array) else None
    if op in _SCALING and tree is not None and not _scales(function, tree):
        return NotImplemented
    known = Coordinate(mine.ravel(), tree)
    name = str(own.dims[0]) if own.ndim else ""
    given: Any = labels_among(known, name, other, op).values
    if known.dated and given.dtype.kind in "UO":
        given = np.asarray(np.datetime64(pandas().Timestamp(str(given[()]))))
    if not isinstance(other, np.generic) and given.dtype.kind in "iuf":
        given = given.item()  # a Python number does not decide the result's dtype
    else:
        given = given[()]
    try:
        out = np.asarray(function(given, mine) if swapped else function(mine, given))
    except (TypeError, np.exceptions.DTypePromotionError) as error:
        raise PositionalError(f"`{op}` of coordinates of {mine.dtype}: {error}").at(
            user_line()
        ) from None
    if tree is not None and op not in _COMPARISONS:
        return bare(jtu.tree_unflatten(tree, [out]), own._axes.plain)
    return bare(out, own._axes.plain)


def _scales(function: Callable[..., Any], tree: Any) -> bool:
    """Whether numbers of a unit may be multiplied as they are: not degrees Celsius or decibels."""
    try:
        leaves, made = taken_apart(function(jtu.tree_unflatten(tree, [np.float32(3.0)]), 2.0))
    except Exception:
        return False
    return made == tree and float(leaves[0]) == function(3.0, 2.0)


def _both(op: str, function: Callable[..., Any], lhs: Any, rhs: Any) -> Any:
    """Two arrays that NumPy holds, of one unit where one has one."""
    first, second = host_leaf(lhs.array), host_leaf(rhs.array)
    if first is None or second is None:
        return NotImplemented
    values = is_value(lhs.array), is_value(rhs.array)
    if any(values):
        if not all(values) or taken_apart(lhs.array)[1] != taken_apart(rhs.array)[1]:
            return NotImplemented
        tree = taken_apart(lhs.array)[1]
        examples = [jtu.tree_unflatten(tree, [np.float32(x)]) for x in (3.0, 2.0)]
        example = function(*examples)
        leaves, tree = taken_apart(example)
        if len(leaves) != 1 or float(leaves[0]) != float(function(3.0, 2.0)):
            return NotImplemented  # decibels add up otherwise
        made = tree if is_value(example) else None
    else:
        made = None
    plan = alignment(op, (lhs._axes, rhs._axes))
    plan.check(op, (first.shape, second.shape))
    try:
        out = np.asarray(function(plan.steps[0](first), plan.steps[1](second)))
    except (TypeError, np.exceptions.DTypePromotionError):
        return NotImplemented
    return bare(out if made is None else jtu.tree_unflatten(made, [out]), plan.axes)


def of_no_numbers(op: str, function: Callable[..., Any], lhs: Any, rhs: Any) -> Any:
    """An operator of dates, spans of time or strings, by NumPy. **Raises** where it has none."""
    given: list[Any] = []
    for x in (lhs, rhs):
        held = x.array if isinstance(x, NamedBase) else x
        leaf = host_leaf(held)
        if leaf is None and not isinstance(held, (bool, int, float)) and not is_value(held):
            leaf = labels_of(held)[0]
        given.append(held if leaf is None else leaf)
    named = [x for x in (lhs, rhs) if isinstance(x, NamedBase)]
    layout = named[0]._axes.plain
    if len(named) == 2:
        plan = alignment(op, (lhs._axes, rhs._axes))
        plan.check(op, [x.shape for x in given])
        given, layout = [f(x) for f, x in zip(plan.steps, given, strict=True)], plan.axes
    known = all(isinstance(x, (np.ndarray, bool, int, float)) for x in given)
    try:
        if known and (len(named) == 2 or 0 in map(np.ndim, given)):
            with np.errstate(divide="ignore", invalid="ignore"):
                return bare(np.asarray(function(*given)), layout)
    except (TypeError, np.exceptions.DTypePromotionError):
        pass
    for x in named:
        check_numbers(x.dtype, f"`{op}`", x.dims)
    return NotImplemented
