"""`with_constants`: module constants with units, whatever was traced before, and restored after."""

import sys
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.units import DimensionalityError, Quantity, UnknownConstantError, with_constants
from tests.helpers import assert_raises, assert_same

CONSTANTS = """
import jax, jax.numpy as jnp
G = 6.5e-11
SOFTENING = 0.25
SAME = 0.25
ROWS = 3
class Model:
    rate = 2.5
def pull(m, r):
    return G * m / (r**2 + SOFTENING**2)
jitted = jax.jit(pull)
def default(m, g=G):
    return g * m
"""
USER = """
from astrodynamics_of_somebody.constants import G, G as newton, SOFTENING as eps, ROWS
import astrodynamics_of_somebody.constants as constants
def energy(m, r):
    return -newton * m * m / r
def near(r):
    return r < eps
own = 6.5e-11
"""
NAMES = (
    "astrodynamics_of_somebody",
    "astrodynamics_of_somebody.constants",
    "astrodynamics_of_somebody.user",
)


@pytest.fixture
def package():
    modules = [types.ModuleType(name) for name in NAMES]
    modules[0].__path__ = []
    sys.modules.update(zip(NAMES, modules, strict=True))
    modules[0].constants, modules[0].user = modules[1:]
    exec(CONSTANTS, vars(modules[1]))
    exec(USER, vars(modules[2]))
    yield modules[1], modules[2]
    for name in NAMES:
        del sys.modules[name]


G = Quantity(np.float32(6.5e-11), "m**3/kg/s**2")
UNITS = {
    "astrodynamics_of_somebody.constants.G": G,
    "astrodynamics_of_somebody.constants.SOFTENING": Quantity(np.float32(0.25), "km"),
}
M, R = np.float32(5e24), np.array([2.0, 6.5], np.float32)
MASS, WAY = Quantity(M, "kg"), Quantity(R, "km")


