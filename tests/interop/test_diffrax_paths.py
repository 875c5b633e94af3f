"""Brownian motion, controls and interpolations with units: the numbers are plain Diffrax's."""

import re
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import jax.random as jr
import lineax as lx
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.core import RuleError
from sciquax.interop import diffrax as dfx, lineax as slx
from sciquax.units import DimensionalityError, Quantity

from .diffrax_problems import Q, assert_same_numbers, bare, units_of

pytestmark = pytest.mark.filterwarnings("ignore:.*is not marked as converging:UserWarning")
LEVY = diffrax.SpaceTimeLevyArea


def _q(lib):
    return Quantity if lib is dfx else lambda x, unit: jnp.asarray(x)


# -- stochastic differential equations ------------------------------------------------------------


def ornstein_uhlenbeck(lib, solver, kind="matrix", levy_area=diffrax.BrownianIncrement, **given):
    """dx = -theta (x - mu) dt + sigma dW, with sigma in m/s**(1/2)."""
    q = _q(lib)
    theta, mu, sigma = q(2.0, "1/s"), q(jnp.array([1.0, 2.0]), "m"), q(0.3, "m/s**0.5")

    def diffusion(t, x, args):
        return {
            "matrix": sigma * jnp.eye(2),
            "diagonal operator": lx.DiagonalLinearOperator(sigma * jnp.ones(2)),
            "matrix operator": lx.MatrixLinearOperator(sigma * jnp.eye(2)),
        }[kind]

    path = lib.VirtualBrownianTree(
        q(0.0, "s"), q(3.0, "s"), q(1e-3, "s"), (2,), jr.key(0), levy_area=levy_area
    )
    terms = lib.MultiTerm(
        lib.ODETerm(lambda t, x, args: theta * (mu - x)), lib.ControlTerm(diffusion, path)
    )
    return lib.diffeqsolve(
        terms, solver, q(0.0, "s"), q(2.0, "s"), q(0.05, "s"), q(jnp.zeros(2), "m"),
        saveat=lib.SaveAt(ts=q(jnp.linspace(0.0, 2.0, 5), "s")), **given,
    )  # fmt: skip


SDE = {
    "Euler": ("matrix", diffrax.BrownianIncrement),
    "Heun": ("matrix operator", diffrax.BrownianIncrement),
    "Midpoint": ("diagonal operator", diffrax.BrownianIncrement),
    "ReversibleHeun": ("matrix", diffrax.BrownianIncrement),
    "EulerHeun": ("matrix", diffrax.BrownianIncrement),
    "ItoMilstein": ("diagonal operator", diffrax.BrownianIncrement),
    "StratonovichMilstein": ("diagonal operator", diffrax.BrownianIncrement),
    "SEA": ("matrix", LEVY),
    "SRA1": ("matrix", LEVY),
    "ShARK": ("matrix", LEVY),
    "GeneralShARK": ("matrix", LEVY),
    "SlowRK": ("diagonal operator", LEVY),
    "SPaRK": ("matrix", LEVY),
}


@pytest.mark.parametrize(
    "solver",
    [pytest.param(s, marks=[] if s in ("Euler", "SlowRK") else pytest.mark.slow) for s in SDE],
)
def test_stochastic_solvers(solver):
    kind, levy_area = SDE[solver]
    got = ornstein_uhlenbeck(dfx, getattr(dfx, solver)(), kind, levy_area)
    expected = ornstein_uhlenbeck(diffrax, getattr(diffrax, solver)(), kind, levy_area)
    assert_same_numbers(bare(got.ys), expected.ys)
    assert units_of(got.ys) == "m"


@pytest.mark.slow
def test_stochastic_solvers_with_adaptive_steps():
    def run(lib):
        controller = lib.PIDController(rtol=1e-2, atol=1e-2, dtmin=_q(lib)(0.01, "s"))
        return ornstein_uhlenbeck(lib, lib.SPaRK(), "matrix", LEVY, stepsize_controller=controller)

    assert_same_numbers(bare(run(dfx).ys), run(diffrax).ys)


