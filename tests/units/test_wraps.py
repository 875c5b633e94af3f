"""`wraps`: formulas of numbers in stated units, called on quantities by every transformation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest

import sciquax
from sciquax import quaxify
from sciquax.named import NamedArray
from sciquax.units import (
    DimensionalityError,
    Quantity,
    UndefinedUnitError,
    get_registry,
    infer,
    trust_literals,
    unknown,
    wraps,
)
from tests.helpers import assert_raises, assert_same


def pressure(t, height):
    """Pa of degC and km."""
    return 611.2 * jnp.exp(17.62 * t / (243.12 + t) - height / 8.0)


WRAPPED = wraps("Pa", ("degC", "km"))(pressure)
T, H = np.array([293.15, 303.15], np.float32), np.array([250.0, 1500.0], np.float32)
KELVIN, METRES = Quantity(T, "K"), Quantity(H, "m")
PLAIN = (jnp.asarray(T) - 273.15, jnp.asarray(H) / 1000)

WAYS = {
    "eager": WRAPPED,
    "jit": jax.jit(WRAPPED),
    "quaxify": quaxify(WRAPPED),
    "within": quaxify(lambda t, h: 1.0 * WRAPPED(t, h)),
    "jit-within": quaxify(jax.jit(WRAPPED)),
    "jit-around": jax.jit(quaxify(WRAPPED)),
    "vmap": jax.vmap(WRAPPED),
    "vmap-within": quaxify(jax.vmap(WRAPPED)),
    "scan-within": quaxify(
        lambda t, h: jax.lax.scan(lambda c, x: (c, WRAPPED(*x)), 0, (t, h))[1]
    ),
    "keywords": lambda t, h: WRAPPED(height=h, t=t),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_agrees_with_the_formula(way):
    expected = Quantity(pressure(*PLAIN), "Pa")
    for _ in range(3):  # un-jitted calls are kept
        assert_same(WAYS[way](KELVIN, METRES), expected, rtol=1e-4)


def test_derivatives_have_units():
    t, h = Quantity(293.15, "K"), Quantity(250.0, "m")
    plain = (jnp.float32(20.0), jnp.float32(0.25))
    by_t, by_h = jax.grad(pressure, (0, 1))(*plain)
    for derivative in (
        sciquax.grad(WRAPPED, (0, 1)),
        jax.jit(sciquax.grad(WRAPPED, (0, 1))),
        quaxify(jax.grad(WRAPPED, (0, 1))),
        sciquax.jacfwd(WRAPPED, (0, 1)),
        lambda t, h: tuple(quaxify(jax.jacfwd(WRAPPED, i))(t, h) for i in (0, 1)),
        sciquax.grad(quaxify(lambda t, h: WRAPPED(t, h) * 1.0), (0, 1)),
    ):
        of_t, of_h = derivative(t, h)
        np.testing.assert_allclose(of_t.m_as("Pa/K"), by_t, rtol=1e-4)
        np.testing.assert_allclose(of_h.m_as("Pa/km"), by_h, rtol=1e-4)
    second = jax.hessian(pressure)(*plain)
    for hessian in (sciquax.hessian(WRAPPED), quaxify(jax.hessian(WRAPPED))):
        np.testing.assert_allclose(hessian(t, h).m_as("Pa/K**2"), second, rtol=1e-3)
    rows = quaxify(jax.vmap(jax.grad(WRAPPED)))(KELVIN, METRES)
    np.testing.assert_allclose(rows.m_as("Pa/K"), jax.vmap(jax.grad(pressure))(*PLAIN), rtol=1e-4)
    value, rate = sciquax.jvp(WRAPPED, (t, h), (Quantity(36.0, "K/hour"), Quantity(0.0, "m/s")))
    np.testing.assert_allclose(rate.m_as("Pa/s"), 0.01 * by_t, rtol=1e-4)
    assert str(value.units) == "pascal"


def test_numbers_are_refused_or_count_as_due():
    lax = wraps("m", ("s",), strict=False)(lambda t: 4.905 * t**2)
    expected = Quantity(jnp.float32(4.905 * 4), "m")
    two = jnp.float32(2.0)
    for call in (lax, jax.jit(lax), quaxify(lax), quaxify(lambda t: jax.jit(lax)(t))):
        assert_same(call(two), expected)
        assert_same(call(Quantity(two / 60, "min")), expected)
    within = quaxify(lambda x, t: (x + lax(t), jax.grad(lax)(t), jax.vmap(lax)(t[None])))
    out = within(Quantity(jnp.float32(1.0), "m"), two)
    assert_same(out[0], Quantity(jnp.float32(20.62), "m"))
    assert_same(out[1], Quantity(jnp.float32(19.62), "m"))
    assert_same(out[2], Quantity(jnp.array([19.62]), "m"))


def test_the_refusal_of_numbers():
    strict = wraps("m", "s")(lambda t: 4.905 * t**2)
    message = (
        "`<lambda>` got `t` as plain numbers (f32[]), and takes 's'.\n"
        "{place}\n"
        "Give it its unit, `Quantity(x, 's')`; or wrap the function with `strict=False`, "
        "which takes plain numbers to be in that unit."
    )
    calls = [
        lambda: strict(jnp.float32(2.0)),  # HERE
    ]
    assert_raises(DimensionalityError, calls[0], message, at=test_the_refusal_of_numbers)


def test_the_refusal_of_numbers_within():
    strict = wraps("m", "s")(lambda t: 4.905 * t**2)
    assert_raises(
        DimensionalityError,
        lambda: quaxify(lambda x, t: x + strict(t))(Quantity(1.0, "m"), jnp.ones(3)),  # HERE
        "`<lambda>` got `t` as plain numbers (f32[3]), and takes 's'.\n"
        "{place}\n"
        "Give it its unit, `Quantity(x, 's')`; or wrap the function with `strict=False`, "
        "which takes plain numbers to be in that unit.",
        at=test_the_refusal_of_numbers_within,
    )
    with pytest.raises(DimensionalityError):
        quaxify(lambda t: jax.jit(strict)(t))(jnp.ones(3))
    assert_same(strict(0.0), Quantity(jnp.float32(0.0), "m"))
    assert_same(quaxify(lambda x: x + strict(0.0))(Quantity(1.0, "m")), Quantity(1.0, "m"))


@pytest.mark.parametrize(
    "around", [lambda f: f, jax.jit, quaxify, sciquax.grad], ids=["eager", "jit", "quaxify", "grad"]
)
def test_the_refusal_of_another_dimension(around):
    assert_raises(
        DimensionalityError,
        lambda: around(WRAPPED)(Quantity(293.15, "K"), Quantity(2.0, "s")),  # HERE
        "`pressure` got `height` in 's', and takes 'km'.\n"
        "{place}\n"
        "Give it in a unit that converts to 'km'.",
        at=test_the_refusal_of_another_dimension,
    )


def test_results():
    @wraps(("m", None, ""), (None, "s"))
    def several(n, t):
        return 2.0 * t, n, t / 4.0

    t = Quantity(jnp.float32(1.5), "min")
    expected = (Quantity(jnp.float32(180.0), "m"), 3, jnp.float32(22.5))
    assert_same(several(3, t), expected)
    assert_same(quaxify(several)(3, t), expected)
    listed = wraps(["m", "s"], "s")(lambda t: (t, 2 * t))
    assert_same(listed(t), [Quantity(jnp.float32(90.0), "m"), Quantity(jnp.float32(180.0), "s")])
    with pytest.raises(ValueError) as refused:
        wraps(("m", "s"), "s")(lambda t: (t, t, t))(t)
    assert str(refused.value) == (
        "`<lambda>` returned 3 results, and `wraps` got 2 units for them."
    )
    tree = wraps("m", "s")(lambda pair: {"sum": pair[0] + pair[1], "name": "x"})
    out = tree((t, Quantity(jnp.float32(1.0), "s")))
    assert_same(out["sum"], Quantity(jnp.float32(91.0), "m"))
    assert out["name"] == "x"


def test_results_that_have_units():
    g = Quantity(jnp.float32(981.0), "cm/s**2")
    fall = wraps("m/s", "s")(lambda t: g * Quantity(t, "s"))
    assert_same(fall(Quantity(2.0, "s")), Quantity(jnp.float32(19.62), "m/s"))
    assert_raises(
        DimensionalityError,
        lambda: wraps("m", "s")(lambda t: g * t)(Quantity(2.0, "s")),  # HERE
        "`<lambda>` returned 'cm/s**2' for its result, and is said to return 'm'.\n"
        "{place}\n"
        "Correct `wraps('m', ...)`, or leave the unit to the function: `None`.",
        at=test_results_that_have_units,
    )


def test_references():
    @wraps("=A**2/B", ("=A", "=A", "=B"))
    def flow(a, b, c):
        return (a + b) * a / c

    a, b, c = Quantity(1.5, "m"), Quantity(50.0, "cm"), Quantity(2.0, "s")
    for call in (flow, jax.jit(flow), quaxify(flow), quaxify(jax.jit(flow))):
        assert_same(call(a, b, c), Quantity(jnp.float32(1.5), "m**2/s"))
    by_b = sciquax.grad(flow, 1)(a, b, c)
    np.testing.assert_allclose(by_b.m_as("m/s"), 0.75)
    assert_same(quaxify(jax.grad(flow, 2))(a, b, c).to("m**2/s**2"), Quantity(-0.75, "m**2/s**2"))
    assert_same(flow(jnp.float32(1.5), 0.5, c), Quantity(jnp.float32(1.5), "1/s"))
    with pytest.raises(DimensionalityError):
        flow(a, c, c)


def test_what_is_wrong_when_wrapping():
    two = lambda x, y: x * y
    with pytest.raises(TypeError) as refused:
        wraps("m", ("s",))(two)
    assert str(refused.value) == "`<lambda>` has 2 parameters, and `wraps` got 1 units."
    with pytest.raises(ValueError) as refused:
        wraps("=B", ("=A", "=A"))(two)
    assert str(refused.value) == (
        "'=B' refers to B, which no parameter of `<lambda>` defines: one has to be \"=B\"."
    )
    with pytest.raises(UndefinedUnitError):
        wraps("m", ("secnd", "s"))(two)
    with pytest.raises(TypeError):
        wraps(3, ("s", "s"))(two)


def test_as_pint_does():
    """pint's own `wraps` on pint's quantities says what is right."""
    registry = get_registry()
    formula = lambda x, y, z: 0.5 * x + y * z
    args, returns = ("km", "=A", None), "=A**2"
    given = registry.Quantity(2500.0, "m"), registry.Quantity(3.0, "minute"), 4.0
    expected = registry.wraps(returns, args)(formula)(*given)
    found = wraps(returns, args)(formula)(*given)
    assert found.units == expected.units
    np.testing.assert_allclose(found.m, expected.m)
    assert_same(wraps("m", "s")(lambda t: 2 * t)("1.5 min"), Quantity(jnp.float32(180.0), "m"))
    other = pint.UnitRegistry()
    assert_same(
        wraps("m", "s")(lambda t: 2 * t)(1.5 * other.minute), Quantity(jnp.float32(180.0), "m")
    )


def test_python_on_concrete_numbers_defaults_and_methods():
    @wraps("Pa", ("degC", "Pa", None))
    def saturated(t, floor=0.5, *more):
        return max(math.exp(float(t)), floor) + len(more)

    assert_same(saturated(Quantity(0.0, "degC")), Quantity(1.0, "Pa"))
    assert_same(saturated(Quantity(-100.0, "degC")), Quantity(0.5, "Pa"))
    assert_same(saturated(Quantity(0.0, "degC"), Quantity(2.0, "Pa"), 1, 2), Quantity(4.0, "Pa"))

    class Rate:
        factor = 3.0

        @wraps("1/s", (None, "K"))
        def at(self, t):
            return self.factor * t

    assert_same(Rate().at(Quantity(1.5, "mK")), Quantity(jnp.float32(4.5e-3), "1/s"))
    each = wraps("m", ("s",))(lambda *ts: sum(ts))
    assert_same(each(Quantity(1.0, "s"), Quantity(1.0, "min")), Quantity(jnp.float32(61.0), "m"))


def test_beneath_names_and_beside_the_other_tools():
    a = NamedArray(Quantity(T, "K"), ("x",))
    double = wraps("Pa", "degC")(lambda t: jnp.maximum(2 * t, 50.0))
    expected = NamedArray(Quantity(np.maximum(2 * (T - np.float32(273.15)), 50), "Pa"), ("x",))
    assert_same(double(a), expected, rtol=1e-4)
    assert_same(quaxify(double)(a), expected, rtol=1e-4)
    assert infer(lambda t, p: WRAPPED(t, Quantity(1.0, "km")) + p)(unknown, unknown).outputs
    found = infer(lambda t, h, p: WRAPPED(t, h) + p)(unknown, unknown, unknown)
    assert [str(found[n].dimensionality) for n in "th"] == ["[temperature]", "[length]"]
    assert found["p"].is_compatible_with("Pa")
    with trust_literals() as trusted:
        out = quaxify(lambda h: WRAPPED(Quantity(20.0, "degC"), h + 1.0))(Quantity(0.5, "km"))
    assert [x.value for x in trusted] == [1.0]
    np.testing.assert_allclose(out.m_as("Pa"), pressure(20.0, 1.5), rtol=1e-4)
