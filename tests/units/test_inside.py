"""What quantities can do inside a quaxified function, where their units are not known yet."""

import re

import beartype
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.units import DimensionalityError, Quantity, context, infer, unknown
from tests.helpers import assert_same

X = Quantity(jnp.array([1.0, 2.0]), "m")


@pytest.mark.parametrize("way", [lambda f: f, jax.jit], ids=["staged", "jit"])
def test_conversions_inside(way):
    for program, expected in (
        (lambda x: x.to("cm") * 2, Quantity(jnp.array([200.0, 400.0]), "cm")),
        (lambda x: x.m_as("cm"), jnp.array([100.0, 200.0])),
        (lambda x: (x / Quantity(1.0, "s")).to_base_units(), X / Quantity(1.0, "s")),
        (lambda x: jax.vmap(lambda y: y.to("km"))(x), X.to("km")),
        (lambda x: lax.scan(lambda c, y: (c, y.to("mm")), 0.0, x)[1], X.to("mm")),
        (lambda x: x.to_base_units("imperial").to("m"), X),
    ):
        assert_same(way(quaxify(program))(X), expected)
    assert_same(way(quaxify(lambda n: n.to("m")))(Quantity(50, "cm")).m, jnp.asarray(0.5))


def test_conversions_are_differentiated():
    def area(x):
        return (x.to("cm") ** 2).to("m**2")

    for slope in (quaxify(jax.grad(area)), sciquax.grad(area)):
        assert float(slope(Quantity(3.0, "m")).m_as("m")) == pytest.approx(6.0)
    curved = quaxify(jax.grad(jax.grad(lambda x: x.m_as("cm") ** 3)))
    assert float(curved(Quantity(3.0, "m")).m_as("1/m**2")) == pytest.approx(18e6)


def test_what_cannot_be_converted_is_refused():
    with pytest.raises(DimensionalityError, match="`to` got `its array` in 'm', and takes 's'"):
        quaxify(lambda x: x.to("s"))(X)
    with pytest.raises(TypeError, match="N: not a parameter of context 'spectroscopy', which has"):
        quaxify(lambda x: x.to("Hz", "spectroscopy", N=2.0))(X)
    with pytest.raises(DimensionalityError, match="to 's' .* in context 'spectroscopy'"):
        quaxify(lambda x: x.to("s", "spectroscopy"))(X)


WAVES = Quantity(jnp.array([500.0, 400.0]), "nm")
FREQUENCIES = WAVES.to("THz", "spectroscopy")


def test_contexts_inside():
    def frequency(x, n=1.0):
        return x.to("THz", "spectroscopy", n=n)

    def in_a_block(x):
        with context("spectroscopy"):
            return x.to("THz")

    for program in (frequency, in_a_block, jax.vmap(frequency), lambda x: frequency(x).to("GHz")):
        for way in (quaxify(program), jax.jit(quaxify(program))):
            assert_same(way(WAVES).to("THz"), FREQUENCIES, rtol=1e-6)
    with pytest.raises(TypeError, match="`infer` cannot tell which. Give the argument's unit."):
        infer(frequency)(unknown)
    indices = Quantity(jnp.array([1.0, 2.0]), "")
    each = quaxify(jax.vmap(lambda n: Quantity(500.0, "nm").to("THz", "sp", n=n)))(indices)
    assert_same(each, FREQUENCIES[0] / jnp.array([1.0, 2.0]), rtol=1e-6)
    grams = quaxify(lambda x: x.to("mol", "chemistry", mw=Quantity(20.0, "g/mol")))
    assert_same(grams(Quantity(3.0, "g")), Quantity(0.15, "mol"), rtol=1e-6)
    compiled = jax.jit(quaxify(lambda x: x.to("THz")))
    for n in (1.0, 2.0):
        with context("spectroscopy", n=n):
            assert_same(compiled(WAVES), FREQUENCIES / n, rtol=1e-6)