def test_brownian_motion_in_other_units_of_time():
    times = (Q(0.0, "ms"), Q(3000.0, "ms"), Q(1e-3, "s"))
    path = dfx.VirtualBrownianTree(*times, (), jr.key(0))
    plain = diffrax.VirtualBrownianTree(0.0, 3.0, 1e-3, (), jr.key(0))
    value = path.evaluate(Q(0.5, "s"), Q(2.0, "s"))
    assert units_of(value) == "ms**0.5"
    np.testing.assert_allclose(value.m_as("s**0.5"), plain.evaluate(0.5, 2.0), rtol=1e-5)
    np.testing.assert_allclose(
        path.evaluate(Q(2.0, "s")).m_as("s**0.5"), plain.evaluate(2.0), rtol=1e-5
    )

    def run(lib, path):
        q = _q(lib)
        sigma = q(0.3, "m/s**0.5")
        return lib.diffeqsolve(
            lib.ControlTerm(lambda t, x, args: sigma, path), lib.Euler(), q(0.0, "s"), q(1.0, "s"),
            q(0.1, "s"), q(0.0, "m"),
        ).ys  # fmt: skip

    np.testing.assert_allclose(run(dfx, path).m, run(diffrax, plain), rtol=1e-5)


def test_levy_areas_have_units():
    def paths(lib):
        q = _q(lib)
        area = diffrax.SpaceTimeTimeLevyArea
        tree = lib.VirtualBrownianTree(
            q(0.0, "s"), q(1.0, "s"), q(1e-3, "s"), (2,), jr.key(0), levy_area=area
        )
        unsafe = lib.UnsafeBrownianPath((2,), jr.key(0), levy_area=area)
        return [p.evaluate(q(0.25, "s"), q(0.5, "s"), use_levy=True) for p in (tree, unsafe)]

    for got, expected in zip(paths(dfx), paths(diffrax), strict=True):
        assert_same_numbers(bare(got), expected)
        assert units_of((got.dt, got.W, got.H, got.K)) == ("s", "s**0.5", "s**0.5", "s**0.5")


def test_unsafe_paths():
    def run(lib):
        q = _q(lib)
        sigma = q(0.3, "m/s**0.5")
        term = lib.ControlTerm(lambda t, x, a: sigma, lib.UnsafeBrownianPath((), jr.key(0)))
        return lib.diffeqsolve(
            term, lib.Euler(), q(0.0, "s"), q(1.0, "s"), q(0.1, "s"), q(0.0, "m"),
            adjoint=lib.ForwardMode(),
        ).ys  # fmt: skip

    assert_same_numbers(bare(run(dfx)), run(diffrax))


@pytest.mark.slow
def test_stochastic_equations_within_quaxify():
    def run(x, sigma):
        path = dfx.VirtualBrownianTree(0.0, Q(1.0, "s"), Q(1.0, "ms"), (), jr.key(0))
        terms = dfx.MultiTerm(
            dfx.ODETerm(lambda t, x, args: -x / Q(1.0, "s")),
            dfx.ControlTerm(lambda t, x, args: sigma, path),
        )
        return dfx.diffeqsolve(terms, dfx.Euler(), 0, Q(1.0, "s"), Q(0.1, "s"), x).ys[-1]

    x, sigma = Q(1.0, "m"), Q(100.0, "cm/s**0.5")
    expected = run(x, sigma)
    for wrapped in (quaxify(run), jax.jit(quaxify(run)), quaxify(jax.jit(run))):
        got = wrapped(x, sigma)
        assert units_of(got) == "m"
        np.testing.assert_allclose(got.m, expected.m, rtol=1e-5)
    dx, dsigma = sciquax.grad(run, argnums=(0, 1))(x, sigma)
    np.testing.assert_allclose(dx, 0.9**10, rtol=1e-5)
    assert units_of(dsigma) == "m*s**0.5/cm"
    np.testing.assert_allclose(dsigma.m * 100, expected.m - 0.9**10, rtol=1e-4)


def refused(error, match, diffusion, path, y0=None):
    def run():
        return dfx.diffeqsolve(
            dfx.ControlTerm(diffusion, path), dfx.Euler(), Q(0.0, "s"), Q(1.0, "s"), Q(0.1, "s"),
            Q(0.0, "m") if y0 is None else y0,
        )  # fmt: skip

    with pytest.raises(error, match=match):
        run()


