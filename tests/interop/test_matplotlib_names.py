"""Named arrays given to matplotlib: what it draws, labelled with units where that is enabled."""

import jax.numpy as jnp
import numpy as np
import pytest

from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, Quantity

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.units  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from sciquax.interop.matplotlib import plot_units  # noqa: E402

TIMES, VALUES = np.array([0.0, 1.0, 2.0, 4.0]), np.array([1.0, 4.0, 2.0, 8.0], np.float32)
PLAIN = NamedArray(jnp.asarray(VALUES), ("time",), {"time": TIMES})
HEIGHT = NamedArray(Quantity(jnp.asarray(VALUES), "m"), ("time",), {"time": Quantity(TIMES, "s")})

DRAWN = {
    "plot": lambda ax, x, y: ax.plot(x, y),
    "step": lambda ax, x, y: ax.step(x, y),
    "bar": lambda ax, x, y: ax.bar(x, y),
    "fill_between": lambda ax, x, y: ax.fill_between(x, y, 2 * y),
    "errorbar": lambda ax, x, y: ax.errorbar(x, y, yerr=y),
    "hlines": lambda ax, x, y: ax.hlines(y, 0 * x, x),
    "scatter": lambda ax, x, y: ax.scatter(x, y),
    "stem": lambda ax, x, y: ax.stem(x, y),
}
OF_NUMBERS = {
    "quiver": lambda ax, x, y: ax.quiver(x, y, y, 2 * y, y),
    "colours": lambda ax, x, y: ax.scatter(x, y, c=y),
    "hist": lambda ax, x, y: ax.hist(y),
    "imshow": lambda ax, x, y: ax.imshow(y.expand_dims("a") if hasattr(y, "dims") else y[None]),
    "pcolormesh": lambda ax, x, y: ax.pcolormesh(x, x[:1] if type(x) is np.ndarray else TIMES[:1],
                                                 y.expand_dims("a") if hasattr(y, "dims")
                                                 else y[None]),
}  # fmt: skip


def limits(draw, x, y):
    ax = Figure().subplots()
    draw(ax, x, y)
    return ax, ax.dataLim.bounds


@pytest.mark.parametrize("name", [*DRAWN, *OF_NUMBERS])
def test_drawn_as_numbers(name):
    draw = {**DRAWN, **OF_NUMBERS}[name]
    _, expected = limits(draw, TIMES, VALUES)
    np.testing.assert_allclose(limits(draw, PLAIN.coord("time"), PLAIN)[1], expected)
    with plot_units():
        ax, found = limits(draw, HEIGHT.coord("time"), HEIGHT)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    if name in DRAWN:
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("s", "m")


REFUSED = {
    **{name: lambda ax, n, name=name: getattr(ax, name)(n, n) for name in (
        "plot", "bar", "barh", "errorbar", "fill_between", "fill_betweenx", "hexbin", "hist2d",
        "scatter", "step")},
    **{name: lambda ax, n, name=name: getattr(ax, name)(n, n, n[:, None] * n) for name in (
        "contour", "contourf", "pcolor", "pcolormesh")},
    "hist": lambda ax, n: ax.hist(n),
    "hlines": lambda ax, n: ax.hlines(n, 0, 1),
    "quiver": lambda ax, n: ax.quiver(n, n, n, n),
    "vlines": lambda ax, n: ax.vlines(n, 0, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_plain_numbers_on_axes_with_units(name):
    with plot_units():
        ax = Figure().subplots()
        ax.xaxis.update_units(Quantity(1.0, "s"))
        ax.yaxis.update_units(Quantity(1.0, "m"))
        with pytest.raises(DimensionalityError, match=f"`{name}` got plain numbers for the . axis"):
            REFUSED[name](ax, VALUES)


def test_units():
    with plot_units():
        ax = Figure().subplots()
        ax.plot(HEIGHT.coord("time"), HEIGHT)
        (line,) = ax.plot(HEIGHT.coord("time"), HEIGHT.to("cm"))
        np.testing.assert_allclose(line.get_ydata(orig=False), VALUES)
        with pytest.raises(matplotlib.units.ConversionError):
            ax.plot(HEIGHT.coord("time"), HEIGHT * Quantity(1.0, "s"))
        with pytest.raises(DimensionalityError):
            HEIGHT.to_numpy()
    with pytest.raises(DimensionalityError):
        Figure().subplots().plot(HEIGHT)
