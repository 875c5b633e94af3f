"""Literals that belong to every unit, in loops and in places; all others refused; the opt-in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.units import (
    DimensionalityError,
    OffsetUnitCalculusError,
    Quantity,
    any_unit,
    safe_divide,
)
from tests.helpers import assert_raises, assert_same

X = np.array([2.0, -3.5, 0.0, 1.25], np.float32)
SECONDS = np.float32(4.0)

IDIOMS = {
    "fori": lambda x: lax.fori_loop(0, 4, lambda i, c: c + x[i], 0.0),
    "fori-max": lambda x: lax.fori_loop(0, 4, lambda i, c: jnp.maximum(c, x[i]), -jnp.inf),
    "while-min": lambda x: lax.while_loop(
        lambda c: c[0] < 4, lambda c: (c[0] + 1, jnp.minimum(c[1], x[c[0]])), (0, jnp.inf)
    )[1],
    "scan-zeros": lambda x: lax.scan(lambda c, r: (c + r, c), jnp.zeros(4), jnp.outer(X, x))[0],
    "scan-buffer": lambda x: lax.scan(
        lambda c, i: (c.at[i].set(x[i]), None), jnp.zeros(4), jnp.arange(4)
    )[0],
    "scan-two": lambda x: lax.scan(
        lambda c, r: ((c[0] + r, jnp.maximum(c[1], r)), None), (0.0, -jnp.inf), x
    )[0],
    "nested-scan": lambda x: lax.scan(
        lambda c, r: (lax.fori_loop(0, 2, lambda i, d: d + r, c), None), 0.0, x
    )[0],
    "cond-in-scan": lambda x: lax.scan(
        lambda c, r: (lax.cond(r[()] > 0 * r, lambda: c + r, lambda: c), None), 0.0, x
    )[0],
    "cond-nan": lambda x: lax.cond(x[0] > x[1], lambda: x[0], lambda: jnp.nan),
    "switch": lambda x: lax.switch(jnp.argmax(x), [lambda: x[0], lambda: 0.0, lambda: jnp.inf]),
    "at-set": lambda x: x.at[1].set(0.0),
    "at-set-nan": lambda x: x.at[1].set(jnp.nan),
    "at-max": lambda x: x.at[1].max(0.0),
    "at-min": lambda x: x.at[:2].min(jnp.inf),
    "at-get-fill": lambda x: x.at[jnp.array([9, 1])].get(mode="fill", fill_value=jnp.nan),
    "zeros-at-set": lambda x: jnp.zeros(4).at[1].set(x[0]),
    "full-at-min": lambda x: jnp.full(3, jnp.inf).at[1].min(x[0]),
    "empty-at-set": lambda x: jnp.empty(4).at[:].set(x),
    "clip-none": lambda x: jnp.clip(x, 0, None),
    "clip-inf": lambda x: jnp.clip(x, -jnp.inf, 0.0),
    "where-nested": lambda x: jnp.where(x > 0, x, jnp.where(x < 0, jnp.nan, 0.0)),
    "relu": lambda x: jnp.maximum(x, 0) - jnp.minimum(0.0, x),
    "linspace": lambda x: jnp.linspace(0, x[0], 3),
    "concatenate": lambda x: jnp.concatenate([jnp.zeros(1), x, jnp.full(1, jnp.nan)]),
    "masked-max": lambda x: jnp.max(jnp.where(x > 0, x, -jnp.inf)),
    "any-all": lambda x: jnp.where(jnp.any(x != 0), x, 0.0),
    "isclose-zero": lambda x: jnp.where(jnp.isclose(x, 0.0), x, 0.0),
    "zeros-like": lambda x: lax.scan(lambda c, r: (c + r * x, None), jnp.zeros_like(x), X)[0],
    "nan-arithmetic": lambda x: jnp.where(x > 0, x, jnp.nan * 2 + 1.0 * jnp.nan),
    "zero-power": lambda x: x + jnp.square(0.0),
    "interp-left": lambda x: jnp.interp(jnp.array([0.5]), X[:2] * 0 + X[::2], x[:2], left=0.0),
    "searchsorted-zero": lambda x: x[jnp.searchsorted(jnp.sort(x), 0.0)],
    "associative-scan": lambda x: lax.associative_scan(jnp.maximum, jnp.append(x, -jnp.inf)),
    "reduce": lambda x: lax.reduce(x, 0.0, lax.add, (0,)),
    "segment-sum": lambda x: jax.ops.segment_sum(x, jnp.array([0, 0, 2, 2]), 4),
    "vmap": lambda x: jax.vmap(lambda a: jnp.where(a > 0, a, 0.0))(x),
    "remat": lambda x: jax.checkpoint(
        lambda a: lax.fori_loop(0, 2, lambda i, c: c + a, jnp.zeros(4))
    )(x),
}  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", IDIOMS)
def test_every_unit(name, compiled):
    f = IDIOMS[name]
    run = jax.jit(quaxify(f)) if compiled else quaxify(f)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        out = run(Quantity(X, "km"))
        expected = f(jnp.asarray(X))
    for x, e in zip(jax.tree.leaves(out), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, e, rtol=1e-6)
    values = jax.tree.leaves(out, is_leaf=lambda x: isinstance(x, Quantity))
    assert all(str(v.units) == "kilometer" for v in values)


REFUSED = {
    "where": lambda x: jnp.where(x > 0, x, 5.0),
    "add": lambda x: x + 1.0,
    "maximum": lambda x: jnp.maximum(x, 1e-30),
    "clip": lambda x: jnp.clip(x, 0, 1),
    "at-set": lambda x: x.at[0].set(1.0),
    "at-add": lambda x: x.at[0].add(1),
    "ones": lambda x: jnp.ones(4) + x,
    "arange": lambda x: jnp.arange(4.0) + x,
    "eye": lambda x: jnp.eye(4)[0] + x,
    "scan-one": lambda x: lax.scan(lambda c, r: (c + r, None), 1.0, x)[0],
    "fori-one": lambda x: lax.fori_loop(0, 4, lambda i, c: c + x[i], 1.0),
    "cond": lambda x: lax.cond(x[0] > x[1], lambda: x[0], lambda: 1.0),
    "compare": lambda x: x > 1.0,
    "equal": lambda x: x == 1.0,
    "pad": lambda x: jnp.pad(x, 1, constant_values=1.0),
    "concatenate": lambda x: jnp.concatenate([x, jnp.ones(2)]),
    "full-like": lambda x: jnp.full_like(x, 2.0),
    "array-of-zeros": lambda x, z=np.zeros(4, np.float32): x + jnp.sin(jnp.asarray(z)),
    "max-initial": lambda x: jnp.max(x, initial=1.0),
    "safe-divide": lambda x: 1 / jnp.where(x == 0, 1, x),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_literals_are_refused(name):
    with pytest.raises(DimensionalityError):
        jax.eval_shape(quaxify(REFUSED[name]), Quantity(X, "m"))


GROWING = {
    "fori": lambda x: lax.fori_loop(0, 3, lambda i, c: c * x[0], x[0]),
    "scan": lambda x: lax.scan(lambda c, r: (c * r, None), x[0], x)[0],
    "while": lambda x: lax.while_loop(lambda c: True, lambda c: c / x[0], x[0]),
}


@pytest.mark.parametrize("name", GROWING)
def test_a_unit_that_grows_at_every_step_is_refused(name):
    with pytest.raises((DimensionalityError, sciquax.core.CarryError)):
        jax.eval_shape(quaxify(GROWING[name]), Quantity(X, "m"))


# -- the opt-in -----------------------------------------------------------------------------------


def test_hint_where_a_literal_one_is_selected():
    assert_raises(
        DimensionalityError,
        lambda: quaxify(lambda d: 1 / jnp.where(d == 0, 1.0, d))(Quantity(X, "m")),  # HERE
        "`select_n` got operands in 'm' and plain numbers (f32[4]); a bare number has no unit.\n"
        "{place}\n"
        "Give it one, `Quantity(x, 'm')`, or divide the quantity by a reference scale. Only "
        "literal 0, inf and nan belong to every unit. If it only keeps masked elements harmless, "
        "as 1 does in `where(d == 0, 1, d)`, say so: `sciquax.units.any_unit(1)`, or use "
        "`sciquax.units.safe_divide`.",
        at=test_hint_where_a_literal_one_is_selected,
    )


def _inverse(d):
    nonzero = jnp.where(d == 0, any_unit(1.0), d)
    return jnp.where(d == 0, 0.0, 1 / nonzero)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_any_unit(wrap, inside):
    run = quaxify(wrap(_inverse)) if inside else wrap(quaxify(_inverse))
    expected = np.array([0.5, -1 / 3.5, 0.0, 0.8], np.float32)
    assert_same(run(Quantity(X, "m")), Quantity(expected, "1/m"))


def test_any_unit_beside_numbers_and_in_the_namespace():
    assert_same(quaxify(_inverse)(jnp.asarray(X)), _expected_inverse())
    out = sqnp.where(Quantity(X, "m") == 0, any_unit(1.0), Quantity(X, "m"))
    assert_same(out, Quantity(np.array([2.0, -3.5, 1.0, 1.25], np.float32), "m"))
    with pytest.raises(TypeError, match="takes a bare number"):
        any_unit(Quantity(1.0, "m"))


def _expected_inverse():
    return jnp.array([0.5, -1 / 3.5, 0.0, 0.8])


def test_safe_divide():
    x, y = Quantity(np.float32(2.0), "km"), Quantity(X, "s")
    out = jax.jit(safe_divide)(x, y)
    assert_same(out, Quantity(2 * _expected_inverse(), "km/s"))
    out = safe_divide(x, y, Quantity(np.float32(5000.0), "m/s"))
    assert_same(out, Quantity(np.array([1, -2 / 3.5, 5, 1.6], np.float32), "km/s"), rtol=1e-6)
    grad = sciquax.grad(lambda y: sqnp.sum(safe_divide(x, y)))(y)
    assert_same(grad, Quantity(-2 * _expected_inverse() ** 2, "km/s**2"), rtol=1e-5)
    with pytest.raises(DimensionalityError):
        safe_divide(x, y, Quantity(1.0, "s"))


def test_clip_keeps_the_arrays_unit():
    x, low = Quantity(X, "m"), Quantity(np.float32(150.0), "cm")
    expected = Quantity(np.maximum(X, np.float32(1.5)), "m")
    assert_same(x.clip(low), expected)
    assert_same(sqnp.clip(x, low, None), expected)
    assert_same(quaxify(lambda x: jnp.clip(x, low))(x), expected)
    assert_same(quaxify(lambda x: x.clip(0.0))(x), Quantity(np.maximum(X, 0), "m"))


CELSIUS = Quantity(jnp.array([10.0, 20.0, 30.0]), "degC")
SAME_ON_EVERY_SCALE = {
    "where": (lambda t: jnp.where(t > t[0], t, jnp.nan), [np.nan, 20, 30]),
    "infinite": (lambda t: jnp.max(t, where=t < t[2], initial=-jnp.inf), 20),
    "several": (lambda t: jnp.concatenate([jnp.full(2, jnp.nan), t[:1]]), [np.nan, np.nan, 10]),
    "set": (lambda t: t.at[1].set(jnp.inf), [10, np.inf, 30]),
    "branch": (
        lambda t: lax.cond(t[0] > t[1], lambda: t, lambda: jnp.full(3, jnp.nan)),
        [np.nan] * 3,
    ),
    "carry": (lambda t: lax.scan(lambda c, x: (x, c), jnp.nan, t)[1], [np.nan, 10, 20]),
}
ZERO_OF_WHICH_SCALE = {
    "where": lambda t: jnp.where(t > t[0], t, 0.0),
    "minimum": lambda t: jnp.minimum(t, 0),
    "branch": lambda t: lax.cond(t[0] > t[1], lambda: t, lambda: jnp.zeros(3)),
    "carry": lambda t: lax.scan(lambda c, x: (x, c), 0.0, t),
}


@pytest.mark.parametrize("way", [quaxify, lambda f: jax.jit(quaxify(f))], ids=["staged", "jit"])
def test_literals_beside_temperatures(way):
    for program, expected in SAME_ON_EVERY_SCALE.values():
        out = way(program)(CELSIUS)
        assert out.units == CELSIUS.units
        np.testing.assert_allclose(out.m, np.asarray(expected, float))
    for program in ZERO_OF_WHICH_SCALE.values():
        with pytest.raises(OffsetUnitCalculusError, match="whose zero is not zero"):
            way(program)(CELSIUS)
