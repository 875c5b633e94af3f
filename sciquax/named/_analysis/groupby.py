"""Groups by labels, by bins and by periods of time."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sciquax.core import user_line

from .._array.base import bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, CoordinateError
from .._by_name.concatenation import concatenate, stack
from .._labels.lookup import index_of, labels_among, pandas
from .dates import labels_for
from .group_arithmetic import GroupArithmetic, without_groups
from .groups import Partition, reduced
from .several_keys import GroupByKeys, factorised


class GroupBy(GroupArithmetic):
    """`a.groupby("time.month")`: groups of places, to reduce, map or compare with.

    Reductions have the groups' name in place of the name that they run along; nans are left out as
    in xarray, unless `skipna=False`. Over other names alone there are no groups, as in xarray.
    `a.groupby("time.month") - climatology` takes from each element that of its group. Groups are
    known when a program is traced.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray
    >>> a = NamedArray(jnp.array([1.0, 2.0, 6.0]), ("x",), coords={"x": [0, 1, 0]})
    >>> a.groupby("x").mean()
    NamedArray(f32[x=2])
    [3.5 2. ]
    x: 0 to 1

    ```
    """

    def __init__(self, a: Any, parts: Partition):
        self._array, self._parts = a, parts

    def _reduced(self, kind: str, names: Any, skipna: bool | None, **options: Any) -> Any:
        a, parts = self._array, self._parts
        out = without_groups(a, [parts.name], kind, names, skipna, options)
        if out is not NotImplemented:
            return out
        return reduced(a, parts, kind, names, skipna, **options)

    @property
    def groups(self) -> dict[Any, np.ndarray]:
        """The places of each group, by its label."""
        labels = self._parts.labels.values.tolist()
        return dict(zip(labels, self._parts.members(), strict=True))

    def __len__(self) -> int:
        return len(self._parts.labels)

    def __iter__(self) -> Any:
        for label, places in self.groups.items():
            yield label, self._array.isel({self._parts.name: places})

    def __getitem__(self, label: Any) -> Any:
        """The elements of one group."""
        known = labels_among(self._parts.labels, self._parts.into, label, "groupby").values
        found = np.flatnonzero(self._parts.labels.values == known)
        if len(found) != 1:
            raise CoordinateError(f"There is no group {label!r}.").at(user_line())
        return self._array.isel({self._parts.name: self._parts.members()[int(found[0])]})

    def map(
        self, function: Callable[..., Any], *more: Any, args: tuple[Any, ...] = (), **kwargs: Any
    ) -> Any:
        """Apply `function` to each group's elements, and to the other arguments.

        Results that keep the name are put back in order; those that lack it are put side by side
        along the groups' name.
        """
        parts, a = self._parts, self._array
        members = [m for m in parts.members() if len(m)]
        outs = [function(a.isel({parts.name: m}), *more, *args, **kwargs) for m in members]
        if not outs:
            raise AxisError("`map` of no groups.").at(user_line())
        if all(parts.name in out._axes.place for out in outs):
            made = concatenate(outs, parts.name)
            order = np.concatenate(members)
            if made.sizes[parts.name] == len(order):
                made = made.isel({parts.name: np.argsort(order)})
            return made
        made = stack(outs, parts.into)
        kept = np.array([len(m) > 0 for m in parts.members()])
        layout = made._axes.with_coord(parts.into, parts.labels.take(kept))
        made = bare(made.array, layout)
        order = [parts.into if d == parts.name else d for d in a.dims]
        return made.transpose(*[d for d in order if d in made.dims], ...)

    def reduce(self, function: Callable[..., Any]) -> Any:
        """`function(elements, name)` of each group: side by side along the groups' name."""
        return self.map(lambda group: function(group, self._parts.name))

    def cumsum(self, names: Any = None, *, skipna: bool = True) -> Any:
        """Cumulative sums within each group; nans count as nothing, as in xarray."""
        return self._along("cumsum", names, skipna=skipna)

    def cumprod(self, names: Any = None, *, skipna: bool = True) -> Any:
        """Cumulative products within each group."""
        return self._along("cumprod", names, skipna=skipna)

    def shift(self, by: Any = None, *, fill_value: Any = None, **more: int) -> Any:
        """Shift elements within each group: `shift(1)`, `shift(time=1)`."""
        if by is None and not more:
            by = 1
        given = {self._parts.name: by} if isinstance(by, (int, np.integer)) else by
        self._whole()
        return self.map(lambda group: group.shift(given, fill_value=fill_value, **more))

    def ffill(self, name: Any = None, limit: int | None = None) -> Any:
        """Replace nans by the last element before them in the group."""
        self._whole()
        return self.map(lambda group: group.ffill(name or self._parts.name, limit))

    def bfill(self, name: Any = None, limit: int | None = None) -> Any:
        """Replace nans by the next element in the group."""
        self._whole()
        return self.map(lambda group: group.bfill(name or self._parts.name, limit))

    def assign_coords(self, coords: Any = None, /, **more: Any) -> Any:
        """Return the array with these coordinates."""
        return self._array.assign_coords(coords, **more)

    def _along(self, op: str, names: Any, **options: Any) -> Any:
        name = self._parts.name if names is None else names
        self._whole()
        return self.map(lambda group: getattr(group, op)(name, **options))

    def _whole(self) -> None:
        """**Raises** `CoordinateError` where a place is in no group."""
        if (self._parts.codes < 0).any():
            raise CoordinateError(
                f"Some places along {self._parts.name!r} are in no group.", "Leave them out first."
            ).at(user_line())

    def _keys_of_places(self) -> list[tuple[str, np.ndarray, Coordinate, str]]:
        parts = self._parts
        return [(parts.name, parts.codes, parts.labels, parts.into)]


class Resample(GroupBy):
    """`a.resample(time="1MS")`: groups of periods, those without elements included.

    Beside reductions, values at the periods' beginnings: `ffill`, `bfill`, `nearest`, `asfreq` and
    `interpolate`.
    """

    def _at(self, method: str | None) -> Any:
        parts = self._parts
        return self._array.reindex({parts.name: parts.labels.value()}, method=method)

    def ffill(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The last value before each label."""
        return self._at("pad")

    pad = ffill

    def bfill(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The next value after each label."""
        return self._at("backfill")

    backfill = bfill

    def nearest(self) -> Any:
        """The value nearest to each label."""
        return self._at("nearest")

    def asfreq(self) -> Any:
        """The value at each label; nan where there is no value."""
        return self._at(None)

    def interpolate(self, kind: str = "linear") -> Any:
        """Interpolate the values at each label."""
        return self._array.interp({self._parts.name: self._parts.labels.value()}, method=kind)


def grouped(a: Any, group: Any, bins: Any, options: dict[str, Any]) -> Any:
    """Implement `NamedArray.groupby`."""
    if isinstance(group, (list, tuple)):
        if len(group) > 1 and bins is None and not options:
            return GroupByKeys(a, group)
        if len(group) != 1:
            raise AxisError(
                "`groupby` by several keys takes no bins and no options.", "Give names alone."
            ).at(user_line())
        (group,) = group
    into = options.pop("into", None)
    name, values, known, own = labels_for(a, group)
    axis = a._axes.place[name]
    if bins is not None:
        codes, labels = _binned(known, name, values, bins, options)
        return GroupBy(a, Partition(name, axis, codes, labels, into or f"{own}_bins"))
    if options:
        raise AxisError(f"`groupby` got {sorted(options)} without bins.").at(user_line())
    codes, labels = factorised(values, None if known is None else known.tree)
    return GroupBy(a, Partition(name, axis, codes, labels, _free(a, name, into or own)))


def _free(a: Any, name: str, into: str) -> str:
    if into != name and into in a._axes.place:
        raise AxisError(
            f"`groupby` would give the groups the name {into!r}, which the array has.",
            "Give another: `into='group'`.",
        ).at(user_line())
    return into


def _binned(
    known: Coordinate | None, name: str, values: np.ndarray, bins: Any, options: dict[str, Any]
) -> tuple[np.ndarray, Coordinate]:
    """Codes and labels of bins: the labels given, else pandas' intervals."""
    edges = bins
    if not isinstance(bins, (int, np.integer)) and known is not None:
        edges = labels_among(known, name, bins, "groupby").values
    names = options.pop("labels", None)
    right = options.pop("right", True)
    lowest = options.pop("include_lowest", False)
    if options:
        raise AxisError(f"`groupby` got {sorted(options)}.").at(user_line())
    cut = pandas().cut(values, edges, right=right, include_lowest=lowest, labels=names)
    found = np.asarray(cut.categories)
    if found.dtype == object and names is None:
        made = np.empty(len(found), object)
        made[:] = list(cut.categories)
        found = made
    return np.asarray(cut.codes), Coordinate(found)


def resampled(a: Any, pairs: dict[Any, Any], options: dict[str, Any]) -> Resample:
    """Implement `NamedArray.resample`."""
    if len(pairs) != 1:
        raise AxisError("`resample` takes one name and a period: `resample(time='1MS')`.").at(
            user_line()
        )
    ((axis, freq),) = pairs.items()
    i = a._axes.position("resample", axis, a)
    name = a.dims[i]
    a.coord(name)
    known = a._axes.coords[name]
    if (
        not (known.dated or known.calendar is not None)
        or not index_of(known).is_monotonic_increasing
    ):
        raise CoordinateError(
            f"`resample` needs dates in ascending order along {name!r}.", "Sort first: `sortby`."
        ).at(user_line())
    counts, periods = _periods(known, freq, options)
    codes = np.repeat(np.arange(len(counts)), counts)
    return Resample(a, Partition(name, i, codes, Coordinate(periods), name))


def _periods(known: Coordinate, freq: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """How many dates each period has, and the periods' labels."""
    if known.calendar is not None:  # as xarray has them, whose index of them is there already
        from xarray import DataArray

        ones = DataArray(np.ones(len(known)), dims="date", coords={"date": known.values})
        counted = ones.resample(date=freq, **options).sum()
        return np.nan_to_num(counted.values).astype(int), counted["date"].values
    index = pandas().DatetimeIndex(known.values)
    counts = pandas().Series(1, index=index).resample(freq, **options).count()
    return np.asarray(counts), np.asarray(counts.index).astype(np.asarray(index).dtype)
