# pyright: reportIncompatibleMethodOverride=false
"""Solvers and controllers of the user's own run on quantities, and are checked as any code is.

The oracle is plain Diffrax with the same parts on numbers. Times are in s or ms.
"""

import diffrax
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
from sciquax.units import DimensionalityError, Quantity as Q

from . import own_parts as own
from .diffrax_problems import place


def decay(t, y, rate):
    return jax.tree.map(lambda x: -rate * x, y)


def plain(solver, y0=1.0, dt0=0.1, **given):
    return diffrax.diffeqsolve(diffrax.ODETerm(decay), solver, 0.0, 2.0, dt0, y0, 1.0, **given)


def with_units(solver, y0=Q(1.0, "m"), dt0=Q(0.1, "s"), **given):
    ends = Q(0.0, "s"), Q(2.0, "s")
    return dfx.diffeqsolve(dfx.ODETerm(decay), solver, *ends, dt0, y0, Q(1.0, "1/s"), **given)


def same(found, expected):
    """The same numbers, all in m."""
    found = jax.tree.map(lambda x: x.m_as("m"), found, is_leaf=lambda x: isinstance(x, Q))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), found, expected)


PID = dict(rtol=1e-4, atol=1e-4)
TS = jnp.array([0.5, 1.25, 2.0])


class Super(diffrax.Tsit5):
    def step(self, *args):
        return super().step(*args)


class ByName(diffrax.Kvaerno3):
    def step(self, *args):
        return diffrax.Kvaerno3.step(self, *args)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "solver",
    [
        own.Interpolated(),
        own.Backward(),
        pytest.param(own.Heun(), marks=SLOW),
        pytest.param(Super(), marks=SLOW),
        pytest.param(ByName(), marks=SLOW),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_solvers(solver):
    given = dict(dt0=None, max_steps=512)
    found = with_units(
        solver, stepsize_controller=dfx.PIDController(**PID),
        saveat=dfx.SaveAt(ts=Q(TS, "s"), dense=True), **given,
    )  # fmt: skip
    expected = plain(
        solver, stepsize_controller=diffrax.PIDController(**PID),
        saveat=diffrax.SaveAt(ts=TS, dense=True), **given,
    )  # fmt: skip
    same((found.ys, found.evaluate(Q(700.0, "ms"))), (expected.ys, expected.evaluate(0.7)))


def test_an_implicit_step_by_any_way_of_optimistixs():
    """Only `root_find` had its units: the others added numbers to metres."""
    for solver in own.Iterated(), own.Iterated(minimises=True):
        assert (
            jax.eval_shape(lambda solver=solver: with_units(solver).ys).units == Q(1.0, "m").units
        )
    same(with_units(own.Iterated()).ys, plain(own.Iterated()).ys)


def test_an_internal_state_has_units():
    saveat = dfx.SaveAt(t1=True, solver_state=True)
    found = with_units(own.Remembers(), saveat=saveat)
    same(found.ys, plain(own.Remembers()).ys)
    assert found.solver_state.state[1].units == Q(1.0, "m/s").units


def test_a_solver_within_a_solver():
    same(with_units(own.Halved(dfx.Heun())).ys, plain(own.Halved(diffrax.Heun())).ys)
    halves = dfx.HalfSolver(own.Heun())
    same(with_units(halves).ys, plain(halves).ys)


def test_what_meets_is_converted():
    """It was a maximum of magnitudes, of 1 m and 5 cm."""
    found = with_units(own.Larger(), (Q(1.0, "m"), Q(5.0, "cm"))).ys
    expected = plain(own.Larger(), (1.0, 0.05)).ys
    np.testing.assert_allclose(found[0].m_as("m"), expected[0], rtol=1e-6)
    np.testing.assert_allclose(found[1].m_as("cm"), 100 * expected[1], rtol=1e-6)


def test_what_does_not_add_is_refused():
    """It depended on the unit of time."""
    for dt0 in Q(0.1, "s"), Q(100.0, "ms"):
        with pytest.raises(DimensionalityError) as caught:
            with_units(own.Hyper(), dt0=dt0)
        assert str(caught.value) == (
            "`add` got operands in 'm' and 's**2', which measure different things.\n"
            f"{place(own.Hyper.step, 'y0 + h', column=13)}\n"
            "Convert one with `.to(...)`, or divide by a reference scale first."
        )
        assert caught.value.__notes__[0] == (
            "`Hyper.step`, which is not Diffrax's, runs on quantities: a number in it that stands "
            "for a time or for a part of the state needs its unit."
        )


def test_pairs_of_terms():
    def terms(lib, rate):
        return lib.ODETerm(lambda t, v, args: v), lib.ODETerm(lambda t, x, args: -rate * x)

    found = dfx.diffeqsolve(
        terms(dfx, Q(1.0, "1/s**2")), own.Leapfrog(), Q(0.0, "s"), Q(1.0, "s"), Q(10.0, "ms"),
        (Q(1.0, "m"), Q(0.0, "cm/s")),
    ).ys  # fmt: skip
    expected = diffrax.diffeqsolve(
        terms(diffrax, 1.0), own.Leapfrog(), 0.0, 1.0, 0.01, (1.0, 0.0)
    ).ys
    np.testing.assert_allclose(found[0].m_as("m"), expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1].m_as("m/s"), expected[1], rtol=1e-5)


