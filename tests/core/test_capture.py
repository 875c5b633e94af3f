"""Values that a function captures work as arguments do, wherever it captures them from."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
from sciquax import ArrayValue, quaxify
from sciquax.core import OutsideQuaxifyError
from sciquax.named import NamedArray
from sciquax.sparse import BCOO
from sciquax.structured import TridiagonalMatrix
from sciquax.units import Quantity
from tests.helpers import Wrapped, assert_raises, assert_same, unstated, unwrap

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
Y = jnp.asarray(np.array([1.5, 0.25, -0.75], np.float32))
G = Quantity(jnp.float32(10.0), "m/s**2")
T = Quantity(X, "s")
START = Quantity(jnp.float32(1.0), "m/s")


def scalar(x, unit):
    return Quantity(jnp.asarray(x, jnp.float32), unit)


def speed(t):
    return G * t


def test_module_global_that_changes(monkeypatch):
    f = quaxify(speed)
    assert_same(f(T), Quantity(10 * X, "m/s"))
    monkeypatch.setitem(globals(), "G", scalar(3.0, "km/s**2"))
    assert_same(f(T), Quantity(3 * X, "km/s"))
    assert_same(f(X), Quantity(3 * X, "km/s**2"))


def test_closure_that_changes():
    g = scalar(10.0, "m/s**2")
    f = quaxify(lambda t: jnp.sin(t / (t + t)) * g * t)
    assert_same(f(T), Quantity(10 * jnp.sin(jnp.float32(0.5)) * X, "m/s"))
    g = scalar(1.0, "m")
    assert_same(f(T), Quantity(jnp.sin(jnp.float32(0.5)) * X, "m*s"))


def test_no_value_among_arguments():
    """The call is abandoned where JAX meets the captured value, and staged."""
    f = quaxify(lambda x: jnp.sin(x) * jnp.sqrt(G * G))
    assert_same(f(X), Quantity(10 * jnp.sin(X), "m/s**2"))
    assert_same(
        quaxify(lambda: jnp.stack([G, 2 * G]))(), Quantity(jnp.array([10.0, 20.0]), "m/s**2")
    )


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("op", ["+", "-", "*", "/", "<", "=="])
@pytest.mark.parametrize("argument", ["tracer", "array", "numpy", "number"])
def test_operators_of_captured_values(op, side, argument):
    """With a captured value on either side of a traced, concrete, NumPy or Python operand."""
    d = Quantity(Y, "dimensionless") if op in "+-<==" else Quantity(Y, "m")
    other = {"tracer": X, "array": X, "numpy": np.asarray(X), "number": 2.0}[argument]

    def f(x):
        z = x if argument == "tracer" else other
        left, right = (d, z) if side == "left" else (z, d)
        return {
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
            "/": lambda: left / right,
            "<": lambda: left < right,
            "==": lambda: left == right,
        }[op](), x

    left, right = (Y, other) if side == "left" else (other, Y)
    expected = jnp.asarray(eval(f"a {op} b", {"a": left, "b": right}))
    if op == "*":
        expected = Quantity(expected, "m")
    if op == "/":
        expected = Quantity(expected, "m" if side == "left" else "1/m")
    for actual in (quaxify(f)(X), quaxify(f)(Wrapped(X)), quaxify(jax.jit(f))(X)):
        assert_same(unwrap(_innermost(actual[0])), expected)


def _innermost(x):
    """A quantity of a wrapped array as a quantity of the array."""
    if isinstance(x, Quantity) and type(x.magnitude) is Wrapped:
        return Quantity(x.magnitude.array, x.units)
    return x


def test_default_argument():
    def f(t, g=scalar(10.0, "m/s**2"), *, h=scalar(5.0, "m")):
        return jnp.multiply(g, t) * t + h

    assert_same(quaxify(f)(T), Quantity(10 * X * X + 5, "m"))


class Falling(eqx.Module):
    g: Quantity
    scale: float = eqx.field(static=True, default=2.0)

    def __call__(self, t):
        return self.scale * jnp.abs(self.g) * t

    def plain(self, x):
        return x + 1.0


def test_attribute_of_a_module():
    falling = Falling(scalar(-10.0, "m/s**2"))
    expected = Quantity(20 * X, "m/s")
    assert_same(quaxify(falling)(T), expected)
    assert_same(quaxify(lambda t: falling(t))(T), expected)
    assert_same(quaxify(falling)(X), Quantity(20 * X, "m/s**2"))
    assert_same(quaxify(falling.plain)(X), X + 1.0)
    assert_same(eqx.filter_jit(quaxify(falling))(T), expected)
    assert_same(eqx.filter_jit(quaxify(lambda m, t: m(t)))(falling, T), expected)


def test_attribute_of_an_ordinary_object():
    class Config:
        g = scalar(10.0, "m/s**2")

    config = Config()
    f = quaxify(lambda t: jnp.maximum(config.g * t, -config.g * t))
    assert_same(f(T), Quantity(10 * jnp.abs(X), "m/s"))
    config.g = scalar(7.0, "m")
    assert_same(f(T), Quantity(7 * jnp.abs(X), "m*s"))


def test_value_made_inside():
    def f(t):
        g = Quantity(jnp.float32(10.0), "m/s**2")
        h = Quantity(t[0], "m")  # of a tracer that stands for seconds
        return g * t, h

    out = quaxify(f)(X)
    assert_same(out, (Quantity(10 * X, "m/s**2"), Quantity(X[0], "m")))
    out = quaxify(lambda t: Quantity(10.0, "m/s**2") * t)(T)
    assert_same(out, Quantity(10 * X, "m/s"))


@pytest.mark.parametrize("loop", ["scan", "fori", "while"])
def test_value_as_initial_carry(loop):
    """A captured value given as it is to a loop, as one writes it without thinking."""
    start = scalar(1.0, "m/s")
    f = {
        "scan": lambda x: lax.scan(lambda c, row: (c + row * G, None), start, x)[0],
        "fori": lambda x: lax.fori_loop(0, 3, lambda i, c: c + x[i] * G, start),
        "while": lambda x: lax.while_loop(lambda c: c < 20 * start, lambda c: c + x[2] * G, start),
    }[loop]
    expected = 21.0 if loop == "while" else 1 + 10 * jnp.sum(X)
    assert_same(quaxify(f)(T), Quantity(jnp.asarray(expected, jnp.float32), "m/s"))


def test_value_made_inside_as_initial_carry():
    def total(x):
        return lax.fori_loop(0, 3, lambda i, c: c + x[i], Quantity(jnp.zeros(()), "s"))

    assert_same(quaxify(total)(T), T.sum())
    assert_same(jax.jit(quaxify(total))(T), T.sum())


def test_value_as_one_branch():
    start = scalar(1.0, "min")
    f = lambda x: lax.cond(x[0] < x[1], lambda: start, lambda: x[2])
    assert_same(quaxify(f)(T), T[2])
    g = lambda i, x: lax.switch(i, [lambda: start, lambda: x[2], lambda: 2 * start])
    assert_same(quaxify(g)(jnp.asarray(2), T), start * 2)


def test_values_as_operands_of_lax():
    angle = Quantity(Y, "deg")
    assert_same(quaxify(lambda x: x * lax.sin(angle))(T), T * np.sin(np.deg2rad(Y)))
    k = Quantity(Y, "kg")
    assert_same(quaxify(lambda x: lax.mul(k, x))(T), k * T)
    assert_same(quaxify(lambda x: lax.associative_scan(jnp.add, k) * x)(T), k.cumsum() * T)


def test_lax_is_itself_again():
    before = dict(vars(lax))
    quaxify(lambda x: lax.mul(Quantity(Y, "kg"), x))(T)
    with pytest.raises(TypeError, match="no_such_keyword"):
        quaxify(lambda x: lax.mul(Quantity(Y, "kg"), x, no_such_keyword=1))(T)  # pyright: ignore
    assert dict(vars(lax)) == before


def test_an_error_of_the_users_is_raised_once_as_it_was():
    def f(x):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="^mine"):
        quaxify(f)(T)


def test_value_as_operand_of_control_flow():
    """Values handed to JAX as operands, inside."""
    k, times = Quantity(Y, "kg"), lambda a, b: a * b
    assert_same(
        quaxify(lambda x: lax.cond(unstated(True), times, lambda a, b: b * a, k, x))(T),
        Quantity(X * Y, "kg*s"),
    )
    assert_same(quaxify(lambda x: jax.jit(lambda a, b: a * b)(k, x))(T), Quantity(X * Y, "kg*s"))
    assert_same(quaxify(lambda x: jax.vmap(lambda a, b: a * b)(k, x))(T), Quantity(X * Y, "kg*s"))
    assert_same(
        quaxify(lambda x: lax.scan(lambda c, r: (c, r[0] * r[1]), 0.0, (k, x))[1])(T),
        Quantity(X * Y, "kg*s"),
    )


# -- in the bodies of JAX's own functions


def in_jit(x):
    return jax.jit(lambda a: a * G)(x)


def in_scan(x):
    return lax.scan(lambda c, row: (c + row * G, c), 1.0 * START, x)


def in_fori(x):
    return lax.fori_loop(0, 3, lambda i, c: c + x[i] * G, 1.0 * START)


def in_while(x):
    return lax.while_loop(lambda c: c < 2.5 * G, lambda c: c + G + x[0] ** 2 * G / x[0] ** 2, 0 * G)


def in_cond(x):
    return lax.cond(x[0] > 0 * x[0], lambda a: a * G, lambda a: -a * G, x)


def in_switch(x):
    return lax.switch(unstated(1), [lambda a: a * G, lambda a: a * G * 2, lambda a: a * G * 3], x)


def in_vmap(x):
    return jax.vmap(lambda row: row * G)(x)


def in_vmap_of_batched(x):
    table = Quantity(Y, "kg")
    return jax.vmap(lambda row: row * table)(x)


def in_grad(x):
    return jax.grad(lambda a: jnp.sum(a * a * G))(x)


def in_checkpoint(x):
    return jax.checkpoint(lambda a: jnp.abs(a) * G)(x)


def in_custom_jvp(x):
    return jax.nn.relu(x * G)


def in_map(x):
    return lax.map(lambda row: row * G, x)


def in_nested(x):
    @jax.jit
    def step(c, row):
        return lax.cond(row > 0 * row, lambda: c + row * G, lambda: c)

    return jax.vmap(
        lambda k: lax.scan(lambda c, row: (step(c, row), None), 0 * x[0] * G, x)[0] * k
    )(Y)


EXPECTED = {
    in_jit: lambda: Quantity(10 * X, "m/s"),
    in_scan: lambda: (
        Quantity(1 + 10 * jnp.sum(X), "m/s"),
        Quantity(1 + 10 * jnp.array([0, X[0], X[0] + X[1]]), "m/s"),
    ),
    in_fori: lambda: Quantity(1 + 10 * jnp.sum(X), "m/s"),
    in_while: lambda: Quantity(jnp.float32(40.0), "m/s**2"),
    in_cond: lambda: Quantity(10 * X, "m/s"),
    in_switch: lambda: Quantity(20 * X, "m/s"),
    in_vmap: lambda: Quantity(10 * X, "m/s"),
    in_vmap_of_batched: lambda: Quantity(jnp.outer(X, Y), "kg*s"),
    in_grad: lambda: Quantity(20 * X, "m/s"),
    in_checkpoint: lambda: Quantity(10 * jnp.abs(X), "m/s"),
    in_custom_jvp: lambda: Quantity(10 * jnp.maximum(X, 0), "m/s"),
    in_map: lambda: Quantity(10 * X, "m/s"),
    in_nested: lambda: Quantity(25.0 * Y, "m/s"),
}


@pytest.mark.parametrize("mode", ["eager", "jit-outside", "jit-inside", "repeated"])
@pytest.mark.parametrize("program", EXPECTED, ids=lambda f: f.__name__)
def test_captured_in_body(program, mode):
    wrapped = {
        "eager": lambda: quaxify(program),
        "jit-outside": lambda: jax.jit(quaxify(program)),
        "jit-inside": lambda: quaxify(jax.jit(lambda x: program(x))),
        "repeated": lambda: quaxify(program),
    }[mode]()
    if mode == "repeated":
        wrapped(T)
    actual = wrapped(T)
    assert_same(actual, EXPECTED[program]())


@pytest.mark.parametrize(
    "program", [in_jit, in_cond, in_vmap, in_checkpoint, in_map], ids=lambda f: f.__name__
)
def test_captured_in_body_with_plain_argument(program):
    """The same programs on a plain array: only the captured value has a unit."""
    expected = EXPECTED[program]()
    assert_same(quaxify(program)(X), Quantity(expected.magnitude, "m/s**2"))


def test_gradient_through_a_captured_value():
    """What is captured may be what is differentiated: a value of the enclosing function."""

    def energy(k):
        return unwrap_quantity(quaxify(lambda x: jnp.sum(k * x * x))(T))

    def unwrap_quantity(q):
        return q.magnitude

    grad = jax.grad(energy)(scalar(2.0, "kg"))
    assert_same(grad.magnitude, jnp.sum(X * X))


def test_captured_under_vmap_of_the_enclosing_function():
    f = lambda k: quaxify(lambda x: x * k)(T)
    out = jax.vmap(f)(Quantity(Y, "kg"))
    assert_same(out, Quantity(jnp.outer(Y, X), "kg*s"))


def test_captured_under_jit_of_the_enclosing_function():
    f = jax.jit(lambda k: quaxify(lambda x: lax.map(lambda r: r * k, x))(T))
    assert_same(f(scalar(3.0, "kg")), Quantity(3 * X, "kg*s"))
    assert_same(f(scalar(4.0, "kg")), Quantity(4 * X, "kg*s"))


def test_wrapped_quantity_captured_by_a_wrapped_argument():
    """Values of another type than the argument's."""
    w = Wrapped(Y)
    assert_same(quaxify(lambda x: jnp.multiply(x, w))(X), Wrapped(X * Y))


