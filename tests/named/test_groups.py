"""Groups, periods, blocks, weights, missing elements and labels: as xarray has them."""

import importlib.util
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciquax import named
from sciquax.named import AxisError, CoordinateError, NamedArray, PositionalError
from sciquax.units import DimensionalityError, Quantity

RNG = np.random.default_rng(3)
TIMES = pd.date_range("2000-01-15", periods=60, freq="23D")
VALUES = RNG.normal(size=(3, 60, 4)).astype(np.float32)
HOLES = np.where(RNG.random(VALUES.shape) < 0.2, np.nan, VALUES).astype(np.float32)
HOLES[0, :5] = np.nan
LAT = [-60.0, -20.0, 20.0, 60.0]


def made(values):
    coords = {"x": [10, 20, 30], "time": TIMES, "lat": LAT}
    return xr.DataArray(values, dims=("x", "time", "lat"), coords=coords)


SPECIMENS = {"numbers": VALUES, "nans": HOLES, "integers": (VALUES * 9).astype(np.int32)}
WEIGHTS = xr.DataArray([1.0, 2.0, 3.0, 0.5], dims="lat", coords={"lat": LAT})


def assert_equal(
    ours: Any, theirs: Any, rtol: float = 1e-4, dims: bool = True, atol: float = 1e-5
) -> None:
    ours = ours.to_xarray()
    assert ours.dims == theirs.dims if dims else set(ours.dims) == set(theirs.dims)
    ours = ours.transpose(*theirs.dims)
    if theirs.dtype.kind in "fiub":
        np.testing.assert_allclose(
            ours.values.astype(float), theirs.values.astype(float), rtol=rtol, atol=atol
        )
    else:
        np.testing.assert_array_equal(ours.values, theirs.values)
    for name in theirs.dims:
        if name in theirs.coords:
            a, b = ours.coords[name].values, theirs.coords[name].values
            if b.dtype.kind == "f":
                np.testing.assert_allclose(a, b)
            else:
                np.testing.assert_array_equal(a, b)