@pytest.mark.parametrize("tree", [pytest.param(True, marks=SLOW), False])
def test_noise(tree):
    def run(lib, q, path):
        noise = lib.ControlTerm(lambda t, y, args: q(0.3, "m/s**0.5"), path)
        terms = lib.MultiTerm(lib.ODETerm(lambda t, y, args: -q(1.0, "1/s") * y), noise)
        ends = q(0.0, "s"), q(1.0, "s"), q(0.1, "s")
        steps = dict(adjoint=diffrax.ForwardMode())
        return lib.diffeqsolve(terms, own.Maruyama(), *ends, q(1.0, "m"), **steps).ys

    key = jax.random.key(3)
    unsafe = diffrax.UnsafeBrownianPath((), key)
    path, bare = unsafe, unsafe
    if tree:
        path = dfx.VirtualBrownianTree(Q(0.0, "s"), Q(1.0, "s"), Q(1.0, "ms"), (), key)
        bare = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-3, (), key)
    same(run(dfx, Q, path), run(diffrax, lambda x, unit: jnp.asarray(x), bare))


def capped(q, controller):
    return own.Capped(controller(rtol=1e-3, atol=1e-3), q(0.1, "s"))


def clipped(q, controller):
    pid = controller(rtol=1e-3, atol=1e-3)
    clip = dfx.ClipStepSizeController(pid, step_ts=q(jnp.array([0.55]), "s"))
    return own.Capped(clip, q(0.1, "s"))


def patient(q, controller):
    return own.Patient(**PID)


@pytest.mark.parametrize(
    "make", [capped, pytest.param(clipped, marks=SLOW), pytest.param(patient, marks=SLOW)]
)
def test_controllers(make):
    bare = make(lambda x, unit: x, diffrax.PIDController)
    steps = make(Q, dfx.PIDController)
    found = with_units(dfx.Heun(), dt0=None, stepsize_controller=steps)
    expected = plain(diffrax.Heun(), dt0=None, stepsize_controller=bare)
    same(found.ys, expected.ys)
    assert found.stats["num_steps"] == expected.stats["num_steps"]


def test_a_controller_with_tolerances_of_its_own():
    found = with_units(own.Heun(), stepsize_controller=own.Doubling(1e-3, Q(1.0, "mm")))
    expected = plain(own.Heun(), stepsize_controller=own.Doubling(1e-3, 1e-3))
    np.testing.assert_allclose(found.ys.m_as("m"), expected.ys, rtol=1e-6)
    assert found.stats["num_steps"] == expected.stats["num_steps"]


