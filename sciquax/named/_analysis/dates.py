"""Months, days, seasons and other parts of dates, as pandas defines them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sciquax.core import user_line

from .._array.axes import Attributes, axes
from .._array.base import bare
from .._array.coordinates import Coordinate, meet
from .._array.errors import AxisError, CoordinateError, show_dims
from .._labels.lookup import pandas

_SEASONS = np.array(["DJF", "MAM", "JJA", "SON"])
_FIELDS = (
    "year month day hour minute second microsecond nanosecond quarter dayofyear day_of_year "
    "dayofweek day_of_week weekday days_in_month daysinmonth is_month_start is_month_end "
    "is_quarter_start is_quarter_end is_year_start is_year_end is_leap_year"
).split()
_NEW_NAMES = {
    "dayofyear": "day_of_year", "dayofweek": "day_of_week", "weekday": "day_of_week",
    "daysinmonth": "days_in_month",
}  # fmt: skip
FIELDS = (*_FIELDS, "season", "week", "weekofyear", "date")


def date_field(values: np.ndarray, field: str) -> np.ndarray:
    """A part of dates, such as "month" or "season". **Raises** for an unknown part."""
    calendar = Coordinate(values).calendar if values.dtype.hasobject else None
    if field not in FIELDS or values.dtype.kind != "M" and calendar is None:
        raise AxisError(
            f"`dt` got {field!r} for coordinates of {values.dtype}.",
            f"Dates have {', '.join(FIELDS)}.",
        ).at(user_line())
    if calendar is not None:
        return _of_calendar(values, field, calendar)
    index = pandas().DatetimeIndex(values.ravel())
    if field == "season":
        missing = np.isnat(values.ravel())
        months = np.where(missing, 1, np.asarray(index.month)).astype(int)
        out = np.where(missing, "nan", _SEASONS[months // 3 % 4])
    elif field in ("week", "weekofyear"):
        out = np.asarray(index.isocalendar().week).astype(np.int64)
    elif field == "date":
        out = np.asarray(index.normalize()).astype("datetime64[D]")
    else:
        out = np.asarray(getattr(index, _NEW_NAMES.get(field, field)))
    return out.reshape(values.shape)


def _of_calendar(values: np.ndarray, field: str, calendar: str) -> np.ndarray:
    """A part of cftime's dates."""
    if field == "season":
        months = np.array([x.month for x in values.flat])
        return _SEASONS[months // 3 % 4].reshape(values.shape)
    name = {"day_of_year": "dayofyr", "day_of_week": "dayofwk", "days_in_month": "daysinmonth"}.get(
        _NEW_NAMES.get(field, field), field
    )
    if not hasattr(values.flat[0], name):
        raise AxisError(f"`dt` has no {field!r} for dates of the calendar {calendar!r}.").at(
            user_line()
        )
    return np.array([getattr(x, name) for x in values.flat]).reshape(values.shape)


_SPANS = ("days", "seconds", "microseconds", "nanoseconds")


def _of_span(values: np.ndarray, field: str) -> np.ndarray:
    """A part of spans of time, as pandas names it: the whole days, the seconds beyond these."""
    if field not in _SPANS:
        raise AxisError(
            f"`dt` got {field!r} for spans of time.",
            f"They have {', '.join(_SPANS)} and total_seconds().",
        ).at(user_line())
    index = pandas().TimedeltaIndex(values.ravel())
    return np.asarray(getattr(index, field)).reshape(values.shape)


class Dates:
    """`a.coord("time").dt`: parts of dates as named arrays on the host.

    `year month day hour minute second dayofyear dayofweek quarter season week` and so on, `floor`,
    `ceil` and `round` to a frequency, and `strftime`. Of spans of time `days`, `seconds`,
    `microseconds`, `nanoseconds` and `total_seconds()`.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray
    >>> a = NamedArray(jnp.arange(2.0), ("t",), coords={"t": ["2001-01-31", "2001-07-01"]})
    >>> a = a.assign_coords(t=a.coord("t").astype("datetime64[s]"))
    >>> a.coord("t").dt.season.array.tolist()
    ['DJF', 'JJA']

    ```
    """

    def __init__(self, a: Any):
        values = a.array
        known = isinstance(values, np.ndarray) and values.dtype.kind in "mMO"
        if not known or values.dtype.hasobject and Coordinate(values).calendar is None:
            raise CoordinateError(
                f"`.dt` needs dates, and got {a.dtype}.", "Write `a.coord('time').dt.month`."
            ).at(user_line())
        self._array = a

    def __getattr__(self, field: str) -> Any:
        if field.startswith("__"):
            raise AttributeError(field)
        known, values = self._array._axes, self._array.array
        if values.dtype.kind == "m":
            values = _of_span(values, field)
        else:
            values = date_field(values, field)
        # Named as in xarray: groups by it have its name.
        called = axes(known.dims, known.coords, Attributes(field, {}), known.beside)
        return bare(np.asarray(values), called)

    def __dir__(self) -> list[str]:
        if self._array.array.dtype.kind == "m":
            return [*_SPANS, "total_seconds"]
        return [*FIELDS, "floor", "ceil", "round", "strftime"]

    def _made(self, values: Any) -> Any:
        return bare(np.asarray(values), self._array._axes.plain)

    def total_seconds(self) -> Any:
        """Spans of time in seconds, in double precision on the host."""
        values = self._array.array
        if values.dtype.kind != "m":
            raise AxisError(f"`total_seconds` needs spans of time, and got {values.dtype}.").at(
                user_line()
            )
        return self._made(values / np.timedelta64(1, "s"))

    def _indexed(self, method: str, *args: Any) -> Any:
        index = pandas().DatetimeIndex(self._array.array.ravel())
        out = np.asarray(getattr(index, method)(*args))
        return self._made(out.astype(str) if out.dtype == object else out)

    def floor(self, freq: str) -> Any:
        """The beginning of the day ("D"), hour ("h") and so on."""
        return self._indexed("floor", freq)

    def ceil(self, freq: str) -> Any:
        """The end of the day, hour and so on."""
        return self._indexed("ceil", freq)

    def round(self, freq: str) -> Any:
        """The nearest day, hour and so on."""
        return self._indexed("round", freq)

    def strftime(self, format: str) -> Any:
        """Format dates as text."""
        return self._indexed("strftime", format)


def _beside_for(a: Any, name: str, field: str) -> tuple[str, np.ndarray, Coordinate | None, str]:
    """As `labels_for`, by a second coordinate along one of the axes."""
    dims, known = a._axes.beside[name]
    if len(dims) != 1:
        raise AxisError(
            f"`groupby` got {name!r}, a coordinate with the dims {show_dims(dims)}.",
            "Groups run along one axis: `flatten` those of the array first.",
        ).at(user_line())
    if field:
        return dims[0], date_field(known.values, field), None, field
    return dims[0], known.values, known, name


def labels_for(a: Any, group: Any) -> tuple[str, np.ndarray, Coordinate | None, str]:
    """The key of groups: the name along which they run, a label for each place, and their own name.

    **Arguments**: the array; a name, a part of its dates ("time.month"), or a known named array
    along one of its names.

    **Returns** the name, the labels, the coordinate whose unit they are in, and the groups' name.
    """
    if isinstance(group, Mapping):
        raise AxisError("`groupby` takes one name or array.").at(user_line())
    if isinstance(group, str):
        name, dot, field = group.partition(".")
        if name not in a._axes.place and group in a._axes.place:
            name, dot = group, ""
        if name in a._axes.beside or group in a._axes.beside:
            return _beside_for(a, *((name, field) if name in a._axes.beside else (group, "")))
        i = a._axes.position("groupby", name, a)
        a.coord(name)
        known = a._axes.coords[a.dims[i]]
        if dot:
            return name, date_field(known.values, field), None, field
        return name, known.values, known, name
    from_array = getattr(group, "_axes", None)
    if from_array is None or group.ndim != 1 or group.dims[0] is None:
        raise AxisError(
            "`groupby` takes a name, a part of dates such as 'time.month', or a named array with "
            "one name.",
            "Write `a.groupby('x')`.",
        ).at(user_line())
    name = group.dims[0]
    made = bare(group.array, axes((name,)))
    labels = a.assign_coords({name: made})._axes.coords[name]  # checks the size
    meet("groupby", a._axes.coords, group._axes.coords)
    return name, labels.values, labels, group.name or "group"