# -- outside quaxify

MATRIX = TridiagonalMatrix(jnp.ones(2), jnp.full(3, 4.0), jnp.ones(2))
VALUES = {
    "Quantity": T,
    "Wrapped": Wrapped(X),
    "TridiagonalMatrix": MATRIX,
    "NamedArray": NamedArray(X, ("x",)),
    "BCOO": BCOO.from_dense(jnp.eye(3)),
}
CALLS = {
    "numpy.sin": jnp.sin,
    "numpy.add": lambda x: jnp.add(x, 1.0),
    "numpy.linalg.solve": lambda x: jnp.linalg.solve(x, X),
    "lax.sin": lax.sin,
    "lax.concatenate": lambda x: lax.concatenate([x, x], 0),
    "nn.relu": jax.nn.relu,
    "scipy.special.gammaln": jax.scipy.special.gammaln,
    "random.uniform": lambda x: jax.random.uniform(jax.random.key(0), minval=x),
}


@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("name", CALLS)
def test_outside_quaxify(name, what):
    value, function = VALUES[what], CALLS[name]

    def call():
        return function(value)  # HERE

    if function.__name__ == "<lambda>":  # then it is the user's line
        with pytest.raises(OutsideQuaxifyError, match=f"^`jax.{name}` was given a `{what}`"):
            call()
        return
    assert_raises(
        OutsideQuaxifyError,
        call,
        f"`jax.{name}` was given a `{what}` outside of `quaxify`.\n{{place}}\n"
        f"Write `sciquax.{name}(...)`, or wrap the function that calls it: "
        "`sciquax.quaxify(call)(...)`.",
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: jnp.add(X, T),
        lambda: jnp.asarray(T),
        lambda: jnp.stack([T, T]),
        lambda: lax.sin(T),
        lambda: lax.dynamic_slice(X, (T,), (1,)),
        lambda: jax.nn.relu(T),
        lambda: jnp.linalg.norm(T),
        lambda: jnp.where(T > 0 * T, T, T),
        lambda: X.at[0].set(G),
        lambda: jax.jit(jnp.sin)(T),
        lambda: jax.vmap(jnp.sin)(T),
        lambda: jax.grad(jnp.sin)(G),
        lambda: lax.scan(lambda c, r: (c, jnp.sin(r)), 0.0, T),
        lambda: lax.cond(unstated(True), jnp.sin, jnp.cos, T),
    ],
)
def test_outside_quaxify_never_drops_the_unit(call):
    with pytest.raises(TypeError):  # ours, or that of an operator that JAX uses
        call()


