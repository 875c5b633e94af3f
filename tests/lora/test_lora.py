"""`LoraArray` against the weight with its update multiplied out."""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.core import RuleError, is_value
from sciquax.lora import (
    LoraArray,
    adapter_filter,
    extract_adapters,
    lora_dropout,
    loraify,
    merge,
    read_adapters,
    save_adapters,
    unmerge,
)
from sciquax.units import Quantity
from tests.helpers import assert_raises


def lora(shape, **options):
    """A LoraArray whose update is not small."""
    value = LoraArray(jr.normal(jr.key(1), shape), rank=2, scale=1.0, key=jr.key(0), **options)
    return eqx.tree_at(lambda w: w.b, value, jr.normal(jr.key(3), value.b.shape))


W = lora((4, 6), alpha=3.0)
STACK = lora((5, 4, 6))
KERNEL = lora((4, 3, 2, 3), row_axes=(0,), column_axes=(1, 2, 3))
x, X = jr.normal(jr.key(5), (6,)), jr.normal(jr.key(6), (3, 4))
image, image6 = jr.normal(jr.key(8), (2, 3, 8, 9)), jr.normal(jr.key(8), (2, 6, 8, 9))
i, s = jnp.asarray([1, 3, 1]), jnp.asarray(2.5)

MATRIX = {
    "W@x": lambda W: W @ x,
    "X@W": lambda W: X @ W,
    "W.T": lambda W: W.T @ X.T,
    "swapaxes": lambda W: jnp.swapaxes(W, 0, 1) @ X[0],
    "rows": lambda W: W[1:3] @ x,
    "strided": lambda W: W[::-2, 1::2] @ x[:3],
    "row": lambda W: W[2],
    "gather": lambda W: W[i],
    "columns": lambda W: W[:, i],
    "take_fill": lambda W: jnp.take(W, jnp.asarray([1, 9]), axis=0),
    "take_value": lambda W: W.at[jnp.asarray([1, 9])].get(mode="fill", fill_value=7.0),
    "row_dynamic": lambda W: lax.fori_loop(0, 3, lambda n, c: c + W[n], jnp.zeros(6)),
    "embedding": lambda W: jax.vmap(lambda n: W[n])(i),
    "dynamic_slice": lambda W: lax.dynamic_slice(W, (i[0], 0), (2, 6)) @ x,
    "2*W": lambda W: (2 * W) @ x,
    "W*s": lambda W: (W * s) @ x,
    "W*row": lambda W: (W * x[None]) @ x,
    "W/column": lambda W: (W / X[0][:, None]) @ x,
    "-W": lambda W: -W @ x,
    "W+D": lambda W: (W + jnp.ones((4, 6))) @ x,
    "1-W": lambda W: (1 - W) @ x,
    "W+W": lambda W: (W - 3 * W) @ x,
    "sum": lambda W: (W.sum(), W.sum(0), W.mean(1)),
    "reshape": lambda W: W.reshape(2, 2, 6) @ x,
    "reshape_row": lambda W: W.reshape(4, 3, 2)[1, 1],
    "new_axis": lambda W: W[None] @ x,
    "broadcast": lambda W: jnp.broadcast_to(W, (3, 4, 6)) @ x,
    "concatenate": lambda W: jnp.concatenate([W, 2 * W]) @ x,
    "concatenate_1": lambda W: jnp.concatenate([W, 2 * W], 1) @ jnp.concatenate([x, x]),
    "concatenate_array": lambda W: jnp.concatenate([W, X @ jnp.ones((4, 6))]) @ x,
    "stack": lambda W: jnp.stack([W, 2 * W], 1) @ x,
    "pad": lambda W: jnp.pad(W, ((1, 0), (0, 2)), constant_values=3.0) @ jnp.ones(8),
    "tile": lambda W: jnp.tile(W, (2, 1)) @ x,
    "elements": lambda W: (W[i, i + 1], W[2, 3]),
    "diagonal": lambda W: (jnp.trace(W), jnp.diag(W, 1), jnp.diagonal(W, -1)),
    "symmetric": lambda W: (W[:, :4] + W[:, :4].T) @ x[:4],
    "barrier": lambda W: lax.optimization_barrier(W) @ x,
    "ranks": lambda W: lax.cond(x[0] > 0, lambda: W, lambda: W - 2 * W[::-1]) @ x,
    "einsum": lambda W: jnp.einsum("ij,kj,i->k", W, jnp.ones((2, 6)), jnp.ones(4)),
    "W@W.T": lambda W: W @ W.T,
    "tensordot": lambda W: jnp.tensordot(W, W, 2),
    "outer": lambda W: jnp.tensordot(W, x, 0),
    "preferred": lambda W: lax.dot(X, W, preferred_element_type=jnp.float32),
    "vmap_rows": lambda W: jax.vmap(lambda r: r @ x)(W),
    "vmap_columns": lambda W: jax.vmap(lambda c: c @ X[0], in_axes=1)(W),
    "remat": lambda W: jax.checkpoint(lambda W: jnp.tanh(W @ x))(W),
    "jit": lambda W: jax.jit(lambda W: -W)(W) @ x,
    "loop": lambda W: lax.fori_loop(0, 3, lambda n, c: (W @ c) @ W / 9, x),
    "astype": lambda W: W.astype(jnp.float16).astype(jnp.float32) @ x,
    "grad_x": lambda W: jax.grad(lambda x: jnp.sin(W @ x).sum())(x),
    "jvp_x": lambda W: jax.jvp(lambda x: jnp.sin(W @ x), (x,), (x + 1,)),
    "cond": lambda W: lax.cond(x[0] > 0, lambda: W @ x, lambda: 2 * W @ x),
}
STACKED = {
    "S@x": lambda S: S @ x,
    "vmap": lambda S: jax.vmap(lambda W: W @ x)(S),
    "scan": lambda S: lax.scan(lambda c, W: (c + W @ x, W[0]), jnp.zeros(4), S),
    "scan_layers": lambda S: lax.scan(lambda h, W: (jnp.tanh(W @ h) @ W, None), x, S)[0],
    "index": lambda S: S[2] @ x,
    "gather": lambda S: S[i] @ x,
    "vmap_index": lambda S: jax.vmap(lambda n: S[n] @ x)(i),
    "einsum": lambda S: jnp.einsum("bij,bj->bi", S, jnp.ones((5, 6))),
    "transpose": lambda S: S.transpose(1, 0, 2) @ x,
    "transpose_2": lambda S: S.transpose(2, 1, 0)[0, 1],
    "sum_batch": lambda S: S.sum(0) @ x,
}
CONVOLUTIONS = {
    "strides": lambda K: lax.conv(image, K, (1, 2), "SAME"),
    "scaled": lambda K: lax.conv(image, K * 2, (1, 1), "VALID"),
    "dilated": lambda K: lax.conv_general_dilated(image, K, (1, 1), "SAME", rhs_dilation=(2, 1)),
    "groups": lambda K: lax.conv_general_dilated(image6, K, (1, 1), "SAME", feature_group_count=2),
    "transposed": lambda K: lax.conv_transpose(
        image6[:, :4], K, (2, 2), "SAME", dimension_numbers=("NCHW", "IOHW", "NCHW")
    ),
    "grad_image": lambda K: jax.grad(lambda z: (lax.conv(z, K, (2, 1), "SAME") ** 2).sum())(image),
    "vmap": lambda K: jax.vmap(lambda z: lax.conv(z[None], K, (1, 1), "SAME")[0])(image),
    "NHWC": lambda K: lax.conv_general_dilated(
        image.transpose(0, 2, 3, 1),
        K.transpose(2, 3, 1, 0),
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ),
    "window_sum": lambda K: K.sum((2, 3)) @ jnp.ones(3),
    "as_matrix": lambda K: K.reshape(4, 18) @ jnp.ones(18),
}
CASES = [
    (value, f, name)
    for value, table in ((W, MATRIX), (STACK, STACKED), (KERNEL, CONVOLUTIONS))
    for name, f in table.items()
]