SPLITS = {
    "month": lambda a: a.groupby("time.month"),
    "season": lambda a: a.groupby("time.season"),
    "year": lambda a: a.groupby("time.year"),
    "label": lambda a: a.groupby("lat"),
    "bins": lambda a: a.groupby_bins("lat", [-90, 0, 30, 90]),
    "labelled bins": lambda a: a.groupby_bins("lat", [-60, 20, 60], right=False, labels=[1.0, 2.0]),
    "months": lambda a: a.resample(time="1MS"),
    "weeks": lambda a: a.resample(time="W"),
    "quarters": lambda a: a.resample(time="QS-DEC"),
    "blocks": lambda a: a.coarsen(time=4),
    "trimmed": lambda a: a.coarsen(time=7, boundary="trim"),
    "trimmed right": lambda a: a.coarsen(time=7, boundary="trim", side="right"),
    "padded": lambda a: a.coarsen(time=7, boundary="pad"),
    "padded right": lambda a: a.coarsen(time=7, boundary="pad", side="right"),
    "two blocks": lambda a: a.coarsen(lat=2, time=5),
    "ends of blocks": lambda a: a.coarsen(lat=2, coord_func="min"),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of groups of one
@pytest.mark.parametrize("specimen", SPECIMENS)
@pytest.mark.parametrize("split", SPLITS)
def test_reductions_of_groups(split, specimen):
    data = made(SPECIMENS[specimen])
    ours, theirs = SPLITS[split](named.from_xarray(data)), SPLITS[split](data)
    for kind in ("mean", "sum", "max", "min", "std", "var", "median", "count"):
        assert_equal(getattr(ours, kind)(), getattr(theirs, kind)())
    if hasattr(theirs, "first"):
        assert_equal(ours.first(), theirs.first())
        assert_equal(ours.last(), theirs.last())
        assert_equal(ours.std(ddof=1), theirs.std(ddof=1))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of groups of one
@pytest.mark.parametrize("specimen", ["numbers", "nans"])
def test_groups_otherwise(specimen):
    data = made(SPECIMENS[specimen])
    a = named.from_xarray(data)
    months, theirs = a.groupby("time.month"), data.groupby("time.month")
    assert_equal(months.mean(...), theirs.mean(...))
    assert_equal(months.mean(("time", "lat")), theirs.mean(("time", "lat")))
    assert_equal(months.mean(skipna=False), theirs.mean(skipna=False))
    assert_equal(months - months.mean(), theirs - theirs.mean())
    assert_equal(months / months.max(), theirs / theirs.max())
    assert_equal(
        months.map(lambda g: g - g.mean("time", skipna=True)),
        theirs.map(lambda g: g - g.mean("time")),
        dims=False,
    )  # fmt: skip
    assert_equal(months.reduce(lambda g, name: g.max(name, skipna=True)), theirs.max())
    assert list(months.groups) == list(range(1, 13)) and len(months) == 12
    assert_equal(months[3], theirs[3])
    daily, expected = a.resample(time="1D"), data.resample(time="1D")
    assert_equal(daily.asfreq(), expected.asfreq())
    assert_equal(daily.nearest(), expected.nearest())
    if specimen == "numbers":
        assert_equal(daily.interpolate(), expected.interpolate("linear"))
    months = jax.jit(lambda b: b.groupby("time.month").std())(a)
    assert_equal(months, theirs.std())


def test_groups_of_quantities_and_their_gradient():
    a = named.from_xarray(made(VALUES).assign_attrs(units="degC"))
    means = a.groupby("time.season").mean()
    assert str(means.units) == "degree_Celsius" and list(means.coord("season").array)[0] == "DJF"
    assert str(a.groupby("time.season").std().units) == "delta_degree_Celsius"
    anomaly = a.groupby("time.season") - means
    assert str(anomaly.units) == "delta_degree_Celsius"
    plain = named.from_xarray(made(HOLES))
    grad = jax.grad(lambda b: b.groupby("time.month").mean().nansum().array)(plain)
    counts = made(HOLES).groupby("time.month").count()
    expected = xr.where(
        made(HOLES).notnull(), 1 / counts.sel(month=made(HOLES).time.dt.month), 0
    ).transpose("x", "time", "lat")  # fmt: skip
    np.testing.assert_allclose(grad.array, expected, rtol=1e-5)
    depth = NamedArray(jnp.arange(4.0), "z", {"z": Quantity([1.0, 2.0, 3.0, 9.0], "m")})
    shallow = depth.groupby("z", bins=Quantity([0.0, 250.0, 1000.0], "cm"), labels=["a", "b"])
    np.testing.assert_array_equal(shallow.sum().array, [1, 5])
    by_array = depth.groupby(NamedArray(jnp.array([1, 0, 1, 0]), "z"))
    assert by_array.sum().dims == ("group",)
    np.testing.assert_array_equal(by_array.sum().array, [4, 2])


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (lambda a: a.groupby("time.fortnight"), AxisError),
        (lambda a: a.groupby("z"), AxisError),
        (lambda a: a.groupby(3), AxisError),
        (lambda a: a.groupby("lat", labels=[1]), AxisError),
        (lambda a: a.groupby("time.month", into="lat"), AxisError),
        (lambda a: a.groupby("time.month") - a.groupby("time.month").mean().isel(month=[0]),
         CoordinateError),
        (lambda a: a.groupby("time.month")[13], CoordinateError),
        (lambda a: a.resample(lat="1D"), CoordinateError),
        (lambda a: a.flip("time").resample(time="1MS"), CoordinateError),
        (lambda a: a.coarsen(time=7), AxisError),
        (lambda a: a.coarsen(time=7, boundary="drop"), AxisError),
        (lambda a: jax.jit(lambda g: a.groupby(NamedArray(g, "lat")).sum())(jnp.zeros(4, int)),
         CoordinateError),
        (lambda a: jax.jit(lambda b: b.dropna("time"))(a), PositionalError),
        (lambda a: jax.jit(lambda b: b.where(b > 0, drop=True))(a), PositionalError),
        (lambda a: a.drop_sel(lat=[1.0]), CoordinateError),
        (lambda a: a.mean("time", dim="lat"), AxisError),
        (lambda a: a.rolling(time=3, min_periods=0), AxisError),
        (lambda a: a.rolling(time=3).construct(time="lat"), AxisError),
    ],
)  # fmt: skip
def test_refusals(program, error):
    with pytest.raises(error):
        program(named.from_xarray(made(VALUES)))


