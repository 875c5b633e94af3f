"""Adapters as things of their own: how they start, files, PEFT's layout, several on one base."""

import io
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from sciquax import quaxify
from sciquax.core import is_value
from sciquax.lora import (
    DoraArray,
    LoraArray,
    adapter_filter,
    base_model,
    extract_adapters,
    factor_labels,
    loraify,
    merge,
    read_adapters,
    read_peft,
    save_adapters,
    save_peft,
    unmerge,
    with_adapters,
)
from sciquax.quantised import QuantisedArray, quantise_model
from tests.helpers import assert_raises


class Model(eqx.Module):
    embedding: eqx.nn.Embedding
    conv: eqx.nn.Conv1d
    cell: eqx.nn.GRUCell
    out: eqx.nn.Linear

    def __init__(self):
        keys = jr.split(jr.key(0), 4)
        self.embedding = eqx.nn.Embedding(11, 8, key=keys[0])
        self.conv = eqx.nn.Conv1d(8, 6, 3, padding=1, key=keys[1])
        self.cell = eqx.nn.GRUCell(6, 4, key=keys[2])
        self.out = eqx.nn.Linear(4, 3, key=keys[3])

    def __call__(self, tokens):
        h = self.conv(jax.vmap(self.embedding)(tokens).T).T
        return self.out(self.cell(h[1], jnp.ones(4)))


TOKENS = jnp.asarray([1, 4, 3])
BASE = Model()
ATTENTION = eqx.nn.MultiheadAttention(2, 8, key=jr.key(2))


def moved(model, seed=3):
    """As after some training: no update is zero, no magnitude what it was."""
    keys = iter(jr.split(jr.key(seed), 100))
    part, rest = eqx.partition(model, adapter_filter(model))
    part = jax.tree.map(lambda x: x + 0.3 * jr.normal(next(keys), x.shape), part)
    return eqx.combine(part, rest)


def adapted(seed=1, **options):
    return moved(loraify(BASE, rank=2, key=jr.key(seed), **options), seed)


pytestmark = pytest.mark.usefixtures("lenient")


@pytest.fixture(scope="module", params=["lora", "dora"])
def model(request):
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        return adapted(alpha=3.0, dora=request.param == "dora", dropout=0.25)


def run(model):
    return eqx.filter_jit(quaxify(lambda m, t: m(t)))(model, TOKENS)


def close(actual, expected, tolerance=1e-4):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


# -- how they start -------------------------------------------------------------------------------


def test_every_layer(model):
    assert sum(map(is_value, jax.tree.leaves(model, is_leaf=is_value))) == 5
    close(run(model), merge(model)(TOKENS))
    assert not np.allclose(run(model), BASE(TOKENS), atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"dora": True}, {"init": "pissa", "alpha": 5.0}])
def test_they_start_as_the_base(options):
    start = loraify(BASE, rank=2, key=jr.key(1), **options)
    close(run(start), BASE(TOKENS))
    for a, b in zip(jax.tree.leaves(merge(start)), jax.tree.leaves(BASE), strict=True):
        if eqx.is_array(a):
            close(a, b, 2e-6)


def test_attention_and_memory():
    """With magnitudes; `test_lora.py` has attention without, and the model above another cell."""
    h = jr.normal(jr.key(3), (5, 8))
    cell = eqx.nn.LSTMCell(8, 3, key=jr.key(4))
    for layer, call, count in (
        (ATTENTION, lambda layer: [layer(h, h, h)], 4),
        (cell, lambda layer: layer(h[0], (jnp.ones(3), jnp.ones(3))), 2),
    ):
        model = moved(loraify(layer, rank=2, key=jr.key(1), dora=True))
        assert sum(map(is_value, jax.tree.leaves(model, is_leaf=is_value))) == count
        for x, y in zip(eqx.filter_jit(quaxify(call))(model), call(merge(model)), strict=True):
            close(x, y)


