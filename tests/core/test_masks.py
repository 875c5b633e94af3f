"""Trees with values that are split and combined, as Equinox users split models."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import quaxify
from sciquax.core.internal import is_masked
from sciquax.lora import LoraArray
from sciquax.named import NamedArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.structured import DiagonalMatrix, ToeplitzMatrix
from sciquax.units import Quantity as Q
from sciquax.zero import Zero

from ..structured.specimens import SPECIMENS

VALUES = {
    "quantity": Q(jnp.array([2.0, 3.0]), "m"),
    "whole number": Q(2, "m"),
    "named": NamedArray(jnp.arange(2.0), ("x",)),
    "named quantity": NamedArray(Q(jnp.arange(2.0), "m"), ("x",)),
    "diagonal": DiagonalMatrix(jnp.array([1.0, 2.0])),
    "diagonal in m": Q(DiagonalMatrix(jnp.array([1.0, 2.0])), "m"),
    "Toeplitz": ToeplitzMatrix(jnp.array([1.0, 2.0]), jnp.array([1.0, 3.0])),
    "lora": LoraArray(jnp.ones((3, 2)), rank=1, key=jax.random.key(0)),
    "sparse": BCOO.from_dense(jnp.array([[0.0, 2.0], [3.0, 0.0]])),
    "sparse in m": Q(BCOO.from_dense(jnp.array([[0.0, 2.0], [3.0, 0.0]])), "m"),
    "zero": Zero((2,), jnp.float32),
    "quantised": quantise(jnp.array([[0.5, -1.0], [2.0, 3.0]])),
}


@pytest.fixture(params=VALUES, ids=str)
def model(request):
    return {"weight": VALUES[request.param], "bias": jnp.array([1.0, -1.0]), "steps": 3}


def total(model):
    return (jnp.sum(model["weight"]), model["steps"] * jnp.sum(model["bias"]))


def same(found, expected):
    as_arrays = lambda tree: [np.asarray(x) for x in jax.tree.leaves(tree)]
    for a, b in zip(as_arrays(found), as_arrays(expected), strict=True):
        np.testing.assert_allclose(a, b)


HALVES = [lambda a, b: eqx.combine(a, b), lambda a, b: eqx.combine(b, a)]


@pytest.mark.parametrize("combine", HALVES, ids=["first", "second"])
def test_halves_as_arguments(model, combine):
    diff, static = eqx.partition(model, eqx.is_inexact_array)
    expected = quaxify(total)(model)
    run = quaxify(lambda diff, static: total(combine(diff, static)))
    same(run(diff, static), expected)
    same(eqx.filter_jit(run)(diff, static), expected)
    same(quaxify(lambda diff: total(combine(diff, static)))(diff), expected)  # captured
    assert "None" in repr(static) + str(diff) or type(model["weight"]) is Zero


def test_filter_specs_made_outside(model):
    spec = jax.tree.map(eqx.is_inexact_array, model)

    def run(model, spec):
        return total(eqx.combine(*eqx.partition(model, spec)))

    expected = quaxify(total)(model)
    same(quaxify(run)(model, spec), expected)
    same(quaxify(lambda model: run(model, spec))(model), expected)


def test_gradients_by_a_half(model):
    diff, static = eqx.partition(model, eqx.is_inexact_array)
    loss = lambda diff, static: total(eqx.combine(diff, static))[1] ** 2
    grads = sciquax.grad(loss)(diff, static)
    np.testing.assert_allclose(grads["bias"], 0.0)
    assert type(grads["weight"]) is type(diff["weight"])
    updated = eqx.apply_updates(diff, jax.tree.map(jnp.zeros_like, diff))
    assert jax.tree.structure(updated) == jax.tree.structure(diff)


def test_a_gradient_by_a_half_has_units():
    model = {"speed": Q(3.0, "m/s"), "count": Q(2, "kg")}
    diff, static = eqx.partition(model, eqx.is_inexact_array)

    def energy(diff, static):
        model = eqx.combine(diff, static)
        return 0.5 * model["count"] * model["speed"] ** 2

    grads = sciquax.grad(energy)(diff, static)
    assert grads["speed"].units == Q(1.0, "kg*m/s").units and grads["speed"].magnitude == 6.0
    assert grads["count"].magnitude is None


def test_a_function_of_masks_alone_is_just_called():
    _, static = eqx.partition({"x": Q(1.0, "m")}, eqx.is_inexact_array)
    assert quaxify(lambda tree: tree)(static) is static


def test_values_as_they_are_made_are_no_masks():
    with jax.numpy_rank_promotion("allow"):
        matrices = {spec.name: spec.make(np.random.default_rng(0)) for spec in SPECIMENS}
    assert not [name for name, value in (VALUES | matrices).items() if is_masked(value)]