def test_outside_after_it_was_traced_inside():
    """JAX keeps the trace that the quaxified call made apart, and does not find it here."""
    jitted = jax.jit(lambda x: x * G)
    f = lambda x: jitted(x)
    assert_same(quaxify(f)(X), Quantity(10 * X, "m/s**2"))
    assert_same(f(X), Quantity(10 * X, "m/s**2"))  # the operator works by itself
    assert_same(jax.vmap(f)(X), Quantity(10 * X, "m/s**2"))
    assert_same(quaxify(f)(T), Quantity(10 * X, "m/s"))


def test_second_call_without_values():
    """No value among the arguments, and JAX finds the jitted function's first trace again."""
    jitted = jax.jit(lambda x: x * G)
    f = quaxify(lambda x: jitted(x))
    assert_same(f(X), Quantity(10 * X, "m/s**2"))
    assert_same(f(2 * X), Quantity(20 * X, "m/s**2"))


def test_outside_after_it_was_traced_inside_with_a_function_of_jax():
    jitted = jax.jit(lambda x: jnp.multiply(x, G))
    assert_same(quaxify(lambda x: jitted(x))(T), Quantity(10 * X, "m/s"))
    with pytest.raises(OutsideQuaxifyError):
        jitted(X)
    assert_same(quaxify(lambda x: jitted(x))(T), Quantity(10 * X, "m/s"))


