"""Elements that are missing, which are nan: found, filled, left out."""

from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from sciquax.core import convert_to, is_value, user_line
from sciquax.core.internal import known_value, taken_apart, takes_values_apart

from .._array.axes import axes
from .._array.base import NamedBase, as_named, bare
from .._array.errors import AxisError, PositionalError
from .._by_name.call_jax import reduced_tree
from .._by_name.elementwise import keep_where, where
from .._labels.distances import from_first, inexact, with_leaf
from .._labels.host_functions import dates_of

W = TypeVar("W", bound="Missing")


class Missing(NamedBase):
    """Methods of [`sciquax.named.NamedArray`][] for missing data, which is nan."""

    def isnull(self: W) -> W:
        """Test each element for nan."""
        leaf = taken_apart(self.array)[0][0]
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "mM":
            return bare(np.isnat(leaf), self._axes.plain)
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return bare(jnp.zeros(leaf.shape, bool), self._axes.plain)
        return bare(jnp.isnan(leaf), self._axes.plain)

    def notnull(self: W) -> W:
        """Test that each element is not nan."""
        return bare(~self.isnull().array, self._axes.plain)

    def count(self: W, names: Any = None) -> W:
        """Count the elements that are not nan, over one or more names."""
        return self.notnull().sum(names)

    def fillna(self: W, value: Any) -> W:
        """Replace nans by a number, or by the elements of a named array, aligned by name."""
        own: Any = self if dates_of(self) is not None else inexact(self)
        if own is self and isinstance(value, (np.datetime64, np.timedelta64)):
            value = bare(np.asarray(value), axes(()))
        out = where(self.notnull(), own, value)
        if is_value(own.array) and is_value(out.array):  # in the array's own unit
            return bare(takes_values_apart(convert_to)(out.array, own.array), out._axes)
        return out

    def where(self: W, condition: Any, other: Any = None, drop: bool = False) -> W:
        """Keep the elements where a condition holds; `other` (nan) replaces the rest.

        `drop=True` leaves out the places along names where a known condition never holds.
        """
        own: Any = self
        condition = condition(own) if callable(condition) else condition
        if drop:
            own, condition = dropped(own, condition)
        if other is None:
            return keep_where(own, condition)
        return where(condition, own, other).transpose(*own.dims, ...)

    def ffill(self: W, name: Any, limit: int | None = None) -> W:
        """Replace each nan by the last element before it along a name that is not nan.

        At most `limit` of them in a row, if that is given.
        """
        return _carried(self, "ffill", name, limit, False)

    def bfill(self: W, name: Any, limit: int | None = None) -> W:
        """Replace each nan by the next element along a name that is not nan: as `ffill`."""
        return _carried(self, "bfill", name, limit, True)

    def dropna(self: W, name: Any, how: str = "any", thresh: int | None = None) -> W:
        """Drop the places along a name where any element is nan, or all are (`how="all"`).

        With `thresh`, without those that have fewer elements which are no nan. The array is to be
        known, as the result's size depends on it.
        """
        i = self._axes.position("dropna", name, self)
        others = tuple(k for k in range(self.ndim) if k != i)
        valid = known_value(self.notnull().array)
        if valid is None:
            raise PositionalError(
                "`dropna` got an array that is only known when the program runs, so that the "
                "result's size is not known.",
                "Use `fillna`, or reductions with `skipna=True`.",
            ).at(user_line())
        if how not in ("any", "all"):
            raise AxisError(f"`dropna` got how={how!r}.", "It is 'any' or 'all'.").at(user_line())
        if thresh is not None:
            kept = valid.sum(axis=others) >= thresh
        else:
            kept = valid.all(axis=others) if how == "any" else valid.any(axis=others)
        if not others:
            kept = valid
        own: Any = self
        return own.isel({self.dims[i]: np.flatnonzero(kept)})

    def interpolate_na(
        self: W, name: Any, method: str = "linear", limit: int | None = None,
        use_coordinate: bool = True,
    ) -> W:  # fmt: skip
        """Replace nans between other elements by interpolation along a name's coordinates.

        `method` is "linear" or "nearest"; at most `limit` nans in a row are filled, the first ones.
        `use_coordinate=False` takes places for one apart.
        """
        if method not in ("linear", "nearest"):
            raise AxisError(
                f"`interpolate_na` got method={method!r}.", "It is 'linear' or 'nearest'."
            ).at(user_line())
        from_left, from_right = self.ffill(name), self.bfill(name)
        own: Any = inexact(self)
        if is_value(own.array) and method != "nearest":
            reduced_tree(jnp.mean, own.array, 2, "`interpolate_na`")
        i = self._axes.position("interpolate_na", name, self)
        here = np.arange(self.shape[i]).reshape([-1 if k == i else 1 for k in range(self.ndim)])
        known = bare(jnp.where(own.notnull().array, jnp.asarray(here, float), jnp.nan), own._axes)
        before, after = known.ffill(name).array, known.bfill(name).array
        between = after > before
        start, end = (jnp.where(between, x, 0).astype(jnp.int32) for x in (before, after))
        since = _distance(self, i, use_coordinate)
        share = since(start, here) / jnp.where(between, since(start, end), 1)
        share = jnp.where(between, share, 0)
        if method == "nearest":
            share = jnp.where(share > 0.5, 1.0, 0.0)
        right = taken_apart(from_right.array)[0][0]
        out = with_leaf(from_left, lambda left: left * (1 - share) + right * share)
        made = bare(out, own._axes.plain)
        if limit is not None:
            made = keep_where(made, known.ffill(name, limit).notnull())
        return made


