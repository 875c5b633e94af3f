"""A function with a rule as a whole means the same however it is spelled, and nothing else does."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.numpy import ones_like as imported_ones_like
from jax.scipy.spatial.transform import Rotation
from jax.scipy.stats import norm

from sciquax import quaxify
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import assert_same

X = jnp.asarray(np.array([1.0, 2.5, 4.0], np.float32))
XP = jnp.asarray(np.array([0.0, 2.0, 5.0], np.float32))
FP = jnp.asarray(np.array([1.0, 10.0, 40.0], np.float32))
traced_before = jax.jit(lambda x: jnp.ones_like(x) * 2 - jnp.ones_like(x))
traced_before(X)
interp = functools.partial(jnp.interp, xp=XP, fp=FP)

ONES = {
    "attribute": lambda x: jnp.ones_like(x),
    "imported": lambda x: imported_ones_like(x),
    "itself": jnp.ones_like,
    "jit": jax.jit(imported_ones_like),
    "partial": functools.partial(jnp.ones_like, dtype=None),
    "vmap": jax.vmap(imported_ones_like),
    "traced-before": traced_before,
    "platform": lambda x: lax.platform_dependent(
        x, cpu=imported_ones_like, default=imported_ones_like
    ),
    "scan": lambda x: lax.map(imported_ones_like, x),
}
HOW = {"eager": lambda f: f, "jit": jax.jit}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("spelling", ONES)
def test_ones_like(spelling, how):
    out = HOW[how](quaxify(ONES[spelling]))(Quantity(X, "m"))
    assert_same(out, Quantity(jnp.ones(3), "m"))


INTERP = {
    "attribute": lambda x, xp, fp: jnp.interp(x, xp, fp),
    "keywords": lambda x, xp, fp: jnp.interp(fp=fp, xp=xp, x=x),
    "partial": lambda x, xp, fp: functools.partial(jnp.interp, xp=xp, fp=fp)(x),
    "vmap": jax.vmap(jnp.interp, in_axes=(0, None, None)),
    "jit": jax.jit(jnp.interp),
    "vmap-jit": jax.vmap(jax.jit(jnp.interp), in_axes=(0, None, None)),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("spelling", INTERP)
def test_interp(spelling, how):
    f = quaxify(INTERP[spelling])
    out = HOW[how](f)(Quantity(X * 100, "cm"), Quantity(XP, "m"), Quantity(FP, "s"))
    assert_same(out, Quantity(jnp.interp(X, XP, FP), "s"))


@pytest.mark.parametrize("spelling", [name for name in INTERP if "vmap" not in name])
def test_derivative_of_interp(spelling):
    f = quaxify(jax.grad(INTERP[spelling]))
    out = f(Quantity(X[1], "m"), Quantity(XP, "m"), Quantity(FP, "s"))
    assert_same(out, Quantity(jax.grad(jnp.interp)(X[1], XP, FP), "s/m"))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap], ids=["plain", "jit", "vmap"])
def test_a_jitted_function_of_a_distribution(wrap):
    out = quaxify(lambda x, s: wrap(norm.cdf)(x, x * 0.5, s))(
        Quantity(X, "m"), Quantity(XP + 1, "m")
    )
    assert_same(out, norm.cdf(X, X * 0.5, XP + 1))


def test_plain_calls_are_what_they_were():
    quaxify(lambda x: jnp.ones_like(x))(Quantity(X, "m"))
    assert_same(imported_ones_like(X), jnp.ones(3))
    assert [e.primitive.name for e in jax.make_jaxpr(jnp.ones_like)(X).eqns] == ["broadcast_in_dim"]
    assert_same(interp(X), jnp.interp(X, XP, FP))


def test_threads_that_do_not_stage_see_nothing():
    seen = []

    def program(x):
        thread = threading.Thread(target=lambda: seen.append(jax.make_jaxpr(jnp.ones_like)(X)))
        thread.start()
        thread.join()
        return jnp.ones_like(x)

    assert_same(quaxify(program)(Quantity(X, "m")), Quantity(jnp.ones(3), "m"))
    assert [e.primitive.name for e in seen[0].eqns] == ["broadcast_in_dim"]


def test_a_function_that_jax_calls_for_itself_is_not_the_users():
    # JAX writes `where(degrees, deg2rad(rotvec), rotvec)`, and the user's vector is a number.
    from_rotvec = Rotation.from_rotvec
    vector = Quantity(jnp.array([10.0, 20.0, 40.0]), "%")
    turned = quaxify(lambda v: from_rotvec(v).as_matrix())(vector)
    plain = from_rotvec(jnp.array([0.1, 0.2, 0.4])).as_matrix()
    np.testing.assert_allclose(turned, plain, rtol=1e-6)
    with pytest.raises(DimensionalityError, match="`deg2rad` takes 'degree', and got '%'"):
        quaxify(lambda v: jnp.deg2rad(v))(vector)
