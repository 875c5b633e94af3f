"""Groups of places along a name: split by labels, reduced group by group.

What places a group has is known on the host. Groups of like sizes are gathered into one array with
an axis of the groups' places, which JAX reduces: any reduction works, under `jit` and `grad`, and
at most twice the elements are touched.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import Tracer, taken_apart

from .._array.axes import Axes, as_names, axes
from .._array.base import bare
from .._array.coordinates import Coordinate, single
from .._array.errors import AxisError
from .._by_name.call_jax import reduced_tree
from .._by_name.concatenation import stack
from .._labels.distances import inexact
from .._labels.host_functions import dates_of, middle

_FLOATING = ("mean", "std", "var", "median", "quantile")
# Which function of JAX's says what a reduction measures; the others pick elements.
_LIKE = {x.__name__: x for x in (jnp.sum, jnp.mean, jnp.std, jnp.var, jnp.median)}
_LIKE["quantile"] = jnp.median


class Partition(NamedTuple):
    """The group of each place along a name.

    **Attributes**: the name; the position of its axis; a code for each place, -1 for those in no
    group; the groups' labels, and the name that the results have in place of the first.
    """

    name: str
    axis: int
    codes: np.ndarray
    labels: Coordinate
    into: str

    def layout(self, a: Any) -> Axes:
        dims = tuple(self.into if i == self.axis else d for i, d in enumerate(a.dims))
        known = a._axes.coords
        coords = {n: c for n, c in known.items() if n != self.name and n in dims}
        beside = a._axes.without(self.name).beside
        return axes(dims, {**coords, self.into: self.labels}, beside=beside)

    def members(self) -> list[np.ndarray]:
        """The places of each group."""
        order = np.argsort(self.codes, kind="stable")
        n = len(self.labels)
        edges = np.searchsorted(self.codes[order], np.arange(n + 1))
        return [order[i:j] for i, j in zip(edges[:-1], edges[1:], strict=True)]


def reduced(
    a: Any, parts: Partition, kind: str, names: Any, skipna: bool | None, **options: Any
) -> Any:
    """A reduction of each group: "mean", "sum", "std", ... over its places, and other names.

    `skipna` leaves nans out, as xarray does unless it is False.
    """
    dates = dates_of(a)
    if dates is None and kind in _FLOATING:
        a = inexact(a)
    leaves, tree = taken_apart(a.array)
    if len(leaves) != 1 or leaves[0].shape != a.shape:
        raise AxisError(f"Groups of a {type(a.array).__name__} cannot be reduced.").at(user_line())
    over = {parts.axis}
    if names is ...:
        over.update(range(a.ndim))
    elif names is not None:
        over.update(a._axes.positions(kind, [n for n in as_names(names) if n != parts.name], a))
    rest = [i for i in range(a.ndim) if i == parts.axis or i not in over]
    if dates is not None:
        kept = tuple(sorted(over - {parts.axis}))
        out = _of_dates(dates, parts, kept, kind, skipna)
        return bare(out, parts.layout(a).keep(rest))
    x = jnp.asarray(leaves[0])
    if is_value(a.array) and kind != "count":
        if kind in ("prod", "any", "all"):
            raise AxisError(f"`{kind}` of groups takes no quantity.").at(user_line())
        tree = reduced_tree(_LIKE.get(kind, jnp.max), a.array, 2, f"`{kind}` of groups")
    skip = skipna is not False and jnp.issubdtype(x.dtype, jnp.inexact)
    # In the gathered array the places follow the groups.
    along = tuple(i if i < parts.axis else i + 1 for i in sorted(over))
    at = parts.axis - sum(i < parts.axis for i in over)

    def function(y: Any, mask: Any) -> Any:
        return _reduce(y, mask, parts.axis + 1, along, kind, skip, options)

    out = _by_size(x, parts, at, function)
    empty = np.bincount(parts.codes[parts.codes >= 0], minlength=len(parts.labels)) == 0
    if empty.any() and kind not in ("any", "all"):  # nan for a group without places, as in xarray
        shape = (-1,) + (1,) * (out.ndim - at - 1)
        floats = out if jnp.issubdtype(out.dtype, jnp.inexact) else out.astype(float)
        out = jnp.where(np.broadcast_to(empty.reshape(shape), out.shape), jnp.nan, floats)
    layout = parts.layout(a).keep(rest)
    if kind == "count" or not is_value(a.array):
        return bare(out, layout)
    return bare(jtu.tree_unflatten(tree, [out]), layout)


_OF_DATES = ("mean", "median", "min", "max", "first", "last", "count")


def _of_dates(
    dates: np.ndarray, parts: Partition, over: tuple[int, ...], kind: str, skipna: bool | None
) -> np.ndarray:
    """A reduction of groups of dates or spans of time, on the host.

    As in xarray, extremes leave missing ones out only if they are told to.
    """
    if kind not in _OF_DATES:
        raise AxisError(
            f"`{kind}` of groups takes numbers, and got {dates.dtype}.",
            f"Dates have {', '.join(_OF_DATES)}.",
        ).at(user_line())
    skip = skipna is True or skipna is None and kind not in ("min", "max")
    axis, out = (parts.axis, *over), []
    for members in parts.members():
        group = np.take(dates, members, parts.axis)
        if kind == "count":
            out.append(np.sum(~np.isnat(group), axis=axis))
        elif not len(members):
            shape = [n for i, n in enumerate(dates.shape) if i not in axis]
            out.append(np.full(shape, "NaT", dates.dtype))
        elif kind in ("mean", "median"):
            out.append(middle(getattr(np, f"nan{kind}" if skip else kind), group, axis=axis))
        elif kind in ("min", "max"):
            out.append(getattr(np, f"nan{kind}" if skip else kind)(group, axis=axis))
        else:
            turned = group if kind == "first" else np.flip(group, parts.axis)
            valid = ~np.isnat(turned) if skip else np.ones(turned.shape, bool)
            place = np.argmax(valid, parts.axis, keepdims=True)
            out.append(np.take_along_axis(turned, place, parts.axis).squeeze(parts.axis))
    at = parts.axis - sum(i < parts.axis for i in over)
    return np.stack(out, at)


def _by_size(x: Any, parts: Partition, at: int, function: Callable[[Any, Any], Any]) -> Any:
    """`function(gathered, mask)` of the groups, those of like sizes at once, in their order.

    The groups' axis stands where the places' was, and `at` in the result; their places follow it.
    """
    members = parts.members()
    sizes = np.array([len(m) for m in members], int)
    most, all_of = int(sizes.max(initial=1)), len(members)
    widths = 2 ** np.ceil(np.log2(np.maximum(sizes, 1))).astype(int)
    if most * all_of <= 2 * max(1, sizes.sum()):
        widths[:] = max(1, most)
    results, order = [], []
    for width in np.unique(widths) if all_of else [1]:
        chosen = np.flatnonzero(widths == width)
        index = np.zeros((len(chosen), width), int)
        for row, g in enumerate(chosen):
            index[row, : sizes[g]] = members[g]
        whole = bool((sizes[chosen] == width).all())
        mask = None if whole else np.arange(width) < sizes[chosen][:, None]
        results.append(function(_gathered(x, index, parts.axis), mask))
        order.append(chosen)
    out = results[0] if len(results) == 1 else jnp.concatenate(results, axis=at)
    back = np.argsort(np.concatenate(order))
    return out if np.array_equal(back, np.arange(all_of)) else jnp.take(out, back, axis=at)


def _gathered(x: Any, index: np.ndarray, axis: int) -> Any:
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    if 0 in shape or x.shape[axis] == 0:
        return jnp.zeros(shape, x.dtype)
    if np.array_equal(index.ravel(), np.arange(x.shape[axis])):
        return jnp.reshape(x, shape)
    rows, width = index.shape
    if rows * width == x.shape[axis] and np.array_equal(index.T.ravel(), np.arange(index.size)):
        # Groups in turn, as months: a reshape is much faster than a gather.
        turned = (*x.shape[:axis], width, rows, *x.shape[axis + 1 :])
        return jnp.swapaxes(jnp.reshape(x, turned), axis, axis + 1)
    return jnp.take(x, index, axis=axis)


def _reduce(
    y: Any, mask: Any, place: int, axis: tuple[int, ...], kind: str, skip: bool, options: Any
) -> Any:
    """Over some axes, where the mask of groups' places holds; of what is no nan, if they go."""
    floating = jnp.issubdtype(y.dtype, jnp.inexact)
    if mask is not None:
        mask = mask.reshape((1,) * (place - 1) + mask.shape + (1,) * (y.ndim - place - 1))
    where = None if mask is None else jnp.asarray(mask)
    if kind == "count":
        valid = ~jnp.isnan(y) if floating else jnp.ones(y.shape, bool)
        return jnp.sum(valid if where is None else valid & where, axis=axis)
    if skip and kind in ("mean", "sum"):
        # The usual case in one pass: a nan would show in the result.
        whole = getattr(jnp, kind)(y, axis=axis, where=where)

        def without_nans(y: Any) -> Any:
            return _valid_only(y, where, axis, kind)

        lost = jnp.isnan(whole).any()
        if isinstance(lost, Tracer):
            return jax.lax.cond(lost, without_nans, lambda _: whole, y)
        return without_nans(y) if lost else whole
    if skip:
        valid = ~jnp.isnan(y)
        where = valid if where is None else valid & where
    if kind in ("sum", "prod", "any", "all"):
        return getattr(jnp, kind)(y, axis=axis, where=where)
    if kind in ("first", "last"):
        return _end(y, where, place, kind)
    if where is None:
        return getattr(jnp, kind)(y, axis=axis, **options)
    where = jnp.broadcast_to(where, y.shape)
    some = jnp.any(where, axis=axis, keepdims=True)
    if kind in ("max", "min"):
        out = getattr(jnp, kind)(y, axis=axis, where=where, initial=_worst(y.dtype, kind))
    elif kind in ("mean", "var", "std"):
        # Where nothing is left, its gradient is to be nothing too.
        out = getattr(jnp, kind)(y, axis=axis, where=where | ~some, **options)
    else:  # the median and quantiles know of nans alone
        out = getattr(jnp, f"nan{kind}")(jnp.where(where, y, jnp.nan), axis=axis, **options)
        if not skip:
            out = jnp.where(jnp.any(jnp.isnan(y) & where, axis=axis), jnp.nan, out)
    return jnp.where(jnp.squeeze(some, axis), out, jnp.nan) if floating else out


