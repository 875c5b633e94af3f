"""A transparent value through every public function of JAX, and through libraries built on JAX.

The oracle is the program itself on plain arrays: what JAX traces for it, and what it traces for the
interpreted program on wrapped arrays, are the same, equation by equation. Where they are not (an
implicit derivative is made anew), the numbers are compared.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import lineax
import numpy as np
import optimistix
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.core import is_value
from tests.helpers import Wrapped, unwrap
from tests.units.catalogue import CASES, Q

INLINED = ("jit", "closed_call", "custom_jvp_call", "custom_vjp_call")

pytestmark = pytest.mark.usefixtures("lenient")


# -- comparing programs ---------------------------------------------------------------------------


def inlined(closed: Any) -> Any:
    """A jaxpr without calls at its top level, traced anew."""

    def run(jaxpr: Any, consts: Any, args: Any) -> list[Any]:
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

        def read(v: Any) -> Any:
            return v.val if hasattr(v, "val") else known[v]

        for eqn in jaxpr.eqns:
            operands = [read(v) for v in eqn.invars]
            if eqn.primitive.name in INLINED:
                body = eqn.params.get("jaxpr") or eqn.params["call_jaxpr"]
                outs = run(getattr(body, "jaxpr", body), getattr(body, "consts", ()), operands)
            else:
                outs = eqn.primitive.bind(*operands, **eqn.params)
            if not (eqn.primitive.multiple_results or eqn.primitive.name in INLINED):
                outs = [outs]
            known.update(zip(eqn.outvars, outs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    return jax.make_jaxpr(lambda *args: run(closed.jaxpr, closed.consts, args))(*closed.in_avals)


def text(closed: Any) -> str:
    return re.sub(r"0x[0-9a-f]+|at .*?>|\b(name|jvp|bwd|fwd)=\w+", "", str(inlined(closed)))


def check(plain: Callable, wrapped: Callable, args: list[Any]) -> None:
    """`wrapped` computes what `plain` computes, on arrays."""
    arrays = [x for x in jtu.tree_leaves(args) if eqx.is_array(x)]
    rest = jtu.tree_map(lambda x: None if eqx.is_array(x) else x, args)
    tree = jtu.tree_structure(jtu.tree_map(lambda x: 0 if eqx.is_array(x) else None, args))

    def of(f: Callable) -> Callable:
        def flat(*given: Any) -> list[Any]:
            args = eqx.combine(jtu.tree_unflatten(tree, given), rest)
            return [x for x in jtu.tree_leaves(f(*args)) if eqx.is_array_like(x)]

        return flat

    expected, actual = (jax.make_jaxpr(of(f))(*arrays) for f in (plain, wrapped))
    assert [(a.shape, a.dtype) for a in actual.out_avals] == [
        (a.shape, a.dtype) for a in expected.out_avals
    ]
    if text(expected) == text(actual):
        return
    both = jax.jit(lambda *xs: (of(plain)(*xs), of(wrapped)(*xs)))(*arrays)
    for e, a in zip(*both, strict=True):
        scale = np.max(np.abs(np.nan_to_num(np.asarray(e, complex))), initial=0.0)
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-4, atol=1e-5 * scale)


def through(f: Callable, wrap: Callable[[Any], bool] = eqx.is_inexact_array) -> Callable:
    """`f` quaxified, its arrays wrapped, its results unwrapped."""

    def function(*args: Any) -> Any:
        given = jtu.tree_map(lambda x: Wrapped(x) if wrap(x) else x, args)
        return unwrap(quaxify(f)(*given))

    return function


# -- every function of the catalogue --------------------------------------------------------------


def program(case: Any) -> tuple[Callable, list[Any]]:
    operands = [jnp.asarray(x.magnitude) if isinstance(x, Q) else x for x in case.operands]
    arrays = [i for i, x in enumerate(operands) if isinstance(x, jax.Array)]

    def f(*given: Any) -> Any:
        args = list(operands)
        for i, x in zip(arrays, given, strict=True):
            args[i] = x
        return case.f(jax, *args)

    return f, [operands[i] for i in arrays]


def gradients(f: Callable) -> Callable:
    """The gradients of the sum of all results, by all arguments."""

    def total(*args: Any) -> Any:
        out = [x for x in jtu.tree_leaves(f(*args)) if eqx.is_inexact_array(x)]
        return sum(jnp.sum(jnp.sin(x.real) + jnp.cos(x.imag)) for x in out)

    def function(*args: Any) -> Any:
        return jax.grad(total, tuple(range(len(args))))(*args)

    return function


TRACED = [c for c in CASES if c.jit]


@pytest.mark.parametrize("case", TRACED, ids=str)
def test_functions(case: Any) -> None:
    f, args = program(case)
    check(f, through(f, eqx.is_array), args)


@pytest.mark.parametrize("case", TRACED[::4], ids=str)
def test_gradients(case: Any) -> None:
    f, args = program(case)
    if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in args):
        pytest.skip("no gradient")
    try:
        jax.eval_shape(gradients(f), *args)
    except (TypeError, ValueError, NotImplementedError) as error:
        pytest.skip(f"JAX has no gradient: {error}")
    check(gradients(f), gradients(through(f)), args)
    check(gradients(f), through(gradients(f)), args)


@pytest.mark.parametrize("case", TRACED[1::4], ids=str)
def test_batches(case: Any) -> None:
    f, args = program(case)
    args = [jnp.stack([x, x]) for x in args]
    try:
        jax.eval_shape(jax.vmap(f), *args)
    except (TypeError, ValueError, NotImplementedError) as error:
        pytest.skip(f"JAX cannot map it: {error}")
    check(jax.vmap(f), through(jax.vmap(f), eqx.is_array), args)
    check(jax.vmap(f), jax.vmap(through(f, eqx.is_array)), args)


@pytest.mark.parametrize("case", TRACED[::25], ids=str)
def test_eagerly(case: Any) -> None:
    f, args = program(case)
    expected = jtu.tree_leaves(f(*args))
    out = quaxify(f)(*map(Wrapped, args))
    actual = [unwrap(x) for x in jtu.tree_leaves(out, is_leaf=is_value)]
    for e, a in zip(expected, actual, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=2e-4, atol=1e-5)


# -- libraries ------------------------------------------------------------------------------------

KEY = jax.random.key(3)
X = jnp.asarray(np.linspace(-1.0, 2.0, 12, dtype=np.float32).reshape(3, 4))
ROW = X[1]


LAYERS = [
    "Linear", "MLP", "Conv2d", "ConvTranspose1d", "GRUCell", "LSTMCell", "LayerNorm", "GroupNorm",
    "RMSNorm", "BatchNorm", "MultiheadAttention", "Embedding", "RotaryPositionalEmbedding",
    "AvgPool2d", "AdaptiveMaxPool1d", "PReLU", "Dropout", "SpectralNorm",
]  # fmt: skip


@functools.cache
def layers() -> dict[str, tuple[Callable, list[Any]]]:
    """Equinox's layers, on inputs they take."""
    image = jnp.asarray(np.linspace(0, 1, 2 * 6 * 6, dtype=np.float32).reshape(2, 6, 6))
    norm, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(4, axis_name="i", mode="ema")

    def one(layer: Any, *args: Any, **kwargs: Any) -> tuple[Callable, list[Any]]:
        return (lambda layer, *args: layer(*args, **kwargs)), [layer, *args]

    def batch_norm(norm: Any, state: Any, x: Any) -> Any:
        out, state = jax.vmap(norm, axis_name="i", in_axes=(0, None), out_axes=(0, None))(x, state)
        return out, state

    return {
        "Linear": one(eqx.nn.Linear(4, 3, key=KEY), ROW),
        "MLP": one(eqx.nn.MLP(4, 2, 5, 2, key=KEY), ROW),
        "Conv2d": one(eqx.nn.Conv2d(2, 3, 3, stride=2, padding=1, key=KEY), image),
        "ConvTranspose1d": one(eqx.nn.ConvTranspose1d(3, 2, 2, key=KEY), X),
        "GRUCell": one(eqx.nn.GRUCell(4, 5, key=KEY), ROW, jnp.ones(5)),
        "LSTMCell": one(eqx.nn.LSTMCell(4, 5, key=KEY), ROW, (jnp.ones(5), jnp.zeros(5))),
        "LayerNorm": one(eqx.nn.LayerNorm(4), ROW),
        "GroupNorm": one(eqx.nn.GroupNorm(1, 2), image),
        "RMSNorm": one(eqx.nn.RMSNorm(4), ROW),
        "BatchNorm": (batch_norm, [norm, state, X]),
        "MultiheadAttention": one(eqx.nn.MultiheadAttention(2, 4, key=KEY), X, X, X),
        "Embedding": one(eqx.nn.Embedding(5, 4, key=KEY), jnp.asarray(2)),
        "RotaryPositionalEmbedding": one(eqx.nn.RotaryPositionalEmbedding(4), X),
        "AvgPool2d": one(eqx.nn.AvgPool2d(2), image),
        "AdaptiveMaxPool1d": one(eqx.nn.AdaptiveMaxPool1d(2), X),
        "PReLU": one(eqx.nn.PReLU(), ROW),
        "Dropout": one(eqx.nn.Dropout(0.5), ROW, key=KEY),
        "SpectralNorm": (
            lambda layer, state, x: layer(x, state)[0],
            [
                *eqx.nn.make_with_state(eqx.nn.SpectralNorm)(
                    eqx.nn.Linear(4, 3, key=KEY), "weight", key=KEY
                ),
                ROW,
            ],
        ),
    }


