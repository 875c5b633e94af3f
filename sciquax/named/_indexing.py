"""Indexing by name: places (`isel`), values of coordinates (`sel`), in between (`interp`), writing.

A place along `x` is a static integer or slice, a list of places, whose axis keeps the name, or a
named array of places, whose names the result has in place of `x`; a name that the array has too is
walked along with. Index arrays are never matched by size.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import coerce, is_value
from sciquax.core._compat import Tracer

from ._apply import apply
from ._axes import Axes, axes, check_distinct
from ._base import NamedBase, as_named, bare, coordinate
from ._combine import concatenate
from ._coordinates import Coordinate, merge
from ._errors import AxisError, CoordinateError, PlaceError, PositionalError, located, show_dims
from ._functions import where
from ._operators import alignment, sizes_differ, unnamed
from ._shapes import _pairs, permuted


class Places(NamedTuple):
    """Indices by position: static integers and slices, and named arrays of integers."""

    basic: dict[int, int | slice]
    arrays: dict[int, NamedBase]


def _places(a: NamedBase, what: str, indexers: dict[Any, Any]) -> Places:
    basic: dict[int, int | slice] = {}
    arrays: dict[int, NamedBase] = {}
    for axis, index in indexers.items():
        i = a._axes.position(what, axis, a)
        if i in basic or i in arrays:
            raise located(AxisError(f"`{what}` got {a.dims[i]!r} twice."))
        name, size = a.dims[i], a.shape[i]
        assert name is not None
        if isinstance(index, slice):
            basic[i] = _checked_slice(what, name, index)
            continue
        if isinstance(index, (bool, np.bool_)):
            raise located(
                PositionalError(
                    f"`{what}` got {index!r} as a place along {name!r}; places are integers."
                )
            )
        if isinstance(index, (int, np.integer)):
            basic[i] = _checked_place(what, name, int(index), size)
            continue
        array = _as_places(what, name, index, size)
        if array.ndim == 0 and not isinstance(array.array, Tracer):
            basic[i] = int(array.array)
        else:
            arrays[i] = array
    return Places(basic, arrays)


def _checked_slice(what: str, name: str, index: slice) -> slice:
    for part in (index.start, index.stop, index.step):
        if part is not None and not isinstance(part, (int, np.integer)):
            raise located(
                PositionalError(
                    f"`{what}` got {index} along {name!r}; places are integers.",
                    "`sel` takes values of coordinates.",
                )
            )
    if index.step == 0:
        raise located(PlaceError(f"`{what}` got a slice along {name!r} with the step 0."))
    return index


def _checked_place(what: str, name: str, place: int, size: int) -> int:
    if not -size <= place < size:
        raise located(
            PlaceError(f"`{what}` got the place {place} along {name!r}, whose size is {size}.")
        )
    return place + size if place < 0 else place


def _as_places(what: str, name: str, index: Any, size: int) -> NamedBase:
    """Integers, checked if they are known; a mask becomes the places where it is true."""
    layout = None
    if isinstance(index, NamedBase):
        layout, index = index._axes, index.array
    if is_value(index):
        raise located(
            PositionalError(
                f"`{what}` got a {type(index).__name__} as places along {name!r}.",
                "Places are integers; `sel` takes values of coordinates.",
            )
        )
    if not isinstance(index, Tracer):
        index = np.asarray(index)
        if index.size == 0 and index.dtype == float:
            index = index.astype(int)
    kind = np.dtype(index.dtype).kind
    if kind == "b":
        return _masked(what, name, index, layout, size)
    if kind not in "iu":
        raise located(
            PositionalError(
                f"`{what}` got an array of {index.dtype} as places along {name!r}.",
                "Places are integers; `sel` takes values of coordinates.",
            )
        )
    if layout is None:
        if index.ndim > 1:
            raise located(
                PositionalError(
                    f"`{what}` got places along {name!r} of shape {index.shape} without names.",
                    "Name their axes: `NamedArray(places, ('u', 'v'))`.",
                )
            )
        layout = axes((name,) if index.ndim else ())
    elif not layout.named:
        raise located(unnamed(what, layout))
    if isinstance(index, np.ndarray):
        outside = index[(index < -size) | (index >= size)]
        if outside.size:
            raise located(
                PlaceError(
                    f"`{what}` got the place {outside.flat[0]} along {name!r}, whose size is "
                    f"{size}."
                )
            )
        index = np.where(index < 0, index + size, index)
    return bare(index, layout)


def _masked(what: str, name: str, mask: Any, layout: Axes | None, size: int) -> Any:
    if mask.ndim != 1 or layout is not None and layout.dims != (name,):
        dims = () if layout is None else layout.dims
        raise located(
            AxisError(
                f"`{what}` got a mask of shape {mask.shape} with the dims {show_dims(dims)} for "
                f"{name!r}.",
                f"A mask for {name!r} has that axis alone; or use `named.where(mask, a, fill)`.",
            )
        )
    if mask.shape[0] != size:
        raise located(sizes_differ(what, name, [size, mask.shape[0]]))
    if isinstance(mask, Tracer):
        raise located(
            PositionalError(
                f"`{what}` got a mask along {name!r} that is only known when the program runs, so "
                "that the result's size is not known.",
                "Use `named.where(mask, a, fill)`.",
            )
        )
    return bare(np.flatnonzero(mask), axes((name,)))


class Pointwise(NamedTuple):
    """Arrays of places brought to common axes.

    **Attributes**: their layout; the positions of the axes that are indexed; an index for each.
    """

    layout: Axes
    positions: tuple[int, ...]
    places: tuple[Any, ...]


def _pointwise(a: NamedBase, what: str, arrays: dict[int, NamedBase]) -> Pointwise:
    indexed = {a.dims[i] for i in arrays}
    given = dict(arrays)
    names = dict.fromkeys(n for x in arrays.values() for n in x.dims)
    for name in names:
        if name is not None and name in a._axes.place and name not in indexed:  # walked along with
            i = a._axes.place[name]
            size = next(x.sizes[name] for x in arrays.values() if name in x.dims)
            if size != a.shape[i]:
                raise located(sizes_differ(what, name, [a.shape[i], size]))
            known: dict[Any, Coordinate] = (
                {name: a._axes.coords[name]} if name in a._axes.coords else {}
            )
            given[i] = bare(np.arange(size), axes((name,), known))
    positions = tuple(sorted(given))
    plan = alignment(what, tuple(given[i]._axes for i in positions))
    plan.check(what, [given[i].shape for i in positions])
    index = [step(given[i].array) for i, step in zip(positions, plan.steps, strict=True)]
    ndim = len(plan.axes.dims)
    index = [x if x.ndim == ndim else x.reshape((1,) * ndim) for x in index]
    return Pointwise(plan.axes, positions, tuple(index))


def _is_known(index: Sequence[Any]) -> bool:
    return not any(isinstance(x, Tracer) for x in index)


def isel(a: NamedBase, what: str, indexers: dict[Any, Any]) -> Any:
    """What `NamedArray.isel` does."""
    places = _places(a, what, indexers)
    if places.basic:
        a = _basic(a, places.basic)
        kept = [
            i for i in range(a.ndim + sum(isinstance(p, int) for p in places.basic.values()))
            if not isinstance(places.basic.get(i), int)
        ]  # fmt: skip
        arrays = {kept.index(i): x for i, x in places.arrays.items()}
    else:
        arrays = places.arrays
    if not arrays:
        return a
    if all(x.dims in ((), (a.dims[i],)) for i, x in arrays.items()):
        return _orthogonal(a, arrays)
    return _vectorised(a, what, arrays)


def _basic(a: NamedBase, basic: dict[int, int | slice]) -> Any:
    index = tuple(basic.get(i, slice(None)) for i in range(a.ndim))
    coords, dims = {}, []
    for i, name in enumerate(a.dims):
        if isinstance(index[i], int):
            continue
        dims.append(name)
        own = a._axes.coords.get(name)  # pyright: ignore[reportArgumentType]
        if own is not None:
            coords[name] = own if index[i] == slice(None) else own.take(index[i])
    return bare(a.array[index], axes(tuple(dims), coords, a._axes.attrs))


def _orthogonal(a: NamedBase, arrays: dict[int, NamedBase]) -> Any:
    """Lists of places, each along its own axis."""
    out, dims, coords = a.array, list(a.dims), dict(a._axes.coords)
    for i in sorted(arrays, reverse=True):
        index = arrays[i].array
        out = apply(jnp.take, out, index, axis=i)
        name = dims[i]
        own = coords.pop(name, None)
        if arrays[i].ndim == 0:
            del dims[i]
        elif own is not None and isinstance(index, np.ndarray):
            coords[name] = own.take(index)
        for n, c in arrays[i]._axes.coords.items():
            coords[n] = merge("isel", n, coords[n], c) if n in coords else c
    return bare(out, axes(tuple(dims), coords, a._axes.attrs))


def _vectorised(a: NamedBase, what: str, arrays: dict[int, NamedBase]) -> Any:
    points = _pointwise(a, what, arrays)
    rest = [i for i in range(a.ndim) if i not in points.positions]
    moved = permuted(a, (*points.positions, *rest)).array
    if _is_known(points.places):
        out = moved[tuple(map(jnp.asarray, points.places))]
    else:
        out = moved.at[tuple(map(jnp.asarray, points.places))].get(mode="fill")
    first = points.positions[0]
    before = [i for i in rest if i < first]
    dims = (*points.layout.dims, *(a.dims[i] for i in rest))
    kept = {a.dims[i] for i in rest}
    coords = {n: c for n, c in a._axes.coords.items() if n in kept} | points.layout.coords
    n = len(points.layout.dims)
    check_distinct(what, dims)
    made = bare(out, axes(dims, coords))
    order = (*range(n, n + len(before)), *range(n), *range(n + len(before), len(dims)))
    return permuted(made, order)


class Indexing:
    """The indexing of [`sciquax.named.NamedArray`][]."""

    def isel(self: Any, indexers: Mapping[Any, Any] | None = None, /, **more: Any) -> Any:
        """The elements at places: `isel(x=3, y=slice(0, 2), z=[0, 2])`.

        **Arguments**: for each name an integer, whose axis goes; a slice; a list or array of
        integers, or a mask that is known; or a named array of integers, whose names stand in the
        result in place of the name. A name that the array has as well is walked along with, so
        `a.isel(x=a.argmax("x"))` is the maximum.

        **Raises** `AxisError` for an absent name, `PlaceError` for a place outside; a place that
        is only known when the program runs, and is outside, gives nan.
        """
        return isel(self, "isel", _pairs("isel", indexers, more))

    def __getitem__(self: Any, index: Any) -> Any:
        if index is Ellipsis:
            return self
        if isinstance(index, Mapping):
            return isel(self, "[]", dict(index))
        if isinstance(index, NamedBase) and np.dtype(index.dtype) == np.bool_:
            if index.ndim == 1 and index.dims[0] is not None:
                return isel(self, "[]", {index.dims[0]: index})
            raise located(
                AxisError(
                    f"A mask with the dims {show_dims(index.dims)} would leave elements without "
                    "axes.",
                    "Use `named.where(mask, a, fill)`, or `flatten` both first.",
                )
            )
        raise located(
            PositionalError(
                f"A named array is indexed by name, and got {index!r}.",
                f"Write `a[{{{next((d for d in self.dims if d), 'x')!r}: 3}}]` or `a.isel(...)`.",
            )
        )

    @property
    def at(self: Any) -> "At":
        """Indexed updates: `a.at[{"x": 1}].set(v)`, where `v` aligns by name.

        **Raises** `AxisError` if `v` has a name that the places do not have.
        """
        return At(self)

    def sel(
        self: Any, values: Mapping[Any, Any] | None = None, /, method: str | None = None,
        tolerance: Any = None, **more: Any,
    ) -> Any:  # fmt: skip
        """The elements at values of coordinates: `sel(time=3.0)`, `sel(x=slice(1.0, 2.0))`.

        **Arguments**: for each name a value, whose axis goes; several; or a slice, both ends of
        which are included. In the coordinate's unit or one convertible. `method` is "exact" (the
        default) or "nearest"; `tolerance` bounds how far the nearest may be.

        **Raises** `CoordinateError` if a value is not there, or there more than once.
        """
        indexers = {}
        for axis, value in _pairs("sel", values, more).items():
            i = self._axes.position("sel", axis, self)
            self.coord(axis)
            known = self._axes.coords[self.dims[i]]
            indexers[self.dims[i]] = _locate(known, self.dims[i], value, method, tolerance)
        return isel(self, "sel", indexers)

    def interp(
        self: Any, values: Mapping[Any, Any] | None = None, /, method: str = "linear", **more: Any
    ) -> Any:
        """Interpolated at values of coordinates along names: "linear" or "nearest".

        Values may be a number, whose axis goes; a list or array, along which the name stays with
        the new coordinates; or a named array. Beyond the coordinates the result is nan.

        **Raises** `CoordinateError` where coordinates are not numbers in strict order.
        """
        out = self
        for axis, value in _pairs("interp", values, more).items():
            out = _interpolated(out, axis, value, method)
        return out

    def differentiate(self: Any, name: Any) -> Any:
        """The derivative by the coordinate along a name, of second order, in units per unit.

        As `numpy.gradient`: central differences, one-sided at the ends.
        """
        i = self._axes.position("differentiate", name, self)
        if self.shape[i] < 2:
            raise located(AxisError(f"`differentiate` needs two places along {self.dims[i]!r}."))
        n = self.dims[i]
        x, y = self.coord(n).drop_coords(), self.drop_coords(n)
        step = x.diff(n)
        slope = y.diff(n) / step
        inner = None
        if self.shape[i] > 2:
            a, b = {n: slice(None, -1)}, {n: slice(1, None)}
            left, right = step.isel(a), step.isel(b)
            inner = (slope.isel(a) * right + slope.isel(b) * left) / (left + right)
        parts = [slope.isel({n: slice(0, 1)}), inner, slope.isel({n: slice(-1, None)})]
        out = concatenate([p for p in parts if p is not None], n).transpose(*self.dims)
        return bare(out.array, self._axes.plain)

    def integrate(self: Any, name: Any) -> Any:
        """The integral over the coordinate along a name, by the trapezoidal rule."""
        i = self._axes.position("integrate", name, self)
        n = self.dims[i]
        x, y = self.coord(n).drop_coords(), self.drop_coords(n)
        pairs = (y.isel({n: slice(None, -1)}) + y.isel({n: slice(1, None)})) / 2
        return (pairs * x.diff(n)).sum(n)


# -- by coordinate --------------------------------------------------------------------------------


def _converted(known: Coordinate, name: str, value: Any) -> np.ndarray:
    """Values in the unit and dtype of the coordinates they are looked up among."""
    if isinstance(value, NamedBase):
        value = value.array
    leaf = jax.tree_util.tree_leaves(value)[0] if is_value(value) else value
    if isinstance(leaf, Tracer):
        raise located(
            CoordinateError(
                f"`sel` got a value along {name!r} that is only known when the program runs.",
                "Use `interp`, which takes such values.",
            )
        )
    if is_value(value):
        shape = value.shape
        flat = Coordinate(
            np.atleast_1d(np.asarray(leaf)).ravel(), jax.tree_util.tree_structure(value)
        )
        return flat.converted(known).reshape(shape)
    given = np.asarray(value)
    if known.tree is not None:
        return Coordinate(given.ravel()).converted(known).reshape(given.shape)
    if known.values.dtype.kind == "M":
        return given.astype("datetime64") if given.dtype.kind in "UO" else given
    return given


def _locate(known: Coordinate, name: str, value: Any, method: str | None, tolerance: Any) -> Any:
    if method not in (None, "exact", "nearest"):
        raise located(AxisError(f"`sel` got method={method!r}.", "It is 'exact' or 'nearest'."))
    if isinstance(value, slice):
        return _between(known, name, value)
    given = _converted(known, name, value)
    values = known.values
    if values.dtype.kind == "f" and given.dtype.kind in "fiu":
        given = given.astype(values.dtype)
    places = np.empty(given.shape, int)
    for at, wanted in np.ndenumerate(given):
        if method == "nearest":
            distance = np.abs(values - wanted)
            place = int(np.argmin(distance))
            bound = None if tolerance is None else _converted(known, name, tolerance)
            found = [place] if bound is None or distance[place] <= bound else []
        else:
            found = np.flatnonzero(values == wanted)
        if len(found) != 1:
            near = ""
            if known.numeric and len(values) and not len(found):
                near = f" The nearest is {values[np.argmin(np.abs(values - wanted))]}."
            count = "more than once" if len(found) else "not"
            raise located(
                CoordinateError(
                    f"`sel` got {wanted} along {name!r}, which is {count} among its "
                    f"{len(values)} coordinates.{near}",
                    "Use method='nearest', a slice, or `isel`.",
                )
            )
        places[at] = found[0]
    if isinstance(value, NamedBase):
        return bare(places, value._axes)
    return int(places) if places.ndim == 0 else places


def _between(known: Coordinate, name: str, value: slice) -> Any:
    if value.step is not None:
        raise located(CoordinateError(f"`sel` got a slice with a step along {name!r}."))
    values = known.values
    ascending = bool(np.all(values[1:] >= values[:-1]))
    descending = bool(np.all(values[1:] <= values[:-1]))
    if not (ascending or descending):
        raise located(
            CoordinateError(
                f"`sel` got a slice along {name!r}, whose coordinates are in no order.",
                "Sort first, or select by a mask.",
            )
        )
    low = None if value.start is None else _converted(known, name, value.start)
    high = None if value.stop is None else _converted(known, name, value.stop)
    if values.dtype.kind == "M" and isinstance(value.stop, str):
        # All of the month, if a month is given: up to the last instant before the next.
        high = np.datetime64(value.stop)
        period: Any = np.datetime_data(high.dtype)[0]
        instant: Any = np.datetime_data(values.dtype)[0]
        after = (high + np.timedelta64(1, period)).astype(values.dtype)
        high = after - np.timedelta64(1, instant)
    if low is not None and high is not None and low > high:
        if ascending and len(values) > 1:
            raise located(
                CoordinateError(
                    f"`sel` got the slice {low} to {high} along {name!r}, which ascends."
                )
            )
        low, high = high, low
    if descending and not ascending and (low is None) != (high is None):
        low, high = high, low  # `slice(60, None)` goes on in the direction of storage
    inside = np.ones(values.shape, bool)
    if low is not None:
        inside &= values >= low
    if high is not None:
        inside &= values <= high
    places = np.flatnonzero(inside)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _interpolated(a: Any, axis: Any, value: Any, method: str) -> Any:
    if method not in ("linear", "nearest"):
        raise located(AxisError(f"`interp` got method={method!r}.", "It is 'linear' or 'nearest'."))
    i = a._axes.position("interp", axis, a)
    name = a.dims[i]
    a.coord(name)
    known = a._axes.coords[name]
    if not known.numeric or len(known) < 2:
        raise located(
            CoordinateError(
                f"`interp` needs two coordinates along {name!r} that are numbers.",
                "Give numbers, such as the days since the first date.",
            )
        )
    steps = np.diff(known.values.astype(float))
    if not (np.all(steps > 0) or np.all(steps < 0)):
        raise located(
            CoordinateError(f"`interp` needs the coordinates of {name!r} in strict order.")
        )
    layout = None
    if isinstance(value, NamedBase):
        layout, value = value._axes, value.array
    if not is_value(value):
        value = jnp.asarray(value)
    if layout is None:
        if value.ndim > 1:
            raise located(
                PositionalError(
                    f"`interp` got values along {name!r} of shape {value.shape} without names.",
                    "Name their axes.",
                )
            )
        layout = axes((name,) if value.ndim else ())
    plain = coerce(value, known.value())
    at = jax.tree_util.tree_leaves(plain)[0]
    dtype = jnp.result_type(float)
    if jnp.issubdtype(a.dtype, jnp.inexact):
        dtype = jnp.finfo(a.dtype).dtype
    at = at.astype(dtype)
    flip = bool(steps[0] < 0)
    points = jnp.asarray(known.values[::-1] if flip else known.values, dtype)
    source = a.drop_coords(name)
    source = source.flip(name) if flip else source
    low = jnp.clip(jnp.searchsorted(points, at, side="right") - 1, 0, len(known) - 2)
    weight = (at - points[low]) / (points[low + 1] - points[low])
    # An end that was converted to other units may be beyond by rounding.
    slack = 8 * float(jnp.finfo(dtype).eps) * (1 + float(np.abs(known.values).max()))
    slack = slack / float(np.abs(steps).min())
    inside = (weight >= -slack) & (weight <= 1 + slack)
    weight = jnp.where(inside, jnp.clip(weight, 0, 1), jnp.nan)
    if method == "nearest":
        weight = jnp.where(
            weight > 0.5, jnp.ones_like(weight), jnp.where(weight <= 0.5, 0.0, jnp.nan)
        )
    before = source.isel({name: bare(low, layout)})
    after = source.isel({name: bare(low + 1, layout)})
    if not jnp.issubdtype(a.dtype, jnp.inexact):
        before, after = before.astype(dtype), after.astype(dtype)
    share = bare(weight, layout.plain)
    out = before * (1 - share) + after * share
    if layout.dims == (name,):
        try:
            new = coordinate(value, name)
        except CoordinateError:  # only known when the program runs
            return out
        return bare(out.array, out._axes.with_coord(name, new))
    return out


# -- writing --------------------------------------------------------------------------------------


class At:
    """`a.at`: index it to get an [`IndexedUpdate`][]."""

    __slots__ = ("_array",)

    def __init__(self, array: Any):
        self._array = array

    def __getitem__(self, index: Any) -> "IndexedUpdate":
        if isinstance(index, NamedBase) and np.dtype(index.dtype) == np.bool_:
            return MaskedUpdate(self._array, index)
        if not isinstance(index, Mapping):
            raise located(
                PositionalError(
                    f"A named array is indexed by name, and got {index!r}.",
                    "Write `a.at[{'x': 3}]`.",
                )
            )
        return IndexedUpdate(self._array, dict(index))


class IndexedUpdate:
    """`a.at[{"x": 1}]`: what to do there."""

    __slots__ = ("_array", "_index")

    def __init__(self, array: Any, index: dict[Any, Any]):
        self._array, self._index = array, index

    def _update(self, what: str, *values: Any, **kwargs: Any) -> Any:
        a = self._array
        places = _places(a, "at", self._index)
        if places.arrays:
            points = _pointwise(a, "at", places.arrays)
        else:
            points = Pointwise(axes(()), (), ())
        rest = [i for i in range(a.ndim) if i not in points.positions]
        order = (*points.positions, *rest)
        moved = permuted(a, order).array
        index = (
            *map(jnp.asarray, points.places),
            *(places.basic.get(i, slice(None)) for i in rest),
        )
        region_dims = list(points.layout.dims)
        region_shape = [max(x.shape[k] for x in points.places) for k in range(len(region_dims))]
        coords: dict[Any, Coordinate] = dict(points.layout.coords)
        for i in rest:
            place = places.basic.get(i, slice(None))
            if isinstance(place, slice):
                region_dims.append(a.dims[i])
                region_shape.append(len(range(*place.indices(a.shape[i]))))
                own = a._axes.coords.get(a.dims[i])
                if own is not None:
                    coords[a.dims[i]] = own.take(place)
        region = axes(tuple(region_dims), coords)
        given = [_fit(what, v, region, tuple(region_shape)) for v in values]
        out = getattr(moved.at[index], what)(*given, **kwargs)
        inverse = tuple(int(i) for i in np.argsort(order))
        out = out if inverse == tuple(range(a.ndim)) else apply(jnp.transpose, out, inverse)
        return bare(out, a._axes.plain)

    def set(self, values: Any, **kwargs: Any) -> Any:
        return self._update("set", values, **kwargs)

    def add(self, values: Any, **kwargs: Any) -> Any:
        return self._update("add", values, **kwargs)

    def subtract(self, values: Any, **kwargs: Any) -> Any:
        return self._update("subtract", values, **kwargs)

    def multiply(self, values: Any, **kwargs: Any) -> Any:
        return self._update("multiply", values, **kwargs)

    mul = multiply

    def divide(self, values: Any, **kwargs: Any) -> Any:
        return self._update("divide", values, **kwargs)

    def power(self, values: Any, **kwargs: Any) -> Any:
        return self._update("power", values, **kwargs)

    def min(self, values: Any, **kwargs: Any) -> Any:
        return self._update("min", values, **kwargs)

    def max(self, values: Any, **kwargs: Any) -> Any:
        return self._update("max", values, **kwargs)

    def apply(self, function: Callable[..., Any], **kwargs: Any) -> Any:
        """`function` of the elements there, which must be elementwise."""
        return self.set(function(self.get()), **kwargs)

    def get(self) -> Any:
        return isel(self._array, "at", self._index)


class MaskedUpdate(IndexedUpdate):
    """`a.at[mask]`: what to do where a mask holds, which is aligned by name."""

    __slots__ = ("_mask",)

    def __init__(self, array: Any, mask: NamedBase):
        super().__init__(array, {})
        self._mask = mask

    def _update(self, what: str, *values: Any, **kwargs: Any) -> Any:
        a = self._array
        _fit("mask", self._mask, a._axes, a.shape)  # says so if it has other names or sizes
        changed = super()._update(what, *values, **kwargs)
        out = where(self._mask, changed, a).transpose(*a.dims)
        return bare(out.array, a._axes.plain)

    def get(self) -> Any:
        return self._array[self._mask]


def _fit(what: str, value: Any, region: Axes, shape: tuple[int, ...]) -> Any:
    """What is written, with the axes of the places it is written to."""
    if isinstance(value, (bool, int, float, complex)):
        return value
    v = as_named(value, f"at[...].{what}")
    for name in v.dims:
        if name is None or name not in region.place:
            raise located(
                AxisError(
                    f"`at[...].{what}` got values with the dims {show_dims(v.dims)} for places "
                    f"with {show_dims(region.dims)}.",
                    "Values have no other names than the places they are written to.",
                )
            )
        size = shape[region.place[name]]
        if v.sizes[name] != size:
            raise located(sizes_differ(f"at[...].{what}", name, [size, v.sizes[name]]))
    if not v.dims:
        return v.array
    plan = alignment(f"at[...].{what}", (region, v._axes))
    return plan.steps[1](v.array)
