"""Programs as users of quax write them, with `import sciquax as quax`.

Each is about one behaviour that packages built on quax rely on.
"""

import dataclasses
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax as quax
from sciquax.units import Quantity
from tests.helpers import assert_same, unstated

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
Y = jnp.asarray(np.array([1.5, 0.25, -0.75], np.float32))


class Boxed(quax.ArrayValue):
    """No rules: everything materialises."""

    array: Any

    def aval(self):
        return jax.core.ShapedArray(self.array.shape, self.array.dtype)

    def materialise(self):
        return self.array


# -- values as modules


class Symbol:
    """Something to mark with, which neither sorts nor hashes by value."""


class Marked(quax.ArrayValue):
    array: jax.Array = eqx.field(converter=jnp.asarray)
    marks: dict[Symbol, int] = eqx.field(static=True, default_factory=dict)

    def __check_init__(self):
        if self.array.ndim > 2:
            raise ValueError("at most two dimensions")

    def aval(self):
        return jax.core.ShapedArray(self.array.shape, self.array.dtype)

    def materialise(self):
        raise ValueError("marks would be lost")


def test_construction():
    """Converters, defaults, checks, missing fields; a static field that is no pytree."""
    a, b = Symbol(), Symbol()
    value = Marked([1.0, 2.0], {a: 1, b: -1})
    assert isinstance(value.array, jax.Array) and value.marks == {a: 1, b: -1}
    assert Marked(array=2.0).marks == {} and jax.tree.leaves(value) == [value.array]
    with pytest.raises(ValueError, match="two dimensions"):
        Marked(jnp.zeros((1, 1, 1)))
    with pytest.raises(TypeError, match="missing 1 required"):
        Marked()
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.array = 1.0
    with pytest.raises(ValueError, match="marks would be lost") as caught:
        quax.quaxify(jnp.sin)(value)
    assert "has no rule for (Marked(f32[2]))" in caught.value.__notes__[0]


def test_own_init_new_and_metaclass():
    class Meta(type(quax.ArrayValue)):
        def __getitem__(cls, item):
            return cls, item

    class Own(Boxed, metaclass=Meta):
        kind: str = eqx.field(static=True)

        def __new__(cls, x, *, kind="plain"):
            return super().__new__(cls)

        def __init__(self, x, *, kind="plain"):
            self.array = jnp.asarray(x, jnp.float32)
            if kind != "forgotten":
                self.kind = kind

    assert Own["m"] == (Own, "m")
    assert Own([1, 2]).kind == "plain" and Own(3, kind="x").kind == "x"
    with pytest.raises(TypeError, match="did not set kind"):
        Own(1, kind="forgotten")
    assert_same(quax.quaxify(jnp.add)(Own(X), Y), X + Y)


