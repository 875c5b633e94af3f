"""The methods along coordinates: interpolation, derivatives, integrals, windows."""

from collections.abc import Mapping
from typing import Any, TypeVar

from .._array.base import NamedBase, as_named
from .._by_name.shapes import _pairs
from .calculus import cumulative_integrate, differentiate, integrate
from .coarsening import Coarsen
from .dates import Dates
from .groupby import GroupBy, Resample, grouped, resampled
from .interpolation import Options, interpolated
from .rolling import Rolling, pairs_of_windows
from .statistics import polyfit, rank
from .weighting import Weighted

X = TypeVar("X", bound="AlongCoordinates")


class AlongCoordinates(NamedBase):
    """Methods of [`sciquax.named.NamedArray`][] along coordinates."""

    def interp(
        self: X, values: Mapping[Any, Any] | None = None, /, method: str = "linear",
        fill_value: Any = None, period: Any = None, kwargs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> X:  # fmt: skip
        """Interpolate at values of coordinates along names.

        **Arguments**: for each name a number or date, whose axis goes; a list or array, along which
        the name stays with the new coordinates; or a named array. `method` is "linear", "nearest",
        "quadratic" or "cubic", a spline. Beyond the coordinates the result is nan, `fill_value` if
        that is given, or with "extrapolate" goes on as within. `period` is that of the coordinate,
        360 for longitudes. `kwargs` is what xarray takes `fill_value` in.

        **Raises** `CoordinateError` where coordinates are not numbers in strict order.
        """
        out, options = self, Options.of(method, fill_value, period, kwargs)
        for axis, value in _pairs("interp", values, more).items():
            out = interpolated(out, axis, value, options)
        return out

    def interp_like(self: X, other: Any, method: str = "linear", **options: Any) -> X:
        """Interpolate at the coordinates that another array has along names of this one."""
        other = as_named(other, "interp_like")
        shared = {n: other.coord(n) for n in other._axes.coords if n in self._axes.coords}
        return self.interp(shared, method, **options)

    def differentiate(
        self: X, name: Any, edge_order: int = 1, datetime_unit: str | None = None
    ) -> X:
        """Differentiate by the coordinate along a name, to second order, in units per unit.

        As `numpy.gradient`: central differences, one-sided at the ends, there of `edge_order`.
        A quantity by dates is per second or `datetime_unit`; numbers are per unit of the dates'
        dtype, as in xarray.
        """
        return differentiate(self, name, edge_order, datetime_unit)

    def integrate(self: X, names: Any, datetime_unit: str | None = None) -> X:
        """Integrate over the coordinates along one or more names, by the trapezoidal rule.

        Dates count as in `differentiate`.
        """
        return integrate(self, names, datetime_unit)

    def cumulative_integrate(self: X, name: Any, datetime_unit: str | None = None) -> X:
        """Integrate up to each place, from zero at the first one; otherwise as `integrate`."""
        return cumulative_integrate(self, name, datetime_unit)

    def polyfit(
        self, name: Any, deg: int, into: Any = "degree", *, skipna: bool = False,
        datetime_unit: str = "ns",
    ) -> Any:  # fmt: skip
        """Fit a polynomial and return its coefficients: see [`sciquax.named.polyfit`][]."""
        return polyfit(self, name, deg, into, skipna=skipna, datetime_unit=datetime_unit)

    def rank(self: X, name: Any, pct: bool = False) -> X:
        """Rank the elements along a name, from 1; equal elements get the mean of their ranks.

        Nans have none, and stay. With `pct`, as a share of the elements that are no nan.
        """
        return rank(self, name, pct)

    def groupby(self, group: Any, bins: Any = None, **options: Any) -> Any:
        """Group places: `groupby("time.month")`, `groupby("x", bins=[0, 1, 5])`.

        **Arguments**: a name, whose coordinates are the labels; a part of its dates; or a known
        named array along one name. `bins` are edges, in the coordinate's unit if plain, or their
        number, with the options `labels`, `right` and `include_lowest` of `pandas.cut`. `into`
        names the groups' axis: by default the name, the part of dates, or the name with `_bins`.

        A list of keys, `groupby(["place", "time.month"])`, gives a group for each combination,
        whose reductions have an axis for each key.

        **Returns** a [`sciquax.named.GroupBy`][], whose reductions run over each group.
        """
        return grouped(self, group, bins, options)

    def groupby_bins(self, group: Any, bins: Any, **options: Any) -> GroupBy:
        """Group places by bins: `groupby` with `bins`, under xarray's name."""
        return grouped(self, group, bins, options)

    def resample(self, periods: Any = None, /, **more: Any) -> Resample:
        """Group dates by period: `resample(time="1MS")`, where pandas defines the periods.

        `closed`, `label`, `origin` and `offset` are pandas'.
        """
        keys = ("closed", "label", "origin", "offset")
        options = {k: more.pop(k) for k in keys if k in more}
        return resampled(self, _pairs("resample", periods, more), options)

    def coarsen(
        self, windows: Any = None, /, boundary: str = "exact", side: Any = "left",
        coord_func: Any = "mean", **more: int,
    ) -> Coarsen:  # fmt: skip
        """Divide names into blocks of places, for a reduction: see [`sciquax.named.Coarsen`][]."""
        return Coarsen(self, _pairs("coarsen", windows, more), boundary, side, coord_func)

    def weighted(self, weights: Any) -> Weighted:
        """Weight the elements for a reduction without nans: see [`sciquax.named.Weighted`][]."""
        return Weighted(self, weights)

    @property
    def dt(self) -> Dates:
        """Parts of dates, of `a.coord("time")`: see [`sciquax.named.Dates`][]."""
        return Dates(self)

    def rolling(self: X, windows: Any = None, /, **more: Any) -> Rolling[X]:
        """Move windows along names, for a reduction: see [`sciquax.named.Rolling`][]."""
        return Rolling(self, pairs_of_windows(windows, more))