@SLOW
def test_a_tolerance_for_each_leaf():
    y0 = Q(1.0, "m"), Q(200.0, "cm")
    atol = Q(0.1, "mm"), Q(0.1, "mm")
    pid = own.Patient(rtol=1e-4, atol=atol)  # pyright: ignore[reportArgumentType]
    found = with_units(dfx.Heun(), y0, dt0=Q(0.1, "s"), stepsize_controller=pid)
    expected = plain(diffrax.Heun(), (1.0, 2.0), stepsize_controller=own.Patient(**PID))
    assert found.stats["num_steps"] == expected.stats["num_steps"]


def test_a_bare_number_is_no_step():
    """It was a hundredth of whatever time is in."""
    with pytest.raises(DimensionalityError) as caught:
        with_units(dfx.Heun(), stepsize_controller=own.Capped(dfx.ConstantStepSize(), 0.01))
    assert str(caught.value) == (
        "`add` got operands in 's' and plain numbers (f32[]); a bare number has no unit.\n"
        f"{place(own.Capped.init, 'return jnp.minimum', column=31)}\n"
        "Give it one, `Quantity(x, 's')`, or divide the quantity by a reference scale. Only "
        "literal 0, inf and nan belong to every unit."
    )


def test_backwards_solves_need_solvers_of_diffraxs():
    def run(**given):
        return with_units(own.Heun(), adjoint=dfx.BacksolveAdjoint(**given)).ys[0]

    with pytest.raises(RuleError) as caught:
        run()
    assert str(caught.value).splitlines()[::2] == [
        "`BacksolveAdjoint` would solve with `Heun`, which runs on quantities, for the state and "
        "its adjoints together, whose units are not known.",
        "Give it Diffrax's own, `BacksolveAdjoint(solver=...)`, or take another adjoint.",
    ]
    same(run(solver=dfx.Heun()), plain(own.Heun()).ys[0])


def test_root_finders_and_adjoints_are_tried_on_quantities():
    """They ran on whatever numbers there were: a cap of 0.05 was one of 0.05 cm in centimetres."""
    fall = lambda t, y, args, **kwargs: y - Q(20.0, "cm")  # noqa: E731
    implicit = lambda finder: dict(solver=dfx.ImplicitEuler(root_finder=finder))  # noqa: E731
    event = lambda finder: dict(solver=dfx.Heun(), event=dfx.Event(fall, finder))  # noqa: E731
    shifting = lambda shift: dict(solver=dfx.Heun(), adjoint=own.Shifting(shift=shift))  # noqa: E731
    finders = own.CappedNewton, own.CappedGaussNewton, own.CappedBFGS
    relative = {"cap": staticmethod(lambda y: 0.1 * abs(y))}
    harmless = [implicit(type("Relative", (cls,), relative)(1e-4, 1e-4)) for cls in finders]
    harmless += implicit(own.Damped(1e-4, Q(1.0, "mm"))), event(own.Damped(1e-4, 1e-4))
    for given in harmless:
        jax.eval_shape(lambda given=given: with_units(**given).ys)

    clip = place(own.Damped.step, "increment = jnp.clip", column=24)
    for given, cls, kind, what, where in [
        (implicit(own.Damped(1e-4, 1e-4, 0.05)), own.Damped, "a root finder", "`clip`: 'm'", clip),
        (event(own.Damped(1e-4, 1e-4, 0.05)), own.Damped, "a root finder", "`clip`: 's'", clip),
        *(
            (implicit(cls(1e-4, 1e-4)), cls, "a root finder", "`sub`: 'm'",
             place(cls.step, "y - self.cap", column=28))
            for cls in finders
        ),
        (
            shifting(1.0), own.Shifting, "an adjoint",
            "`add`: 'm'", place(own.Shifting.loop, "final.y + self", column=57),
        ),
    ]:  # fmt: skip
        with pytest.raises(RuleError) as caught:
            jax.eval_shape(lambda given=given: with_units(**given).ys)
        operation, unit = what.split(": ")
        assert str(caught.value) == (
            f"`{cls.__name__}`, {kind} of your own, runs on numbers in working units, and means "
            f"another thing in others. Tried on quantities: {operation} got operands in {unit} and "
            f"plain numbers (f32[]); a bare number has no unit.\n{where}\n"
            "Compare with multiples of the state or of `atol`, not with numbers of its own."
        )