def test_principal_components():
    weight = jr.normal(jr.key(0), (5, 8))
    lora = LoraArray(weight, rank=3, alpha=6, init="pissa", key=jr.key(1))
    u, s, vh = jnp.linalg.svd(weight, full_matrices=False)
    close(lora.update(), (u[:, :3] * s[:3]) @ vh[:3])
    close(jnp.linalg.norm(lora.weight, ord=2), s[3])
    close(lora.weight + lora.update(), weight)


def test_nothing_of_the_weights_size_is_made():
    def shapes(jaxpr):
        for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
            if eqn.primitive.name not in ("stop_gradient", "jit", "transpose"):
                yield from (v.aval.shape for v in eqn.outvars)
            for p in eqn.params.values():
                if hasattr(p, "eqns") or hasattr(p, "jaxpr"):
                    yield from shapes(p)

    lora = LoraArray(jr.normal(jr.key(0), (64, 96)), rank=2, key=jr.key(1))
    for f in (
        lambda w: jnp.linalg.norm(w, axis=1),
        lambda w: jnp.linalg.norm(w),
        lambda w: jnp.vdot(w, w),
        lambda w: jax.nn.relu(w @ jnp.ones(96)),
        lambda w: jax.nn.relu(jnp.ones((2, 96)) @ w.T),
    ):
        made = set(shapes(jax.make_jaxpr(quaxify(f))(lora)))
        assert (64, 96) not in made and (96, 64) not in made
    # Nor does a product with a DoRA weight.
    made = set(shapes(jax.make_jaxpr(quaxify(lambda w, x: w @ x))(DoraArray(lora), jnp.ones(96))))
    assert (64, 96) not in made


def test_magnitudes_take_a_factor():
    """A number, or one a row: the directions stay, in a loop too."""
    value = moved(DoraArray(LoraArray(jr.normal(jr.key(0), (4, 6)), rank=2, key=jr.key(1))))
    rows = jnp.asarray([[1.0], [-2.0], [0.5], [3.0]])
    for f in (
        lambda w: 2 * w,
        lambda w: -w / rows,
        lambda w: jax.lax.fori_loop(0, 3, lambda i, w: w * rows, w),
    ):
        out = quaxify(f)(value)
        assert type(out) is DoraArray
        np.testing.assert_array_equal(out.direction.weight, value.direction.weight)
        close(out.merged(), f(value.merged()))


DENSE = jr.normal(jr.key(5), (4, 6))
NORMS = {
    "whole": lambda w: jnp.linalg.norm(w),
    "rows": lambda w: jnp.linalg.norm(w, axis=1),
    "columns": lambda w: jnp.linalg.norm(w, axis=0, keepdims=True),
    "frobenius": lambda w: jnp.linalg.norm(w, "fro", axis=(0, 1), keepdims=True),
    "two": lambda w: jnp.linalg.norm(w, 2, axis=-1),
    "vdot": lambda w: jnp.vdot(w, w),
    "vdot_array": lambda w: jnp.vdot(DENSE, w),
    "vdot_update": lambda w: jnp.vdot(w, 2 * w - DENSE),
    "normalised": lambda w: (w / jnp.linalg.norm(w, axis=1, keepdims=True)) @ DENSE[0],
}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("dora", [False, True])
def test_norms(name, dora):
    f = NORMS[name]
    lora = LoraArray(jr.normal(jr.key(0), (4, 6)), rank=2, alpha=3, key=jr.key(1), scale=1.0)
    value = moved(DoraArray(lora) if dora else lora)
    close(quaxify(f)(value), f(value.merged()))
    factors = lambda v: (v.direction if dora else v).a

    def loss(a, merged):
        v = eqx.tree_at(factors, value, a)
        return jnp.sum(f(v.merged()) if merged else quaxify(f)(v))

    gradients = [jax.grad(loss)(factors(value), merged) for merged in (True, False)]
    close(gradients[1], gradients[0], 1e-3)
    stack = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), value)
    both = jnp.stack([f(jax.tree.map(lambda x, i=i: x[i], stack).merged()) for i in (0, 1)])
    close(jax.vmap(quaxify(f))(stack), both, 1e-3)


