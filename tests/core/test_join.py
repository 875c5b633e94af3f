"""Branches and carries that differ in type: what they become, and what does not settle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sciquax import ArrayValue, quaxify
from sciquax.core import CarryError, UnitPolymorphic, Unsettled, aval_of, common_type, convert_to
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import Wrapped, assert_raises, assert_same, unstated

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
Y = jnp.asarray(np.array([1.5, 0.25, -0.75], np.float32))
M, KM = Quantity(X, "m"), Quantity(Y, "km")


@pytest.mark.parametrize("mode", ["eager", "jit"])
class TestUnits:
    def call(self, mode, f, *args):
        return (quaxify(f) if mode == "eager" else jax.jit(quaxify(f)))(*args)

    def test_cond_of_metres_and_kilometres(self, mode):
        """The first branch (JAX's: the false one) decides; the other is converted."""
        f = lambda p, a, b: lax.cond(unstated(p), lambda: a, lambda: b)
        yes, no = self.call(mode, f, True, M, KM), self.call(mode, f, False, M, KM)
        assert yes.units == no.units
        assert_same(yes.to("m"), M)
        assert_same(no.to("m"), Quantity(1000 * Y, "m"), rtol=1e-6)

    def test_switch_of_three(self, mode):
        f = lambda i, a, b: lax.switch(unstated(i), [lambda: a, lambda: b, lambda: jnp.zeros(3)])
        outs = [self.call(mode, lambda a, b, i=i: f(i, a, b), M, KM) for i in range(3)]
        for out, expected in zip(outs, (X, 1000 * Y, 0 * X), strict=True):
            assert_same(out, Quantity(expected, "m"), rtol=1e-6)

    def test_scan_carry_changes_scale(self, mode):
        """In as kilometres, out of the body in metres: the carry stays kilometres."""
        f = lambda init, x: lax.scan(lambda c, r: (r + c, c), init, x)
        carry, ys = self.call(mode, f, Quantity(jnp.float32(2.0), "km"), M)
        assert_same(carry, Quantity(2 + jnp.sum(X) / 1000, "km"))
        assert_same(ys, Quantity(2 + jnp.array([0, X[0], X[0] + X[1]]) / 1000, "km"))

    def test_scan_carry_from_zero(self, mode):
        f = lambda x: lax.scan(
            lambda c, r: ((c[0] + r, jnp.minimum(c[1], r)), None), (0.0, jnp.inf), x
        )[0]
        assert_same(self.call(mode, f, M), (Quantity(jnp.sum(X), "m"), Quantity(jnp.min(X), "m")))

    def test_scan_carry_that_needs_rounds(self, mode):
        """Each carry gets its unit from the one before it: four rounds to a fixed point."""

        def body(c, r):
            a, b, d, e = c
            return (r, a, b, d), e

        carry, ys = self.call(mode, lambda x: lax.scan(body, (0.0, 0.0, 0.0, 0.0), x), M)
        assert_same(carry, tuple(Quantity(v, "m") for v in (X[2], X[1], X[0], jnp.float32(0))))
        assert_same(ys, Quantity(jnp.zeros(3), "m"))

    def test_while_carry_from_zero(self, mode):
        f = lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + x), (0, 0 * X))
        with pytest.raises(DimensionalityError):  # 0 * X is an array of run time, not a literal
            self.call(
                mode,
                lambda x, z: lax.while_loop(
                    lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + x), (0, z)
                ),
                M,
                0 * X,
            )
        assert_same(self.call(mode, f, M)[1], Quantity(3 * X, "m"))

    def test_integer_carry_is_promoted(self, mode):
        """An integer of kilometres that metres are added to in the body."""
        f = lambda init, x: lax.scan(lambda c, r: (c + r.astype(c.dtype), None), init, x)[0]
        init, steps = Quantity(jnp.int32(2), "km"), Quantity(jnp.array([300, 200]), "m")
        with jax.numpy_dtype_promotion("standard"):
            out = self.call(mode, f, init, steps)
        assert out.units == init.units
        np.testing.assert_allclose(out.magnitude, 2.5, rtol=1e-6)

    def test_plain_number_and_ratio(self, mode):
        """km/m is a number: it joins plain arrays reduced."""
        ratio = Quantity(Y, "km/m")
        f = lambda p, q, x: lax.cond(unstated(p), lambda: q, lambda: x)
        assert_same(self.call(mode, f, True, ratio, X), 1000 * Y, rtol=1e-6)
        assert_same(self.call(mode, f, False, ratio, X), X)

    def test_dtype_of_branches(self, mode):
        f = lambda p, a, b: lax.cond(unstated(p), lambda: (a, 1.0), lambda: (b, 2.0))
        out = self.call(
            mode, f, True, Quantity(jnp.float32(3), "m"), Quantity(jnp.float32(4), "cm")
        )
        assert_same(out[0].to("m"), Quantity(jnp.float32(3), "m"))
        assert_same(out[1], jnp.float32(1.0))


def test_vmapped_cond_becomes_select():
    f = lambda p, a, b: jax.vmap(lambda p, a, b: lax.cond(p, lambda: a, lambda: b))(p, a, b)
    out = quaxify(f)(jnp.array([True, False, True]), M, KM)
    assert_same(out.to("m"), Quantity(jnp.array([0.5, 250.0, 2.0]), "m"), rtol=1e-6)


