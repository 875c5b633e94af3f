"""Which rule is chosen: signatures through plum, families, defaults; and what is an error."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import plum
import pytest
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from sciquax import ArrayValue, quaxify, register
from sciquax.core import (
    AmbiguousRuleError,
    RuleError,
    Scaling,
    Structure,
    aval_of,
    bind,
    register_rule,
)
from sciquax.core._dispatch.tables import _resolved
from tests.helpers import Wrapped, assert_raises, assert_same

X = jnp.asarray(np.array([0.5, -1.25, 2.0], np.float32))
Y = jnp.asarray(np.array([1.5, 0.25, -0.75], np.float32))


def new_type(name="Tagged", base=ArrayValue, layer_=0):
    """A fresh value type that nothing is registered for."""

    class Tagged(base):
        array: Any
        layer = layer_

        def aval(self):
            return aval_of(self.array)

        def materialise(self):
            return self.array

    Tagged.__name__ = Tagged.__qualname__ = name
    return Tagged


def new_primitive(name):
    """An identity primitive of our own, so that rules for it disturb nobody."""
    p = Primitive(name)
    p.def_impl(lambda x, **_: x)
    p.def_abstract_eval(lambda x, **_: x)
    mlir.register_lowering(p, mlir.lower_fun(lambda x, **_: x, multiple_results=False))
    batching.defvectorized(p)
    return p


@pytest.fixture
def tagged():
    return new_type()


def test_operands_are_positional_and_parameters_keywords(tagged):
    seen = {}

    @register(jax.lax.reduce_sum_p)
    def _reduce_sum(x: tagged, **params):
        seen.update(params)
        return "not an array" if not params["axes"] else tagged(jnp.sum(x.array, params["axes"]))

    out = quaxify(lambda x: jnp.sum(x.reshape(1, 3), axis=1))(tagged(X))
    # `reshape` has no rule and materialises, so that the sum is plain.
    assert_same(out, jnp.sum(X)[None])
    assert seen == {}
    assert_same(quaxify(lambda x: jnp.sum(x, axis=0))(tagged(X)), tagged(jnp.sum(X)))
    assert seen["axes"] == (0,)


def test_order_of_operands_and_subclasses():
    """The most specific signature wins, whatever the order of registration."""
    base = new_type("Base")

    class Special(base):
        pass

    @register(jax.lax.sub_p)
    def _sub_base(x: base, y: Any, **params):
        return jnp.float32(1)

    @register(jax.lax.sub_p)
    def _sub_reflected(x: jax.Array, y: base, **params):
        return jnp.float32(2)

    @register(jax.lax.sub_p)
    def _sub_special(x: Special, y: Any, **params):
        return jnp.float32(3)

    f = quaxify(lambda a, b: jax.lax.sub_p.bind(a, b))
    assert f(base(X), Y) == 1 and f(Y, base(X)) == 2
    assert f(Special(X), Y) == 3 and f(Y, Special(X)) == 2 and f(base(X), Special(X)) == 1


def test_unions_and_varargs():
    a, b = new_type("A"), new_type("B")

    @register(jax.lax.concatenate_p)
    def _concatenate(first: a | b, *rest: a | b, dimension):
        return a(jnp.concatenate([first.array, *[r.array for r in rest]], dimension))

    f = quaxify(lambda *xs: jnp.concatenate(xs))
    assert_same(f(b(X), a(Y), b(X)), a(jnp.concatenate([X, Y, X])))
    # No signature fits a plain array among the rest: the type's default materialises.
    assert_same(f(b(X), Y), jnp.concatenate([X, Y]))


def test_precedence(tagged):
    other = new_type("Other")

    @register(jax.lax.rem_p)
    def _first(x: tagged, y: Any, **params):
        return jnp.float32(1)

    @register(jax.lax.rem_p, precedence=1)
    def _second(x: Any, y: other, **params):
        return jnp.float32(2)

    f = quaxify(jax.lax.rem)
    assert f(tagged(X), Y) == 1 and f(X, other(Y)) == 2
    assert f(tagged(X), other(Y)) == 2


def test_ambiguity_names_both_rules(tagged):
    other = new_type("Other")

    @register(jax.lax.nextafter_p)
    def _left(x: tagged, y: Any, **params):
        return x

    @register(jax.lax.nextafter_p)
    def _right(x: Any, y: other, **params):
        return y

    with pytest.raises(AmbiguousRuleError) as info:
        quaxify(lambda x, y: jax.lax.nextafter(x, y))(tagged(X), other(Y))
    text = str(info.value)
    assert text.startswith(
        "`nextafter` has several rules that fit (Tagged(f32[3]), Other(f32[3])) equally well:\n"
    )
    assert "_left" in text and "_right" in text and f"  at {__file__}:" in text
    assert text.endswith("Register one for exactly these types, or give one a higher `precedence`.")
    quaxify(jax.lax.nextafter)(tagged(X), Y)  # and only these types are affected

    @register(jax.lax.nextafter_p)
    def _both(x: tagged, y: other, **params):
        return jnp.float32(3)

    assert quaxify(jax.lax.nextafter)(tagged(X), other(Y)) == 3


def _register_twice(primitive, cls):
    @register(primitive)
    def _one(x: cls, **params):
        return x

    def another(x: cls, **params):
        return x

    register(primitive)(another)


def test_duplicate_signature_is_an_error(tagged):
    """Found when the second is registered, or at the latest when the first rule is looked up."""
    primitive = new_primitive("duplicated")
    with pytest.raises(AmbiguousRuleError) as info:
        _register_twice(primitive, tagged)
        quaxify(primitive.bind)(tagged(X))
    text = str(info.value)
    assert text.startswith("`duplicated` has two rules for ") and text.count(f"{__file__}:") >= 2


def test_duplicate_signature_is_an_error_at_registration(tagged):
    with pytest.raises(AmbiguousRuleError):
        _register_twice(new_primitive("duplicated_at_once"), tagged)


def test_same_definition_again_replaces(tagged):
    """A notebook's cell run twice."""
    primitive = new_primitive("redefined")
    for number in (1.0, 2.0):

        @register(primitive)
        def _rule(x: tagged, _number=number):
            return jnp.float32(_number)

    assert quaxify(primitive.bind)(tagged(X)) == 2.0


