"""Solves within `quaxify`, where units are known only after the program has been traced."""

import functools
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest

import sciquax
from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.interop import diffrax as dfx
from sciquax.structured import DiagonalMatrix
from sciquax.units import DimensionalityError, Quantity

from .diffrax_problems import Q

K = Q(4.0, "1/s**2")
Y0 = {"x": Q(1.0, "km"), "v": Q(0.0, "m/s")}
PID = dict(rtol=1e-5, atol=1e-6)


def spring(t, y, args):
    return {"x": y["v"], "v": -args * y["x"]}


def solve(vector_field=spring, solver=None, **given):
    arguments = dict(t0=Q(0.0, "s"), t1=Q(1.0, "s"), dt0=Q(0.1, "s"), y0=Y0, args=K) | given
    return dfx.diffeqsolve(dfx.ODETerm(vector_field), solver or dfx.Tsit5(), **arguments)


class Spring(eqx.Module):
    k: Quantity

    def __call__(self, t, y, args):
        return {"x": y["v"], "v": -self.k * y["x"]}


def arguments(y0, k):
    return solve(y0=y0, args=k).ys


def captured(y0, k):
    def rhs(t, y, args):
        return {"x": y["v"], "v": -k * y["x"]}

    return solve(rhs, y0=y0, args=None).ys


def captured_by_module(y0, k):
    return solve(Spring(k), y0=y0).ys


def methods(y0, k):
    def rhs(t, y, args):
        return {"x": y["v"].to("km/s"), "v": -args * y["x"]}

    return solve(rhs, y0=y0, args=k).ys


def saved(y0, k):
    root = k**0.5
    saveat = dfx.SaveAt(
        t1=True, ts=[Q(0.5, "s"), Q(900.0, "ms")], fn=lambda t, y, args: (root * y["x"], t)
    )
    return solve(y0=y0, args=k, saveat=saveat).ys


def times(y0, k):
    """Times that are computed from values."""
    period = 2 * jnp.pi / k**0.5
    sol = solve(
        y0=y0, args=k, t0=0, t1=period / 2, dt0=period / 50,
        saveat=dfx.SaveAt(ts=[period / 8, period / 4], t1=True),
        stepsize_controller=dfx.PIDController(**PID, dtmax=period / 10),
    )  # fmt: skip
    return sol.ts, sol.ys, sol.t1


def events(y0, k):
    half = y0["x"] / 2

    def condition(t, y, args, *, t0, **kwargs):
        return y["x"] - half + 0 * (t - t0) * y["v"]

    sol = solve(
        y0=y0, args=k, t1=jnp.inf, event=dfx.Event(condition, optx.Newton(1e-5, 1e-5)),
        stepsize_controller=dfx.PIDController(**PID),
    )  # fmt: skip
    return sol.ts, sol.ys, sol.event_mask


def boolean_events(y0, k):
    def condition(t, y, args, **kwargs):
        return y["x"] < Q(0.0, "m")

    sol = solve(
        y0=y0, args=k, t1=jnp.inf, event=dfx.Event([condition]),
        stepsize_controller=dfx.PIDController(**PID),
    )  # fmt: skip
    return sol.ts, sol.event_mask


def steady(y0, k):
    sol = solve(
        lambda t, y, args: {n: -x * args**0.5 for n, x in y.items()}, y0=y0, args=k,
        t1=Q(60.0, "s"), event=dfx.Event(dfx.steady_state_event(rtol=1e-2, atol=1e-2)),
        stepsize_controller=dfx.PIDController(rtol=1e-3, atol=1e-3),
    )  # fmt: skip
    return sol.ts


def dense(y0, k):
    sol = solve(y0=y0, args=k, saveat=dfx.SaveAt(dense=True), max_steps=20)
    middle = sol.evaluate(sol.t1 / 2)
    return middle, sol.derivative(Q(500.0, "ms")), sol.evaluate(0, sol.t1), sol.interpolation.t1


def batched(y0, k):
    scales = jnp.array([1.0, 2.0])
    return jax.vmap(lambda s: solve(y0=Y0 | {"x": s * y0["x"]}, args=k).ys)(scales)


