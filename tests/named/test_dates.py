"""Arrays of dates and of spans of time: computed on the host as in xarray, or refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import named
from sciquax.named import AxisError, CoordinateError, NamedArray

pd = pytest.importorskip("pandas")
xr = pytest.importorskip("xarray")

DAYS = pd.date_range("2001-01-15", periods=12, freq="17D").values.astype("datetime64[us]")
HOLES = DAYS[::-1].copy()
HOLES[[2, 7]] = np.datetime64("NaT", "us")
KEYS = ("t", list("abcabbcabcaa"))


def theirs():
    data = np.stack([DAYS, HOLES])
    return xr.DataArray(data, dims=("x", "t"), coords={"t": DAYS, "k": KEYS})


def ours():
    beside = {"t": DAYS, "k": KEYS, "holes": ("t", HOLES)}
    a = NamedArray(jnp.zeros(12), ("t",), coords=beside)
    made = named.stack([a.coord("t").drop_coords(), a.coord("holes").drop_coords()], "x")
    return made.assign_coords(t=DAYS, k=KEYS)


def skipping(a):
    return {} if isinstance(a, xr.DataArray) else {"skipna": True}


def without(a):
    return a.drop_vars("k") if isinstance(a, xr.DataArray) else a.drop_coords("k")


PROGRAMS = {
    "mean": lambda a: a.mean("t", **skipping(a)),
    "max": lambda a: a.max("t", skipna=True),
    "max kept": lambda a: a.max("t"),
    "mean kept": lambda a: a.isel(x=0).mean("t"),
    "groups": lambda a: a.groupby("k").mean(),
    "last": lambda a: a.groupby("k").last(),
    "count": lambda a: a.groupby("k").count(),
    "months": lambda a: a.groupby("t.month").max(),
    "periods": lambda a: a.resample(t="1MS").min(),
    "blocks": lambda a: without(a).coarsen(t=5, boundary="trim").mean(),
    "where": lambda a: a.where(a > np.datetime64("2001-03-01")),
    "fillna": lambda a: a.fillna(np.datetime64("1999-01-01")),
    "shift": lambda a: a.shift(t=2),
    "spans": lambda a: (a - a.isel(t=0)).isel(x=0).mean("t"),
    "spans of groups": lambda a: (a - a.isel(t=0, drop=True)).isel(x=0).groupby("k").mean(),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_in_xarray(name):
    mine, other = PROGRAMS[name](ours()), PROGRAMS[name](theirs())
    assert set(mine.dims) == set(other.dims)
    made = np.asarray(mine.transpose(*other.dims).array)
    np.testing.assert_array_equal(made, other.values.astype(made.dtype))


@pytest.mark.parametrize(
    "program",
    [
        lambda t: t.rolling(t=2).mean(),
        lambda t: t.interp(t=DAYS[0]),
        lambda t: t.integrate("t"),
        lambda t: t.weighted(NamedArray(jnp.ones(12), ("t",))).mean("t"),
        lambda t: t.ffill("t"),
    ],
)
def test_refused_as_numbers(program):
    t = NamedArray(jnp.zeros(12), ("t",), coords={"t": DAYS}).coord("t")
    with pytest.raises(CoordinateError) as error:
        program(t)
    first, *_, last = str(error.value).splitlines()
    assert first == "This needs numbers, and got an array of datetime64[us]."
    assert last == (
        "For dates `t`, use the seconds since the first: `(t - t.isel(t=0)).dt.total_seconds()`."
    )


def test_medians():
    low, high = np.sort(HOLES)[4:6]  # missing ones come last
    middle = low + (high - low) // 2
    median = ours().median("t", skipna=True).array
    assert median.tolist() == [(DAYS[5] + (DAYS[6] - DAYS[5]) // 2).tolist(), middle.tolist()]


def test_sums_of_groups_are_refused():
    with pytest.raises(AxisError, match="`sum` of groups takes numbers, and got datetime64"):
        ours().groupby("k").sum()


@pytest.mark.parametrize(
    "program",
    [
        lambda t: t.roll(t=2),
        lambda t: t - t.isel(t=0),
        lambda t: (t - t.isel(t=0)).sum("t"),
        lambda t: (t - t.isel(t=0)).cumsum("t"),
        lambda t: (t - t.isel(t=0)) * 2,
        lambda t: (t - t.isel(t=0)) / pd.Timedelta("1D"),
    ],
)
def test_spans(program):
    mine, other = program(ours().isel(x=0)), program(theirs().isel(x=0))
    np.testing.assert_array_equal(np.asarray(mine.array), other.values)


TEXT = "`{}` needs numbers, and got an array of datetime64[us]."
REFUSED = {
    "sum": lambda t: t.sum("t"),
    "std": lambda t: t.std(),
    "exp": named.exp,
    "mul": lambda t: t * 2,
    "add": lambda t: named.ones({"t": 12}) + t,
}


@pytest.mark.parametrize("name", REFUSED)
def test_functions_of_numbers(name):
    with pytest.raises(CoordinateError) as error:
        REFUSED[name](ours().isel(x=0))
    assert str(error.value).splitlines()[0] == TEXT.format(name)
    with pytest.raises(CoordinateError, match=r"A named array holds numbers, and got .*\[us\]"):
        NamedArray(DAYS, "t")