def test_conversions_through_contexts_are_differentiated():
    def moles(x, mw):
        return jnp.sum(x.to("mol", "chemistry", mw=mw) ** 2)

    x, mw = Quantity(jnp.array([2.0, 3.0]), "g"), Quantity(0.02, "kg/mol")
    slopes = quaxify(jax.grad(moles, (0, 1)))(x, mw)
    assert_same(slopes[0].to("mol**2/g"), Quantity(2 * x.m / 400, "mol**2/g"), rtol=1e-5)
    assert_same(slopes[1].to("mol**3/g"), Quantity(-2 * 13 / 8000.0, "mol**3/g"), rtol=1e-5)
    curved = sciquax.hessian(lambda x: x.m_as("THz", "sp"))(WAVES[0])
    assert_same(curved, Quantity(2 * FREQUENCIES[0].m / 500.0**2, "1/nm**2"), rtol=1e-5)


def test_what_wants_the_unit_says_what_to_do():
    with pytest.raises(AttributeError, match="Use `.to\\(unit\\)`, `.m_as\\(unit\\)`"):
        quaxify(lambda x: x.units)(X)
    assert quaxify(lambda x: hasattr(x, "units"))(X) is False
    assert jax.jit(lambda x: hasattr(x, "to"))(1.0) == False  # noqa: E712


def test_isinstance_says_what_to_do():
    for way in (quaxify, lambda f: jax.jit(quaxify(f))):
        for asked, name in ((Quantity, "Quantity"), (Quantity["m"], 'Quantity["m"]')):
            message = f"`isinstance(x, {name})` inside a quaxified function cannot be answered: "
            with pytest.raises(TypeError, match=re.escape(message)):
                way(lambda x, asked=asked: isinstance(x, asked))(X)
    is_leaf = lambda x: isinstance(x, Quantity)  # noqa: E731
    doubled = quaxify(lambda d: jax.tree.map(lambda x: 2 * x, d, is_leaf=is_leaf))({"x": X})
    assert_same(doubled["x"], 2 * X)

    @beartype.beartype
    def either(x: Quantity | jax.Array):
        return 2 * x

    assert_same(quaxify(either)(X), 2 * X)
    assert isinstance(X, Quantity) and not isinstance(1.0, Quantity)


@pytest.mark.parametrize("way", [lambda f: f, jax.jit], ids=["staged", "jit"])
def test_a_captured_number_may_be_an_exponent(way):
    three = Quantity(3.0, "")
    for program, power in (
        (lambda x: x**three, 3.0),
        (lambda x: jnp.power(x, Quantity(2.0, "")), 2.0),
        (lambda x: lax.map(lambda y: y ** Quantity(0.5, ""), x), 0.5),
    ):
        assert_same(way(quaxify(program))(X), X**power)
    slope = way(quaxify(jax.grad(lambda x: jnp.sum(x**three))))(X)
    assert_same(slope, 3.0 * X**2)


def test_fill_values_may_be_quantities():
    far, places = Quantity(1.0, "km"), jnp.array([0, 9])
    expected = Quantity(jnp.array([1.0, 1000.0]), "m")
    assert_same(X.at[places].get(mode="fill", fill_value=far), expected)
    assert_same(sqnp.take(X, places, mode="fill", fill_value=far), expected)
    assert_same(X.take(places, mode="fill", fill_value=far), expected)
    get = lambda x, far: x.at[places].get(mode="fill", fill_value=far)  # noqa: E731
    take = lambda x, far: x.take(places, mode="fill", fill_value=far)  # noqa: E731
    for program in (jax.jit(get), jax.jit(take)):
        assert_same(program(X, far), expected)
    for program in (
        lambda x: get(x, far),
        lambda x: get(x, Quantity(1.0, "km")),
        lambda x: jax.vmap(lambda i: get(x, far)[i])(jnp.arange(2)),
        lambda x: take(x, far),
        lambda x: jnp.take(x, places, fill_value=Quantity(1.0, "km")),
        lambda x: jax.vmap(lambda i: jnp.take(x, i, fill_value=far))(places),
    ):
        assert_same(jax.jit(quaxify(program))(X), expected)
        assert_same(quaxify(program)(X), expected)
    assert_same(quaxify(jnp.take)(X, places, fill_value=far), expected)
    assert_same(quaxify(take)(X, far), expected)
    for refused in (
        get,
        jax.jit(get),
        lambda x, far: quaxify(lambda x: get(x, far))(x),
        quaxify(take),
    ):
        with pytest.raises(DimensionalityError):
            refused(X, Quantity(1.0, "s"))


