"""Random chains of operations with coordinates, dates, nans and integers: equal to xarray's."""

from collections.abc import Callable
from typing import Any

import hypothesis
import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import strategies as st

from sciquax import named

from .test_groups import assert_equal

DATES = {
    "days": pd.date_range("2000-11-20", periods=12, freq="9D"),
    "hours": pd.date_range("1999-12-31T07:00", periods=12, freq="5h"),
    "seconds": 1.7e9 + 60.0 * np.arange(12) ** 1.5,
    "julian": 2451545.0 + np.arange(12) / 8,
    "milliseconds": 1_700_000_000_000 + 1000 * np.arange(12),
}
LATITUDES = {
    "up": np.array([-60.0, -20.0, 10.0, 65.0]), "down": np.array([70.0, 20.0, -10.0, -50.0]),
}  # fmt: skip

Op = Callable[[Any, Any], Any]  # of an array, ours or xarray's, and of numbers that were drawn


def _has(name: str, op: Op) -> Op:
    """An operation along a name, where the array has it with coordinates."""

    def applied(a: Any, k: Any) -> Any:
        sizes = dict(a.sizes)
        return op(a, k) if name in sizes and name in a.coords and sizes[name] > 3 else a

    return applied


def _dated(op: Op) -> Op:
    def applied(a: Any, k: Any) -> Any:
        if "t" not in a.coords or a.sizes["t"] < 4:
            return a
        return op(a, k) if np.asarray(_coordinate(a, "t")).dtype.kind == "M" else a

    return applied


def _coordinate(a: Any, name: str) -> Any:
    return a[name] if isinstance(a, xr.DataArray) else a.coord(name)


def _label(a: Any, name: str, k: int) -> Any:
    values = np.asarray(_coordinate(a, name))
    return values[k % len(values)]


def _skipping(a: Any) -> dict[str, Any]:
    return {} if isinstance(a, xr.DataArray) else {"skipna": True}


def _slice(a: Any, name: str, k: int) -> Any:
    ends = sorted([k % 3, 2 + k % 2])
    return a.sel({name: slice(_label(a, name, ends[0]), _label(a, name, ends[1]))})


def _floats(a: Any) -> Any:
    return a if a.dtype.kind == "f" else a.astype("float32")


def _anomaly(groups: Any) -> Any:
    return groups - groups.mean()


def _whole(a: Any) -> Any:
    return _floats(a).fillna(0.0)


def _unstacked(a: Any) -> Any:
    both = ("t", "lat")
    return a.unstack("z") if isinstance(a, xr.DataArray) else a.unflatten("z", both)


def _of_both(op: Op) -> Op:
    return _has("lat", _has("t", op))


OPERATIONS: dict[str, Op] = {
    "isel": _has("t", lambda a, k: a.isel(t=slice(k % 3, None))),
    "places": _has("t", lambda a, k: a.isel(t=[k % 3, 1, 3])),
    "sel": _has("t", lambda a, k: a.sel(t=_label(a, "t", k))),
    "sel several": _has("lat", lambda a, k: a.sel(lat=[_label(a, "lat", k), _label(a, "lat", 1)])),
    "sel slice": _has("t", lambda a, k: _slice(a, "t", k)),
    "sel latitudes": _has("lat", lambda a, k: _slice(a, "lat", k)),
    "nearest": _has("lat", lambda a, k: a.sel(lat=[7.0 * k - 30], method="nearest")),
    "where": _has("lat", lambda a, k: a.where(_coordinate(a, "lat") > 10.0 * k - 30)),
    "where drop": _has("lat", lambda a, k: a.where(_coordinate(a, "lat") > -30.0, drop=True)),
    "fillna": lambda a, k: a.fillna(float(k)),
    "shift": _has("t", lambda a, k: a.shift(t=k % 5 - 2)),
    "roll": _has("t", lambda a, k: a.roll(t=k, roll_coords=bool(k % 2))),
    "sortby": _has("lat", lambda a, k: a.sortby("lat", ascending=bool(k % 2))),
    "diff": _has("t", lambda a, k: a.diff("t")),
    "cumsum": _has("t", lambda a, k: _whole(a).cumsum("t")),
    "mean": _has("t", lambda a, k: a.mean("t", **_skipping(a))),
    "max": _has("lat", lambda a, k: a.max("lat", **_skipping(a))),
    "std": _has("t", lambda a, k: _floats(a).std("t", ddof=k % 2, **_skipping(a))),
    "sum": _has("lat", lambda a, k: _floats(a).sum("lat", **_skipping(a))),
    "anomaly": _has("t", lambda a, k: _floats(a) - _floats(a).mean("t", **_skipping(a))),
    "rolling": _has("t", lambda a, k: a.rolling(t=2 + k % 2, min_periods=1 + k % 2).mean()),
    "rolling max": _has("t", lambda a, k: a.rolling(t=3, center=bool(k % 2)).max()),
    "coarsen": _has("t", lambda a, k: a.coarsen(t=2 + k % 2, boundary="trim").mean()),
    "months": _dated(lambda a, k: a.groupby("t.month").mean()),
    "seasonal": _dated(lambda a, k: _anomaly(_floats(a).groupby("t.season"))),
    "by label": _has("lat", lambda a, k: a.groupby("lat").max()),
    "resample": _dated(
        lambda a, k: a.sortby("t").resample(t=["1MS", "2D", "12h"][k % 3]).mean()
    ),
    "interp": _has("lat", lambda a, k: _whole(a).interp(lat=[5.0 * k - 20, 0.5])),
    "differentiate": _has("lat", lambda a, k: a.differentiate("lat")),
    "differentiate t": _has("t", lambda a, k: _whole(a).differentiate("t", datetime_unit="h")),
    "integrate": _has("t", lambda a, k: _whole(a).integrate("t", datetime_unit="h")),
    "reindex": _has("lat", lambda a, k: a.reindex(lat=[10.0, 20.0, -50.0])),
    "drop_sel": _has("t", lambda a, k: a.drop_sel(t=_label(a, "t", k))),
    "idxmax": _has("lat", lambda a, k: _floats(a).fillna(-99.0).idxmax("lat")),
    "transpose": lambda a, k: a.transpose(*sorted(a.dims)),
    "notnull": lambda a, k: a.notnull(),
    "dropna": _has("t", lambda a, k: a.dropna("t", how="all")),
    "clip": lambda a, k: a.clip(-float(k), float(k)) if a.dtype.kind == "f" else a,
    "two keys": _of_both(_dated(lambda a, k: a.groupby(["lat", "t.month"]).mean())),
    "keys of one": _dated(lambda a, k: a.groupby(["t.year", "t.month"]).max()),
    "stacked": _of_both(lambda a, k: _unstacked(a.stack(z=("t", "lat")).isel(z=slice(k, None)))),
    "places of largest": _of_both(
        lambda a, k: _whole(a).argmax(["lat", "t"])["t"].astype("float32")
    ),
    "padded": _has("t", lambda a, k: a.pad(t=(k % 3, 1), mode=["edge", "wrap", "reflect"][k % 3])),
    "place in windows": _has("t", lambda a, k: a.rolling(t=3, min_periods=1 + k % 3).argmax()),
    "windows": _has("t", lambda a, k: _floats(a).rolling(t=2 + k % 2).construct(
        "w", fill_value=np.nan).sum("w", **_skipping(a))),
    "month of": _dated(lambda a, k: a.where(_coordinate(a, "t").dt.month != 12)),
}  # fmt: skip

