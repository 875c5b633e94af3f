"""Un-jitted calls that run the last call's operations again: when they may, and when not."""

import functools
import gc
import operator
import weakref
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import quaxify
from sciquax.core import register_rule
from sciquax.core._stage import replay
from sciquax.units import DimensionalityError, Quantity
from tests.core.test_dispatch import new_type
from tests.helpers import Wrapped, assert_same

X = jnp.asarray(np.array([1.5, -2.0, 0.25], np.float32))
Q = Quantity(X, "m")

FACTOR: Any = 2.0
GRAVITY = Quantity(jnp.asarray(9.75, jnp.float32), "m/s**2")
MUTABLE = [1.0]
calls: list[str] = []


class Plans:
    """Counts the calls that needed no staging."""

    def __init__(self, monkeypatch):
        self.used = 0
        run = replay.Plan.__call__

        def counted(plan, values):
            self.used += 1
            return run(plan, values)

        monkeypatch.setattr(replay.Plan, "__call__", counted)


@pytest.fixture
def plans(monkeypatch):
    return Plans(monkeypatch)


def called_thrice(f, *args):
    return [quaxify(f)(*args) for _ in range(3)]


def scaled(x):
    return FACTOR * x


def through_another(x):
    return scaled(x) + scaled(x)


def with_constant(x):
    return jnp.sqrt(2 * GRAVITY * abs(x))


def with_control(x, n, weights=(1.0, 2.0)):
    total = 0.0
    for w in weights[:n]:
        total = total + jnp.where(x > 0.5 * x, x, 0.0) * w
    inner = lambda c, v: (c + v * FACTOR, None)
    return {"total": total, "sum": jax.lax.scan(inner, 0.0, x)[0], "n": n}


class NoArray(Exception):
    pass


def with_checks(x):
    if not hasattr(x, "shape") or type(x.ndim) is not int:
        raise NoArray
    return x * sum(n + 1.0 for n in x.shape)


@jax.jit
def of_a_library(x):  # JAX traces it once, whatever changes then
    import math

    return x * math.pi * MUTABLE[0]


@eqx.filter_jit
def of_another(x):
    return of_mutable(x)


def with_libraries(x):
    return of_a_library(x) + of_another(x)


def with_compiled(x):
    return jax.jit(lambda y: jnp.linalg.norm(y) * y)(x)


@pytest.mark.parametrize(
    "f, args",
    [
        (scaled, (Q,)),
        (through_another, (Q,)),
        (with_constant, (Q,)),
        (with_control, (Q, 2)),
        (with_compiled, (Q,)),
        (with_checks, (Q,)),
        (with_libraries, (Q,)),
        (lambda x: x.at[0].set(-x[1]), (Q,)),
    ],
    ids=["global", "called", "captured", "control", "jit", "checks", "libraries", "index"],
)
def test_the_third_call_is_planned_and_the_same(f, args, plans):
    first, second, third = called_thrice(f, *args)
    assert plans.used == 2
    assert_same(second, first, rtol=0, atol=0)
    assert_same(third, first, rtol=0, atol=0)
    other = jax.tree.map(lambda x: x + 1, args[0])
    expected = jax.jit(quaxify(lambda x: f(x, *args[1:])))(other)
    assert_same(
        quaxify(f)(other, *args[1:]), {**expected, "n": 2} if f is with_control else expected
    )
    assert plans.used == 3


def test_bit_identical_to_operations_one_by_one(plans):
    f = lambda x: (x * 1.1 + x / 3.3) * jnp.sin(x / x.max()) - x * 0.7
    for _ in range(3):
        assert_same(quaxify(f)(Q).m, f(X), rtol=0, atol=0)
    assert plans.used == 2


def test_a_global_that_changed_is_seen(monkeypatch):
    for f, times in ((scaled, 1), (through_another, 2)):
        monkeypatch.setitem(globals(), "FACTOR", 2.0)
        called_thrice(f, Q)
        monkeypatch.setitem(globals(), "FACTOR", 3.0)
        assert_same(quaxify(f)(Q), 3.0 * times * Q)
        monkeypatch.setitem(globals(), "FACTOR", -0.0)
        assert np.signbit(quaxify(f)(Q).m[0])
        monkeypatch.setitem(globals(), "FACTOR", 0.0)
        assert not np.signbit(quaxify(f)(Q).m[0])


