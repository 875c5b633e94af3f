"""Integers in two units: exact where they are compared and divided, else JAX's float, anywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.units import Quantity

CM, M = Quantity(150, "cm"), Quantity(1, "m")
ROW = Quantity(jnp.array([150, 250]), "cm")


# A program of two lengths, 150 cm and 1 m, and what it gives in metres (or None: a number).
PROGRAMS = {
    "cond": (lambda x, y: lax.cond(x > y, lambda: x, lambda: y), 1.5),
    "cond-other": (lambda x, y: lax.cond(x > y, lambda: y, lambda: x), 1.0),
    "switch": (lambda x, y: lax.switch(jnp.int32(x > y), [lambda: y, lambda: x]), 1.5),
    "fori": (lambda x, y: lax.fori_loop(0, 3, lambda i, c: c + x, y), 5.5),
    "while": (lambda x, y: lax.while_loop(lambda c: c < x * 3, lambda c: c + x, y), 5.5),
    "scan": (lambda x, y: lax.scan(lambda c, e: (e, c), y, jnp.stack([x, x]))[1], [1.0, 1.5]),
    "where": (lambda x, y: jnp.where(x > y, x, y), 1.5),
    "sum": (lambda x, y: (x + y) * 2, 5.0),
    "difference": (lambda x, y: -(y - x) * 3, 1.5),
    "inner-jit": (lambda x, y: jax.jit(lambda a, b: (b + a) * 2)(x, y), 5.0),
    "total": (lambda x, y: jnp.sum(jnp.stack([x + y, y]).astype("int8"), dtype="int32"), 3.5),
    "dot": (lambda x, y: jnp.dot(jnp.stack([x + y, y]), jnp.array([2, 1])), 6.0),
    "set": (lambda x, y: jnp.stack([y, y]).at[0].set(x), [1.5, 1.0]),
    "add": (lambda x, y: (jnp.stack([y, y]).at[0].add(x)) * 2, [5.0, 2.0]),
    "concatenate": (lambda x, y: jnp.stack([y, x]) * 2, [2.0, 3.0]),
    "clip": (lambda x, y: jnp.clip(y, x, None) * 2, 3.0),
    "full_like": (lambda x, y: jnp.full_like(y, x), 1.5),
    "gcd": (lambda x, y: jnp.gcd(x, y), 0.5),
    "lcm": (lambda x, y: jnp.lcm(x, y), 3.0),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("way", [lambda f: f, jax.jit], ids=["staged", "jit"])
def test_two_units_in_a_program(name, way):
    program, expected = PROGRAMS[name]
    out = way(quaxify(program))(CM, M)
    np.testing.assert_allclose(np.asarray(out.m_as("m"), float), expected, rtol=1e-6)


def test_a_quotient_of_integers_is_cut_off_and_continues():
    out = quaxify(lambda x, y: ((x + y) // Quantity(1, "m") + 1) // 2)(CM, Quantity(4, "m"))
    assert out == 3


def test_what_is_eager_is_what_is_staged():
    eager, staged = CM + M, quaxify(lambda x, y: x + y)(CM, M)
    compiled = jax.jit(quaxify(lambda x, y: x + y))(CM, M)
    for out in (eager, staged, compiled):
        assert out.dtype == jnp.float32 and out.units == CM.units and float(out.m) == 250
    mapped = quaxify(jax.vmap(lambda x, y: (x + y) * 2))(ROW, Quantity(jnp.array([1, 2]), "m"))
    np.testing.assert_allclose(mapped.m_as("m"), [5.0, 9.0])


@jax.numpy_dtype_promotion("standard")
@pytest.mark.filterwarnings("ignore:scatter inputs have incompatible types")  # JAX's
@pytest.mark.parametrize("what", ["set", "add", "max"])
def test_updates_of_integers_are_of_the_dtype_that_jax_gives(what):
    update = lambda x, y: getattr(x.at[0], what)(y)  # noqa: E731
    expected = update(jnp.array([150, 250]), 155.5)  # in the array's integers, as JAX warns
    for out in (update(ROW, Quantity(1.555, "m")), quaxify(update)(ROW, Quantity(1.555, "m"))):
        assert out.dtype == expected.dtype and np.array_equal(out.m, expected)
    assert float(update(ROW, Quantity(1555, "mm"))[0].m) % 1 == 0.5  # two units of integers


VALUES = np.array([-(2**31), -2000000001, -7001, -7000, -1, 0, 1, 999, 1000, 7001, 2000000001])
DIVISORS = np.array([-2000000, -7, -1, 1, 2, 7, 2000000, 2**31 - 1])


@pytest.mark.parametrize(
    "units, k, swapped", [(("ms", "s"), 1000, False), (("s", "ms"), 1000, True)]
)
@pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal", "equal"])
def test_comparisons_are_exact(name, units, k, swapped):
    x, y = np.meshgrid(VALUES, DIVISORS)
    factors = (k, 1) if swapped else (1, k)
    expected = getattr(np, name)(x * factors[0], y * factors[1])
    operands = [Quantity(jnp.asarray(z, jnp.int32), u) for z, u in zip((x, y), units, strict=True)]
    assert np.array_equal(getattr(sqnp, name)(*operands), expected)
    assert np.array_equal(jax.jit(quaxify(getattr(jnp, name)))(*operands), expected)


@pytest.mark.parametrize(
    "units, k, swapped", [(("ms", "s"), 1000, False), (("s", "ms"), 1000, True)]
)
def test_whole_multiples_are_exact(units, k, swapped):
    x, y = np.meshgrid(VALUES[1:] // (k if swapped else 1), DIVISORS[:-1])
    a, b = (x * k, y) if swapped else (x, y * k)
    operands = [Quantity(jnp.asarray(z, jnp.int32), u) for z, u in zip((x, y), units, strict=True)]
    assert np.array_equal(sqnp.floor_divide(*operands), a // b)
    for f, g in ((sqnp.remainder, np.remainder), (sqnp.fmod, np.fmod), (quaxify(lax.rem), np.fmod)):
        out = f(*operands)
        assert str(out.units) == str(operands[0].units)
        rest = np.asarray(out.m, float) * (k if swapped else 1)
        fits = np.abs(g(a, b)) < 2**31
        np.testing.assert_allclose(rest[fits], g(a, b)[fits], rtol=1e-6)
        assert swapped or out.dtype == jnp.int32


def test_narrow_integers_do_not_overflow():
    far, near = Quantity(jnp.int8(100), "km"), Quantity(jnp.int8(99), "m")
    assert far > near and not near > far
    assert float((far + near).m_as("m")) == 100099
    for divided in (far // near, jax.jit(quaxify(lambda x, y: x // y))(far, near)):
        assert divided == 1010 and divided.dtype == jnp.int32
    assert sqnp.gcd(far, Quantity(jnp.int8(0), "m")).m_as("m") == 100000
    assert sqnp.lcm(far, Quantity(jnp.int8(3), "m")).m_as("m") == 300000
    assert float(quaxify(lambda x, y: (y + x) * 2)(far, near).m_as("km")) == pytest.approx(200.198)
