"""Rules for whole JAX functions: when a call is recognised and when it must not be."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify, register
from sciquax.core import register_rule
from tests.core.test_dispatch import new_type
from tests.helpers import Wrapped, assert_same, unstated, unwrap

A = jnp.asarray(np.array([[2.0, 1.0, 0.5], [0.25, 3.0, -1.0], [1.0, 0.0, 4.0]], np.float32))
B = jnp.asarray(np.array([1.5, 0.25, -0.75], np.float32))


class Recorder:
    """A rule for a function that says with what it was called, and answers with a marker."""

    def __init__(self, cls, function):
        self.calls = []

        def rule(*args, **kwargs):
            self.calls.append((args, kwargs))
            plain = [a.array if isinstance(a, cls) else a for a in args]
            return jax.tree.map(lambda x: x * 0 + 77, function(*plain, **kwargs))

        register_rule(cls, function, rule)


@pytest.fixture(scope="module")
def solved():
    cls = new_type("Solved", base=Wrapped.__mro__[1])
    return cls, Recorder(cls, jnp.linalg.solve)


IN_USER_CODE = {
    "plain": lambda a, b: jnp.linalg.solve(a, b),
    "jit": lambda a, b: jax.jit(lambda a, b: jnp.linalg.solve(a, b))(a, b),
    "jit-of-itself": lambda a, b: jax.jit(jnp.linalg.solve)(a, b),
    "scan": lambda a, b: lax.scan(lambda c, _: (c, jnp.linalg.solve(a, b)), 0.0, None, length=1)[1][
        0
    ],
    "cond": lambda a, b: lax.cond(b[0] > 0, lambda: jnp.linalg.solve(a, b), lambda: b),
    "fori": lambda a, b: lax.fori_loop(0, 1, lambda i, c: jnp.linalg.solve(a, b) + 0 * c, b),
    "while": lambda a, b: lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 3, jnp.linalg.solve(a, b)), (0, b)
    )[1],
    "checkpoint": lambda a, b: jax.checkpoint(lambda b: jnp.linalg.solve(a, b))(b),
    "nested": lambda a, b: jax.jit(
        jax.checkpoint(
            lambda b: lax.cond(unstated(True), lambda: jnp.linalg.solve(a, b), lambda: b)
        )
    )(b),
}


@pytest.mark.parametrize("where", IN_USER_CODE)
def test_used_on_the_plain_call(where, solved):
    cls, recorder = solved
    recorder.calls.clear()
    out = quaxify(IN_USER_CODE[where])(cls(A), B)
    assert len(recorder.calls) >= 1
    args, kwargs = recorder.calls[0]
    assert type(args[0]) is cls and kwargs == {}
    assert_same(out, jnp.full(3, 77.0))


def test_not_used_under_a_derivative_of_the_caller(solved):
    cls, recorder = solved
    recorder.calls.clear()
    f = jax.grad(lambda b: jnp.linalg.solve(A, b).sum())
    assert_same(unwrap(quaxify(f)(cls(B))), f(B))
    f = lambda a, b: jax.jvp(jnp.linalg.solve, (a, b), (a, b))[1]
    assert_same(unwrap(quaxify(f)(cls(A), cls(B))), f(A, B))  # the rule's would be zero


MAPS = {
    "both": lambda f: (jax.vmap(f), (0, 0)),
    "matrix-alone": lambda f: (jax.vmap(f, in_axes=(0, None)), (0, None)),
    "vector-alone": lambda f: (jax.vmap(f, in_axes=(None, 0)), (None, 0)),
    "other-axes": lambda f: (jax.vmap(f, in_axes=(2, 1), out_axes=1), (2, 1)),
    "under-jit": lambda f: (jax.jit(jax.vmap(jax.jit(f))), (0, 0)),
}


@pytest.mark.parametrize("how", MAPS)
def test_used_under_vmap_of_the_caller(how, solved):
    cls, recorder = solved
    recorder.calls.clear()
    f, (da, db) = MAPS[how](lambda a, b: jnp.linalg.solve(a, b))
    a = A if da is None else jnp.stack([A, 2 * A, A.T, A + 1], da)
    b = B if db is None else jnp.stack([B, 2 * B, 1 - B, B + 1], db)
    out = unwrap(quaxify(f)(cls(a), cls(b)))
    assert_same(out, jnp.full_like(f(a, b), 77))
    ((given, _),) = recorder.calls
    assert [x.shape for x in given] == [(3, 3), (3,)]
    f(a, b)  # and plain JAX is as it was
    assert len(recorder.calls) == 1


def test_used_under_two_vmaps_of_the_caller(solved):
    cls, recorder = solved
    recorder.calls.clear()
    f = jax.vmap(jax.vmap(jnp.linalg.solve, in_axes=(None, 0)), in_axes=(0, None))
    a, b = jnp.stack([A, A.T]), jnp.stack([B, 2 * B, 1 - B, B + 1])
    assert_same(unwrap(quaxify(f)(cls(a), cls(b))), jnp.full((2, 4, 3), 77.0, jnp.float32))
    ((given, _),) = recorder.calls
    assert [x.shape for x in given] == [(3, 3), (3,)]


def test_statics_under_vmap_of_the_caller():
    cls = new_type("Normed", base=Wrapped.__mro__[1])
    recorder = Recorder(cls, jnp.linalg.norm)
    a = jnp.stack([A, 2 * A])
    f = jax.vmap(lambda x: jnp.linalg.norm(x, ord=1, axis=1))
    assert_same(unwrap(quaxify(f)(cls(a))), jnp.full((2, 3), 77.0, jnp.float32))
    ((args, kwargs),) = recorder.calls
    assert args[0].shape == (3, 3)
    assert kwargs["ord"] == 1
    assert kwargs["axis"] in (1, -1)  # the same program


def test_an_output_that_is_not_mapped():
    cls = new_type("Ranged", base=Wrapped.__mro__[1])

    def rule(x, **_):
        return jnp.zeros(()) + 5.0

    register_rule(cls, jnp.linalg.det, rule)
    f = jax.vmap(lambda i, x: (i, jnp.linalg.det(x)), in_axes=(0, None), out_axes=(0, None))
    assert_same(quaxify(f)(jnp.arange(2), cls(A))[1], jnp.asarray(5.0, jnp.float32))


def test_not_used_for_functions_that_share_the_name(solved):
    cls, recorder = solved
    recorder.calls.clear()

    @jax.jit
    def solve(a, b):
        return a @ b

    assert_same(quaxify(lambda a, b: solve(a, b))(cls(A), B), A @ B)

    @functools.partial(jax.jit, static_argnames="n")
    def solve(a, b, n=2):  # noqa: F811
        return jnp.trace(a) + b * n

    assert_same(quaxify(lambda a, b: solve(a, b, n=3))(cls(A), B), jnp.trace(A) + 3 * B)
    assert recorder.calls == []


def test_inherited_and_not_for_others(solved):
    cls, recorder = solved
    recorder.calls.clear()
    Sub = type("Sub", (cls,), {"__module__": __name__})
    assert_same(quaxify(jnp.linalg.solve)(Sub(A), B), jnp.full(3, 77.0))
    assert len(recorder.calls) == 1
    expected = jnp.linalg.solve(A, B)
    assert_same(unwrap(quaxify(jnp.linalg.solve)(Wrapped(A), Wrapped(B))), expected)
    assert_same(quaxify(jnp.linalg.solve)(A, B), expected)
    assert len(recorder.calls) == 1


def test_second_argument_value(solved):
    cls, recorder = solved
    recorder.calls.clear()
    assert_same(quaxify(jnp.linalg.solve)(A, cls(B)), jnp.full(3, 77.0))
    assert type(recorder.calls[0][0][1]) is cls


def test_repeated_calls_of_other_shapes(solved):
    cls, recorder = solved
    recorder.calls.clear()
    f = quaxify(lambda a, b: jnp.linalg.solve(a, b))
    for n in (3, 2, 3, 1, 2):
        assert_same(f(cls(A[:n, :n]), B[:n]), jnp.full(n, 77.0))
    assert len(recorder.calls) == 5


# function, a call of it, static arguments that its rule must be told
KEYWORD = {
    "norm": (
        jnp.linalg.norm,
        lambda a: jnp.linalg.norm(a),
        dict(ord=None, axis=None, keepdims=False),
    ),
    "norm-ord": (jnp.linalg.norm, lambda a: jnp.linalg.norm(a, ord=1), dict(ord=1, axis=None)),
    "norm-inf": (jnp.linalg.norm, lambda a: jnp.linalg.norm(a, ord=jnp.inf), dict(ord=np.inf)),
    "norm-fro": (jnp.linalg.norm, lambda a: jnp.linalg.norm(a, ord="fro"), dict(ord="fro")),
    "norm-axis": (
        jnp.linalg.norm,
        lambda a: jnp.linalg.norm(a, axis=1),
        dict(axis=1, keepdims=False),
    ),
    "norm-keepdims": (
        jnp.linalg.norm,
        lambda a: jnp.linalg.norm(a, axis=0, keepdims=True),
        dict(axis=0, keepdims=True),
    ),
    "eigh": (jnp.linalg.eigh, lambda a: jnp.linalg.eigh(a), dict(symmetrize_input=True)),
    "eigh-not-symmetrized": (
        jnp.linalg.eigh,
        lambda a: jnp.linalg.eigh(a, symmetrize_input=False),
        dict(symmetrize_input=False),
    ),
    "eigh-upper": (
        jnp.linalg.eigh,
        lambda a: jnp.linalg.eigh(a, UPLO="U", symmetrize_input=False),
        dict(UPLO="U", symmetrize_input=False),
    ),
    "svd": (
        jnp.linalg.svd,
        lambda a: jnp.linalg.svd(a, full_matrices=False),
        dict(full_matrices=False),
    ),
    "svd-values": (
        jnp.linalg.svd,
        lambda a: jnp.linalg.svd(a, compute_uv=False),
        dict(compute_uv=False),
    ),
    "trace-offset": (jnp.trace, lambda a: jnp.trace(a, offset=1), dict(offset=1)),
    "trace-axes": (jnp.trace, lambda a: jnp.trace(a, axis1=1, axis2=0), dict(axis1=1, axis2=0)),
    "diagonal": (jnp.diagonal, lambda a: jnp.diagonal(a, offset=-1), dict(offset=-1)),
    "diag": (jnp.diag, lambda a: jnp.diag(a, k=1), dict(k=1)),
    "tril": (jnp.tril, lambda a: jnp.tril(a, k=-1), dict(k=-1)),
    "cholesky": (jnp.linalg.cholesky, lambda a: jnp.linalg.cholesky(a), {}),
    "inv": (jnp.linalg.inv, lambda a: jnp.linalg.inv(a), {}),
    "det": (jnp.linalg.det, lambda a: jnp.linalg.det(a), {}),
    "slogdet": (jnp.linalg.slogdet, lambda a: jnp.linalg.slogdet(a), {}),
    "kron": (jnp.kron, lambda a: jnp.kron(a, a), {}),
    "expm": (jax.scipy.linalg.expm, lambda a: jax.scipy.linalg.expm(a), {}),
    "solve_triangular": (
        jax.scipy.linalg.solve_triangular,
        lambda a: jax.scipy.linalg.solve_triangular(a, B, lower=True, trans=1),
        dict(lower=True, trans=1),
    ),
    "lstsq": (jnp.linalg.lstsq, lambda a: jnp.linalg.lstsq(a, B)[0], {}),
}
POSITIONAL = {
    "norm-ord": (jnp.linalg.norm, lambda a: jnp.linalg.norm(a, 1), dict(ord=1, axis=None)),
    "norm-inf": (jnp.linalg.norm, lambda a: jnp.linalg.norm(a, jnp.inf), dict(ord=np.inf)),
    "norm-fro": (
        jnp.linalg.norm,
        lambda a: jnp.linalg.norm(a, "fro", None, True),
        dict(ord="fro", keepdims=True),
    ),
    "diagonal": (jnp.diagonal, lambda a: jnp.diagonal(a, -1), dict(offset=-1)),
    "trace": (jnp.trace, lambda a: jnp.trace(a, 1, 1, 0), dict(offset=1, axis1=1, axis2=0)),
    "diag": (jnp.diag, lambda a: jnp.diag(a, 1), dict(k=1)),
    "tril": (jnp.tril, lambda a: jnp.tril(a, -1), dict(k=-1)),
    "matrix-power": (jnp.linalg.matrix_power, lambda a: jnp.linalg.matrix_power(a, 3), dict(n=3)),
    "svd": (jnp.linalg.svd, lambda a: jnp.linalg.svd(a, False), dict(full_matrices=False)),
    "eigh": (
        jnp.linalg.eigh,
        lambda a: jnp.linalg.eigh(a, "U", False),
        dict(UPLO="U", symmetrize_input=False),
    ),
    "solve_triangular": (
        jax.scipy.linalg.solve_triangular,
        lambda a: jax.scipy.linalg.solve_triangular(a, B, 1, True),
        dict(lower=True, trans=1),
    ),
}
CASES = [pytest.param(*case, id=f"{name}-keyword") for name, case in KEYWORD.items()] + [
    pytest.param(*case, id=f"{name}-positional") for name, case in POSITIONAL.items()
]


@pytest.mark.parametrize(("function", "call", "expected"), CASES)
def test_static_arguments_are_told_apart(function, call, expected):
    """The rule gets the static arguments of the call, however they were given."""
    cls = new_type("Static", base=Wrapped.__mro__[1])
    recorder = Recorder(cls, function)
    out = quaxify(call)(cls(A))
    assert len(recorder.calls) == 1, "the rule was not used"
    args, kwargs = recorder.calls[0]
    given = inspect.signature(function).bind(*args, **kwargs)
    given.apply_defaults()
    for key, value in expected.items():
        assert given.arguments[key] == value, given.arguments
    assert all(bool((np.asarray(x) == 77).all()) for x in jax.tree.leaves(out))


def test_static_arguments_of_any_size():
    """The rule is told the very argument; nothing is guessed."""
    cls = new_type("Powered", base=Wrapped.__mro__[1])
    power = jnp.linalg.matrix_power
    recorder = Recorder(cls, power)
    assert_same(quaxify(lambda a: power(a, 37))(cls(A / 4)), jnp.full((3, 3), 77.0, jnp.float32))
    (((_, n), kwargs),) = recorder.calls
    assert (n, kwargs) == (37, {})


def test_signature_rule_for_a_function():
    """`register(function)`, dispatched by plum on the function's own signature."""
    cls = new_type("Signed", base=Wrapped.__mro__[1])

    @register(jnp.linalg.solve)
    def _solve(a: cls, b: Any):
        return cls(b * 5)

    @register(jnp.linalg.norm)
    def _norm(x: cls, ord=None, axis=None, keepdims=False):
        return cls(jnp.float32(1 if ord is None else 2))

    assert_same(quaxify(jnp.linalg.solve)(cls(A), B), cls(B * 5))
    assert_same(quaxify(jnp.linalg.norm)(cls(A)), cls(jnp.float32(1)))
    assert_same(quaxify(lambda a: jnp.linalg.norm(a, ord=1))(cls(A)), cls(jnp.float32(2)))


