"""Labels are exact: units, precision, dates, masks, nans; found as pandas and xarray find them."""

import datetime
import sys
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciquax import named
from sciquax.named import AxisError, CoordinateError, NamedArray, PositionalError
from sciquax.units import Quantity
from tests.helpers import assert_raises

RNG = np.random.default_rng(5)
LAT = np.linspace(-87.5, 87.5, 36)
VALUES = RNG.normal(size=36).astype(np.float32)
OVER_LAT = xr.DataArray(VALUES, dims="lat", coords={"lat": LAT})


def exactly(numbers: Any, unit: str) -> Quantity:
    """A quantity of NumPy's double precision."""
    return jtu.tree_unflatten(jtu.tree_structure(Quantity(0.0, unit)), [np.asarray(numbers)])


def numbers(x: Any) -> np.ndarray:
    x = getattr(x, "array", x)
    return np.asarray(getattr(x, "magnitude", x))


def same(actual: Any, expected: Any, rtol: float = 1e-5) -> None:
    expected = np.asarray(expected)
    assert numbers(actual).shape == expected.shape
    if expected.dtype.kind in "fiu":
        np.testing.assert_allclose(numbers(actual).astype(float), expected, rtol=rtol, atol=1e-6)
    else:
        np.testing.assert_array_equal(numbers(actual), expected)


@pytest.mark.parametrize("unit", ["degree", "percent", "ppm", "s", "degC", None])
@pytest.mark.parametrize(
    "program",
    [
        lambda a: a.sel(lat=48.8, method="nearest"),
        lambda a: a.sel(lat=48.8, method="pad"),
        lambda a: a.sel(lat=48.8, method="backfill"),
        lambda a: a.sel(lat=slice(30, 70)),
        lambda a: a.sel(lat=slice(30, 70, 2)),
        lambda a: a.interp(lat=1.0),
        lambda a: a.interp(lat=[1.0, 2.0, -3.0]),
        lambda a: a.sel(lat=[-2.5, 42.5]),
    ],
)
def test_plain_labels_are_in_the_coordinates_unit(unit, program):
    a = NamedArray(VALUES, "lat", {"lat": LAT if unit is None else exactly(LAT, unit)})
    expected = program(OVER_LAT).values
    same(program(a), expected)
    same(jax.jit(lambda b: program(b).array)(a), expected)


@pytest.mark.parametrize("unit", ["degree", "percent", "ppm", "s", "degC", None])
def test_coordinates_beside_plain_numbers(unit):
    a = NamedArray(VALUES, "lat", {"lat": LAT if unit is None else exactly(LAT, unit)})
    lat = a.coord("lat")
    same(lat > 30, LAT > 30)
    same(30 <= lat, LAT >= 30)
    same(abs(lat) > 30, np.abs(LAT) > 30)
    same(lat - 10 > 30, LAT - 10 > 30) if unit != "degC" else None
    same(lat.isel(lat=slice(3, None)) == 2.5, LAT[3:] == 2.5)
    same(a.where(lat > 30), OVER_LAT.where(OVER_LAT.lat > 30))
    same(a[lat > 30], VALUES[LAT > 30])
    with pytest.raises(CoordinateError):
        a.sel(lat=48.8, method="nearest", tolerance=0.5)
    same(a.sel(lat=48.8, method="nearest", tolerance=2), VALUES[27])


def test_quantities_are_converted():
    a = NamedArray(VALUES, "lat", {"lat": exactly(LAT, "degree")})
    same(a.coord("lat") > Quantity(0.5, "radian"), np.radians(LAT) > 0.5)
    tenths = NamedArray(jnp.arange(11.0), "x", {"x": exactly(np.linspace(0, 1, 11), "s")})
    same(tenths.sel(x=Quantity(0.7, "s")), 7)  # in JAX's single precision
    same(tenths.sel(x=Quantity(300.0, "ms")), 3)
    same(tenths.sel(x=slice(Quantity(300.0, "ms"), Quantity(0.7, "s"))), np.arange(3, 8))
    same(tenths.sel(x=0.52, method="nearest", tolerance=Quantity(30.0, "ms")), 5)


# -- precision ------------------------------------------------------------------------------------