def looped(y0, k):
    """A solve in the body of a scan, its end the start of the next."""

    def step(y, _):
        y = jax.tree.map(lambda x: x[-1], solve(y0=y, args=k).ys)
        return y, y["x"]

    return jax.lax.scan(step, y0, None, length=2)


def halves(y0, k):
    terms = (
        dfx.ODETerm(lambda t, v, args: v),
        dfx.ODETerm(lambda t, x, args: -k * x),
    )
    return dfx.diffeqsolve(
        terms, dfx.SemiImplicitEuler(), 0, Q(1.0, "s"), Q(0.1, "s"), (y0["x"], y0["v"])
    ).ys


def split(y0, k):
    terms = dfx.MultiTerm(dfx.ODETerm(spring), dfx.ODETerm(lambda t, y, a: {**spring(t, y, k)}))
    return dfx.diffeqsolve(
        terms, dfx.KenCarp3(), 0, Q(0.1, "s"), Q(0.01, "s"), y0, k,
        stepsize_controller=dfx.PIDController(rtol=1e-3, atol={"x": y0["x"] / 1000, "v": 1e-3}),
    ).ys  # fmt: skip


PROGRAMS = [
    arguments, captured, captured_by_module, methods, saved, times, events, boolean_events, steady,
    dense, batched, looped, halves, split,
]  # fmt: skip
# What cannot be called on quantities directly: it uses JAX's functions on them.
ONLY_STAGED = {looped}


@functools.cache
def outside(program):
    """What it gives on quantities directly: once for all the ways to stage it."""
    return program(Y0, K)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("how", ["quaxify", "jit outside", "jit inside"])
@pytest.mark.slow
def test_as_outside_of_quaxify(program, how):
    wrap = {
        "quaxify": quaxify,
        "jit outside": lambda f: jax.jit(quaxify(f)),
        "jit inside": lambda f: quaxify(jax.jit(f)),
    }[how]
    got = wrap(program)(Y0, K)
    if program in ONLY_STAGED:
        last, xs = got
        np.testing.assert_allclose(xs.m, np.cos([2.0, 4.0]), rtol=1e-4)
        np.testing.assert_allclose(last["v"].m, -2000 * np.sin(4.0), rtol=1e-4)
        return
    expected = outside(program)
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        finite = np.abs(b)[np.isfinite(b)]
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * max(1.0, *finite.ravel(), 0.0))


def test_solutions_leave_quaxify():
    def run(y0, k):
        return solve(y0=y0, args=k, saveat=dfx.SaveAt(dense=True, t1=True), max_steps=20)

    sol, expected = quaxify(run)(Y0, K), run(Y0, K)
    t = Q(300.0, "ms")
    for get in (lambda s: (s.ts, s.ys, s.t1), lambda s: s.evaluate(t), lambda s: s.derivative(t)):
        found, due = get(sol), get(expected)
        assert jax.tree.structure(found) == jax.tree.structure(due)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)
    assert sol.stats["max_steps"] == 20
    assert sol.result == expected.result
    again = quaxify(lambda t: sol.evaluate(t)["x"] * 2)(t)
    np.testing.assert_allclose(again.m, 2 * expected.evaluate(t)["x"].m, rtol=1e-5)


def test_plain_arrays_within_quaxify():
    """Nothing but numbers in the solve, next to a quantity elsewhere; jitted, it is JAX's again."""

    @jax.jit
    def decay(y):
        return dfx.diffeqsolve(
            dfx.ODETerm(lambda t, y, args: -y), dfx.Tsit5(), 0.0, 1.0, 0.1, y
        ).ys[-1]  # fmt: skip

    got = quaxify(lambda q, y: q * decay(y))(Q(2.0, "m"), jnp.asarray(1.0))
    np.testing.assert_allclose(got.m, 2 * np.exp(-1.0), rtol=1e-5)
    np.testing.assert_allclose(decay(jnp.asarray(2.0)), 2 * np.exp(-1.0), rtol=1e-5)