def _distance(a: Any, i: int, use_coordinate: bool) -> Any:
    """How far one place is from another along an axis: what is known in double precision.

    As two numbers of JAX's precision, the second what the first leaves: the seconds of a gap
    between dates that are years from the first.
    """
    known = a._axes.coords.get(a.dims[i]) if use_coordinate else None
    exactly = np.arange(float(a.shape[i])) if known is None else from_first(known)
    dtype = np.dtype(jnp.result_type(float))
    coarse = exactly.astype(dtype)
    fine = (exactly - coarse.astype(np.float64)).astype(dtype)

    def since(first: Any, second: Any) -> Any:
        return sum((jnp.take(x, second) - jnp.take(x, first)) for x in map(jnp.asarray, parts))

    parts = (coarse, fine)
    return since


def _carried(a: Any, op: str, name: Any, limit: int | None, backwards: bool) -> Any:
    i = a._axes.position(op, name, a)
    a = inexact(a)
    n = a.shape[i]
    valid = a.notnull().array
    shape = [1] * a.ndim
    shape[i] = n
    here = jnp.arange(n).reshape(shape)
    if backwards:
        last = jnp.flip(jnp.where(valid, here, n), i)
        last = jnp.flip(-jnp.maximum.accumulate(-last, axis=i), i)
    else:
        last = jnp.maximum.accumulate(jnp.where(valid, here, -1), axis=i)
    found = (last >= 0) & (last < n)
    if limit is not None:
        found &= jnp.abs(here - last) <= limit
    place = jnp.clip(last, 0, max(n - 1, 0))

    def filled(x: Any) -> Any:
        return jnp.where(found, jnp.take_along_axis(x, place, i), jnp.nan) if n else x

    return bare(with_leaf(a, filled), a._axes.plain)


def dropped(a: Any, condition: Any) -> tuple[Any, Any]:
    """An array and a condition without the places along names where the condition never holds."""
    mask = as_named(condition, "where")
    known = known_value(mask.array)
    if known is None:
        raise PositionalError(
            "`where` with drop=True got a condition that is only known when the program runs, so "
            "that the result's size is not known.",
            "Leave `drop` out.",
        ).at(user_line())
    kept = {}
    for i, name in enumerate(mask.dims):
        some = known.any(axis=tuple(k for k in range(mask.ndim) if k != i))
        a._axes.position("where", name)
        kept[name] = np.flatnonzero(some)
    return a.isel(kept), bare(known, mask._axes).isel(kept)