def test_gradient_through_a_join():
    f = lambda a, b, p: lax.cond(unstated(p), lambda: a, lambda: b)
    loss = lambda a, b, p: quaxify(f)(a, b, p).m_as("m")
    args = Quantity(jnp.float32(2.0), "m"), Quantity(jnp.float32(3.0), "km")
    grads = [jax.grad(loss, (0, 1))(*args, p) for p in (True, False)]
    assert [[float(g.magnitude) for g in gs] for gs in grads] == [[1.0, 0.0], [0.0, 1000.0]]


def test_wrapped_and_plain():
    f = lambda p, a, b: lax.cond(unstated(p), lambda: a, lambda: b)
    for p in (True, False):
        assert_same(quaxify(f)(p, Wrapped(X), Y), Wrapped(X if p else Y))
        assert_same(quaxify(f)(p, X, Wrapped(Y)), Wrapped(X if p else Y))
    scan = lambda init, x: lax.scan(lambda c, r: (c + r, None), init, x)[0]
    assert_same(quaxify(scan)(Y[0], Wrapped(X)), Wrapped(Y[0] + jnp.sum(X)))


# -- the functions themselves


def test_common_type_and_convert_to():
    assert common_type(M, KM)._unit is M._unit and common_type(KM, M)._unit is KM._unit
    assert (
        common_type(UnitPolymorphic(X), KM)._unit is KM._unit
        and common_type(KM, UnitPolymorphic(X))._unit is KM._unit
    )
    assert type(common_type(UnitPolymorphic(X), UnitPolymorphic(Y))) is UnitPolymorphic
    assert common_type(X, UnitPolymorphic(Y)) is X and common_type(UnitPolymorphic(Y), X) is X
    with pytest.raises(Unsettled):
        common_type(M, Quantity(X, "s"))
    with pytest.raises(Unsettled):
        common_type(M, X)
    assert_same(convert_to(KM, M), Quantity(1000 * Y, "m"))
    assert_same(convert_to(UnitPolymorphic(0 * X), M), Quantity(0 * X, "m"))
    assert convert_to(M, M) is M and convert_to(X, Y) is X


# -- what does not settle


def test_branches_without_a_common_type():
    def call():
        return quaxify(lambda p, a, b: lax.cond(p[0], lambda: a, lambda: b))(  # HERE
            X > 0, M, Quantity(X, "s")
        )

    assert_raises(
        DimensionalityError,
        call,
        "Output 0 of a conditional is Quantity(f32[3], 's') in its first branch and "
        "Quantity(f32[3], 'm') in branch 1, which have no common type.\n{place}\n"
        "Make the branches return the same kind of value.",
    )


def test_carry_without_a_common_type():
    def call():
        return quaxify(lambda x, t: lax.scan(lambda c, r: (t, None), x, None, length=2))(  # HERE
            M, Quantity(X, "s")
        )

    assert_raises(
        DimensionalityError,
        call,
        "The `scan` carry changed structure: `c` goes in as Quantity(f32[3], 'm') and comes out of "
        "the body as Quantity(f32[3], 's'), which have no common type.\n{place}\n"
        "Start the loop with the type that its body returns, or convert in the body. A loop "
        "cannot carry a value whose type grows in every step.",
    )


@pytest.mark.parametrize("loop", ["scan", "while", "fori"])
def test_carry_whose_unit_grows(loop):
    f = {
        "scan": lambda x: lax.scan(lambda c, _: (c * x, None), x, None, length=2),
        "while": lambda x: lax.while_loop(
            lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, x)
        ),
        "fori": lambda x: lax.fori_loop(0, 3, lambda i, c: c * x, x),
    }[loop]
    with pytest.raises((DimensionalityError, CarryError), match="goes in as Quantity"):
        quaxify(f)(M)


def test_carry_from_zero_whose_unit_grows():
    """Zero joins anything, so it takes a second round to see that nothing fits."""
    f = lambda x: lax.scan(lambda c, _: ((c + x) * x, None), jnp.zeros(3), None, length=2)
    with pytest.raises(DimensionalityError):
        quaxify(f)(M)


def test_wrong_branches_among_right_ones():
    with pytest.raises(DimensionalityError, match="^Output . of a conditional is Quantity"):
        f = lambda a, b: lax.cond(a[0] > 0 * a[0], lambda: (a, a), lambda: (a, b))
        quaxify(f)(M, Quantity(X, "s"))


class Masked(ArrayValue):
    data: jax.Array
    mask: jax.Array

    def aval(self):
        return aval_of(self.data)

    @staticmethod
    def default(primitive, values, params):
        data = [x.data if isinstance(x, Masked) else x for x in values]
        mask = next(x.mask for x in values if isinstance(x, Masked))
        return Masked(primitive.bind(*data, **params), mask)

    @classmethod
    def common_type(cls, lhs, rhs):
        return next(x for x in (lhs, rhs) if isinstance(x, Masked))

    @classmethod
    def convert_to(cls, value, example):
        return value if isinstance(value, Masked) else Masked(value, jnp.ones(value.shape, bool))


@pytest.mark.parametrize("start", [1.5, 0.0, np.float32(1.5)], ids=repr)
def test_a_literal_is_an_array_to_convert_to(start):
    """A scan from a number that stands in the program, which JAX hands on as a number."""
    f = lambda xs: lax.scan(lambda c, x: (c + x, None), start, xs)[0]
    out = quaxify(f)(Masked(X, jnp.array([True, False, True])))
    np.testing.assert_allclose(out.data, start + X.sum(), rtol=1e-6)
