"""`QuantisedArray` against what it dequantises to, and that against the original."""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.interop.equinox import tree_deserialise_leaves, tree_serialise_leaves
from sciquax.lora import LoraArray, loraify
from sciquax.quantised import QuantisedArray, quantise, quantise_model
from sciquax.quantised._codes import FORMATS
from sciquax.units import Quantity

D = jr.normal(jr.key(1), (8, 12))
x, X = jr.normal(jr.key(2), (12,)), jr.normal(jr.key(3), (5, 8))
i = jnp.asarray([1, 3, 1])

PROGRAMS = {
    "W@x": lambda W: W @ x,
    "X@W": lambda W: X @ W,
    "W.T": lambda W: W.T @ X.T,
    "rows": lambda W: W[2:5] @ x,
    "columns": lambda W: W[:, 3:7] @ x[3:7],
    "row": lambda W: W[2] * 2,
    "gather": lambda W: W[i] + 1,
    "gather_columns": lambda W: W[:, i] + 0,
    "take_fill": lambda W: jnp.take(W, jnp.asarray([1, 99]), axis=0),
    "take_value": lambda W: W.at[jnp.asarray([1, 9])].get(mode="fill", fill_value=7.0),
    "embedding": lambda W: jax.vmap(lambda n: W[n])(i),
    "reshape": lambda W: W.reshape(2, 4, 12) @ x,
    "reshape_columns": lambda W: W.reshape(8, 3, 4) @ jnp.ones(4),
    "scaled": lambda W: (W * 2.5) @ x,
    "channels": lambda W: (W * x[None]) @ x,
    "-W": lambda W: -W @ x,
    "W+1": lambda W: W + 1,
    "tanh": jnp.tanh,
    "sum": lambda W: W.sum(0),
    "W@W.T": lambda W: W @ W.T,
    "W.T@W": lambda W: jnp.einsum("ij,ik->jk", W, W),
    "vmap": lambda W: jax.vmap(lambda r: r @ x)(W),
    "scan_rows": lambda W: lax.scan(lambda c, r: (c + r @ x, r), jnp.zeros(()), W),
    "loop": lambda W: lax.fori_loop(0, 2, lambda n, c: (W @ c) @ W / 9, x),
    "cond": lambda W: lax.cond(x[0] > 0, lambda: W, lambda: W + 1),
    "grad_x": lambda W: jax.grad(lambda x: jnp.sin(W @ x).sum())(x),
    "bfloat16": lambda W: W.astype(jnp.bfloat16),
    "broadcast": lambda W: jnp.broadcast_to(W, (2, 8, 12)) @ x,
    "dynamic_slice": lambda W: lax.dynamic_slice(W, (i[0], 0), (2, 12)) @ x,
    "rev": lambda W: W[::-1, ::-1] @ x,
    "new_axis": lambda W: W[None] @ x,
    "conv": lambda W: lax.conv(X.reshape(1, 1, 5, 8), W.reshape(8, 1, 3, 4), (1, 1), "SAME"),
}  # fmt: skip
SCALES = {
    "tensor": {},
    "rows": {"axis": 0},
    "columns": {"axis": 1},
    "blocks": {"block_size": 4},
    "ragged": {"block_size": 5},
    "row_blocks": {"block_size": 4, "block_axis": 0},
}
FEW = ("W@x", "X@W", "gather", "take_fill", "W@W.T", "rows", "scan_rows", "tanh")
CASES = [
    (dtype, scales, symmetric, name)
    for dtype in FORMATS
    for scales in (SCALES if dtype == "int8" else ("columns", "blocks", "row_blocks"))
    for symmetric in ((True, False) if dtype.startswith("int") else (True,))
    for name in (PROGRAMS if dtype == "int8" and scales in ("rows", "blocks") else FEW)
]


def dense(tree):
    return jax.tree.map(
        lambda v: v.dequantise() if type(v) is QuantisedArray else v,
        tree,
        is_leaf=lambda v: type(v) is QuantisedArray,
    )


def close(actual, expected, tolerance=1e-4):
    for a, e in zip(jax.tree.leaves(dense(actual)), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(e, np.float32), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize(("dtype", "scales", "symmetric", "name"), CASES)
def test_against_dequantised(dtype, scales, symmetric, name):
    q, f = quantise(D, dtype, symmetric=symmetric, **SCALES[scales]), PROGRAMS[name]
    with jax.numpy_rank_promotion("allow"):
        close(quaxify(f)(q), f(q.dequantise()), 1e-2 if name == "bfloat16" else 1e-4)


@pytest.mark.parametrize("name", ["X@W", "gather", "W@W.T"])
def test_under_jit_and_vmap(name):
    f, q = PROGRAMS[name], quantise(D, block_size=4)
    with jax.numpy_rank_promotion("allow"):
        close(jax.jit(quaxify(f))(q), f(q.dequantise()))
        two = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), q)
        flipped = jax.tree.map(lambda leaf: leaf[::-1], q)
        expected = jnp.stack([f(q.dequantise()), f(flipped.dequantise())])
        close(jax.vmap(quaxify(f))(two), expected)


