"""What goes into a solve and comes out of it: times, saving, controllers, events, solutions."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest

import sciquax.numpy as sqnp
from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity

from .diffrax_problems import Q, assert_same_numbers, bare, units_of

K = Q(4.0, "1/s**2")
Y0 = {"x": Q(1.0, "km"), "v": Q(0.0, "m/s")}
UNITS = {"x": "km", "v": "m/s"}
PID = dict(rtol=1e-5, atol=1e-6)


def spring(t, y, args):
    return {"x": y["v"], "v": -args * y["x"]}


def plain_spring(t, y, args):
    return {"x": y["v"] / 1000.0, "v": -args * y["x"] * 1000.0}


def solve(vector_field=spring, solver=None, **given):
    arguments = dict(t0=Q(0.0, "s"), t1=Q(1.0, "s"), dt0=Q(0.1, "s"), y0=Y0, args=K) | given
    return dfx.diffeqsolve(dfx.ODETerm(vector_field), solver or dfx.Tsit5(), **arguments)


def plain(vector_field=plain_spring, solver=None, **given):
    y0 = {"x": jnp.asarray(1.0), "v": jnp.asarray(0.0)}
    arguments = dict(t0=jnp.asarray(0.0), t1=jnp.asarray(1.0), dt0=jnp.asarray(0.1)) | given
    arguments = dict(y0=y0, args=jnp.asarray(4.0)) | arguments
    return diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field), solver or diffrax.Tsit5(), **arguments
    )


# -- the vector field -----------------------------------------------------------------------------


class Model(eqx.Module):
    stiffness: Quantity

    def __call__(self, t, y, args):
        return {"x": y["v"], "v": -self.stiffness * y["x"]}


FIELDS = {
    "plain JAX code": (spring, K),
    "captured": (lambda t, y, args: {"x": y["v"], "v": -K * y["x"]}, None),
    "methods": (lambda t, y, args: {"x": y["v"].to("km/s"), "v": -args * y["x"].to("m")}, K),
    "sciquax.numpy": (
        lambda t, y, args: {"x": sqnp.asarray(y["v"]).to("km/hour"), "v": -args * y["x"]}, K
    ),
    "other units": (
        lambda t, y, args: {"x": y["v"] * 60 / Q(1.0, "min") * Q(1.0, "s"), "v": -args * y["x"]}, K
    ),
    "arguments in a tree": (lambda t, y, a: spring(t, y, a["k"][0]), {"k": [K], "n": 3, "f": abs}),
}  # fmt: skip


def all_fields(t, y, args):
    return {kind: field(t, y[kind], args[kind]) for kind, (field, _) in FIELDS.items()}


@pytest.mark.parametrize(
    "field, args", [(jax.jit(spring), K), (Model(K), None)], ids=["jitted", "a module"]
)
def test_callables_as_vector_fields(field, args):
    _check_spring(solve(field, args=args).ys)


def test_kinds_of_vector_fields():
    """Side by side in one solve, which takes the time of one."""
    args = {kind: args for kind, (_, args) in FIELDS.items()}
    sol = solve(all_fields, y0=dict.fromkeys(FIELDS, Y0), args=args)
    for kind in FIELDS:
        _check_spring(sol.ys[kind])


def _check_spring(ys):
    assert units_of(ys) == UNITS
    np.testing.assert_allclose(ys["x"].m, np.cos(2.0), rtol=1e-4)
    np.testing.assert_allclose(ys["v"].m, -2000 * np.sin(2.0), rtol=1e-4)


def test_a_literal_zero_is_a_derivative_in_every_unit():
    zeros = [
        lambda v: 0.0,
        lambda v: 0,
        lambda v: jnp.zeros(3),
        lambda v: jnp.zeros_like(v),
        lambda v: 0.0 * v,
        lambda v: jnp.zeros(3) * v,
    ]
    y0 = {"x": Q(jnp.arange(3.0), "km"), "v": Q(jnp.ones(3), "m/s")}

    def field(t, y, args):
        return [{"x": one["v"], "v": zero(args)} for one, zero in zip(y, zeros, strict=True)]

    sol = solve(field, solver=dfx.Euler(), y0=[y0] * len(zeros), args=K)
    assert sol.ys is not None
    for ys in sol.ys:
        assert units_of(ys) == UNITS
        np.testing.assert_allclose(ys["x"].m[0], np.arange(3.0) + 1e-3, rtol=1e-6)
        np.testing.assert_array_equal(ys["v"].m[0], np.ones(3))


def test_dimensionless_leaves_and_angles():
    def pendulum(t, y, args):
        angle, turns, count = y
        return args, args / Q(2 * np.pi, "rad"), 3.0 / Q(2.0, "s")

    y0 = (Q(0.0, "deg"), jnp.asarray(0.0), jnp.asarray(1.0))
    sol = solve(pendulum, y0=y0, args=Q(np.pi, "rad/s"))
    assert units_of(sol.ys) == ("deg", None, None)
    np.testing.assert_allclose(sol.ys[0].m, 180.0, rtol=1e-5)
    np.testing.assert_allclose(sol.ys[1], 0.5, rtol=1e-5)
    np.testing.assert_allclose(sol.ys[2], 2.5, rtol=1e-5)


def test_temperatures_on_a_scale_with_an_offset():
    """Newton's law of cooling: rates and increments are differences, `delta_degC`."""

    def cool(t, y, args):
        return -Q(1.0, "1/min") * (y - Q(20.0, "degC"))

    sol = solve(cool, y0=Q(80.0, "degC"), t1=Q(1.0, "min"), saveat=dfx.SaveAt(t1=True, dense=True))
    assert units_of(sol.ys) == "°C"
    np.testing.assert_allclose(sol.ys.m, 20 + 60 * np.exp(-1), rtol=1e-5)
    drop = sol.evaluate(Q(0.0, "s"), Q(1.0, "min"))
    assert units_of(drop) == "Δ°C"
    np.testing.assert_allclose(drop.m, 60 * (np.exp(-1) - 1), rtol=1e-5)
    rate = sol.derivative(Q(30.0, "s"))
    assert units_of(rate) == "Δ°C/s"
    np.testing.assert_allclose(rate.m, -np.exp(-0.5), rtol=1e-3)


