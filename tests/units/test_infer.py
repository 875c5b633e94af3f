"""`infer`: unknown units found from the program; `nondimensionalise` and `canonicalise`."""

import math
from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from jax import lax

import sciquax
from sciquax import quaxify
from sciquax.units import (
    ContradictionError,
    DimensionalityError,
    Quantity,
    Unknown,
    canonicalise,
    constants,
    get_registry,
    infer,
    nondimensionalise,
    unknown,
)
from sciquax.units._analysis.rescaling import _fit, _typical
from sciquax.units._analysis.unknown_units import System, _plus, exponents_of
from tests.helpers import assert_same

V3 = Unknown(jnp.ones(3))
M = Quantity(1.0, "m")


def kinematics(x, v, a, t):
    return x + v * t + 0.5 * a * t**2


def growing(xs):
    return lax.scan(lambda c, x: (c * x, c), xs[0], xs)


def orbit(x, v, gm, dt):
    def step(_, state):
        x, v = state
        v = v - dt * gm * x / jnp.sum(x**2) ** 1.5
        return x + dt * v, v

    return lax.fori_loop(0, 3, step, (x, v))


# name: function, arguments, unit of the result, {unknown: unit}, free unknowns
CASES = {
    "sum": (lambda x: x + M, (unknown,), None, {"x": "m"}, ()),
    "product": (lambda x, y: x * y, (unknown, M), "J", {"x": "N"}, ()),
    "numbers": (lambda x: x + 1.0, (unknown,), None, {"x": ""}, ()),
    "exponential": (
        lambda t, rate: jnp.exp(-rate * t),
        (Quantity(3.0, "hour"), unknown),
        None,
        {"rate": "1/s"},
        (),
    ),
    "kinematics": (
        kinematics,
        (unknown, Quantity(1.0, "m/s"), unknown, unknown),
        "m",
        {"x": "m", "t": "s", "a": "m/s**2"},
        (),
    ),
    "root": (
        lambda x, y: jnp.sqrt(x) * jnp.cbrt(y),
        (unknown, Quantity(2.0, "kg")),
        "m",
        {"x": "m**2/kg**(2/3)"},
        (),
    ),
    "rational": (lambda x: x**0.75 + M, (unknown,), None, {"x": "m**(4/3)"}, ()),
    "zero literal": (lambda x: jnp.maximum(x, 0.0) + M, (unknown,), None, {"x": "m"}, ()),
    "inf literal": (lambda x: jnp.min(x, initial=jnp.inf) + M, (V3,), None, {"x": "m"}, ()),
    "jit": (jax.jit(lambda x: jnp.where(x > M, x, 0.0)), (V3,), None, {"x": "m"}, ()),
    "cond": (
        lambda x, y: lax.cond(x > M, lambda: y, lambda: M * M),
        (unknown, unknown),
        None,
        {"x": "m", "y": "m**2"},
        (),
    ),
    "scan product": (growing, (V3,), None, {"xs": ""}, ()),
    "scan sum": (
        lambda xs: lax.scan(lambda c, x: (c + x, c), 0.0, xs)[0] + M,
        (V3,),
        None,
        {"xs": "m"},
        (),
    ),
    "while": (
        lambda x, g: lax.while_loop(lambda c: c < M, lambda c: c * g, x),
        (unknown, unknown),
        None,
        {"x": "m", "g": ""},
        (),
    ),
    "fori": (
        orbit,
        (Quantity(jnp.ones(2), "km"), Unknown(jnp.ones(2)), unknown, Quantity(1.0, "s")),
        None,
        {"v": "m/s", "gm": "m**3/s**2"},
        (),
    ),
    "custom_jvp": (lambda x: jax.nn.relu(x) + M, (unknown,), None, {"x": "m"}, ()),
    "grad": (
        lambda k, x: jax.grad(lambda x: 0.5 * k * x**2)(x) + Quantity(1.0, "N"),
        (unknown, M),
        None,
        {"k": "N/m"},
        (),
    ),
    "sciquax.grad": (
        lambda k, x: sciquax.grad(lambda x: k * x**3)(x),
        (unknown, M),
        "N",
        {"k": "N/m**2"},
        (),
    ),
    "vmap": (jax.vmap(lambda x, y: x * y + M), (V3, Unknown(jnp.ones(3), "y")), "m", {}, ("x",)),
    "remat": (jax.checkpoint(lambda x: jnp.sin(x / M)), (unknown,), None, {"x": "m"}, ()),
    "solve": (
        lambda a, b: jnp.linalg.solve(a, b),
        (Quantity(jnp.eye(3), "s"), V3),
        "m",
        {"b": "m*s"},
        (),
    ),
    "power": (lambda x, p: x**p, (unknown, unknown), None, {"x": "", "p": ""}, ()),
    "method": (lambda x: x.to("km"), (unknown,), None, {"x": "m"}, ()),
    "nested": (
        lambda d: d["a"] * d["b"][0],
        ({"a": unknown, "b": [M]},),
        "J",
        {"d['a']": "N"},
        (),
    ),
    "free": (kinematics, (unknown, unknown, unknown, Quantity(1.0, "s")), None, {}, ("x",)),
    "one name": (
        lambda a, b, c: a * b + c,
        (Unknown(name="q"), Unknown(name="q"), M),
        None,
        {"q": "m**0.5"},
        (),
    ),
    "atan2": (lambda x, y: jnp.arctan2(x, y), (unknown, M), "radian", {"x": "m"}, ()),
    "dot": (lambda x, y: x @ y + M, (V3, Quantity(jnp.ones(3), "s")), None, {"x": "m/s"}, ()),
    "temperature": (
        lambda t, k: k * t,
        (Quantity(3.0, "kelvin"), unknown),
        "J",
        {"k": "J/kelvin"},
        (),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_infer(case):
    f, args, returns, expected, free = CASES[case]
    found = infer(f, returns)(*args)
    for name, unit in expected.items():
        assert found[name].is_compatible_with(unit), f"{name}: {found[name]} is not {unit}"
    assert found.free == free
    assert {n for n, x in found.inputs.items() if not x.free} >= set(expected)


@pytest.mark.parametrize("case", [c for c in CASES if not CASES[c][4]])
def test_what_is_found_runs(case):
    """With the inferred units put in, the function is right; with others it is refused."""
    f, args, _, _, _ = CASES[case]
    found = infer(f, CASES[case][2])(*args)
    if any("[" in name for name in found.inputs) or case == "one name":
        return
    names = iter(found.inputs.values())
    is_unknown = lambda x: isinstance(x, Unknown)
    value = lambda x: jnp.full(x.value.shape, 0.5, x.value.dtype)
    units = [next(names).unit if is_unknown(x) else None for x in args]
    pairs = list(zip(args, units, strict=True))
    known = [Quantity(value(x), u) if is_unknown(x) else x for x, u in pairs]
    jax.eval_shape(lambda: sciquax.core.run(f, known, {}))
    if not all(u is None or u.dimensionless for u in units) and case not in ("product", "root"):
        wrong = [
            Quantity(value(x), u * get_registry().Unit("kg**5")) if is_unknown(x) else x
            for x, u in pairs
        ]
        if CASES[case][2] is None:
            with pytest.raises(DimensionalityError):
                jax.eval_shape(lambda: sciquax.core.run(f, wrong, {}))


def test_report():
    found = infer(kinematics)(unknown, unknown, unknown, Quantity(1.0, "s"))
    assert str(found) == ("x: unit(x)\nv: unit(x)*1/s\na: unit(x)*1/s**2\n-> unit(x)\nfree: x")
    assert found["v"].exponents == {"x": Fraction(1)} and found["v"].unit is None
    assert found.outputs.free and not found.outputs.is_compatible_with("m")
    assert found["x"].dimensionality is None
    two = infer(lambda x, y: (x.to("km"), {"y": y**2, "n": 3.0}))(unknown, unknown)
    assert str(two.outputs) == "(km, {'n': dimensionless, 'y': unit(y)**2})"
    assert two.outputs[0].unit == get_registry().Unit("km")


def test_contradiction():
    def bad(x, t):
        y = x + M
        z = y + t * Quantity(1.0, "m/s")
        return z, jnp.exp(t)

    with pytest.raises(ContradictionError) as caught:
        infer(bad)(unknown, unknown)
    error, start = caught.value, bad.__code__.co_firstlineno
    where = "(test_contradiction.<locals>.bad)"
    assert str(error) == (
        "`exp` takes numbers, and got Quantity(f32[], 's') in 's'.\n"
        f"  at {__file__}:{start + 3}:18 {where}\n"
        f"`unit(x) = m` is asked for  at {__file__}:{start + 1}:12 {where}\n"
        f"`unit(t) = s` is asked for  at {__file__}:{start + 2}:12 {where}"
    )
    assert error.location.line == start + 3 and len(error.because) == 2


def test_other_errors_stay_what_they_are():
    with pytest.raises(DimensionalityError) as caught:
        infer(lambda x: (M + Quantity(1.0, "s")) * x)(unknown)
    assert type(caught.value) is DimensionalityError
    with pytest.raises(ContradictionError, match="`return` got operands in 'm' and 's'"):
        infer(lambda x: x + M, "s")(unknown)
    with pytest.raises(TypeError, match="the value comes first"):
        Unknown("x")


def test_nothing_is_computed_or_kept():
    calls = []
    f = lambda x: (calls.append(1), x + M)[1]
    for _ in range(2):
        assert infer(f)(Unknown(jax.ShapeDtypeStruct((10**9,), jnp.float32)))["x"].unit == "meter"
    assert len(calls) == 2
    # Inferring does not spoil later calls of the same compiled function.
    g = jax.jit(lambda x, y: x + y)
    assert infer(g)(unknown, M)["x"].is_compatible_with("m")
    assert infer(g)(unknown, Quantity(1.0, "s"))["x"].is_compatible_with("s")
    assert_same(quaxify(g)(M, Quantity(50.0, "cm")), Quantity(1.5, "m"))


class Layer(eqx.Module):
    weight: Quantity | Unknown
    bias: Quantity | Unknown

    def __call__(self, x):
        return jnp.tanh(self.weight * x + self.bias)


def test_modules():
    found = infer(Layer(unknown, unknown))(M)
    assert found["fn.weight"].is_compatible_with("1/m")
    assert found["fn.bias"].is_compatible_with("")


@pytest.mark.same_everywhere
@settings(max_examples=60)
@given(st.data())
def test_elimination_is_exact(data):
    """A system made from a known solution is solved to it; rationals stay rationals."""
    registry = get_registry()
    system = System(registry)
    n = data.draw(st.integers(1, 4))
    powers = st.fractions(-3, 3, max_denominator=4)
    truth = [{"[length]": data.draw(powers), "[time]": data.draw(powers)} for _ in range(n)]
    unknowns = [system.unknown(f"x{i}") for i in range(n)]
    rows = []
    for _ in range(n + 2):
        row = [data.draw(powers) for _ in range(n)]
        rows.append(row)
        left = unknowns[0] ** 0
        for u, p in zip(unknowns, row, strict=True):
            left = left * u**p
        right = {
            d: sum((p * t[d] for p, t in zip(row, truth, strict=True)), Fraction(0))
            for d in ("[length]", "[time]")
        }
        exponents = _plus(exponents_of(left), right, Fraction(-1))
        assert system.require(exponents)
    rank = np.linalg.matrix_rank(np.array(rows, float), tol=1e-9)
    assert len(system.solution) == rank
    if rank == n:
        for u, t in zip(unknowns, truth, strict=True):
            assert system.reduce(exponents_of(u)) == {d: p for d, p in t.items() if p}
    assert system.contradiction is None
    if rank == n:
        assert not system.require({**exponents_of(unknowns[0]), "[mass]": Fraction(1)})


# -- nondimensionalise

G = constants.gravitational_constant
SUN, EARTH, AU = Quantity(1.98e30, "kg"), Quantity(5.97e24, "kg"), Quantity(1.496e8, "km")


def force(m1, m2, r):
    return G * (m1 * m2) / r**2


FORCE = 6.6743e-11 * 1.98e30 * 5.97e24 / 1.496e11**2
SCALES = {
    "automatic": None,
    "base quantities": ["au", "2e30 kg", G],
    "by dimension": {"[length]": "au", "[mass]": SUN, "[time]": "year"},
    "units": [get_registry().Unit("au"), Quantity(1.0, "year"), SUN],
}


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("returns", [None, "kN"])
def test_astronomical(scales, returns):
    assert not math.isfinite(quaxify(force)(SUN, EARTH, AU).m)  # in float32
    run = nondimensionalise(force, SCALES[scales], returns)
    out = run(SUN, EARTH, AU)
    np.testing.assert_allclose(out.m_as("N"), FORCE, rtol=1e-5)
    assert out.units == get_registry().Unit(returns or "kg*m**3/km**2/s**2")
    if SCALES[scales] is not None:
        compiled = jax.jit(run)
        np.testing.assert_allclose(compiled(SUN, EARTH, AU).m_as("N"), FORCE, rtol=1e-5)
        slope = sciquax.grad(run, argnums=2)(SUN, EARTH, AU)
        np.testing.assert_allclose(slope.m_as("N/m"), -2 * FORCE / 1.496e11, rtol=1e-5)


def bohr(n):
    h, e = constants.planck_constant, constants.elementary_charge
    return n**2 * constants.vacuum_permittivity * h**2 / (jnp.pi * constants.electron_mass * e**2)


def test_atomic():
    """Captured constants are scaled too: h**2 alone underflows in float32."""
    assert not quaxify(bohr)(Quantity(1.0, "")).m > 0
    scales = ["bohr", "electron_mass", "elementary_charge", "hartree"]
    out = nondimensionalise(bohr, scales, returns="angstrom")(2.0)
    np.testing.assert_allclose(out.m, 4 * 0.529177, rtol=1e-5)
    inner = lambda n: jax.jit(bohr)(n)
    assert_same(nondimensionalise(inner, scales, returns="angstrom")(2.0), out)


@settings(max_examples=8)  # every new scale is a new program
@example(15.0, -15.0, -15.0)
@example(-15.0, -15.0, -15.0)
@given(st.floats(-15, 15), st.floats(-15, 15), st.floats(-15, 15))
def test_round_trip(a, b, c):
    """In and out again, whatever the scales; and the same answer as without."""
    x, t, m = (Quantity(10.0 ** np.float32(p), u) for p, u in ((a, "m"), (b, "hour"), (c, "g")))
    same = nondimensionalise(lambda *args: args)(x, t, m)
    for out, q in zip(same, (x, t, m), strict=True):
        assert out.units == q.units
        np.testing.assert_allclose(out.m, q.m, rtol=1e-6)
    momentum = lambda x, t, m: m * x / t + 0.0
    expected = quaxify(momentum)(x, t, m)
    out = nondimensionalise(momentum)(x, t, m)
    assert out.units == expected.units
    np.testing.assert_allclose(out.m, expected.m, rtol=1e-5)


def test_scales_are_near_one():
    scaling = _fit(*_typical([Quantity(jnp.array([3e20, 5e20, 0.0]), "m"), Quantity(2e-9, "s")]))
    x = scaling.apply(Quantity(4e20, "m"))
    assert 0.5 < float(x.m) < 2.0
    assert 0.5 < float(scaling.apply(Quantity(2.0, "ns")).m) < 2.0
    assert str(x.units).startswith("meter_times_2_to_the_6")
    # Angles, numbers and levels stay.
    for q in (Quantity(3.0, "degree"), Quantity(3.0, "percent"), Quantity(3.0, "dBm")):
        assert scaling.apply(q) is q
    assert_same(scaling.apply(Quantity(20.0, "degC")).to("degC"), Quantity(20.0, "degC"), rtol=1e-4)


def test_refusals():
    with pytest.raises(DimensionalityError, match="The scale of \\[length\\] is in 's'"):
        nondimensionalise(force, {"[length]": "s"})
    with pytest.raises(TypeError, match="Scales cannot be chosen from arrays that are being tra"):
        jax.jit(nondimensionalise(force))(SUN, EARTH, AU)
    with pytest.raises(OverflowError, match="beyond float32"):
        nondimensionalise(lambda m, r: m**2 * r**4, returns="g**2*nm**4")(SUN, AU)
    with pytest.raises(DimensionalityError):
        nondimensionalise(force, returns="m")(SUN, EARTH, AU)
    with pytest.raises(sciquax.core.RuleError, match="called within a quaxified function"):
        quaxify(nondimensionalise(force, ["au"]))(SUN, EARTH, AU)


# -- canonicalise


def test_one_program_for_all_units_of_a_dimension():
    traces = []

    def energy(m, v):
        traces.append(None)
        return 0.5 * m * v**2

    compiled = jax.jit(quaxify(energy))
    run = canonicalise(compiled)
    inputs = [
        ("2.0 kg", "3.0 m/s"), ("2000.0 g", "10.8 km/hour"), ("4.4092452 lb", "9.8425197 ft/s"),
        ("0.002 t", "300.0 cm/s"),
    ]  # fmt: skip
    for m, v in inputs:
        out = run(Quantity(m), Quantity(v))
        np.testing.assert_allclose(out.m_as("J"), 9.0, rtol=1e-5)
        assert out.units == get_registry().Unit("kg*m**2/s**2")
    assert_same(run(Quantity(2, "kg"), Quantity(3, "m/s")).m, jnp.float32(9.0))
    assert len(traces) == 1
    direct = jax.jit(quaxify(energy))
    for m, v in inputs:
        direct(Quantity(m), Quantity(v))
    assert len(traces) == 1 + len(inputs)


def test_canonical_units():
    seen = lambda q, **kwargs: canonicalise(lambda x: x, **kwargs)(q)
    assert_same(seen(Quantity(20.0, "degC")), Quantity(jnp.float32(293.15), "kelvin"))
    assert_same(seen(Quantity(50.0, "percent")), jnp.float32(0.5))
    assert_same(seen(Quantity(180.0, "degree")), Quantity(jnp.float32(np.pi), "radian"))
    assert_same(seen(Quantity(2.0, "N"), system="cgs"), Quantity(jnp.float32(2e5), "g*cm/s**2"))
    assert_same(
        seen({"a": [Quantity(1.0, "km")], "b": 3}),
        {"a": [Quantity(jnp.float32(1000.0), "m")], "b": 3},
    )
    assert_same(seen(get_registry().Quantity(2.0, "km")), Quantity(jnp.float32(2000.0), "m"))