PERMUTED = RNG.permutation(60)
OTHERS = {
    "weighted mean": lambda a, w: a.weighted(w).mean("lat"),
    "weighted mean of all": lambda a, w: a.weighted(w).mean(),
    "weighted sum": lambda a, w: a.weighted(w).sum(("lat", "time")),
    "weighted std": lambda a, w: a.weighted(w).std("lat"),
    "sum of weights": lambda a, w: a.weighted(w).sum_of_weights("lat"),
    "fillna": lambda a, w: a.fillna(0.0),
    "fillna by name": lambda a, w: a.fillna(w),
    "dropna": lambda a, w: a.isel(x=0).dropna("time"),
    "dropna all": lambda a, w: a.isel(x=0).dropna("time", how="all"),
    "dropna thresh": lambda a, w: a.dropna("time", thresh=9),
    "isnull": lambda a, w: a.isnull(),
    "count": lambda a, w: a.count("time"),
    "shift": lambda a, w: a.shift(time=2, lat=-1),
    "shift with value": lambda a, w: a.shift(lat=1, fill_value=7),
    "roll": lambda a, w: a.roll(time=2),
    "roll with labels": lambda a, w: a.roll(time=2, roll_coords=True),
    "sortby": lambda a, w: a.isel(time=PERMUTED).sortby("time"),
    "sortby several": lambda a, w: a.sortby(["lat", "x"], ascending=False),
    "sortby array": lambda a, w: a.sortby(w),
    "reindex": lambda a, w: a.reindex(lat=[0.0, 20.0, 60.0]),
    "reindex nearest": lambda a, w: a.reindex(lat=[1.0, 25.0], method="nearest", tolerance=10),
    "reindex ffill": lambda a, w: a.reindex(lat=[1.0, 25.0, 70.0], method="ffill"),
    "reindex with value": lambda a, w: a.reindex(x=[5, 10, 30], fill_value=-1),
    "reindex_like": lambda a, w: a.reindex_like(w[{"lat": [1, 2]}]),
    "drop_sel": lambda a, w: a.drop_sel(lat=[-60.0, 20.0]),
    "drop_isel": lambda a, w: a.drop_isel(lat=[0, -1]),
    "where drop": lambda a, w: a.where(w > 1, drop=True),
    "where other": lambda a, w: a.where(a > 0, 0),
    "extrapolate": lambda a, w: a.interp(lat=[-70.0, 0.0], kwargs={"fill_value": "extrapolate"}),
    "fill value": lambda a, w: a.interp(lat=[-70.0, 0.0], kwargs={"fill_value": 3.0}),
    "interp_like": lambda a, w: a.fillna(0.0).interp_like(w[{"lat": [1, 2]}]),
    "interp unsorted": lambda a, w: a.isel(lat=[2, 0, 1, 3]).interp(lat=[-50.0, 0.0]),
    "integrate twice": lambda a, w: a.integrate(("lat", "x")),
    "edges": lambda a, w: a.differentiate("lat", edge_order=2),
    "repeated": lambda a, w: a.isel(lat=[0, 0, 1]).sel(lat=-60.0),
    "steps": lambda a, w: a.sel(lat=slice(-60, 60, 2)),
    "idxmax": lambda a, w: a.fillna(-9.0).idxmax("time"),
    "rolling": lambda a, w: a.rolling(time=4, min_periods=2, center=True).mean(),
    "rolling twice": lambda a, w: a.rolling(time=4, lat=2, min_periods=3).max(),
    "rolling std": lambda a, w: a.rolling(time=5).std(),
    "rolling count": lambda a, w: a.rolling(time=5, min_periods=2).count(),
    "rolling median": lambda a, w: a.rolling(lat=2, time=3).median(),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("specimen", SPECIMENS)
@pytest.mark.parametrize("case", OTHERS)
def test_as_in_xarray(case, specimen):
    data, program = made(SPECIMENS[specimen]), OTHERS[case]
    if case.startswith(("interp", "extrapolate", "fill value")):
        data = data.astype(float)
    weights = named.from_xarray(WEIGHTS)
    assert_equal(program(named.from_xarray(data), weights), program(data, WEIGHTS))


def test_splines_periods_and_filling():
    data = made(VALUES)
    a = named.from_xarray(data)
    for method in ("quadratic", "cubic"):
        assert_equal(
            a.interp(lat=[-50.0, 0.0, 33.0], method=method),
            data.interp(lat=[-50.0, 0.0, 33.0], method=method),
        )
    lon = NamedArray(jnp.arange(8.0), "lon", {"lon": Quantity(np.arange(8) * 45.0, "degree")})
    out = lon.interp(lon=[-22.5, 337.5, 405.0, 22.5], period=360)
    np.testing.assert_allclose(out.array, [3.5, 3.5, 1, 0.5])
    assert float(lon.interp(lon=-45.0, period=360.0, method="nearest")) == 7
    kelvin = NamedArray(Quantity(jnp.array([1.0, jnp.nan]), "K"), "x")
    np.testing.assert_array_equal(kelvin.fillna(0.0).array.magnitude, [1, 0])
    np.testing.assert_allclose(kelvin.fillna(Quantity(5000.0, "mK")).array.magnitude, [1, 5])
    with pytest.raises(DimensionalityError):
        kelvin.fillna(2.0)
    gaps = NamedArray(
        jnp.array([np.nan, 1, np.nan, np.nan, 7, np.nan]), "x", {"x": [0, 1, 2, 4, 5, 6]}
    )
    np.testing.assert_array_equal(gaps.ffill("x").array, [np.nan, 1, 1, 1, 7, 7])
    np.testing.assert_array_equal(gaps.ffill("x", limit=1).array, [np.nan, 1, 1, np.nan, 7, 7])
    np.testing.assert_array_equal(gaps.bfill("x").array, [1, 1, 7, 7, 7, np.nan])
    np.testing.assert_allclose(gaps.interpolate_na("x").array, [np.nan, 1, 2.5, 5.5, 7, np.nan])


def test_statistics():
    data, other = made(HOLES), made(VALUES).isel(x=0) ** 2
    a, b = named.from_xarray(data), named.from_xarray(other)
    for names in ("time", ("time", "lat")):
        assert_equal(named.corr(a, b, names), xr.corr(data, other, names), dims=False)
        assert_equal(named.cov(a, b, names), xr.cov(data, other, names), dims=False)
    fitted = named.from_xarray(made(VALUES)).polyfit("lat", 2)
    expected = made(VALUES).polyfit("lat", 2).polyfit_coefficients
    assert_equal(fitted, expected, 1e-3)
    assert_equal(
        named.polyval(a.coord("lat"), fitted), xr.polyval(data.lat, expected), 1e-3, dims=False
    )
    counts = named.histogram(named.from_xarray(made(VALUES)), [-1.0, 0.0, 2.0], "time")
    assert counts.dims == ("x", "lat", "bin")
    expected = [[np.histogram(VALUES[i, :, j], [-1, 0, 2])[0] for j in range(4)] for i in range(3)]
    np.testing.assert_array_equal(counts.array, expected)
    assert_equal(a.mean("time", skipna=True), data.mean("time"))
    assert_equal(a.idxmax("lat"), data.idxmax("lat"))
    assert_equal(a.idxmin("x"), data.idxmin("x"))
    assert_equal(jax.jit(lambda b: b.idxmax("lat"))(a), data.idxmax("lat"))
    assert_equal(a.isel(x=[1, 2]).nanargmin("time"), data.isel(x=[1, 2]).argmin("time"))
    spectrum = named.fft.rfft(named.arange("t", 8, dtype=float).assign_coords(
        t=Quantity(np.arange(8) / 4, "s")), "t", into="f")  # fmt: skip
    np.testing.assert_allclose(spectrum.coord("f").m_as("Hz").array, np.fft.rfftfreq(8, 0.25))


def test_tables_and_text():
    a = NamedArray(Quantity(jnp.array([1.0, 2.0]), "m"), "t", {"t": ["a", "b"]})
    table = a.to_dataframe("height")
    assert list(table.index) == ["a", "b"] and list(table["height"]) == [1, 2]
    assert repr(a) == "NamedArray(f32[t=2], 'm')\n[1. 2.]\nt: a to b"
    assert repr(a.coord("t").isel(t=0)) == "NamedArray(str32[])\na\nt: a"


@pytest.mark.filterwarnings("ignore")  # the file writes its reference year without zeros
def test_a_reanalysis():
    package = importlib.util.find_spec("eofs")
    if package is None or package.origin is None:
        pytest.skip("the reanalysis is among the examples of eofs")
    path = Path(package.origin).parent / "examples" / "example_data" / "hgt_djf.nc"
    with xr.open_dataset(path) as file:
        data = file["z"].isel(pressure=0, drop=True).load().assign_attrs(units="m")
    height = named.from_xarray(data)
    names = {"labels": [1950, 1970, 1990, 2010], "right": False}
    edges = [1940, 1960, 1980, 2000, 2020]

    def analysis(a: Any) -> Any:
        latitude = a.coord("latitude")
        weights = named.cos(latitude)
        anomaly = a.groupby("time.month") - a.groupby("time.month").mean()
        north = anomaly.sel(latitude=slice(40, 80))
        north = north.where(north.coord("latitude") > 50)
        return {
            "mean": anomaly.weighted(weights).mean(("latitude", "longitude")),
            "north": north.mean("longitude"),
            "periods": a.groupby_bins("time.year", edges, **names).mean(),
            "decades": a.resample(time="10YS").std().sel(time="1968").interp(longitude=-0.625),
            "blocks": anomaly.coarsen(longitude=7).max(),
            "smooth": a.rolling(time=9, center=True).mean().idxmax("time"),
        }

    month = data.groupby("time.month")
    anomaly = month - month.mean()
    theirs = {
        "mean": anomaly.weighted(np.cos(np.deg2rad(data.latitude))).mean(("latitude", "longitude")),
        "north": anomaly.sel(latitude=slice(40, 80)).where(data.latitude > 50).mean(
            "longitude", skipna=False
        ),
        "periods": data.groupby_bins("time.year", edges, **names).mean(),
        "decades": data.resample(time="10YS").std().sel(time="1968").interp(longitude=-0.625),
        "blocks": anomaly.coarsen(longitude=7).max(),
    }  # fmt: skip
    smooth = data.rolling(time=9, center=True).mean().idxmax("time")
    ours = analysis(height)
    assert_equal(ours.pop("smooth"), smooth, dims=False)
    for name, expected in theirs.items():
        assert str(ours[name].units) == "meter"
        assert_equal(ours[name], expected, 2e-4, dims=False, atol=2e-3)
    mean = jax.jit(lambda a: a.groupby("time.month") - a.groupby("time.month").mean())(height)
    assert_equal(mean, anomaly, 2e-4, dims=False, atol=2e-3)
