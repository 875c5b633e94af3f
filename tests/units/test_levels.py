"""Logarithmic units: means of levels are of powers, gains are numbers of a kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, OffsetUnitCalculusError, Quantity
from tests.helpers import assert_raises

LEVELS = Quantity(jnp.array([10.0, 20.0, 13.0]), "dBm")
POWERS = LEVELS.to("mW").magnitude
GAINS = Quantity(jnp.array([3.0, -6.0]), "dB")


def test_magnitudes_of_stars():
    star, other = Quantity(20.0, "ABmag"), Quantity(18.5, "ABmag")
    np.testing.assert_allclose(star.m_as("uJy"), 36.3078, rtol=1e-5)
    np.testing.assert_allclose(Quantity(1.0, "mJy").m_as("ABmag"), 16.4, rtol=1e-5)
    np.testing.assert_allclose(Quantity(5.0, "mag").m_as(""), 0.01, rtol=1e-5)
    fainter = star - other
    assert str(fainter.units) == "mag" and float(fainter.m) == 1.5 and bool(star > other)
    np.testing.assert_allclose((star - fainter).m, 18.5)
    np.testing.assert_allclose(Quantity(250.0, "mmag").m_as("dB"), -1.0, rtol=1e-5)
    for program in (
        lambda: star < Quantity(1.0, "Jy"),
        lambda: sqnp.maximum(fainter, Quantity(3.0, "dB")),
        lambda: fainter > 1.0,
    ):
        with pytest.raises(OffsetUnitCalculusError, match="the larger the number in one, the smal"):
            program()


MEANS = {
    "mean": jnp.mean,
    "nanmean": jnp.nanmean,
    "average": lambda x: jnp.average(x, weights=jnp.array([1.0, 2.0, 5.0])),
    "median": lambda x: jnp.median(x[:2]),
    "nanmedian": lambda x: jnp.nanmedian(x[:2]),
    "quantile": lambda x: jnp.quantile(x, 0.3),
    "nanquantile": lambda x: jnp.nanquantile(x, 0.3),
    "percentile": lambda x: jnp.percentile(x, 30),
    "interp": lambda x: jnp.interp(0.25, jnp.array([0.0, 1.0, 2.0]), x),
}


@pytest.mark.parametrize("name", MEANS)
def test_means_of_levels_are_of_powers(name):
    expected = MEANS[name](POWERS)
    for way in (quaxify(MEANS[name]), jax.jit(quaxify(MEANS[name]))):
        out = way(LEVELS)
        assert out.units == LEVELS.units
        np.testing.assert_allclose(out.m_as("mW"), expected, rtol=1e-5)
    np.testing.assert_allclose(LEVELS.mean().m_as("mW"), jnp.mean(POWERS), rtol=1e-5)
    named = NamedArray(LEVELS, ("x",)).mean("x").array
    np.testing.assert_allclose(named.m_as("mW"), jnp.mean(POWERS), rtol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        jnp.sum,
        jnp.cumsum,
        jnp.std,
        jnp.var,
        jnp.cov,
        jnp.negative,
        jnp.trapezoid,
        jnp.linalg.norm,
        lambda x: 2 * x,
        lambda x: x @ jnp.ones(3),
        lambda x: jnp.linspace(x[0], x[1], 3),
        lambda x: jnp.corrcoef(x, x),
    ],
)
def test_what_is_not_defined_for_levels_is_refused(function):
    with pytest.raises(OffsetUnitCalculusError):
        quaxify(function)(LEVELS)


STARS = Quantity(jnp.array([20.0, 18.5]), "ABmag")
STEPS = {
    "diff": (lambda: sqnp.diff(LEVELS), "[10. -7.] decibel"),
    "diff-twice": (lambda: sqnp.diff(STARS, prepend=STARS[:1], n=2), "[-1.5] mag"),
    "ptp": (lambda: sqnp.ptp(STARS), "1.5 mag"),
    "gradient": (lambda: sqnp.gradient(LEVELS, 2.0), "[ 5.    0.75 -3.5 ] decibel"),
    "gradient-gains": (lambda: sqnp.gradient(GAINS), "[-9. -9.] decibel"),
    "arange": (
        lambda: sqnp.arange(LEVELS[0], Quantity(0.1, "W"), Quantity(2.5, "dB")),
        "[10.  12.5 15.  17.5] decibelmilliwatt",
    ),
    "isclose": (
        lambda: sqnp.isclose(LEVELS, LEVELS[0], atol=Quantity(4.0, "dB")),
        "[ True False  True]",
    ),
    "isclose-default": (lambda: sqnp.isclose(GAINS, GAINS * 1.000001), "[ True  True]"),
    "allclose": (lambda: sqnp.allclose(LEVELS, LEVELS.to("W")), "True"),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_difference_of_levels_is_a_gain(name):
    program, expected = STEPS[name]
    assert str(program()) == expected


def test_gains_are_numbers_of_a_kind():
    for out, expected in (
        (GAINS.sum(), -3.0),
        (-GAINS, [-3.0, 6.0]),
        (2 * GAINS, [6.0, -12.0]),
        (GAINS / 2, [1.5, -3.0]),
        (GAINS - 2 * GAINS, [-3.0, 6.0]),
        (abs(GAINS), [3.0, 6.0]),
        (GAINS.mean(), -1.5),
        (sqnp.cumsum(GAINS), [3.0, -3.0]),
        (sqnp.dot(GAINS, jnp.array([1.0, 2.0])), -9.0),
        (jax.jit(quaxify(lambda g: 2 * g - g / 2))(GAINS), [4.5, -9.0]),
        (quaxify(lambda g: lax.fori_loop(0, 2, lambda i, c: c + g, 0 * g))(GAINS), [6.0, -12.0]),
        (sum(GAINS), -3.0),
        (Quantity(3.0, "octave") * 2, 6.0),
    ):
        assert str(out.units) in ("decibel", "octave")
        np.testing.assert_allclose(out.m, expected, rtol=1e-6)
    level = LEVELS + 2 * Quantity(3.0, "dB")
    np.testing.assert_allclose(level.m, LEVELS.m + 6)
    assert str(level.units) == "decibelmilliwatt"
    for refused in (lambda: GAINS * GAINS, lambda: 1 / GAINS, lambda: GAINS**2):
        with pytest.raises(OffsetUnitCalculusError):
            refused()


BESIDE = {
    "gt": lambda g: g > 3,
    "eq": lambda g: g == 1,
    "remainder": lambda g: g % 3,
    "floor_divide": lambda g: g // 2,
    "max": lambda g: jnp.maximum(g, 3.0),
    "clip": lambda g: jnp.clip(g, 0, 15),
    "select_n": lambda g: jnp.where(g > 0, g, 3.0),
    "scatter": lambda g: g.at[0].set(3.0),
    "isclose": lambda g: jnp.isclose(g, 3.0),
    "allclose": lambda g: jnp.allclose(g, g, atol=0.1),
    "loop": lambda g: lax.fori_loop(0, 2, lambda i, c: jnp.minimum(g, c), jnp.full(2, 9.0)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_a_stated_number_beside_a_gain_is_refused(name):
    """It would be a ratio: 4 dB > 3 would be False."""
    with pytest.raises(DimensionalityError, match="beside which it would be a ratio"):
        quaxify(BESIDE[name])(GAINS)


def test_zero_and_what_is_computed_beside_a_gain():
    np.testing.assert_array_equal(GAINS > 0, [True, False])
    assert str(sqnp.maximum(GAINS, 0)) == "[3. 0.] decibel"
    np.testing.assert_array_equal(GAINS > jnp.array([1.9, 0.2]), [True, True])
    assert_raises(
        DimensionalityError,
        lambda: Quantity(4.0, "dB") > 3,  # HERE
        "`gt` got a bare 3 and a quantity in 'dB', beside which it would be a ratio.\n"
        "{place}\n"
        "Write it with its unit, `Quantity(3, 'decibel')`, or convert with `.m_as('')`.",
    )
    with pytest.raises(OffsetUnitCalculusError, match="`pow` of a quantity in 'dB' is ambiguous"):
        10 ** (GAINS / 10)


MOVED = {
    "roll": lambda x: jnp.roll(x, 1),
    "diagonal": lambda x: jnp.diagonal(x.reshape(2, 2)),
    "round": lambda x: jnp.round(x, 1),
    "trunc": jnp.trunc,
    "partition": lambda x: jnp.partition(x, 1),
    "argpartition": lambda x: jnp.argpartition(x, 1),
    "nanmax": jnp.nanmax,
    "nanmin": jnp.nanmin,
}


@pytest.mark.parametrize("unit", ["dBm", "ABmag", "degC"])
@pytest.mark.parametrize("name", MOVED)
def test_elements_are_moved_picked_and_rounded_on_any_scale(name, unit):
    x = jnp.array([30.26, -4.61, jnp.nan, 7.35])
    expected, out = MOVED[name](x), quaxify(MOVED[name])(Quantity(x, unit))
    if name != "argpartition":
        assert out.units == Quantity(1.0, unit).units
        out = out.magnitude
    np.testing.assert_array_equal(out, expected)
    assert f"{round(Quantity(21.26, 'degC'), 1):.1f}" == "21.3 degree_Celsius"
