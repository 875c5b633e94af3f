"""Polynomials, gaps, blocks, windows: beside xarray's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import named
from sciquax.core import RuleError
from sciquax.named import AxisSizeError, CoordinateError, NamedArray
from sciquax.units import DimensionalityError, Quantity, unit as as_unit

xr = pytest.importorskip("xarray")

X = [0.0, 1.0, 2.0, 3.0, 4.0, 7.0]
HOLES = np.random.default_rng(0).normal(size=(6, 3))
HOLES[1, 1] = HOLES[3, 2] = HOLES[0, 2] = np.nan


def both(values, dims, **coords):
    ours = NamedArray(jnp.asarray(values), dims, coords=coords)
    return ours, xr.DataArray(values, dims=dims, coords=coords)


def close(ours, theirs, rtol=2e-5):
    np.testing.assert_allclose(ours.to_xarray().transpose(*theirs.dims).values, theirs, rtol, 1e-5)
    for name in theirs.dims:
        if name in theirs.coords or name in ours.coords:
            np.testing.assert_array_equal(ours.coord(name), theirs.coords[name])


def test_polynomials():
    ours, theirs = both(HOLES, ("x", "y"), x=X)
    fitted = ours.polyfit("x", 2, skipna=True)
    expected = theirs.polyfit("x", 2).polyfit_coefficients
    close(fitted, expected)
    close(named.polyval(ours.coord("x"), fitted), xr.polyval(theirs.x, expected), 1e-4)
    # As one by one: differentiable, and the same without nans.
    whole = ours.fillna(0.0)
    close(whole.polyfit("x", 1, skipna=True), whole.polyfit("x", 1).to_xarray())
    assert jax.grad(lambda a: a.polyfit("x", 1, skipna=True).sum().array)(whole).shape == (6, 3)


def test_polynomials_with_units():
    seconds = Quantity([0.0, 1.0, 2.0, 3.0], "s")
    warm = NamedArray(Quantity(jnp.array([1.0, 3.0, 5.0, 7.0]), "degC"), "t", {"t": seconds})
    fitted = warm.polyfit("t", 1)
    assert [str(fitted[k].units) for k in (0, 1)] == [
        "degree_Celsius", "delta_degree_Celsius / second",
    ]  # fmt: skip
    np.testing.assert_allclose([fitted[0].magnitude.array, fitted[1].magnitude.array], [1, 2], 1e-5)
    values = named.polyval(warm.coord("t"), fitted)
    np.testing.assert_allclose(values.m_as("degC").array, [1, 3, 5, 7], 1e-5)


def test_polynomials_far_from_zero():
    seconds = 1.7e9 + 60 * np.arange(20.0)
    a = NamedArray(2 * jnp.arange(20.0), "t", {"t": seconds})
    slope = a.polyfit("t", 1).sel(degree=1)
    np.testing.assert_allclose(slope.array, 2 / 60, 1e-6)
    with pytest.raises(CoordinateError) as error:
        named.polyval(a.coord("t"), a.polyfit("t", 1))
    assert str(error.value).splitlines()[0] == (
        "`polyval` of degree 1 in float32 from 1700000000.0 to 1700001140.0: the powers take all "
        "its digits."
    )
    near = a.assign_coords(t=a.coord("t") - seconds[0])
    fitted = named.polyval(near.coord("t"), near.polyfit("t", 1))
    np.testing.assert_allclose(fitted.array, a.array, atol=1e-4)


def test_gaps_years_from_the_first():
    # A minute is not told from the next in single precision, forty years on.
    days = np.array(
        ["1980-01-01", "2020-01-01T00:00", "2020-01-01T00:01", "2020-01-01T00:04"], "M8[ns]"
    )
    ours, theirs = both(np.array([0.0, 1.0, np.nan, 5.0]), ("t",), t=days)
    close(ours.interpolate_na("t"), theirs.interpolate_na("t"))
    close(
        ours.interpolate_na("t", use_coordinate=False),
        theirs.interpolate_na("t", use_coordinate=False),
    )


def test_blocks_and_windows():
    ours, theirs = both(np.arange(24.0).reshape(2, 12), ("x", "t"), t=np.arange(12) * 2)
    blocks = ours.coarsen(t=4).construct(t=("year", "season"))
    close(blocks, theirs.coarsen(t=4).construct(t=("year", "season")).drop_vars("t"))
    windows = ours.rolling(t=3).construct(t="lag", stride=2)
    expected = theirs.rolling(t=3).construct("lag").isel(t=slice(2, None, 2))
    close(windows, expected)
    for call in (
        lambda a: a.head(t=3), lambda a: a.tail(t=3), lambda a: a.thin(t=5), lambda a: a.head(1),
        lambda a: a.thin(2), lambda a: a.tail(),
    ):  # fmt: skip
        close(call(ours), call(theirs))
    with pytest.raises(AxisSizeError, match="`construct` got the stride 0 along 't'."):
        ours.rolling(t=3).construct(t="lag", stride=0)


def test_small_integers():
    ours, theirs = both(np.array([200, 100, 3], np.uint8), ("x",))
    close(ours.cumsum("x"), theirs.cumsum("x"))
    close(ours.cumprod("x"), theirs.cumprod("x"))
    holes, also = both(HOLES, ("x", "y"))
    close(holes.cumsum("x", skipna=True), also.cumsum("x"))
    close(holes.fillna(0.0).quantile([0.25, 0.5], "x"), also.fillna(0.0).quantile([0.25, 0.5], "x"))
    close(holes.rolling(x=3).count(), also.rolling(x=3).count())
    close(
        holes.fillna(1.0).softmax(dim="y"),
        np.exp(also.fillna(1.0)) / np.exp(also.fillna(1.0)).sum("y"),
    )


@pytest.mark.parametrize(
    ("n", "size", "least", "center"),
    [(1, 1, None, False), (5, 2, None, True), (7, 3, 1, False), (9, 4, 2, True), (8, 8, 1, True)],
)
def test_medians_of_windows(n, size, least, center):
    values = np.random.default_rng(n).normal(size=(3, n)).round(1)
    values[0, 0], values[1, -1], values[2] = np.nan, np.inf, values[2, 0]
    ours, theirs = both(values, ("a", "t"))
    options = {"t": size, "center": center, "min_periods": least}
    close(ours.rolling(**options).median(), theirs.rolling(**options).median())


@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")  # of older xarray
@pytest.mark.parametrize("least", [None, 2])
def test_windows(least):
    values = np.random.default_rng(0).normal(size=(3, 11)).round(1) + 1e4
    values[0, 3], values[1, 5], values[2] = np.nan, 2e4, values[2, 0]
    ours, theirs = both(values, ("a", "t"))
    for kind in ("mean", "std", "prod", "min", "argmax", "count"):
        options = {"t": 6, "center": True, "min_periods": least}
        made, expected = (getattr(x.rolling(**options), kind)() for x in (ours, theirs))
        rtol = 0.02 if kind in ("std", "var") else 1e-6  # in single precision around 10000
        np.testing.assert_allclose(made.array, expected.values, rtol=rtol, atol=1e-3, err_msg=kind)
    spread = ours.rolling(t=3, a=2, min_periods=least).std(ddof=1)
    expected = theirs.rolling(t=3, a=2, min_periods=least).std(ddof=1)
    np.testing.assert_allclose(spread.array, expected.values, rtol=0.02, atol=1e-3)


def test_units_of_windows():
    """A product is in m**n where each window has n elements, else refused."""
    values = NamedArray(Quantity(jnp.array([2.0, jnp.nan, 3.0, -4.0]), "m"), "t")
    units = {"mean": "m", "sum": "m", "max": "m", "std": "m", "var": "m**2", "prod": "m**2"}
    for kind, unit in units.items():
        for least in (None, 1):
            windows = values.rolling(t=2, min_periods=least)
            if (kind, least) == ("prod", 1):
                with pytest.raises(DimensionalityError, match="a bare number has no unit"):
                    windows.prod()
            else:
                assert getattr(windows, kind)().array.units == as_unit(unit), (kind, least)


def test_windows_of_levels():
    """A mean of levels is one of powers, which no arithmetic on their numbers gives."""
    levels = NamedArray(Quantity(jnp.array([10.0, 20.0, 40.0]), "dBm"), "t")
    windows = levels.rolling(t=2)
    for mean in (lambda: windows.mean(), lambda: jax.jit(lambda: windows.mean())()):
        with pytest.raises(RuleError) as error:
            mean()
        assert str(error.value).splitlines()[::2] == [
            "`mean` of windows of Quantity(f32[3], 'dBm') is not that of its numbers.",
            "Convert to a linear unit first, such as mW for dBm.",
        ]
    np.testing.assert_array_equal(windows.max().array.m, [np.nan, 20.0, 40.0])
    weights = NamedArray(jnp.array([1.0, 2.0, 1.0]), "t")
    groups = levels.assign_coords(t=np.array([0, 0, 1])).groupby("t")
    np.testing.assert_array_equal(groups.max().array.m, [20.0, 40.0])
    for mean, what in {
        groups.mean: "`mean` of groups",
        groups.median: "`median` of groups",
        lambda: levels.weighted(weights).mean("t"): "`weighted`",
        lambda: levels.assign_coords(t=[0.0, 1.0, 2.0]).interp(t=0.5): "`interp`",
        lambda: levels.interpolate_na("t", use_coordinate=False): "`interpolate_na`",
    }.items():
        with pytest.raises(RuleError) as error:
            mean()
        assert str(error.value).startswith(f"{what} of Quantity(f32[3], 'dBm') is not that of its")
    for unit in ("degC", "m"):
        tens = NamedArray(Quantity(jnp.array([10.0, 20.0, 40.0]), unit), "t")
        means = jax.jit(lambda x: x.rolling(t=2).mean())(tens)
        np.testing.assert_array_equal(means.array.m, [np.nan, 15.0, 30.0])


def test_derivative_of_windows():
    def total(values, kind):
        windows = NamedArray(values, "t").rolling(t=3, min_periods=2)
        return getattr(windows, kind)().array[1:].sum()

    values = jnp.array([3.0, 1.0, jnp.nan, 5.0, 4.0, 6.0])
    for kind, expected in {
        "max": [2.0, 0.0, 0.0, 2.0, 0.0, 1.0],
        "var": [2.0, -4.0, 0.0, 2.5, -7 / 6, 2 / 3],
    }.items():
        derivative = jax.grad(total)(values, kind)
        np.testing.assert_allclose(derivative, expected, rtol=1e-5, err_msg=kind)


def test_derivative_of_medians():
    def total(values, size):
        return NamedArray(values, "t").rolling(t=size, valid=True).median().array.sum()

    derivative = jax.grad(total)(jnp.array([3.0, 1.0, 2.0, 5.0, 4.0]), 2)
    np.testing.assert_allclose(derivative, [0.5, 1.0, 1.0, 1.0, 0.5])


def test_convolutions():
    values, kernels = np.arange(12.0).reshape(4, 3) ** 2, np.array([[1.0, 2.0], [3.0, -1.0]])
    a = NamedArray(jnp.asarray(values), ("t", "x"), coords={"t": [0, 1, 2, 3], "x": [1, 2, 3]})
    kernel = NamedArray(jnp.asarray(kernels), ("k", "t"))
    for mode in ("full", "same", "valid"):
        out = named.convolve(a, kernel, "t", mode)
        assert out.dims == ("t", "x", "k") and ("t" in out.coords) == (mode == "same")
        for x in range(3):
            for k in range(2):
                expected = np.convolve(values[:, x], kernels[k], mode)
                np.testing.assert_allclose(out.array[:, x, k], expected, rtol=1e-5)
    metres = NamedArray(Quantity(jnp.ones(4), "m"), "t")
    assert str(named.convolve(metres, metres.isel(t=[0, 1]), "t").units) == "meter ** 2"
    with pytest.raises(AxisSizeError) as error:
        named.convolve(kernel, a, "t")
    assert str(error.value).splitlines()[0] == (
        "`convolve` got a kernel of 4 for 2 places along 't'."
    )


def test_power_spectra():
    signal = pytest.importorskip("scipy.signal")
    values, t = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) * 500.0
    warm = NamedArray(Quantity(jnp.asarray(values), "degC"), ("t", "x"), {"t": Quantity(t, "ms")})
    frequencies, expected = signal.welch(values.T, 2.0, nperseg=32)
    out = named.welch(warm, "t", 32)
    assert out.dims == ("frequency", "x")
    found = out.to("kelvin**2/Hz").magnitude.array
    np.testing.assert_allclose(found, expected.T, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(
        out.coord("frequency").array.to("Hz").magnitude, frequencies, rtol=1e-6
    )
    power = jax.eval_shape(lambda a: named.welch(a, "t", 32, scaling="spectrum"), warm)
    assert str(power.units) == "delta_degree_Celsius ** 2"
    uneven = warm.assign_coords(t=np.arange(100.0) ** 2)
    with pytest.raises(CoordinateError) as error:
        named.welch(uneven, "t")
    assert str(error.value).splitlines()[0] == (
        "`welch` needs numbers as coordinates along 't', evenly spaced."
    )


CALENDARS = {
    "month": lambda a: a.sel(t="2000-02"),
    "slice": lambda a: a.sel(t=slice("2000-02", "2000-05")),
    "groups": lambda a: a.groupby("t.month").mean(),
    "seasons": lambda a: a.groupby("t.season").max(),
    "derivative": lambda a: a.differentiate("t", datetime_unit="D"),
    "blocks": lambda a: a.coarsen(t=3).mean(),
}


@pytest.mark.parametrize("name", CALENDARS)
@pytest.mark.parametrize("calendar", ["360_day", "noleap"])
def test_other_calendars(calendar, name):
    pytest.importorskip("cftime")
    days = xr.date_range("2000-01-01", periods=30, freq="17D", calendar=calendar, use_cftime=True)
    theirs = xr.DataArray(np.arange(30.0) ** 2, dims="t", coords={"t": days})
    close(CALENDARS[name](named.from_xarray(theirs)), CALENDARS[name](theirs))


def test_between_dates_of_other_calendars():
    pytest.importorskip("cftime")
    days = xr.date_range("2000-01-01", periods=4, freq="D", calendar="noleap", use_cftime=True)
    a = NamedArray(jnp.arange(4.0), "t", {"t": days})
    at = a.interp(t=days[1] + (days[2] - days[1]) / 2)
    assert float(at) == 1.5 and at.coord("t").array[()].hour == 12