def close(actual, expected, rtol=3e-4, atol=3e-4):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, e, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("value", "f", "name"), CASES, ids=lambda c: c if type(c) is str else "")
def test_against_multiplied_out(value, f, name):
    with jax.numpy_rank_promotion("allow"):
        tolerance = 3e-2 if name == "astype" else 3e-4
        close(quaxify(f)(value), f(value.merged()), tolerance, tolerance)


@pytest.mark.parametrize("name", ["W@x", "gather", "sum", "concatenate"])
def test_under_jit_and_vmap_outside(name):
    f = MATRIX[name]
    close(jax.jit(quaxify(f))(W), f(W.merged()))
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), W)
    merged = jnp.stack([W.merged(), 2 * W.weight + 4 * W.update()])
    close(jax.vmap(quaxify(f))(two), jax.vmap(f)(merged), 1e-3, 1e-3)


def test_lazy_results_stay_lazy():
    for f in (lambda W: W.T, lambda W: 2 * W, lambda W: W[1:3], lambda W: W + 1, lambda W: W - W):
        assert type(quaxify(f)(W)) is LoraArray


@pytest.mark.parametrize("training", [False, True])
def test_flops_are_those_of_the_formula(training):
    value = LoraArray(jr.normal(jr.key(0), (64, 96)), rank=4, key=jr.key(1))
    batch = jnp.ones((32, 64))

    def ours(ab, weight, x):
        w = eqx.tree_at(lambda w: (w.a, w.b, w.weight), value, (*ab, weight))
        return jnp.sum(quaxify(lambda w, x: x @ w)(w, x) ** 2)

    def formula(ab, weight, x):
        return jnp.sum((x @ weight + (x @ ab[0]) @ ab[1]) ** 2)

    def flops(f):
        f = jax.value_and_grad(f) if training else f
        args = ((value.a, value.b), value.weight, batch)
        cost = jax.jit(f).lower(*args).compile().cost_analysis()
        return (cost[0] if isinstance(cost, list) else cost)["flops"]

    assert flops(ours) == flops(formula)