def test_a_captured_value_that_changed_is_seen(monkeypatch):
    called_thrice(with_constant, Q)
    monkeypatch.setitem(globals(), "GRAVITY", GRAVITY * 4)
    assert_same(quaxify(with_constant)(Q), jnp.sqrt(2 * 4 * 9.75 * abs(X)) * Quantity(1.0, "m/s"))


def test_a_function_that_was_replaced_is_seen(monkeypatch):
    called_thrice(through_another, Q)
    monkeypatch.setitem(globals(), "scaled", lambda x: 5 * x)
    assert_same(quaxify(through_another)(Q), 10 * Q)


def test_a_closure_that_changed_is_seen():
    k = 2.0
    f = lambda x: k * x
    called_thrice(f, Q)
    k = 3.0
    assert_same(quaxify(f)(Q), 3 * Q)
    k = jnp.asarray(4.0, jnp.float32)
    assert_same(quaxify(f)(Q), 4 * Q)


def test_closures_over_the_same_code_are_told_apart(plans):
    def make(k):
        return lambda x: k * x

    for k in (1.0, 2.0, 3, -0.0, 0.0):
        outs = called_thrice(make(k), Q)
        assert_same(outs[2], k * Q)
        assert np.signbit(outs[2].m[0]) == (np.signbit(float(k)))
    assert plans.used > 0


def test_inner_functions_of_a_closure_are_seen():
    def make(k):
        def inner(x):
            return k * x

        return lambda x: inner(x)

    for k in (1.0, 2.0):
        assert_same(called_thrice(make(k), Q)[2], k * Q)


def test_defaults_that_changed_are_seen():
    def f(x, k=2.0):
        return k * x

    called_thrice(f, Q)
    f.__defaults__ = (3.0,)
    assert_same(quaxify(f)(Q), 3 * Q)


def of_mutable(x):
    return MUTABLE[0] * x


def with_side_effect(x):
    calls.append("called")
    return 2 * x


def with_print(x):
    print("called")
    return 2 * x


def with_random(x):
    return x * np.random.rand()


def with_attribute(x):
    return x * with_attribute.factor  # pyright: ignore[reportFunctionMemberAccess]


class Model:
    factor = 2.0

    def __call__(self, x):
        return self.factor * x


MODEL = Model()


def with_object(x):
    return MODEL.factor * x


def with_import(x):
    import math

    return x * math.pi


def with_generator(x):
    return sum(x[i] for i in range(2))


def test_what_is_not_understood_is_staged_anew(plans, capsys):
    for f in (of_mutable, with_side_effect, with_print, with_object, with_import, Model()):
        calls.clear()
        called_thrice(f, Q)
        assert plans.used == 0, f
    called_thrice(with_random, Quantity(X, "m"))
    assert plans.used == 0
    with_attribute.factor = 2.0  # pyright: ignore[reportFunctionMemberAccess]
    called_thrice(with_attribute, Q)
    with_attribute.factor = 3.0  # pyright: ignore[reportFunctionMemberAccess]
    assert_same(quaxify(with_attribute)(Q), 3 * Q)
    MUTABLE[0] = 4.0
    assert_same(quaxify(of_mutable)(Q), 4 * Q)
    MUTABLE[0] = 1.0
    assert capsys.readouterr().out == "called\n" * 3
    calls.clear()
    called_thrice(with_side_effect, Q)
    assert calls == ["called"] * 3


def partly(k, x):
    return FACTOR * k * x


@jax.custom_jvp
def custom(x):
    return 1.0 * x


@custom.defjvp
def _(primals, tangents):
    return custom(*primals), FACTOR * tangents[0]


PARTLY = functools.partial(partly, 1.0)
AS_TREE = jax.tree_util.Partial(partly, 1.0)
MAPPED = jax.vmap(functools.partial(partly, 1.0))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: PARTLY(x),
        lambda x: AS_TREE(x),
        lambda x: MAPPED(x),
        lambda x: jax.jvp(custom, (x,), (x,))[1],
    ],
    ids=["partial", "Partial", "vmap", "custom_jvp"],
)
def test_globals_of_what_a_library_holds_are_seen(f, monkeypatch):
    for factor in (2.0, 3.0):
        monkeypatch.setitem(globals(), "FACTOR", factor)
        for out in called_thrice(f, Q):
            assert_same(out, factor * Q)


class Line(eqx.Module):
    slope: jax.Array
    act: Any = jnp.abs
    power: int = eqx.field(static=True, default=2)
    offset: Any = None
    kind = 1.0

    def scaled(self, x):
        return self.act(self.slope * x) * self.kind * FACTOR

    def __call__(self, x):
        out = self.scaled(x) ** self.power
        return out if self.offset is None else out + self.offset