LATE = {
    "seconds": 1.7e9 + 60.0 * np.arange(9),
    "julian days": 2451545.0 + np.arange(9) / 24,
    "milliseconds": 1_700_000_000_000 + 60_000 * np.arange(9),
}
SQUARES = (np.arange(9) ** 2.0).astype(np.float32)


@pytest.mark.parametrize("unit", [None, "s"])
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_coordinates_are_exact(late, unit):
    da = xr.DataArray(SQUARES, dims="t", coords={"t": late})
    a = NamedArray(SQUARES, "t", {"t": late if unit is None else exactly(late, unit)})
    half = (late[1] - late[0]) / 2
    same(a.interp(t=late[1] + half), 2.5)
    same(a.interp(t=late[[1, 2]] + half), [2.5, 6.5])
    same(a.differentiate("t"), da.differentiate("t"))
    same(a.differentiate("t", edge_order=2), da.differentiate("t", edge_order=2))
    same(a.integrate("t"), da.integrate("t"))
    same(a.cumulative_integrate("t"), da.cumulative_integrate("t"))
    same(jax.jit(lambda b: b.integrate("t"))(a), da.integrate("t"))
    same(a.sel(t=late[3]), SQUARES[3])
    same(a.sel(t=late[[5, 3]]), SQUARES[[5, 3]])
    same(a.sel(t=a.coord("t").isel(t=[3, 4])), SQUARES[[3, 4]])
    same(a.sel(t=a.coord("t").isel(t=3)), SQUARES[3])
    same(a.sel(t=slice(late[0], late[-1])), SQUARES)
    same(a.sel(t=late[4] + half / 2, method="nearest"), SQUARES[4])
    same(a.idxmax("t"), late[8], rtol=0)
    t = a.coord("t")
    same(t, late, rtol=0)
    same(t - t.isel(t=0), late - late[0], rtol=0)
    same(t - t.min("t"), late - late[0], rtol=0)
    same(t.diff("t"), np.diff(late), rtol=0)
    same(t.max(), late.max(), rtol=0)
    if unit is None:
        same(a * t, SQUARES * late.astype(float))
        same(named.sqrt(t), np.sqrt(late.astype(float)))


def test_labels_in_single_precision():
    a = NamedArray(jnp.arange(11.0), "x", {"x": jnp.linspace(0, 1, 11)})
    same(a.sel(x=0.3), 3)
    same(a.sel(x=[0.7, 0.3]), [7, 3])
    same(a.sel(x=slice(0.1, 0.3)), [1, 2, 3])
    late = NamedArray(SQUARES, "t", {"t": LATE["seconds"]})
    with pytest.raises(CoordinateError, match="does not tell its coordinates apart"):
        late.sel(t=jnp.float32(1.7e9 + 60))


# -- dates ----------------------------------------------------------------------------------------

DAYS = pd.date_range("2001-01-01", periods=90, freq="D")
DAILY = xr.DataArray(RNG.normal(size=90).astype(np.float32), dims="t", coords={"t": DAYS})
HOURS = pd.date_range("2001-01-01", periods=100, freq="h")
HOURLY = xr.DataArray(RNG.normal(size=100).astype(np.float32), dims="t", coords={"t": HOURS})


@pytest.mark.parametrize(
    "program",
    [
        lambda a: a.sel(t="2001-02"),
        lambda a: a.sel(t="2001"),
        lambda a: a.sel(t="2001-02-03"),
        lambda a: a.sel(t=["2001-02-03", "2001-03-01"]),
        lambda a: a.sel(t=pd.Timestamp("2001-02-03")),
        lambda a: a.sel(t=datetime.datetime(2001, 2, 3)),
        lambda a: a.sel(t=np.datetime64("2001-02-03")),
        lambda a: a.sel(t="2001-02-03T17:00", method="nearest"),
        lambda a: a.sel(t=slice("2001-02", "2001-03-05")),
        lambda a: a.sel(t=slice("2001-03", None)),
        lambda a: a.sel(t=slice(None, "2001-02")),
        lambda a: a.differentiate("t"),
        lambda a: a.differentiate("t", datetime_unit="D"),
        lambda a: a.integrate("t", datetime_unit="h"),
        lambda a: a.interp(t=pd.date_range("2001-01-05", periods=4, freq="7h")),
        lambda a: a.idxmax("t"),
        lambda a: a.resample(t="1MS").mean(),
    ],
)
def test_dates(program):
    a = named.from_xarray(DAILY)
    same(program(a), program(DAILY).values, rtol=1e-4)
    if program(DAILY).dtype.kind == "f":
        same(jax.jit(lambda b: program(b).array)(a), program(DAILY).values, rtol=1e-4)