@pytest.mark.parametrize("name", LAYERS)
def test_equinox_layers(name: str) -> None:
    assert list(layers()) == LAYERS
    f, args = layers()[name]
    check(f, through(f), args)

    def loss(*args: Any) -> Any:
        out = jtu.tree_leaves(f(*args))
        return sum(jnp.sum(jnp.sin(x)) for x in out if eqx.is_inexact_array(x))

    check(eqx.filter_grad(loss), through(eqx.filter_grad(loss)), args)


def lotka_volterra(solver: Any, controller: Any, adjoint: Any = None) -> Callable:
    def f(y0: Any, args: Any) -> Any:
        def field(t: Any, y: Any, args: Any) -> Any:
            a, b = args
            return jnp.stack([a * y[0] - y[0] * y[1], -b * y[1] + jnp.sin(t) * y[0]])

        return diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            solver,
            0.0,
            1.0,
            0.1,
            y0,
            args,
            stepsize_controller=controller,
            adjoint=diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
            saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 1.0, 3)),
        ).ys

    return f


def noisy(y0: Any, args: Any) -> Any:
    path = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-2, (), KEY)
    terms = diffrax.MultiTerm(
        diffrax.ODETerm(lambda t, y, args: -args[0] * y),
        diffrax.ControlTerm(lambda t, y, args: args[1] * y, path),
    )
    return diffrax.diffeqsolve(terms, diffrax.Heun(), 0.0, 1.0, 0.25, y0, args).ys