def test_registration_after_use_is_seen(tagged):
    primitive = new_primitive("late")
    f = quaxify(lambda x: jax.jit(primitive.bind)(x))
    assert_same(f(tagged(X)), X)  # materialised

    @register(primitive)
    def _late(x: tagged):
        return tagged(x.array * 2)

    assert_same(f(tagged(X)), tagged(X * 2))


def test_rules_for_plain_arrays(tagged):
    """Reached as soon as a value is present, and only then."""
    primitive = new_primitive("plainly")

    @register(primitive)
    def _plain(x: jax.Array):
        return x * 100

    f = lambda x, y: (primitive.bind(x), primitive.bind(y))
    assert_same(quaxify(f)(X, Y), (X, Y))
    out = quaxify(f)(Y, Wrapped(X))
    assert_same(out[0], Y * 100)
    g = lambda x, y: jax.jit(lambda a: primitive.bind(a))(x) + y
    assert_same(quaxify(g)(Y, Wrapped(X)), Wrapped(Y + X))  # a call without values is JAX's


def test_return_conversion(tagged):
    class Result:
        def __init__(self, x):
            self.x = x

    @plum.conversion_method(type_from=Result, type_to=tagged)
    def _convert(r: Result) -> tagged:
        return tagged(r.x)

    primitive = new_primitive("converted")

    @register(primitive)
    def _rule(x: tagged) -> tagged:
        return Result(x.array * 3)

    assert_same(quaxify(primitive.bind)(tagged(X)), tagged(X * 3))


def test_unfaithful_types_dispatch_by_value(tagged):
    """Types whose `isinstance` depends on the value are asked each time."""

    class Meta(type(tagged)):
        def __instancecheck__(cls, instance):
            return type.__instancecheck__(cls, instance) or (
                type(instance) is tagged and instance.array.shape[0] > 2
            )

    class Long(tagged, metaclass=Meta):
        pass

    primitive = new_primitive("by_value")

    @register(primitive)
    def _any(x: tagged):
        return jnp.float32(1)

    @register(primitive)
    def _long(x: Long):
        return jnp.float32(2)

    f = quaxify(primitive.bind)
    for _ in range(2):
        assert f(tagged(X)) == 2 and f(tagged(X[:2])) == 1


