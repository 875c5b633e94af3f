"""Derivatives of solutions: in value those of plain Diffrax, in unit those of the quotient."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
import sciquax.numpy as sqnp
from sciquax.interop import diffrax as dfx
from sciquax.units import Quantity

from .diffrax_problems import Q, assert_same_numbers, bare, units_of

PID = dict(rtol=1e-4, atol=1e-4)


def spring(t, y, args):
    return {"x": y["v"], "v": -args * y["x"]}


def plain_spring(t, y, args):
    return {"x": y["v"] / 1000.0, "v": -args * y["x"] * 1000.0}


def end(lib, x, k, adjoint, adaptive=False):
    """The position after a second, from `x` (km) and with `k` (1/s**2).

    By Euler's method, whose derivatives take half of the time to compile, where steps are fixed.
    """
    q = Quantity if lib is dfx else lambda x, unit: jnp.asarray(x)
    steps = lib.PIDController(**PID) if adaptive else lib.ConstantStepSize()
    solver = lib.Tsit5() if adaptive else lib.Euler()
    sol = lib.diffeqsolve(
        lib.ODETerm(spring if lib is dfx else plain_spring), solver,
        q(0.0, "s"), q(1.0, "s"), q(0.1, "s"), {"x": x, "v": q(0.0, "m/s")}, k,
        adjoint=adjoint, stepsize_controller=steps, max_steps=64,
    )  # fmt: skip
    return sol.ys["x"][-1]


REVERSE = {
    "few checkpoints": (lambda lib: lib.RecursiveCheckpointAdjoint(checkpoints=3),) * 2,
    "direct": (lambda lib: lib.DirectAdjoint(),) * 2,
    "backsolve": (lambda lib: lib.BacksolveAdjoint(),) * 2,
    "backsolve by itself": (
        lambda lib: lib.BacksolveAdjoint(
            dt0=Q(-10.0, "ms"),
            solver=lib.Heun(),
            stepsize_controller=lib.PIDController(rtol=1e-3, atol=1e-3),
        ),
        lambda lib: lib.BacksolveAdjoint(
            dt0=-0.01,
            solver=lib.Heun(),
            stepsize_controller=lib.PIDController(rtol=1e-3, atol=1e-3),
        ),
    ),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=() if k == "direct" else pytest.mark.slow) for k in REVERSE]
)
def test_reverse_mode(kind):
    with_units, without = REVERSE[kind]
    x, k = jnp.asarray(1.0), jnp.asarray(4.0)

    def loss(lib, adjoint):
        return lambda p: end(lib, *p, adjoint, kind == "direct")

    expected = jax.grad(loss(diffrax, without(diffrax)))((x, k))
    adjoint = with_units(dfx)
    given = Q(x, "km"), Q(k, "1/s**2")
    if kind == "direct":
        got = jax.grad(lambda p: loss(dfx, adjoint)(p).magnitude)(given)
        assert_same_numbers(bare(got), expected)
    value, grads = sciquax.value_and_grad(
        lambda x, k: loss(dfx, adjoint)((x, k)), argnums=(0, 1)
    )(*given)  # fmt: skip
    np.testing.assert_allclose(bare(grads), expected, rtol=1e-6)
    assert units_of(value) == "km"
    assert units_of(grads) == (None, "km*s**2")


def test_forward_mode():
    k = Q(4.0, "1/s**2")

    def position(k):
        return end(dfx, Q(1.0, "km"), k, dfx.ForwardMode())

    def plain_position(k):
        return end(diffrax, jnp.asarray(1.0), k, diffrax.ForwardMode())

    out, tangent = sciquax.jvp(position, (k,), (Q(0.5, "1/s**2"),))
    expected = jax.jvp(plain_position, (k.m,), (jnp.asarray(0.5),))
    assert_same_numbers(bare((out, tangent)), expected)
    assert units_of((out, tangent)) == ("km", "km")
    jacobian = sciquax.jacfwd(position)(k)
    assert units_of(jacobian) == "km*s**2"
    np.testing.assert_allclose(jacobian.m, 2 * expected[1], rtol=1e-6)


def test_implicit_adjoint():
    def steady(k, target):
        sol = dfx.diffeqsolve(
            dfx.ODETerm(lambda t, y, args: -args[0] * (y - args[1])), dfx.Heun(),
            0, Q(100.0, "s"), Q(0.1, "s"), Q(1.0, "m"), (k, target),
            adjoint=dfx.ImplicitAdjoint(), event=dfx.Event(dfx.steady_state_event()),
            stepsize_controller=dfx.PIDController(**PID),
        )  # fmt: skip
        return sol.ys[-1]

    with jax.numpy_dtype_promotion("standard"):  # Diffrax's `ImplicitAdjoint` needs it
        grads = sciquax.grad(steady, argnums=(0, 1))(Q(2.0, "1/s"), Q(300.0, "cm"))
    assert units_of(grads) == ("m*s", "m/cm")
    np.testing.assert_allclose(grads[1].m, 0.01, rtol=1e-4)
    np.testing.assert_allclose(grads[0].m, 0.0, atol=1e-3)


@pytest.mark.parametrize(
    "jnp_, how", [(jnp, "argument"), (sqnp, "captured"), (jnp, "module")],
    ids=["argument", "captured, sciquax.numpy", "module"],
)  # fmt: skip
@pytest.mark.slow
def test_losses_written_as_for_jax(jnp_, how):
    """The loss itself may be plain JAX code: it is staged with the solve in it."""
    import equinox as eqx

    class Spring(eqx.Module):
        k: Quantity

        def __call__(self, t, y, args):
            return {"x": y["v"], "v": -self.k * y["x"]}

    def loss(k, data):
        field = {
            "argument": spring,
            "captured": lambda t, y, args: {"x": y["v"], "v": -k * y["x"]},
            "module": Spring(k),
        }[how]
        sol = dfx.diffeqsolve(
            dfx.ODETerm(field), dfx.Heun(), Q(0.0, "s"), Q(1.0, "s"), Q(0.1, "s"),
            {"x": Q(1.0, "km"), "v": Q(0.0, "m/s")}, k,
            saveat=dfx.SaveAt(ts=Q(jnp.linspace(0.0, 1.0, 3), "s")),
        )  # fmt: skip
        return jnp_.mean((sol.ys["x"] - data) ** 2)

    def plain_loss(k, data):
        sol = diffrax.diffeqsolve(
            diffrax.ODETerm(plain_spring), diffrax.Heun(), 0.0, 1.0, 0.1,
            {"x": jnp.asarray(1.0), "v": jnp.asarray(0.0)}, k,
            saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 1.0, 3)),
        )  # fmt: skip
        return jnp.mean((sol.ys["x"] - data) ** 2)

    data = jnp.array([0.9, 0.5, -0.3])
    k = Q(4.0, "1/s**2")
    expected = jax.jit(jax.value_and_grad(plain_loss))(k.m, data)
    grad = sciquax.value_and_grad(loss)
    for run in (grad, jax.jit(grad)) if how == "captured" else (jax.jit(grad),):
        got = run(k, Q(data, "km"))
        assert units_of(got) == ("km**2", "km**2*s**2")
        np.testing.assert_allclose(got[0].m, expected[0], rtol=1e-5)
        np.testing.assert_allclose(got[1].m, expected[1], rtol=1e-5)


def test_gradients_through_dense_solutions():
    def loss(k, t):
        sol = dfx.diffeqsolve(
            dfx.ODETerm(lambda t, y, args: -args * y), dfx.Tsit5(), 0, Q(1.0, "s"), Q(0.05, "s"),
            Q(3.0, "m"), k, saveat=dfx.SaveAt(dense=True), max_steps=32,
        )  # fmt: skip
        return jnp.square(sol.evaluate(t))

    dk, dt = sciquax.grad(loss, argnums=(0, 1))(Q(2.0, "1/s"), Q(500.0, "ms"))
    assert units_of((dk, dt)) == ("m**2*s", "m**2/ms")
    np.testing.assert_allclose(dk.m, -9 * np.exp(-2.0), rtol=1e-4)
    np.testing.assert_allclose(dt.m, -36 * np.exp(-2.0) / 1000, rtol=1e-3)


@pytest.mark.slow
def test_batches_of_gradients():
    def loss(k):
        return end(dfx, Q(1.0, "km"), k, dfx.RecursiveCheckpointAdjoint())

    ks = Q(jnp.array([1.0, 4.0]), "1/s**2")
    got = jax.jit(jax.vmap(sciquax.grad(loss)))(ks)
    one = sciquax.grad(loss)(ks[1])
    assert units_of(got) == "km*s**2"
    np.testing.assert_allclose(got.m[1], one.m, rtol=1e-4)
