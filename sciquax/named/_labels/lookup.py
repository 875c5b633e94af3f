"""Labels among coordinates: which places they stand for, found by pandas' indexes on the host."""

from typing import Any, NamedTuple

import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import taken_apart

from .._array.axes import Axes
from .._array.base import NamedBase, bare
from .._array.coordinates import ROUNDING, Coordinate, exact
from .._array.errors import AxisError, CoordinateError
from .._array.known_labels import labels_of

METHODS = {
    None: None, "exact": None, "nearest": "nearest", "pad": "pad", "ffill": "pad",
    "backfill": "backfill", "bfill": "backfill",
}  # fmt: skip


def pandas() -> Any:
    """pandas, which only who looks labels up needs. **Raises** ImportError if it is not there."""
    try:
        import pandas

        return pandas
    except ImportError as error:
        raise ImportError(
            "Labels are looked up by pandas' indexes, and pandas is not installed. "
            "Install it with `pip install 'sciquax[coordinates]'`."
        ) from error


def index_of(known: Coordinate) -> Any:
    """The `pandas.Index` of coordinates, made once."""
    found = known.found.get("index")
    if found is None:
        values = known.values
        if values.dtype.kind == "f":
            values = values.astype(np.float64)
        found = known.found["index"] = (
            pandas().Index(values) if known.calendar is None else _index_of_calendar(values)
        )
    return found


def _index_of_calendar(values: np.ndarray) -> Any:
    """xarray's index of dates of other calendars. **Raises** ImportError if it is not there."""
    try:
        from xarray import CFTimeIndex
    except ImportError as error:
        raise ImportError(
            "Dates of cftime are looked up by xarray's index, and xarray is not installed. "
            "Install it with `pip install 'sciquax[xarray]'`."
        ) from error
    return CFTimeIndex(values)


class Labels(NamedTuple):
    """Labels in the unit of the coordinates that they are looked up among.

    **Attributes**: the NumPy array; the axes of the named array that it came in; and how far from
    a coordinate they may be, relative to the number: they were converted, or in single precision.
    """

    values: np.ndarray
    layout: Axes | None
    rounding: float


def labels_among(known: Coordinate, name: str, value: Any, op: str = "sel") -> Labels:
    """Labels in the unit of coordinates; plain numbers are in it already.

    **Raises** `CoordinateError` for those that are only known when the program runs.
    """
    layout = None
    if isinstance(value, NamedBase) or is_value(value):
        value = value.canonical()
    if isinstance(value, NamedBase):
        layout, value = value._axes, value.array
    leaf, tree = labels_of(value)
    if leaf is None:
        raise CoordinateError(
            f"`{op}` got a value along {name!r} that is only known when the program runs.",
            "Use `interp`, which takes such values.",
        ).at(user_line())
    if leaf.dtype == np.dtype("datetime64"):  # without a unit, as `np.datetime64("NaT")`
        leaf = leaf.astype("datetime64[ns]")
    if known.values.dtype.kind == "m" and leaf.dtype.kind in "UO":
        leaf = np.asarray(pandas().TimedeltaIndex(leaf.ravel())).reshape(leaf.shape)
    shape, rounding = leaf.shape, 0.0
    if tree is not None:
        given = Coordinate(leaf.ravel(), tree)
        leaf = given.converted(known).reshape(shape)
        rounding = 0.0 if given.like(known) else ROUNDING
    if known.numeric and leaf.dtype.kind == "f":
        if leaf.dtype.itemsize < 8 and known.values.dtype != leaf.dtype:
            rounding = 2 * float(np.finfo(np.float32).eps)
        if known.values.dtype.kind == "f" and known.values.dtype.itemsize < 8:
            # 0.1 among coordinates in single precision is the 0.1 of that precision.
            leaf = leaf.astype(known.values.dtype)
        leaf = leaf.astype(np.float64)
    return Labels(leaf if leaf.dtype.kind in "fb" else exact(leaf), layout, rounding)


