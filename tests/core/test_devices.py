"""Programs over eight devices: what plain JAX gives, and where plain JAX leaves it."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

from sciquax import quaxify
from sciquax.core import is_value
from sciquax.named import NamedArray
from sciquax.sparse import BCOO
from sciquax.structured import TridiagonalMatrix
from sciquax.units import Quantity

pytestmark = pytest.mark.skipif(jax.device_count() < 8, reason="needs eight devices")
X = jnp.asarray(np.sin(np.arange(48.0, dtype=np.float32)).reshape(16, 3)) + 2
BANDS = [X[:, :2], X + 3, X[:, 1:]]  # sixteen matrices of three rows
SPARSE = jnp.where(jnp.arange(64).reshape(16, 4) % 3 == 0, 1.5, 0.0)

KINDS = {
    "quantity": lambda: Quantity(X, "km"),
    "named quantity": lambda: NamedArray(Quantity(X, "km"), ("i", "j")),
    "tridiagonal": lambda: TridiagonalMatrix(*BANDS),
    "sparse": lambda: BCOO.from_dense(SPARSE),
}
EVERY = {
    "elementwise": lambda a: 2 * a + a,
    "jit": lambda a: jax.jit(lambda c: c * 2 - c)(a),
    "fori_loop": lambda a: lax.fori_loop(0, 3, lambda i, c: c * 2, a),
    "while_loop": lambda a: lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, 2 * c[1]), (0, a)
    ),
    "scan": lambda a: lax.scan(lambda c, _: (c * 2, None), a, None, length=3)[0],
    "cond": lambda a: lax.cond(jnp.array(True), lambda c: c * 2, lambda c: c * 3, a),
    "checkpoint": lambda a: jax.checkpoint(lambda c: c * 3)(a),
}  # fmt: skip
LABELLED = {
    "scan, stacked": lambda a: lax.scan(lambda c, x: (c + x, x * 2), 0 * a, jnp.stack([a, 2 * a])),
    "from zeros": lambda a: lax.fori_loop(0, 3, lambda i, c: c + a, jnp.zeros_like(a)),
    "relu": lambda a: jnp.where(a > 2 * a, a, 0.0),
    "custom_jvp": lambda a: jax.nn.relu(a / a),
    "grad": lambda a: jax.grad(lambda c: jnp.sum((c / a) ** 2))(a),
    "grad of scan": lambda a: jax.grad(
        lambda c: jnp.sum(lax.scan(lambda s, _: (s * c / c, None), c / a, None, length=2)[0])
    )(a),
    "vmap": lambda a: jax.vmap(lambda c: c * 2, in_axes=1, out_axes=1)(a),
    "reduction": lambda a: a / jnp.sum(a, axis=1, keepdims=True),
}
CASES = [
    (kind, name)
    for kind in KINDS
    for name in (EVERY if kind in ("tridiagonal", "sparse") else EVERY | LABELLED)
]


def auto():
    return jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))


def explicit():
    return jax.make_mesh((8,), ("d",), axis_types=(AxisType.Explicit,))


def place(value, mesh):
    """Spread by the first axis; of a sparse array every device has all."""
    spec = P() if isinstance(value, BCOO) else P("d")
    return jax.device_put(value, NamedSharding(mesh, spec))


def plain(value):
    """The same as an array, on the host."""
    value = jax.device_get(value)
    if isinstance(value, BCOO):
        return value.todense()
    return (
        value.materialise() if isinstance(value, TridiagonalMatrix) else jax.tree.leaves(value)[0]
    )


def check(found, expected):
    labelled = not any(
        isinstance(x, (TridiagonalMatrix, BCOO)) for x in jax.tree.leaves(found, is_leaf=is_value)
    )
    actual = (
        jax.tree.leaves(found)
        if labelled
        else [jnp.asarray(plain(x)) for x in jax.tree.leaves(found, is_leaf=is_value)]
    )
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-5)
        if labelled:
            assert a.sharding.is_equivalent_to(e.sharding, e.ndim)
            assert jax.typeof(a).sharding.spec == jax.typeof(e).sharding.spec


@pytest.mark.parametrize("kind, name", CASES)
@pytest.mark.parametrize(
    "make, jitted, current",
    [(auto, False, False), (explicit, True, True)],
    ids=["auto", "explicit, jitted"],
)
def test_spread(kind, name, make, jitted, current):
    mesh, f = make(), (EVERY | LABELLED)[name]
    transform = jax.jit if jitted else lambda f: f
    with jax.set_mesh(mesh) if current else contextlib.nullcontext():
        value = place(KINDS[kind](), mesh)
        array = jax.device_put(plain(KINDS[kind]()), NamedSharding(mesh, P("d")))
        expected = jax.tree.leaves(transform(f)(array))
        check(transform(quaxify(f))(value), expected)


@pytest.mark.parametrize("kind, name", CASES)
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_shard_map(kind, name, inside):
    """`quaxify` outside of `shard_map`, and inside; JAX checks which arrays vary along the axis."""
    mesh, f = auto(), (EVERY | LABELLED)[name]
    spec = P() if kind == "sparse" else P("d")
    mapped = lambda f: jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec)
    last = lambda tree: jax.tree.leaves(tree, is_leaf=is_value)[-1]
    call = (
        mapped(lambda a: last(quaxify(f)(a))) if inside else quaxify(mapped(lambda a: last(f(a))))
    )
    expected = mapped(lambda a: last(f(a)))(plain(KINDS[kind]()))
    check(jax.jit(call)(KINDS[kind]()), [expected])
