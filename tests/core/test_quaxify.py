"""`quaxify` itself: what it takes, what it gives back, and when it does nothing."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.core import Value, is_value
from sciquax.units import Quantity
from tests.helpers import Wrapped, assert_same, unwrap

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
Y = jnp.asarray(np.array([1.5, 0.25, -0.75], np.float32))


def test_without_values_is_the_call_itself():
    """Concrete Python control flow, NumPy and side effects work, and nothing is staged."""
    seen = []

    def f(x, flag=False):
        seen.append(x)
        if float(x[0]) > 0:  # impossible with a tracer
            return [float(x[1]), "text", flag, None]
        return np.asarray(x)

    assert quaxify(f)(X, flag=True) == [-1.25, "text", True, None]
    assert seen == [X] or seen[0] is X
    assert type(quaxify(f)(-X)) is np.ndarray


def test_other_arguments_stay_concrete():
    """Beside a value, plain arguments are what they were: branches may use them."""

    def f(x, n, table, name, options):
        assert type(n) is int and type(table) is np.ndarray and name == "mean"
        if float(options["scale"]) > 1:
            x = x * options["scale"]
        return x[: int(table[1])] * n

    out = quaxify(f)(Wrapped(X), 3, np.array([5, 2]), "mean", {"scale": jnp.float32(4.0)})
    assert_same(out, Wrapped(X[:2] * 12))


def test_outputs_that_are_not_arrays():
    marker = object()

    def f(x):
        return {"y": x * 2, "n": x.shape[0], "name": "f", "none": None, "m": marker, "fn": len}

    out = quaxify(f)(Wrapped(X))
    assert out["n"] == 3 and type(out["n"]) is int
    assert out["name"] == "f" and out["none"] is None and out["m"] is marker and out["fn"] is len
    assert_same(out["y"], Wrapped(X * 2))


def test_concrete_array_output_passes_through():
    out = quaxify(lambda x, y: (y, x))(Wrapped(X), Y)
    assert out[0] is Y
    assert_same(out[1], Wrapped(X))


def test_same_value_twice_and_unused():
    w = Wrapped(X)
    assert_same(quaxify(lambda a, b, c: a - 2 * b)(w, w, Wrapped(Y)), Wrapped(-X))


def test_keywords_and_containers():
    f = lambda a, *rest, scale, **more: (a - rest[0]["k"][1]) * scale + more["z"]
    out = quaxify(f)(Wrapped(X), {"k": (1, Wrapped(Y))}, scale=Wrapped(X), z=1.0)
    assert_same(out, Wrapped((X - Y) * X + 1.0))


def test_value_only_in_keywords():
    assert_same(quaxify(lambda *, a: a[::-1])(a=Wrapped(X)), Wrapped(X[::-1]))


def test_metadata():
    def documented(x: float, y: int = 3) -> float:
        """What it does."""
        return x

    wrapped = quaxify(documented)
    assert wrapped.__name__ == "documented" and wrapped.__doc__ == "What it does."
    assert wrapped.__wrapped__ is documented


def test_is_a_pytree_with_the_leaves_of_the_function():
    layer = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    leaves = jax.tree_util.tree_leaves(quaxify(layer))
    assert [id(x) for x in leaves if eqx.is_array(x)] == [id(layer.weight), id(layer.bias)]


# -- callables of every kind


class Pendulum(eqx.Module):
    length: object
    gain: float = 2.0

    def __call__(self, x):
        return self.gain * x * self.length

    def period(self, x):
        return jnp.sqrt(self.length) * x

    @quaxify
    def decorated(self, x):
        return self.length - x

    @jax.jit
    def jitted(self, x):
        return jnp.sum(self.length * x)


def test_module_with_values_as_weights():
    """The function's own leaves are arguments too, even if the arguments are plain."""
    pendulum = Pendulum(Wrapped(X))
    assert_same(quaxify(pendulum)(Y), Wrapped(2 * X * Y))
    assert_same(quaxify(pendulum)(Wrapped(Y)), Wrapped(2 * X * Y))
    assert_same(quaxify(Pendulum(X))(Wrapped(Y)), Wrapped(2 * X * Y))


def test_methods():
    pendulum = Pendulum(Wrapped(jnp.abs(X)))
    assert_same(quaxify(pendulum.period)(Y), Wrapped(jnp.sqrt(jnp.abs(X)) * Y))
    assert_same(pendulum.decorated(Y), Wrapped(jnp.abs(X) - Y))
    assert_same(quaxify(Pendulum.period)(pendulum, Y), Wrapped(jnp.sqrt(jnp.abs(X)) * Y))
    assert_same(quaxify(pendulum.jitted)(Y), Wrapped(jnp.sum(jnp.abs(X) * Y)))