def test_diffusions_are_checked():
    path = dfx.VirtualBrownianTree(Q(0.0, "s"), Q(1.0, "s"), Q(1.0, "ms"), (), jr.key(0))
    vector = dfx.VirtualBrownianTree(Q(0.0, "s"), Q(1.0, "s"), Q(1.0, "ms"), (2,), jr.key(0))
    due = r"which, to be multiplied by the control, must be in 'm/s\*\*0.5'"
    error = DimensionalityError
    refused(error, f"returned 'm/s' for y, {due}", lambda t, x, a: Q(1.0, "m/s"), path)
    refused(error, rf"a plain array \(f32\[\]\) for y, {due}", lambda t, x, a: 1.0, path)
    for operator in (lx.MatrixLinearOperator, lambda x: lx.DiagonalLinearOperator(x[0])):
        refused(
            error, "returned 'm/s' in a linear operator|returned 'm/s' for y",
            lambda t, x, a, operator=operator: operator(Q(jnp.eye(2), "m/s")), vector,
            Q(jnp.zeros(2), "m"),
        )  # fmt: skip
    mixed = (Q(jnp.zeros(1), "m"), Q(jnp.zeros(1), "K"))
    refused(
        RuleError, "it is not known what each array in it multiplies",
        lambda t, x, a: lx.MatrixLinearOperator(Q(jnp.eye(2), "m/s**0.5")), vector, mixed,
    )  # fmt: skip
    known = lx.DiagonalLinearOperator(Q(jnp.ones(2), "m/s**0.5"))
    wrong = lx.DiagonalLinearOperator(Q(jnp.ones(2), "m/s"))
    identity = lx.IdentityLinearOperator(jax.ShapeDtypeStruct((2,), jnp.float32))
    for operator, makes in (identity, "s"), (known @ known, "m**2/s"), (2 * wrong, "m/s**0.5"):
        refused(
            error, rf"that makes '{re.escape(makes)}.* of the control for y, .* must be in 'm'",
            lambda t, x, a, operator=operator: operator, vector, Q(jnp.zeros(2), "m"),
        )  # fmt: skip
    zero = dfx.diffeqsolve(
        dfx.ControlTerm(lambda t, x, a: 0.0, path), dfx.Euler(), 0, Q(1.0, "s"), Q(0.1, "s"),
        Q(3.0, "m"),
    )  # fmt: skip
    assert zero.ys.m[-1] == 3.0


def test_brownian_motion_in_plain_time_is_refused():
    plain = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-3, (), jr.key(0))
    refused(
        DimensionalityError, "`VirtualBrownianTree` got `t1` as a plain array",
        lambda t, x, a: Q(1.0, "m/s**0.5"), plain,
    )  # fmt: skip

    class Own(diffrax.AbstractBrownianPath):
        levy_area = diffrax.BrownianIncrement
        t0 = 0.0
        t1 = 1.0

        def evaluate(self, t0, t1=None, left=True, use_levy=False):
            return jnp.asarray(0.5)

    refused(
        DimensionalityError, "The Brownian path returned a plain array",
        lambda t, x, a: 1.0, Own(),
    )  # fmt: skip


SCALARS = {"x": jax.ShapeDtypeStruct((), jnp.float32), "v": jax.ShapeDtypeStruct((), jnp.float32)}


def column(lib, x, v):
    """One noise for two leaves, in whose units they differ."""
    lib = slx if lib is dfx else lx
    return lib.PyTreeLinearOperator({"x": x, "v": v}, SCALARS)


def test_one_noise_for_leaves_in_several_units():
    def run(lib, unit="m/s**1.5"):
        q = _q(lib)

        def diffusion(t, y, args):
            return 0.5 * column(lib, y["x"] / q(1.0, "s**0.5"), q(0.3, unit))

        path = lib.VirtualBrownianTree(q(0.0, "s"), q(1.0, "s"), q(0.01, "s"), (), jr.key(0))
        return lib.diffeqsolve(
            lib.ControlTerm(diffusion, path), lib.Euler(), q(0.0, "s"), q(1.0, "s"), q(0.25, "s"),
            {"x": q(1.0, "m"), "v": q(0.5, "m/s")},
        ).ys  # fmt: skip

    got = run(dfx)
    assert_same_numbers(bare(got), run(diffrax))
    assert units_of(got) == {"x": "m", "v": "m/s"}
    message = r"makes 'm' of the control for y\['v'\], whose change must be in 'm/s'"
    with pytest.raises(DimensionalityError, match=message):
        run(dfx, "m/s**0.5")


