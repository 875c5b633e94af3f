"""Python's operators, array methods and `.at` of every array type, outside of `quaxify`."""

import operator
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core.primitives import cbrt_p

import sciquax.numpy as sqnp
from sciquax import ArrayValue, quaxify, register
from sciquax.core import aval_of
from sciquax.lora import LoraArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.units import Quantity
from sciquax.zero import Zero
from tests.helpers import assert_same

X = np.array([[0.5, -1.25, 2.0], [3.0, 0.0, -0.75]], np.float32)


class Boxed(ArrayValue):
    """A stranger's type without rules: everything materialises."""

    array: Any

    def aval(self):
        return aval_of(self.array)

    def materialise(self):
        return self.array


BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.__name__)
def test_operators_of_a_stranger(op):
    """On both sides, with numbers, JAX's and NumPy's arrays and another value."""
    x, y = jnp.asarray(X), jnp.asarray(X[::-1] * 2 + 0.25)
    for other, given in ((y, y), (np.asarray(y), y), (2.0, 2.0), (Boxed(y), y)):
        assert_same(op(Boxed(x), other), op(x, given))
        assert_same(op(other, Boxed(x)), op(given, x))
    with pytest.raises(TypeError):
        operator.add(Boxed(x), "text")


PROGRAMS = {
    "neg": lambda x: -x,
    "abs": abs,
    "pos": lambda x: (+x) * 1,
    "pow": lambda x: x**2,
    "matmul": lambda x: x @ jnp.arange(3.0),
    "rmatmul": lambda x: jnp.arange(2.0) @ x,
    "index": lambda x: x[1:, 0],
    "iterate": lambda x: [row * 1 for row in x][1],
    "set": lambda x: x.at[0, 1].set(7.0),
    "add at": lambda x: x.at[:, 1].add(jnp.array([1.0, 2.0])),
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(axis=1),
    "std": lambda x: x.std(),
    "max": lambda x: x.max(),
    "T": lambda x: x.T * 1,
    "astype": lambda x: x.astype(jnp.int32) * 1,
    "reshape": lambda x: x.reshape(3, 2) * 1,
    "transpose": lambda x: x.transpose(1, 0) * 1,
    "round": lambda x: x.round(1),
    "clip": lambda x: x.clip(0.0, 1.0),
    "argmax": lambda x: x.argmax(1),
    "take": lambda x: x.take(jnp.array([2, 0]), axis=1),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_methods_of_a_stranger(name):
    program = PROGRAMS[name]
    for _ in range(3):  # called again alike, nothing of a stranger's is kept
        assert_same(program(Boxed(jnp.asarray(X))), program(jnp.asarray(X)))


def test_numbers_of_a_stranger():
    one = Boxed(jnp.asarray(2.5))
    assert float(one) == 2.5 and int(one) == 2 and complex(one) == 2.5 and bool(one)
    assert not Boxed(jnp.asarray(0.0))
    assert len(Boxed(jnp.asarray(X))) == 2 and Boxed(jnp.asarray(X)).tolist() == X.tolist()
    with pytest.raises(TypeError, match="without axes"):
        len(one)
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


class Summary(ArrayValue):
    """Fields that are called as methods are."""

    mean: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]
    std: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]
    T: float

    def aval(self):
        return aval_of(self.mean)

    def materialise(self):
        return self.mean


def test_fields_named_as_methods():
    made = Summary(jnp.arange(3.0), jnp.ones(3), 300.0)
    assert made.T == 300.0
    assert_same(made.std, jnp.ones(3))
    assert_same(made.sum(), jnp.asarray(3.0))
    with pytest.raises(TypeError, match="missing 2 required"):
        Summary(jnp.arange(3.0))


class Scaled(Boxed):
    """Whose rule depends on something outside of it."""

    factor = 1.0

    def materialise(self):
        return self.array * Scaled.factor


def test_a_stranger_is_not_kept():
    x = Scaled(jnp.arange(3.0))
    for factor in (1.0, 2.0, 3.0, 4.0):
        Scaled.factor = factor
        assert_same(x + 1.0, jnp.arange(3.0) * factor + 1.0)
        assert_same(x.sum(), (jnp.arange(3.0) * factor).sum())


def values():
    weight = jnp.asarray(X)
    return {
        "lora": LoraArray(weight, rank=2, allow_materialise=True, key=jax.random.key(0)),
        "quantised": quantise(weight),
        "sparse": BCOO.from_dense(weight),
        "zero": Zero((2, 3)),
    }