@pytest.mark.parametrize("call", [lambda m: m, lambda m: m.scaled], ids=["module", "method"])
def test_modules_are_planned(call, plans, monkeypatch):
    line = Line(jnp.array([1.0, 2.0, -3.0]), offset=Quantity(1.0, "m**2"))
    first, second, third = called_thrice(call(line), Q)
    assert plans.used == 2
    for out in (second, third):
        assert_same(out, first, rtol=0, atol=0)

    def check(line):
        expected = eqx.filter_jit(lambda m, x: quaxify(call(m))(x))(line, Q)
        for out in called_thrice(call(line), Q):
            assert_same(out, expected)

    before = plans.used
    check(eqx.tree_at(lambda m: m.slope, line, line.slope + 1))  # only the arrays are others
    assert plans.used == before + 3
    check(eqx.tree_at(lambda m: m.act, line, jnp.negative))
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    check(line)
    monkeypatch.setattr(Line, "kind", 5.0)
    check(line)
    monkeypatch.setattr(Line, "scaled", lambda self, x: -self.slope * x)
    check(line)


def summed(x):
    return jnp.sum(FACTOR * x * jnp.abs(x))


@pytest.mark.parametrize("transform", [jax.vmap, jax.grad, jax.checkpoint, jax.jit, jax.jacfwd])
def test_transformed_functions_are_planned(transform, plans, monkeypatch):
    # Anew each time: `jit` and `checkpoint` keep what they traced, by the function.
    for factor in (2.0, 3.0):
        f = transform(lambda x: summed(x))
        monkeypatch.setitem(globals(), "FACTOR", factor)
        before = plans.used
        outs = called_thrice(f, Q)
        assert plans.used == before + 2
        for out in outs:
            assert_same(out, jax.jit(quaxify(transform(lambda x: summed(x))))(Q))
    if transform in (jax.vmap, jax.grad, jax.jacfwd):
        monkeypatch.setitem(globals(), "FACTOR", 5.0)
        assert_same(quaxify(f)(Q), jax.jit(quaxify(transform(lambda x: summed(x))))(Q))


def test_partials_are_planned(plans):
    f = functools.partial(lambda k, x, *, by, a: k * x / by + a, 2.0, by=4.0, a=Quantity(X, "cm"))
    for out in called_thrice(f, Q):
        assert_same(out, 2 * Q / 4.0 + Quantity(X, "cm"))
    assert plans.used == 2
    outer = lambda x: f(x)
    called_thrice(outer, Q)
    assert plans.used == 4
    f.keywords["by"] = 8.0
    for g in (f, outer):
        for out in called_thrice(g, Q):
            assert_same(out, 2 * Q / 8.0 + Quantity(X, "cm"))


@pytest.mark.parametrize(
    "f, array, other",
    [
        (lambda x, a: (x * a + 2 * x).sum(), X, X + 1),
        (lambda x, a: (jnp.where(a > 0, x, -x) * jnp.linalg.norm(a), a), X, -X),
        (lambda x, a: x[a], jnp.array([1, 0]), jnp.array([2, -1])),
        (lambda x, a: x * jax.random.uniform(a), jax.random.key(1), jax.random.key(2)),
    ],
    ids=["arithmetic", "where", "index", "key"],
)
def test_plain_arrays_among_the_arguments(f, array, other, plans):
    first, second, third = called_thrice(f, Q, array)
    assert plans.used == 2
    assert_same(second, first, rtol=0, atol=0)
    assert_same(quaxify(f)(Q, other), jax.jit(quaxify(f))(Q, other))
    assert plans.used == 3


def test_plain_arrays_that_are_looked_at_are_staged_anew(plans):
    """A function may branch on what they hold."""
    f = lambda x, flag: x if float(flag) > 0 else -x
    assert_same(called_thrice(f, Q, jnp.asarray(1.0))[2], Q)
    assert_same(quaxify(f)(Q, jnp.asarray(-1.0)), -Q)
    assert_same(called_thrice(f, Q, 1)[2], Q)
    assert_same(quaxify(f)(Q, -1), -Q)
    assert_same(quaxify(f)(Q, np.float32(-1)), -Q)
    labelled = lambda x, a: {"x": x, "of": f"{a}"}
    for k in (1.0, 2.0):
        assert called_thrice(labelled, Q, jnp.asarray(k))[2]["of"] == str(k)
    index = lambda x, i: x[i]
    for i in (0, 2, 1):
        assert_same(called_thrice(index, Q, jnp.asarray(i))[2], Quantity(X[i], "m"))
    swallowed = lambda x, flag: x if _is_positive(flag) else -x
    assert_same(called_thrice(swallowed, Q, jnp.asarray(1.0))[2], Q)
    assert_same(called_thrice(swallowed, Q, jnp.asarray(-1.0))[2], -Q)


