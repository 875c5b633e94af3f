"""Dtypes are plain JAX's: weak types stay weak, narrow floats narrow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.units import Quantity

# Programs of an array of lengths and a length in another unit.
PROGRAMS = {
    "add": lambda x, y: y + x,
    "sub": lambda x, y: (x - y) * x,
    "maximum": jnp.maximum,
    "hypot": jnp.hypot,
    "fmod": jnp.fmod,
    "remainder": lambda x, y: (x % y) * x,
    "floor_divide": lambda x, y: (x // y) * x,
    "divmod": lambda x, y: jnp.divmod(x, y)[1] + x,
    "copysign": lambda x, y: jnp.copysign(x, y) * x,
    "select": lambda x, y: jnp.select([x > y], [x], y),
    "where": lambda x, y: jnp.where(x > y, x, y),
    "linspace": lambda x, y: jnp.linspace(x[0], y, 3),
    "clip": lambda x, y: jnp.clip(x, -y, y) * x,
    "interp": lambda x, y: jnp.interp(x, x, x, left=y) + x,
    "unwrap": lambda x, y: jnp.unwrap(x, period=y),
    "pdf": lambda x, y: jax.scipy.stats.norm.pdf(x, y, y) * x,
    "trapezoid": lambda x, y: jnp.trapezoid(x, dx=y),
    "gradient": lambda x, y: jnp.gradient(x, y) * x,
    "diff": lambda x, y: jnp.diff(x, prepend=y),
    "nan_to_num": lambda x, y: jnp.nan_to_num(x, nan=y) * x,
    "append": lambda x, y: jnp.append(x, y) + y,
    "set": lambda x, y: x.at[0].set(y) * x,
    "scan": lambda x, y: lax.scan(lambda c, e: (c + e, e + y), x[0], x)[1],
    "mean": lambda x, y: jnp.mean(x) + y,
    "round": lambda x, y: jnp.round(x) + y,
    "unit-ratio": lambda x, y: x / y + 1,
}
DTYPES = ["float16", "bfloat16", "float32", "complex64", "int32", "int8"]


def _dtypes(tree):
    return [x.dtype for x in jax.tree.leaves(tree)]


@pytest.mark.filterwarnings("ignore:scatter inputs have incompatible types")
@pytest.mark.parametrize("units", [("m", "km"), ("ft", "m"), ("percent", "ppm")], ids="-".join)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_dtypes_are_those_of_plain_jax(name, dtype, units):
    program, x, y = PROGRAMS[name], jnp.array([1, 2, 3], dtype), 2.0
    with jax.numpy_dtype_promotion("standard"):
        try:
            expected = _dtypes(jax.eval_shape(lambda x: program(x, y), x))
        except (TypeError, ValueError):
            pytest.skip("not for this dtype")
        out = quaxify(program)(Quantity(x, units[0]), Quantity(y, units[1]))
    assert _dtypes(out) == expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_float32_stays_where_double_precision_is_on(name):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        x, program = jnp.array([1, 2, 3], "float32"), PROGRAMS[name]
        out = quaxify(program)(Quantity(x, "m"), Quantity(2.0, "km"))
        assert _dtypes(out) == _dtypes(program(x, 2.0))


def test_a_weak_type_stays_weak():
    x = Quantity(2.0, "km").to("m")
    assert x.magnitude.weak_type and (x + Quantity(1.0, "ft")).magnitude.weak_type
    assert (Quantity(jnp.float16(1.0), "m") + x).dtype == np.float16
    assert not (Quantity(jnp.float32(1.0), "m") + x).magnitude.weak_type


CAPTURED = {
    "select": lambda x, y: jnp.select([x > y, x < y], [x, y], y),
    "asarray": lambda x, y: jnp.asarray(y),
    "full": lambda x, y: jnp.full(3, y),
    "geomspace": lambda x, y: jnp.geomspace(x[0], y, 3),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_weak_type_stays_weak(name):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        program, x = CAPTURED[name], jnp.array([1, 2, 3], "float32")
        expected, far = program(x, 2.0), Quantity(2.0, "km")
        for f in (quaxify(lambda x: program(x, far)), jax.jit(quaxify(lambda x: program(x, far)))):
            out = f(Quantity(x, "m")).magnitude
            assert (out.dtype, out.weak_type) == (expected.dtype, expected.weak_type)
        made = quaxify(lambda x: program(x, Quantity(2.0, "km")))(Quantity(x, "m")).magnitude
        assert (made.dtype, made.weak_type) == (expected.dtype, expected.weak_type)


def test_weak_integers_of_two_units_become_weak_floats():
    program = lambda x, y: (x + y) * 2  # noqa: E731
    x, y = Quantity(2, "m"), Quantity(3, "km")
    for out in (program(x, y), quaxify(program)(x, y), jax.jit(quaxify(program))(x, y)):
        assert out.magnitude.weak_type and (out + Quantity(np.float16(1), "m")).dtype == np.float16


def test_rounding_keeps_the_unit():
    for unit in ("percent", "degree", "ppm", "m"):
        x = Quantity(jnp.array([12.6, -12.6]), unit)
        for name, expected in {
            "round": [13.0, -13.0],
            "floor": [12.0, -13.0],
            "ceil": [13.0, -12.0],
            "rint": [13.0, -13.0],
            "trunc": [12.0, -12.0],
            "around": [13.0, -13.0],
        }.items():
            out = quaxify(getattr(jnp, name))(x)
            assert out.units == x.units and np.array_equal(out.magnitude, expected)
    assert str(round(Quantity(12.6, "percent"))) == "13.0 percent"


def test_rounding_to_digits():
    assert str(Quantity(12.25, "degree").round(1)) == "12.2 degree"


def test_rounding_of_a_ratio_of_units_is_of_the_number():
    """As cells are found, `((x - x0) / dx).astype(int)`, in whatever units x and dx come."""
    ratio = Quantity(jnp.array([0.0126, -0.0126]), "m") / Quantity(jnp.float32(1.0), "mm")
    for program in (jnp.floor, lambda x: jnp.floor(x).astype(int), lambda x: x.astype(jnp.int32)):
        np.testing.assert_array_equal(quaxify(program)(ratio), program(jnp.array([12.6, -12.6])))
    assert quaxify(lambda x: x.astype(int))(ratio).dtype == jnp.array(0).dtype