def test_dora_is_the_formula():
    """Value and gradients of equation 5 of the paper, the norm held constant as in 4.3."""
    lora = LoraArray(jr.normal(jr.key(0), (4, 6)), rank=2, alpha=3, key=jr.key(1), scale=1.0)
    value, x = moved(DoraArray(lora)), jr.normal(jr.key(9), (6,))

    def formula(parts):
        a, b, magnitude = parts
        v = value.direction.weight + 1.5 * a @ b
        norm = jax.lax.stop_gradient(jnp.linalg.norm(v, axis=1, keepdims=True))
        return jnp.sum(jnp.sin((magnitude[:, None] * v / norm) @ x))

    def ours(parts):
        where = lambda d: (d.direction.a, d.direction.b, d.magnitude)
        return quaxify(lambda w: jnp.sum(jnp.sin(w @ x)))(eqx.tree_at(where, value, parts))

    parts = (value.direction.a, value.direction.b, value.magnitude)
    for actual, expected in zip(
        jax.tree.leaves(jax.value_and_grad(ours)(parts)),
        jax.tree.leaves(jax.value_and_grad(formula)(parts)),
        strict=True,
    ):
        close(actual, expected)
    with pytest.raises(TypeError):
        DoraArray(jnp.ones((2, 2)))


def test_ranks_and_alphas_by_layer():
    model = loraify(
        {"attention": ATTENTION, "out": BASE.out},
        rank=2,
        alpha=2,
        rank_pattern={"query_proj": 4, "attention[.].*": 3, "out": 99},
        alpha_pattern={"key_proj|conv|out": 12},
        key=jr.key(0),
    )
    ranks = [getattr(model["attention"], f"{n}_proj").weight.rank for n in ("query", "key")]
    assert ranks == [4, 3] and model["out"].weight.rank == 3
    scalings = [getattr(model["attention"], f"{n}_proj").weight.scaling for n in ("query", "key")]
    assert scalings == [0.5, 4.0] and model["out"].weight.scaling == 4.0
    for pattern in ({"query": 4}, {"layers": 3}):
        with pytest.raises(ValueError, match="is the end of no layer's name"):
            loraify(ATTENTION, rank=2, rank_pattern=pattern, key=jr.key(0))


