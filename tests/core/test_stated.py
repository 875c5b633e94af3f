"""Numbers that the program states are known: exponents, taken branches, constants of every unit."""

import operator
import re
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
from sciquax import quaxify
from sciquax.core import stated_number
from sciquax.core._compat.jaxprs import open_jaxpr
from sciquax.core._higher_order import bodies
from sciquax.core._values.folding import fold, foldable, number_of_literal
from sciquax.structured import DiagonalMatrix
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import assert_same

X = jnp.asarray(np.array([0.5, 1.25, 2.0], np.float32))
S = jnp.float32(1.5)
TWO, THREE = jnp.float32(2), jnp.asarray(3.0)

MODES = {
    "eager": quaxify,
    "jit": lambda f: jax.jit(quaxify(f)),
    "inner jit": lambda f: quaxify(jax.jit(f)),
    "again": lambda f: lambda *args: [quaxify(f)(*args) for _ in range(3)][-1],
}


def check(f, power, x, mode="eager"):
    """`f` on metres gives the numbers of plain JAX, each output in the power of metres given."""
    out = MODES[mode](f)(Quantity(x, "m"))
    expected = f(x)
    is_quantity = lambda x: isinstance(x, Quantity)
    outs, expecteds = jax.tree.leaves(out, is_leaf=is_quantity), jax.tree.leaves(expected)
    powers = power if isinstance(power, tuple) else (power,) * len(outs)
    for got, want, p in zip(outs, expecteds, powers, strict=True):
        assert_same(got, Quantity(want, f"m**({p})") if p else want, rtol=1e-6)


@jax.custom_jvp
def powered(x, p):
    return x**p


@powered.defjvp
def _(primals, tangents):
    x, p = primals
    return powered(x, p), tangents[0] * p * x ** (p - 1)


@jax.custom_vjp
def raised(x, p):
    return x**p


raised.defvjp(
    lambda x, p: (raised(x, p), (x, p)),
    lambda res, ct: (ct * res[1] * res[0] ** (res[1] - 1), None),
)

HALF = Fraction(1, 2)
total = lambda f: lambda r: jnp.sum(f(r))
EXPONENTS = {
    "grad": (jax.grad(total(lambda r: r**1.5)), HALF),
    "grad of power": (jax.grad(total(lambda r: jnp.power(r, 2.5))), 3 * HALF),
    "grad of float_power": (jax.grad(total(lambda r: jnp.float_power(r, -0.5))), -3 * HALF),
    "grad of an integer array": (jax.grad(total(lambda r: jnp.power(r, jnp.array(3)))), 2),
    "jvp": (lambda x: jax.jvp(lambda r: r**1.5, (x,), (x,)), 3 * HALF),
    "jacfwd": (jax.jacfwd(lambda r: r**1.5), HALF),
    "jacrev": (jax.jacrev(lambda r: r**1.5), HALF),
    "hessian": (jax.hessian(total(lambda r: r**2.5)), HALF),
    "linearize": (lambda x: jax.linearize(lambda r: r**1.5, x)[1](x), 3 * HALF),
    "scan": (jax.grad(lambda r: lax.scan(lambda c, v: (c + v**1.5, None), 0.0, r)[0]), HALF),
    "constant of a scan": (
        lambda r: lax.scan(lambda c, v: (c + v**TWO, v ** (TWO + 1)), 0.0, r),
        (2, 3),
    ),
    "while": (
        lambda r: lax.while_loop(
            lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + r**1.5), (0, jnp.zeros(3))
        )[1],
        3 * HALF,
    ),
    "vmap": (jax.vmap(jax.grad(lambda x: x**1.5)), HALF),
    "grad of jit": (jax.grad(jax.jit(total(lambda r: r**1.5))), HALF),
    "hessian of jit": (jax.hessian(lambda r: jax.jit(lambda r, p: jnp.sum(r**p))(r, 2.5)), HALF),
    "argument of jit": (lambda x: jax.jit(lambda x, p: x ** (p - 1))(x, 3.0), 2),
    "jit in jit": (
        lambda x: jax.jit(lambda x, p: jax.jit(lambda x, q: x**q)(x, p * 0.5))(x, 3.0),
        3 * HALF,
    ),
    "result of jit": (lambda x: x ** jax.jit(lambda x: (x, 1.5 - 1.0))(x)[1], HALF),
    "where": (lambda x: x ** jnp.where(True, 2.0, 3.0), 2),
    "captured": (lambda x: x**TWO, 2),
    "captured, in jit": (lambda x: jax.jit(lambda x, p: x ** (p + 1))(x, TWO), 3),
    "half of an array": (lambda x: x ** (jnp.asarray(3.0) / 2), 3 * HALF),
    "half of a captured array": (lambda x: x ** (THREE / 2), 3 * HALF),
    "equal exponents": (lambda x: x ** jnp.full(x.shape, 1.5), 3 * HALF),
    "element": (lambda x: x ** jnp.array([1.5, 2.5])[1], 5 * HALF),
    "custom_jvp": (lambda x: powered(x, 2.5), 5 * HALF),
    "grad of custom_jvp": (jax.grad(total(lambda x: powered(x, 2.5))), 3 * HALF),
    "custom_vjp": (lambda x: raised(x, 2.5), 5 * HALF),
    "grad of custom_vjp": (jax.grad(total(lambda x: raised(x, 2.5))), 3 * HALF),
    "remat": (jax.grad(total(jax.checkpoint(lambda x: x**1.5))), HALF),
    "argument of remat": (
        jax.grad(total(lambda x: jax.checkpoint(lambda x, p: x**p)(x, 1.5))),
        HALF,
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EXPONENTS)
def test_exponent(name, mode):
    check(*EXPONENTS[name], X, mode)


