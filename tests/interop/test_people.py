"""Quantities shown, drawn, stored, and in other libraries' containers; each both ways."""

import copy
import io
import json as stdlib_json
import pickle
import warnings

import beartype
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jaxtyping import Float, TypeCheckError, jaxtyped

from sciquax.interop import (
    equinox as sq_equinox,
    hypothesis as sq_hypothesis,
    json as sq_json,
    pint as sq_pint,
)
from sciquax.units import DimensionalityError, Quantity, constants, get_registry, pi_theorem
from tests.helpers import assert_raises, assert_same

UREG = get_registry()
X = jnp.array([1.5, -2.25, 3.0])
Q = Quantity(X, "km/hour")
TREE = {
    "x": Q,
    "n": (Quantity(jnp.int32(3), "s"), jnp.arange(2.0)),
    "t": Quantity(jnp.ones((2, 2)), "degC"),
}


# -- shown


@pytest.mark.parametrize(
    "spec",
    ["", "~P", "P", "L", "~L", "Lx", "H", "~H", "C", "~C", "D", ".3f~P", ".1e", ".2fL", "#~P"],
)
def test_formats_are_pints(spec):
    for x, unit in ((1234.5, "m/s**2"), (0.25, "km"), (3.0, "")):
        assert format(Quantity(x, unit), spec) == format(UREG.Quantity(x, unit), spec)
    if spec in ("", "~P", "P", ".3f~P", "~C"):
        shown = format(UREG.Quantity(np.array([1.5, -2.25, 3.0]), "km/hour"), spec)
        assert format(Q, spec) == shown


def test_rich_display():
    assert f"{Quantity(0.1, 'm'):~P}" == "0.1 m"  # not single precision's 0.10000000149
    assert Quantity(0.1, "m/s")._repr_latex_() == r"$0.1\ \frac{\mathrm{m}}{\mathrm{s}}$"
    assert Quantity(0.1, "m")._repr_html_() == "0.1 m"
    assert "[1.5 -2.25 3.0]" in Q._repr_html_() and "km/h" in Q._repr_html_()
    assert Q._repr_latex_().startswith(r"$\begin{pmatrix}1.5 & -2.25 & 3.0\end{pmatrix}\ \frac")
    matrix = Quantity(np.array([[1, 2], [3, 4]]), "m")
    assert f"{matrix:.1f~L}" == r"\begin{pmatrix}1.0 & 2.0 \\ 3.0 & 4.0\end{pmatrix}\ \mathrm{m}"
    seen = []

    @jax.jit
    def f(q):
        seen.extend([repr(q), str(q), f"{q:.2f~P}", q._repr_html_(), f"{q}"])
        return q

    f(Q)
    assert seen == [
        "Quantity(f32[3], 'km/h')", "f32[3] kilometer / hour", "f32[3] km/h",
        "f32[3] km/h", "f32[3] kilometer / hour",
    ]  # fmt: skip
    assert repr(eqx.filter_eval_shape(lambda: Q)) == "Quantity(f32[3], 'km/h')"
    big = Quantity(jnp.zeros(5000), "m")
    assert len(big._repr_html_()) < 500 and len(repr(big)) < 500


def test_annotations_with_beartype():
    @jaxtyped(typechecker=beartype.beartype)
    def speed(x: Float[Quantity["m"], "n"], t: Quantity["[time]"]) -> Float[Quantity["m/s"], "n"]:
        return x / t

    out = speed(Quantity(X, "km"), Quantity(2.0, "hour"))
    assert out.dimensionality == UREG.get_dimensionality("[speed]")
    for x, t in (
        (Q, Quantity(1.0, "s")),
        (Quantity(X, "m"), Quantity(1.0, "m")),
        (X, Quantity(1.0, "s")),
    ):
        with pytest.raises(TypeCheckError):
            speed(x, t)
    assert isinstance(Q, Quantity["m/s"] | None) and not isinstance(Q, Quantity["m"])