def test_a_control_in_several_units():
    """Time and a voltage, in other units than the vector field's: as with one array of both."""

    def charge(field, control, q):
        times = q(0.0, "s"), q(1.0, "s"), q(0.25, "s")
        return dfx.diffeqsolve(dfx.ControlTerm(field, control), dfx.Heun(), *times, q(1.0, "C")).ys

    structure = jax.ShapeDtypeStruct((), jnp.float32)

    def field(t, y, args):
        row = {"t": Q(1e3, "mC/s"), "V": y / Q(2.0, "V")}
        return slx.PyTreeLinearOperator(row, structure)

    data = {"t": Q(TS, "s").to("min"), "V": Q(YS, "V").to("kV")}
    got = charge(field, dfx.LinearInterpolation(Q(TS, "s").to("hour"), data), Q)
    both = dfx.LinearInterpolation(TS, jnp.stack([TS, YS], axis=1))
    expected = charge(lambda t, y, args: jnp.stack([1.0, y / 2]), both, lambda x, unit: x)
    np.testing.assert_allclose(got.m_as("C"), expected, rtol=1e-5)


# -- controlled differential equations ------------------------------------------------------------

TS, YS = jnp.linspace(0.0, 1.0, 5), jnp.sin(3 * jnp.linspace(0.0, 1.0, 5))


def control(lib, kind):
    q = _q(lib)
    ts, ys = q(TS, "s"), q(YS, "K")
    if kind == "linear":
        return lib.LinearInterpolation(ts, ys)
    if kind == "cubic":
        return lib.CubicInterpolation(ts, lib.backward_hermite_coefficients(ts, ys))
    heating = q(3.0, "K/s**2")
    return lambda t0, t1: heating * (t1 - t0) * (t1 + t0)


@pytest.mark.parametrize("ode", [False, True])
@pytest.mark.parametrize("kind", ["linear", "cubic", "function"])
def test_controlled_equations(kind, ode):
    def run(lib):
        q = _q(lib)
        expansion = q(0.2, "1/K")
        term = lib.ControlTerm(lambda t, y, args: y * expansion, control(lib, kind))
        if ode:
            if kind == "function":
                pytest.skip("a function has no derivative")
            term = term.to_ode()
        return lib.diffeqsolve(
            term, lib.Heun(), q(0.0, "s"), q(1.0, "s"), q(0.1, "s"), q(2.0, "m")
        ).ys

    got = run(dfx)
    assert_same_numbers(bare(got), run(diffrax))
    assert units_of(got) == "m"


class Ramp(diffrax.AbstractPath):
    rate: Any
    t0 = -jnp.inf
    t1 = jnp.inf

    def evaluate(self, t0, t1=None, left=True):
        return self.rate * t0**2 if t1 is None else self.rate * (t1**2 - t0**2)


def test_a_path_of_the_users_as_an_ordinary_equation():
    def run(lib, unit="m/K"):
        q = _q(lib)
        term = lib.ControlTerm(lambda t, y, args: q(2.0, unit), Ramp(q(3.0, "K/s**2")))
        return lib.diffeqsolve(
            term.to_ode(), lib.Heun(), q(0.0, "s"), q(1.0, "s"), q(0.25, "s"), q(1.0, "m")
        ).ys

    got = run(dfx)
    assert_same_numbers(bare(got), run(diffrax))
    assert units_of(got) == "m"
    with pytest.raises(DimensionalityError, match="to be multiplied by the control, must be in"):
        run(dfx, "m/K/s")


def test_controls_must_keep_their_unit():
    calls = []

    def fickle(t0, t1):
        calls.append(t0)
        return Q(1.0, "K") if len(calls) == 1 else t1 - t0

    refused(
        DimensionalityError, "The control returned 's' for control, which it gave in 'K' before",
        lambda t, y, args: y / Q(1.0, "K"), fickle,
    )  # fmt: skip


# -- interpolations -------------------------------------------------------------------------------


def interpolations(lib, q):
    ts = q(TS, "s")
    ys = {"a": q(YS.at[2].set(jnp.nan), "m"), "b": q(jnp.stack([YS, -YS], -1), "kg")}
    filled = lib.linear_interpolation(ts, ys, fill_forward_nans_at_end=True)
    linear = lib.LinearInterpolation(ts, filled)
    cubic = lib.CubicInterpolation(ts, lib.backward_hermite_coefficients(ts, ys))
    steps = lib.rectilinear_interpolation(ts, ys)
    t = q(0.6, "s")
    return {
        "filled": filled,
        "steps": steps,
        "values": [p.evaluate(t) for p in (linear, cubic)],
        "rates": [p.derivative(t) for p in (linear, cubic)],
        "ends": [(p.t0, p.t1) for p in (linear, cubic)],
    }


