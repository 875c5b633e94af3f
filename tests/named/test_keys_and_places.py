"""Groups by several keys, stacks, places of extremes, ranks, labels of padding: as in xarray."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import rankdata

from sciquax import grad, named
from sciquax.named import AxisError, CoordinateError, NamedArray
from sciquax.units import Quantity

from .test_groups import assert_equal

xr = pytest.importorskip("xarray")

RNG = np.random.default_rng(3)
VALUES = RNG.normal(size=(2, 3, 8)).astype(np.float32)
VALUES[RNG.random(VALUES.shape) < 0.15] = np.nan
TIMES = np.datetime64("2001-01-20", "ns") + 11 * np.arange(8) * np.timedelta64(1, "D")
COORDS = {
    "lat": [10.0, -20.0, 30.0], "t": TIMES, "kind": ("t", list("abcabbcc")), "run": 5,
}  # fmt: skip
THEIRS = xr.DataArray(VALUES, dims=("z", "lat", "t"), coords=COORDS)
OURS = named.from_xarray(THEIRS)


def unstacked(a, names):
    return a.unstack("s") if isinstance(a, xr.DataArray) else a.unflatten("s", names)


def whole(a):
    return a.fillna(0.0)


def weighted(a):
    shares = np.array([0.0, 0.5, 2.0], np.float32)
    made = xr.DataArray if isinstance(a, xr.DataArray) else NamedArray
    return a.weighted(made(shares, dims=("lat",)))


NAN = np.nan
PROGRAMS = {
    "two keys": lambda a: a.groupby(["lat", "t.month"]).mean(),
    "keys of one axis": lambda a: a.transpose("t", ...).groupby(["t.month", "kind"]).max(),
    "count of keys": lambda a: a.groupby(["kind", "lat"]).count(),
    "stacked": lambda a: unstacked(a.stack(s=("t", "lat")).isel(s=[0, 5, 7, 3]), ("t", "lat")),
    "stacked whole": lambda a: unstacked(a.stack(s=("lat", "t")), ("lat", "t")),
    "stacked known": lambda a: unstacked(a.isel(z=0).stack(s=("lat", "t")).dropna("s"),
                                         ("lat", "t")),
    "place of two": lambda a: whole(a).argmax(["lat", "t"])["t"],
    "place of all": lambda a: a.argmin(..., skipna=True)["lat"],
    "repeated": lambda a: a.pad(t=(2, 1), mode="reflect"),
    "missing": lambda a: a.pad(lat=(1, 2), constant_values=0.0),
    "place in windows": lambda a: a.rolling(t=3, min_periods=2, center=True).argmax(),
    "place in whole windows": lambda a: a.rolling(t=3).argmin(),
    "over another name": lambda a: a.groupby("t.month").std("lat"),
    "label of an extreme": lambda a: a.idxmin("lat"),
    "weighted quantile": lambda a: weighted(a).quantile(0.3, dim="lat"),
    "weighted quantiles": lambda a: weighted(a).quantile([0.0, 0.6], dim="lat", skipna=False),
    "windows": lambda a: a.rolling(t=4, center=True).construct("w", fill_value=NAN, stride=2),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_in_xarray(name):
    program = PROGRAMS[name]
    expected = program(THEIRS)
    made = program(OURS)
    if name == "stacked":  # in the order that the labels have here
        expected = expected.sortby("lat")
    assert_equal(made, expected)
    assert int(made.coord("run")) == 5
    if name in ("two keys", "stacked whole", "windows"):
        assert_equal(jax.jit(program)(OURS), expected)


def test_arithmetic_of_several_keys():
    made = jax.jit(lambda a: a.groupby(["kind", "lat"]) - a.groupby(["kind", "lat"]).mean())(OURS)
    for kind in "abc":
        chosen = np.array(list("abcabbcc")) == kind
        mean = np.nanmean(VALUES[:, :, chosen], axis=2, keepdims=True)
        np.testing.assert_allclose(made.array[:, :, chosen], VALUES[:, :, chosen] - mean, atol=1e-6)
    assert made.dims == OURS.dims and list(made.coord("kind").array) == list("abcabbcc")
    counted = OURS.groupby(["kind", "t.month"]).count("lat").array
    np.testing.assert_array_equal(counted, OURS.count("lat").array)
    with pytest.raises(CoordinateError, match="The operand has nothing for the group c"):
        OURS.groupby(["kind", "lat"]) * OURS.groupby(["kind", "lat"]).max().isel(kind=[0, 1])


def test_weighted_quantiles():
    program = lambda a: a.weighted(ONES).quantile(0.3, "t")
    expected = LENGTHS.quantile(0.3, "t").array
    np.testing.assert_allclose(program(LENGTHS).array.m_as("m"), expected.m_as("m"), rtol=1e-6)
    slope = grad(lambda a: program(a).sum())(LENGTHS)  # between the two smallest, at 0.9
    np.testing.assert_allclose(slope.array, [[0.1, 0, 0.9, 0], [0.9, 0.1, 0, 0]], atol=1e-6)
    assert float(program(LENGTHS).coord("quantile")) == 0.3
    with pytest.raises(AxisError, match=r"`quantile` got 30\."):
        LENGTHS.weighted(ONES).quantile(30)


def test_labels_of_a_stack():
    a = OURS.stack(s=("lat", "t"))
    assert a.dims == ("z", "s") and a.coord("kind").dims == ("s",)
    np.testing.assert_array_equal(a.coord("lat").array, np.repeat([10.0, -20.0, 30.0], 8))
    np.testing.assert_array_equal(a.sel(s=a.coord("lat") > 20).array, VALUES[:, 2])
    padded = OURS.pad(t=1)
    assert np.isnat(padded.coord("t").array[[0, -1]]).all() and "kind" not in padded.coords


def test_ranks():
    expected = np.apply_along_axis(
        lambda x: np.where(np.isnan(x), np.nan, rankdata(x, nan_policy="omit")), 2, VALUES
    )
    np.testing.assert_array_equal(OURS.rank("t").array, expected)
    ties = NamedArray(Quantity(jnp.array([3, 1, 3, 2]), "m"), ("t",))
    assert jax.jit(lambda a: a.rank("t", pct=True))(ties).array.tolist() == [
        0.875,
        0.25,
        0.875,
        0.5,
    ]


LENGTHS = NamedArray(
    Quantity(jnp.array([[1.0, 4.0, 2.0, 8.0], [3.0, 1.0, 5.0, 9.0]]), "m"), ("x", "t"),
    {"x": Quantity(np.array([1.0, 2.0]), "km"), "t": TIMES[:4], "kind": ("t", list("abab"))},
)  # fmt: skip
ONES = named.ones({"t": 4})
SLOPES = {
    "keys": (lambda a: a.groupby(["kind", "x"]).mean().sum(), 0.5),
    "groups": (lambda a: a.groupby("kind").sum().sum(), 1.0),
    "filled": (lambda a: a.fillna(0.0).sum(), 1.0),
    "shifted": (lambda a: a.roll(t=1).pad(x=1).sum(), 1.0),
    "windows": (lambda a: a.rolling(t=2, min_periods=1).sum().sum(), [2.0, 2.0, 2.0, 1.0]),
    "stacked": (lambda a: a.stack(s=("x", "t")).unflatten("s", ("x", "t")).sum(), 1.0),
    "chosen": (lambda a: a.sel(x=Quantity(1000.0, "m")).sum(), [[1.0], [0.0]]),
    "between": (lambda a: a.interp(x=Quantity(1250.0, "m")).sum(), [[0.75], [0.25]]),
    "convolved": (lambda a: named.convolve(a, ONES, "t").sum(), 4.0),
    "mapped": (lambda a: named.cmap(lambda v: jnp.sort(v).sum())(a.untag("x")).sum(), 1.0),
    "each": (lambda a: named.named_vmap(lambda v: v.max("x"), over="t")(a).isel(t=1),
             [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]),
    "scanned": (lambda a: named.fold(lambda c, v: c + v, a.isel(t=0), a, "t").isel(x=1),
                [[0.0] * 4, [2.0, 1.0, 1.0, 1.0]]),
    "weighted": (lambda a: a.weighted(ONES).mean("t").sum(), 0.25),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_of_quantities(name):
    program, expected = SLOPES[name]
    slope = grad(program)(LENGTHS)
    assert slope.dims == LENGTHS.dims
    np.testing.assert_allclose(slope.array, np.broadcast_to(expected, (2, 4)), rtol=1e-5)


REFUSED = {
    "one key twice": (lambda a: a.groupby(["lat", "lat"]), AxisError,
                      "`groupby` got the name 'lat' twice."),
    "bins of keys": (lambda a: a.groupby(["kind", "lat"], bins=3), AxisError,
                     "`groupby` by several keys takes no bins and no options."),
    "no labels": (lambda a: a.unflatten("t", ("lat2", "kind")), AxisError,
                  "`unflatten` got 'lat2' without a size, and 't' has no labels of that name."),
    "labels twice": (lambda a: a.stack(s=("lat", "t")).unflatten("s", ("lat", "kind")),
                     CoordinateError,
                     "`unflatten` got several elements for one place of ('lat', 'kind')."),
    "windows of two": (lambda a: a.rolling(t=2, lat=2).argmax(), AxisError,
                       "The places within windows are along one name."),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    program, kind, message = REFUSED[name]
    with pytest.raises(kind) as error:
        program(OURS)
    assert str(error.value).splitlines()[0] == message