def test_array_in_a_static_field_warns():
    class Wrong(Boxed):
        other: Any = eqx.field(static=True)

    with pytest.warns(UserWarning, match="JAX array is set as the static field `other`"):
        Wrong(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Wrong(X, "fine")


def test_abstract_types_are_not_made():
    class Abstract(quax.ArrayValue):
        extra: eqx.AbstractVar[int]

    with pytest.raises(TypeError, match="abstract"):
        Abstract()  # pyright: ignore[reportAbstractUsage]
    with pytest.raises(TypeError, match="abstract"):
        quax.Value()  # pyright: ignore[reportAbstractUsage]


# -- default


def test_default_materialises_in_value_too():
    """`Value` itself materialises by default, not only `ArrayValue`."""

    class Bare(quax.Value):
        array: jax.Array

        def aval(self):
            return jax.core.ShapedArray(self.array.shape, self.array.dtype)

        def materialise(self):
            return self.array

    assert_same(quax.quaxify(lambda x: jnp.cos(x) * 2)(Bare(X)), jnp.cos(X) * 2)


class Counting(Boxed):
    """Its own default, which goes on with `quaxify(primitive.bind)` on what it holds."""

    seen = []

    @staticmethod
    def default(primitive, values, params):
        Counting.seen.append(primitive.name)
        inner = [x.array if isinstance(x, Counting) else x for x in values]
        out = quax.quaxify(primitive.bind)(*inner, **params)
        return [Counting(x) for x in out] if primitive.multiple_results else Counting(out)


def test_one_default_among_types_without():
    """A type whose default is the usual one does not compete with a type that has its own."""
    Counting.seen.clear()
    out = quax.quaxify(lambda x, y, z: x + y * z)(Counting(X), Boxed(Y), X)
    assert isinstance(out, Counting) and Counting.seen == ["add"]
    assert_same(out.array, X + Y * X)


def test_operands_of_a_default_are_told_apart():
    """`eqx.is_array_like` is false of values, in a default as anywhere."""

    class Tag(Boxed):
        @staticmethod
        def default(primitive, values, params):
            raw = [x if eqx.is_array_like(x) else x.array for x in values]
            assert not any(isinstance(x, Tag) for x in raw)
            out = primitive.bind(*raw, **params)
            return [Tag(x) for x in out] if primitive.multiple_results else Tag(out)

    assert not eqx.is_array_like(Tag(X)) and not eqx.is_inexact_array_like(Tag(X))
    mlp = eqx.nn.MLP(3, "scalar", 8, 1, key=jax.random.key(0))
    out, pull = jax.vjp(mlp, X)
    (grad,) = quax.quaxify(pull)(Tag(jnp.ones_like(out)))  # the backward pass alone
    assert isinstance(grad, Tag)
    assert_same(grad.array, pull(jnp.ones_like(out))[0])


def test_redispatch_through_three_layers():
    Counting.seen.clear()
    out = quax.quaxify(lambda x: lax.sort([x, -x], num_keys=1))(Counting(Counting(Boxed(X))))
    assert Counting.seen == ["neg", "neg", "sort", "sort"]
    assert all(type(x) is Counting and type(x.array) is Counting for x in out)
    assert_same(out[1].array.array, lax.sort([X, -X], num_keys=1)[1])


# -- rules


def test_annotations_are_no_checks():
    """A rule for several results is often annotated with the type of each."""

    @quax.register(lax.linalg.qr_p)
    def _qr(x: Boxed, /, **params: Any) -> Boxed:
        out = [Boxed(y) for y in lax.linalg.qr_p.bind(x.array, **params)]
        return out  # pyright: ignore[reportReturnType]

    matrix = jnp.arange(4.0).reshape(2, 2) + jnp.eye(2)
    q, r = quax.quaxify(jnp.linalg.qr)(Boxed(matrix))
    assert type(q) is Boxed and type(r) is Boxed
    assert_same(q.array @ r.array, matrix)


def test_rule_that_returns_numbers():
    """Python's and NumPy's numbers, and literals of the program, come out as arrays."""
    wanted = {"x": 1.5, "y": np.float32(2.5), "z": None}

    class Named(Boxed):
        name: str = eqx.field(static=True)

    @quax.register(lax.add_p)
    def _add(x: Named, y: Any):
        return y if wanted[x.name] is None else wanted[x.name]

    add = quax.quaxify(lambda x: x + 4.0)
    for name, expected in {"x": 1.5, "y": 2.5, "z": 4.0}.items():
        out = add(Named(jnp.float32(3.0), name))
        assert isinstance(out, jax.Array) and out == expected
        assert jax.jit(add)(Named(jnp.float32(3.0), name)) == expected


def test_parameters_that_a_rule_does_not_name():
    """JAX adds parameters; those that are None are kept from rules that cannot take them."""

    class Short(Boxed):
        pass

    @quax.register(lax.mul_p)
    def _mul(x: Short, y: Short):
        return Short(x.array + y.array)

    @quax.register(lax.reduce_sum_p)
    def _sum(x: Short, *, axes):
        return Short(x.array.sum(axes))

    @quax.register(lax.integer_pow_p)
    def _pow(x: Short):
        return x

    assert_same(quax.quaxify(lambda x: jnp.sum(x * x))(Short(X)), Short(jnp.sum(X + X)))
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        quax.quaxify(lambda x: x**2)(Short(X))


def test_results_of_rules_are_checked():
    class Bad(Boxed):
        pass

    results = {
        lax.sin_p: None,
        lax.cos_p: [X],
        lax.tan_p: "an array",
        lax.sort_p: [X, X, X],
        lax.exp_p: jnp.zeros(2),
    }
    for primitive, result in results.items():

        @quax.register(primitive)
        def _rule(x: Bad, *, result=result, **params):
            return result

    messages = {
        jnp.sin: "The rule for `sin` returned None, which is neither an array nor a value.",
        jnp.cos: "The rule for `cos` returned [Array(",
        jnp.tan: "The rule for `tan` returned 'an array', which is neither an array nor a value.",
        lax.sort: "The rule for `sort` returned 3 results, where JAX returns 1.",
        jax.jit(lambda x: jnp.exp(x) + 1): "The rule for `exp` made f32[2] where JAX makes f32[3], "
        "and later operations rely on that.",
    }
    for f, message in messages.items():
        with pytest.raises(TypeError) as caught:
            quax.quaxify(f)(Bad(X))
        assert str(caught.value).startswith(message), str(caught.value)
        assert "test_quax_users.py" in str(caught.value)
    # What nothing builds on is what the rule made of it.
    assert_same(quax.quaxify(lambda x: (jnp.exp(x), x))(Bad(X)), (jnp.zeros(2), Bad(X)))


# -- rules that go beyond what JAX takes


class Points(quax.ArrayValue):
    """Points of which one compares whole ones, and which broadcast against a single one."""

    xy: jax.Array

    def aval(self):
        return jax.core.ShapedArray(self.xy.shape, self.xy.dtype)

    def materialise(self):
        raise ValueError("points are no numbers")


@quax.register(lax.eq_p)
def _eq_points(a: Points, b: Points, **params):
    return jnp.all(a.xy == b.xy, axis=-1)


@quax.register(lax.add_p)
def _add_points(a: Points, b: Points, **params):
    return Points(jnp.add(*jnp.broadcast_arrays(a.xy, b.xy)))


def test_rules_of_other_shapes_and_ranks():
    """Where JAX would refuse, or computes another shape, rules are applied as quax does."""
    many, one = Points(jnp.arange(6.0).reshape(3, 2)), Points(jnp.ones(2))
    calls = []

    def f(a, b):
        calls.append(1)
        moved = lax.add(a, b)  # JAX wants equal ranks
        if jnp.array_equal(moved, moved):  # a rule's result of another shape, as a number
            return moved, lax.sub(2.0, 1.0)
        return a

    out, number = quax.quaxify(f)(many, one)  # pyright: ignore[reportGeneralTypeIssues]
    assert_same(out, Points(many.xy + 1))
    assert number == 1.0
    assert len(calls) == 2
    assert_same(jax.jit(quax.quaxify(lax.add))(many, one), Points(many.xy + 1))
    assert_same(
        jax.grad(lambda p: quax.quaxify(lax.add)(p, one).xy.sum())(many).xy, jnp.ones((3, 2))
    )


def test_errors_of_the_function_itself_come_once():
    calls = []

    def f(x):
        calls.append(1)
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        quax.quaxify(f)(Points(jnp.ones(2)))
    assert len(calls) == 1
    with pytest.raises(TypeError, match="same number of dimensions|equal ranks|shapes"):
        quax.quaxify(lax.add)(Boxed(X), Boxed(jnp.ones((2, 2))))
    with pytest.raises(TypeError, match="same number of dimensions|equal ranks|shapes"):
        quax.quaxify(lax.mul)(Quantity(X, "m"), Quantity(X[None], "m"))  # rules by family


# -- nested quaxify


class Doubled(Boxed):
    """Stands for twice its array; knows how to add a plain array."""


class Halved(Boxed):
    """Stands for half its array; knows how to add a plain array."""


@quax.register(lax.add_p)
def _add_doubled(x: Doubled, y: jax.typing.ArrayLike):
    return quax.quaxify(lambda a, b: 2 * a + b)(x.array, y)


@quax.register(lax.add_p)
def _add_halved(x: jax.typing.ArrayLike, y: Halved):
    return quax.quaxify(lambda a, b: a + b / 2)(x, y.array)


def test_redispatch_one_type_at_a_time():
    """With `filter_spec`, a quaxified function sees the values of the one around it as arrays."""
    is_type = lambda cls: lambda x: isinstance(x, cls)
    add = lambda x, y: x + y
    inner = quax.quaxify(add, filter_spec=is_type(Doubled))
    outer = quax.quaxify(inner, filter_spec=is_type(Halved))
    expected = 2 * X + Y / 2
    assert_same(outer(Doubled(X), Halved(Y)), expected)
    assert_same(jax.jit(outer)(Doubled(X), Halved(Y)), expected)
    both = lambda x, y: quax.quaxify(add)(x, y)  # the inner one takes what it is given
    assert_same(quax.quaxify(both, filter_spec=is_type(Halved))(Doubled(X), Halved(Y)), expected)
    # Without `filter_spec`, both are seen together: no rule, so both materialise.
    assert_same(quax.quaxify(both)(Doubled(X), Halved(Y)), X + Y)


# -- values where JAX functions do not ask for `__jax_array__`


BINDS = {
    "lax.add": lambda x, v: lax.add(x, v),
    "lax.mul, left": lambda x, v: lax.mul(v, x),
    "bind": lambda x, v: lax.sub_p.bind(x, v),
    "lax.select": lambda x, v: lax.select(x > 0, x, v),
    "lax.clamp": lambda x, v: lax.clamp(v, x, v),
    "lax.concatenate": lambda x, v: lax.concatenate([x, v], 0),
    "lax.dynamic_update_slice": lambda x, v: lax.dynamic_update_slice(x, v[:1], (1,)),
    "below jit": lambda x, v: jax.jit(lambda y: lax.add(y, v))(x),
    "below scan": lambda x, v: lax.scan(lambda c, _: (lax.add(c, v), None), x, None, length=2)[0],
    "below vmap": lambda x, v: jax.vmap(lambda a: lax.mul(a, v))(jnp.stack([x, x])),
    "below grad": lambda x, v: jax.grad(lambda a: jnp.sum(lax.mul(a, v)))(x),
}


@pytest.mark.parametrize("name", BINDS)
@pytest.mark.parametrize("argument", ["value", "array"])
def test_captured_by_lax_functions_and_bind(name, argument):
    captured = Indexable(Y)
    f = quax.quaxify(lambda x: BINDS[name](x, captured))
    out = f(Boxed(X) if argument == "value" else X)
    assert_same(out, BINDS[name](X, Y))


class Indexable(Boxed):
    def __getitem__(self, item):
        return quax.quaxify(lambda x: x[item])(self)


@pytest.mark.parametrize("call", [lambda v: lax.add(X, v), lambda v: lax.neg_p.bind(v)])
def test_bind_outside_is_an_error(call):
    with pytest.raises(TypeError, match="given a `Boxed` outside of `quaxify`"):
        call(Boxed(Y))


def test_type_with_array_protocol_outside():
    """Outside of `quaxify`, `jnp.asarray` takes what the type's own `__array__` gives."""

    class Readable(Boxed):
        allowed: bool = eqx.field(static=True)

        def __array__(self, dtype=None, copy=None):
            if not self.allowed:
                raise KeyError("own refusal")
            return np.asarray(self.array, dtype)

    assert_same(jnp.asarray(Readable(X, True)), X)
    with pytest.raises(KeyError, match="own refusal"):
        jnp.asarray(Readable(X, False))
    with pytest.raises(TypeError):
        jnp.sin(Readable(X, True))
    assert_same(quax.quaxify(jnp.asarray)(Readable(X, False)), Readable(X, False))


# -- loops and branches


def _loops():
    return {
        "while": lambda x: lax.while_loop(
            lambda c: c["i"] < 3,
            lambda c: {"i": c["i"] + 1, "x": c["x"] * c["x"]},
            {"i": 0, "x": x},
        )["x"],
        "fori": lambda x: lax.fori_loop(0, 3, lambda _, state: state * state, x),
        "scan": lambda x: lax.scan(lambda s, _: ((s[0], s[1] * s[1]), None), (x, x), None, 2)[0][1],
    }


class Power(Boxed):
    """Something to a power, as a unit is: what grows in every step of these loops."""

    power: int = eqx.field(static=True)


@quax.register(lax.mul_p)
def _mul_powers(x: Power, y: Power, **params):
    return Power(x.array * y.array, x.power + y.power)


@quax.register(lax.add_p)
def _add_powers(x: Power, y: Power, **params):
    return Power(x.array + y.array, x.power)


@pytest.mark.parametrize(
    ("loop", "name"), [("while", "c['x']"), ("fori", "state"), ("scan", "s[1]")]
)
def test_carry_whose_structure_changes(loop, name):
    with pytest.raises(TypeError, match="carry changed structure") as caught:
        quax.quaxify(_loops()[loop])(Power(X, 1))
    primitive = "while" if loop == "while" else "scan"
    assert str(caught.value).startswith(
        f"The `{primitive}` carry changed structure: `{name}` goes in as "
        "Power(array=f32[3], power=1) and comes out of the body as Power(array=f32[3], power=2), "
        "which have no common type.\n  at "
    )


@pytest.mark.parametrize("jitted", [False, True])
def test_carry_that_materialises(jitted):
    """A body without rules materialises; so does the carry that goes in, once."""
    f = {
        "scan": lambda x, y: lax.scan(lambda c, t: (c * t + 1.0, c), x, y),
        "while": lambda x, y: lax.while_loop(
            lambda c: c[1] < 3, lambda c: (c[0] * y, c[1] + 1), (x, 0)
        ),
        "cond": lambda x, y: lax.cond(y[0] > 0, lambda x: x, lambda x: x * 2, x),
    }
    for program in f.values():
        program = jax.jit(program) if jitted else program
        x = jnp.float32(2.0) if program is f["scan"] else X
        assert_same(quax.quaxify(program)(Boxed(x), Y), program(x, Y))


def test_branches_of_different_types():
    """Types that only materialise meet as plain arrays; a plain and a refusing one do not."""
    other = type("Other", (Boxed,), {})
    f = lambda p, x, y: lax.cond(unstated(p), lambda: x, lambda: y)
    for x, y in ((Boxed(X), other(Y)), (Boxed(X), Y), (X, Boxed(Y))):
        for p in (True, False):
            assert_same(quax.quaxify(f)(p, x, y), X if p else Y)
    with pytest.raises(ValueError, match="marks would be lost"):
        quax.quaxify(f)(True, Marked(X), Y)
    with pytest.raises(TypeError, match="have no common type"):
        quax.quaxify(f)(True, Counting(X), Y)


# -- whole types, as the tutorials make them


class Adapted(quax.ArrayValue):
    """A frozen matrix plus a trainable one of low rank, never added up."""

    frozen: jax.Array
    left: jax.Array
    right: jax.Array

    def aval(self):
        return jax.core.ShapedArray(self.frozen.shape, self.frozen.dtype)

    def materialise(self):
        raise RuntimeError("the sum of an `Adapted` is not to be made")


@quax.register(lax.dot_general_p)
def _dot_adapted(x: Adapted, y: jax.Array | Boxed, *, dimension_numbers, **params):
    assert dimension_numbers == (((1,), (0,)), ((), ()))

    def product(frozen, left, right, y):
        return lax.stop_gradient(frozen) @ y + left @ (right @ y)

    return quax.quaxify(product)(x.frozen, x.left, x.right, y)


@quax.register(lax.transpose_p)
def _transpose_adapted(x: Adapted, *, permutation):
    assert permutation == (1, 0)
    return Adapted(x.frozen.T, x.right.T, x.left.T)


def _adapted_model():
    keys = jax.random.split(jax.random.key(3), 3)
    linear = eqx.nn.Linear(3, 4, key=keys[0])
    low = jax.random.normal(keys[1], (4, 2)), jax.random.normal(keys[2], (2, 3))
    dense = eqx.tree_at(lambda m: m.weight, linear, linear.weight + low[0] @ low[1])
    return eqx.tree_at(lambda m: m.weight, linear, Adapted(linear.weight, *low)), dense


def test_module_whose_weight_is_a_value():
    model, dense = _adapted_model()
    for f in (quax.quaxify(model), jax.jit(lambda x: quax.quaxify(model)(x))):
        assert_same(f(X), dense(X), rtol=1e-4)
    assert_same(eqx.filter_jit(quax.quaxify(model))(X), dense(X), rtol=1e-4)
    assert_same(quax.quaxify(model)(Boxed(X)), dense(X), rtol=1e-4)
    loss = lambda m, x: jnp.sum(quax.quaxify(m)(x) ** 2)
    grads = eqx.filter_grad(loss)(model, X)
    expected = eqx.filter_grad(lambda m, x: jnp.sum(m(x) ** 2))(dense, X)
    assert_same(grads.weight.frozen, jnp.zeros((4, 3)))
    assert_same(grads.weight.left, expected.weight @ model.weight.right.T, rtol=1e-4)
    assert_same(grads.bias, expected.bias, rtol=1e-4)
    with pytest.raises(RuntimeError, match="not to be made"):
        quax.quaxify(lambda m: jnp.sin(m.weight))(model)


class OneHot(quax.ArrayValue):
    """One number in a vector of zeros."""

    index: jax.typing.ArrayLike
    number: jax.typing.ArrayLike
    length: int = eqx.field(static=True)

    def aval(self):
        return jax.core.ShapedArray((self.length,), jnp.result_type(self.number))

    def materialise(self):
        return jnp.zeros(self.length).at[self.index].set(self.number)


@quax.register(lax.dot_general_p)
def _dot_one_hot(x: jax.Array, y: OneHot, *, dimension_numbers, **params):
    (((contracted,), _), _) = dimension_numbers
    return jnp.take(x, y.index, contracted) * y.number


def test_redispatch_on_two_structures():
    """An adapted matrix by a vector with one entry: two rules, neither of which knows the pair."""
    model, dense = _adapted_model()
    hot = OneHot(jnp.int32(1), jnp.float32(2.5), 3)

    @quax.register(lax.dot_general_p)
    def _dot(x: Adapted, y: OneHot, **params):
        product = lambda frozen, left, right, y: frozen @ y + left @ (right @ y)
        return quax.quaxify(product)(x.frozen, x.left, x.right, y)

    f = lambda m, y: m.weight @ y
    assert_same(quax.quaxify(f)(model, hot), dense.weight[:, 1] * 2.5, rtol=1e-4)
    batch = OneHot(jnp.arange(3), jnp.ones(3), 3)
    out = jax.vmap(quax.quaxify(f), in_axes=(None, 0))(model, batch)
    assert_same(out, dense.weight.T, rtol=1e-4)


def test_python_values_decide_in_the_function():
    """Plain arguments keep their Python selves next to values."""

    def f(x, flag, mask, index, name):
        assert isinstance(flag, jax.Array) and isinstance(name, str)
        chosen = x[mask] if flag else x[index]
        return chosen * len(name)

    mask = jnp.array([True, False, True])
    g = quax.quaxify(f)
    assert_same(g(Boxed(X), jnp.array(True), mask, 1, "ab"), X[mask] * 2)
    assert_same(g(Boxed(X), jnp.array(False), mask, 1, "ab"), X[1] * 2)


def test_types_with_parameters():
    """plum's parametric types: rules for one parameter, or for all."""
    import plum

    class Scaling(Boxed):
        @classmethod
        def __init_type_parameter__(cls, scale):
            return (int(scale),)

        @classmethod
        def __infer_type_parameter__(cls, array, **_):
            return (1,)

    Scaled: Any = plum.parametric(Scaling)
    One: Any = Scaled[1]

    @quax.register(lax.add_p)
    def _add_any(x: Scaled, y: Scaled, **params):
        return x.array * x._type_parameter + y.array * y._type_parameter

    @quax.register(lax.add_p)
    def _add_ones(x: One, y: One, **params):
        return One(x.array + y.array)

    add = quax.quaxify(lambda x, y: x + y)
    assert_same(add(Scaled[2](X), Scaled(Y)), 2 * X + Y)
    assert_same(add(Scaled(X), Scaled(Y)), One(X + Y))
    assert_same(add(Scaled[2](X), Scaled[3](Y)), 2 * X + 3 * Y)