def root(y0: Any, args: Any) -> Any:
    f = lambda y, args: y**3 - args[0] * y - args[1]
    return optimistix.root_find(f, optimistix.Newton(1e-5, 1e-5), y0, args).value


def least_squares(y0: Any, args: Any) -> Any:
    f = lambda y, args: jnp.exp(-args[0] * y) - args[1] * jnp.arange(1.0, 3.0)
    solver = optimistix.LevenbergMarquardt(1e-4, 1e-4)
    return optimistix.least_squares(f, solver, y0, args, throw=False, max_steps=8).value


def minimum(y0: Any, args: Any) -> Any:
    f = lambda y, args: jnp.sum((y - args[0]) ** 2 * args[1])
    return optimistix.minimise(f, optimistix.BFGS(1e-4, 1e-4), y0, args, throw=False).value


def linear(y0: Any, args: Any) -> Any:
    matrix = jnp.eye(2) * args[0] + jnp.outer(y0, y0)
    operator = lineax.MatrixLinearOperator(matrix, lineax.positive_semidefinite_tag)
    return [
        lineax.linear_solve(operator, y0 * args[1]).value,
        lineax.linear_solve(operator, y0, lineax.CG(1e-4, 1e-4)).value,
        lineax.linear_solve(lineax.MatrixLinearOperator(matrix), y0, lineax.QR()).value,
    ]


def descent(name: str) -> Callable:
    optax = pytest.importorskip("optax")

    def f(y0: Any, args: Any) -> Any:
        optimiser = getattr(optax, name)(0.1)
        loss = lambda y: jnp.sum(args[0] * y**2 + jnp.cos(args[1] * y))

        def step(carry: Any, _: Any) -> Any:
            y, state = carry
            updates, state = optimiser.update(jax.grad(loss)(y), state, y)
            return (optax.apply_updates(y, updates), state), loss(y)

        return lax.scan(step, (y0, optimiser.init(y0)), None, length=3)

    return f


PROGRAMS: dict[str, Callable[[], Callable]] = {
    "Tsit5": lambda: lotka_volterra(diffrax.Tsit5(), diffrax.PIDController(1e-3, 1e-3)),
    "Dopri8, backsolve": lambda: lotka_volterra(
        diffrax.Dopri8(), diffrax.PIDController(1e-3, 1e-3), diffrax.BacksolveAdjoint()
    ),
    "Kvaerno3": lambda: lotka_volterra(diffrax.Kvaerno3(), diffrax.PIDController(1e-3, 1e-3)),
    "Heun, constant steps": lambda: lotka_volterra(diffrax.Heun(), diffrax.ConstantStepSize()),
    "an SDE": lambda: noisy,
    "Newton": lambda: root,
    "LevenbergMarquardt": lambda: least_squares,
    "BFGS": lambda: minimum,
    "linear_solve": lambda: linear,
    "adam": lambda: descent("adam"),
    "sgd": lambda: descent("sgd"),
    "lion": lambda: descent("lion"),
}


ARGS = [jnp.asarray([1.5, 0.75]), (jnp.asarray(1.25), jnp.asarray(0.5))]


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    f = PROGRAMS[name]()
    check(f, through(f), ARGS)


@pytest.mark.parametrize("name", ["Tsit5", "Newton", "LevenbergMarquardt", "linear_solve", "adam"])
def test_gradients_of_programs(name: str) -> None:
    f = PROGRAMS[name]()
    loss = lambda *args: sum(jnp.sum(jnp.sin(x)) for x in jtu.tree_leaves(f(*args)))
    check(jax.grad(loss, 1), jax.grad(through(loss), 1), ARGS)
