"""What scales and sums of codes bear: long sums, small numbers, few bits, single elements."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.quantised import quantise, quantise_model
from tests.helpers import assert_raises

D = jr.normal(jr.key(1), (8, 12))


@pytest.mark.parametrize("symmetric", [True, False])
def test_sums_of_codes_do_not_overflow(symmetric):
    """Two products of 127 * 127 a million times are more than an int32 holds."""
    n = 140_000 + 7
    rows = jnp.asarray(np.linspace(0.5, 1.0, 2 * n, dtype=np.float32).reshape(2, n))
    ones = quantise(jnp.ones((n,)), symmetric=symmetric)
    q = quantise(rows, axis=0, symmetric=symmetric)
    exact = np.asarray(q.dequantise(), np.float64).sum(1)
    for f in (lambda q, x: q @ x, lambda q, x: jax.vmap(lambda r: r @ x)(q)):
        for run in (quaxify(f), jax.jit(quaxify(f))):
            np.testing.assert_allclose(run(q, ones), exact, rtol=1e-5)
    square = q.reshape(2, -1, 7)
    twice = quaxify(lambda a, b: jnp.einsum("bij,bij->b", a, b))(square, square)
    exact = (np.asarray(q.dequantise(), np.float64) ** 2).sum(1)
    np.testing.assert_allclose(twice, exact, rtol=1e-5)
    whole = quantise(jnp.ones((400, 400)), symmetric=symmetric)
    assert quaxify(jnp.vdot)(whole, whole) == pytest.approx(160_000, rel=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "int4", "nf4", "float8_e4m3fn"])
@pytest.mark.parametrize(
    ("array_dtype", "size"), [("float16", 1e-7), ("bfloat16", 1e-38), ("float32", 1e-38)]
)
def test_small_numbers_do_not_vanish(dtype, array_dtype, size):
    small = jnp.asarray([[size, -size], [size / 2, 0.0]], array_dtype)
    q = quantise(small, dtype)
    assert q.dtype == small.dtype
    if size > 1e-30:  # below, scales are no normal numbers, which processors flush to zero
        bound = size / 4
    else:
        bound = 4 * float(jnp.finfo("float32").tiny)
    back = np.asarray(q.dequantise(), np.float32)
    assert np.abs(back - np.asarray(small, np.float32)).max() <= bound
    if size > 1e-30:
        assert (back[0] != 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_products_in_16_bits_are_summed_in_32(dtype):
    """Before they are scaled, sums of codes are more than float16 holds."""
    ones = jnp.ones((4096,), dtype)
    w = quantise(jnp.ones((2, 4096), dtype), axis=0)
    for x in (ones, quantise(ones)):
        y = quaxify(jnp.matmul)(w, x)
        assert y.dtype == dtype and (np.asarray(y, np.float32) == 4096).all()
    # A scale of few bits would be the largest error of all.
    w = quantise(jr.normal(jr.key(0), (64, 64)).astype(dtype), axis=0)
    exact = np.asarray(w.codes, np.float32) * np.asarray(w.scale)
    error = np.abs(np.asarray(w.dequantise(), np.float32) - exact)
    assert (error <= float(jnp.finfo(dtype).eps) * np.abs(exact)).all()


ELEMENTS = {
    "element": lambda q: q[1, 2],
    "times": lambda q: q[1, 2] * jnp.ones(3),
    "times_matrix": lambda q: jnp.ones((2, 3)) * q[1, 2],
    "divided": lambda q: q[1, 2] / jnp.arange(1.0, 4.0),
    "divides": lambda q: jnp.ones(3) / q[1, 2],
    "plus": lambda q: q[1, 2] + jnp.ones(3),
    "power": lambda q: q[1, 2] ** 2,
    "traced": lambda q: lax.fori_loop(0, 3, lambda n, c: c + q[n, n + 1] * c, jnp.ones(2)),
    "several": lambda q: q[jnp.asarray([1, -1, 3]), jnp.asarray([2, 5, 11])] * 2,
    "columns": lambda q: q[:, jnp.asarray([1, -1, 3])] * 2,
    "fill": lambda q: q.at[jnp.asarray([1, 99]), jnp.asarray([2, 5])].get(mode="fill") + 0,
    "windows": lambda q: lax.dynamic_slice(q, (1, 3), (2, 5)) + 0,
    "part": lambda q: q[2, 3:8] * 2,
    "backwards": lambda q: q[::-1, ::-2] @ jnp.arange(6.0),
    "vmap": lambda q: jax.vmap(lambda i: q[i, i] * jnp.ones(3))(jnp.arange(4)),
}


SCALES = ({"block_size": 5}, {"block_size": 3, "block_axis": 0}, {"axis": 0})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (name, o)
        for name in ELEMENTS
        for o in SCALES
        if "axis" not in o or name in ("times", "fill")
    ],
)
def test_elements(name, options):
    f, q = ELEMENTS[name], quantise(D, symmetric=False, **options)
    with jax.numpy_rank_promotion("allow"):
        expected = f(q.dequantise())
        results = [jax.jit(quaxify(lambda q: f(q) + 0.0))(q)]
        if name != "windows":  # an operation of `lax`, which only `quaxify` lets take a value
            results.append(f(q) + 0.0)
        for actual in results:
            np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{"axis": 0}, {"block_size": 16}, {"block_size": 16, "block_axis": 0}, {}]
)
def test_rows_are_picked_before_they_are_numbers(options):
    """No array of floating point numbers has the table's size, nor its rows'."""
    table = quantise(jr.normal(jr.key(0), (512, 32)), "nf4", **options)
    tokens = jnp.asarray([3, 500, 3])
    for f in (
        lambda t: t[tokens] + 0,
        lambda t: jnp.take(t, tokens, axis=0) + 0,
        lambda t: jax.vmap(lambda n: t[n])(tokens) + 0,
        lambda t: t[tokens, tokens % 32] + 0,
        lambda t: t[7] + 0,
    ):
        program = jax.make_jaxpr(quaxify(f))(table)
        floats = [
            v.aval.size
            for eqn in program.eqns
            for v in eqn.outvars
            if jnp.issubdtype(v.aval.dtype, jnp.floating)
        ]
        assert max(floats) <= 3 * 32
        np.testing.assert_allclose(quaxify(f)(table), f(table.dequantise()), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantise(D, axis=7), "`axis=7` is no axis of an array of shape (8, 12)."),
        (lambda: quantise(D, axis=(0, -3)), "`axis=-3` is no axis of an array of shape (8, 12)."),
        (lambda: quantise(D, axis=(1, -1)), "`axis=(1, -1)` names an axis twice."),
        (
            lambda: quantise(D, axis=0, block_size=4),
            "`axis` is for one scale a channel, `block_size` for one a block: give one of them. "
            "Blocks lie along the last axis, or along `block_axis`.",
        ),
        (
            lambda: quantise_model({"w": D}, where=lambda x: True, axis=0, block_size=4),
            "`axis` is for one scale a channel, `block_size` for one a block: give one of them. "
            "Blocks lie along the last axis, or along `block_axis`.",
        ),
        (
            lambda: quantise(D, block_size=4, block_axis=2),
            "`block_axis=2` is no axis of an array of shape (8, 12).",
        ),
        (
            lambda: quantise(D, block_axis=1),
            "`block_axis` is for blocks: say `block_size` too.",
        ),
        (
            lambda: quantise(D, clip="best"),
            "`clip` is None, 'mse' or a percentile up to 100, not 'best'.",
        ),
        (lambda: quantise(D, clip=99, symmetric=False), "`clip` is for symmetric codes."),
    ],
)
def test_refused_options(call, message):
    assert_raises(ValueError, call, message)


def test_clipping():
    """A percentile leaves outliers out; `mse` is never worse than the largest element."""
    array = jr.normal(jr.key(0), (16, 200)).at[3, 5].set(40.0)
    for dtype, options in (("int4", {"axis": 0}), ("nf4", {"block_size": 50}), ("int8", {})):
        plain, best = (quantise(array, dtype, clip=c, **options) for c in (None, "mse"))
        squares = [float(jnp.sum((q.dequantise() - array) ** 2)) for q in (plain, best)]
        assert squares[1] <= squares[0]
    best, plain = (quantise(array, "int4", axis=0, clip=c) for c in ("mse", None))
    sizes = [float(jnp.linalg.norm(q.dequantise() - array)) for q in (best, plain)]
    assert sizes[0] < 0.98 * sizes[1]
    clipped = quantise(array, axis=0, clip=99.0)
    np.testing.assert_allclose(
        clipped.scale[:, 0] * 127, jnp.percentile(jnp.abs(array), 99.0, axis=1), rtol=1e-5
    )
    assert jnp.abs(clipped.dequantise()).max() < 5
    np.testing.assert_array_equal(quantise(array, clip=100).codes, quantise(array).codes)
    mostly_zero = jnp.zeros(1000).at[7].set(1.0)
    assert quantise(mostly_zero, clip=99.0).dequantise()[7] == 1.0
