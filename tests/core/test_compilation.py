"""Compiled code is found again, tracing happens no more often than it must, caches empty."""

import gc
import logging
import re
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.core._compat import jaxprs
from sciquax.core._functions import call
from sciquax.core._higher_order import bodies
from sciquax.core._values import captured
from sciquax.core._weak_cache import WeakCache
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import Wrapped, assert_same

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
CACHES = {
    "staged": bodies._staged,
    "with_inject": captured._with_inject,
    "last_use": jaxprs._last_use_cache,
    "whole_calls": call._within,
}


class Compilations(logging.Handler):
    """What JAX compiles while this is active."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def emit(self, record):
        message = record.getMessage()
        if message.startswith("Finished XLA compilation"):
            self.names.append(message)

    def __enter__(self):
        self.logger = logging.getLogger("jax._src.dispatch")
        self.level, self.propagate = self.logger.level, self.logger.propagate
        self.logger.addHandler(self)
        self.logger.setLevel(logging.DEBUG)
        self.logger.propagate = False
        return self

    def __exit__(self, *_):
        self.logger.removeHandler(self)
        self.logger.setLevel(self.level)
        self.logger.propagate = self.propagate


def test_the_counter_counts():
    with Compilations() as seen:
        jax.jit(lambda x: x * 17.0 + 3.0)(X)
    assert len(seen.names) == 1


def _jitted():
    inner = jax.jit(lambda x, y: jnp.where(x > 0, x * y, 0.0))
    return lambda x: inner(x, 2 * x)


def _static():
    inner = jax.jit(lambda x, n: x * n, static_argnums=1)
    return lambda x: inner(x, 3) + inner(x, 4)


def _scan():
    body = lambda c, row: (c + row, c * 2)
    return lambda x: lax.scan(body, 0 * x[0], x)


def _scan_of_new_lambda():
    return lambda x: lax.scan(lambda c, row: (c + row, c * 2), 0 * x[0], x)


def _while():
    test, body = (lambda s: s[0] < 3), (lambda s: (s[0] + 1, s[1] + s[1]))
    return lambda x: lax.while_loop(test, body, (0, x))


def _cond():
    yes, no = (lambda a: a * 2.0), (lambda a: -a)
    return lambda x: lax.cond(x[0] > 0 * x[0], yes, no, x)


def _checkpoint():
    inner = jax.checkpoint(lambda a: jnp.abs(a) * a)
    return lambda x: inner(x)


def _solve():
    return lambda x: jnp.linalg.solve(jnp.outer(x, x) + jnp.eye(3) * x[0] * x[0], x)


def _custom_jvp():
    return lambda x: jax.nn.relu(x)


PROGRAMS = {
    f.__name__[1:]: f
    for f in (
        _jitted,
        _static,
        _scan,
        _scan_of_new_lambda,
        _while,
        _cond,
        _checkpoint,
        _solve,
        _custom_jvp,
    )
}


@pytest.mark.parametrize("kind", ["wrapped", "quantity"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_later_eager_calls_compile_nothing(name, kind):
    """As plain JAX, of which each program is required to do so too."""
    program = PROGRAMS[name]()
    make = Wrapped if kind == "wrapped" else (lambda x: Quantity(x, "m"))
    with Compilations() as plain:
        program(X)
        plain.names.clear()
        program(X + 1)
    f = quaxify(program)
    f(make(X))
    f(make(X))  # the operations of this call are those of every later one
    later = make(X + 1)
    with Compilations() as seen:
        f(later)
    if not plain.names:
        assert seen.names == []
    else:  # JAX compiles a new lambda's scan each time
        assert len(seen.names) <= len(plain.names)


def test_new_wrapper_of_the_same_function_compiles_nothing():
    inner = jax.jit(lambda x: jnp.sin(x) * 2)
    f = lambda x: inner(x)
    quaxify(f)(Wrapped(X))
    later = Wrapped(X + 1)
    with Compilations() as seen:
        quaxify(f)(later)
        quaxify(lambda x: inner(x))(later)
    assert seen.names == []


def test_another_unit_compiles_anew_and_is_right():
    inner = jax.jit(lambda x, y: x + y)
    f = quaxify(lambda x, y: inner(x, y))
    assert_same(f(Quantity(X, "m"), Quantity(X, "m")), Quantity(2 * X, "m"))
    assert_same(f(Quantity(X, "m"), Quantity(X, "km")), Quantity(1001 * X, "m"))
    assert_same(f(Quantity(X, "km"), Quantity(X, "m")), Quantity(1.001 * X, "km"))
    assert_same(f(X, X), 2 * X)


def test_trace_counts():
    """The inner jitted function is traced once for each shape, the outer at each eager call."""
    traces = {"inner": 0, "outer": 0}

    @jax.jit
    def inner(x):
        traces["inner"] += 1
        return x * 2

    def outer(x):
        traces["outer"] += 1
        return inner(x)

    f = quaxify(outer)
    for _ in range(3):
        f(Wrapped(X))
    assert traces == {"inner": 1, "outer": 3}
    jitted = jax.jit(quaxify(outer))
    for _ in range(3):
        jitted(Wrapped(X))
    assert traces == {"inner": 1, "outer": 4}


def test_what_nobody_needs_fails_once(monkeypatch):
    """A call of which an unused result has no unit is known the next time, not tried again."""
    staged = []
    stage = bodies._stage
    monkeypatch.setattr(bodies, "_stage", lambda *args: staged.append(args[0]) or stage(*args))
    fitted = jax.jit(lambda x: (x * x, jnp.log(x)))
    for expected in (2, 2, 2):  # whole, and without the logarithm
        out = quaxify(lambda x: fitted(x)[0])(Quantity(X, "m"))
        assert_same(out, Quantity(X * X, "m**2"))
        assert len(staged) == expected
    with pytest.raises(DimensionalityError):
        quaxify(lambda x: fitted(x)[1])(Quantity(X, "m"))


def test_compiled_program_is_the_plain_one():
    """Units and interpretation leave nothing behind in optimised HLO."""

    def f(x, v, t):
        y = x + v * t
        return lax.scan(lambda c, row: (c + jnp.sin(row / y[0]) * y[1], None), y[2], y)[0]

    def instructions(fn, *args):
        text = jax.jit(fn).lower(*args).compile().as_text()
        found = re.findall(r" = \S+ ([a-z-]+)\(", text)
        assert len(found) > 5
        return found

    ours = instructions(quaxify(f), Quantity(X, "m"), Quantity(X, "m/s"), Quantity(X, "s"))
    assert ours == instructions(f, X, X, X)


def test_jitted_call_of_many_arguments_traces_once():
    traces = 0

    @jax.jit
    @quaxify
    def f(*xs):
        nonlocal traces
        traces += 1
        return sum(xs[1:], start=xs[0])

    args = [Quantity(X * i, "m" if i % 2 else "cm") for i in range(1, 6)]
    first = f(*args)
    second = f(*[a for a in args])
    assert traces == 1
    assert_same(first, second)
    assert_same(first, Quantity(X * (100 * 1 + 2 + 300 + 4 + 500) / 100, "m"))


# -- caches


def test_weak_cache():
    class Owner:
        pass

    cache, a, b = WeakCache(), Owner(), Owner()
    assert cache.get(a, "k") is None
    cache.put(a, "k", 1)
    cache.put(a, "l", 2)
    cache.put(b, "k", 3)
    assert (cache.get(a, "k"), cache.get(a, "l"), cache.get(b, "k"), len(cache)) == (1, 2, 3, 3)
    del a
    gc.collect()
    assert cache.get(b, "k") == 3 and len(cache) == 1
    cache.clear()
    assert cache.get(b, "k") is None and len(cache) == 0


def test_caches_empty_when_functions_are_dropped():
    """200 different functions, each with a jitted and a scanned body, leave nothing."""
    jax.clear_caches()
    gc.collect()
    before = {name: len(cache) for name, cache in CACHES.items()}
    arrays = []

    def one(i):
        inner = jax.jit(lambda x: x * float(i))
        f = quaxify(lambda x: lax.scan(lambda c, r: (c + r, None), inner(x)[0], inner(x))[0])
        out = f(Wrapped(jnp.arange(2.0)))
        arrays.append(weakref.ref(out.array))

    # Staging alone, or two hundred programs would be compiled.
    def staged(i):
        nonlocal alive
        inner = jax.jit(lambda x: x * float(i))
        body = lambda c, r: (c + r, None)
        f = quaxify(lambda x: lax.scan(body, inner(x)[0], inner(x))[0])
        jax.eval_shape(f, Wrapped(jnp.arange(2.0)))
        alive += [inner, f]

    alive: list = []
    one(0)
    for i in range(200):
        staged(i)
    grown = {name: len(cache) - before[name] for name, cache in CACHES.items()}
    assert max(grown.values()) >= 100, f"the caches were not in use: {grown}"
    alive.clear()
    jax.clear_caches()
    gc.collect()
    after = {name: len(cache) - before[name] for name, cache in CACHES.items()}
    assert all(n <= 5 for n in after.values()), after
    assert all(ref() is None for ref in arrays)


def test_captured_arrays_are_not_kept_alive():
    def run():
        table = Quantity(jnp.arange(5.0), "kg")
        f = quaxify(lambda x: jax.jit(lambda r: r * table)(x[0]))
        f(Quantity(X, "m"))
        return weakref.ref(table.magnitude)

    ref = run()
    jax.clear_caches()
    gc.collect()
    assert ref() is None


def test_a_function_called_again_gives_the_unit_that_its_shapes_make():
    for _ in range(2):
        for n in (2, 3, 3, 2):
            x = Quantity(jnp.arange(1.0, n + 1), "m")
            assert str(sqnp.prod(x).units) == str(x.prod().units) == f"meter ** {n}"
            assert sqnp.modf(x)[1].shape == (n,)