def test_a_trace_from_outside_is_not_found_inside():
    """Functions with rules of their own leave another program while staging than elsewhere."""
    jitted = jax.jit(lambda x: jnp.unwrap(x) + jnp.histogram_bin_edges(x, bins=2))
    angles = jnp.asarray([1.0, 2.0, 300.0])
    plain = jitted(angles)
    expected = quaxify(lambda x: jnp.unwrap(x) + jnp.histogram_bin_edges(x, bins=2))(
        Quantity(angles, "deg")
    )
    assert_same(quaxify(jitted)(Quantity(angles, "deg")), expected)
    assert_same(jitted(angles), plain)


def test_inside_after_it_failed_outside():
    """And the other way round: a failed trace leaves nothing behind."""
    jitted = jax.jit(lambda x: jnp.sin(x) * jnp.abs(G))
    with pytest.raises(OutsideQuaxifyError):
        jitted(X)
    assert_same(quaxify(jitted)(X), Quantity(10 * jnp.sin(X), "m/s**2"))


def test_scan_body_outside_after_inside():
    body = lambda c, row: (c, row * G)
    f = lambda x: lax.scan(body, 0.0, x)[1]
    assert_same(quaxify(f)(X), Quantity(10 * X, "m/s**2"))
    assert_same(f(X), Quantity(10 * X, "m/s**2"))