def test_bind_redispatches(tagged):
    """A rule goes on with what it stripped itself down to."""
    primitive = new_primitive("redispatched")

    @register(primitive)
    def _rule(x: tagged, **params):
        return tagged(bind(primitive, x.array, **params))

    @register(primitive)
    def _inner(x: Wrapped, **params):
        return Wrapped(x.array + 1)

    out = quaxify(primitive.bind)(tagged(Wrapped(X)))
    assert type(out) is tagged
    assert_same(out.array, Wrapped(X + 1))
    assert_same(quaxify(primitive.bind)(tagged(X)), tagged(X))


def test_a_rule_that_uses_jax_on_its_inside(tagged):
    """Rules may call any JAX function on plain arrays, under every transformation."""

    @register(jax.lax.tanh_p)
    def _tanh(x: tagged, **params):
        return tagged(
            jax.lax.cond(x.array[0] > 0, jnp.sin, jnp.cos, x.array) * jnp.linalg.norm(x.array)
        )

    expected = lambda a: jnp.sin(a) * jnp.linalg.norm(a)
    assert_same(quaxify(jnp.tanh)(tagged(X)), tagged(expected(X)))
    assert_same(jax.jit(quaxify(jnp.tanh))(tagged(X)), tagged(expected(X)))
    batch = tagged(jnp.stack([X, 2 * X]))
    assert_same(jax.vmap(quaxify(jnp.tanh))(batch), tagged(jax.vmap(expected)(batch.array)))


# -- families


def test_primitive_beats_scaling_beats_structure(tagged):
    rule = lambda number: lambda primitive, operands, params: jnp.float32(number)
    register_rule(tagged, Structure.ELEMENTWISE, rule(1))
    f = lambda x: (jnp.sin(x), jnp.exp(x), jnp.log(x), -x)
    assert quaxify(f)(tagged(X)) == (1, 1, 1, 1)
    register_rule(tagged, Scaling.PURE, rule(2))
    assert quaxify(f)(tagged(X)) == (1, 2, 2, 1)
    register_rule(tagged, ("log", jax.lax.neg_p), rule(3))
    assert quaxify(f)(tagged(X)) == (1, 2, 3, 3)

    @register(jax.lax.exp_p)
    def _exp(x: tagged, **params):
        return jnp.float32(4)

    assert quaxify(f)(tagged(X)) == (1, 4, 3, 3)


def test_subclass_inherits_families(tagged):
    register_rule(tagged, Scaling.PURE, lambda p, xs, params: jnp.float32(1))

    class Sub(tagged):
        pass

    assert quaxify(jnp.exp)(Sub(X)) == 1
    register_rule(Sub, Scaling.PURE, lambda p, xs, params: jnp.float32(2))
    assert quaxify(jnp.exp)(Sub(X)) == 2 and quaxify(jnp.exp)(tagged(X)) == 1


def test_second_family_rule_is_an_error(tagged):
    register_rule(tagged, (Scaling.PURE, "neg"), lambda p, xs, params: xs[0])
    with pytest.raises(AmbiguousRuleError) as info:
        register_rule(tagged, jax.lax.neg_p, lambda p, xs, params: xs[0])
    assert str(info.value) == "`Tagged` already has a rule for neg."
    with pytest.raises(AmbiguousRuleError):
        register_rule(tagged, Scaling.PURE, lambda p, xs, params: xs[0])


def test_not_implemented_passes_to_the_next_type():
    outer, inner = new_type("Outer", layer_=50), new_type("Inner")
    register_rule(outer, Scaling.PRODUCT, lambda p, xs, params: NotImplemented)
    register_rule(inner, Scaling.PRODUCT, lambda p, xs, params: jnp.float32(7))
    assert quaxify(jnp.multiply)(outer(X), inner(Y)) == 7
    assert quaxify(jnp.multiply)(inner(Y), outer(X)) == 7


def test_not_implemented_of_the_only_type_falls_to_its_default(tagged):
    register_rule(tagged, Scaling.PRODUCT, lambda p, xs, params: NotImplemented)
    assert_same(quaxify(jnp.multiply)(tagged(X), Y), X * Y)