@SLOW
def test_derivatives_and_batches():
    final = lambda y0: with_units(Super(), y0).ys[0]  # noqa: E731
    bare = lambda y0: plain(Super(), y0).ys[0]  # noqa: E731
    y0 = jnp.array([1.0, -2.0])
    same(jax.vmap(final)(Q(y0, "m")), jax.vmap(bare)(y0))
    np.testing.assert_allclose(sciquax.grad(final)(Q(1.0, "m")), jax.grad(bare)(1.0), rtol=1e-6)
    same(quaxify(lambda y0: 2 * final(y0))(Q(1.0, "m")), 2 * bare(1.0))


@SLOW
def test_implicit_steps_by_hand():
    """The units of what is kept from step to step are those of the first."""
    solver = dfx.Kvaerno3(root_finder=dfx.VeryChord(1e-6, 1e-6, norm=optx.max_norm))

    def three_steps(y, t0, t1, rate):
        terms = diffrax.ODETerm(decay)
        state = solver.init(terms, t0, t1, y, rate)
        for _ in range(3):
            y, _, _, state, _ = solver.step(terms, t0, t1, y, rate, state, False)
            t0, t1 = t1, t1 + (t1 - t0)
        return y

    y0 = Q(1.0, "m"), Q(2.0, "m")
    found = quaxify(three_steps)(y0, Q(0.0, "s"), Q(100.0, "ms"), Q(1.0, "1/s"))
    expected = three_steps((jnp.array(1.0), jnp.array(2.0)), jnp.array(0.0), jnp.array(0.1), 1.0)
    np.testing.assert_allclose([x.m_as("m") for x in found], expected, rtol=1e-5)


@pytest.mark.parametrize("solver", [dfx.Heun(), pytest.param(own.Heun(), marks=SLOW)])
def test_events_are_handed_the_users_own_parts(solver):
    """Where a body falls faster than 10 m/s, asked of the vector field; then of the solver."""
    g = Q(9.81, "m/s**2")
    fall = dfx.ODETerm(lambda t, y, args: {"height": y["speed"], "speed": -g})

    def by_terms(t, y, args, *, terms, **kwargs):
        return terms.vf(t, y, args)["height"] + Q(10.0, "m/s")

    def by_solver(t, y, args, *, terms, solver, stepsize_controller, **kwargs):
        assert type(solver) in (own.Heun, dfx.Heun)
        shorter = t < stepsize_controller.dtmax
        return ~shorter & (solver.func(terms, t, y, args)["height"] < Q(-1000.0, "cm/s"))

    times = []
    for condition in by_terms, by_solver:
        finder = optx.Newton(1e-5, 1e-5) if condition is by_terms else None
        solution = dfx.diffeqsolve(
            fall, solver, Q(0.0, "s"), Q(5.0, "s"), Q(1.0, "ms"),
            {"height": Q(20.0, "m"), "speed": Q(0.0, "m/s")},
            event=dfx.Event(condition, finder), max_steps=4096,
            stepsize_controller=dfx.PIDController(rtol=1e-3, atol=1e-3, dtmax=Q(10.0, "ms")),
        )  # fmt: skip
        times.append(solution.ts[0].m_as("s"))
    np.testing.assert_allclose(times[0], 10 / 9.81, rtol=1e-5)
    assert 0 <= times[1] - times[0] < 0.0101


def test_a_steady_state_within_a_condition():
    def run(lib, q, within):
        steady = lib.steady_state_event()
        condition = (lambda *args, **known: steady(*args, **known)) if within else steady
        return lib.diffeqsolve(
            lib.ODETerm(decay), lib.Heun(), q(0.0, "s"), q(50.0, "s"), q(0.1, "s"), q(1.0, "m"),
            q(1.0, "1/s"), event=lib.Event(condition),
            stepsize_controller=lib.PIDController(rtol=1e-3, atol=1e-3),
        ).ys  # fmt: skip

    same(run(dfx, Q, True), run(diffrax, lambda x, unit: x, False))