def test_more_dates():
    a, hourly = named.from_xarray(DAILY), named.from_xarray(HOURLY)
    same(hourly.sel(t="2001-01-02"), HOURLY.sel(t="2001-01-02").values)
    same(hourly.sel(t="2001-01-02 05"), HOURLY.sel(t="2001-01-02 05").values)
    february = DAILY.sel(t="2001-02").values
    back = a.flip("t")
    same(back.sel(t="2001-02"), february[::-1])
    same(back.sel(t=slice("2001-02", "2001-02")), february[::-1])
    same(back.sel(t=slice("2001-03", "2001-02")), DAILY.values[31:][::-1])
    same(back.sel(t=slice("2001-02", "2001-03")), DAILY.values[31:][::-1])
    same(back.sel(t=slice("2001-02", None)), DAILY.values[:59][::-1])
    same(a.interp(t="2001-01-05T12:00"), DAILY.values[4:6].mean())
    t = a.coord("t")
    same(t >= "2001-02-05", DAYS >= "2001-02-05")
    same(t < np.datetime64("2001-02"), DAYS < "2001-02-01")
    same(t - t.isel(t=0), (DAYS - DAYS[0]).values)
    same(a.sel(t=t.dt.month == 2), february)
    same(t.dt.season, np.where(DAYS.month == 3, "MAM", "DJF"))
    same(t.dt.dayofyear, DAYS.day_of_year)
    same(t.dt.floor("7D").diff("t"), np.diff(DAYS.floor("7D")))
    assert t.dt.strftime("%d.%m.").array[40] == "10.02."
    q = NamedArray(Quantity(DAILY.values, "m"), "t", {"t": DAYS})
    same(q.differentiate("t").to("m/day"), DAILY.differentiate("t", datetime_unit="D"), 1e-4)
    same(q.integrate("t").to("m day"), DAILY.integrate("t", datetime_unit="D"), 1e-4)
    with pytest.raises(CoordinateError):
        a.sel(t="2001-02-03T17:00", method="nearest", tolerance="1h")
    with pytest.raises(AxisError, match="Dates do not count in 'fortnight'"):
        a.integrate("t", datetime_unit="fortnight")
    with pytest.raises(CoordinateError, match="numbers or dates"):
        NamedArray(jnp.ones(2), "k", {"k": ["a", "b"]}).integrate("k")

    def later():
        return a.sel(t="2002-01-01")  # HERE

    assert_raises(
        CoordinateError,
        later,
        "`sel` got 2002-01-01 along 't', which is not among its 90 coordinates.\n{place}\n"
        "Use method='nearest', a slice, or `isel`.",
    )


def test_other_orders_and_repeated_labels():
    a = NamedArray(jnp.arange(4.0), "x", {"x": [3.0, 1.0, 2.0, 2.0]})
    same(a.sel(x=2.0), [2, 3])
    same(a.sel(x=1.2, method="nearest"), 1)
    with pytest.raises(CoordinateError, match="more than once"):
        a.sel(x=[2.0])
    with pytest.raises(CoordinateError, match="in no order"):
        a.sel(x=slice(1.5, 2.5))
    words = NamedArray(jnp.arange(3.0), "k", {"k": ["b", "a", "c"]})
    same(words.sel(k=["c", "b"]), [2, 0])
    same(words.sel(k=slice("b", "a")), [0, 1])
    same(words.coord("k") == "a", [False, True, False])
    same(words[words.coord("k").isin(["a", "b"])], [0, 1])


# -- masks and nans -------------------------------------------------------------------------------

