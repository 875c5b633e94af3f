"""Scales of activations from data, and the errors of layers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.lora import loraify
from sciquax.quantised import calibrate, quantisation_errors, quantise, quantise_model
from tests.helpers import assert_raises

MLP = eqx.nn.MLP(16, 4, 32, 1, key=jr.key(0))
X = jr.normal(jr.key(1), (24, 16))


def forward(model, batch):
    return jax.vmap(model)(batch)


pytestmark = pytest.mark.usefixtures("lenient")


def dots(jaxpr):
    """The dtypes that products meet in."""
    for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        if eqn.primitive.name == "dot_general":
            yield eqn.invars[0].aval.dtype.name
        for p in eqn.params.values():
            for inner in p if isinstance(p, (tuple, list)) else (p,):
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from dots(inner)


def test_a_model_in_integers():
    quantised = quantise_model(MLP)
    model = calibrate(quantised, [X[:12], X[12:]], call=forward)
    run = quaxify(forward)
    assert list(dots(jax.make_jaxpr(lambda x: run(model, x))(X))) == ["int8", "int8"]
    assert list(dots(jax.make_jaxpr(lambda x: run(quantised, x))(X))) == ["float32"] * 2
    exact = forward(MLP, X)
    for actual in (run(model, X), eqx.filter_jit(run)(model, X), jax.vmap(quaxify(model))(X)):
        assert jnp.abs(actual - exact).max() < 0.03 * jnp.abs(exact).max()
    # The first layer by hand, of codes on both sides.
    layer = model.layers[0]
    scale = jnp.abs(X).max() / 127
    np.testing.assert_allclose(layer.weight.input_scale, jnp.full((1, 16), scale), rtol=1e-6)
    rounded = jnp.round(X / scale) * scale
    expected = rounded @ layer.weight.dequantise().T + layer.bias
    np.testing.assert_allclose(jax.vmap(quaxify(layer))(X), expected, rtol=1e-4, atol=1e-4)


def test_gradients_pass_straight_through():
    layer = calibrate(quantise_model(MLP.layers[0]), [X], call=forward)
    slope = jr.normal(jr.key(3), (24, 32))
    expected = slope @ layer.weight.dequantise()
    loss = lambda x: jnp.sum(slope * quaxify(forward)(layer, x))
    np.testing.assert_allclose(jax.grad(loss)(X), expected, rtol=1e-4, atol=1e-5)
    inside = quaxify(jax.grad(lambda x: jnp.sum(slope * forward(layer, x))))(X)
    np.testing.assert_allclose(inside, expected, rtol=1e-4, atol=1e-5)
    # The product of a derivative is with other numbers, which have no such scale.
    back = jax.make_jaxpr(quaxify(lambda w, y: y @ w))(layer.weight, slope)
    assert list(dots(back)) == ["float32"]


def test_products_of_every_form():
    w = jr.normal(jr.key(3), (16, 5))
    for value, call in (
        (quantise(w, axis=1), lambda w, x: x @ w),
        (quantise(w.T, axis=0), lambda w, x: x @ w.T),
        (quantise(w.T, "int4"), lambda w, x: (w @ x.T).T),
        (quantise(w.T, axis=0, symmetric=False), lambda w, x: jnp.einsum("oi,bi->bo", w, x)),
    ):
        found = calibrate(value, [X], call=call)
        y = quaxify(call)(found, X)
        expected = call(value.dequantise(), X)
        assert list(dots(jax.make_jaxpr(quaxify(call))(found, X))) == ["int8"]
        assert jnp.abs(y - expected).max() < 0.03 * jnp.abs(expected).max()
        assert jnp.abs(y - expected).max() > 0


def test_stacked_layers_and_lora():
    layers = eqx.filter_vmap(lambda key: eqx.nn.Linear(16, 16, key=key))(jr.split(jr.key(0), 3))

    def scanned(layers, h):
        arrays, static = eqx.partition(layers, eqx.is_array)
        step = lambda h, layer: (jnp.tanh(eqx.combine(layer, static)(h)), None)
        return lax.scan(step, h, arrays)[0]

    model = calibrate(quantise_model(layers, axis=(0, 1)), X[:3], call=scanned)
    assert model.weight.input_scale.shape == (3, 1, 16)
    exact = scanned(layers, X[0])
    assert jnp.abs(quaxify(scanned)(model, X[0]) - exact).max() < 0.03
    outside = jax.vmap(lambda layer: quaxify(layer)(X[0]))(model)
    assert jnp.abs(outside - jax.vmap(lambda layer: layer(X[0]))(layers)).max() < 0.03
    qlora = loraify(quantise_model(MLP), rank=2, key=jr.key(2))
    weight = calibrate(qlora, [X], call=forward).layers[0].weight
    assert weight.weight.input_scale.shape == (1, 16)


def test_clipped_activations():
    outlier = X.at[3, 2].set(100.0)
    q = quantise_model(MLP.layers[0])
    scales = [
        float(calibrate(q, [outlier], call=forward, clip=c).weight.input_scale[0, 0])
        for c in (None, "mse", 99.0)
    ]
    assert scales[0] == pytest.approx(100 / 127) and scales[2] < 5 / 127
    assert scales[1] <= scales[0]


def test_what_has_no_such_scale():
    """Formats without integers, and scales that vary along what is summed, stay as they are."""
    blocks = quantise_model(MLP, block_size=4)
    assert calibrate(blocks, [X], call=forward).layers[0].weight.input_scale is None
    for call, message in (
        (
            lambda: calibrate(quantise_model(MLP, "nf4"), [X], call=forward),
            "`calibrate` found no weights of int8 or int4 in the model.",
        ),
        (
            lambda: calibrate(quantise_model(MLP), [X], call=lambda m, b: b),
            "`calibrate` ran the model, in which no quantised weight was contracted.",
        ),
        (
            lambda: calibrate(quantise_model(MLP), [X], call=forward, clip="best"),
            "`clip` is None, 'mse' or a percentile up to 100, not 'best'.",
        ),
    ):
        assert_raises(ValueError, call, message)


def test_errors_by_layer():
    errors = quantisation_errors(MLP, quantise_model(MLP, "int4", axis=0))
    assert list(errors) == sorted(errors, key=lambda name: -errors[name])
    w = MLP.layers[0].weight
    exact = float(jnp.linalg.norm(quantise(w, "int4", axis=0).dequantise() - w))
    assert errors["layers.0"] == pytest.approx(exact / float(jnp.linalg.norm(w)), rel=1e-5)
    finer = quantisation_errors(MLP, quantise_model(MLP, "int4", clip="mse"))
    assert all(finer[name] <= errors[name] for name in errors)
