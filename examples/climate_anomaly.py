"""The North Atlantic Oscillation in 65 winters, by name and with units.

The height of the 500 hPa surface over the North Atlantic, one mean for each winter from 1948 to
2012, on a grid of latitude and longitude. From it: the anomaly from the mean winter, its
area-weighted mean, the trend at every place in metres a century, and the leading empirical
orthogonal function (EOF), the eigenvector of the covariance of every place with every other. No
line below says where an axis is stored.

Every number is checked against xarray and NumPy, and the EOF's index against the difference of
pressure heights that it is named for; then a picture is drawn:

    python examples/climate_anomaly.py [--output climate_anomaly.png] [--no-plot]

The data are the NCEP/NCAR reanalysis, E. Kalnay et al., "The NCEP/NCAR 40-Year Reanalysis
Project", Bull. Amer. Meteor. Soc. 77, 437 (1996), as the file `hgt_djf.nc` in the PyPI package
`eofs`: nothing is downloaded when this runs. The method is that of H. von Storch and F. W. Zwiers,
*Statistical Analysis in Climate Research*, chapter 13: anomalies weighted by the square root of the
cosine of latitude, so that equal areas count equally.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from pathlib import Path

import jax
import numpy as np
import xarray as xr

from sciquax import named
from sciquax.named import AxisError, NamedArray
from sciquax.units import Quantity

jax.config.update("jax_enable_x64", True)


def load() -> xr.DataArray:
    """Heights in metres, `(time, latitude, longitude)`, as xarray reads them."""
    package = importlib.util.find_spec("eofs")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / "examples" / "example_data" / "hgt_djf.nc"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file writes its reference year without zeros
        data = xr.open_dataset(path)["z"].isel(pressure=0, drop=True).load()
    # The file leaves out the unit; geopotential heights of this reanalysis are in metres.
    data = data.where(data.latitude < 89.0, drop=True)  # the pole is one place, not a circle
    data = data.assign_coords(latitude=data.latitude.astype(float))
    return data.assign_attrs(units="m")


@jax.jit
def analyse(height: NamedArray, year: NamedArray) -> dict[str, NamedArray]:
    """Anomaly, its area-weighted mean, the trend, and the leading EOF with its index.

    **Arguments**: `height`, with the names time, latitude and longitude and the coordinates of
    latitude; `year`, the time of each winter.
    """
    area = named.cos(height.coord("latitude"))
    anomaly = height - height.mean("time")
    mean = anomaly.weighted_mean(area, ("latitude", "longitude"))

    since = year - year.mean("time")
    trend = named.dot(since, anomaly, "time") / named.dot(since, since, "time")

    weighted = (anomaly * named.sqrt(area)).flatten(("latitude", "longitude"), "place")
    winters = weighted.sizes["time"]
    covariance = named.einsum(
        "time place, time place:place2 -> place place2", weighted, weighted
    ) / (winters - 1)
    variance, patterns = named.linalg.eigh(covariance, "place", "place2", "mode")
    leading = patterns.isel(mode=-1)
    index = weighted.dot(leading, "place")
    index = index / index.std("time", ddof=1)
    # The EOF in metres: how far the height departs where the index is one.
    pattern = named.dot(anomaly, index, "time") / (winters - 1)
    return {
        "anomaly": anomaly,
        "mean": mean,
        "trend": trend.to("m/century"),
        "share": variance.isel(mode=-1) / variance.sum("mode"),
        "index": index,
        "pattern": pattern,
    }


def check(found: dict[str, NamedArray], data: xr.DataArray, year: NamedArray) -> dict[str, float]:
    """The largest differences from what xarray and NumPy make of the same data."""
    anomaly = data - data.mean("time")
    weights = np.cos(np.deg2rad(data.latitude.astype(float)))
    years = np.asarray(year.m_as("year").array)
    slope = anomaly.assign_coords(time=years).polyfit("time", 1).polyfit_coefficients.sel(degree=1)
    weighted = (anomaly * np.sqrt(weights)).transpose("time", "latitude", "longitude")
    left, values, _ = np.linalg.svd(weighted.values.reshape(len(years), -1), full_matrices=False)
    index = left[:, 0] / left[:, 0].std(ddof=1)
    index *= np.sign(index @ np.asarray(found["index"].array))
    ours = {name: a.to_xarray() for name, a in found.items()}
    differences = {
        "anomaly (m)": abs(ours["anomaly"] - anomaly).max(),
        "mean (m)": abs(
            ours["mean"] - anomaly.weighted(weights).mean(("latitude", "longitude"))
        ).max(),
        "trend (m/century)": abs(ours["trend"] - 100.0 * slope).max(),
        "share": abs(ours["share"] - values[0] ** 2 / (values**2).sum()),
        "index": abs(np.asarray(found["index"].array) - index).max(),
    }
    return {name: float(x) for name, x in differences.items()}


def plot(found: dict[str, NamedArray], year: NamedArray, path: Path) -> None:
    """The EOF and the trend as maps, and the index and the mean anomaly through the winters."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 6.5), layout="constrained")
    for axis, name, title in (
        (axes[0, 0], "pattern", "Leading EOF of the 500 hPa height"),
        (axes[0, 1], "trend", "Trend of the 500 hPa height, 1948 to 2012"),
    ):
        field = found[name]
        limit = float(abs(field.magnitude).max())
        rows, columns = field.coord("latitude"), field.coord("longitude")
        image = axis.pcolormesh(
            columns.m_as("degree").array, rows.m_as("degree").array,
            field.magnitude.transpose("latitude", "longitude").array,
            cmap="RdBu_r", vmin=-limit, vmax=limit,
        )  # fmt: skip
        axis.set(title=title, xlabel="longitude (degrees east)", ylabel="latitude (degrees north)")
        figure.colorbar(image, ax=axis, label=f"height ({field.units:~P})")
    winters = year.m_as("year").array
    axes[1, 0].bar(winters, found["index"].array, color="tab:blue")
    axes[1, 0].set(title="Index of the leading EOF", xlabel="year", ylabel="standard deviations")
    mean = found["mean"]
    axes[1, 1].plot(winters, mean.magnitude.array, color="0.7", label="winter")
    axes[1, 1].plot(winters, mean.rolling(time=9, center=True).mean().magnitude.array,
                    color="tab:red", label="mean of nine")  # fmt: skip
    axes[1, 1].set(title="Area-weighted mean anomaly", xlabel="year",
                   ylabel=f"height ({mean.units:~P})")  # fmt: skip
    axes[1, 1].legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("climate_anomaly.png"))
    parser.add_argument("--no-plot", action="store_true")
    options = parser.parse_args()

    data = load()
    height = named.from_xarray(data)
    days = (data.time.values - data.time.values[0]) / np.timedelta64(1, "D")
    year = NamedArray(Quantity(jax.numpy.asarray(days), "day"), ("time",)).to("year")
    year = (year + Quantity(1948.0, "year")).assign_coords(time=data.time.values)
    print(height.__short__())

    found = analyse(height, year)
    sign = found["pattern"].sel(latitude=Quantity(65.0, "degree")).mean("longitude") > Quantity(
        0, "m"
    )
    for name in ("index", "pattern"):  # an eigenvector has no sign: low over Iceland is positive
        found[name] = named.where(sign, -1.0 * found[name], found[name])
    for name in ("mean", "trend", "index", "pattern"):
        print(f"{name:>8}: {found[name].__short__()}")
    print(f"   share: {float(found['share']):.1%} of the variance")
    strongest = found["trend"].max(("latitude", "longitude"))
    print(f"The height rose by up to {float(strongest.magnitude):.1f} {strongest.units:~P}.")

    differences = check(found, data, year)
    for name, difference in differences.items():
        print(f"from xarray: {name:<18} {difference:.1e}")
    assert max(differences.values()) < 1e-6, "not what xarray says"

    iceland = {"latitude": Quantity(65.0, "degree"), "longitude": Quantity(-22.5, "degree")}
    azores = {"latitude": Quantity(37.5, "degree"), "longitude": Quantity(-25.0, "degree")}
    stations = found["anomaly"].sel(azores) - found["anomaly"].sel(iceland)
    together = (stations * found["index"]).mean("time") / stations.std("time")
    print(f"Correlation of the index with Azores minus Iceland: {float(together):.2f}")

    try:
        height.mean("tiem")
    except AxisError as error:
        print(f"A misspelt name:\n{error}")
    if not options.no_plot:
        plot(found, year, options.output)


if __name__ == "__main__":
    main()