@pytest.mark.parametrize("name", ["pull", "jitted"])
@pytest.mark.parametrize("around", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
def test_whatever_was_traced_before(package, name, around):
    constants, _ = package
    function = getattr(constants, name)
    call = around(quaxify(lambda m, r: function(m, r)))
    masses = Quantity(np.array([M, 2 * M]), "kg") if around is jax.vmap else MASS
    expected = 6.5e-11 * masses.m / (R**2 + 0.0625) / 1e6
    for _ in range(3):
        np.testing.assert_allclose(function(M, R), 6.5e-11 * M / (R**2 + 0.0625), rtol=1e-5)
        with pytest.raises(DimensionalityError):
            call(masses, WAY)
        for _ in range(3):
            with with_constants(UNITS):
                out = call(masses, WAY)
            np.testing.assert_allclose(out.m_as("m/s**2"), expected, rtol=1e-5)
    assert type(constants.G) is float and type(constants.SOFTENING) is float


def test_compiled_once_for_equal_constants(package):
    constants, _ = package
    traced = []

    @jax.jit
    def call(m):
        traced.append(constants.G)
        return quaxify(lambda m: constants.G * m)(m)

    for value in (6.5e-11, 6.5e-11, 7.5e-11, 6.5e-11):
        given = Quantity(np.float32(value), "m**3/kg/s**2")
        with with_constants({"astrodynamics_of_somebody.constants.G": given}):
            assert_same(call(MASS), Quantity(np.float32(value) * M, "m**3/s**2"))
    assert len(traced) == 2


def test_derivatives_and_derivatives_by_a_constant(package):
    constants, _ = package
    r = Quantity(np.float32(2.0), "km")

    def force(r, g=G):
        with with_constants({**UNITS, "astrodynamics_of_somebody.constants.G": g}):
            return quaxify(constants.jitted)(MASS, r)

    plain = lambda r, g: g * M / ((r**2 + 0.0625) * 1e6)
    by_r, by_g = jax.grad(plain, (0, 1))(jnp.float32(2.0), jnp.float32(6.5e-11))
    out = sciquax.grad(force, (0, 1))(r, G)
    np.testing.assert_allclose(out[0].m_as("m/s**2/km"), by_r, rtol=1e-5)
    np.testing.assert_allclose(out[1].m_as("kg/m**2"), by_g, rtol=1e-5)
    assert type(constants.G) is float


def test_other_modules_that_hold_the_object(package):
    constants, user = package
    with with_constants(UNITS):
        out = quaxify(user.energy)(Quantity(np.float32(3e3), "kg"), WAY)
        assert user.G is G and user.newton is G and user.constants.G is G
        # Not an equal number, nor one that the package holds by two names.
        assert user.own == 6.5e-11 and user.eps == 0.25 and constants.SAME == 0.25
        assert constants.default(2.0) == 1.3e-10
    np.testing.assert_allclose(out.m_as("J"), -6.5e-11 * 9e6 / (R * 1e3), rtol=1e-5)
    assert user.newton is user.G is constants.G and constants.G == 6.5e-11
    with with_constants({"astrodynamics_of_somebody.constants.ROWS": Quantity(2.0, "m")}):
        assert isinstance(user.ROWS, Quantity)
    assert user.ROWS == constants.ROWS == 3


def test_nested_and_restored_after_an_exception(package):
    constants, _ = package
    one, two = Quantity(1.0, "m"), Quantity(2.0, "s")
    name = "astrodynamics_of_somebody.constants.G"
    with pytest.raises(ZeroDivisionError), with_constants({name: one}):
        assert constants.G is one
        with pytest.raises(KeyError), with_constants({name: two}):
            assert constants.G is two
            raise KeyError
        assert constants.G is one
        raise ZeroDivisionError
    assert constants.G == 6.5e-11
    with pytest.raises(UnknownConstantError), with_constants({name: one, name + "x": two}):
        pass
    assert constants.G == 6.5e-11


def test_threads_that_end_in_another_order(package):
    constants, _ = package
    name = "astrodynamics_of_somebody.constants.G"
    entered, leave = threading.Event(), threading.Event()
    mine, other = Quantity(1.0, "m"), Quantity(2.0, "m")

    def block():
        with with_constants({name: other}):
            entered.set()
            leave.wait(10)

    with with_constants({name: mine}):
        thread = threading.Thread(target=block)
        thread.start()
        entered.wait(10)
    assert constants.G is other
    leave.set()
    thread.join()
    assert constants.G == 6.5e-11


def test_a_decorator_classes_and_text(package):
    constants, _ = package
    name = "astrodynamics_of_somebody.constants.Model.rate"

    @with_constants(
        {name: "2.5 1/s", "astrodynamics_of_somebody.constants.G": "6.5e-11 m**3/kg/s**2"}
    )
    def decay(x):
        return constants.Model.rate * x, constants.G

    for _ in range(2):
        rate, g = quaxify(decay)(Quantity(jnp.float32(2.0), "m"))
        assert_same((rate, g), (Quantity(5.0, "m/s"), Quantity(6.5e-11, "m**3/kg/s**2")))
    assert constants.Model.rate == 2.5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "astrodynamics_of_somebody.constants.SOFTENIN",
            "`astrodynamics_of_somebody.constants` has no `SOFTENIN`.\n{place}\n"
            "Did you mean 'astrodynamics_of_somebody.constants.SOFTENING'?",
        ),
        (
            "astrodynamics_of_somebody.constant.G",
            "`astrodynamics_of_somebody` has no `constant`.\n{place}\n"
            "Did you mean 'astrodynamics_of_somebody.constants'?",
        ),
        (
            "astrodynamics_of_somebdy.constants.G",
            "there is no module `astrodynamics_of_somebdy`.\n{place}\n"
            "Did you mean 'astrodynamics_of_somebody'?",
        ),
        (
            "astrodynamics_of_somebody.constants.G.real",
            "`astrodynamics_of_somebody.constants.G` is neither a module nor a class.\n{place}",
        ),
        ("G", "it names no module.\n{place}"),
    ],
)
def test_unknown_names(package, name, message, monkeypatch):
    monkeypatch.setitem(sys.modules, ".nameless", types.ModuleType(".nameless"))

    def enter():
        with with_constants({name: G}):  # HERE
            pass

    error = assert_raises(UnknownConstantError, enter, f"'{name}' is not a constant: {message}")
    assert isinstance(error, AttributeError)