def locate(known: Coordinate, name: str, value: Any, method: str | None, tolerance: Any) -> Any:
    """The places of labels: what `isel` takes."""
    if method not in METHODS:
        raise AxisError(
            f"`sel` got method={method!r}.", "It is 'exact', 'nearest', 'pad' or 'backfill'."
        ).at(user_line())
    method = METHODS[method]
    if isinstance(value, slice):
        return _between(known, name, value)
    if known.values.dtype.kind != "b" and is_mask(value):
        return value
    labels = labels_among(known, name, value)
    wanted = labels.values
    if wanted.ndim == 0 and method is None:
        return _exactly(known, name, wanted[()], labels.rounding, labels.layout)
    if known.dated and wanted.dtype.kind in "UO":
        wanted = np.asarray(pandas().DatetimeIndex(wanted.ravel())).reshape(wanted.shape)
    flat = wanted.ravel()
    if flat.size and not comparable(known, flat):
        raise absent(known, name, flat[0])
    places = _all(known, name, flat, method, labels.rounding)
    if method is not None and tolerance is not None:
        places = np.where(_within(known, name, flat, places, tolerance), places, -1)
    missing = np.flatnonzero(places < 0)
    if missing.size:
        raise absent(known, name, flat[missing[0]])
    places = places.reshape(wanted.shape)
    if labels.layout is not None:
        layout = labels.layout  # its own labels along the name are those that were looked up
        return bare(places, layout.with_coord(name, None) if name in layout.coords else layout)
    return int(places) if places.ndim == 0 else places