def test_a_temperature_is_no_rate():
    with pytest.raises(DimensionalityError, match="returned '°C' for y, whose time derivative is"):
        solve(lambda t, y, args: y, y0=Q(80.0, "degC"), t0=0.0, t1=1.0, dt0=0.1)
    with pytest.raises(DimensionalityError, match="`diffeqsolve` got `dt0` in '°C', and time is"):
        solve(lambda t, y, args: -y / t, y0=Q(1.0, "m"), t0=Q(1.0, "K"), t1=Q(2.0, "K"),
              dt0=Q(1.0, "degC"))  # fmt: skip


def test_what_a_system_evolves_in_need_not_be_time():
    def absorb(depth, intensity, args):
        return -intensity / args

    sol = solve(
        absorb, t0=Q(0.0, "m"), t1=Q(50.0, "cm"), dt0=Q(10.0, "mm"), y0=Q(1.0, "W/m**2"),
        args=Q(25.0, "cm"),
    )  # fmt: skip
    assert units_of((sol.t1, sol.ys)) == ("m", "W/m**2")
    np.testing.assert_allclose(sol.ys.m, np.exp(-2.0), rtol=1e-5)


# -- times ----------------------------------------------------------------------------------------


def test_times_in_any_unit_are_converted_to_that_of_t0():
    sol = solve(
        t0=Q(0.0, "min"), t1=Q(1000.0, "ms"), dt0=Q(0.1, "s"),
        saveat=dfx.SaveAt(t0=True, ts=Q([0.25, 0.5], "s"), t1=True),
    )  # fmt: skip
    assert units_of((sol.ts, sol.t0, sol.t1)) == ("min", "min", "min")
    np.testing.assert_allclose(sol.ts.m_as("s"), [0.0, 0.25, 0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(sol.ys["x"].m, np.cos(2 * np.array([0, 0.25, 0.5, 1])), rtol=1e-4)


def test_literal_zero_and_infinity_belong_to_every_unit():
    expected = solve()
    assert_same_numbers(bare(solve(t0=0).ys), bare(expected.ys))
    assert units_of(solve(t0=0.0).ts) == "s"
    backwards = solve(t0=Q(1.0, "s"), t1=0, dt0=Q(-100.0, "ms"), y0=_last(expected))
    np.testing.assert_allclose(backwards.ys["x"].m, 1.0, rtol=1e-4)
    event = dfx.Event(lambda t, y, args, **kwargs: t >= Q(1.0, "s"))
    endless = solve(t1=jnp.inf, event=event, max_steps=None)
    assert units_of(endless.ts) == "s"


def _last(sol):
    return jax.tree.map(lambda x: x[-1], sol.ys)


def test_sequences_of_times():
    ts = [0, Q(250.0, "ms"), Q(0.5, "s")]
    sol = solve(saveat=dfx.SaveAt(ts=ts))
    assert units_of(sol.ts) == "s"
    assert dfx.SaveAt(ts=ts).subs.ts._unit is Q(1.0, "ms")._unit
    np.testing.assert_allclose(sol.ts.m, [0.0, 0.25, 0.5])
    with pytest.raises(ValueError, match="nothing will be saved"):
        dfx.SubSaveAt(ts=Q(jnp.zeros(0), "s"))


# -- saving ---------------------------------------------------------------------------------------


def test_saving_everywhere():
    def request(lib, q):
        return lib.SaveAt(t0=True, t1=True, ts=q(jnp.array([0.15, 0.5]), "s"), steps=2)

    sol = solve(saveat=request(dfx, Quantity), max_steps=16)
    expected = plain(saveat=request(diffrax, lambda x, unit: x), max_steps=16)
    assert_same_numbers(bare((sol.ts, sol.ys)), (expected.ts, expected.ys))
    assert units_of(sol.ys) == UNITS


def test_saved_functions_return_any_tree():
    def energies(t, y, args):
        mass = Q(2.0, "kg")
        kinetic = 0.5 * mass * y["v"] ** 2
        return {"kinetic": kinetic, "share": kinetic / (0.5 * mass * args * y["x"] ** 2), "t": [t]}

    def plain_energies(t, y, args):
        kinetic = 0.5 * 2.0 * y["v"] ** 2
        share = kinetic / (0.5 * 2.0 * args * y["x"] ** 2)
        return {"kinetic": kinetic, "share": share, "t": [t]}

    ts = jnp.array([0.25, 0.5])
    sol = solve(saveat=dfx.SaveAt(t1=True, ts=Q(ts, "s"), fn=energies))
    expected = plain(saveat=diffrax.SaveAt(t1=True, ts=ts, fn=plain_energies))
    assert_same_numbers(bare(sol.ys), expected.ys)
    assert units_of(sol.ys) == {"kinetic": "kg*m**2/s**2", "share": "m**2/km**2", "t": ["s"]}


def test_several_requests():
    def velocity(t, y, args):
        return y["v"]

    def request(lib, q):
        some = lib.SubSaveAt(ts=q(jnp.array([0.1, 0.2]), "s"), fn=velocity)
        return lib.SaveAt(subs=[lib.SubSaveAt(t1=True), {"a": some, "b": lib.SubSaveAt(t0=True)}])

    sol = solve(saveat=request(dfx, Quantity))
    expected = plain(saveat=request(diffrax, lambda x, unit: x))
    assert_same_numbers(bare((sol.ts, sol.ys)), (expected.ts, expected.ys))
    assert units_of(sol.ts) == ["s", {"a": "s", "b": "s"}]
    assert units_of(sol.ys) == [UNITS, {"a": "m/s", "b": UNITS}]


def test_saving_nothing_but_dense_output():
    sol = solve(saveat=dfx.SaveAt(dense=True))
    assert sol.ts is None and sol.ys is None
    with pytest.raises(ValueError, match="Dense solution has not been saved"):
        solve().evaluate(Q(0.0, "s"))


# -- solutions ------------------------------------------------------------------------------------


def test_dense_solutions():
    sol = solve(saveat=dfx.SaveAt(dense=True), max_steps=32)
    expected = plain(saveat=diffrax.SaveAt(dense=True), max_steps=32)
    assert isinstance(sol, diffrax.Solution)
    assert isinstance(sol.interpolation, diffrax.DenseInterpolation)
    t = jnp.asarray(0.34)
    assert_same_numbers(bare(sol.evaluate(Q(t, "s"))), expected.evaluate(t))
    assert_same_numbers(bare(sol.derivative(Q(t, "s"))), expected.derivative(t))
    assert units_of(sol.evaluate(Q(340.0, "ms"))) == UNITS
    assert units_of(sol.derivative(Q(340.0, "ms"))) == {"x": "km/s", "v": "m/s**2"}
    increment = sol.evaluate(0, Q(1.0, "s"))
    np.testing.assert_allclose(increment["x"].m, np.cos(2.0) - 1, rtol=1e-4)
    assert units_of((sol.t0, sol.t1, sol.interpolation.t0, sol.interpolation.t1)) == ("s",) * 4
    assert sol.interpolation.t1.m == 1.0
    np.testing.assert_array_equal(sol.evaluate(0)["x"].m, 1.0)


def test_solutions_pass_through_transformations():
    sol = solve(saveat=dfx.SaveAt(dense=True, t1=True), max_steps=32)
    t = Q(jnp.linspace(0.0, 1000.0, 5), "ms")
    at = jax.jit(jax.vmap(lambda sol, t: sol.evaluate(t), in_axes=(None, 0)))(sol, t)
    np.testing.assert_allclose(at["x"].m, np.cos(np.linspace(0, 2, 5)), rtol=1e-4, atol=1e-4)
    assert units_of(at) == UNITS

    def batch(x, k):
        return solve(y0=Y0 | {"x": x}, args=k, saveat=dfx.SaveAt(dense=True, t1=True), max_steps=32)

    xs = Q(jnp.array([1.0, 2.0]), "km")
    sols = eqx.filter_jit(jax.vmap(batch, in_axes=(0, None)))(xs, K)
    assert units_of(sols.ys) == UNITS
    np.testing.assert_allclose(sols.ys["x"].m[:, 0], np.cos(2.0) * np.array([1, 2]), rtol=1e-4)
    middle = jax.vmap(lambda s: s.evaluate(Q(0.5, "s")))(sols)
    np.testing.assert_allclose(middle["x"].m, np.cos(1.0) * np.array([1, 2]), rtol=1e-4)


def test_going_on_where_a_solution_ended():
    request = dict(saveat=dfx.SaveAt(t1=True, solver_state=True, controller_state=True))
    controller = dict(stepsize_controller=dfx.PIDController(**PID))
    first = solve(**request, **controller)
    second = solve(
        t0=first.t1, t1=Q(2.0, "s"), y0=_last(first), solver_state=first.solver_state,
        controller_state=first.controller_state, made_jump=first.made_jump, **controller,
    )  # fmt: skip
    request = dict(saveat=diffrax.SaveAt(t1=True, solver_state=True, controller_state=True))
    controller = dict(stepsize_controller=diffrax.PIDController(**PID))
    one = plain(**request, **controller)
    two = plain(
        t0=one.t1, t1=jnp.asarray(2.0), y0=_last(one), solver_state=one.solver_state,
        controller_state=one.controller_state, made_jump=one.made_jump, **controller,
    )  # fmt: skip
    assert_same_numbers(bare(second.ys), two.ys)


# -- controllers ----------------------------------------------------------------------------------


def _steps(lib, q, controller, **given):
    run = solve if lib is dfx else plain
    sol = run(stepsize_controller=controller, saveat=lib.SaveAt(steps=True), max_steps=64, **given)
    return bare((sol.ts, sol.ys))


CONTROLLERS = {
    "numbers": lambda lib, q: lib.PIDController(**PID),
    "limits": lambda lib, q: lib.PIDController(**PID, dtmin=q(0.01, "s"), dtmax=q(0.1, "s")),
    "jumps": lambda lib, q: lib.PIDController(
        **PID, jump_ts=q(jnp.array([0.5, 0.25]), "s"), step_ts=q(jnp.array([0.3]), "s")
    ),
    "clip": lambda lib, q: lib.ClipStepSizeController(
        lib.PIDController(**PID), step_ts=q(jnp.array([0.3]), "s"), store_rejected_steps=10
    ),
}


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_controllers(kind):
    got = _steps(dfx, Quantity, CONTROLLERS[kind](dfx, Quantity))
    expected = _steps(diffrax, None, CONTROLLERS[kind](diffrax, lambda x, unit: x))
    assert_same_numbers(got, expected)


def test_controllers_take_times_in_any_unit():
    got = _steps(
        dfx, Quantity, dfx.PIDController(
            rtol=Q(1e-3, "percent"), atol=1e-6, dtmin=Q(10.0, "ms"), dtmax=Q(1 / 600, "min"),
            jump_ts=[Q(500.0, "ms"), Q(0.25, "s")],
        ),
    )  # fmt: skip
    expected = _steps(
        diffrax, None, diffrax.PIDController(
            rtol=1e-5, atol=1e-6, dtmin=0.01, dtmax=0.1, jump_ts=jnp.array([0.25, 0.5])
        ),
    )  # fmt: skip
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_stepping_to_given_times():
    expected = _steps(diffrax, None, diffrax.StepTo(jnp.array([0.0, 0.5, 1.0])), dt0=None)
    for cls, ts in [
        (dfx.StepTo, Q([0.0, 0.5, 1.0], "s")),
        (diffrax.StepTo, [0, Q(500.0, "ms"), Q(1.0, "s")]),
    ]:
        assert_same_numbers(_steps(dfx, Quantity, cls(ts), dt0=None), expected)


@pytest.mark.parametrize(
    "solver",
    [
        pytest.param(dfx.Tsit5(), id="explicit"),
        pytest.param(dfx.Kvaerno3(), id="very chord", marks=pytest.mark.slow),
        pytest.param(dfx.ImplicitEuler(), id="chord"),
    ],
)
def test_an_atol_for_each_leaf(solver):
    """The same tolerance for all, leaf by leaf, takes exactly the same steps."""
    tree = {"x": Q(10.0, "cm"), "v": Q(1e-4, "m/s")}
    small = {"x": Q(1e-4, "km"), "v": 1e-4}
    one = _steps(dfx, Quantity, dfx.PIDController(rtol=1e-2, atol=1e-4), solver=solver)
    same = _steps(dfx, Quantity, dfx.PIDController(rtol=1e-2, atol=small), solver=solver)
    assert_same_numbers(same, one)
    converted = _steps(dfx, Quantity, dfx.PIDController(rtol=1e-2, atol=tree), solver=solver)
    for a, b in zip(jax.tree.leaves(converted), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_an_atol_that_differs_from_leaf_to_leaf(x64):
    """The steps are those of the state measured in its tolerances, with a tolerance of 1."""

    def scaled(t, y, args):
        return {"x": y["v"] * 0.01, "v": -args * y["x"] / 0.01}

    given = dict(y0={"x": Q(1.0, "km"), "v": Q(0.0, "m/s")}, args=Q(4.0, "1/s**2"))
    atol = {"x": Q(1.0, "m"), "v": Q(1.0, "cm/s")}
    got = _steps(dfx, Quantity, dfx.PIDController(rtol=1e-5, atol=atol), **given)
    expected = _steps(
        diffrax, None, diffrax.PIDController(rtol=1e-5, atol=1.0), vector_field=scaled,
        y0={"x": jnp.asarray(1000.0), "v": jnp.asarray(0.0)},
    )  # fmt: skip
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-9)
    other = _steps(dfx, Quantity, dfx.PIDController(rtol=1e-5, atol=1e-3), **given)
    assert not np.allclose(got[0], other[0], rtol=1e-3)


def test_one_atol_for_a_state_that_measures_one_thing():
    def decay(t, y, args):
        return jax.tree.map(lambda x: -x / Q(1.0, "s"), y)

    def run(atol, y0):
        sol = solve(decay, y0=y0, stepsize_controller=dfx.PIDController(rtol=0.0, atol=atol))
        return int(sol.stats["num_steps"]), bare(sol.ys)

    assert run(Q(1.0, "mm"), Q(1.0, "m")) == run(1e-3, Q(1.0, "m"))
    mixed = (Q(1.0, "m"), Q(100.0, "cm"))
    steps, ys = run(Q(1.0, "mm"), mixed)
    assert steps == run(Q(1.0, "mm"), Q(1.0, "m"))[0]
    np.testing.assert_allclose(100 * ys[0], ys[1], rtol=1e-5)


@pytest.mark.slow
def test_tolerances_of_root_finders():
    def run(atol):
        finder = dfx.VeryChord(rtol=1e-6, atol=atol, norm=optx.max_norm)
        return bare(solve(solver=dfx.Kvaerno3(root_finder=finder)).ys)

    expected = run(1e-6)
    assert_same_numbers(run({"x": Q(1e-6, "km"), "v": Q(1e-6, "m/s")}), expected)


def test_norms_see_numbers():
    seen = []

    def norm(tree):
        seen.append(tree)
        return optx.max_norm(tree)

    solve(stepsize_controller=dfx.PIDController(rtol=1e-3, atol=1e-3, norm=norm))
    assert set(seen[-1]) == {"x", "v"}
    assert not any(isinstance(x, Quantity) for x in seen[-1].values())


# -- events ---------------------------------------------------------------------------------------


def test_events_that_find_a_root():
    def below(t, y, args, **kwargs):
        return y["x"] - Q(500.0, "m")

    def plain_below(t, y, args, **kwargs):
        return y["x"] - 0.5

    finder = optx.Newton(1e-5, 1e-5)
    sol = solve(
        event=dfx.Event(below, finder), t1=jnp.inf, stepsize_controller=dfx.PIDController(**PID)
    )
    expected = plain(
        event=diffrax.Event(plain_below, finder), t1=jnp.inf,
        stepsize_controller=diffrax.PIDController(**PID),
    )  # fmt: skip
    assert_same_numbers(bare((sol.ts, sol.ys)), (expected.ts, expected.ys))
    np.testing.assert_allclose(sol.ts.m_as("ms"), 1000 * np.arccos(0.5) / 2, rtol=1e-4)
    assert bool(sol.event_mask)
    assert sol.result == dfx.RESULTS.event_occurred


def test_several_events_and_their_directions():
    def rising(t, y, args, **kwargs):
        return y["v"]

    def late(t, y, args, *, t0, t1, dt0, **kwargs):
        return t > t0 + 40 * dt0 + 0 * t1

    conditions = {"rising": rising, "late": late}
    sol = solve(
        event=dfx.Event(conditions, direction={"rising": True, "late": None}), t1=Q(60.0, "s"),
        stepsize_controller=dfx.PIDController(**PID),
    )  # fmt: skip
    assert {k: bool(v) for k, v in sol.event_mask.items()} == {"rising": True, "late": False}
    assert 1.55 < sol.ts.m[-1] < 1.9  # half a period is 1.571 s


@pytest.mark.slow
def test_steady_states():
    def relax(t, y, args):
        return {"x": (Q(2.0, "km") - y["x"]) / Q(1.0, "s"), "v": -y["v"] * 3 / Q(1.0, "s")}

    def plain_relax(t, y, args):
        return {"x": 2.0 - y["x"], "v": -y["v"] * 3}

    def run(lib, solve, field, solver):
        return solve(
            field, solver, t1=jnp.inf, event=lib.Event(lib.steady_state_event()), max_steps=None,
            stepsize_controller=lib.PIDController(rtol=1e-3, atol=1e-3),
        )  # fmt: skip

    for solver in (dfx.Tsit5(), dfx.Kvaerno3()):
        sol = run(dfx, solve, relax, solver)
        expected = run(diffrax, plain, plain_relax, solver)
        assert_same_numbers(bare((sol.ts, sol.ys)), (expected.ts, expected.ys))
        np.testing.assert_allclose(sol.ys["x"].m, 2.0, rtol=1e-2)


def test_by_hand_on_plain_diffrax():
    """Quantities are pytrees: Diffrax itself solves for them, if the field keeps their units."""
    from sciquax import quaxify

    def rhs(t, y, args):
        s = Q(1.0, "s")
        return {"x": y["v"] * s * Q(1e-3, "km/m"), "v": -args * y["x"] * s * Q(1e3, "m/km")}

    sol = diffrax.diffeqsolve(
        diffrax.ODETerm(quaxify(rhs)), diffrax.Tsit5(), 0.0, 1.0, 0.1, Y0, K,
        stepsize_controller=diffrax.PIDController(**PID),
    )  # fmt: skip
    assert units_of(sol.ys) == UNITS
    np.testing.assert_allclose(sol.ys["x"].m, np.cos(2.0), rtol=1e-4)