def test_linear_solve_of_a_type_that_materialises():
    cls = new_type("Materialised", base=Wrapped.__mro__[1])
    assert_same(quaxify(jnp.linalg.solve)(cls(A), B), jnp.linalg.solve(A, B))
    assert_same(quaxify(jnp.linalg.solve)(A, cls(B)), jnp.linalg.solve(A, B))


def test_custom_jvp_function():
    cls = new_type("Relu", base=Wrapped.__mro__[1])

    @register(jax.nn.relu)
    def _relu(x: cls):
        return cls(x.array * 9)

    assert_same(quaxify(jax.nn.relu)(cls(A)), cls(9 * A))
    assert_same(quaxify(lambda x: jax.jit(jax.nn.relu)(x))(cls(A)), cls(9 * A))
    assert_same(quaxify(jax.nn.silu)(cls(A)), jax.nn.silu(A))
    user = jax.custom_jvp(lambda x: x + 1)
    user.defjvp(lambda p, t: (user(*p), t[0]))
    assert_same(quaxify(lambda x: user(x))(cls(A)), A + 1)


def test_under_disable_jit():
    with jax.disable_jit():
        assert_same(unwrap(quaxify(jnp.trace)(Wrapped(A))), jnp.trace(A))


def test_matmul_precision_context(solved):
    cls, recorder = solved
    recorder.calls.clear()
    with jax.default_matmul_precision("highest"):
        assert_same(quaxify(lambda a, b: jnp.linalg.solve(a, b))(cls(A), B), jnp.full(3, 77.0))
    assert len(recorder.calls) == 1


def test_x64(x64, solved):
    cls, recorder = solved
    recorder.calls.clear()
    out = quaxify(jnp.linalg.solve)(cls(jnp.asarray(A, jnp.float64)), jnp.asarray(B, jnp.float64))
    assert_same(out, jnp.full(3, 77.0, jnp.float64))