def _is_positive(flag):
    try:
        return float(flag) > 0
    except TypeError:
        return True


def test_types_that_changed_are_seen():
    f = lambda x: x + x[0]
    called_thrice(f, Q)
    assert_same(quaxify(f)(Quantity(X, "s")), Quantity(X + X[0], "s"))
    assert_same(quaxify(f)(Quantity(X[:2], "m")), Quantity(X[:2] + X[0], "m"))
    assert quaxify(f)(Quantity(X.astype(jnp.int32), "m")).dtype == jnp.int32


def test_errors_come_at_every_call():
    f = lambda x: x + 1.0
    for _ in range(3):
        with pytest.raises(DimensionalityError, match=r"test_plan\.py"):
            quaxify(f)(Q)


def test_settings_are_seen():
    f = lambda x: x * np.float64(1.5)
    called_thrice(f, Q)
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(True):
        assert quaxify(f)(Quantity(jnp.ones(3), "m")).dtype == jnp.float64
    with jax.disable_jit():
        assert_same(quaxify(scaled)(Q), FACTOR * Q)


def test_under_a_transformation_nothing_is_kept(plans):
    f = lambda x: x * x
    for _ in range(3):
        jax.jit(quaxify(f))(Q)
        jax.vmap(quaxify(f))(Q)
        jax.grad(lambda m: quaxify(f)(Quantity(m, "m")).m.sum())(X)
        jax.jit(lambda: quaxify(f)(Q))()
    assert plans.used == 0


def test_rules_of_the_users_are_called_every_time(plans):
    cls = new_type("Counted", base=Wrapped.__mro__[1])
    seen = []

    def rule(primitive, operands, params):
        seen.append(primitive.name)
        return operands[0]

    register_rule(cls, "sin", rule)
    for _ in range(3):
        quaxify(lambda x: jnp.sin(x))(cls(X))
    assert len(seen) == 3
    assert plans.used == 0


def test_debug_prints_appear_every_time(capfd):
    def f(x):
        jax.debug.print("{}", x[1])
        return x

    called_thrice(f, Q)
    jax.effects_barrier()
    assert capfd.readouterr().out == "-2.0 meter\n" * 3


def test_donated_or_fresh_outputs_are_not_shared():
    f = lambda x: (x, {"c": 1})
    (a, b), (c, d), (e, g) = called_thrice(f, Q)
    b["c"] = 2
    assert d == g == {"c": 1}
    assert_same((a, c, e), (Q, Q, Q))


def test_partial_and_builtin_functions():
    assert_same(called_thrice(functools.partial(operator.mul, 2), Q)[2], 2 * Q)
    assert_same(called_thrice(operator.neg, Q)[2], -Q)


def test_no_growth():
    def call(k):
        return quaxify(lambda x: k * x)(Q)

    for k in range(3):
        call(float(k))
    gc.collect()
    before = len(replay._plans)
    for k in range(300):
        call(float(k))
    gc.collect()
    assert len(replay._plans) == before
    for n in range(20):
        quaxify(scaled)(Quantity(jnp.ones(n + 1), "m"))
    assert len(replay._plans.get(scaled, ())) == replay._PER_FUNCTION


@pytest.mark.parametrize(
    "wrapped", [jax.jit, jax.vmap, lambda f: functools.partial(f, jnp.ones(3))]
)
def test_wrapped_functions_are_not_kept_alive(wrapped, plans):
    gc.collect()  # of what other tests left
    before = len(replay._plans)
    for k in range(5):
        called_thrice(wrapped(lambda *xs, k=k: k * xs[-1]), Q)
    assert plans.used == 10
    gc.collect()
    assert len(replay._plans) == before


def test_a_recursive_function_is_not_kept_alive():
    def make():
        def f(x, n):
            return x if n == 0 else f(x + x, n - 1)

        assert_same(called_thrice(f, Q, 2)[2], 4 * Q)
        return weakref.ref(f)

    reference = make()
    jax.clear_caches()
    gc.collect()
    assert reference() is None