def test_plain_arrays_next_to_a_matrix_within_quaxify():
    """What gives more than it gets is asked for formulas then, and a solve has none."""
    saveat = dfx.SaveAt(ts=jnp.array([0.5, 1.0, 2.0]))

    def program(matrix, y):
        term = dfx.ODETerm(lambda t, y, args: -y)
        saved = dfx.diffeqsolve(term, dfx.Heun(), 0.0, 2.0, 0.25, 3 * y, saveat=saveat).ys
        return jnp.matmul(matrix, saved.T)

    diagonal, y = jnp.array([2.0, 4.0]), jnp.array([1.0, 3.0])
    got = quaxify(program)(DiagonalMatrix(diagonal), y)
    np.testing.assert_allclose(got, program(jnp.diag(diagonal), y), rtol=1e-6)


def _line(function, text):
    lines, first = inspect.getsourcelines(function)
    ((offset, line),) = [(i, line) for i, line in enumerate(lines) if text in line]
    return f"{inspect.getsourcefile(function)}:{first + offset}:{line.index(text)}"


def test_errors_name_the_line_of_the_solve():
    def run(y0):
        return solve(y0=y0, dt0=y0["x"])

    with pytest.raises(DimensionalityError) as caught:
        quaxify(run)(Y0)
    assert str(caught.value) == (
        "`diffeqsolve` got `dt0` in 'km', and time is in 's' (as `t0` is).\n"
        f"  at {_line(solve, 'dfx.diffeqsolve')} (solve)\n"
        "Give `dt0` in a unit that converts to 's'."
    )


def test_errors_name_a_vector_field_that_captured_tracers():
    def run(y0, k):
        def rhs(t, y, args):
            return {"x": y["v"], "v": k * y["v"]}

        return solve(rhs, y0=y0, args=None)

    with pytest.raises(DimensionalityError) as caught:
        quaxify(run)(Y0, K)
    lines, first = inspect.getsourcelines(run)
    assert str(caught.value) == (
        "The vector field returned 'm/s**3' for y['v'], whose time derivative is in 'm/s**2'.\n"
        f"  at {inspect.getsourcefile(run)}:{first + 1} ({run.__qualname__}.<locals>.rhs)\n"
        "Return something that converts to 'm/s**2'."
    )


def test_numpy_arrays_among_the_arguments():
    def run(y0, k):
        def rhs(t, y, args):
            return {"x": y["v"] * args["one"], "v": -k * y["x"] * args["two"] * args["three"][0]}

        args = {"one": np.float32(1.0), "two": 1.0, "three": np.ones(2, np.float32)}
        return solve(rhs, y0=y0, args=args).ys

    np.testing.assert_allclose(quaxify(run)(Y0, K)["x"].m, np.cos(2.0), rtol=1e-4)


def test_no_tracer_outlives_its_trace(leak_check):
    """On an interpolation: Diffrax's solves do not pass JAX's leak checks themselves."""
    path = dfx.LinearInterpolation(Q(jnp.arange(3.0), "s"), Q(jnp.arange(3.0), "m"))
    got = quaxify(lambda t: path.evaluate(t) * 2.0)(Q(1500.0, "ms"))
    np.testing.assert_allclose(got.m, 3.0)


def resumed(y0, k):
    """A solve that goes on from the internal states of another."""
    given = dict(args=k, stepsize_controller=dfx.PIDController(**PID))
    saveat = dfx.SaveAt(t1=True, solver_state=True, controller_state=True)
    first = solve(y0=y0, saveat=saveat, **given)
    return solve(
        y0=jax.tree.map(lambda x: x[-1], first.ys), t0=first.t1, t1=Q(2.0, "s"), **given,
        solver_state=first.solver_state, controller_state=first.controller_state,
    ).ys  # fmt: skip


@pytest.mark.slow
def test_going_on_from_internal_states():
    expected, got = resumed(Y0, K), quaxify(jax.jit(resumed))(Y0, K)
    assert str(got["x"].units) == "kilometer"
    np.testing.assert_allclose(got["x"].m, expected["x"].m, rtol=1e-5)