def test_method_of_an_ordinary_class():
    class Plain:
        def __init__(self, scale):
            self.scale = scale

        @quaxify
        def times(self, x):
            return self.scale * x

    assert_same(Plain(3.0).times(Wrapped(X)), Wrapped(3 * X))
    assert_same(Plain(Wrapped(Y)).times(X), Wrapped(Y * X))
    assert_same(quaxify(Plain(3.0).times)(Wrapped(X)), Wrapped(3 * X))


def test_partial_and_builtin_and_ufunc():
    assert_same(quaxify(functools.partial(jnp.subtract, Y))(Wrapped(X)), Wrapped(Y - X))
    assert_same(quaxify(functools.partial(jnp.subtract, Wrapped(Y)))(X), Wrapped(Y - X))
    assert_same(quaxify(jnp.add)(Wrapped(X), Y), Wrapped(X + Y))
    assert_same(quaxify(jax.lax.neg_p.bind)(Wrapped(X)), Wrapped(-X))
    assert_same(quaxify(sum)([Wrapped(X), Wrapped(Y), X]), Wrapped(X + Y + X))


def test_eqx_filter_jit_and_mlp():
    mlp = eqx.nn.MLP(3, 2, 4, 2, key=jax.random.key(1))
    wrapped = jax.tree_util.tree_map(lambda x: Wrapped(x) if eqx.is_array(x) else x, mlp)
    expected = mlp(X)
    assert_same(unwrap(quaxify(wrapped)(X)), expected)
    assert_same(unwrap(quaxify(mlp)(Wrapped(X))), expected)
    assert_same(unwrap(eqx.filter_jit(quaxify(wrapped))(X)), expected)
    assert_same(unwrap(quaxify(eqx.filter_jit(mlp))(Wrapped(X))), expected)


# -- nesting and filter_spec


def test_nested_quaxify():
    inner = quaxify(lambda a, b: a * b[::-1])
    f = quaxify(lambda a, b: inner(a, b) + quaxify(jnp.sin)(b))
    assert_same(f(Wrapped(X), Y), Wrapped(X * Y[::-1] + jnp.sin(Y)))
    assert_same(quaxify(f)(Wrapped(X), Wrapped(Y)), Wrapped(X * Y[::-1] + jnp.sin(Y)))


def test_nested_quaxify_captures():
    f = quaxify(lambda a: quaxify(lambda b: a * b)(Wrapped(Y)))
    assert_same(f(Wrapped(X)), Wrapped(X * Y))
    assert_same(f(X), Wrapped(X * Y))


def test_quaxify_inside_plain_transformations():
    """Between two JAX transformations, and around one that is around another quaxify."""
    inner = quaxify(lambda x: jnp.sum(x * x))
    f = jax.grad(lambda x: unwrap(inner(x)))
    assert_same(unwrap(f(Wrapped(X))), 2 * X)
    g = quaxify(jax.vmap(quaxify(lambda x, y: x * y), in_axes=(0, None)))
    assert_same(g(Wrapped(X), Wrapped(Y)), Wrapped(jnp.outer(X, Y)))


def test_filter_spec_leaves_values_as_they_are():
    def f(x, q):
        assert type(q) is Wrapped
        return x * q.array

    out = quaxify(f, filter_spec=(True, (True, False), True))(Wrapped(X), Wrapped(Y))
    assert_same(out, Wrapped(X * Y))


def test_filter_spec_of_functions_and_keywords():
    spec = lambda x: isinstance(x, Quantity)

    def f(x, *, w):
        assert type(w) is Wrapped
        return x * 2.0

    out = quaxify(f, filter_spec=spec)(Quantity(X, "m"), w=Wrapped(Y))
    assert_same(out, Quantity(2 * X, "m"))


def test_filter_spec_false():
    def f(x):
        assert type(x) is Wrapped
        return x

    w = Wrapped(X)
    assert quaxify(f, filter_spec=False)(w) is w


# -- errors


def test_exceptions_of_the_function_pass_through():
    class Mine(Exception):
        pass

    def f(x):
        raise Mine("own")

    with pytest.raises(Mine, match="own"):
        quaxify(f)(Wrapped(X))
    with pytest.raises(Mine, match="own"):
        quaxify(f)(X)
    # and leave no mode behind
    with pytest.raises(sciquax.core.OutsideQuaxifyError):
        jnp.sin(Quantity(1.0, "m"))


def test_value_without_rule_is_a_rule_error():
    class Ruleless(Value):
        array: jax.Array

        def aval(self):
            return jax.core.ShapedArray(self.array.shape, self.array.dtype)

    with pytest.raises(sciquax.core.RuleError) as info:
        quaxify(lambda x: jnp.sin(x))(Ruleless(X))
    lines = str(info.value).splitlines()
    assert lines[0] == "`sin` has no rule for (Ruleless(f32[3]))."
    assert lines[1].startswith(f"  at {__file__}:")
    assert lines[2:] == ["Register one with `sciquax.register(sin_p)`."]
    assert quaxify(lambda x: x)(Ruleless(X)).array is X


