"""Arrays with structure over eight devices: placed, computed with, donated and saved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

from sciquax import quaxify
from sciquax.lora import LoraArray
from sciquax.named import NamedArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.structured import TridiagonalMatrix
from sciquax.units import Quantity

pytestmark = pytest.mark.skipif(jax.device_count() < 8, reason="needs eight devices")
N = 16
W = jnp.asarray(np.sin(np.arange(N * N, dtype=np.float32)).reshape(N, N))
X = jnp.arange(1.0, N + 1)


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))


def spread(tree, mesh):
    """Each array over the devices by its first axis that divides by eight."""

    def place(x):
        axes = [i for i, n in enumerate(x.shape) if n % 8 == 0 and n]
        spec = [None] * x.ndim
        if axes:
            spec[axes[0]] = "d"
        return jax.device_put(x, NamedSharding(mesh, P(*spec)))

    return jax.tree.map(place, tree)


BATCH = TridiagonalMatrix(W[:, :3], 4.0 + W[:, 3:7], W[:, 7:10])  # sixteen of them
VALUES = {
    "batch of tridiagonal": (lambda: BATCH, lambda a, x: jnp.linalg.solve(a, W[:, 1:5, None])),
    "diagonals of a length": (
        lambda: Quantity(TridiagonalMatrix(W[0, 1:], 4.0 + W[1], W[2, 1:]), "m"),
        lambda a, x: a @ x,
    ),
    "quantised": (lambda: quantise(W, axis=0), lambda a, x: a @ x),
    "low rank": (lambda: LoraArray(W, rank=2, key=jax.random.key(0)), lambda a, x: x @ a),
    "sparse": (lambda: BCOO.from_dense(jnp.where(W > 0.5, W, 0.0)), lambda a, x: a @ x),
    "names and units": (
        lambda: NamedArray(Quantity(W, "km"), ("i", "j")),
        lambda a, x: jnp.sum(a * a, axis=0) / jnp.max(a),
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_sharded(name, mesh):
    make, f = VALUES[name]
    value = make()
    run = jax.jit(quaxify(f))
    expected = run(value, X)
    sharded = spread(value, mesh)
    leaves = jax.tree.leaves(sharded)
    assert any(len(x.sharding.device_set) == 8 for x in leaves if x.ndim)
    actual = run(sharded, spread(X, mesh))
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["diagonals of a length", "names and units"])
def test_donated(name, mesh):
    value = spread(VALUES[name][0](), mesh)
    double = jax.jit(quaxify(lambda a: 2.0 * a), donate_argnums=0)
    out = double(value)
    assert jax.tree.structure(out) == jax.tree.structure(value)
    assert any(x.is_deleted() for x in jax.tree.leaves(value))


def test_saved_and_restored_in_place(mesh, tmp_path):
    """Orbax keeps unit and sharding, and refuses metres for seconds."""
    ocp = pytest.importorskip("orbax.checkpoint")
    del ocp
    from sciquax.interop import orbax

    value = {"q": Quantity(jnp.arange(16.0), "km"), "x": jnp.arange(8)}
    sharded = spread(value, mesh)
    orbax.save(tmp_path / "checkpoint", sharded)
    restored = orbax.restore(tmp_path / "checkpoint", sharded)
    assert restored["q"].units == value["q"].units
    np.testing.assert_array_equal(restored["q"].m, value["q"].m)
    assert len(restored["q"].m.sharding.device_set) == 8
