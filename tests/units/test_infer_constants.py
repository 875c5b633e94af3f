"""`infer(..., constants=True)`: the units of a program's bare constants and literals."""

import sys
import types

import jax
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.units import (
    ContradictionError,
    DimensionalityError,
    Quantity,
    infer,
    trust_literals,
    unknown,
    with_constants,
)
from sciquax.units._analysis.bare_constants import is_count

SOURCE = """
import functools
import jax, jax.numpy as jnp, numpy as np
G = 6.5e-11
GRAVITY = G
SOFTENING = np.float32(1e-3)
RATES = jnp.array([0.3, 0.7])
COUNT = 3
HALF = 0.5
TEXT = "m"
AREAS = np.array([1, 2])

def squared(r):
    return r**2 + SOFTENING**2

@jax.jit
def potential(m, r):
    return -COUNT * HALF * G * m / jnp.sqrt(squared(r))

def floored(p):
    return jnp.maximum(p, 7e-3) + jnp.where(p == 0, 1.0, p)

def decay(t):
    return jnp.exp(-RATES[0] * t) + 0.35

def coefficient(v, rho):
    return 0.47 * rho * v**2 / 2

def exponent(x):
    return x**1.37 / x**0.37

class Model:
    def __call__(self, r):
        return self.scaled(r) + SOFTENING
    def scaled(self, r):
        return 2 * r

partial = functools.partial(potential, 2.0)

def clash(x, t):
    return x + G, t + G
"""


@pytest.fixture
def package():
    module = sys.modules["inferred_of_somebody"] = types.ModuleType("inferred_of_somebody")
    exec(SOURCE, vars(module))
    before = dict(vars(module))
    yield module
    assert all(vars(module)[name] is x for name, x in before.items())
    del sys.modules["inferred_of_somebody"]


M, R = Quantity(np.float32(5e4), "kg"), Quantity(np.float32(2.5), "km")


def test_what_is_found_is_what_with_constants_takes(package):
    found = infer(package.potential, returns="J/kg", constants=True)(M, R)
    assert repr(found) == (
        "-> m**2/s**2\n"
        "\"inferred_of_somebody.G\": Quantity(6.5e-11, 'm**3/kg/s**2'),\n"
        "\"inferred_of_somebody.SOFTENING\": Quantity(0.001, 'm'),"
    )
    with pytest.raises(DimensionalityError):
        quaxify(package.potential)(M, R)
    with with_constants(found.constants):
        out = quaxify(package.potential)(M, R)
    assert out.is_compatible_with("J/kg")
    expected = package.potential(M.m, R.m_as("m"))
    np.testing.assert_allclose(out.m_as("m**2/s**2"), expected, rtol=1e-5)


def test_unknown_inputs_and_results(package):
    found = infer(package.potential, returns="J/kg", constants=True)(unknown, R)
    assert found.free == ("m",)
    assert "unit(m)**-1*m**3/s**2" in repr(found)
    assert [*found.constants] == ["inferred_of_somebody.SOFTENING"]
    free = infer(package.potential, constants=True)(M, R)
    assert free.free == ("inferred_of_somebody.G",)
    assert '"inferred_of_somebody.G": unit(inferred_of_somebody.G),' in repr(free)


def test_literals_by_value_and_line(package):
    found = infer(package.floored, constants=True)(Quantity(2.5, "kPa"))
    assert not found.constants
    assert [(value, str(of_it)) for value, of_it, _ in found.literals] == [
        (7e-3, "kg/m/s**2"),
        (1.0, "kPa"),
    ]
    line = SOURCE.splitlines().index("    return jnp.maximum(p, 7e-3) + jnp.where(p == 0, 1.0, p)")
    assert f":{line + 1}:" in found.literals[0][2] and "(floored)" in found.literals[0][2]
    assert repr(found.outputs) == "kPa"
    drag = infer(package.coefficient, returns="Pa", constants=True)(
        Quantity(1.0, "m/s"), Quantity(1.2, "kg/m**3")
    )
    assert not drag.literals and not drag.free  # 0.47 is found to be a number
    thrust = infer(package.coefficient, returns="N", constants=True)(
        Quantity(1.0, "m/s"), Quantity(1.2, "kg/m**3")
    )
    ((value, area, _),) = thrust.literals
    assert value == 0.47 and area.is_compatible_with("m**2")


def test_arrays_exponents_and_what_calls(package):
    found = infer(package.decay, constants=True)(Quantity(3.0, "hour"))
    assert [*found.constants] == ["inferred_of_somebody.RATES"] and not found.literals
    assert found.constants["inferred_of_somebody.RATES"].check("1/s")
    found = infer(package.exponent, constants=True)(Quantity(1.0, "m"))
    assert repr(found) == "-> m" and not found.literals
    for call in (package.Model(), package.Model().__call__, jax.jit(package.Model().__call__)):
        found = infer(call, constants=True)(R)
        assert [*found.constants] == ["inferred_of_somebody.SOFTENING"]
    found = infer(package.partial, returns="J", constants=True)(R)
    assert found.constants["inferred_of_somebody.G"].check("J*m")
    around = infer(lambda r: quaxify(jax.vmap(package.potential))(r[None], r[None])[0], "1/s", True)
    assert set(around(R).constants) == {
        "inferred_of_somebody.G",
        "inferred_of_somebody.SOFTENING",
    }


def test_literals_beside_data_and_in_functions_of_jax():
    def of_data(m, r):
        return m + 0.3 * (r / r)  # a plain array

    found = infer(of_data, constants=True)(M, R)
    ((value, unit, _),) = found.literals
    assert value == 0.3 and unit.is_compatible_with("kg")
    assert repr(found.outputs) == "kg"

    def of_jax(r):
        return jax.nn.gelu(r / 0.7) + jax.nn.softplus(r / 0.7)  # which have numbers of their own

    found = infer(of_jax, constants=True)(R)
    assert {(value, str(unit)) for value, unit, _ in found.literals} == {(0.7, "m")}


def test_contradictions_and_what_is_not_asked(package):
    with pytest.raises(ContradictionError):
        infer(package.clash, constants=True)(R, Quantity(1.0, "s"))
    plain = infer(package.potential)(unknown, 2.0)
    assert not plain.constants and not plain.literals
    with trust_literals() as trusted:
        assert repr(infer(lambda x: x + 0.3)(R)) == "-> km"
        assert [x.value for x in trusted] == [0.3]
        infer(package.floored, constants=True)(R)
        assert len(trusted) == 1


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (2, True), (0.5, True), (-1.5, True), (4 / 3, True), (2 * np.pi, True), (np.pi / 4, True),
        (24.0, True), (101325.0, False), (0.1, False), (1e-3, False), (0.47, False), (9.81, False),
        (float("inf"), True), (1e-30, False), (0.0, True), (True, True), (2j, True), (0.3j, False),
        (6.674e-11, False),
    ],
)  # fmt: skip
def test_what_counts(number, expected):
    assert is_count(number) is expected