def test_array_value_without_rule_materialises():
    from sciquax.core import ArrayValue

    class Dense(ArrayValue):
        array: jax.Array

        def aval(self):
            return jax.core.ShapedArray(self.array.shape, self.array.dtype)

        def materialise(self):
            return self.array * 2

    assert_same(quaxify(lambda x: jnp.sin(x) + 1)(Dense(X)), jnp.sin(2 * X) + 1)
    dense = Dense(X)
    assert (dense.shape, dense.dtype, dense.ndim, dense.size) == ((3,), np.float32, 1, 3)


def test_is_value():
    assert is_value(Wrapped(X)) and not is_value(X) and not is_value(3.0)


# -- staging is never stale

SCALE = 2.0
ARRAY = X


def scaled(x):
    return x * SCALE + ARRAY


def test_changed_globals_are_seen(monkeypatch):
    f = quaxify(scaled)
    assert_same(f(Wrapped(Y)), Wrapped(Y * 2 + X))
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert_same(f(Wrapped(Y)), Wrapped(Y * 3 + X))
    monkeypatch.setitem(globals(), "ARRAY", 10 * X)
    assert_same(f(Wrapped(Y)), Wrapped(Y * 3 + 10 * X))


def test_changed_closure_and_attribute_and_default_are_seen():
    scale = 2.0

    class Holder:
        gain = 5.0

    holder = Holder()

    def f(x):
        return x * scale * holder.gain

    g = quaxify(f)
    assert_same(g(Wrapped(X)), Wrapped(X * 10))
    scale = 3.0
    holder.gain = 7.0
    assert_same(g(Wrapped(X)), Wrapped(X * 21))


def test_argument_that_is_concrete_is_not_cached():
    f = quaxify(lambda x, n: x * n)
    assert_same(f(Wrapped(X), 2.0), Wrapped(X * 2))
    assert_same(f(Wrapped(X), 3.0), Wrapped(X * 3))
    assert_same(f(Wrapped(X), np.float32(4)), Wrapped(X * 4))


def test_random_state_advances():
    """Python side effects happen once at each call."""
    calls = []
    f = quaxify(lambda x: (calls.append(1), x * len(calls))[1])
    assert_same(f(Wrapped(X)), Wrapped(X))
    assert_same(f(Wrapped(X)), Wrapped(2 * X))


def test_disable_jit():
    with jax.disable_jit():
        assert_same(
            quaxify(jax.jit(lambda x: jnp.where(x > 0, x, 0) * 2))(Wrapped(X)),
            Wrapped(jnp.where(X > 0, X, 0) * 2),
        )


def test_threads():
    """Staging in one thread does not make another thread inject values."""
    import threading

    inside, done = threading.Event(), threading.Event()
    results = {}

    def slow(x):
        inside.set()
        assert done.wait(20)
        return x * 2

    def other():
        assert inside.wait(20)
        try:
            jnp.sin(Quantity(1.0, "m"))
        except Exception as error:
            results["error"] = type(error).__name__
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    assert_same(quaxify(slow)(Wrapped(X)), Wrapped(2 * X))
    thread.join()
    assert results == {"error": "OutsideQuaxifyError"}


def test_values_show_their_numbers_and_gradients_of_several_arrays_are_refused():
    class Pair(sciquax.ArrayValue):
        low: jax.Array
        high: jax.Array
        name: str = eqx.field(static=True, default="p")

        def aval(self):
            return sciquax.core.aval_of(self.low)

    pair = Pair(jnp.array([1.0, 2.5]), jnp.zeros((3, 3)))
    assert repr(pair) == "Pair(low=[1. , 2.5], high=f32[3,3], name='p')"
    with pytest.raises(TypeError) as info:
        sciquax.grad(lambda x: Pair(x, 2 * x))(jnp.float32(1.0))
    assert str(info.value).splitlines()[0] == (
        "A gradient of `Pair`, which has 2 arrays, is not defined. Return one of them, or a "
        "number computed from them."
    )


def test_a_transformed_layer_is_no_reason_to_warn():
    """Equinox warns of `jax.vmap(layer)` as a field; warnings are errors here."""
    layer = eqx.nn.Linear(3, 2, use_bias=False, key=jax.random.key(0))
    x = jnp.ones((4, 3))
    assert_same(quaxify(jax.vmap(layer))(Quantity(x, "m")), Quantity(jax.vmap(layer)(x), "m"))