def test_temperatures():
    steps = sqnp.arange(Quantity(0.0, "degC"), Quantity(3.0, "degC"), Quantity(1.0, "delta_degC"))
    assert_same(steps, Quantity(jnp.arange(3.0), "degC"))
    rate, time = Quantity(1.0, "K/min"), Quantity(1.0, "hour")
    for warmed in (
        Quantity(20.0, "degC") + rate * time,
        quaxify(lambda a, b, c: a + b * c)(Quantity(20.0, "degC"), rate, time),
    ):
        np.testing.assert_allclose(warmed.m_as("degC"), 80.0)


@pytest.mark.parametrize("way", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_histograms_of_temperatures(way):
    values = jnp.array([10.0, 20.0, 12.0])
    edges = Quantity(jnp.array([283.15, 288.15, 298.15]), "K")
    counts, found = way(quaxify(jnp.histogram))(Quantity(values, "degC"), edges)
    assert_same(counts, jnp.array([2.0, 1.0]))
    np.testing.assert_allclose(found.m_as("degC"), [10.0, 15.0, 25.0], atol=1e-4)
    density, _ = way(quaxify(lambda x: jnp.histogram(x, 2, density=True)))(Quantity(values, "degC"))
    assert_same(density, Quantity(jnp.histogram(values, 2, density=True)[0], "1/delta_degC"))


def test_percentiles_are_in_percent():
    for q in (50, Quantity(50.0, "percent"), Quantity(0.5, "km/km") * Quantity(100.0, "percent")):
        assert_same(quaxify(jnp.percentile)(X, q), Quantity(jnp.percentile(X.m, 50), X.units))
    assert_same(
        quaxify(jnp.nanpercentile)(X, Quantity(jnp.array([250.0]), "permille")),
        Quantity(jnp.nanpercentile(X.m, jnp.array([25.0])), X.units),
    )
    assert_same(quaxify(jnp.quantile)(X, Quantity(50.0, "percent")), quaxify(jnp.median)(X))


@pytest.mark.parametrize(
    "pick",
    [
        lambda x: x[jnp.zeros(0, int)],
        lambda x: x[:, np.zeros((0, 2), int)],
        lambda x: x[jnp.zeros(0, int)[:, None], jnp.array([0, 1])],
        lambda x: x[x > 2 * x.max()],
        lambda x: x[None, jnp.zeros(3, bool), ..., None],
        lambda x: jnp.take(x, jnp.zeros(0, int), axis=1),
        lambda x: x[0:0],
        lambda x: x[:0][jnp.zeros(0, int)],
        lambda x: jnp.take_along_axis(x[:, :0], jnp.zeros((3, 0), int), 1),
        lambda x: jnp.resize(x, (0, 2)),
        lambda x: jnp.repeat(x, np.zeros(3, int), axis=0, total_repeat_length=0),
        lambda x: jax.ops.segment_sum(x[:0], jnp.zeros(0, int), num_segments=2),
    ],
)
def test_of_no_elements_the_unit_is_kept(pick):
    x = jnp.arange(12.0).reshape(3, 4)
    out = quaxify(pick)(Quantity(x, "m"))
    assert (out.shape, out.dtype, str(out.units)) == (pick(x).shape, x.dtype, "meter")
    total = quaxify(lambda x: jnp.sum(pick(x) ** 2))(Quantity(x, "m"))
    assert (float(total.m), str(total.units)) == (0.0, "meter ** 2")
