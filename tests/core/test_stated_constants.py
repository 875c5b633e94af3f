"""Constants of every unit that the program states as arrays, and loops that start from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.structured import DiagonalMatrix, TridiagonalMatrix
from sciquax.units import DimensionalityError, Quantity
from tests.core.test_stated import MODES, S, X, check
from tests.helpers import assert_same

PLAIN = jnp.asarray(np.array([3.0, 1.0, 2.0], np.float32))
EVERY_UNIT = {
    "array": lambda x: x + jnp.array([0.0, 0.0, 0.0]),
    "infinities": lambda x: jnp.maximum(x, jnp.array([-jnp.inf, -jnp.inf, 0.0])),
    "nan": lambda x: jnp.where(x > 0, x, jnp.array([jnp.nan])[0]),
    "numpy": lambda x: x + np.zeros(3, np.float32),
    "zeros_like": lambda x: x + jnp.zeros_like(PLAIN),
    "zeros_like of what is made": lambda x: x + jnp.zeros_like(jnp.ones(3)),
    "zeros of jit": lambda x: x + jax.jit(lambda y: jnp.zeros(3))(PLAIN + 1.0),
    "in scan": lambda x: lax.scan(lambda c, v: (c + v, None), jnp.array([0.0])[0], x)[0],
    "in jit": lambda x: jax.jit(lambda x, z: x + z)(x, jnp.array([0.0, 0.0, 0.0])),
    "in cond": lambda x: lax.cond(x[0] > 0, lambda: x, lambda: jnp.array([0.0, 0.0, 0.0])),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EVERY_UNIT)
def test_constant_of_every_unit(name, mode):
    check(EVERY_UNIT[name], 1, X, mode)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_zeros_like_of_an_argument(compiled):
    f = quaxify(lambda x, y: x + jnp.zeros_like(y))
    assert_same((jax.jit(f) if compiled else f)(Quantity(X, "m"), PLAIN), Quantity(X, "m"))


def test_other_arrays_are_numbers():
    x = Quantity(X, "m")
    for f in (lambda x: x + jnp.array([0.0, 0.0, 1.0]), lambda x: x + jnp.ones_like(PLAIN)):
        with pytest.raises(DimensionalityError):
            quaxify(f)(x)
    for zeros in (np.zeros(3), np.zeros(3, np.float32), jnp.zeros(3)):  # passed: data
        with pytest.raises(DimensionalityError):
            quaxify(lambda x, z: x + z)(x, zeros)


def test_nothing_of_a_matrix_is_a_matrix():
    A = TridiagonalMatrix(jnp.array([1.0, 2.0]), jnp.array([4.0, 5.0, 6.0]), jnp.array([1.0, 3.0]))
    for matrix in (A, DiagonalMatrix(X), Quantity(A, "m")):
        determinant = quaxify(lambda A: jnp.linalg.det(0 * A))(matrix)
        unit = {"units": "m**3"} if isinstance(matrix, Quantity) else {}
        assert_same(determinant, Quantity(jnp.float32(0), "m**3") if unit else jnp.float32(0))
    assert_same(quaxify(lambda A: jnp.linalg.inv(0 * A + jnp.eye(3)) @ X)(A), X)
    assert_same(quaxify(lambda A: jnp.linalg.svd(0 * A)[1])(A), jnp.zeros(3))


# -- loops ----------------------------------------------------------------------------------------

LOOPS = {
    "fori": lambda x: lax.fori_loop(0, 3, lambda i, b: b.at[i].set(x * i), jnp.zeros(3)),
    "while": lambda x: lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1].at[c[0]].set(x * c[0])), (0, jnp.zeros(3))
    )[1],
    "two floats": lambda x: lax.scan(
        lambda c, _: ((c[0] + 1, c[1] + x * c[0]), None), (0.0, 0.0), None, length=4
    )[0][1],
    "the other order": lambda x: lax.scan(
        lambda c, _: ((c[0] + x * c[1], c[1] + 1), None), (0.0, 0.0), None, length=4
    )[0][0],
    "three": lambda x: lax.fori_loop(
        0, 3, lambda i, c: (c[1] * 1.0, c[1].at[i].add(x * i)), (jnp.zeros(3), jnp.zeros(3))
    )[0],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LOOPS)
def test_literal_counter_beside_a_buffer(name, mode):
    check(LOOPS[name], 1, S, mode)


def test_buffer_that_stays_zero():
    """Nothing definite comes out: the buffer is what its literals make it."""
    f = lambda x: lax.scan(lambda c, _: (0 * x, None), jnp.zeros(3), None, length=2)[0]
    assert_same(quaxify(f)(Quantity(X, "m")), Quantity(0 * X, "m"))


@pytest.mark.parametrize("make", [jnp.zeros, lambda n: jnp.full(n, jnp.inf)])
def test_constants_that_are_computed_while_tracing(make):
    """Of every unit as well; not what is made of them, nor arrays that were made outside."""
    outside = jnp.zeros(3)

    def program(x):
        with jax.ensure_compile_time_eval():
            early = make(3)
        return x + early

    x = Quantity(jnp.array([1.0, 2.0, 4.0]), "m")
    assert_same(quaxify(program)(x), Quantity(x.m + make(3), "m"))
    assert_same(jax.jit(quaxify(program))(x), Quantity(x.m + make(3), "m"))
    with pytest.raises(DimensionalityError):
        quaxify(lambda x: x + outside)(x)
