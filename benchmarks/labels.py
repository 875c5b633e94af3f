"""Named arrays against xarray: labels, windows, groups, and other labels to a compiled function."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from sciquax import named

from ._timing import Ratio, compare


def run() -> list[Ratio]:
    rng = np.random.default_rng(0)
    n = 100_000
    line = xr.DataArray(
        rng.normal(size=n).astype(np.float32), dims="x", coords={"x": np.arange(n) * 0.1}
    )
    months = pd.date_range("1950-01", periods=480, freq="MS")
    field = xr.DataArray(
        rng.normal(size=(480, 36, 72)).astype(np.float32), dims=("time", "lat", "lon"),
        coords={"time": months, "lat": np.linspace(-87.5, 87.5, 36)},
    )  # fmt: skip
    a, b = named.from_xarray(line), named.from_xarray(field)
    short = a.isel(x=slice(0, 20_000))
    wanted = line.x.values[rng.permutation(n)[:10_000]]
    labels = wanted[:100]
    climatology = jax.jit(lambda c: c.groupby("time.month") - c.groupby("time.month").mean())
    windows = [a.isel(x=slice(i, i + 1000)) for i in range(0, 2000, 100)]
    bare = [jnp.asarray(w.array) for w in windows]

    def centred(w):
        return w - w.mean()

    def plain_windows():
        f = jax.jit(lambda w: centred(w))
        return [f(w) for w in bare]

    def labelled_windows():
        f = named.jit(lambda w: centred(w))
        return [f(w).array for w in windows]

    return [
        compare("rolling(x=1000) of 20,000", lambda: line[:20_000].rolling(x=1000).mean().values,
                lambda: short.rolling(x=1000).mean().array, rounds=9, limit=1),
        compare("rolling(x=1000) of 100,000", lambda: line.rolling(x=1000).mean().values,
                lambda: a.rolling(x=1000).mean().array, rounds=9, limit=1),
        compare("rolling(x=1000).std() of 20,000",
                lambda: line[:20_000].rolling(x=1000).std().values,
                lambda: short.rolling(x=1000).std().array, rounds=5),
        compare("sel of 10,000 among 100,000", lambda: line.sel(x=wanted).values,
                lambda: a.sel(x=wanted).array, rounds=15, limit=3),
        compare("sel of 100 labels, one by one", lambda: [line.sel(x=v).values for v in labels],
                lambda: [a.sel(x=v).array for v in labels], rounds=9, limit=4),
        compare("anomaly by month, compiled",
                lambda: (field.groupby("time.month") - field.groupby("time.month").mean()).values,
                lambda: climatology(b).array, rounds=9, limit=1),
        compare("20 windows with other labels, against 20 plain ones", plain_windows,
                labelled_windows, rounds=5),
    ]  # fmt: skip