@pytest.mark.parametrize("dtype", ["int8", "nf4"])
def test_a_contraction_that_keeps_the_blocked_axis(dtype):
    q, x = quantise(D, dtype, block_size=4), jnp.cos(jnp.arange(12.0))
    f = lambda q: jnp.einsum("ij,j->ij", q, x)  # noqa: E731
    close(quaxify(f)(q), f(q.dequantise()))


BOUND = {"int8": 0.5, "int4": 0.5, "nf4": 0.1522}  # in units of the scale


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("dtype", FORMATS)
def test_error_bounds(dtype, scales):
    """The bounds that the docstring of `quantise` states."""
    for array in (D, 100 * D**3, jnp.zeros((8, 12)), D.at[0].set(0.0)):
        q = quantise(array, dtype, **SCALES[scales])
        error = jnp.abs(q.dequantise() - array)
        scale = quantise(array, dtype, **SCALES[scales]).as_sliceable().scale
        from sciquax.quantised._codes import expand

        scale = jnp.broadcast_to(expand(scale, (8, 12), q.block_size), (8, 12))
        if dtype == "float8_e4m3fn":
            bound = jnp.maximum(jnp.abs(array) / 16, scale * 2.0**-10)
        else:
            bound = BOUND[dtype] * scale
        assert (error <= bound * (1 + 1e-3) + 1e-6 * jnp.abs(array)).all()


def test_affine_covers_one_sided_ranges():
    q = quantise(jnp.linspace(0, 1, 256), symmetric=False)
    assert jnp.abs(q.dequantise() - jnp.linspace(0, 1, 256)).max() < 1e-4
    assert q.dequantise()[0] == 0


def test_rounding_at_random_is_right_on_average():
    values = jnp.asarray([1.0, 0.3, -0.7])
    rounded = jax.vmap(lambda k: quantise(values, "int4", key=k).dequantise())(
        jr.split(jr.key(0), 4000)
    )
    np.testing.assert_allclose(rounded.mean(0), values, atol=0.01)


def test_memory_is_as_promised():
    array = jnp.ones((256, 512))
    assert quantise(array, axis=0).nbytes == array.nbytes // 4 + 256 * 4
    for dtype in ("int4", "nf4"):
        q = quantise(array, dtype, block_size=64)
        assert q.nbytes == array.nbytes // 8 + 256 * 8 * 4
    # What the compiled program holds for its arguments is that, and not a byte each.
    program = jax.jit(quaxify(lambda W, x: W @ x)).lower(q, jnp.ones(512)).compile()
    assert program.memory_analysis().argument_size_in_bytes <= q.nbytes + 512 * 4 + 64


def test_integers_meet_in_integers():
    lhs, rhs = quantise(X), quantise(D, axis=1)
    program = jax.make_jaxpr(quaxify(lambda a, b: a @ b))(lhs, rhs)
    (dot,) = [e for e in program.eqns if e.primitive.name == "dot_general"]
    assert [v.aval.dtype for v in dot.invars] == [jnp.int8, jnp.int8]
    assert dot.outvars[0].aval.dtype == jnp.int32


def test_large_weights_are_converted_in_tiles():
    big = quantise(jr.normal(jr.key(0), (1024, 2048)), axis=1)
    rows = jr.normal(jr.key(1), (3, 1024))
    f = jax.jit(quaxify(lambda a, b: a @ b))
    close(f(rows, big), rows @ big.dequantise(), 1e-3)
    close(jax.jit(quaxify(lambda a, b: b.T @ a.T))(rows, big), big.dequantise().T @ rows.T, 1e-3)
    memory = f.lower(rows, big).compile().memory_analysis().temp_size_in_bytes
    assert memory < 1024 * 2048 * 4 * 0.75
    gradient = jax.grad(lambda r: jnp.sum(quaxify(jnp.matmul)(r, big) ** 2))(rows)
    full = big.dequantise()
    np.testing.assert_allclose(gradient, 2 * (rows @ full) @ full.T, rtol=2e-2, atol=2)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("int8", {"axis": 0}),
        ("nf4", {"block_size": 64}),
        ("float8_e4m3fn", {"block_size": 64, "block_axis": 0}),
    ],
)
def test_products_and_gradients_hold_a_tile(monkeypatch, dtype, options):
    """However the weight lies, whichever axis is cut, and backwards too."""
    monkeypatch.setattr("sciquax.quantised._dot_general.TILE", 1 << 14)
    n, columns = 512, 4
    q = quantise(jr.normal(jr.key(0), (n, n)), dtype, **options)
    full, rows = q.dequantise(), jr.normal(jr.key(1), (columns, n))
    for f in (lambda w, x: x @ w.T, lambda w, x: jax.vmap(lambda r: w @ r)(x), lambda w, x: x @ w):

        def both(w, x, f=f):
            return jax.value_and_grad(lambda x: jnp.sum(quaxify(f)(w, x) ** 2))(x)

        program = jax.jit(both).lower(q, rows).compile()
        bytes_copied = 0.5 if dtype == "float8_e4m3fn" else 0.0  # XLA copies codes to bytes
        assert program.memory_analysis().temp_size_in_bytes < (0.6 + bytes_copied) * full.nbytes
        value, gradient = program(q, rows)
        expected, slope = jax.value_and_grad(lambda x, f=f: jnp.sum(f(full, x) ** 2))(rows)
        assert abs(value / expected - 1) < 1e-4
        assert jnp.abs(gradient - slope).max() < 1e-4 * jnp.abs(slope).max()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_every_code_of_float8(dtype):
    codes = lax.bitcast_convert_type(jnp.arange(256, dtype=jnp.uint8), jnp.float8_e4m3fn)
    q = QuantisedArray(codes, jnp.ones((1,)), format="float8_e4m3fn", dtype=dtype)
    np.testing.assert_array_equal(
        np.asarray(q.dequantise(), np.float32), np.asarray(codes.astype(dtype), np.float32)
    )