@pytest.mark.parametrize("name", ["lora", "quantised", "sparse", "zero"])
def test_operators_of_other_types(name):
    """What `quaxify` of the function gives, of the same type; again when compiled."""
    value, v = values()[name], jnp.arange(3.0)
    pairs = [
        (lambda x: x * 2.0, lambda x: jnp.multiply(x, 2.0)),
        (lambda x: 2.0 * x, lambda x: jnp.multiply(2.0, x)),
        (lambda x: x @ v, lambda x: jnp.matmul(x, v)),
        (lambda x: -x, jnp.negative),
        (lambda x: x.T, lambda x: x.T),
        (lambda x: x.sum(0), lambda x: jnp.sum(x, 0)),
    ]
    for eager, function in pairs:
        expected = quaxify(function)(value)
        for _ in range(3):
            got = eager(value)
            assert type(got) is type(expected)
            parts = zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
            for part, wanted in parts:
                np.testing.assert_allclose(part, wanted, rtol=1e-6)


def test_an_outer_layer_is_asked():
    """A quantity, which sits outside, takes over from either side."""
    boxed, q = Boxed(jnp.arange(3.0)), Quantity(jnp.array([2.0, 3.0, 4.0]), "m")
    for product in (boxed * q, q * boxed):
        assert isinstance(product, Quantity) and str(product.units) == "meter"
        assert_same(product.m * 1.0, jnp.array([0.0, 3.0, 8.0]))


class Trusted(Boxed):
    """A type that says that its rules do nothing but compute."""

    pure_rules: ClassVar[bool] = True


class Ruled(Trusted):
    """One for which the user has a rule by signature all the same."""


LEVEL = 2.0


@register(cbrt_p)
def _cbrt(x: Ruled, **params):
    return jnp.full(x.shape, LEVEL)


def test_rules_by_signature_are_not_kept_for_a_type_that_comes_later(monkeypatch):
    """The first calls meet no rule of the user's, so that what they come to is compiled."""
    x = jnp.asarray(X)
    for _ in range(3):
        assert_same(sqnp.cbrt(Trusted(x)), jnp.cbrt(x))
    for _ in range(3):
        assert_same(sqnp.cbrt(Ruled(x)), jnp.full(X.shape, 2.0))
    monkeypatch.setitem(globals(), "LEVEL", 5.0)
    assert_same(sqnp.cbrt(Ruled(x)), jnp.full(X.shape, 5.0))


class Marked(ArrayValue):
    """A stranger's type that refuses to be an array, with a rule for `lt` alone."""

    array: Any
    mark: str = eqx.field(static=True, default="a")

    def aval(self):
        return aval_of(self.array)

    def materialise(self):
        raise ValueError("Not an array.")


@register(jax.lax.lt_p)
def _less(x: Marked, y: Marked):
    return x.array < y.array


def test_a_comparison_is_read_from_the_right():
    x, y = Marked(jnp.asarray([1.0, 3.0])), Marked(jnp.asarray([2.0, 2.0]))
    np.testing.assert_array_equal(x < y, [True, False])
    np.testing.assert_array_equal(y > x, [True, False])
    np.testing.assert_array_equal(quaxify(lambda x, y: y > x)(x, y), [True, False])
    counted = quaxify(
        lambda x, y: jax.lax.while_loop(lambda i: (x < y)[i], lambda i: i + 1, jnp.asarray(0))
    )
    assert counted(x, y) == 1
    with pytest.raises(ValueError, match="Not an array"):
        _ = x <= y


def test_values_that_are_no_arrays_are_equal_as_trees():
    x, y = Marked(jnp.asarray([1.0, 3.0])), Marked(jnp.asarray([1.0, 2.0]))
    assert (x == Marked(jnp.asarray([1.0, 3.0]))) is True
    assert (x != Marked(jnp.asarray([1.0, 3.0]))) is False
    assert (x == y) is False and (x != y) is True
    assert (x == Marked(x.array, "b")) is False
    with pytest.raises(ValueError, match="Not an array"):
        _ = x == 1.0


def test_a_class_listed_after_comes_before_the_defaults():
    """`class T(ArrayValue, Mixin)`: quax's values have no operators, so mixins give theirs."""

    class Mixin:
        def __mod__(self, other) -> Any:
            return "remainder"

        def __len__(self) -> Any:
            return 7

        def __abs__(self) -> Any:
            return "hidden"

        def sum(self) -> Any:
            return "total"

    class Mixed(Boxed, Mixin):  # pyright: ignore[reportIncompatibleMethodOverride]
        def __abs__(self) -> Any:
            return "size"

    x = Mixed(jnp.asarray(X))
    assert (x % 2, x.sum(), len(x), abs(x)) == ("remainder", "total", 7, "size")
    assert_same(x + 1, jnp.asarray(X) + 1)
    assert_same(Boxed(jnp.asarray(X)) % 2, jnp.asarray(X) % 2)


def test_a_field_may_hold_what_is_no_array():
    """The arrays alone say on which devices a value is."""

    class Frozen:
        def __init__(self, *numbers):
            self.numbers = numbers

    class Stored(Boxed):
        def aval(self):
            return aval_of(jnp.asarray(self.array.numbers))

        def materialise(self):
            return jnp.asarray(self.array.numbers)

    assert_same(Stored(Frozen(1.0, 2.0)) * jnp.array([3.0, 4.0]), jnp.array([3.0, 8.0]))