YEARS = NamedArray(jnp.arange(4.0), "year", {"year": [0, 1, 2, 3]})


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (lambda: YEARS.sel(year=np.array([True, False, True, False])), [0, 2]),
        (lambda: YEARS.sel(year=[True, False, True, False]), [0, 2]),
        (lambda: YEARS.sel(year=YEARS.coord("year") > 1), [2, 3]),
        (lambda: jax.jit(lambda y: y.sel(year=y.coord("year") > 1))(YEARS), [2, 3]),
        (lambda: YEARS.sel(year=True), CoordinateError),
        (lambda: YEARS.sel(year=float("nan"), method="nearest"), CoordinateError),
        (lambda: YEARS.sel(year=[1.0, float("nan")], method="nearest"), CoordinateError),
        (lambda: YEARS.sel(year=float("nan")), CoordinateError),
        (lambda: YEARS.interp(year=float("nan")), np.nan),
        (lambda: jax.jit(lambda m: YEARS.sel(year=m))(jnp.ones(4, bool)), PositionalError),
        (
            lambda: YEARS.assign_coords(year=[0, 1, np.nan, 3]).sel(year=3.1, method="nearest"),
            3,
        ),
        (
            lambda: named.from_xarray(DAILY).sel(t=np.datetime64("NaT", "ns"), method="nearest"),
            CoordinateError,
        ),
    ],
)
def test_masks_and_nans(program, expected):
    if isinstance(expected, type):
        with pytest.raises(expected):
            program()
    else:
        same(program(), expected)


# -- in jitted functions --------------------------------------------------------------------------

GRID = NamedArray(jnp.arange(5.0), "x", {"x": Quantity([0.0, 1.0, 2.0, 3.0, 4.0], "s")})


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (lambda g: g.sel(x=Quantity(2000.0, "ms")), 2),
        (lambda g: g.sel(x=slice(Quantity(1.0, "s"), Quantity(3.0, "s"))), [1, 2, 3]),
        (lambda g: g.assign_coords(x=jnp.linspace(0.0, 1.0, 5)).sel(x=0.25), 1),
        (
            lambda g: g.assign_coords(x=Quantity(np.arange(5.0) * 2, "m")).coord("x"),
            [0, 2, 4, 6, 8],
        ),
        (lambda g: g.interp(x=[0.5, 1.5]).coord("x"), [0.5, 1.5]),
        (lambda g: g.interp(x=jnp.array([0.5, 1.5])).coord("x"), [0.5, 1.5]),
        (lambda g: g[g.coord("x") > 1.5], [2, 3, 4]),
        (lambda g: named.where(g.coord("x") > 1.5, g, 0.0), [0, 0, 2, 3, 4]),
        (lambda g: named.fft.rfftfreq("f", 4, 0.5), [0, 0.5, 1]),
        (
            lambda g: (
                named.ones({"f": 3})
                .assign_coords(f=named.fft.rfftfreq("f", 4, Quantity(0.5, "s")))
                .coord("f")
            ),
            [0, 0.5, 1],
        ),
    ],
)
def test_known_within_jit(program, expected):
    same(jax.jit(program)(GRID), expected)
    same(program(GRID), expected)


def test_gradients_pass_labels():
    out = jax.grad(lambda g: g.sel(x=slice(1, 3)).sum().array)(GRID)
    same(out, [0, 1, 1, 1, 0])
    assert str(out.coord("x").units) == "second"


def test_coordinates_hash_by_their_contents():
    def structure(coordinate):
        return jtu.tree_structure(GRID.assign_coords(x=coordinate))

    values = np.arange(5) * 0.1
    assert structure(values) == structure(values.copy())
    assert hash(structure(values)) == hash(structure(list(values)))
    assert structure(values) != structure(np.nextafter(values, 1))
    assert structure(values) != structure(exactly(values, "s"))


def test_without_pandas(monkeypatch):
    a = NamedArray(jnp.arange(3.0), "x", {"x": [1.0, 2.0, 4.0]})
    monkeypatch.setitem(sys.modules, "pandas", None)
    same(a.interp(x=3.0), 1.5)
    same(a.differentiate("x"), np.gradient(np.arange(3.0), [1, 2, 4]))
    same(a[a.coord("x") > 1], [1, 2])
    with pytest.raises(ImportError, match=r"pip install 'sciquax\[coordinates\]'"):
        a.sel(x=2.0)
