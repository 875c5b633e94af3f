"""One program, its values captured or given: the same result, through every way JAX calls it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.experimental.ode import odeint
from jax.flatten_util import ravel_pytree

import sciquax
from sciquax import ArrayValue, quaxify
from sciquax.core import aval_of
from sciquax.named import AxisError, NamedArray, PositionalError
from sciquax.structured import TridiagonalMatrix
from sciquax.units import Quantity
from tests.helpers import assert_raises, assert_same

X = np.array([1.0, 2.0, 4.0], np.float32)
M = Quantity(jnp.asarray(X), "m")
CM = Quantity(jnp.float32(50.0), "cm")
FLUX = Quantity(jnp.float32(3.0), "1/s")


@jax.custom_jvp
def squared(x):
    return x * x


squared.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * primals[0] * tangents[0]))


@jax.custom_vjp
def doubled(x):
    return x * 2


doubled.defvjp(lambda x: (x * 2, x), lambda x, ct: (2 * ct + 0 * x * ct / x,))


def root(f, guess):
    return lax.fori_loop(0, 8, lambda _, x: x - f(x) / (2 * x), guess)


PROGRAMS = {
    # transformations
    "grad": lambda m, c: jax.grad(lambda x: ((x / c) ** 2).sum())(m),
    "grad by two": lambda m, c: jax.grad(lambda x, y: ((x / y) ** 2).sum(), (0, 1))(m, c),
    "value_and_grad": lambda m, c: jax.value_and_grad(lambda x: (x * x / c).sum())(m),
    "jvp": lambda m, c: jax.jvp(lambda x: x * x / c, (m,), (m,)),
    "vjp": lambda m, c: jax.vjp(lambda x: x * x / c, m)[1](m),
    "jacfwd": lambda m, c: jax.jacfwd(lambda x: x * x / c)(m),
    "jacrev": lambda m, c: jax.jacrev(lambda x: x * x / c)(m),
    "hessian": lambda m, c: jax.hessian(lambda x: (x**3).sum() / c)(m),
    "linearize": lambda m, c: jax.linearize(lambda x: x * x / c, m)[1](m),
    "linear_transpose": lambda m, c: jax.linear_transpose(lambda x: x * 3.0, m)(m)[0],
    "vmap": lambda m, c: jax.vmap(lambda x, y: x * x / y, (0, None))(m, c),
    "vmap of grad": lambda m, c: jax.vmap(jax.grad(lambda x: x**2 / c))(m),
    "jit": lambda m, c: jax.jit(lambda x: x * x / c)(m),
    "jit of grad": lambda m, c: jax.jit(jax.grad(lambda x: (x**2).sum() / c))(m),
    "checkpoint": lambda m, c: jax.grad(lambda x: jax.checkpoint(jnp.sin)(x / c).sum() * c)(m),
    "custom_jvp": lambda m, c: jax.grad(lambda x: squared(x).sum() / c)(m),
    "custom_vjp": lambda m, c: jax.grad(lambda x: doubled(x).sum() / c)(m),
    "vectorize": lambda m, c: jnp.vectorize(lambda x: x * x / c)(m),
    "eval_shape": lambda m, c: m * jnp.ones(jax.eval_shape(lambda x: x * x, m).shape),
    # control flow
    "scan": lambda m, c: lax.scan(lambda y, x: (y + x, y * x), c, m),
    "scan of a carry": lambda m, c: lax.scan(lambda y, _: (y + c, y), m, None, length=3),
    "fori_loop": lambda m, c: lax.fori_loop(0, 3, lambda _, y: y + c, m),
    "while_loop": lambda m, c: lax.while_loop(lambda y: jnp.all(y < c * 20), lambda y: y + c, m),
    "cond": lambda m, c: lax.cond(c > c / 2, lambda x: x + c, lambda x: x, m),
    "switch": lambda m, c: lax.switch(jnp.where(c > 0, 1, 0), [lambda x: x, lambda x: x + c], m),
    "map": lambda m, c: lax.map(lambda x: x * x / c, m),
    "associative_scan": lambda m, c: lax.associative_scan(jnp.add, m),
    "reduce": lambda m, c: lax.reduce(m, c * 0, lax.add, (0,)),
    "grad in a loop": lambda m, c: lax.fori_loop(
        0, 2, lambda _, y: y - 0.1 * jax.grad(lambda x: (x * x).sum())(y), m
    ),
    # functions that take functions
    "odeint": lambda m, c: odeint(lambda y, t, k: -y * k, m / c, jnp.linspace(0.0, 1.0, 3), c / c),
    "custom_root": lambda m, c: lax.custom_root(
        lambda x: x * x - c * c, c * 1.5, root, lambda g, y: y / g(jnp.ones_like(y))
    ),
    "custom_linear_solve": lambda m, c: lax.custom_linear_solve(
        lambda x: x * 3.0, m, lambda _, b: b / 3.0, symmetric=True
    ),
    "cg": lambda m, c: jax.scipy.sparse.linalg.cg(lambda x: x * 3.0, m)[0],
    "pure_callback": lambda m, c: jax.pure_callback(
        lambda x: np.asarray(x) * 2, jax.ShapeDtypeStruct((3,), jnp.float32), m / c
    ),
    # pytrees
    "ravel_pytree": lambda m, c: ravel_pytree((m, m * 2))[0],
    "tree.map": lambda m, c: jax.tree.map(lambda x: x * 2, {"a": m, "b": c}),
    "tree.map of two": lambda m, c: jax.tree.map(lambda x, y: x * y, {"a": m * 1}, {"a": m}),
    "tree.reduce": lambda m, c: jax.tree.reduce(lambda x, y: x + y, (m, c)),
    "tree.leaves": lambda m, c: jax.tree.leaves({"a": m, "b": c})[0] * c,
    "tree.leaves_with_path": lambda m, c: jax.tree.leaves_with_path({"a": m})[0][1] * c,
    "device_put": lambda m, c: jax.device_put(m) * c,
    # libraries
    "optax.apply_updates": lambda m, c: optax.apply_updates(m, jax.tree.map(lambda x: -x, m)),
    "eqx.partition": lambda m, c: eqx.combine(*eqx.partition({"a": m}, eqx.is_array)),
    "eqx.filter_jit": lambda m, c: eqx.filter_jit(lambda x: x * c)(m),
    "eqx.filter_grad": lambda m, c: eqx.filter_grad(lambda x: (x * x).sum() / c)(m),
    "eqx.tree_at": lambda m, c: eqx.tree_at(lambda t: t["a"], {"a": m}, m * 2),
    # plain operations
    "dot_general": lambda m, c: lax.dot_general(m, m, (((0,), (0,)), ((), ()))),
    "where": lambda m, c: jnp.where(m > c, m, 0.0),
    "interp": lambda m, c: jnp.interp(c * 3, m, m * m),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_captured_as_given(name):
    program = PROGRAMS[name]
    expected = quaxify(program)(M, CM)
    assert_same(quaxify(lambda: program(M, CM))(), expected)
    assert_same(quaxify(lambda _: program(M, CM))(FLUX), expected)
    assert_same(quaxify(lambda m: program(m, CM))(M), expected)
    assert_same(jax.jit(quaxify(lambda _: program(M, CM)))(2.0), expected)


TRIDIAGONAL = TridiagonalMatrix(
    jnp.array([0.5, 0.25]), jnp.array([2.0, 3.0, 4.0]), jnp.array([1.0, 0.125])
)
OTHERS = {
    "tridiagonal": TRIDIAGONAL,
    "in metres": Quantity(TRIDIAGONAL, "m"),
    "named": NamedArray(jnp.arange(9.0).reshape(3, 3) + 1, ("x", "y")),
}
OPERATIONS = {
    "loop": lambda a: lax.fori_loop(0, 2, lambda _, x: x + x, a),
    "grad": lambda a: jax.grad(lambda x: jnp.sum(x * 2.0))(a),
    "jit": lambda a: jax.jit(lambda x: x * 3.0)(a),
    "tree.map": lambda a: jax.tree.map(lambda x: x * 2.0, a),
    "ravel": lambda a: a.ravel(),
    "solve": lambda a: jnp.linalg.solve(a, X),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_types_captured_as_given(name):
    value = OTHERS[name]
    for operation in OPERATIONS.values():
        try:
            expected = quaxify(operation)(value)
        except Exception as error:
            with pytest.raises(type(error)):
                quaxify(lambda f=operation: f(value))()
            continue
        assert_same(quaxify(lambda f=operation: f(value))(), expected)
        assert_same(quaxify(lambda _, f=operation: f(value))(FLUX), expected)


NAMED = NamedArray(Quantity(jnp.arange(6.0).reshape(2, 3) + 1, "m"), ("x", "y"))
BY_POSITION = [
    lambda a: (a[0], a[:, 1:], a[jnp.array([1, 0]), 2]),
    lambda a: (a.sum(0), a.max(axis=1, keepdims=True), a.argmax(), a.cumsum(1)),
    lambda a: (a @ X, X[:2] @ a, a * X[None]),
    lambda a: [row.sum() for row in a] + [len(a) * a[0, 0]],
    lambda a: a.at[0].set(a[1], mode="drop").transpose(1, 0),
]


@pytest.mark.parametrize("program", BY_POSITION)
def test_a_captured_array_with_names_is_asked_by_position(program):
    expected = quaxify(program)(NAMED)
    assert_same(quaxify(lambda _: program(NAMED))(2.0), expected)
    assert_same(quaxify(lambda _: program(NAMED))(FLUX), expected)
    assert_same(jax.jit(quaxify(lambda _: program(NAMED)))(2.0), expected)


def test_a_captured_array_with_names_is_asked_by_name():
    assert_same(quaxify(lambda k: k * NAMED.sum("x"))(2.0), 2.0 * NAMED.sum("x"))
    for wrong in (lambda _: NAMED.sum("z"), lambda _: NAMED.argmax(dim="z")):
        with pytest.raises(AxisError, match="got the name 'z'"):
            quaxify(wrong)(2.0)
    with pytest.raises(PositionalError):
        NAMED[0]  # outside of `quaxify`


CONSTANT = {
    "jvp": lambda k: jax.jvp(lambda x: (x * 2, M), (k,), (k,))[0],
    "aux": lambda k: jax.value_and_grad(lambda x: (x * 2.0, M), has_aux=True)(k)[0],
    "vmap": lambda k: jax.vmap(lambda x: (x, M[0]))(jnp.ones(3) * k),
    "checkpoint": lambda k: jax.checkpoint(lambda x: (x, M))(k),
    "jit": lambda k: jax.jit(lambda x: (x, M))(k),
    "scan": lambda k: lax.scan(lambda c, _: (c, M[1]), k, None, length=2),
    "cond": lambda k: lax.cond(k > 0, lambda: M, lambda: M * 2),
}
RETURNED = {
    "jvp": (4.0, M),
    "aux": (4.0, M),
    "vmap": (jnp.full(3, 2.0), Quantity(jnp.ones(3), "m")),
    "checkpoint": (2.0, M),
    "jit": (2.0, M),
    "scan": (2.0, Quantity(jnp.full(2, 2.0), "m")),
    "cond": M,
}


@pytest.mark.parametrize("name", CONSTANT)
def test_returned_by_a_function_that_jax_calls(name):
    assert_same(quaxify(CONSTANT[name])(2.0), RETURNED[name])
    assert_same(quaxify(lambda _: CONSTANT[name](2.0))(FLUX), RETURNED[name])


MADE = {
    "grad": (lambda v: jax.grad(lambda v: (Quantity(v, "km") ** 2).sum())(v), 2 * X, "km**2"),
    "jvp": (lambda v: jax.jvp(lambda v: Quantity(v, "km") ** 2, (v,), (v,))[1], 2 * X * X, "km**2"),
    "vmap of grad": (
        lambda v: jax.vmap(jax.grad(lambda v: Quantity(v, "km") ** 3))(v),
        3 * X * X,
        "km**3",
    ),
    "hessian": (
        lambda v: jax.hessian(lambda v: (Quantity(v, "km") ** 3).sum())(v),
        np.diag(6 * X),
        "km**3",
    ),
    "jit of grad": (
        lambda v: jax.jit(jax.grad(lambda v: jnp.sin(Quantity(v, "m") / CM).sum()))(v),
        np.cos(2 * X) * 2,
        "",
    ),
    "of temperatures": (
        lambda v: jax.grad(lambda v: Quantity(v, "degC").to("K").sum())(v),
        np.ones(3, np.float32),
        "K",
    ),
    "scan": (
        lambda v: jax.grad(
            lambda v: lax.scan(
                lambda c, t: (c + Quantity(v, "km") * t, None),
                Quantity(jnp.zeros(3), "m"),
                jnp.arange(3.0),
            )[0].sum()
        )(v),
        np.full(3, 3.0, np.float32),
        "km",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_made_of_numbers_that_are_differentiated(name):
    program, magnitudes, unit = MADE[name]
    for out in (quaxify(program)(X), quaxify(lambda k: program(X) * k)(FLUX) / FLUX):
        np.testing.assert_allclose(out.m_as(unit), magnitudes, rtol=1e-5)


class Product(ArrayValue):
    left: jax.Array
    right: jax.Array

    def aval(self):
        return aval_of(self.left)

    def materialise(self):
        return self.left * self.right


def test_made_of_numbers_that_no_label_is_a_factor_of():
    def product(x):
        return jax.jvp(lambda v: jnp.sin(Product(v, v)), (X,), (X,))

    assert_raises(
        NotImplementedError,
        lambda: quaxify(product)(FLUX),
        "A quaxified function made a `Product` from arrays that are being differentiated. "
        "Only types that label a single array have a derivative there.",
    )

    def named(x):
        return jax.grad(lambda v: jnp.sum(jnp.sin(NamedArray(v, ("x",)))))(X)

    assert_raises(
        NotImplementedError,
        lambda: quaxify(named)(FLUX),
        "A quaxified function made a `NamedArray` from an array by which `grad` differentiates. "
        "Differentiate by the value, or make the value outside the function.",
    )


L = Quantity(jnp.float32(3.0), "m")
OURS = {
    "grad": (lambda k: sciquax.grad(lambda x: x**2 * k)(L), Quantity(12.0, "m")),
    "value_and_grad": (
        lambda k: sciquax.value_and_grad(lambda x: x**2 * k)(L),
        (Quantity(18.0, "m**2"), Quantity(12.0, "m")),
    ),
    "hessian": (lambda k: sciquax.hessian(lambda x: x**3 * k)(L), Quantity(36.0, "m")),
    "jvp": (
        lambda k: sciquax.jvp(lambda x: x**2 * k, (L,), (Quantity(1.0, "m/s"),)),
        (Quantity(18.0, "m**2"), Quantity(12.0, "m**2/s")),
    ),
    "vjp": (
        lambda k: sciquax.vjp(lambda x: x**2 * k, L)[1](Quantity(1.0, "J/m**2")),
        (Quantity(12.0, "J/m"),),
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_our_own_transformations_within(name):
    program, expected = OURS[name]
    second = Quantity(2.0, "s")
    assert_same(
        jax.tree.map(jnp.asarray, quaxify(program)(2.0)), jax.tree.map(jnp.asarray, expected)
    )
    labelled = quaxify(lambda k: jax.tree.map(lambda x: x / second * 2, program(k)))(second)
    assert_same(jax.tree.map(jnp.asarray, labelled), jax.tree.map(jnp.asarray, expected))


def test_a_direct_call_goes_on_with_values_of_our_own_transformations():
    def steps(n):
        x = L
        while n > 0 and sciquax.grad(lambda x: x**2)(x) > Quantity(4.0, "m"):
            x, n = x / 2, n - 1
        return x, n

    x, n = quaxify(steps)(5)
    assert n == 4
    assert_same(x, Quantity(1.5, "m"))


class Spring(eqx.Module):
    stiffness: Quantity


def test_a_direct_call_may_make_modules_of_values():
    def softest(n):
        springs = [Spring(Quantity(jnp.float32(k), "N/m")) for k in range(1, n)]
        return min(springs, key=lambda s: float(s.stiffness.magnitude)).stiffness

    assert_same(quaxify(softest)(4), Quantity(1.0, "N/m"))