def test_outermost_layer_is_asked_first():
    outer, inner = new_type("Outer", layer_=150), new_type("Inner", layer_=120)
    register_rule(outer, Scaling.JOIN, lambda p, xs, params: jnp.float32(1))
    register_rule(inner, Scaling.JOIN, lambda p, xs, params: jnp.float32(2))
    f = quaxify(jnp.add)
    assert f(inner(X), outer(Y)) == 1 and f(outer(X), inner(Y)) == 1 and f(inner(X), inner(Y)) == 2


def test_two_defaults_of_one_layer_are_ambiguous():
    def with_default(name):
        class Own(new_type(name)):
            @staticmethod
            def default(primitive, values, params):
                return jnp.float32(1)

        Own.__name__ = name
        return Own

    a, b = with_default("Apple"), with_default("Pear")

    def call():
        return quaxify(lambda x, y: jax.lax.add(x, y))(a(X), b(Y))  # HERE

    assert_raises(
        AmbiguousRuleError,
        call,
        "`Apple` and `Pear` meet in `add`, which has no rule for both, and each has a default of "
        "its own.\n"
        "{place}\nRegister a rule for the pair with `sciquax.register`.",
    )


def test_refused_primitives():
    def call():
        def store(x):
            ref = jax.new_ref(jnp.zeros(3))
            ref[...] = x  # HERE
            return ref[...]

        return quaxify(store)(Wrapped(X))

    error = assert_raises(
        RuleError,
        call,
        "`swap` cannot take (f32[3], Wrapped(f32[3])): mutable references hold plain "
        "arrays.\n{place}",
    )
    assert isinstance(error, TypeError)


def test_error_within_a_rule_has_a_note_of_the_place(tagged):
    primitive = new_primitive("failing")

    @register(primitive)
    def _rule(x: tagged):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as info:
        quaxify(lambda x: primitive.bind(x))(tagged(X))
    assert info.value.__notes__[0].startswith(f"While interpreting `failing`\n  at {__file__}:")


def test_register_refuses_what_is_no_target():
    with pytest.raises(TypeError):
        register(3)


def test_rule_that_declines_leaves_it_to_the_base_class():
    base = new_type("Base")
    derived = new_type("Derived", base)
    base.default = staticmethod(lambda *_: pytest.fail("nobody is to be asked"))
    asked = []
    register_rule(base, "sinh", lambda p, xs, params: asked.append("base") or xs[0].array)
    register_rule(derived, "sinh", lambda p, xs, params: asked.append("own") or NotImplemented)
    assert_same(quaxify(jnp.sinh)(derived(X)), X)
    assert asked == ["own", "base"]
    assert_same(quaxify(jnp.sinh)(base(X)), X)
    assert asked == ["own", "base", "base"]


def test_register_rule_tells_its_targets_apart(tagged):
    on_primitives = lambda primitive, operands, params: tagged(operands[0].array + 1)
    assert register_rule(tagged, (Scaling.PURE, jax.lax.neg_p, "abs"), on_primitives)
    for f in (jnp.exp, jnp.negative, jnp.abs):
        assert_same(quaxify(f)(tagged(X)), tagged(X + 1))
    register_rule(tagged, jnp.linalg.norm, lambda x, **_: jnp.float32(7))
    assert quaxify(jnp.linalg.norm)(tagged(X)) == 7
    register_rule(tagged, "jax.numpy.ptp", lambda x, **_: jnp.float32(8))
    assert quaxify(jnp.ptp)(tagged(X)) == 8
    with pytest.raises(TypeError) as info:
        register_rule(tagged, 3, on_primitives)
    assert str(info.value) == "A rule is for a family, a primitive or a function, and not 3."


def test_a_mirrored_comparison_is_resolved_once():
    kind = new_type("Compared")

    @register(lax.gt_p)
    def _greater(x: kind, y: kind) -> Any:
        return "greater"

    x, y = kind(jnp.ones(2)), kind(jnp.zeros(2))
    key = (lax.lt_p, kind, kind)
    assert bind(lax.lt_p, x, y) == "greater" and key in _resolved

    @register(lax.lt_p)
    def _less(x: kind, y: kind) -> Any:
        return "less"

    assert bind(lax.lt_p, x, y) == "less"