def test_annotations_with_typeguard():
    typeguard = pytest.importorskip("typeguard")

    typeguard.check_type(Quantity(2.0, "hour"), Quantity["s"])
    with pytest.raises(typeguard.TypeCheckError):
        typeguard.check_type(Quantity(2.0, "m"), Quantity["s"])


# -- drawn


@pytest.fixture
def axes():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    figure, ax = plt.subplots()
    with plot_units():
        yield ax
    plt.close(figure)


def test_axes_are_labelled_and_converted(axes):
    t, h = Quantity(jnp.array([0.0, 1.0, 2.0]), "s"), Quantity(jnp.array([1.0, 2.0, 4.0]), "km")
    axes.plot(t, h)
    (line,) = axes.plot(t.to("minute"), h.to("m"))
    axes.figure.canvas.draw()
    assert axes.get_xlabel() == "s" and axes.get_ylabel() == "km"
    np.testing.assert_allclose(line.get_xdata(orig=False), [0.0, 1.0, 2.0], atol=1e-6)
    np.testing.assert_allclose(line.get_ydata(orig=False), [1.0, 2.0, 4.0], rtol=1e-6)
    axes.yaxis.set_units(UREG.m)
    axes.figure.canvas.draw()
    np.testing.assert_allclose(line.get_ydata(orig=False), [1e3, 2e3, 4e3], rtol=1e-6)
    axes.axhline(Quantity(3.0, "km"))
    axes.set_ylim(Quantity(0.0, "m"), Quantity(5.0, "km"))
    np.testing.assert_allclose(axes.get_ylim(), [0.0, 5000.0])
    with pytest.raises((DimensionalityError, Exception)) as caught:
        axes.plot(t, t)
        axes.figure.canvas.draw()
    assert "s" in str(caught.value)


def test_other_plots(axes):
    t, h = Quantity(jnp.array([0.0, 1.0, 2.0]), "s"), Quantity(jnp.array([1.0, 2.0, 4.0]), "km")
    axes.scatter(t, h)
    axes.fill_between(t, h, h.to("m") * 2.0)
    axes.errorbar(t, h, yerr=Quantity(jnp.array([100.0, 200.0, 300.0]), "m"))
    axes.figure.canvas.draw()
    assert axes.get_ylabel() == "km"
    assert axes.dataLim.y1 < 10.0  # kilometres


TIMES = Quantity(jnp.arange(3.0), "s")
HEIGHTS = Quantity(jnp.array([1.0, 2.0, 4.0]), "km")
FIELD = Quantity(jnp.arange(9.0).reshape(3, 3), "K")


def _of(numbers):
    return np.asarray(numbers).ravel().tolist()