def is_mask(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    if dtype is None and isinstance(value, (list, tuple)):
        return len(value) > 0 and all(isinstance(x, (bool, np.bool_)) for x in value)
    return dtype == np.bool_ and getattr(value, "ndim", 0) > 0


def comparable(known: Coordinate, labels: np.ndarray) -> bool:
    """Whether labels are of the coordinates' kind: numbers, dates, spans of time, strings."""
    kinds = known.values.dtype.kind + labels.dtype.kind
    families = ("iuf", "M", "m", "b", "c", "US")
    return "O" in kinds or any(set(kinds) <= set(family) for family in families)


def absent(known: Coordinate, name: str, wanted: Any, count: str = "not") -> CoordinateError:
    near = ""
    values = known.values
    if known.numeric and len(values) and count == "not" and np.dtype(type(wanted)).kind in "iuf":
        distance = np.abs(values.astype(np.float64) - wanted)
        if not np.isnan(distance).all():
            near = f" The nearest is {values[np.nanargmin(distance)]}."
    return CoordinateError(
        f"`sel` got {known.shown(wanted)} along {name!r}, which is {count} among its "
        f"{len(values)} coordinates.{near}",
        "Use method='nearest', a slice, or `isel`.",
    ).at(user_line())


def _exactly(
    known: Coordinate, name: str, wanted: Any, rounding: float, layout: Axes | None
) -> Any:
    """A place; or all the places of a label that is there more than once, or of a period."""
    if isinstance(wanted, (bool, np.bool_)) and known.values.dtype.kind != "b":
        raise absent(known, name, wanted)
    if rounding:
        place = _near(known, name, np.asarray([wanted]), rounding)[0]
        if place < 0:
            raise absent(known, name, wanted)
        return int(place)
    if not comparable(known, np.asarray(wanted)) and not (known.dated and isinstance(wanted, str)):
        raise absent(known, name, wanted)
    index = index_of(known)
    try:
        found = index.get_loc(str(wanted) if isinstance(wanted, np.str_) else wanted)
    except (KeyError, TypeError, ValueError):
        raise absent(known, name, wanted) from None
    if isinstance(found, np.ndarray):
        found = np.flatnonzero(found) if found.dtype == bool else found
        if found.size == 0:
            raise absent(known, name, wanted)
        return found
    return found if isinstance(found, slice) else int(found)


def _all(
    known: Coordinate, name: str, wanted: np.ndarray, method: str | None, rounding: float
) -> np.ndarray:
    """A place for each label, -1 where there is none."""
    if method is not None:
        return _by_method(known, wanted, method)
    index = index_of(known)
    if not index.is_unique:
        places = np.empty(wanted.shape, int)
        for i, label in enumerate(wanted):
            found = np.flatnonzero(known.values == label)
            if len(found) > 1:
                raise absent(known, name, label, "more than once")
            places[i] = found[0] if len(found) else -1
        return places
    if rounding:
        return _near(known, name, wanted, rounding)
    return np.asarray(index.get_indexer(pandas().Index(wanted)))


def _by_method(known: Coordinate, wanted: np.ndarray, method: str) -> np.ndarray:
    """By pandas, along the coordinates in order, each the first of those that are equal."""
    index, order = index_of(known), None
    if not (index.is_unique and (index.is_monotonic_increasing or index.is_monotonic_decreasing)):
        values = np.asarray(index)
        _, order = np.unique(values, return_index=True)
        order = order[~pandas().isna(values[order])]
        index = index[order]
    if not len(index):
        return np.full(wanted.shape, -1)
    found = np.asarray(index.get_indexer(pandas().Index(wanted), method=method))
    found = np.where(pandas().isna(wanted), -1, found)
    return found if order is None else np.where(found < 0, -1, order[found])


def _near(known: Coordinate, name: str, wanted: np.ndarray, rounding: float) -> np.ndarray:
    """Where one coordinate alone is a label up to rounding, else -1."""
    values = known.values.astype(np.float64)
    places = _by_method(known, wanted, "nearest")
    slack = rounding * np.abs(wanted)
    close = (places >= 0) & (np.abs(values[places] - wanted) <= slack)
    order = np.sort(values)
    low = np.searchsorted(order, wanted - slack, "left")
    high = np.searchsorted(order, wanted + slack, "right")
    several = close & (high - low > 1)
    if several.any():
        raise CoordinateError(
            f"`sel` got {wanted[several][0]} along {name!r} in single precision, which does not "
            "tell its coordinates apart.",
            "Give a Python number or an array of NumPy's in double precision.",
        ).at(user_line())
    return np.where(close, places, -1)


def _within(
    known: Coordinate, name: str, wanted: np.ndarray, places: np.ndarray, tolerance: Any
) -> np.ndarray:
    values = known.values[places]
    if values.dtype.kind in "mM":
        distance = np.abs(values - wanted)
        return np.asarray(distance <= pandas().Timedelta(tolerance).to_timedelta64())
    bound = labels_among(difference_of(known), name, tolerance).values
    return np.abs(values.astype(np.float64) - wanted) <= bound


def difference_of(known: Coordinate) -> Coordinate:
    """An example of the difference of two coordinates: of one in Celsius a difference of those."""
    if known.tree is None:
        return known
    example = known.of(np.float64(1.0))
    return Coordinate(np.zeros(0), taken_apart(example - example)[1])


def _between(known: Coordinate, name: str, value: slice) -> slice | np.ndarray:
    """The places from one label to another, both included, in the order of storage."""
    index = index_of(known)
    start, stop = (_end(known, name, x) for x in (value.start, value.stop))
    ascending = bool(index.is_monotonic_increasing)
    descending = bool(index.is_monotonic_decreasing) and not ascending
    both = start is not None and stop is not None
    try:
        if both and (ascending or descending) and _greater(known, start, stop):
            if ascending and len(index) > 1:
                raise CoordinateError(
                    f"`sel` got the slice {start} to {stop} along {name!r}, which ascends."
                ).at(user_line())
            start, stop = stop, start
        elif not both and descending:
            start, stop = stop, start  # `slice(60, None)` goes on in the direction of storage
        if descending:
            index = index[::-1]
        found = index.slice_indexer(start, stop)
    except (KeyError, TypeError):
        raise CoordinateError(
            f"`sel` got a slice along {name!r}, whose coordinates are in no order.",
            "Sort first, or select by a mask.",
        ).at(user_line()) from None
    first, last, _ = found.indices(len(index))
    if descending:
        first, last = len(index) - last, len(index) - first
    if value.step is None:
        return slice(first, max(first, last))
    return slice(first, max(first, last), int(value.step)) if value.step > 0 else np.arange(
        max(first, last) - 1, first - 1, int(value.step)
    )  # fmt: skip


def _end(known: Coordinate, name: str, value: Any) -> Any:
    if value is None:
        return None
    labels = labels_among(known, name, value)
    end = labels.values[()]
    if labels.values.ndim:
        raise AxisError(f"`sel` got a slice of arrays along {name!r}.").at(user_line())
    if isinstance(end, np.str_):
        return str(end)
    if labels.rounding:
        near = int(_near(known, name, labels.values.reshape(1), labels.rounding)[0])
        end = known.values[near] if near >= 0 else end
    return end


def _greater(known: Coordinate, start: Any, stop: Any) -> bool:
    if known.dated:
        return bool(pandas().Timestamp(start) > pandas().Timestamp(stop))
    if known.values.dtype.kind == "m":
        return bool(pandas().Timedelta(start) > pandas().Timedelta(stop))
    return bool(start > stop)