CHAINS = st.lists(
    st.tuples(st.sampled_from(list(OPERATIONS)), st.integers(0, 6)), min_size=1, max_size=4
)


def specimen(kind: str, time: str, order: str) -> xr.DataArray:
    rng = np.random.default_rng(1)
    values: Any = rng.normal(size=(4, 12)).astype(np.float32) * 4
    if kind == "nans":
        values = np.where(rng.random(values.shape) < 0.25, np.nan, values).astype(np.float32)
    elif kind != "floats":
        values = np.abs(values * 20).astype(kind)
    coords = {"lat": LATITUDES[order], "t": DATES[time]}
    return xr.DataArray(values, dims=("lat", "t"), coords=coords)


def check(kind: str, time: str, order: str, chain: list[tuple[str, int]]) -> None:
    theirs = specimen(kind, time, order)
    ours = named.from_xarray(theirs)
    for name, k in chain:
        before = theirs
        try:
            with np.errstate(all="ignore"):
                theirs = OPERATIONS[name](theirs, k)
        except (KeyError, ValueError, TypeError, IndexError, NotImplementedError):
            hypothesis.reject()  # not for xarray either
        if _beyond(before, theirs):
            hypothesis.reject()
        ours = OPERATIONS[name](ours, k)
        rtol = 2e-3 if name.startswith("differentiate t") else 1e-3
        numbers = theirs.dtype.kind in "fiu" and theirs.size > 0
        scale = float(np.nanmax(np.abs(theirs.values.astype(float)))) if numbers else 0.0
        # Sums that cancel are exact to the size of what is summed.
        assert_equal(ours, theirs, rtol=rtol, dims=False, atol=1e-5 * max(scale, 100.0))


def _beyond(before: xr.DataArray, after: xr.DataArray) -> bool:
    """Whether the numbers are beyond what single precision and JAX's integers compare by."""
    if after.size == 0 or after.dtype.kind not in "fiu":
        return after.size == 0 or after.dtype.kind == "O"  # flags and nans in one array
    largest = np.nanmax(np.abs(after.values.astype(float)), initial=0.0)
    # JAX keeps integers of 8 and 16 bits where NumPy's sums are wider.
    wraps = before.dtype.kind in "iu" and after.dtype != before.dtype and after.dtype.kind in "iu"
    return bool(largest > 1e6 or wraps)


ARGUMENTS = {
    "kind": st.sampled_from(["floats", "nans", "int32", "uint8"]),
    "time": st.sampled_from(list(DATES)),
    "order": st.sampled_from(list(LATITUDES)),
    "chain": CHAINS,
}


def thorough(count):
    health = list(hypothesis.HealthCheck)
    return hypothesis.settings(max_examples=count, deadline=None, suppress_health_check=health)


@pytest.mark.filterwarnings("ignore")  # NumPy's and pandas', from xarray
@hypothesis.given(**ARGUMENTS)
@thorough(12)
def test_chains(kind, time, order, chain):
    with jax.numpy_dtype_promotion("standard"):
        check(kind, time, order, chain)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@hypothesis.given(**ARGUMENTS)
@thorough(1000)
def test_a_thousand_chains(kind, time, order, chain):
    with jax.numpy_dtype_promotion("standard"):
        check(kind, time, order, chain)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation(name):
    with jax.numpy_dtype_promotion("standard"):
        check("nans", "days", "up", [(name, 3)])
        check("uint8", "seconds", "down", [(name, 2)])
