"""Bare numbers beside angles and percentages, and factors that convert angles."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.scipy.spatial.transform import Rotation

import sciquax
import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.named import NamedArray
from sciquax.units import DimensionalityError, Quantity, set_bare_angles, wrap
from tests.helpers import assert_raises

PI = math.pi
ANGLES = Quantity(jnp.array([30.0, 40.0]), "degree")

MISTAKES = {
    "maximum": lambda a: jnp.maximum(a, 1e-5),
    "clip": lambda a: jnp.clip(a, 0, 90),
    "where": lambda a: jnp.where(a > 180, a - 360, a),
    "masked": lambda a: jnp.where(jnp.isnan(a), 5.0, a),
    "remainder": lambda a: a % 360,
    "fmod": lambda a: jnp.fmod(a, 180),
    "floor_divide": lambda a: a // 360,
    "add": lambda a: a + 90,
    "subtract": lambda a: 90 - a,
    "equal": lambda a: a == 90,
    "set": lambda a: a.at[0].set(5.0),
    "full_like": lambda a: jnp.full_like(a, 45.0),
    "computed": lambda a: a + (80.0 + 10.0),
    "several": lambda a: a + np.array([90.0, 80.0]),
    "inner-jit": lambda a: jax.jit(lambda x, c: x + c)(a, 90.0),
    "loop": lambda a: lax.while_loop(lambda c: jnp.all(c < 90.0), lambda c: c * 2, a),
    "branch": lambda a: lax.cond(a[0] > a[1], lambda: a[0], lambda: 90.0),
    "other-branch": lambda a: lax.cond(a[0] > a[1], lambda: jnp.full(2, 90.0), lambda: a),
    "carry": lambda a: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, a[0]), (0, 90.0)),
    "scan": lambda a: lax.scan(lambda c, x: (x, c), 90.0, a),
    "start": lambda a: lax.fori_loop(0, 3, lambda i, c: c + a[0], 90.0),
    "while-start": lambda a: lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + a), (0, jnp.full(2, 90.0))
    ),
    "reduce": lambda a: lax.reduce(a, 90.0, lax.add, (0,)),
    "tile": lambda a: a + jnp.tile(jnp.array([90.0]), 2),
    "place": lambda a: jnp.place(a, a > 0, 90.0, inplace=False),
    "insert": lambda a: jnp.insert(a, 1, 90.0),
    "digitize": lambda a: jnp.digitize(a, jnp.arange(0.0, 360.0, 90.0)),
    "linspace": lambda a: a[0] > jnp.linspace(0, 90, 91),
}
RADIANS = {
    "remainder": (lambda a: a % (2 * jnp.pi), [30.0, 40.0]),
    "zero": (lambda a: jnp.maximum(a, 0), [30.0, 40.0]),
    "infinite": (lambda a: jnp.minimum(a, jnp.inf), [30.0, 40.0]),
    "clip": (lambda a: jnp.clip(a, -jnp.pi, jnp.pi / 6), [30.0, 30.0]),
    "where": (lambda a: jnp.where(a > jnp.pi / 5, a - 2 * jnp.pi, a), [30.0, -320.0]),
    "wrap": (lambda a: (a + jnp.pi) % (2 * jnp.pi) - jnp.pi, [30.0, 40.0]),
    "half": (lambda a: np.float32(np.pi / 2) - a, [60.0, 50.0]),
    "passed": (lambda a: jax.jit(lambda x, c: x + c)(a, jnp.pi), [210.0, 220.0]),
    "loop": (lambda a: lax.fori_loop(0, 2, lambda i, c: c + jnp.pi, a), [390.0, 400.0]),
    "branch": (lambda a: lax.cond(a[0] > a[1], lambda: a, lambda: jnp.full(2, jnp.pi)), [180, 180]),
    "carry": (lambda a: lax.scan(lambda c, x: (x, c), jnp.pi, a)[1], [180.0, 30.0]),
    "several": (lambda a: a + jnp.array([0.0, np.pi]), [30.0, 220.0]),
    "start": (
        lambda a: lax.fori_loop(0, 2, lambda i, c: c + a, jnp.full(2, jnp.pi)),
        [240.0, 260.0],
    ),
    "counter": (lambda a: lax.scan(lambda c, x: (c + 1, x / c), 5, a)[1], [6.0, 40.0 / 6]),
    "insert": (lambda a: jnp.insert(a, 1, 0)[1:], [0.0, 40.0]),
    "grid": (lambda a: (a[0] + jnp.linspace(0, 2 * jnp.pi, 100))[::99], [30.0, 390.0]),
    "open-grid": (lambda a: (a[0] + jnp.linspace(-jnp.pi, jnp.pi, 7, False))[:1], [-150.0]),
}


@pytest.mark.parametrize("unit", ["degree", "arcsec", "turn"])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_stated_number_beside_degrees_is_refused(name, unit):
    angles = Quantity(jnp.array([0.5, 1.2]), unit)
    with pytest.raises(DimensionalityError, match="beside which it would be radians"):
        quaxify(MISTAKES[name])(angles)
    with pytest.raises(DimensionalityError, match="beside which it would be radians"):
        jax.jit(quaxify(MISTAKES[name]))(angles)


@pytest.mark.parametrize("unit", ["arcsec**2", "arcmin**3", "1/arcmin", "arcsec**0.5"])
def test_beside_powers_of_small_angles_too(unit):
    """Those of degrees count as in pint, as code for rotations has them in series."""
    powers = Quantity(jnp.array([0.5, 1.2]), unit)
    assert_raises(
        DimensionalityError,
        lambda: quaxify(lambda x: jnp.where(x < 1e-6, 1e-6, x))(powers),  # HERE
        f"`lt` got a bare 1e-06 and a quantity in '{powers.units:~C}', beside which it would be "
        "radians.\n"
        "{place}\n"
        f"Write it with its unit, `Quantity(1e-06, '{powers.units}')`, or convert the angle with "
        "`.to('radian')`.",
        at=test_beside_powers_of_small_angles_too,
    )
    assert bool((powers > 0).all())
    assert (powers**1.5).units == powers.units**1.5
    series = quaxify(lambda x: 1 - x**2 / 8)
    np.testing.assert_allclose(series(ANGLES), series(ANGLES.m_as("radian")), rtol=1e-6)
    for numbers in ("radian**2", "steradian", "1/radian", "degree/arcsec"):
        np.testing.assert_array_equal(Quantity(2.0, numbers) > 0.5, True)


@pytest.mark.parametrize("name", ["remainder", "floor_divide", "add", "subtract", "equal"])
def test_operators_refuse_as_programs_do(name):
    for angles in (ANGLES, NamedArray(ANGLES, ("x",))):
        with pytest.raises(DimensionalityError, match="beside which it would be radians"):
            MISTAKES[name](angles)


@pytest.mark.parametrize("name", RADIANS)
def test_multiples_of_pi_are_radians(name):
    program, expected = RADIANS[name]
    for way in (quaxify(program), jax.jit(quaxify(program))):
        out = Quantity(way(ANGLES)).m_as("")
        np.testing.assert_allclose(out, np.deg2rad(expected), rtol=1e-4, atol=1e-5)


def test_what_is_computed_or_passed_counts_as_in_pint():
    out = quaxify(lambda a, x: a + x)(ANGLES, jnp.float32(5.0))
    np.testing.assert_allclose(out, np.deg2rad([30.0, 40.0]) + 5, rtol=1e-6)
    assert float(Quantity(1.0, "rad") + 5.0) == 6.0
    assert bool(Quantity(60.0, "km/m") > 50)


def test_fractions():
    share = Quantity(60.0, "percent")
    assert float(1 - share) == pytest.approx(0.4)
    assert bool(share > 0.5)
    assert float(quaxify(lambda p: jnp.minimum(p, 1.0))(Quantity(160.0, "percent"))) == 1.0
    for mistake in (
        lambda p: p > 50,
        lambda p: p + 100,
        lambda p: jnp.clip(p, 0, 100),
        lambda p: jnp.maximum(p, 2.0),
    ):
        for unit in ("percent", "ppm"):
            with pytest.raises(DimensionalityError, match="beside which it would be a fraction"):
                quaxify(mistake)(Quantity(60.0, unit))
    assert str(share * 50) == "3000.0 percent"
    assert_raises(
        DimensionalityError,
        lambda: share > 50,  # HERE
        "`gt` got a bare 50 and a quantity in '%', beside which it would be a fraction.\n"
        "{place}\n"
        "Write it with its unit, `Quantity(50, 'percent')`, or convert with `.m_as('')`.",
    )


def test_pints_rule_can_be_had_and_is_a_part_of_every_key():
    angle, program = Quantity(50.0, "degree"), lambda a: a > 45.0
    compiled = jax.jit(quaxify(program))

    def refused():
        for way in (program, quaxify(program), compiled, lambda a: sqnp.maximum(a, 45.0)):
            with pytest.raises(DimensionalityError):
                way(angle)

    refused()
    set_bare_angles("radians")
    try:
        for _ in range(3):
            for way in (program, quaxify(program), compiled):
                assert not way(angle)
            assert float(sqnp.maximum(angle, 45.0)) == 45.0
    finally:
        set_bare_angles()
    refused()
    with pytest.raises(ValueError, match="by the rule 'stated' or 'radians', not 'degrees'"):
        set_bare_angles("degrees")


@pytest.mark.parametrize(
    "scale",
    [
        lambda a: a * (PI / 180),
        lambda a: (PI / 180) * a,
        lambda a: a * PI / 180,
        lambda a: a / 180 * PI,
        lambda a: a / (180 / PI),
        lambda a: a * (PI / 360),
        lambda a: a * (PI / 180 / 3600),
    ],
)
def test_a_factor_that_converts_angles_is_refused(scale):
    for way in (scale, quaxify(scale), jax.jit(quaxify(scale))):
        with pytest.raises(DimensionalityError, match="which converts angles"):
            way(Quantity(90.0, "degree"))


def test_any_other_factor_is_a_factor():
    assert str(quaxify(lambda a: a * 57.3)(Quantity(0.1, "rad"))) == "5.73 radian"
    assert str(Quantity(2.0, "degree") * 180 / 2) == "180.0 degree"
    assert str(quaxify(lambda p: p * (PI / 180))(Quantity(100.0, "percent")).units) == "percent"


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_through_deg2rad(order):
    def program(x):
        return jnp.sin(jnp.deg2rad(x)) + jnp.radians(x) ** 2

    x, plain, ours, within = 40.0, program, program, program
    for _ in range(order):
        plain, ours, within = jax.grad(plain), sciquax.grad(ours), jax.grad(within)
    expected = plain(x)
    for out in (ours(Quantity(x, "degree")), quaxify(within)(Quantity(x, "degree"))):
        assert float(out.m_as(f"1/degree**{order}")) == pytest.approx(float(expected), rel=1e-4)


def test_hessians_and_inverses():
    square = jax.hessian(lambda x: jnp.deg2rad(x) ** 2)
    out = quaxify(square)(Quantity(10.0, "degree"))
    assert float(out.m_as("1/degree**2")) == pytest.approx(2 * (PI / 180) ** 2, rel=1e-5)
    out = quaxify(jax.grad(lambda x: jnp.rad2deg(x) / Quantity(1.0, "degree")))(
        Quantity(1.0, "rad")
    )
    assert float(out.m_as("1/rad")) == pytest.approx(180 / PI, rel=1e-5)
    out = quaxify(lambda z: jnp.angle(z, deg=True))(Quantity(1 + 1j, "m"))
    assert str(out) == "45.0 degree"


def test_rotations_written_for_radians_work_on_degrees():
    vector = jnp.array([10.0, 20.0, 40.0])

    def element(v, degrees=True):
        return Rotation.from_rotvec(v, degrees=degrees).as_matrix()[0, 1]

    expected, slope = jax.value_and_grad(element)(vector)
    turned = Quantity(vector, "degree")
    for degrees in (True, False):
        out = quaxify(lambda v: element(v, degrees))(turned)  # noqa: B023
        np.testing.assert_allclose(out, expected, rtol=1e-5)
        derivative = quaxify(jax.grad(lambda v: element(v, degrees)))(turned)  # noqa: B023
        np.testing.assert_allclose(Quantity(derivative).m_as("1/degree"), slope, rtol=1e-4)


def test_wrapping_around():
    angles = Quantity(jnp.array([370.0, -10.0, 180.0]), "degree")
    np.testing.assert_allclose(
        wrap(angles, Quantity(1.0, "turn")).m, [10.0, 350.0, 180.0], rtol=1e-5
    )
    half = Quantity(-180.0, "degree")
    around = wrap(angles, Quantity(360.0, "degree"), half)
    np.testing.assert_allclose(around.m_as("degree"), [10.0, -10.0, -180.0], rtol=1e-5)
    assert str(wrap(Quantity(25, "hour"), Quantity(1, "day"))) == "1 hour"