REFUSED = [
    (lambda: loraify(BASE, rank=0, key=jr.key(0)), "The rank of a LoraArray is at least 1, not 0."),
    (
        lambda: loraify(BASE, rank=2, rank_pattern={"out": -1}, key=jr.key(0)),
        "The rank of a LoraArray is at least 1, not -1.",
    ),
    (
        lambda: loraify(adapted(), rank=5, key=jr.key(0)),
        "`embedding` and 4 more has an adapter already. `base_model(model)` takes adapters off, "
        "`with_adapters` puts several on one base, `merge` makes them part of the weights.",
    ),
    (
        lambda: loraify(BASE, rank=2, init="svd", key=jr.key(0)),
        "`init` is 'zero' or 'pissa', not 'svd'.",
    ),
    (
        lambda: loraify(quantise_model(BASE), rank=2, init="pissa", key=jr.key(0)),
        "`init='pissa'` needs a plain weight, not QuantisedArray. A quantised one is made of the "
        "adapted model: `quantise_model(loraify(..., init='pissa'))`.",
    ),
    (
        lambda: base_model(loraify(BASE, rank=1, init="pissa", key=jr.key(0))),
        "The base of `embedding` lacks its principal components, which its adapter started from "
        "(`init='pissa'`): keep the model that was adapted, or `merge`.",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call, message):
    assert_raises(ValueError, call, message)


# -- several on one base --------------------------------------------------------------------------


def test_sums_of_adapters():
    one, two = adapted(1, alpha=3.0), adapted(2, where=lambda m: (m.out, m.conv, m.embedding))
    base = base_model(one)
    assert all(
        map(np.array_equal, jax.tree.leaves(eqx.filter(base, eqx.is_array)),
            jax.tree.leaves(eqx.filter(BASE, eqx.is_array)))
    )  # fmt: skip

    def expected(w, v):
        def add(x, y, z):
            plain = z.weight if is_value(z) else z
            return (
                x + w * (y.update() if is_value(y) else 0) + v * (z.update() if is_value(z) else 0)
                if eqx.is_array(x)
                else plain
            )

        return jax.tree.map(add, BASE, one, two, is_leaf=is_value)(TOKENS)

    both = with_adapters(BASE, one, extract_adapters(two), weights=[0.7, -1.5])
    assert both.out.weight.rank == 4 and both.cell.weight_hh.rank == 2
    close(run(both), expected(0.7, -1.5))
    close(run(with_adapters(two, one)), run(one))
    close(run(with_adapters(one, one, weights=[-1.0])), expected(-1.0, 0.0))
    mixed = jax.jit(
        jax.vmap(
            lambda w: quaxify(lambda m: m(TOKENS))(with_adapters(BASE, one, two, weights=w)),
        )
    )
    weights = jnp.asarray([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    close(mixed([weights[:, 0], weights[:, 1]]), jnp.stack([expected(*w) for w in weights]))


def test_adapters_that_do_not_go_together():
    dora, one = adapted(dora=True), adapted()
    close(run(with_adapters(BASE, dora)), run(dora))
    cases = [
        (
            lambda: with_adapters(BASE),
            "`with_adapters` needs an adapter; `base_model` takes them off.",
        ),
        (lambda: with_adapters(BASE, one, weights=[1, 2]), "There are 2 weights for 1 adapters."),
        (
            lambda: with_adapters(BASE, one, dora),
            "`embedding` has magnitudes (DoRA), of which there is no weighted sum: give one "
            "adapter, without weights.",
        ),
        (
            lambda: with_adapters(BASE, loraify(BASE, rank=1, init="pissa", key=jr.key(0))),
            "The adapter of `embedding` (`init='pissa'`) has a base of its own.",
        ),
        (
            lambda: with_adapters(eqx.nn.Linear(4, 3, key=jr.key(0)), one.out.weight),
            "The model has no weight at ``, which is adapted.",
        ),
        (
            lambda: with_adapters(eqx.nn.Linear(4, 5, key=jr.key(0)), one.out),
            "The adapter of `weight` has factors of shapes (3, 2) and (2, 4), which do not fit a "
            "weight of shape (5, 4).",
        ),
    ]
    for call, message in cases:
        assert_raises(ValueError, call, message)


def test_merging_into_quantised_bases():
    qlora = moved(loraify(quantise_model(BASE, "int8"), rank=2, key=jr.key(1)))
    merged = merge(qlora, requantise=True)
    weights = [x for x in jax.tree.leaves(merged, is_leaf=is_value) if is_value(x)]
    assert len(weights) == 5 and {type(x) for x in weights} == {QuantisedArray}
    plain = merge(qlora)
    assert not any(map(is_value, jax.tree.leaves(plain, is_leaf=is_value)))
    close(plain(TOKENS), run(qlora))
    close(run(merged), run(qlora), 0.05)
    error = jnp.abs(merged.out.weight.dequantise() - plain.out.weight)
    assert (error <= 0.51 * merged.out.weight.scale).all()
    blocks = moved(loraify(quantise_model(BASE, "nf4", block_size=4), rank=2, key=jr.key(1)))
    assert merge(blocks, requantise=True).out.weight.format == "nf4"
    assert merge(adapted(), requantise=True).out.weight.shape == (3, 4)
    dora = adapted(dora=True)
    assert_raises(
        Exception,
        lambda: unmerge(merge(dora), dora),
        "`unmerge` takes plain weights apart by `LoraArray`s, not ArrayImpl by DoraArray.\n"
        "Keep the model that was merged.",
    )


def test_two_learning_rates(model):
    trained = eqx.filter(model, adapter_filter(model))
    rates = {"a": optax.sgd(16.0), "b": optax.sgd(1.0), "magnitude": optax.sgd(0.0)}
    optimiser = optax.multi_transform(rates, factor_labels)
    ones = jax.tree.map(jnp.ones_like, trained)
    updates, _ = optimiser.update(ones, optimiser.init(trained), trained)
    dora = type(model.out.weight) is DoraArray
    lora = updates.out.weight.direction if dora else updates.out.weight
    assert (lora.a == -16).all() and (lora.b == -1).all()
    if dora:
        assert (updates.out.weight.magnitude == 0).all()


# -- files ----------------------------------------------------------------------------------------


def saved(model):
    file = io.BytesIO()
    save_adapters(file, model)
    file.seek(0)
    return file


def same(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        if eqx.is_array(e):
            np.testing.assert_array_equal(a, e)


def test_files_hold_all_of_an_adapter(model, tmp_path):
    """Into the base, and into a model of another alpha: the same model comes back."""
    save_adapters(tmp_path / "adapters.safetensors", model)
    dora = type(model.out.weight) is DoraArray
    for into in (BASE, loraify(BASE, rank=2, alpha=77.0, dora=dora, key=jr.key(8))):
        same(read_adapters(tmp_path / "adapters.safetensors", into), model)
    size = sum(x.nbytes for x in jax.tree.leaves(extract_adapters(model)))
    assert size < (tmp_path / "adapters.safetensors").stat().st_size < size + 400 * 12
    quantised = read_adapters(saved(model), quantise_model(BASE))
    weight = quantised.conv.weight.direction if dora else quantised.conv.weight
    assert type(weight.weight) is QuantisedArray


def test_files_of_half_precision_and_stacks():
    half = LoraArray(jnp.ones((3, 4, 5), jnp.bfloat16), rank=2, key=jr.key(0))
    file = saved({"layers": half})
    same(read_adapters(file, {"layers": half.weight}), {"layers": half})
    start = loraify(BASE, rank=2, init="pissa", key=jr.key(1))
    same(read_adapters(saved(moved(start)), start), moved(start))


def test_files_that_do_not_fit():
    one = adapted()
    head = saved(adapted(where=lambda m: m.out))
    wide = {"weight": jnp.ones((5, 4))}
    cases = [
        (
            lambda: read_adapters(io.BytesIO(b"something else"), BASE),
            "This is no safetensors file.",
        ),
        (
            lambda: read_adapters(saved(one), BASE.out),
            "The file has an adapter of `embedding`, which the model has not.",
        ),
        (
            lambda: read_adapters(head, one),
            "The model has an adapter of `embedding`, the file has none. Read the file into "
            "`base_model(model)`.",
        ),
        (
            lambda: read_adapters(saved(one), loraify(BASE, rank=1, key=jr.key(0))),
            "The adapter of `embedding` has rank 1 in the model and 2 in the file.",
        ),
        (
            lambda: read_adapters(saved(one), adapted(dora=True)),
            "The adapter of `embedding` has kind 'dora' in the model and 'lora' in the file.",
        ),
        (
            lambda: read_adapters(saved(loraify(BASE, rank=1, init="pissa", key=jr.key(0))), BASE),
            "The adapter of `embedding` started from the weight's principal components, which the "
            "model still has: read it into `loraify(model, init='pissa', rank=1, ...)`.",
        ),
        (
            lambda: read_adapters(saved(adapted(where=lambda m: m.out).out), wide),
            "The adapter of `weight` has factors of shapes (3, 2) and (2, 4), which do not fit a "
            "weight of shape (5, 4).",
        ),
        (lambda: save_adapters(io.BytesIO(), BASE), "The model has no adapters to write."),
    ]
    for call, message in cases:
        assert_raises(ValueError, call, message)
    content = saved(one).read()
    with pytest.raises(ValueError, match="The file ends within"):
        read_adapters(io.BytesIO(content[:-1]), BASE)


def test_the_layout_of_peft(tmp_path):
    """Names and shapes as PEFT writes them, there and back."""
    linear = lambda m: (m.out, m.conv)
    for options in ({"alpha": 3.0, "rank_pattern": {"out": 1}}, {"dora": True}):
        model = adapted(where=linear, **options)
        save_peft(tmp_path, model, rename=lambda name: "block." + name)
        config = json.loads((tmp_path / "adapter_config.json").read_text())
        assert config["peft_type"] == "LORA" and config["r"] == 2
        assert config["target_modules"][-1] == "block.out"
        back = read_peft(tmp_path, BASE, rename=lambda name: "block." + name)
        close(run(back), run(model))
        with pytest.raises(ValueError, match="has an adapter of `block"):
            read_peft(tmp_path, BASE)
    embedding = adapted(where=lambda m: (m.embedding, m.out), dropout=0.5)
    save_peft(tmp_path, embedding)
    same(read_peft(tmp_path, BASE), embedding)
    with pytest.raises(ValueError, match="PEFT has no layout for `embedding`"):
        save_peft(tmp_path, adapted(dora=True))


def test_a_file_of_peft(tmp_path):
    """What PEFT 0.18 writes for two linear layers, a convolution and an embedding, by hand."""
    from sciquax.lora._safetensors import to_bytes

    rng = np.random.default_rng(0)
    factor = lambda *shape: rng.normal(size=shape).astype(np.float32)
    layers = {
        "out": (factor(4, 4), factor(3, 4)),
        "cell.weight_hh": (factor(2, 4), factor(12, 2)),
        "conv": (factor(2, 8, 3), factor(6, 2, 1)),
    }
    prefix = "base_model.model."
    arrays = {
        f"{prefix}{n}.lora_{x}.weight": f
        for n, ab in layers.items()
        for x, f in zip("AB", ab, strict=True)
    }  # noqa: E501
    table = (factor(2, 11), factor(8, 2))
    arrays |= {f"{prefix}embedding.lora_embedding_{x}": f for x, f in zip("AB", table, strict=True)}
    config = {
        "peft_type": "LORA", "r": 2, "lora_alpha": 8, "use_rslora": True, "use_dora": False,
        "bias": "none", "rank_pattern": {"out": 4}, "alpha_pattern": {"weight_hh": 4},
        "lora_dropout": 0.1, "init_lora_weights": True, "modules_to_save": None,
        "target_modules": ["out", "weight_hh", "conv", "embedding"],
    }  # fmt: skip

    def write(**changed):
        (tmp_path / "adapter_config.json").write_text(json.dumps(config | changed))
        (tmp_path / "adapter_model.safetensors").write_bytes(to_bytes(arrays, {"format": "pt"}))

    write()
    merged = merge(read_peft(tmp_path, BASE))
    root = 2**0.5
    A, B = layers["out"]
    close(merged.out.weight, BASE.out.weight + 8 / 2 * B @ A)
    A, B = layers["cell.weight_hh"]
    query = BASE.cell.weight_hh
    close(merged.cell.weight_hh, query + 4 / root * B @ A)
    A, B = layers["conv"]
    close(merged.conv.weight, BASE.conv.weight + 8 / root * np.einsum("orx,riw->oiw", B, A))
    A, B = table
    close(merged.embedding.weight, BASE.embedding.weight + 8 / root * (B @ A).T)
    for changed, message in (
        ({"peft_type": "LOHA"}, "`peft_type` = 'LOHA' of PEFT is not read here."),
        ({"bias": "all"}, "`bias` = 'all' of PEFT is not read here."),
        ({"modules_to_save": ["head"]}, "`modules_to_save` = ['head'] of PEFT is not read here."),
        ({"init_lora_weights": "pissa"}, "`init_lora_weights` = 'pissa' of PEFT is not read here."),
        (
            {"use_dora": True},
            "The magnitudes of `cell.weight_hh` are not as the configuration says.",
        ),  # noqa: E501
        (
            {"r": 3},
            "The factors of `cell.weight_hh` have ranks 2 and 2, the configuration says 3.",
        ),  # noqa: E501
    ):
        write(**changed)
        assert_raises(ValueError, lambda: read_peft(tmp_path, BASE), message)
    arrays["base_model.model.out.lora_B.bias"] = factor(3)
    write()
    with pytest.raises(ValueError, match="belongs to no adapter of LoRA"):
        read_peft(tmp_path, BASE)