def test_objects_and_python_numbers():
    """`y0` as a NumPy array of quantities; `SaveAt(fn=)` that returns numbers."""
    y0 = np.array([Q(1.0, "m"), Q(50.0, "cm")], dtype=object)
    saveat = dfx.SaveAt(
        t1=True, fn=lambda t, y, args: {"one": 1.0, "half": np.float32(0.5), "y": y}
    )
    found = with_units(dfx.Heun(), y0, saveat=saveat).ys
    same(found["y"], plain(diffrax.Heun(), jnp.array([1.0, 0.5])).ys)
    assert float(found["one"][0]) == 1.0 and float(found["half"][0]) == 0.5

    def run():
        with_units(dfx.Heun(), np.array([Q(1.0, "m"), Q(1.0, "s")], dtype=object))

    with pytest.raises(DimensionalityError) as caught:
        run()
    assert str(caught.value).splitlines()[::2] == [
        "A NumPy array of objects holds one in 'm' and in 's'.",
        "Give a tuple or a dictionary where elements measure different things.",
    ]


def test_a_brownian_path_of_ones_own():
    def run(lib, q):
        path = own.Coin(jax.random.key(2), q(0.0, "s"), q(1.0, "s"), q(0.1, "s"))
        noise = lib.ControlTerm(lambda t, y, args: q(0.3, "m/s**0.5"), path)
        terms = lib.MultiTerm(lib.ODETerm(lambda t, y, args: -q(1.0, "1/s") * y), noise)
        ends = q(0.0, "s"), q(1.0, "s"), q(0.1, "s")
        return lib.diffeqsolve(terms, lib.Euler(), *ends, q(1.0, "m")).ys

    same(run(dfx, Q), run(diffrax, lambda x, unit: jnp.asarray(x)))


class Whole(diffrax.SaveAt):
    """At `n` times until `t1`."""

    def __init__(self, times):
        super().__init__(ts=times, fn=lambda t, y, args: (t, 2 * y))


def test_requests_of_diffraxs_own_classes():
    """`jax.numpy.asarray` refused the times before anything of ours was called."""
    step_ts = [0.0, Q(250.0, "ms")]
    clip = diffrax.ClipStepSizeController(diffrax.PIDController(rtol=1e-3, atol=1e-3), step_ts)
    assert clip.step_ts.units == Q(1.0, "ms").units  # pyright: ignore
    times = [Q(500.0, "ms"), Q(1.0, "s")]
    assert diffrax.SaveAt(ts=times).subs.ts.units == times[0].units  # pyright: ignore
    found = with_units(dfx.Euler(), dt0=Q(0.5, "s"), saveat=Whole(times)).ys
    assert found is not None
    ts, ys = found
    np.testing.assert_allclose(ts.m_as("s"), [0.5, 1.0])
    np.testing.assert_allclose(ys.m_as("m"), [1.0, 0.5])


class Pulled(eqx.Module):
    rest: Q = eqx.field(static=True)
    rate: Q

    def __call__(self, t, y, args):
        return self.rate * (self.rest - y)


@pytest.mark.filterwarnings("ignore:A JAX array is being set as static")
def test_static_fields_may_be_quantities():
    """JAX compared them while it traced the second solve, and could not."""
    for rest in Q(0.5, "m"), Q(50.0, "cm"), Q(2.0, "m"):
        found = dfx.diffeqsolve(
            dfx.ODETerm(Pulled(rest, Q(1.0, "1/s"))), dfx.Euler(), Q(0.0, "s"), Q(1.0, "s"),
            Q(0.5, "s"), Q(1.0, "m"),
        ).ys  # fmt: skip
        away = rest.m_as("m") + (1 - rest.m_as("m")) / 4
        np.testing.assert_allclose(found.m_as("m"), [away], rtol=1e-6)
    with pytest.raises(DimensionalityError):
        dfx.diffeqsolve(
            dfx.ODETerm(Pulled(Q(1.0, "s"), Q(1.0, "1/s"))), dfx.Euler(), Q(0.0, "s"),
            Q(1.0, "s"), Q(0.5, "s"), Q(1.0, "m"),
        )  # fmt: skip
