"""Diffrax as it is, within `quaxify`: its own arithmetic on quantities, and where that stops."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.units import DimensionalityError, Quantity as Q

pytestmark = pytest.mark.usefixtures("x64")

START = (1.5, 0.25, 4.0, 0.0, 1.0, 0.125)
UNITS = ("m", "m/s", "1/s**2", "s", "s", "s")
QUANTITIES = tuple(Q(x, unit) for x, unit in zip(START, UNITS, strict=True))


def spring(t, y, k):
    return {"x": y["v"], "v": -k * y["x"]}


def solve(solver, field=spring, **given):
    def run(x, v, k, t0, t1, dt0):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field), solver, t0, t1, dt0, {"x": x, "v": v}, k,
            **({"adjoint": diffrax.DirectAdjoint()} | given),
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    "solver",
    [
        diffrax.Euler(),
        pytest.param(diffrax.Dopri8(), marks=pytest.mark.slow),
        pytest.param(diffrax.ReversibleHeun(), marks=pytest.mark.slow),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_fixed_steps(solver):
    saveat = diffrax.SaveAt(t1=True, fn=lambda t, y, k: (t, y, y["v"] ** 2))
    found, due = (
        quaxify(solve(solver, saveat=saveat))(*QUANTITIES),
        solve(solver, saveat=saveat)(*START),
    )
    assert found.ys is not None and due.ys is not None
    (t, y, square), (due_t, due_y, due_square) = found.ys, due.ys
    np.testing.assert_allclose(t.m_as("s"), due_t)
    np.testing.assert_allclose(y["x"].m_as("m"), due_y["x"], rtol=1e-12)
    np.testing.assert_allclose(square.m_as("m**2/s**2"), due_square, rtol=1e-12)


def test_with_nothing_but_defaults():
    """Buffers into which nothing has been saved pass through derivatives of their own."""
    term = diffrax.ODETerm(lambda t, y, k: -k * y)
    given = Q(0.0, "s"), Q(1.0, "s"), Q(0.25, "s"), Q(2.0, "m"), Q(3.0, "1/s")
    found = quaxify(diffrax.diffeqsolve)(term, diffrax.Euler(), *given)
    assert found.ys is not None and found.ts is not None
    np.testing.assert_allclose(found.ys.m_as("m"), [2 / 4**4])
    np.testing.assert_array_equal(found.ts.m_as("s"), [1.0])


# With room for 16 steps, Diffrax's loop has one level; with 4096, three.
@pytest.mark.parametrize(
    "adjoint, max_steps",
    [
        (diffrax.DirectAdjoint(), 16),
        pytest.param(diffrax.DirectAdjoint(), 4096, marks=pytest.mark.slow),
        pytest.param(diffrax.RecursiveCheckpointAdjoint(), 4096, marks=pytest.mark.slow),
    ],
    ids=["direct-16", "direct-4096", "checkpoints-4096"],
)
def test_gradients(adjoint, max_steps):
    def loss(*args):
        run = solve(diffrax.Euler(), adjoint=adjoint, max_steps=max_steps)
        return run(*args).ys["x"][0]

    given = (Q(jnp.asarray(x), unit) for x, unit in zip(START, UNITS, strict=True))
    found = sciquax.grad(loss, argnums=2)(*given)
    np.testing.assert_allclose(found.m_as("m*s**2"), jax.grad(loss, argnums=2)(*START), rtol=1e-12)


@pytest.mark.slow
def test_adaptive_steps_of_a_state_that_measures_one_thing():
    def run(y0, rate, t0, t1, dt0, atol):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, rate: -rate * y), diffrax.Tsit5(), t0, t1, dt0, y0, rate,
            adjoint=diffrax.DirectAdjoint(),
            stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=atol),
        ).ys  # fmt: skip

    numbers = (1.5, 2.0, 0.0, 1.0, 0.125, 1e-6)
    units = ("m", "1/s", "s", "s", "s", "m")
    found = quaxify(run)(*(Q(x, unit) for x, unit in zip(numbers, units, strict=True)))
    np.testing.assert_allclose(found.m_as("m"), run(*numbers), rtol=1e-9)


@pytest.mark.slow
def test_where_strict_units_stop_it():
    # One number as the tolerance of metres and of metres per second.
    controller = diffrax.PIDController(rtol=1e-4, atol=1e-6)
    with pytest.raises(DimensionalityError, match="`add` got operands in plain numbers"):
        quaxify(solve(diffrax.Tsit5(), stepsize_controller=controller))(*QUANTITIES)
    with pytest.raises(DimensionalityError, match="'m/s' and 'm/s\\*\\*2'"):
        mistaken = lambda t, y, k: {"x": y["v"], "v": -k * y["v"]}
        quaxify(solve(diffrax.Euler(), mistaken))(*QUANTITIES)


def test_a_call_whose_result_is_not_used_is_not_carried_out():
    def fraction(t0, t, t1):
        jnp.where(t0 == t1, 1.0, t1 - t0)  # as in Diffrax: 1 has no unit, and nobody asks
        return t - t0

    assert quaxify(fraction)(*(Q(x, "s") for x in (0.0, 1.0, 2.0))) == Q(1.0, "s")
    with pytest.raises(DimensionalityError):
        quaxify(lambda t0, t, t1: jnp.where(t0 == t1, 1.0, t1 - t0))(
            Q(0.0, "s"), Q(1.0, "s"), Q(2.0, "s")
        )
    with pytest.raises(DimensionalityError, match="`add` got"):  # what the user wrote is checked
        quaxify(lambda x, t: (x + t, x)[1])(Q(0.0, "m"), Q(1.0, "s"))
