"""Small programs of the kinds that other people's libraries are made of."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
from sciquax import quaxify
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import assert_same

X = np.array([2.0, 3.5, 0.5, 1.25], np.float32)


def compiled(f):
    return jax.jit(quaxify(f))


WAYS = pytest.mark.parametrize("way", [quaxify, compiled], ids=["eager", "jit"])


@WAYS
def test_the_one_beside_a_number_is_a_number(way):
    """The powers of a normalised coordinate, as a spline makes them, in whatever units."""

    def powers(x, width, c):
        t = x / width
        basis = jnp.stack([jnp.ones_like(t), t, t**2])
        return jnp.einsum("ij,i->j", basis, c), jnp.ones_like(t) + t

    c = np.array([1.0, -0.5, 2.0], np.float32)
    expected = powers(X, jnp.float32(4.0), jnp.asarray(c))
    for width in (Quantity(np.float32(4.0), "m"), Quantity(np.float32(0.004), "km")):
        got, more = way(powers)(Quantity(X, "m"), width, Quantity(c, "K"))
        np.testing.assert_allclose(got.m_as("K"), expected[0], rtol=1e-5)
        np.testing.assert_allclose(np.asarray(more), expected[1], rtol=1e-5)


@pytest.mark.parametrize("unit", ["percent", "km/m", "radian"])  # beside degrees 1 is refused
def test_ones_like_is_full_like(unit):
    q = Quantity(X, unit)
    ones, full = quaxify(jnp.ones_like)(q), quaxify(lambda x: jnp.full_like(x, 1.0))(q)
    assert_same(ones, full)


def test_ones_like_keeps_other_units():
    for unit in ("m", "degC"):
        assert_same(quaxify(jnp.ones_like)(Quantity(X, unit)), Quantity(jnp.ones(4), unit))


@WAYS
def test_full_like_of_data_without_a_unit(way):
    def places(t, impact):
        return jnp.stack([t / t[0], jnp.full_like(t, impact)])

    got = way(places)(Quantity(X, "s"), jnp.float32(0.25))
    assert_same(got, places(X, 0.25))
    with pytest.raises(DimensionalityError):
        way(lambda t: jnp.full_like(t, 0.25))(Quantity(X, "s"))


@WAYS
def test_zeros_in_a_ratio_carried_with_plain_sums(way):
    def sums(x, y):
        start = 0.0 * (x / y)
        return lax.scan(lambda c, r: (c + jnp.exp(-r / y[0]), None), start[0], x)[0]

    expected = sums(X, X)
    got = way(sums)(Quantity(X, "m"), Quantity(X / 1000, "km"))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


LIBRARY = """
import jax, jax.numpy as jnp
def mean_and_density(x, loc, scale):
    density = -0.5 * ((x - loc) / scale) ** 2 - jnp.log(scale)
    return loc + 0.0 * x, density
fitted = jax.jit(mean_and_density)
both = jax.jit(lambda *args: fitted(*args))
"""


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "somebodys.py").write_text(LIBRARY)
    spec = importlib.util.spec_from_file_location("somebodys", folder / "somebodys.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@WAYS
@pytest.mark.parametrize("name", ["mean_and_density", "fitted", "both"])
def test_what_a_library_computes_and_nobody_uses(library, name, way):
    """Beside the mean, the logarithm of a length, which nobody asks for."""
    f = getattr(library, name)
    q, loc, scale = Quantity(X, "m"), Quantity(np.float32(0.25), "km"), Quantity(X[:1], "m")
    assert_same(way(lambda *a: f(*a)[0])(q, loc, scale), Quantity(jnp.full(4, 0.25), "km"))
    gradient = sciquax.grad(lambda loc: jnp.sum(f(q, loc, scale)[0]))(loc)
    assert_same(jnp.asarray(gradient), jnp.float32(4.0))
    with pytest.raises(DimensionalityError, match="`log` takes numbers"):
        way(f)(q, loc, scale)


def test_what_the_user_computes_and_does_not_use_is_said():
    with pytest.raises(DimensionalityError, match="`log` takes numbers"):
        quaxify(lambda x: (jnp.log(x), 2 * x)[1])(Quantity(X, "m"))
