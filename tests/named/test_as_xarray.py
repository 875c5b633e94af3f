"""xarray's own words, and what they come to: values, dims, coordinates, those beside too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import named
from sciquax.named import AxisError, CoordinateError, NamedArray

xr = pytest.importorskip("xarray")

MONTHS = np.arange("2000-01", "2001-01", dtype="datetime64[M]").astype("datetime64[ns]")
VALUES = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
VALUES[[2, 3, 4, 9], [0, 0, 0, 2]] = np.nan
COORDS = {"time": MONTHS, "x": [10.0, 20.0, 40.0], "half": ("time", [1] * 6 + [2] * 6)}
theirs = xr.DataArray(VALUES, dims=("time", "x"), coords=COORDS)
ours = NamedArray(jnp.asarray(VALUES), ("time", "x"), COORDS)


def places(a, values):
    if isinstance(a, NamedArray):
        return NamedArray(np.array(values), ("p",))
    return xr.DataArray(np.array(values), dims="p")


PROGRAMS = {
    "limit": lambda a: a.interpolate_na("time", limit=2),
    "nearest": lambda a: a.interpolate_na(dim="time", method="nearest"),
    "argmax": lambda a: a.argmax("time", skipna=True),
    "min_count": lambda a: a.sum("x", skipna=True, min_count=3),
    "quantiles": lambda a: a.quantile([0.3, 0.6], "time", skipna=True),
    "points": lambda a: a.isel(time=places(a, [3, 0, 7]), x=places(a, [0, 2, 2])),
    "labels": lambda a: a.sel(x=places(a, [40.0, 10.0]), time="2000-03"),
    "between": lambda a: a.fillna(0.0).interp(x=places(a, [15.0, 20.0])),
    "swapped": lambda a: a.isel(time=slice(5, 7)).swap_dims(time="half"),
    "renamed": lambda a: a.swap_dims(x="place"),
    "expanded": lambda a: a.expand_dims(run=[3, 5], place=2),
    "dropped": lambda a: a.isel(time=0, drop=True).sel(x=20.0, drop=True),
    "squeezed": lambda a: a.isel(time=[0]).squeeze(drop=True),
    "once": lambda a: a.swap_dims(time="half").drop_duplicates("half", keep="last"),
    "group quantiles": lambda a: a.groupby("half").quantile([0.3, 0.6]),
    "group sums": lambda a: a.groupby("half").cumsum("time"),
    "group filled": lambda a: a.groupby("half").fillna(a.groupby("half").mean()),
    "group chosen": lambda a: a.groupby("half").where(a.groupby("half").mean() > 0),
    "group of dates": lambda a: a.groupby(a.coords["time"].dt.quarter).mean(dim="time"),
    "weighted": lambda a: a.weighted(a.fillna(0.0) ** 2).mean(dim=["time", "x"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    expected = PROGRAMS[name](theirs)
    made = PROGRAMS[name](ours).to_xarray().transpose(*expected.dims)
    xr.testing.assert_allclose(made.astype(float), expected.astype(float), 1e-5, 1e-6)
    assert made.coords.keys() == expected.coords.keys()


def test_contracted():
    other = xr.DataArray([1.0, 2.0, 3.0], dims="x", coords={"x": COORDS["x"], "run": 5})
    expected = xr.dot(theirs.fillna(0.0), other, dim="x")
    made = named.dot(ours.fillna(0.0), named.from_xarray(other), "x").to_xarray()
    xr.testing.assert_allclose(made, expected, rtol=1e-5)


def test_polynomials_of_dates():
    whole, known = ours.fillna(0.0), theirs.fillna(0.0)
    line = known.polyfit("time", 1).polyfit_coefficients
    made = whole.polyfit("time", 1)
    np.testing.assert_allclose(made.array, line.values, rtol=1e-4)
    fitted = jax.jit(lambda c: named.polyval(ours.coord("time"), c))(made)
    expected = xr.polyval(known.time, line)
    np.testing.assert_allclose(fitted.transpose("time", "x").array, expected, atol=1e-3)
    square = whole.polyfit("time", 2, datetime_unit="D")
    fitted = named.polyval(ours.coord("time"), square, datetime_unit="D")
    expected = xr.polyval(known.time, known.polyfit("time", 2).polyfit_coefficients)
    np.testing.assert_allclose(fitted.transpose("time", "x").array, expected, atol=1e-2)
    with pytest.raises(CoordinateError) as error:
        whole.polyfit("time", 2)
    assert str(error.value).splitlines()[0] == (
        "`polyfit` of degree 2 by ns: float32 has no numbers so small."
    )


def test_refused():
    for call, message in [
        (lambda: ours.interpolate_na("time", "cubic"), "`interpolate_na` got method='cubic'."),
        (lambda: ours.assign_coords(y=(("time", "x"), VALUES)).swap_dims(x="y"),
         "`swap_dims` got 'y', a coordinate with the dims ('time', 'x'), for 'x'."),
        (lambda: ours.expand_dims(x=2),
         "`expand_dims` got 'x', which the array has: ('time', 'x')."),
    ]:  # fmt: skip
        with pytest.raises(AxisError) as error:
            call()
        assert str(error.value).splitlines()[0] == message
