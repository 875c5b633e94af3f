"""Each way of going silently wrong is an error, eager and under jit, that says what and where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import named
from sciquax.core import LocatedError
from sciquax.named import (
    Axis,
    AxisError,
    AxisIndexError,
    AxisSizeError,
    CoordinateError,
    NamedArray,
    PositionalError,
)
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import assert_raises

a = NamedArray(jnp.arange(6.0).reshape(2, 3), ("x", "y"))
b = NamedArray(jnp.arange(6.0).reshape(3, 2), ("y", "x"))
sq = NamedArray(jnp.eye(3) + 1.0, ("x", "y"))
row = NamedArray(jnp.ones(3), ("y",))
one = NamedArray(jnp.ones((1, 3)), ("x", "y"))
plain = jnp.ones(3)
u = a.untag("x")
q = NamedArray(Quantity(jnp.ones((2, 3)), "m"), ("x", "y"))

METHODS = (
    "sum mean prod max min all any std var median nansum nanmean nanmax count_nonzero logsumexp "
    "ptp "
    "argmax argmin cumsum cumprod cummax cummin cumlogsumexp sort argsort softmax flip diff untag "
    "squeeze unstack"
).split()

REFUSED = {
    # misspelt, repeated, absent names
    **{f"{m} misspelt": (lambda a, m=m: getattr(a, m)("z"), AxisError) for m in METHODS},
    **{f"{m} repeated": (lambda a, m=m: getattr(a, m)(("x", "x")), AxisError)
       for m in "sum mean var max flip softmax squeeze".split()},
    **{f"{m} by position": (lambda a, m=m: getattr(a, m)(0), AxisError)
       for m in "sum mean argmax cumsum sort flip".split()},
    "axis keyword": (lambda a: a.sum(axis=0), AxisError),
    "keepdims": (lambda a: a.sum("x", keepdims=True), AxisError),
    "wrong Axis size": (lambda a: a.sum(Axis("x", 3)), AxisSizeError),
    "wrong Axis size in isel": (lambda a: a.isel({Axis("x", 3): 0}), AxisSizeError),
    "wrong Axis size in dot": (lambda a: a.dot(b, Axis("y", 2)), AxisSizeError),
    "wrong Axis size in transpose": (lambda a: a.transpose(Axis("y", 9), "x"), AxisSizeError),
    "transpose misspelt": (lambda a: a.transpose("y", "z"), AxisError),
    "transpose forgets": (lambda a: a.transpose("y"), AxisError),
    "transpose repeats": (lambda a: a.transpose("x", "x"), AxisError),
    "transpose two ellipses": (lambda a: a.transpose(..., "x", ...), AxisError),
    "rename misspelt": (lambda a: a.rename(z="w"), AxisError),
    "rename onto another": (lambda a: a.rename(x="y"), AxisError),
    "expand_dims twice": (lambda a: a.expand_dims("x"), AxisError),
    "squeeze size 2": (lambda a: a.squeeze("x"), AxisSizeError),
    "flatten misspelt": (lambda a: a.flatten(("x", "z"), "w"), AxisError),
    "flatten onto another": (lambda a: a.flatten(("x",), "y"), AxisError),
    "unflatten size": (lambda a: a.unflatten("y", p=2, q=2), AxisSizeError),
    "unflatten onto another": (lambda a: a.unflatten("y", x=3), AxisError),
    "broadcast_like drops": (lambda a: a.broadcast_like(row), None),
    "broadcast_to drops": (lambda a: a.broadcast_to({"x": 2}), AxisError),
    "broadcast_to size": (lambda a: a.broadcast_to({"x": 4, "y": 3}), AxisSizeError),
    "broadcast_to from one": (lambda a: one.broadcast_to({"x": 4, "y": 3}), AxisSizeError),
    "roll misspelt": (lambda a: a.roll(z=1), AxisError),
    "pad misspelt": (lambda a: a.pad(z=1), AxisError),
    "top_k too large": (lambda a: a.top_k(4, "y"), AxisSizeError),
    "split unequal": (lambda a: a.split("y", 2), AxisSizeError),
    "split outside": (lambda a: a.split("y", [5]), AxisIndexError),
    "tag count": (lambda a: u.tag("p", "q"), AxisError),
    "tag again": (lambda a: u.tag("y"), AxisError),
    "untag repeats": (lambda a: a.untag("x", "x"), AxisError),
    "argmax flattened": (lambda a: a.argmax(), AxisError),
    "sort flattened": (lambda a: a.sort(), AxisError),
    "cumsum flattened": (lambda a: a.cumsum(), AxisError),
    "mask of sum has another name": (lambda a: a.sum("x", where=NamedArray(plain > 0, "z")),
                                     AxisError),
    "weights have another name": (lambda a: a.weighted_mean(row.rename(y="z"), "y"), AxisError),
    # sizes: 1 is one
    "sizes differ": (lambda a: a + NamedArray(jnp.ones(2), "y"), AxisSizeError),
    "one is a size": (lambda a: a + one, AxisSizeError),
    "one is a size, unit": (lambda a: q + one.squeeze("x").expand_dims("x") * Quantity(1.0, "m"),
                            AxisSizeError),
    "where sizes": (lambda a: named.where(a > 0, a, one), AxisSizeError),
    "dot sizes": (lambda a: a.dot(NamedArray(jnp.ones(2), "y"), "y"), AxisSizeError),
    "dot of one": (lambda a: a.dot(one, "x"), AxisSizeError),
    "einsum sizes": (lambda a: named.einsum("x y, y -> x", a, NamedArray(jnp.ones(2), "y")),
                     AxisSizeError),
    "concatenate sizes": (lambda a: named.concatenate([a, NamedArray(jnp.ones((2, 2)), ("x", "y"))],
                                                      "x"), AxisSizeError),
    "stack sizes": (lambda a: named.stack([a, one], "n"), AxisSizeError),
    "cmap sizes": (lambda a: named.cmap(jnp.add)(a, one), AxisSizeError),
    "named_vmap sizes": (lambda a: named.named_vmap(lambda p, r: p, "x")(a, one), AxisSizeError),
    "scan sizes": (lambda a: named.scan(lambda s, x: (s, s), 0.0, (a, one), "x"), AxisSizeError),
    # no names
    "plain operand": (lambda a: a + plain, PositionalError),
    "plain operand on the left": (lambda a: plain + a, PositionalError),
    "NumPy operand": (lambda a: np.ones(3) * a, PositionalError),
    "NumPy operand on the right": (lambda a: a * np.ones(3), PositionalError),
    "quantity operand": (lambda a: a * Quantity(plain, "m"), PositionalError),
    "quantity operand on the left": (lambda a: Quantity(plain, "m") * a, PositionalError),
    "plain of size 1": (lambda a: a + jnp.ones((1, 3)), PositionalError),
    "list operand": (lambda a: a + [1.0, 2.0, 3.0], TypeError),
    "where plain": (lambda a: named.where(a > 0, a, plain), PositionalError),
    "where plain mask": (lambda a: named.where(plain > 0, a, 0.0), PositionalError),
    "maximum plain": (lambda a: named.maximum(a, plain), PositionalError),
    "dot plain": (lambda a: a.dot(plain, "y"), PositionalError),
    "einsum plain": (lambda a: named.einsum("x y, y -> x", a, plain), PositionalError),
    "concatenate plain": (lambda a: named.concatenate([row, plain], "y"), PositionalError),
    "at plain": (lambda a: a.at[{"x": 0}].set(plain), PositionalError),
    "scan plain": (lambda a: named.scan(lambda s, x: (s, s), 0.0, plain, "y"), PositionalError),
    "full plain": (lambda a: named.full({"x": 3}, plain), PositionalError),
    "matmul": (lambda a: a @ b, PositionalError),
    "jnp function": (lambda a: jnp.mean(a), TypeError),
    "jnp add": (lambda a: jnp.add(a, a), TypeError),
    "NumPy function": (lambda a: np.concatenate([a, b]), PositionalError),
    "NumPy ufunc": (lambda a: np.add(a, b), TypeError),
    "iteration": (lambda a: list(a), PositionalError),
    "length": (lambda a: len(a), PositionalError),
    "truth": (lambda a: bool(a), PositionalError),
    "float": (lambda a: float(a), PositionalError),
    "unnamed operand": (lambda a: u + row, AxisError),
    "unnamed operands": (lambda a: u + u, AxisError),
    "unnamed beside what was untagged": (lambda a: u * a, AxisError),
    "unnamed in einsum": (lambda a: named.einsum("y -> y", u), AxisError),
    "unnamed in dot": (lambda a: named.dot(u, row, "y"), AxisError),
    "unnamed in where": (lambda a: named.where(u > 0, a, 0.0), AxisError),
    "unnamed in concatenate": (lambda a: named.concatenate([u, u], "y"), AxisError),
    "unnamed in broadcast_like": (lambda a: row.broadcast_like(u), AxisError),
    # contraction
    "dot misspelt": (lambda a: a.dot(b, "z"), AxisError),
    "dot on one operand only": (lambda a: a.dot(row, "x"), AxisError),
    "dot repeats": (lambda a: a.dot(b, ("x", "x")), AxisError),
    "dot without names": (lambda a: named.dot(a, b), AxisError),
    "einsum unknown": (lambda a: named.einsum("x z -> x", a), AxisError),
    "einsum unknown output": (lambda a: named.einsum("x y -> z", a), AxisError),
    "einsum unmentioned": (lambda a: named.einsum("x -> x", a), AxisError),
    "einsum repeated": (lambda a: named.einsum("x x -> x", a), AxisError),
    "einsum repeated output": (lambda a: named.einsum("x y -> x x", a), AxisError),
    "einsum count": (lambda a: named.einsum("x y, y -> x", a), AxisError),
    "einsum without output": (lambda a: named.einsum("x y", a), AxisError),
    "einsum drops an ellipsis": (lambda a: named.einsum("x ... -> x", a), AxisError),
    "einsum ellipsis from nowhere": (lambda a: named.einsum("x y -> ... x", a), AxisError),
    "einsum letters run together": (lambda a: named.einsum("xy -> x", a), AxisError),
    "einsum alias of nothing": (lambda a: named.einsum("x y:  -> x", a), AxisError),
    "einsum unknown alias": (lambda a: named.einsum("x y, z:y -> x", a, row), AxisError),
    "einsum output-only unknown": (lambda a: named.einsum("-> z", a), AxisError),
    # joining
    "concatenate misspelt": (lambda a: named.concatenate([a, a], "z"), AxisError),
    "concatenate other names": (lambda a: named.concatenate([a, a.rename(y="z")], "x"), AxisError),
    "concatenate missing name": (lambda a: named.concatenate([a, row], "y"), AxisError),
    "concatenate nothing": (lambda a: named.concatenate([], "y"), AxisError),
    "stack present name": (lambda a: named.stack([a, a], "x"), AxisError),
    "stack other names": (lambda a: named.stack([a, row], "n"), AxisError),
    # indexing
    "isel misspelt": (lambda a: a.isel(z=0), AxisError),
    "isel outside": (lambda a: a.isel(x=2), AxisIndexError),
    "isel outside below": (lambda a: a.isel(x=-3), AxisIndexError),
    "isel list outside": (lambda a: a.isel(x=[0, 2]), AxisIndexError),
    "isel array outside": (lambda a: a.isel(x=np.array([-3])), AxisIndexError),
    "isel named outside": (lambda a: a.isel(x=NamedArray(jnp.array([5]), "u")), AxisIndexError),
    "isel float": (lambda a: a.isel(x=1.0), PositionalError),
    "isel float list": (lambda a: a.isel(x=[0.0]), PositionalError),
    "isel boolean": (lambda a: a.isel(x=True), PositionalError),
    "isel float slice": (lambda a: a.isel(x=slice(0.0, 1.0)), PositionalError),
    "isel quantity": (lambda a: a.isel(x=Quantity(1, "m")), PositionalError),
    "isel table without names": (lambda a: a.isel(y=np.zeros((2, 2), int)), PositionalError),
    "isel index of another size": (lambda a: a.isel(y=NamedArray(jnp.array([0, 1, 2]), "x")),
                                   AxisSizeError),
    "isel unnamed index": (lambda a: a.isel(y=NamedArray(jnp.array([0]), (None,))), AxisError),
    "isel mask of another size": (lambda a: a.isel(y=np.array([True, False])), AxisSizeError),
    "isel mask of another name": (lambda a: a.isel(y=NamedArray(plain > 0, "z")), AxisError),
    "integer index": (lambda a: a[0], PositionalError),
    "slice index": (lambda a: a[:, 0], PositionalError),
    "plain mask index": (lambda a: a[jnp.ones((2, 3), bool)], PositionalError),
    "mask of two names": (lambda a: a[a > 0], AxisError),
    "mask of an absent name": (lambda a: a[NamedArray(plain > 0, "z")], AxisError),
    "at mask of an absent name": (lambda a: a.at[NamedArray(plain > 0, "z")].set(0.0), AxisError),
    "at mask of another size": (
        lambda a: a.at[NamedArray(jnp.ones(5, bool), "x")].set(0.0), AxisSizeError),
    "at misspelt": (lambda a: a.at[{"z": 0}].set(0.0), AxisError),
    "at outside": (lambda a: a.at[{"x": 2}].set(0.0), AxisIndexError),
    "at by position": (lambda a: a.at[0].set(0.0), PositionalError),
    "at with another name": (lambda a: a.at[{"x": 0}].set(NamedArray(plain, "z")), AxisError),
    "at with the indexed name": (lambda a: a.at[{"x": 0}].set(a), AxisError),
    "at with another size": (lambda a: a.at[{"x": 0}].set(NamedArray(jnp.ones(1), "y")),
                             AxisSizeError),
    "at in another unit": (lambda a: q.at[{"x": 0}].set(Quantity(1.0, "s")), DimensionalityError),
    # lifting
    "cmap absent": (lambda a: named.cmap(jnp.sort)(a.untag("z")), AxisError),
    "cmap of named arrays": (lambda a: named.cmap(lambda r: row)(a.untag("y")), PositionalError),
    "named_vmap misspelt": (lambda a: named.named_vmap(lambda r: r, over="z")(a), AxisError),
    "named_vmap brings the name": (lambda a: named.named_vmap(lambda r: a, over="x")(a), AxisError),
    "scan misspelt": (lambda a: named.scan(lambda s, x: (s, s), 0.0, a, "z"), AxisError),
    "scan carry changes names": (lambda a: named.scan(
        lambda s, x: (x.rename(y="w"), s), row, a, "x"), AxisError),
    "scan carry grows": (lambda a: named.scan(lambda s, x: (s + x, s), 0.0, a, "x"), AxisError),
    "scan output has the name": (lambda a: named.scan(lambda s, x: (s, a), 0.0, a, "x"), AxisError),
    "jax.vmap over a name": (lambda a: jax.vmap(lambda r: r.sum("y"))(a), AxisError),
    "jax.lax.scan over a name": (lambda a: jax.lax.scan(lambda s, r: (s, r.sum("y")), 0.0, a),
                                 AxisError),
    "jax.lax.cond of other names": (lambda a: jax.lax.cond(
        True, lambda z: z, lambda z: z.rename(x="y", y="x"), sq), TypeError),
    "fori carry changes names": (lambda a: jax.lax.fori_loop(
        0, 2, lambda i, c: c.transpose("y", "x"), sq), TypeError),
    # linear algebra, fft, windows, creation
    "solve misspelt": (lambda a: named.linalg.solve(sq, row, "y", "z"), AxisError),
    "solve along the column": (lambda a: named.linalg.solve(sq, row, "x", "y"), AxisError),
    "inv not square": (lambda a: named.linalg.inv(a, "x", "y"), AxisSizeError),
    "trace not square": (lambda a: named.linalg.trace(a, "x", "y"), AxisSizeError),
    "det of one name": (lambda a: named.linalg.det(sq, "x", "x"), AxisError),
    "eigh into a present name": (lambda a: named.linalg.eigh(sq, "x", "y", "x"), AxisError),
    "fft misspelt": (lambda a: named.fft.fft(a, "z"), AxisError),
    "fft into a present name": (lambda a: named.fft.fft(a, "x", "y"), AxisError),
    "rolling misspelt": (lambda a: a.rolling(z=2), AxisError),
    "rolling too long": (lambda a: a.rolling(x=3), AxisSizeError),
    "NamedArray count": (lambda a: NamedArray(plain, ("x", "y")), AxisError),
    "NamedArray repeats": (lambda a: NamedArray(jnp.eye(2), ("x", "x")), AxisError),
    "NamedArray size": (lambda a: NamedArray(plain, (Axis("x", 4),)), AxisSizeError),
    "NamedArray name": (lambda a: NamedArray(plain, (3,)), AxisError),
    "NamedArray string is one name": (lambda a: NamedArray(jnp.eye(2), "xy"), AxisError),
    "NamedArray of named": (lambda a: NamedArray(a, ("p", "q")), AxisError),
    "zeros without sizes": (lambda a: named.zeros(("x",)), AxisError),
    "zeros repeats": (lambda a: named.zeros((Axis("x", 2), Axis("x", 2))), AxisError),
    "arange size": (lambda a: named.arange(Axis("x", 3), 4), AxisSizeError),
    "random parameter": (lambda a: named.random.bernoulli(jax.random.key(0), {"x": 3}, row),
                         AxisError),
    "units differ": (lambda a: q + a, DimensionalityError),
    "to another dimension": (lambda a: q.to("s"), DimensionalityError),
    "units of plain": (lambda a: a.units, PositionalError),
    "shard misspelt": (lambda a: named.shard(
        a, jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",)), {"z": "d"}), AxisError),
    "shard over no such axis": (lambda a: named.shard(
        a, jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",)), {"x": "e"}), AxisError),
    "shard twice": (lambda a: named.shard(
        a, jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",)), dict.fromkeys("xy", "d")),
                    AxisError),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    f, error = REFUSED[name]
    if error is None:
        f(a)
        return
    with pytest.raises(error) as caught:
        f(a)
    if isinstance(caught.value, LocatedError):
        assert f"  at {__file__}:" in str(caught.value)


NOT_UNDER_JIT = {"jnp function", "jnp add", "NumPy function", "NumPy ufunc", "plain mask index"} | {
    "isel named outside"  # what is made while a program is traced is only known when it runs
}


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in NOT_UNDER_JIT])
def test_refused_under_jit(name):
    f, error = REFUSED[name]
    if error is not None:
        with pytest.raises(error):
            jax.jit(lambda x: jax.tree.leaves(f(x)))(a)


def test_messages():
    def misspelt():
        return a.sum("xx")  # HERE

    assert_raises(
        AxisError,
        misspelt,
        "`sum` got the name 'xx', and the array's dims are ('x', 'y').\n{place}\nDid you mean 'x'?",
    )

    def sizes():
        return a + one  # HERE

    assert_raises(
        AxisSizeError,
        sizes,
        "`add` got the axis 'x' with the sizes 2 and 1.\n{place}\n"
        "Select the same places of both first (`isel`); an axis of size 1 goes with `squeeze`.",
    )

    def by_position():
        return a * plain  # HERE

    assert_raises(
        PositionalError,
        by_position,
        "`mul` aligns by name, and got an array of shape (3,) without names.\n{place}\n"
        "Name its axes, `NamedArray(x, ('x', ...))`; or run positional code under `quaxify`.",
    )

    def outside():
        return a.isel(y=3)  # HERE

    assert_raises(
        AxisIndexError,
        outside,
        "`isel` got the place 3 along 'y', whose size is 3.\n{place}",
    )

    def mapped():
        return jax.vmap(lambda r: r.sum("y"))(a)  # HERE

    assert_raises(
        AxisError,
        mapped,
        "A named array with the dims ('x', 'y') and the shape (2, 3) had its array replaced by one "
        "of shape (3,), as `jax.vmap` over a named axis, or with several `out_axes`, or "
        "`jax.tree.map` does.\n{place}\n"
        "Untag first: `jax.vmap` and `jax.lax.scan` take the leading axis of `a.untag('x')`, which "
        "has no name; or use `named_vmap`, `cmap` or `named.scan`, which take names.",
    )


def test_a_place_known_only_at_run_time_gives_nan_outside():
    out = jax.jit(lambda i: a.isel(x=i))(jnp.int32(7))
    assert jnp.isnan(out.array).all()


def test_errors_survive_pickling():
    import pickle

    with pytest.raises(CoordinateError) as caught:
        a.assign_coords(x=[1.0])
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