def test_whole_array_is_refused():
    def call():
        return quaxify(lambda w: jnp.tanh(w))(W)  # HERE

    assert_raises(
        RuleError,
        call,
        "`tanh` needs all elements of `LoraArray(f32[4,6], rank=2)`, whose update of rank 2 is not "
        "multiplied out.\n{place}\nPass `allow_materialise=True`, or `merge` the model first.",
    )
    allowed = lora((4, 6), allow_materialise=True)
    close(quaxify(jnp.tanh)(allowed), jnp.tanh(allowed.merged()))
    with pytest.raises(RuleError, match="Refusing to materialise"):
        W.materialise()


def test_initial_update_is_zero_and_arguments_are_checked():
    value = LoraArray(jnp.ones((3, 4)), rank=2, key=jr.key(0))
    assert (value.update() == 0).all() and value.a.shape == (3, 2) and value.b.shape == (2, 4)
    assert LoraArray(jnp.ones((3, 4)), rank=4, alpha=8, key=jr.key(0)).scaling == 2.0
    stabilised = LoraArray(jnp.ones((3, 4)), rank=4, alpha=8, rank_stabilised=True, key=jr.key(0))
    assert stabilised.scaling == 4.0
    for bad in (jnp.ones(3), jnp.ones((2, 2), int)):
        with pytest.raises(ValueError, match="inexact weight of two axes"):
            LoraArray(bad, rank=1, key=jr.key(0))
    with pytest.raises(ValueError, match="at least 1"):
        LoraArray(jnp.ones((2, 2)), rank=0, key=jr.key(0))


# -- models ---------------------------------------------------------------------------------------


class Model(eqx.Module):
    embedding: eqx.nn.Embedding
    attention: eqx.nn.MultiheadAttention
    norm: eqx.nn.LayerNorm
    conv: eqx.nn.Conv1d
    upsample: eqx.nn.ConvTranspose1d
    out: eqx.nn.Linear

    def __init__(self):
        keys = jr.split(jr.key(0), 5)
        self.embedding = eqx.nn.Embedding(11, 8, key=keys[0])
        self.attention = eqx.nn.MultiheadAttention(2, 8, key=keys[1])
        self.norm = eqx.nn.LayerNorm(8)
        self.conv = eqx.nn.Conv1d(8, 6, 3, key=keys[2])
        self.upsample = eqx.nn.ConvTranspose1d(6, 4, 2, stride=2, key=keys[3])
        self.out = eqx.nn.Linear(4, 3, key=keys[4])

    def __call__(self, tokens):
        h = jax.vmap(self.embedding)(tokens)
        h = jax.vmap(self.norm)(h + self.attention(h, h, h))
        return jax.vmap(self.out)(self.upsample(self.conv(h.T)).T)


TOKENS = jnp.asarray([1, 4, 3, 7, 10])


def adapted(**options):
    model = loraify(Model(), rank=2, scale=0.5, key=jr.key(1), **options)
    return jax.tree.map(
        lambda v: (
            eqx.tree_at(lambda w: w.b, v, jr.normal(jr.key(3), v.b.shape)) if is_value(v) else v
        ),
        model,
        is_leaf=is_value,
    )


@pytest.fixture
def loose():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def test_every_layer_of_a_model(loose):
    model = adapted(alpha=4.0)
    assert sum(map(is_value, jax.tree.leaves(model, is_leaf=is_value))) == 8
    batch = jnp.stack([TOKENS, TOKENS[::-1]])
    expected = jax.vmap(merge(model))(batch)
    close(eqx.filter_jit(quaxify(model))(TOKENS), expected[0])
    close(jax.jit(jax.vmap(quaxify(model)))(batch), expected)
    close(eqx.filter_jit(quaxify(lambda m, t: jax.vmap(m)(t)))(model, batch), expected)