@pytest.mark.parametrize("function", [powered, raised, operator.pow], ids=["jvp", "vjp", "pow"])
@pytest.mark.parametrize("outer", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_own_grad(function, outer):
    """The derivative is asked for when the body is staged already."""
    x = Quantity(S, "m")
    for p in (2.5, 3.5, 2.5):
        got = sciquax.grad(outer(lambda x, p=p: jax.jit(function)(x, p)))(x)
        assert_same(got, Quantity(p * S ** (p - 1), f"m**{p - 1}"), rtol=1e-6)
    inner = sciquax.grad(jax.grad(lambda x: function(x, 2.5)))(x)
    assert_same(inner, Quantity(3.75 * S**0.5, "m**0.5"), rtol=1e-6)


REFUSED = {
    "argument": lambda x, p: x**p,
    "argument of jit": lambda x, p: jax.jit(lambda x, p: x**p)(x, p),
    "with a stated number": lambda x, p: x ** (p - 1.0),
    "counter": lambda x, p: lax.fori_loop(0, 3, lambda i, b: b + x**i, jnp.zeros(3)),
    "carry": lambda x, p: lax.scan(lambda c, _: (c + 1, x**c), 2.0, None, length=2)[1],
    "several": lambda x, p: x ** jnp.array([1.0, 2.0, 3.0]),
    "computed": lambda x, p: x ** jnp.exp(0.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_exponent_that_is_not_stated(name):
    with pytest.raises(DimensionalityError, match="^`pow` got a base in 'm' and an exponent"):
        jax.jit(quaxify(REFUSED[name]))(Quantity(X, "m"), 2.0)


def test_an_array_that_is_passed_as_exponent():
    """It is known where the power itself is called, un-jitted, and every time."""
    x = Quantity(X, "m")
    for f in (operator.pow, sciquax.numpy.power, sciquax.numpy.float_power):
        for p in (2, 3, 2, 2):
            assert_same(f(x, jnp.float32(p)), Quantity(X**p, f"m**{p}"), rtol=1e-6)
        for _ in range(3):
            assert_same(f(Quantity(X, ""), X), X**X, rtol=1e-6)
        assert_same(f(x, jnp.float32(2)), Quantity(X**2, "m**2"), rtol=1e-6)
        with pytest.raises(DimensionalityError, match="^`pow` got a base in 'm' and an exponent"):
            f(x, X)
    for f in (quaxify(lambda x, p: x**p), jax.jit(quaxify(lambda x, p: x**p))):
        with pytest.raises(DimensionalityError, match="^`pow` got a base in 'm' and an exponent"):
            f(x, jnp.float32(2))


# -- branches -------------------------------------------------------------------------------------

BRANCHES = {
    "switch": (lambda x: lax.switch(0, [lambda x: x, lambda x: x * x], x), 1),
    "switch beyond": (lambda x: lax.switch(7, [lambda x: x, lambda x: x * x], x), 2),
    "cond": (lambda x: lax.cond(True, lambda x: x, lambda x: x * x, x), 1),
    "compared": (lambda x: lax.cond(x.ndim > 4 - 1.5, lambda x: x, lambda x: x * x, x), 2),
    "argument of jit": (
        lambda x: jax.jit(lambda x, b: lax.cond(b, lambda x: x, lambda x: x * x, x))(x, False),
        2,
    ),
    "grad": (jax.grad(total(lambda x: lax.cond(True, lambda x: x**1.5, lambda x: x, x))), HALF),
    "vmap": (jax.vmap(lambda x: lax.cond(False, lambda x: x, lambda x: x * x, x)), 2),
    "scan": (
        lambda x: lax.scan(lambda c, v: (c, lax.switch(1, [lambda: v, lambda: v * v])), 0.0, x)[1],
        2,
    ),
    "exponent": (lambda x: lax.cond(False, lambda p: x, lambda p: x ** (p + 1), 2.0), 3),
    "result": (lambda x: x ** lax.cond(True, lambda: 2.0, lambda: 3.0), 2),
    "captured": (lambda x: lax.switch(jnp.int32(1), [lambda x: x, lambda x: x * x], x), 2),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", BRANCHES)
def test_the_stated_branch_is_taken(name, mode):
    check(*BRANCHES[name], X, mode)


def test_dead_branches_do_not_count():
    bad = lambda x: x + x * x
    assert_same(quaxify(lambda x: lax.cond(True, lambda x: x, bad, x))(Quantity(X, "m")),
                Quantity(X, "m"))  # fmt: skip
    with pytest.raises(DimensionalityError):
        quaxify(lambda x: lax.cond(x[0] > 0, lambda x: x, bad, x))(Quantity(X, "m"))


def test_a_predicate_that_is_an_argument():
    """A Python number is a literal to the program, an array is not: un-jitted as under jit."""
    f = quaxify(lambda p, x: lax.cond(p, lambda: x, lambda: x * x))
    x = Quantity(X, "m")
    for p in (True, False, True, True, False, False):
        assert_same(f(p, x), x if p else Quantity(X * X, "m**2"))
    for call in (f, f, jax.jit(f)):
        with pytest.raises(DimensionalityError, match="which have no common type"):
            call(jnp.array(True), x)


# -- what it costs --------------------------------------------------------------------------------


@pytest.fixture
def stagings(monkeypatch):
    seen = []
    stage = bodies._stage
    monkeypatch.setattr(bodies, "_stage", lambda *args: seen.append(1) or stage(*args))
    return seen


def test_numbers_that_nobody_asks_for_stage_once(stagings):
    step = jax.jit(lambda x, t: x * (1 + t) ** 2 / (t - 0.5))

    @quaxify
    def run(x):
        for i in range(50):
            x = step(x, float(i + 1))
        return x

    assert run(Quantity(S, "m")).units == "meter"
    assert len(stagings) == 1


def test_numbers_that_are_asked_for_stage_once_each(stagings):
    step = jax.jit(lambda x, p, t: t * x ** (p - 1))

    @quaxify
    def run(x):
        return [step(x, p, t) for p in (2.0, 3.0) for t in (0.5, 0.25, 0.75)]

    outs = run(Quantity(S, "m"))
    assert [str(x.units) for x in outs] == ["meter"] * 3 + ["meter ** 2"] * 3
    expected = [t * S**p for p in (1, 2) for t in (0.5, 0.25, 0.75)]
    np.testing.assert_allclose([x.magnitude for x in outs], expected, rtol=1e-6)
    assert len(stagings) == 2


def test_a_matrix_times_numbers_stages_once_for_each_sign(stagings):
    def power(A, t):  # long, for a short one is not compiled apart
        for _ in range(10):
            A = A * t
        return A

    step = jax.jit(power)

    @quaxify
    def run(A):
        return [step(A, t) for t in (1.0, 2.0, 0.5, -1.0, -3.0)]

    outs = run(DiagonalMatrix(X))
    assert_same(outs[1].diagonal(), X * 2.0**10)
    assert len(stagings) == 2


def opcodes(f, *args):
    text = jax.jit(f).lower(*args).compile().as_text()
    return sorted(re.findall(r" = .*? ([a-z][a-z-]*)\(", text))


@pytest.mark.parametrize(
    "name", ["grad", "hessian", "argument of jit", "scan", "where", "captured"]
)
def test_the_program_is_that_of_plain_jax(name):
    f, _ = EXPONENTS[name]
    ours = opcodes(lambda x: jax.tree.leaves(quaxify(f)(Quantity(x, "m"))), X)
    assert ours == opcodes(lambda x: jax.tree.leaves(f(x)), X)


# -- the numbers themselves -----------------------------------------------------------------------

FOLDED = {
    "arithmetic": lambda p, q: (p + q, p - q, p * q, p / q, -p, p % q, jnp.abs(q)),
    "rounding": lambda p, q: (jnp.floor(p), jnp.ceil(p), jnp.sign(q), jnp.sqrt(p), jnp.square(q)),
    "order": lambda p, q: (p < q, p >= q, p == q, p != q, jnp.maximum(p, q), jnp.minimum(p, q)),
    "logic": lambda p, q: ((p < q) & (q > 0), (p < q) | (q > 0), (p < q) ^ True, ~(p < q)),
    "choice": lambda p, q: (jnp.where(p < q, p, q), jnp.clip(p, 0.0, 1.0), lax.clamp(q, p, p)),
    "powers": lambda p, q: (lax.integer_pow(p, 5), lax.integer_pow(q, -3), lax.integer_pow(p, 0)),
    "dtypes": lambda p, q: (p.astype(int), q.astype(bool), p.astype(jnp.bfloat16) / 3),
    "shapes": lambda p, q: (
        jnp.broadcast_to(p, (2, 3)).reshape(6)[2:4],
        jnp.stack([p, q])[1:],
        jnp.concatenate([jnp.stack([p, q]), jnp.stack([q, p])]).reshape(2, 2),
        jnp.expand_dims(p, 0) * jnp.stack([p, q]),
    ),
    "integers": lambda p, q: (jnp.int32(7) // jnp.int32(-2), lax.div(-7, 2), lax.rem(-7, 2)),
}


@pytest.mark.parametrize("name", FOLDED)
def test_numbers_are_jaxs_to_the_last_bit(name):
    given = np.float32(2.7), np.float32(-0.6)
    f = lambda p, q: jax.tree.leaves(FOLDED[name](p, q))
    closed = jax.make_jaxpr(f)(*given)
    jaxpr, consts = open_jaxpr(closed)
    expected = jax.jit(f)(*map(jnp.asarray, given))
    env = dict(zip(jaxpr.invars, map(np.asarray, given), strict=True))
    assert not consts
    for eqn in jaxpr.eqns:
        read = [number_of_literal(v) if hasattr(v, "val") else env[v] for v in eqn.invars]
        assert all(foldable(eqn, [True] * len(read))), eqn
        env.update(zip(eqn.outvars, fold(eqn, read), strict=True))
    for var, want in zip(jaxpr.outvars, expected, strict=True):
        number = number_of_literal(var) if hasattr(var, "val") else env[var]
        assert number is not None and number.dtype == want.dtype
        np.testing.assert_array_equal(np.broadcast_to(number, want.shape), want)


def test_stated_number_outside_of_a_program():
    assert stated_number(2.5) == 2.5 and stated_number(np.float32(2)).dtype == np.float32
    assert stated_number(jnp.float32(2)) is None and stated_number(np.arange(3)) is None
