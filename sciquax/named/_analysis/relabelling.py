"""Other labels along a name: shifted, in order, at given labels, without some."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line
from sciquax.core.internal import known_value

from .._array.axes import Axes, axes, name_of
from .._array.base import NamedBase, as_named, bare, coordinate
from .._array.coordinates import Beside, Coordinate
from .._array.errors import AxisError, CoordinateError, show_dims
from .._by_name.shapes import _pairs, known_integer, renamed, scalar
from .._labels.distances import inexact, with_leaf
from .._labels.host_functions import dates_of
from .._labels.lookup import METHODS, _all, _within, index_of, labels_among

Y = TypeVar("Y", bound="Relabelling")


class Relabelling(NamedBase):
    """Methods of [`sciquax.named.NamedArray`][] that change labels along names."""

    def shift(
        self: Y, shifts: Mapping[Any, Any] | None = None, /, fill_value: Any = None, **more: Any
    ) -> Y:
        """Shift elements along names: `shift(x=1)`; new ones are nan or `fill_value`.

        Coordinates stay. Integers become floating point, unless `fill_value` is given.
        """
        dates = dates_of(self)
        a: Any = inexact(self) if fill_value is None and dates is None else self
        for axis, by in _pairs("shift", shifts, more).items():
            i, n = a._axes.position("shift", axis, a), known_integer("shift", scalar("shift", by))
            size = a.shape[i]
            fill = float("nan") if fill_value is None else scalar("shift", fill_value)
            keep = slice(0, max(size - n, 0)) if n >= 0 else slice(min(-n, size), size)
            width = {a.dims[i]: (min(n, size), 0) if n >= 0 else (0, min(-n, size))}
            part = a.drop_coords().isel({a.dims[i]: keep})
            widths = [next(iter(width.values())) if k == i else (0, 0) for k in range(a.ndim)]
            if dates is not None:
                missing = np.asarray("NaT" if fill_value is None else fill_value, dates.dtype)
                held = np.pad(part.array, widths, constant_values=missing)
            elif fill_value is None:
                held = with_leaf(part, lambda x, w=widths: jnp.pad(x, w, constant_values=jnp.nan))
            else:
                held = part.pad(width, constant_values=fill).array
            a = bare(held, a._axes.plain)
        return a

    def sortby(self: Y, by: Any, ascending: bool = True) -> Y:
        """Sort by the coordinates along one or more names, or by known named arrays.

        Later keys decide where earlier ones are equal, as in xarray.
        """
        own: Any = self
        keys = [by] if isinstance(by, (str, NamedBase)) else list(by)
        orders: dict[str, list[np.ndarray]] = {}
        for key in keys:
            if isinstance(key, NamedBase):
                if key.ndim != 1:
                    raise AxisError("`sortby` takes arrays with one name.").at(user_line())
                name, leaf = str(key.dims[0]), known_value(key.array)
                if leaf is None:
                    places: Any = cast(Any, key).argsort(name, descending=not ascending)
                    own = own.isel({name: places.drop_coords()})
                    continue
                own._axes.position("sortby", name)
            else:
                name, leaf = _along_one(own, key)
            orders.setdefault(name, []).append(leaf)
        for name, leaves in orders.items():
            order = np.lexsort(tuple(reversed(leaves)))
            own = own.isel({name: order if ascending else order[::-1]})
        return own

    def reindex(
        self: Y, labels: Mapping[Any, Any] | None = None, /, method: str | None = None,
        tolerance: Any = None, fill_value: Any = None, **more: Any,
    ) -> Y:  # fmt: skip
        """Take the elements at labels along names; nan, or `fill_value`, where there is none.

        `method` is "nearest", "pad" or "backfill" for labels that are not there, at most
        `tolerance` away. Plain labels are in the coordinate's unit.
        """
        own: Any = self
        for axis, given in _pairs("reindex", labels, more).items():
            own = _reindexed(own, axis, given, method, tolerance, fill_value)
        return own

    def reindex_like(self: Y, other: Any, method: str | None = None, **options: Any) -> Y:
        """Take the elements at the labels that another array has along names of this one."""
        other = as_named(other, "reindex_like")
        shared = {n: other.coord(n) for n in other._axes.coords if n in self._axes.coords}
        return self.reindex(shared, method=method, **options)

    def drop_sel(self: Y, labels: Mapping[Any, Any] | None = None, /, **more: Any) -> Y:
        """Drop places by their labels: `drop_sel(x=[1.0, 2.0])`.

        **Raises** `CoordinateError` if a label is not there.
        """
        own: Any = self
        for axis, given in _pairs("drop_sel", labels, more).items():
            i = own._axes.position("drop_sel", axis, own)
            name = own.dims[i]
            own.coord(name)
            several = given if np.ndim(given) or hasattr(given, "ndim") else [given]
            known: Coordinate = own._axes.coords[name]
            wanted = labels_among(known, name, several, "drop_sel").values.ravel()
            here = index_of(known).isin(wanted)
            places = _all(known, name, wanted, None, 0.0) if index_of(known).is_unique else here
            if np.any(np.asarray(places) < 0) or not here.any() and len(wanted):
                raise CoordinateError(
                    f"`drop_sel` got labels along {name!r} that are not among its coordinates."
                ).at(user_line())
            own = own.isel({name: np.flatnonzero(~here)})
        return own

    def drop_isel(self: Y, places: Mapping[Any, Any] | None = None, /, **more: Any) -> Y:
        """Drop places along names: `drop_isel(x=[0, -1])`."""
        own: Any = self
        for axis, given in _pairs("drop_isel", places, more).items():
            i = own._axes.position("drop_isel", axis, own)
            own = own.isel({own.dims[i]: np.delete(np.arange(own.shape[i]), given)})
        return own

    def drop_duplicates(self: Y, name: Any, keep: Any = "first") -> Y:
        """Drop places along a name whose label occurs earlier, or later (`keep="last"`).

        `keep=False` leaves out all places of labels that are there more than once.
        """
        own: Any = self
        i = own._axes.position("drop_duplicates", name, self)
        own.coord(name)
        again = index_of(own._axes.coords[own.dims[i]]).duplicated(keep=keep)
        return own.isel({own.dims[i]: np.flatnonzero(~again)})

    def swap_dims(self: Y, names: Mapping[Any, Any] | None = None, /, **more: Any) -> Y:
        """Make another coordinate an axis' own: `swap_dims(time="month")`.

        The axis gets its name, and keeps its old coordinates beside it. A name that is no
        coordinate's renames the axis alone.
        """
        out: Any = self
        for axis, new in _pairs("swap_dims", names, more).items():
            known: Axes = out._axes
            old, into = out.dims[known.position("swap_dims", axis, out)], name_of(new)
            other, own = known.beside.get(into), known.coords.get(old)
            if other is not None and other.dims != (old,):
                raise AxisError(
                    f"`swap_dims` got {into!r}, a coordinate with the dims "
                    f"{show_dims(other.dims)}, for {old!r}.",
                    f"Its only name must be {old!r} alone.",
                ).at(user_line())
            if other is not None:
                known = known.with_beside(**{into: None})
            out = renamed(bare(out.array, known.with_coord(old, None)), "swap_dims", {old: into})
            layout = out._axes.with_coord(into, None if other is None else other.held)
            if own is not None and old != into:
                layout = layout.with_beside(**{old: Beside((into,), own)})
            out = bare(out.array, layout)
        return out

    def isin(self: Y, values: Any) -> Y:
        """Test whether elements are among values; coordinates may also be dates or strings."""
        leaf = self.array
        if isinstance(values, NamedBase):
            values = values.array
        from_host = isinstance(leaf, np.ndarray) or isinstance(
            getattr(leaf, "magnitude", None), np.ndarray
        )
        if from_host:
            made = coordinate(bare(leaf, axes(self.dims)), str(self.dims[0]))
            wanted = labels_among(made, str(self.dims[0]), np.ravel(values), "isin").values
            return bare(np.asarray(index_of(made).isin(wanted)), self._axes.plain)
        return bare(jnp.isin(leaf, jnp.asarray(values)), self._axes.plain)


def _along_one(a: Any, key: Any) -> tuple[str, np.ndarray]:
    """The values of a coordinate that `sortby` goes by, and the name that they run along."""
    beside = a._axes.beside.get(key) if isinstance(key, str) else None
    if beside is not None and len(beside.dims) == 1:
        return beside.dims[0], beside.held.values
    name = a.dims[a._axes.position("sortby", key, a)]
    a.coord(name)
    return name, a._axes.coords[name].values


def _reindexed(
    a: Any, axis: Any, given: Any, method: str | None, tolerance: Any, fill_value: Any
) -> Any:
    i = a._axes.position("reindex", axis, a)
    name = a.dims[i]
    a.coord(name)
    known: Coordinate = a._axes.coords[name]
    if isinstance(given, NamedBase) and given.dims != (name,) and given.ndim == 1:
        given = cast(Any, given).rename({given.dims[0]: name})
    new = coordinate(given, name)
    if new.tree is None and known.tree is not None:
        new = Coordinate(new.values, known.tree)  # plain labels are in the coordinate's unit
    if known.dated and new.values.dtype.kind in "UO":
        new = Coordinate(new.values.astype(known.values.dtype))
    labels = labels_among(known, name, new.value(), "reindex")
    if method not in METHODS:
        raise AxisError(f"`reindex` got method={method!r}.").at(user_line())
    if not index_of(known).is_unique:
        raise CoordinateError(f"`reindex` needs coordinates of {name!r} that differ.").at(
            user_line()
        )
    how = METHODS[method]
    places = _all(known, name, labels.values, how, labels.rounding)
    if how is not None and tolerance is not None:
        places = np.where(_within(known, name, labels.values, places, tolerance), places, -1)
    missing = places < 0
    source = bare(a.array, a._axes.without(name)) if missing.any() else a.drop_coords(name)
    if missing.any() and fill_value is None:
        source = inexact(source)
    if a.shape[i] == 0:
        raise CoordinateError(f"`reindex` of no elements along {name!r}.").at(user_line())
    out = source.isel({name: np.where(missing, 0, places)})
    if missing.any():
        mask = bare(~missing, axes((name,)))
        out = out.where(mask, fill_value).transpose(*a.dims)
    return bare(out.array, out._axes.with_coord(name, new))