def test_gradients_reach_the_factors_alone(loose):
    model = adapted()
    grads = eqx.filter_grad(lambda m: jnp.sum(quaxify(m)(TOKENS) ** 2))(model)

    def dense(ab):
        full = eqx.tree_at(
            lambda m: m.out.weight, merge(model), model.out.weight.weight + ab[0] @ ab[1]
        )
        return jnp.sum(full(TOKENS) ** 2)

    weight = model.out.weight
    expected = jax.grad(dense)((weight.a, weight.b))
    close((grads.out.weight.a, grads.out.weight.b), expected, 1e-3, 1e-2)
    for g in jax.tree.leaves(grads, is_leaf=is_value):
        if is_value(g):
            assert (g.weight == 0).all() and jnp.any(g.a != 0) and jnp.any(g.b != 0)


def test_only_adapters_are_trained_and_saved(loose):
    model = adapted()
    trained, frozen = eqx.partition(model, adapter_filter(model))
    assert len(jax.tree.leaves(trained)) == 16
    grads = jax.grad(lambda t: jnp.sum(quaxify(eqx.combine(t, frozen))(TOKENS) ** 2))(trained)
    assert all(jnp.any(g != 0) for g in jax.tree.leaves(grads))
    file = io.BytesIO()
    save_adapters(file, model)
    n_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(extract_adapters(model)))
    assert n_bytes < file.tell() < n_bytes + 200 * 16
    file.seek(0)
    fresh = loraify(Model(), rank=2, key=jr.key(7))
    assert not eqx.tree_equal(fresh, model)
    assert eqx.tree_equal(read_adapters(file, fresh), model)
    with pytest.raises(ValueError, match="shapes|structure"):
        from sciquax.lora import load_adapters

        load_adapters(loraify(Model(), rank=1, key=jr.key(7)), extract_adapters(model))


def test_merge_and_unmerge(loose):
    model = adapted()
    for adapters in (model, extract_adapters(model)):
        back = unmerge(merge(model), adapters)
        close(back.out.weight.weight, model.out.weight.weight, 1e-4, 1e-5)
        close(quaxify(back)(TOKENS), quaxify(model)(TOKENS), 1e-3, 1e-3)


def test_where():
    model = Model()
    only = loraify(model, rank=2, key=jr.key(0), where=lambda m: m.attention)
    assert sum(map(is_value, jax.tree.leaves(only, is_leaf=is_value))) == 4
    one = loraify(model, rank=2, key=jr.key(0), where=lambda m: [m.out.weight])
    assert is_value(one.out.weight) and not is_value(one.conv.weight)
    bare = {"w": jnp.ones((3, 4)), "b": jnp.ones(3)}
    assert is_value(loraify(bare, rank=1, key=jr.key(0), where=lambda x: x.ndim == 2)["w"])
    with pytest.raises(ValueError, match="found no weights"):
        loraify(bare, rank=1, key=jr.key(0))


def test_stacked_layers_under_scan(loose):
    make = eqx.filter_vmap(lambda key: eqx.nn.Linear(4, 4, key=key))
    layers = loraify(make(jr.split(jr.key(0), 3)), rank=2, scale=1.0, key=jr.key(1))
    layers = eqx.tree_at(lambda m: m.weight.b, layers, jr.normal(jr.key(2), (3, 2, 4)))

    def forward(layers, h):
        dynamic, static = eqx.partition(layers, eqx.is_array)
        return lax.scan(lambda h, m: (jnp.tanh(eqx.combine(m, static)(h)), None), h, dynamic)[0]

    close(quaxify(forward)(layers, jnp.ones(4)), forward(merge(layers), jnp.ones(4)))


def test_dropout_masks_input_features():
    model = loraify(eqx.nn.Linear(64, 3, key=jr.key(0)), rank=2, dropout=0.5, key=jr.key(1))
    model = eqx.tree_at(lambda m: m.weight.b, model, jnp.ones((2, 64)))
    b = lora_dropout(model, key=jr.key(2)).weight.b
    assert set(np.unique(b)) == {0.0, 2.0} and 16 < (b[0] == 0).sum() < 48
    assert (b[0] == b[1]).all()
    assert eqx.tree_equal(lora_dropout(Model(), key=jr.key(2)), Model())


def test_with_units():
    q, force = Quantity(W, "N/m"), Quantity(x, "m")
    out = quaxify(lambda K, u: K @ u)(q, force)
    assert str(out.units) == "newton"
    close(out.m, W.merged() @ x)
    inside = LoraArray(Quantity(W.weight, "N/m"), rank=2, key=jr.key(0))
    inside = eqx.tree_at(lambda w: (w.a, w.b), inside, (W.a, W.b * 1.5))
    out = quaxify(lambda K, u: K.T @ u)(inside, Quantity(X[0], "m"))
    assert str(out.units) == "newton"
    close(out.m, X[0] @ W.merged())
