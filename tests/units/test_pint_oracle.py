"""pint itself is the oracle: conversions, offset scales and levels, on random units and numbers."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest
from hypothesis import assume, given, settings, strategies as st

from sciquax import quaxify
from sciquax.units import (
    DimensionalityError,
    OffsetUnitCalculusError,
    Quantity,
    get_registry,
    set_registry,
)

pytestmark = pytest.mark.same_everywhere
UREG = get_registry()
GROUPS = {
    "length": ["m", "km", "inch", "light_year", "angstrom", "nautical_mile", "bohr"],
    "time": ["s", "hour", "year", "ns"],
    "energy": ["J", "eV", "kWh", "cal", "kg*m**2/s**2", "BTU", "hartree"],
    "pressure": ["Pa", "psi", "mmHg", "N/cm**2", "atm"],
    "angle": ["radian", "degree", "turn", "arcsecond", "percent", "ppm", "km/m", "dimensionless"],
    "roots": ["m**0.5", "cm**0.5", "inch**(1/2)"],
    "temperature": ["degC", "degF", "kelvin", "degR"],
    "power": ["W", "mW", "dBm", "dBW", "dBu", "horsepower"],
    "ratio": ["dB", "Np", "octave", "decade", "dimensionless", "percent"],
}
NUMBERS = st.floats(1 / 1024, 1024, width=32)


@st.composite
def conversions(draw):
    group = draw(st.sampled_from(sorted(GROUPS)))
    return draw(st.sampled_from(GROUPS[group])), draw(st.sampled_from(GROUPS[group]))


@settings(max_examples=120)
@given(x=NUMBERS, units=conversions(), jit=st.booleans())
def test_conversion(x, units, jit):
    source, target = units
    if "dB" in source or source in ("Np", "octave", "decade"):
        x = x % 30
    expected = UREG.Quantity(x, source).to(target)
    convert = jax.jit(lambda q: q.to(target)) if jit else lambda q: q.to(target)
    with jax.enable_x64(True):
        actual = convert(Quantity(np.float64(x), source))
    assert actual.units == expected.units
    np.testing.assert_allclose(actual.m, expected.m, rtol=1e-9, atol=1e-9)


SCALES = ["degC", "degF", "kelvin", "degR", "delta_degC", "delta_degF", "dimensionless", "m"]
LEVELS = ["dB", "Np", "dBm", "dBW", "W", "mW", "dimensionless"]
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.lt, operator.eq]


def outcome(f):
    """What pint gives, or the class of its refusal."""
    try:
        return f()
    except pint.OffsetUnitCalculusError:
        return OffsetUnitCalculusError
    except pint.DimensionalityError:
        return DimensionalityError


def check(op, lhs, rhs, jit):
    (x, a), (y, b) = lhs, rhs
    expected = outcome(lambda: op(UREG.Quantity(x, a), UREG.Quantity(y, b)))
    ours = jax.jit(quaxify(op)) if jit else op
    with jax.enable_x64(True):
        operands = Quantity(np.float64(x), a), Quantity(np.float64(y), b)
        if isinstance(expected, type):
            with pytest.raises((OffsetUnitCalculusError, DimensionalityError)):
                ours(*operands)
            return
        try:
            actual = ours(*operands)
        except (OffsetUnitCalculusError, DimensionalityError):
            return expected  # refused by us alone; the caller says whether that may be
        if not isinstance(expected, pint.Quantity):
            assert bool(actual) is bool(expected)
            return
        actual = Quantity(actual)
        assert actual.dimensionality == expected.dimensionality
        # 5 delta_degC and 9 delta_degF are one answer; degC and delta_degC are two.
        scaled = expected if actual.units == expected.units else expected.to(actual.units)
        np.testing.assert_allclose(actual.m, scaled.m, rtol=1e-9, atol=1e-9)


@settings(max_examples=150)
@given(
    st.sampled_from(OPERATORS),
    st.tuples(NUMBERS, st.sampled_from(SCALES)),
    st.tuples(NUMBERS, st.sampled_from(SCALES)),
    st.booleans(),
)
def test_offset_scales(op, lhs, rhs, jit):
    refused = check(op, lhs, rhs, jit)
    if refused is not None:
        # pint compares a temperature with a difference, and subtracts a temperature from one.
        temperature, difference = {"degC", "degF"}, {"delta_degC", "delta_degF"}
        mixed = {lhs[1], rhs[1]} & temperature and {lhs[1], rhs[1]} & difference
        assert mixed or op is operator.eq, (op, lhs, rhs, refused)
        assert op is not operator.add, (op, lhs, rhs, refused)
        assert op is not operator.sub or rhs[1] in temperature, (op, lhs, rhs, refused)


@settings(max_examples=80)
@given(
    st.sampled_from([operator.add, operator.sub, operator.lt]),
    st.tuples(st.floats(1, 20, width=32), st.sampled_from(LEVELS)),
    st.tuples(st.floats(1, 20, width=32), st.sampled_from(LEVELS)),
    st.booleans(),
)
def test_levels(op, lhs, rhs, jit):
    """What pint gives for a sum of levels, where it is a level; else refused."""
    levels = {"dB", "Np", "dBm", "dBW"}
    both = lhs[1] in levels and rhs[1] in levels
    if op is not operator.lt and not both:
        assume(lhs[1] in levels or rhs[1] in levels)
        with pytest.raises((OffsetUnitCalculusError, DimensionalityError)):
            op(Quantity(*lhs), Quantity(*rhs))
        return
    refused = check(op, lhs, rhs, jit)
    # pint makes the square of a power of the sum of two absolute levels.
    absolute = lhs[1].startswith("dBm") or lhs[1].startswith("dBW")
    assert refused is None or op is operator.add and absolute, (op, lhs, rhs, refused)


AMBIGUOUS = {
    "square": lambda q: q**2,
    "double": lambda q: 2.0 * q,
    "half": lambda q: q / 2.0,
    "product": lambda q: q * Quantity(1.0, "m"),
}


@pytest.mark.parametrize(
    ("name", "unit"),
    [(name, unit) for name in AMBIGUOUS for unit in ("degC", "degF", "dBm")]
    + [("square", "dB"), ("product", "dB")],  # twice a gain is one, which pint does not know
)
def test_ambiguous(name, unit):
    f = AMBIGUOUS[name]
    for call in (f, quaxify(f), jax.jit(quaxify(f))):
        with pytest.raises(pint.OffsetUnitCalculusError) as caught:
            call(Quantity(jnp.float32(3.0), unit))
        assert isinstance(caught.value, OffsetUnitCalculusError)


def test_levels_are_exact_where_they_can_be():
    assert float(Quantity(30.0, "dBm").m_as("mW")) == 1000.0
    assert float(Quantity(0.001, "W").m_as("dBm")) == 0.0
    assert float(Quantity(3.0, "octave").m_as("")) == 8.0
    # From level to level there is no exponential on the way, which would overflow.
    assert float(Quantity(3000.0, "dBm").m_as("dBW")) == 2970.0


def test_own_logarithmic_unit():
    registry = pint.UnitRegistry()
    registry.define("pH_scale = 1 mol / liter; logbase: 10; logfactor: -1 = pH")
    before = get_registry()
    set_registry(registry)
    try:
        x = Quantity(jnp.array([7.0, 3.0]), "pH")
        np.testing.assert_allclose(x.m_as("mol/l"), [1e-7, 1e-3], rtol=1e-5)
        np.testing.assert_allclose(Quantity(1e-4, "mol/l").m_as("pH"), 4.0, rtol=1e-6)
        # A tenfold concentration is one pH less.
        np.testing.assert_allclose((x + Quantity(10.0, "dB")).m, [6.0, 2.0], rtol=1e-6)
        with pytest.raises(OffsetUnitCalculusError):
            _ = x + x
    finally:
        set_registry(before)


def test_level_in_a_product():
    with pytest.raises(DimensionalityError, match="has a logarithmic unit in a product"):
        Quantity(1.0, "dBm/Hz").to("W/Hz")


def test_factor_beyond_the_dtype():
    """A conversion that would give 0 or inf for every number is refused, not done."""
    with pytest.raises(OverflowError, match="'ly\\*\\*3' to 'Å\\*\\*3' is a factor of 8.4"):
        Quantity(1.0, "light_year**3").to("angstrom**3")
    with pytest.raises(OverflowError, match="beyond float32"):
        Quantity(1.0, "planck_time").to("s")
    with pytest.raises(OverflowError, match="beyond float16"):
        Quantity(jnp.float16(1.0), "km").to("mm")
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            Quantity(np.float64(1.0), "planck_time").m_as("s"), 5.391e-44, rtol=1e-3
        )