@pytest.mark.slow
def test_internal_states_leave_quaxify_and_know_their_units():
    def first(y0):
        return solve(y0=y0, saveat=dfx.SaveAt(t1=True, solver_state=True))

    def second(y0, state):
        return solve(y0=y0, t0=Q(1.0, "s"), t1=Q(2.0, "s"), solver_state=state).ys["x"]

    state = quaxify(first)(Y0).solver_state
    due = second(Y0, first(Y0).solver_state).m
    for found in (second(Y0, state), quaxify(second)(Y0, state)):
        np.testing.assert_allclose(found.m, due, rtol=1e-6)
    elsewhere = {"x": Y0["x"].to("m"), "v": Y0["v"]}
    for resume in (second, quaxify(second)):
        with pytest.raises(RuleError, match="got a `solver_state` of a solve in other units"):
            resume(elsewhere, state)
    with pytest.raises(RuleError, match="got a part of the internal state of a solver"):
        quaxify(lambda state: jax.tree.map(jnp.sin, state))(state)


def test_internal_states_of_plain_solves():
    """Numbers in the solve, whose state no unit belongs to, beside a quantity."""

    def run(scale, y):
        given = dict(args=4.0, dt0=0.1)
        saveat = dfx.SaveAt(t1=True, solver_state=True)
        first = solve(**given, y0=y, t0=0.0, t1=0.5, saveat=saveat)
        y = jax.tree.map(lambda x: x[-1], first.ys)
        again = solve(**given, y0=y, t0=0.5, t1=1.0, solver_state=first.solver_state)
        return scale * again.ys["x"][0]

    got = quaxify(run)(Q(2.0, "m"), {"x": jnp.asarray(1.0), "v": jnp.asarray(0.0)})
    np.testing.assert_allclose(got.m, 2 * np.cos(2.0), rtol=1e-4)


# -- derivatives taken within the program ----------------------------------------------------------


def end(x, k):
    return solve(y0=Y0 | {"x": x}, args=k).ys["x"][0]


def captures(x, k):
    def rhs(t, y, args):
        return {"x": y["v"], "v": -k * y["x"]}

    return solve(rhs, y0=Y0 | {"x": x}, args=None).ys["x"][0]


DERIVATIVES = {
    "grad": lambda f: jax.grad(f, (0, 1)),
    "jitted": lambda f: jax.jit(jax.grad(jax.jit(f), (0, 1))),
    "of a power": lambda f: jax.grad(lambda x, k: k * f(x, k) ** 2, (0, 1)),
    "of a scan": lambda f: jax.grad(
        lambda x, k: jax.lax.scan(lambda x, _: (f(x, k), None), x, None, length=2)[0], (0, 1)
    ),
    "of a batch": lambda f: jax.grad(
        lambda x, k: jax.vmap(f, (0, None))(jnp.stack([x, 2 * x]), k).sum(), (0, 1)
    ),
    "batch": lambda f: lambda x, k: jax.vmap(jax.grad(f, 1), (0, None))(jnp.stack([x, 2 * x]), k),
}


QUICK = ("grad", "of a power")


@pytest.mark.parametrize(
    "name", [x if x in QUICK else pytest.param(x, marks=pytest.mark.slow) for x in DERIVATIVES]
)
@pytest.mark.slow
def test_gradients_taken_within_quaxify(name):
    """As JAX's of the numbers; units are those that `sciquax.grad` gives."""

    def plain(x, k):
        return end(Q(x, "km"), Q(k, "1/s**2")).m

    fn = captures if name == "of a power" else end
    found = quaxify(DERIVATIVES[name](fn))(Q(1.0, "km"), K)
    due = DERIVATIVES[name](plain)(1.0, 4.0)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    if name == "grad":
        labelled = sciquax.grad(end, (0, 1))(Q(1.0, "km"), K)
        assert jax.tree.structure(found) == jax.tree.structure(labelled)


@pytest.mark.slow
def test_a_gradient_of_zeros_belongs_to_every_unit():
    """What does not depend on the solve adds nothing to the gradient, in whatever units."""

    def loss(x, k):
        def one(carry, k):
            position, total = carry
            position = end(position, k)
            return (position, total + 0 * position / position), position.sum()

        (_, total), positions = jax.lax.scan(one, (x, 0.0), jnp.stack([k, 2 * k]))
        return total + positions[0] ** 2 / x**2

    found = quaxify(jax.grad(loss, (0, 1)))(Q(1.0, "km"), K)
    np.testing.assert_allclose(found[0].m_as("1/km"), 0.0, atol=1e-4)
    due = -np.cos(2.0) * np.sin(2.0) / 2
    np.testing.assert_allclose(found[1].m_as("s**2"), due, rtol=1e-3)