def _valid_only(y: Any, where: Any, axis: tuple[int, ...], kind: str) -> Any:
    """The sum or mean of what is no nan; the mean of nothing is nan."""
    valid = ~jnp.isnan(y)
    where = jnp.broadcast_to(valid if where is None else valid & where, y.shape)
    if kind == "sum":
        return jnp.sum(y, axis=axis, where=where)
    # Where nothing is left, its gradient is to be nothing too.
    some = jnp.any(where, axis=axis, keepdims=True)
    out = jnp.mean(y, axis=axis, where=where | ~some)
    return jnp.where(jnp.squeeze(some, axis), out, jnp.nan)


def _worst(dtype: Any, kind: str) -> Any:
    if jnp.issubdtype(dtype, jnp.inexact):
        return -jnp.inf if kind == "max" else jnp.inf
    if dtype == jnp.bool_:
        return kind == "min"
    limits = jnp.iinfo(dtype)
    return limits.min if kind == "max" else limits.max


def _end(y: Any, where: Any, axis: int, kind: str) -> Any:
    """The first or last element that counts."""
    if where is None:
        return jax.lax.index_in_dim(y, 0 if kind == "first" else -1, axis, keepdims=False)
    where = jnp.broadcast_to(where, y.shape)
    if kind == "first":
        place = jnp.argmax(where, axis=axis, keepdims=True)
    else:
        place = y.shape[axis] - 1 - jnp.argmax(jnp.flip(where, axis), axis=axis, keepdims=True)
    out = jnp.squeeze(jnp.take_along_axis(y, place, axis), axis)
    if not jnp.issubdtype(y.dtype, jnp.inexact):
        return out
    return jnp.where(jnp.any(where, axis=axis), out, jnp.nan)