def test_straight_through_gradients():
    def loss(w):
        return jnp.sum(
            jnp.sin(quaxify(lambda W: W @ x)(quantise(w, "int4", axis=0, straight_through=True)))
        )

    y = quantise(D, "int4", axis=0).dequantise() @ x
    expected = jnp.cos(y)[:, None] * x[None]
    np.testing.assert_allclose(jax.grad(loss)(D), expected, rtol=1e-3, atol=1e-4)
    for f in (lambda W: jnp.tanh(W), lambda W: W.T, lambda W: W[i], lambda W: (2 * W)[1:]):

        def loss(w, f=f):
            return jnp.sum(dense(quaxify(f)(quantise(w, straight_through=True))))

        def exact(w, f=f):
            q = quantise(w).dequantise()
            return jax.vjp(f, q)[1](jnp.ones_like(f(q)))[0]

        np.testing.assert_allclose(jax.grad(loss)(D), exact(D), rtol=1e-4, atol=1e-5)


def test_gradient_reaches_other_operands():
    q = quantise(D)
    gradient = jax.grad(lambda x: jnp.sum(quaxify(jnp.matmul)(q, x) ** 2))(x)
    np.testing.assert_allclose(gradient, 2 * q.dequantise().T @ (q.dequantise() @ x), rtol=1e-3)


def test_models_and_qlora():
    with jax.numpy_rank_promotion("allow"):
        mlp = eqx.nn.MLP(6, 3, 16, 2, key=jr.key(0))
        model = quantise_model(mlp)
        assert type(model.layers[0].weight) is QuantisedArray
        np.testing.assert_allclose(quaxify(model)(x[:6]), mlp(x[:6]), atol=0.05)
        for qlora in (
            loraify(quantise_model(mlp, "nf4", block_size=16), rank=2, key=jr.key(1)),
            quantise_model(loraify(mlp, rank=2, key=jr.key(1)), "nf4", block_size=16),
        ):
            weight = qlora.layers[0].weight
            assert type(weight) is LoraArray and type(weight.weight) is QuantisedArray
            grads = eqx.filter_grad(lambda m: jnp.sum(quaxify(m)(x[:6]) ** 2))(qlora)
            assert (grads.layers[0].weight.b != 0).any()
            assert (grads.layers[0].weight.weight.scale == 0).all()


def test_with_units():
    out = quaxify(lambda W, f: W @ f)(Quantity(quantise(D), "N/m"), Quantity(x, "m"))
    assert str(out.units) == "newton"
    close(out.m, quantise(D).dequantise() @ x)
    assert type(quaxify(lambda W: 2 * W.T)(Quantity(quantise(D), "N")).m) is QuantisedArray


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantise(D, "int3"), "knows int8, int4, nf4, float8_e4m3fn, not 'int3'"),
        (lambda: quantise(jnp.arange(3)), "takes floating point numbers, not int32"),
        (lambda: quantise(D, "nf4", symmetric=False), "nf4 is symmetric"),
        (lambda: quantise(D, block_size=0), "one element or more"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", ["int4", "nf4", "float8_e4m3fn"])
def test_codes_in_files(dtype):
    """NumPy's files have no name for these dtypes."""
    values = [quantise(jr.normal(jr.key(seed), (3, 5)), dtype, block_size=2) for seed in (0, 1)]
    file = io.BytesIO()
    tree_serialise_leaves(file, {"w": values[0]})
    file.seek(0)
    read = tree_deserialise_leaves(file, {"w": values[1]})["w"]
    assert read.codes.dtype == values[0].codes.dtype
    np.testing.assert_array_equal(read.dequantise(), values[0].dequantise())
    file.seek(0)
    with pytest.raises(ValueError, match="\\['w'\\].format the file has '"):
        other = "nf4" if dtype == "int4" else "int4"
        tree_deserialise_leaves(file, {"w": quantise(jnp.ones((3, 5)), other, block_size=2)})