@pytest.mark.parametrize("lib", [dfx, diffrax], ids=["ours", "diffrax"])
def test_interpolations(lib):
    got, expected = interpolations(lib, Quantity), interpolations(diffrax, _q(diffrax))
    assert_same_numbers(bare(got), expected)
    ys, rates = {"a": "m", "b": "kg"}, {"a": "m/s", "b": "kg/s"}
    assert units_of(got) == {
        "filled": ys, "steps": ("s", ys), "values": [ys, ys], "rates": [rates, rates],
        "ends": [("s", "s"), ("s", "s")],
    }  # fmt: skip


def test_parts_of_diffrax_itself_take_quantities():
    """Called by hand, where Diffrax's own code would compare units as it does shapes."""
    interval = (Q(0.0, "s"), Q(1.0, "s"), Q(1.0, "ms"), (), jr.key(0))
    path = diffrax.VirtualBrownianTree(*interval)
    half = Q(500.0, "ms")
    assert repr(path.evaluate(half)) == repr(dfx.VirtualBrownianTree(*interval).evaluate(half))
    unsafe = diffrax.UnsafeBrownianPath((), jr.key(0)).evaluate(Q(0.0, "s"), half)
    assert unsafe.u == Q(1.0, "s**0.5").u

    drift = diffrax.ODETerm(lambda t, y, rate: -rate * y)
    noise = diffrax.ControlTerm(lambda t, y, args: Q(0.1, "m/s**0.5"), path)
    both, given = diffrax.MultiTerm(drift, noise), (Q(0.0, "s"), Q(3.0, "m"), Q(2.0, "1/min"))
    steps = both.contr(given[0], half)
    assert units_of(steps) == ("s", "s**0.5") or units_of(steps) == ("ms", "s**0.5")
    made = both.prod(both.vf(*given), steps)
    np.testing.assert_allclose(made.m_as("m"), both.vf_prod(*given, steps).m_as("m"), rtol=1e-6)
    np.testing.assert_allclose(
        made.m_as("m"), -6.0 / 60 * 0.5 + 0.1 * path.evaluate(given[0], half).m, rtol=1e-5
    )
    with pytest.raises(DimensionalityError, match="`add` got operands in 'm' and 's'"):
        diffrax.ODETerm(lambda t, y, args: y + t).vf(*given)


def test_interpolations_within_quaxify():
    def run(ts, ys):
        ys = dfx.linear_interpolation(ts, ys)
        path = dfx.LinearInterpolation(ts, ys)
        cubic = dfx.CubicInterpolation(ts, dfx.backward_hermite_coefficients(ts, ys))
        t = ts[1] * 1.5
        return path.evaluate(t), path.evaluate(ts[0], t), cubic.derivative(t), cubic.t1

    ts, ys = Q(TS, "s"), Q(YS, "m")
    expected = run(ts, ys)
    for wrapped in (quaxify(run), jax.jit(quaxify(run))):
        got = wrapped(ts, ys)
        assert units_of(got) == ("m", "m", "m/s", "s")
        for a, b in zip(bare(got), bare(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_increments_of_temperatures_are_differences():
    path = dfx.LinearInterpolation(Q(TS, "s"), Q(20 + YS, "degC"))
    assert units_of(path.evaluate(Q(0.5, "s"))) == "°C"
    assert units_of(path.evaluate(Q(0.25, "s"), Q(0.5, "s"))) == "Δ°C"
    assert units_of(path.derivative(Q(0.3, "s"))) == "Δ°C/s"


def test_starts_of_data_are_converted():
    ts = Q(jnp.arange(3.0), "s")
    ys = Q(jnp.array([jnp.nan, 2.0, 3.0]), "m")
    filled = dfx.linear_interpolation(ts, ys, replace_nans_at_start=Q(100.0, "cm"))
    np.testing.assert_allclose(filled.m_as("m"), [1.0, 2.0, 3.0])
    _, steps = dfx.rectilinear_interpolation(ts, ys, Q(100.0, "cm"))
    np.testing.assert_allclose(steps.m_as("m"), [1.0, 1.0, 2.0, 2.0, 3.0])
    d, c, b, a = dfx.backward_hermite_coefficients(
        ts, ys, replace_nans_at_start=Q(100.0, "cm"), deriv0=Q(6.0, "m/min")
    )
    assert units_of((d, c, b, a)) == ("m/s**3", "m/s**2", "m/s", "m")
    np.testing.assert_allclose(b.m[0], 0.1, rtol=1e-6)
    np.testing.assert_allclose(a.m[0], 1.0)
