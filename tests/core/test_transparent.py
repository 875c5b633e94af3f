"""A transparent value through the whole of JAX's control flow, against plain JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from tests.helpers import MODES, Wrapped, assert_same, check_transparent, unstated, unwrap

X = np.array([0.5, -1.25, 2.0], np.float32)
Y = np.array([1.5, 0.25, -0.75], np.float32)


def scan_forward(x, y):
    def body(carry, row):
        return carry * 0.5 + row, jnp.sin(carry) * row

    return lax.scan(body, x[0], y)


def scan_reverse(x, y):
    return lax.scan(lambda c, row: (c * row + 1.0, c - row), y[1], x, reverse=True)


def scan_length_zero(x, y):
    carry, ys = lax.scan(lambda c, row: (c * row, c + row), x, y[:0])
    return carry, ys


def scan_no_carry(x, y):
    return lax.scan(lambda c, row: (c, (row[0] * y, row[1])), None, (x, y))


def scan_no_xs(x, y):
    return lax.scan(lambda c, _: (jnp.cos(c) * y, c[0]), x, None, length=4)


def scan_unroll(x, y):
    return lax.scan(lambda c, row: (c + row * y[1], c), x[2], jnp.concatenate([x, y]), unroll=4)


def scan_plain_counter(x, y):
    """A carry of which one part is a plain integer and another starts as zeros."""

    def body(carry, row):
        i, total, best = carry
        return (i + 1, total + row, jnp.maximum(best, row)), total * i.astype(row.dtype)

    return lax.scan(body, (0, jnp.zeros(()), -jnp.inf), x * y)[1]


def while_forward_only(x, y):
    def body(state):
        i, z = state
        return i + 1, z * 0.5 + y

    return lax.while_loop(lambda s: s[0] < 3, body, (0, x))[1]


def while_value_in_condition(x, y):
    return lax.while_loop(lambda z: jnp.sum(z) < 10.0, lambda z: z + jnp.abs(y), x)


def fori_static(x, y):
    return lax.fori_loop(0, 4, lambda i, z: z.at[i % 3].add(y[i % 3]), x)


def cond_on_value(x, y):
    return lax.cond(x[0] < y[0], lambda a, b: a * b, lambda a, b: a - b, x, y)


def cond_other_branch(x, y):
    return lax.cond(x[0] > y[0], lambda a, b: (a * b, 1), lambda a, b: (a - b, 2), x, y)


def switch(x, y):
    index = jnp.argmax(y)
    branches = [lambda a: a * 2.0, lambda a: a + y, lambda a: jnp.sin(a)]
    return lax.switch(index, branches, x), lax.switch(index + 1, branches, x)


def nested(x, y):
    """cond within scan within while, with jit within checkpoint in the innermost."""

    @jax.jit
    def step(c, row):
        return lax.cond(row > 0, lambda: c * 0.5, lambda: c + y[0])

    def sweep(c):
        return lax.scan(lambda c, row: (jax.checkpoint(step)(c, row), None), c, x)[0]

    return lax.fori_loop(0, 2, lambda _, c: sweep(c), y)


def checkpoint(x, y):
    return jax.checkpoint(lambda a: jnp.sin(jnp.cos(a) * y))(x)


def checkpoint_policy(x, y):
    policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    return jax.checkpoint(lambda a: jnp.sin(jnp.outer(a, y) @ a), policy=policy)(x)


def jit_nested(x, y):
    inner = jax.jit(lambda a, b: a * b[::-1])
    return jax.jit(lambda a: inner(a, y) + inner(y, a))(x)


@functools.partial(jax.jit, static_argnames=("n",))
def _power_tower(x, n):
    for _ in range(n):
        x = jnp.sin(x) + 1.0
    return x


def jit_static(x, y):
    return _power_tower(x, n=2) - _power_tower(y, n=1)


def solve(x, y):
    matrix = jnp.diag(y) + jnp.outer(x, x)
    return jnp.linalg.solve(matrix, x - y)


def inverse_and_determinant(x, y):
    matrix = jnp.diag(y) + jnp.outer(x, x)
    return jnp.linalg.inv(matrix), jnp.linalg.det(matrix)


def associative_scan(x, y):
    return lax.associative_scan(lambda a, b: a * b + b, x + y)


def map_(x, y):
    return lax.map(lambda row: jnp.sin(row) * y, x)


def vmap_inside(x, y):
    return jax.vmap(lambda a, b: a * y + b, in_axes=(0, None))(x, y)


def grad_inside(x, y):
    return jax.grad(lambda a: jnp.sum(jnp.sin(a) * y))(x)


def hessian_inside(x, y):
    return jax.hessian(lambda a: jnp.sum(jnp.sin(a) * a * y))(x)


def linear_transpose(x, y):
    (out,) = jax.linear_transpose(lambda a: a * y, x)(x)
    return out


def where_and_indexing(x, y):
    masked = jnp.where(x > 0, x, 0.0)
    return masked[jnp.argsort(y)], x.at[1].set(y[0]), jnp.clip(x, -1.0, y)


def sort_pairs(x, y):
    return lax.sort((x, y), num_keys=1)


def sum_of_products(x, y):
    return jnp.einsum("i,j->ij", x, y), jnp.dot(x, y), jnp.cumsum(x), jnp.linalg.norm(y)


PROGRAMS = [
    scan_forward,
    scan_reverse,
    scan_length_zero,
    scan_no_carry,
    scan_no_xs,
    scan_unroll,
    scan_plain_counter,
    while_forward_only,
    while_value_in_condition,
    fori_static,
    cond_on_value,
    cond_other_branch,
    switch,
    nested,
    checkpoint,
    checkpoint_policy,
    jit_nested,
    jit_static,
    solve,
    inverse_and_determinant,
    associative_scan,
    map_,
    vmap_inside,
    grad_inside,
    hessian_inside,
    linear_transpose,
    where_and_indexing,
    sort_pairs,
    sum_of_products,
]
FORWARD_ONLY = {while_forward_only, while_value_in_condition}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_program_agrees_with_jax(program, mode):
    if program in FORWARD_ONLY and mode.startswith("grad"):
        pytest.skip("JAX cannot differentiate a `while` in reverse")
    check_transparent(program, (jnp.asarray(X), jnp.asarray(Y)), mode, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "program", [scan_forward, cond_on_value, jit_nested], ids=lambda f: f.__name__
)
def test_one_argument_wrapped(program):
    """Values meet plain arrays of the same program in either place."""
    expected = program(jnp.asarray(X), jnp.asarray(Y))
    for args in (
        (Wrapped(jnp.asarray(X)), jnp.asarray(Y)),
        (jnp.asarray(X), Wrapped(jnp.asarray(Y))),
    ):
        assert_same(unwrap(quaxify(program)(*args)), expected)


def test_plain_outputs_stay_plain():
    x = jnp.asarray(X)
    out = quaxify(lambda x: (x > 0, jnp.argmax(x), x.shape, x * 2, jnp.arange(3)))(Wrapped(x))
    assert_same(out, (x > 0, jnp.argmax(x), x.shape, Wrapped(x * 2), jnp.arange(3)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "complex64", "bool"])
def test_dtypes(dtype):
    x = jnp.asarray(np.array([[1, 0, 3], [2, 5, 0]]), dtype)
    f = lambda x: (
        x.T,
        jnp.concatenate([x, x[:1]]),
        lax.cond(unstated(True), lambda a: a, lambda a: a[::-1], x),
    )
    assert_same(unwrap(quaxify(f)(Wrapped(x))), f(x))


def test_x64(x64):
    x = jnp.asarray(X, jnp.float64)
    assert_same(unwrap(quaxify(scan_forward)(Wrapped(x), x)), scan_forward(x, x), rtol=1e-14)


def test_empty_and_scalar():
    for shape in [(), (0,), (2, 0)]:
        x = jnp.ones(shape)
        f = lambda x: (jnp.sum(x, initial=0.0), x * 2, jnp.sin(x).T)
        assert_same(unwrap(quaxify(f)(Wrapped(x))), f(x))


def test_no_tracer_leaks(leak_check):
    x = jnp.asarray(X)
    quaxify(nested)(Wrapped(x), Wrapped(x))
    jax.jit(quaxify(jax.grad(lambda x, y: jnp.sum(scan_forward(x, y)[1]))))(Wrapped(x), Wrapped(x))


def test_no_tracer_leaks_through_a_custom_derivative(leak_check):
    """JAX keeps the trace in which a function with its own derivative was called."""
    out = jax.jit(quaxify(lambda x: jax.nn.relu(x) * 2))(Wrapped(jnp.asarray(X)))
    assert_same(unwrap(out), jax.nn.relu(jnp.asarray(X)) * 2)