def test_except_exception_does_not_swallow():
    def f(x):
        try:
            return jnp.multiply(x, G)
        except Exception:
            return x

    assert_same(quaxify(f)(X), Quantity(10 * X, "m/s**2"))


def test_namespace_functions_take_captured_values():
    import sciquax.numpy as sqnp

    assert_same(sqnp.multiply(G, X), Quantity(10 * X, "m/s**2"))
    assert_same(quaxify(lambda x: sqnp.multiply(G, x))(X), Quantity(10 * X, "m/s**2"))
    assert_same(sciquax.lax.map(lambda r: r * G, X), Quantity(10 * X, "m/s**2"))


class Computed(ArrayValue):
    """Its abstract value is computed from its leaves, by JAX."""

    x: jax.Array

    def aval(self):
        return jax.typeof(lax.stop_gradient(self.x))

    def materialise(self):
        return self.x


def test_abstract_value_that_is_computed():
    captured = Computed(jnp.arange(3.0))
    f = quaxify(lambda x: jnp.sin(x) * captured + lax.add_p.bind(x, captured))
    expected = jnp.sin(jnp.ones(3)) * captured.x + 1 + captured.x
    np.testing.assert_allclose(f(Wrapped(jnp.ones(3))).array, expected, rtol=1e-6)
