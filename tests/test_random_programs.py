"""Laws that hold for every program: other units, eager = staged = jit = vmap, gradients.

`RANDOM_PROGRAMS=20000 pytest tests/test_random_programs.py -m slow` looks for counterexamples, each
of which is shrunk to a few steps.
"""

import os

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.core import LocatedError
from sciquax.named import NamedArray
from sciquax.units import Quantity, get_registry
from tests.random_programs import KINDS, NONE, Program, dense, programs

# Powers of four, so that magnitudes of roots too are the same to the last bit.
UNITS = {"m": 1.0, "s": 1.0, "random_length": 16.0, "random_time": 0.0625}


@pytest.fixture(scope="module", autouse=True)
def units():
    registry = get_registry()
    registry.define("random_length = 16 * meter")
    registry.define("random_time = 0.0625 * second")


@pytest.fixture(autouse=True)
def settings():
    with (
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.enable_x64(True),
    ):
        yield


def quantities(inputs, units):
    """The same lengths and times, in these units; integers stay in m and s."""
    return [
        Quantity(x / UNITS[unit], unit)
        if jnp.issubdtype(x.dtype, jnp.floating)
        else Quantity(x, own)
        for x, unit, own in zip(inputs, units, ("m", "m", "s"), strict=True)
    ]


def bare(result, dims):
    """The magnitude in metres and seconds, of what has to be of these dimensions."""
    if dims == NONE and not isinstance(result, Quantity):
        return result
    return result.m_as(f"m**({dims[0]}) * s**({dims[1]})")


def same(found, expected, program):
    single = any(x.dtype == np.float32 for x in program.inputs)
    expected = np.asarray(expected, np.float64)
    size = np.max(np.abs(expected), initial=0.0)
    rtol = 2e-4 if single else 1e-9
    np.testing.assert_allclose(
        np.asarray(found, np.float64), expected, rtol=rtol, atol=rtol * float(size) + 1e-12
    )
    assert jnp.shape(found) == expected.shape


def check_units(program: Program):
    expected = program(*program.inputs)
    f = quaxify(program)
    given = [
        quantities(program.inputs, units)
        for units in (("m", "m", "s"), ("random_length", "m", "random_time"))
    ]
    for arguments in given:
        same(bare(f(*arguments), program.result), expected, program)
    same(bare(f(*given[1]), program.result), expected, program)  # what was kept of the first call
    same(bare(jax.jit(f)(*given[1]), program.result), expected, program)


def check_vmap(program: Program):
    inputs = [jnp.stack([x, x]) for x in program.inputs]
    expected = jax.vmap(program)(*inputs)
    arguments = quantities(inputs, ("random_length", "m", "random_time"))
    same(bare(jax.vmap(quaxify(program))(*arguments), program.result), expected, program)
    same(bare(quaxify(jax.vmap(program))(*arguments), program.result), expected, program)


def check_gradient(program: Program):
    x = program.inputs[0]
    result = jax.eval_shape(program, *program.inputs)
    if not all(jnp.issubdtype(a.dtype, jnp.floating) for a in (x, result)):
        return
    total = lambda *inputs: jnp.sum(program(*inputs))
    expected = jax.grad(total)(*program.inputs)
    if not jnp.all(jnp.isfinite(expected)):
        return
    dims = (program.result[0] - 1, program.result[1])
    arguments = quantities(program.inputs, ("random_length", "m", "random_time"))
    found = sciquax.grad(total)(*arguments)
    if not isinstance(found, Quantity) and dims != NONE:  # of what does not depend on it
        assert not np.any(expected) and not np.any(found)
        return
    same(bare(found, dims), expected, program)
    same(bare(quaxify(jax.grad(total))(*arguments), dims), expected, program)


def check_kind(program: Program):
    """Names and structures give what arrays give, or are refused: never another number."""
    expected = program(*program.inputs)
    scale = UNITS["random_length"]
    first = KINDS[program.kind](program.numbers / scale ** _degree(program.kind), _in_lengths)
    rest = quantities(program.inputs, ("m", "m", "s"))[1:]
    for f in quaxify(program), jax.jit(quaxify(program)):
        try:
            found = f(first, *rest)
        except LocatedError:
            continue
        found = found.array if isinstance(found, NamedArray) else found
        same(dense(bare(found, program.result)), expected, program)


def _in_lengths(x):
    return Quantity(x, "random_length")


def _degree(kind):
    """Of what power of its numbers a value is made: of their products, in two kinds."""
    return 0.5 if kind in ("low rank", "Kronecker") else 1.0


def thorough(count):
    count = int(os.environ.get("RANDOM_PROGRAMS", count))
    health = list(hypothesis.HealthCheck)
    return hypothesis.settings(max_examples=count, deadline=None, suppress_health_check=health)


@hypothesis.given(programs())
@thorough(30)
def test_units(program):
    check_units(program)


@hypothesis.given(programs(4))
@thorough(12)
def test_vmap(program):
    check_vmap(program)


@hypothesis.given(programs(4))
@thorough(12)
def test_gradient(program):
    check_gradient(program)


@hypothesis.given(programs(4, sorted(KINDS)))
@thorough(15)
def test_kinds(program):
    check_kind(program)


@pytest.mark.slow
@hypothesis.given(programs(12))
@thorough(150)
def test_all(program):
    check_units(program)
    check_vmap(program)
    check_gradient(program)