class GroupReductions:
    """The reductions of groups, over their places, and over `names` as well if these are given.

    `skipna=False` lets a nan make its group's result nan; else nans are left out, as in xarray.
    """

    def _reduced(self, kind: str, names: Any, skipna: bool | None, **options: Any) -> Any:
        raise NotImplementedError

    def mean(self, names: Any = None, *, skipna: bool | None = None) -> Any:
        """The arithmetic mean of each group."""
        return self._reduced("mean", names, skipna)

    def sum(self, names: Any = None, *, skipna: bool | None = None) -> Any:
        """The sum of each group."""
        return self._reduced("sum", names, skipna)

    def prod(self, names: Any = None, *, skipna: bool | None = None) -> Any:
        """The product of each group."""
        return self._reduced("prod", names, skipna)

    def max(self, names: Any = None, *, skipna: bool | None = None) -> Any:
        """The largest element of each group."""
        return self._reduced("max", names, skipna)

    def min(self, names: Any = None, *, skipna: bool | None = None) -> Any:
        """The smallest element of each group."""
        return self._reduced("min", names, skipna)

    def std(self, names: Any = None, *, ddof: int = 0, skipna: bool | None = None) -> Any:
        """The standard deviation of each group."""
        return self._reduced("std", names, skipna, ddof=ddof)

    def var(self, names: Any = None, *, ddof: int = 0, skipna: bool | None = None) -> Any:
        """The variance of each group."""
        return self._reduced("var", names, skipna, ddof=ddof)

    def median(self, names: Any = None, *, skipna: bool | None = None) -> Any:
        """The median of each group."""
        return self._reduced("median", names, skipna)

    def quantile(self, q: Any, names: Any = None, *, skipna: bool | None = None) -> Any:
        """A quantile of each group; of several, along a new last axis, `quantile`."""
        if np.ndim(q) == 0:
            one = self._reduced("quantile", names, skipna, q=q)
            return bare(one.array, one._axes.with_beside(quantile=single(q)))
        known = Coordinate(np.asarray(q, float))
        made = stack(
            [self._reduced("quantile", names, skipna, q=x) for x in known.values], "quantile"
        )
        return bare(made.array, made._axes.with_coord("quantile", known)).transpose(..., "quantile")

    def count(self, names: Any = None) -> Any:
        """The number of elements of each group that are not nan."""
        return self._reduced("count", names, None)

    def any(self, names: Any = None) -> Any:
        """Whether any element of a group is true."""
        return self._reduced("any", names, None)

    def all(self, names: Any = None) -> Any:
        """Whether all elements of a group are true."""
        return self._reduced("all", names, None)

    def first(self, *, skipna: bool | None = None) -> Any:
        """The first element of each group."""
        return self._reduced("first", None, skipna)

    def last(self, *, skipna: bool | None = None) -> Any:
        """The last element of each group."""
        return self._reduced("last", None, skipna)