# What is drawn, what numbers matplotlib then has, and in which units the axes are.
DRAWN = {
    "scatter": (
        lambda ax: ax.scatter(TIMES, HEIGHTS, c=FIELD[0], vmax=Quantity(1500.0, "mK")).get_clim(),
        [0.0, 1.5], "s", "km",
    ),
    "pcolormesh": (
        lambda ax: ax.pcolormesh(TIMES, HEIGHTS, FIELD).get_array(), range(9), "s", "km",
    ),
    "contourf": (
        lambda ax: ax.contourf(
            TIMES, HEIGHTS, FIELD, levels=Quantity(jnp.array([1e3, 2e3]), "mK")
        ).levels,
        [1.0, 2.0], "s", "km",
    ),
    "quiver": (
        lambda ax: ax.quiver(TIMES, HEIGHTS, HEIGHTS, 2.0 * HEIGHTS.to("m")).V,
        [2.0, 4.0, 8.0], "s", "km",
    ),
    "hist": (
        lambda ax: ax.hist(HEIGHTS, bins=Quantity(jnp.array([0.0, 1500.0, 5000.0]), "m"))[0],
        [1.0, 2.0], "km", "",
    ),
    "boxplot": (lambda ax: ax.boxplot(HEIGHTS)["medians"][0].get_ydata(), [2.0, 2.0], "", "km"),
    "imshow": (lambda ax: ax.imshow(FIELD).get_array(), range(9), "", ""),
    "stem": (lambda ax: ax.stem(TIMES, HEIGHTS).markerline.get_ydata(), [1, 2, 4], "s", "km"),
    "list": (lambda ax: ax.plot([*TIMES], [*HEIGHTS])[0].get_ydata(False), [1, 2, 4], "s", "km"),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_colours_arrows_and_counts(axes, name):
    draw, expected, x, y = DRAWN[name]
    np.testing.assert_allclose(_of(draw(axes)), [*expected], rtol=1e-6)
    assert (axes.get_xlabel(), axes.get_ylabel()) == (x, y)


def test_a_colour_bar_has_the_unit(axes):
    bar = axes.figure.colorbar(axes.pcolormesh(TIMES, HEIGHTS, FIELD))
    assert bar.ax.get_ylabel() == "K"


def test_numbers_and_quantities_do_not_share_an_axis(axes):
    axes.plot(TIMES, HEIGHTS)
    assert_raises(
        DimensionalityError,
        lambda: axes.scatter(TIMES, np.arange(3.0)),  # HERE
        "`scatter` got plain numbers for the y axis, which is in 'km'.\n{place}\n"
        "Give them a unit, or draw them on axes of their own.",
        at=test_numbers_and_quantities_do_not_share_an_axis,
    )
    other = axes.twinx()
    other.plot(TIMES, np.arange(3.0))
    with pytest.raises(DimensionalityError, match="for the y axis, which has plain numbers"):
        other.plot(TIMES, HEIGHTS)


def test_without_it_plots_are_refused():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()

    def call():
        ax.plot(Quantity(jnp.array([0.0, 1.0]), "s"))  # HERE

    assert_raises(
        DimensionalityError,
        call,
        "`np.asarray` takes numbers, and got Quantity(f32[2], 's') in 's'.\n{place}\n"
        "Call `sciquax.interop.matplotlib.enable()` first, or use `.m_as(unit)` for the magnitude "
        "in a unit of your choice.",
    )
    plt.close(figure)


def test_what_matplotlib_does_not_convert_is_refused(axes):
    with pytest.raises(DimensionalityError, match="matplotlib takes numbers alone here: use"):
        axes.tripcolor(TIMES, TIMES, TIMES)


def test_hexagons(axes):
    x, y, c = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    ends = (-2.0, 2.0, -3.0, 3.0)
    plain = axes.figure.subplots().hexbin(x, y, C=c, gridsize=4, extent=ends)
    limits = [Quantity(v, u) for v, u in zip(ends, ("m", "m", "s", "s"), strict=True)]
    x, y, c = Quantity(x, "m").to("cm"), Quantity(y, "s"), Quantity(c, "K")
    drawn = axes.hexbin(x, y=y, C=c, gridsize=4, extent=limits)
    np.testing.assert_allclose(drawn.get_array(), plain.get_array(), rtol=1e-5)
    np.testing.assert_allclose(drawn.get_offsets(), plain.get_offsets() * [100, 1], atol=1e-4)
    assert axes.figure.colorbar(drawn).ax.get_ylabel() == "K"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("cm", "s")
    with pytest.raises(DimensionalityError, match="`hexbin` got plain numbers for the x axis"):
        axes.hexbin(np.zeros(3), y[:3])


def test_streams_have_the_slopes_of_the_axes(axes):
    x, y = np.linspace(-2, 2, 5, dtype=np.float32), np.linspace(-1, 1, 4, dtype=np.float32)
    u, v = 1 + 0 * x + y[:, None] ** 2, x + 0 * y[:, None]
    plain = axes.figure.subplots().streamplot(x, y, u, v, density=0.3)
    lengths = Quantity(x, "km"), Quantity(y, "m")
    speeds = Quantity(u, "km/s"), Quantity(v * 100, "cm/s")
    drawn = axes.streamplot(*lengths, *speeds, density=0.3)
    for ours, theirs in zip(drawn.lines.get_segments(), plain.lines.get_segments(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    coloured = axes.streamplot(*lengths, *speeds, density=0.3, color=speeds[0])
    assert axes.figure.colorbar(coloured.lines).ax.get_ylabel() == "km/s"
    with pytest.raises(DimensionalityError, match="plain numbers for arrows between axes in 'km'"):
        axes.streamplot(*lengths, u, v)
    with pytest.raises(DimensionalityError, match="Cannot convert from 's'"):
        axes.streamplot(*lengths, speeds[0], Quantity(v, "s"))


# -- stored


def test_pickle_and_copy():
    for change in (lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy):
        assert_same(change(TREE), TREE)


@pytest.mark.parametrize(
    "q",
    [
        Q, Quantity(jnp.int8(3), "m"), Quantity(jnp.zeros((0, 3)), "s"),
        Quantity(np.complex64([1 + 2j, 3]), "V"),
        Quantity(jnp.array([1.1, jnp.nan, jnp.inf], jnp.bfloat16), "m**0.5"),
        Quantity(jnp.array([True, False]), ""), Quantity(jnp.complex64(1 + 2j), "ohm"),
        Quantity(jnp.float16(0.1), "percent"), Quantity(21.5, "degC"),
    ],
    ids=repr,
)  # fmt: skip
def test_json(q):
    text = stdlib_json.dumps({"q": [q, 1]}, default=sq_json.encode)
    back = stdlib_json.loads(text, object_hook=sq_json.decode)["q"][0]
    assert back.units == q.units and back.dtype == q.dtype and back.shape == q.shape
    kind = complex if jnp.iscomplexobj(q.m) else float
    np.testing.assert_array_equal(np.asarray(back.m, kind), np.asarray(q.m, kind))
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        stdlib_json.dumps({1}, default=sq_json.encode)


def stored(tree):
    file = io.BytesIO()
    sq_equinox.tree_serialise_leaves(file, tree)
    file.seek(0)
    return file


def test_equinox_serialisation():
    like = jax.tree.map(jnp.zeros_like, TREE)
    assert_same(sq_equinox.tree_deserialise_leaves(stored(TREE), like), TREE)
    shapes = eqx.filter_eval_shape(lambda: TREE)
    assert_same(sq_equinox.tree_deserialise_leaves(stored(TREE), shapes), TREE)
    # In the unit of what it is read into.
    back = sq_equinox.tree_deserialise_leaves(stored(Q), Quantity(jnp.zeros(3), "m/s"))
    assert_same(back, Q.to("m/s"))

    def call():
        file = stored(Quantity(X, "m"))
        return sq_equinox.tree_deserialise_leaves(file, Quantity(X, "s"))  # HERE

    assert_raises(
        DimensionalityError,
        call,
        "The file has a quantity in 'm', `like` one in 's'.\n{place}\n"
        "Read it into what was written, and change that then.",
    )
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, Q)
    file.seek(0)
    with pytest.raises(ValueError, match="The file has no unit where a quantity in 'km/h'"):
        sq_equinox.tree_deserialise_leaves(file, Q)
    with pytest.raises(RuntimeError, match="At .magnitude the file has f32\\[3\\], `like` f32"):
        sq_equinox.tree_deserialise_leaves(stored(Q), Quantity(jnp.zeros(2), "m/s"))
    model = eqx.nn.MLP(2, 2, 4, 1, key=jax.random.key(0))
    assert eqx.tree_equal(sq_equinox.tree_deserialise_leaves(stored(model), model), model)


@pytest.mark.slow
def test_orbax(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    from sciquax.interop import orbax as sq_orbax

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sq_orbax.save(tmp_path / "a", TREE)
        like = jax.tree.map(jnp.zeros_like, TREE)
        assert_same(sq_orbax.restore(tmp_path / "a", like), TREE)
        other = {**like, "x": Quantity(jnp.zeros(3), "m/s")}
        assert_same(sq_orbax.restore(tmp_path / "a", other)["x"], Q.to("m/s"))
        with pytest.raises(
            DimensionalityError,
            match="At \\['x'\\] the checkpoint has a quantity in 'km/h', `like`",
        ):
            sq_orbax.restore(tmp_path / "a", {**like, "x": Quantity(jnp.zeros(3), "s")})
        with pytest.raises(
            ValueError, match="the checkpoint has Quantity\\(f32\\[3\\]\\), `like` f32"
        ):
            sq_orbax.restore(tmp_path / "a", {**like, "x": jnp.zeros(3)})


# -- other containers


def test_numpy_refuses():
    for call in (
        lambda: np.asarray(Q),
        lambda: np.array([Q, Q]),
        lambda: np.asarray(Q, dtype=float),
        lambda: jnp.asarray(Q),
        lambda: jnp.array([Q, Q]),
        lambda: float(Quantity(1.0, "m")),
        lambda: np.float64(Quantity(1.0, "m")),
    ):
        with pytest.raises((DimensionalityError, TypeError)):
            call()
    np.testing.assert_allclose(np.asarray(Quantity(X, "percent")), X / 100)


def test_pandas():
    pd = pytest.importorskip("pandas")
    from sciquax.interop.pandas import from_dataframe, from_series, to_dataframe, to_series

    series = to_series(Q, name="v", index=[3, 4, 5])
    assert_same(from_series(series), Q)
    assert_same(from_series(series, "m/s"), Q.to("m/s"))
    with pytest.raises(ValueError, match="The series 'v' has no unit"):
        from_series(pd.Series([1.0], name="v"))
    with pytest.raises(DimensionalityError):
        from_series(series, "s")
    table = to_dataframe({"v": Q, "n": np.arange(3)})
    file = io.StringIO(table.to_csv(index=False))
    back = from_dataframe(
        pd.read_csv(file, header=[0, 1]).rename(columns=lambda n: "" if "Unn" in n else n)
    )
    np.testing.assert_allclose(back["v"].m_as("km/hour"), Q.m)
    np.testing.assert_array_equal(from_dataframe(table)["n"], np.arange(3))
    with pytest.raises(ValueError, match="The table's columns have no units"):
        from_dataframe(pd.DataFrame({"a": [1.0]}))


def test_xarray_through_named_arrays():
    pytest.importorskip("xarray")
    from sciquax.interop.xarray import from_xarray, to_xarray
    from sciquax.named import NamedArray

    array = to_xarray(NamedArray(Q, ("t",)))
    assert array.attrs["units"] == "kilometer / hour"
    assert_same(from_xarray(array).array, Q)


def test_uncertainties(x64):
    uncertainties = pytest.importorskip("uncertainties")
    from sciquax.interop.uncertainties import from_uncertainties, to_measurement, to_uncertainties

    length, sigma = Quantity(1.5, "m"), Quantity(2.0, "cm")
    number = to_uncertainties(length, sigma, "cm")
    assert number.nominal_value == 150.0 and number.std_dev == 2.0
    np.testing.assert_allclose((to_uncertainties(length, sigma) * 2).std_dev, 0.04)
    array = to_uncertainties(Quantity(np.array([1.0, 2.0]), "m"), sigma)
    value, deviation = from_uncertainties(array, "m")
    np.testing.assert_allclose(value.m, [1.0, 2.0])
    np.testing.assert_allclose(deviation.m_as("cm"), [2.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value, deviation = from_uncertainties(to_measurement(length, sigma), "mm")
    assert (float(value.m), float(deviation.m_as("mm"))) == (1500.0, 20.0)
    temperature = from_uncertainties(uncertainties.ufloat(20.0, 0.5), "degC")
    assert str(temperature[1]) == "0.5 delta_degree_Celsius"
    with pytest.raises(TypeError, match="Numbers with uncertainties have no unit"):
        from_uncertainties(uncertainties.ufloat(1.0, 0.1))


def test_pint_trees():
    tree = {"a": UREG.Quantity(3.0, "km"), "b": [2, UREG.Quantity(np.ones(2, np.float32), "s")]}
    ours = sq_pint.from_pint(tree)
    assert_same(ours["b"][1], Quantity(jnp.ones(2), "s"))
    back = sq_pint.to_pint(ours)
    assert back["a"] == tree["a"] and back["b"][0] == 2 and (back["b"][1] == tree["b"][1]).all()


@settings(max_examples=30)
@given(st.data())
def test_strategies(data):
    speed = data.draw(sq_hypothesis.quantities("[length]/[time]", shape=(2,)))
    assert speed.dimensionality == UREG.get_dimensionality("[speed]")
    assert speed.shape == (2,) and speed.dtype == jnp.float32
    unit = data.draw(sq_hypothesis.units())
    q = data.draw(sq_hypothesis.quantities(unit, dtype=np.int32))
    assert q.units == unit and q.dtype == jnp.int32
    energy = data.draw(sq_hypothesis.quantities(sq_hypothesis.units("J", among=["eV", "m", "cal"])))
    assert str(energy.units) in ("electron_volt", "calorie")


# -- constants and the pi theorem


@pytest.mark.parametrize(
    ("name", "relative"),
    [  # CODATA 2022
        ("newtonian_constant_of_gravitation", 2.2e-5), ("electron_mass", 3.1e-10),
        ("vacuum_permittivity", 1.6e-10), ("fine_structure_constant", 1.6e-10), ("bohr", 1.6e-10),
        ("hartree", 1.1e-12), ("bohr_magneton", 3.1e-10), ("classical_electron_radius", 4.7e-10),
        ("planck_mass", 1.1e-5), ("speed_of_light", 0.0), ("molar_gas_constant", 0.0),
    ],
)  # fmt: skip
def test_uncertainty_of_constants(name, relative):
    np.testing.assert_allclose(constants.relative_uncertainty(name), relative, rtol=0.06)
    value, spread = getattr(constants, name), constants.uncertainty(name)
    assert spread.units == Quantity(value).units
    np.testing.assert_allclose(spread.m, abs(np.float64(Quantity(value).m)) * relative, rtol=0.06)


def test_constants_without_uncertainty():
    with pytest.raises(ValueError, match="'water_density_4C' is stated without an uncertainty"):
        constants.relative_uncertainty("water_density_4C")
    with pytest.raises(AttributeError, match="Did you mean 'electron_mass'"):
        constants.relative_uncertainty("electron_mas")


@pytest.mark.parametrize(
    "quantities",
    [
        {"V": "m/s", "T": "[time]", "L": "[length]"},
        {"v": "m/s", "rho": "kg/m**3", "L": "m", "mu": "Pa*s", "g": "m/s**2"},
        {"m": "kg", "E": "J", "c": "m/s", "p": "N*s", "h": "J*s"},
        {"a": "m", "b": "s"},
        {"a": "km/m", "b": "m**0.5"},
    ],
    ids=str,
)
def test_pi_theorem(quantities):
    """As many products as pint finds, and each is a number."""
    products = pi_theorem(quantities)
    assert len(products) == len(UREG.pi_theorem(quantities))
    for product in products:
        unit = Quantity(1.0, "")
        for name, power in product.items():
            text = {"[time]": "s", "[length]": "m"}.get(quantities[name], quantities[name])
            assert power.denominator == 1
            unit = unit * Quantity(1.0, text) ** int(power)
        assert Quantity(unit).dimensionality == {}
    assert pi_theorem({"x": Quantity(2.0, "m"), "y": Quantity(3.0, "m")}) == [{"x": 1, "y": -1}]
