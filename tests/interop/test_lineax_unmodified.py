"""`lineax.linear_solve` in programs that know nothing of units: the adapter carries it out."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
import pytest

import sciquax
from sciquax import quaxify
from sciquax.units import Quantity, trust_literals
from tests.helpers import assert_same

A = np.array([[3.0, -1.0], [-1.0, 2.0]], np.float32)
B = np.array([0.5, 5.0], np.float32)
STIFFNESS, LOAD = Quantity(A, "kN/m"), Quantity(B, "N")
SPD = lx.positive_semidefinite_tag


def close(got, expected, unit):
    np.testing.assert_allclose(got.m_as(unit), expected, rtol=1e-5, atol=1e-6)


SOLVES = {
    "auto": lambda a, b: lx.linear_solve(lx.MatrixLinearOperator(a), b).value,
    "lu": lambda a, b: lx.linear_solve(lx.MatrixLinearOperator(a), b, lx.LU()).value,
    "cholesky": lambda a, b: lx.linear_solve(lx.MatrixLinearOperator(a, SPD), b).value,
    "iteration": lambda a, b: lx.linear_solve(
        lx.MatrixLinearOperator(a, SPD), b, lx.CG(rtol=1e-6, atol=1e-6)
    ).value,
    "function": lambda a, b: lx.linear_solve(
        lx.FunctionLinearOperator(lambda x: a @ x, jax.eval_shape(lambda: b)), b
    ).value,
    "jit": jax.jit(lambda a, b: lx.linear_solve(lx.MatrixLinearOperator(a), b).value),
    "vmap": lambda a, b: jax.vmap(
        lambda b: lx.linear_solve(lx.MatrixLinearOperator(a), b).value, 0, 1
    )(jnp.stack([b, b]))[:, 1],
    "scan": lambda a, b: jax.lax.scan(
        lambda x, _: (lx.linear_solve(lx.MatrixLinearOperator(a), b).value, None),
        0 * b / a[0, 0], None, length=2,
    )[0],
}  # fmt: skip


@pytest.mark.parametrize("name", SOLVES)
def test_solves(name):
    f = SOLVES[name]
    with jax.numpy_dtype_promotion("standard"):
        expected = np.linalg.solve(A, B)
        close(quaxify(f)(STIFFNESS, LOAD), expected, "mm")
        close(jax.jit(quaxify(f))(STIFFNESS, LOAD), expected, "mm")


@pytest.mark.parametrize("argument", [0, 1])
def test_derivatives(argument):
    def energy(a, b):
        return jnp.sum(lx.linear_solve(lx.MatrixLinearOperator(a), b).value ** 2)

    expected = jax.grad(energy, argument)(jnp.asarray(A), jnp.asarray(B))
    unit = ("mm**2*m/kN", "mm**2/N")[argument]
    close(quaxify(jax.grad(energy, argument))(STIFFNESS, LOAD), expected, unit)
    close(sciquax.grad(energy, argument)(STIFFNESS, LOAD), expected, unit)


def test_beside_quantities_plain_solves_stay_plain():
    def root(x):
        newton = optx.Newton(rtol=1e-5, atol=1e-5)
        return optx.root_find(lambda y, x: y**2 - x, newton, jnp.float32(1.0), x).value

    q = Quantity(np.float32(3.0), "m")
    out = quaxify(lambda q, x: q * jax.grad(root)(x))(q, jnp.float32(4.0))
    close(out, 0.75, "m")
    plain = quaxify(lambda q, a, b: (q, SOLVES["auto"](a, b)))(q, jnp.asarray(A), jnp.asarray(B))[1]
    assert_same(plain, SOLVES["auto"](jnp.asarray(A), jnp.asarray(B)))


def test_within_a_root_find():
    def root(x, start):
        newton = optx.Newton(rtol=1e-5, atol=1e-5)
        return optx.root_find(lambda y, x: y**2 - x, newton, start, x).value

    with trust_literals():
        out = quaxify(root)(Quantity(np.float32(4.0), "m**2"), Quantity(np.float32(1.0), "m"))
    close(out, 2.0, "m")


@pytest.mark.parametrize("way", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_literal_zeros_in_a_vector_are_in_the_unit_due(way):
    """As least squares with damping solve."""

    def damped(t, r, damping):
        operator = lx.FunctionLinearOperator(
            lambda p: (t * p, damping * p), jax.ShapeDtypeStruct((), jnp.float32)
        )
        return lx.linear_solve(operator, (r, jnp.zeros(())), lx.QR()).value

    t, r, damping = np.float32([1, 2]), np.float32([2, 3]), np.float32(0.5)
    out = way(quaxify(damped))(Quantity(t, "s"), Quantity(r, "m"), Quantity(damping * 1000, "ms"))
    close(out, t @ r / (t @ t + damping**2), "m/s")  # 500 ms weigh as 0.5 s do
