"""Coordinates that are no axis' own: single values, second ones along an axis, of several axes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import named, quaxify
from sciquax._files.static_parts import read, written
from sciquax.named import AxisError, CoordinateError, NamedArray
from sciquax.units import Quantity

xr = pytest.importorskip("xarray")

DAYS = np.array(["2000-01-15", "2000-02-14", "2000-03-15", "2000-04-14"], "datetime64[ns]")
COORDS = {
    "time": DAYS,
    "x": [10.0, 20.0, 40.0],
    "month": ("time", [1, 2, 2, 1]),
    "station": ("x", ["b", "a", "c"]),
    "lat": (("time", "x"), np.arange(12).reshape(4, 3) / 4),
    "run": 5,
}
DIMS = ("time", "x")
theirs = xr.DataArray(np.arange(12.0).reshape(4, 3) % 7, dims=DIMS, coords=COORDS)
ours = NamedArray(jnp.arange(12.0).reshape(4, 3) % 7, DIMS, COORDS)


def check(mine, other, without=()):
    """The same values and coordinates, but for those `without` which it is done."""
    other = other.drop_vars(without)
    mine = mine.assign_coords({n: None for n in without if n in mine.coords})
    made = mine.to_xarray().transpose(*other.dims)
    assert set(made.coords) == set(other.coords)
    np.testing.assert_allclose(made.values, other.values, rtol=1e-6)
    for name in other.coords:
        assert made.coords[name].dims == other.coords[name].dims, name
        expected = other.coords[name].values
        found = made.coords[name].values.astype(expected.dtype)
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=1e-12)
        else:
            np.testing.assert_array_equal(found, expected)


PROGRAMS = {
    "all": (lambda a: a, ()),
    "place": (lambda a: a.isel(time=0), ()),
    "places": (lambda a: a.isel(time=-1, x=[2, 0]), ()),
    "slices": (lambda a: a.isel(time=slice(1, 3), x=slice(None, None, -1)), ()),
    "label": (lambda a: a.sel(x=19.0, method="nearest"), ()),
    "period": (lambda a: a.sel(time="2000-02"), ()),
    "two places": (lambda a: a.isel(time=0) + a.isel(time=1), ()),
    "a place and all": (lambda a: a.isel(time=0) - a, ()),
    "arithmetic": (lambda a: -a * 2 + abs(a), ()),
    "reduced": (lambda a: a.mean("time"), ()),
    "groups": (lambda a: a.groupby("month").mean(), ()),
    "groups of strings": (lambda a: a.groupby("station").max(), ()),
    "anomalies": (lambda a: a.groupby("time.day") - a.groupby("time.day").mean(), ("run",)),
    "renamed": (lambda a: a.rename(x="u", month="m"), ()),
    "transposed": (lambda a: a.transpose("x", "time"), ()),
    "expanded": (lambda a: a.isel(x=1).expand_dims("x"), ()),
    "squeezed": (lambda a: a.isel(x=[1]).squeeze("x"), ()),
    "diff": (lambda a: a.diff("time"), ()),
    "diff lower": (lambda a: a.diff("time", label="lower"), ()),
    "roll": (lambda a: a.roll(time=1, roll_coords=True), ()),
    "shift": (lambda a: a.shift(x=1), ()),
    "sorted": (lambda a: a.sortby("x", ascending=False), ()),
    "where": (lambda a: a.where(a > 3, drop=True), ()),
    "rolling": (lambda a: a.rolling(time=2).mean(), ()),
    "cumsum": (lambda a: a.cumsum("time"), ()),
    "interp": (lambda a: a.interp(x=15.0), ()),
    "interp of several": (lambda a: a.interp(x=[30.0, 15.0, 50.0]), ()),
    "interp between dates": (lambda a: a.interp(time=DAYS[1:3] + np.timedelta64(5, "D")), ()),
    "interp by a spline": (lambda a: a.interp(x=[12.0, 33.0], method="quadratic"), ()),
    "derivative": (lambda a: a.differentiate("x"), ()),
    "reindexed": (lambda a: a.reindex(x=[10.0, 40.0]), ()),
    "missing": (lambda a: a.reindex(x=[10.0, 5.0]), ("lat", "station")),
    "coarse": (lambda a: a.coarsen(time=2).mean(), ("lat", "month")),
    "dropped": (lambda a: a.assign_coords(z=("x", [1, 2, 3])).drop_isel(x=[0]), ()),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_xarray(name):
    program, without = PROGRAMS[name]
    check(program(ours), program(theirs), without)


def test_group_by_group():
    groups = ours.groupby("month")
    expected = np.asarray(theirs.groupby("month").map(lambda g: g.shift(time=1)))
    np.testing.assert_array_equal(groups.shift(time=1).array, expected)
    np.testing.assert_array_equal(groups.shift(1).array, expected)
    gaps = groups.shift(time=1)
    np.testing.assert_array_equal(gaps.groupby("month").bfill().array[:2], expected[[3, 2]])
    np.testing.assert_array_equal(gaps.groupby("month").ffill().array, expected)
    scaled = groups.map(lambda g, by: g * by, args=(2.0,))
    np.testing.assert_array_equal(scaled.array, ours.array * 2)
    assert ours.groupby("time.day").fillna(0.0).coords.keys() >= {"day", "month"}
    beside = ours.groupby("time.month").fillna(0.0).coord("month")
    assert beside.array.tolist() == COORDS["month"][1]


def test_dates_and_strings_as_results():
    def ends(a):
        return a.coord("time").max("time"), a.coord("station"), a.mean("time")

    for a in (ours, ours.isel(time=slice(0, 2))):
        last, station, mean = named.jit(ends)(a)
        assert last.array == a.coord("time").array[-1]
        assert station.array.tolist() == ["b", "a", "c"] and "run" in mean.coords


def test_there_and_back():
    check(named.from_xarray(theirs), theirs)
    parts = [ours.isel(time=i) for i in range(4)]
    check(named.stack(parts, "time"), theirs)
    check(named.concatenate([ours.isel(x=[0]), ours.isel(x=[1, 2])], "x"), theirs)
    assert read(json.loads(json.dumps(written(ours._axes)))) is ours._axes
    assert ours.drop_coords("lat", "run").coords.keys() == {"time", "x", "month", "station"}
    lat = ours.coord("lat")
    check(lat, theirs.lat)
    check(ours.coord("time").dt.day, theirs.time.dt.day)
    check(ours.coord("x"), theirs.x)
    height = ours.assign_coords(height=Quantity(2.0, "km")).isel(x=0)
    assert height.coord("height").to("m").array.magnitude == 2000.0


def test_in_programs():
    # What lies along an axis is known within; a single value is no reason to compile anew.
    traced = []

    @jax.jit
    def means(a):
        traced.append(a.dims)
        return a.groupby("month").mean() if "time" in a.dims else a * 2

    check(means(ours), theirs.groupby("month").mean(), ("run",))
    for i in range(4):
        check(means(ours.isel(time=i)).drop_coords(), theirs.isel(time=i).drop_vars(COORDS) * 2)
    assert len(traced) == 2 + 3  # `station` and `lat` at each time are along x
    bare = ours.drop_coords("lat", "month")
    traced.clear()
    for i in range(4):
        means(bare.isel(time=i))
    assert len(traced) == 1


def test_refused():
    def nowhere():
        return ours.assign_coords(z=[1, 2, 3])

    def short():
        return ours.assign_coords(z=("x", [1, 2]))

    def of_two():
        return ours.groupby("lat")

    for call, kind, message in [
        (nowhere, AxisError, "`assign_coords` got the name 'z', and the array's dims are "
         "('time', 'x')."),
        (short, CoordinateError, "The coordinate 'z' along ('x',) has the shape (2,), and the "
         "array's dims are ('time', 'x') of shape (4, 3)."),
        (lambda: ours.sel(month=2), AxisError,
         "`sel` got 'month', a coordinate with the dims ('time',): no axis."),
        (of_two, AxisError, "`groupby` got 'lat', a coordinate with the dims ('time', 'x')."),
    ]:  # fmt: skip
        with pytest.raises(kind) as error:
            call()
        assert str(error.value).splitlines()[0] == message


def standardised(x):
    x = jnp.where(x > 5, x, 5.0)
    return (x - x.mean(0, keepdims=True)) / x.std(0, keepdims=True)


POSITIONAL = {
    "elementwise": (lambda x: x * 2 + 1, lambda a: a * 2 + 1, ()),
    "reduced": (lambda x: x.max(1), lambda a: a.max("x"), ()),
    "transposed": (lambda x: x.T, lambda a: a.T, ()),
    "standardised": (standardised, lambda a: (a.clip(5) - a.clip(5).mean("time"))
                     / a.clip(5).std("time"), ()),
    "looped": (lambda x: jax.lax.map(lambda row: row + row.sum(), x),
               lambda a: a + a.sum("x"), ("lat", "time", "month")),
    "mapped": (jax.vmap(lambda row: row - row[0]), lambda a: a - a.values[:, :1], ()),
    "written": (lambda x: x.at[0].set(x[1]), lambda a: a.copy(data=a.values[[1, 1, 2, 3]]), ()),
    "moved": (lambda x: x[:, ::-1] * 1, lambda a: (a.isel(x=slice(None, None, -1)) * 1)
              .drop_vars(["x", "station", "lat"]), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", POSITIONAL)
def test_through_positional_code(name):
    program, by_name, without = POSITIONAL[name]
    expected = by_name(theirs)
    check(quaxify(program)(ours), expected, without)
    if name in ("standardised", "written"):  # compiled functions return no single values
        check(jax.jit(quaxify(program))(ours), expected, ("run",))


def test_meeting_in_positional_code():
    other = ours.assign_coords(run=6, station=("x", ["b", "a", "d"]))
    product = quaxify(lambda x, y: x * y)(ours, other)
    assert product.coords.keys() == {"time", "x", "month", "lat"}
    row = other.isel(time=1)
    written = quaxify(lambda x, y: x.at[0].set(y))(ours, row)
    assert int(written.coord("run")) == 5 and "station" in written.coords
    chosen = quaxify(lambda x, y: jnp.where(x > 3, x, y))(ours, other)
    assert "run" not in chosen.coords
    chosen = quaxify(lambda x, y: jnp.where(x > 3, x, y))(
        ours.isel(time=1), row.assign_coords(run=5)
    )
    assert int(chosen.coord("run")) == 5 and chosen.coord("time").array == DAYS[1]
    slope = sciquax.grad(lambda a: (a**2).sum())(ours)
    assert slope.coords.keys() >= {"month", "station", "lat"}
