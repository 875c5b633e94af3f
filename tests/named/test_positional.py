"""Names through code that knows no names: every structure of primitive, and control flow."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
import pytest
from jax import lax

import sciquax
from sciquax import quaxify
from sciquax.core import RuleError, Structure
from sciquax.core._dispatch.tables import HIGHER_ORDER, _family_rules
from sciquax.core._facts import FACTS
from sciquax.named import AxisError, AxisSizeError, NamedArray
from sciquax.units import Quantity
from tests.helpers import assert_raises, unstated

A = jnp.arange(12.0).reshape(3, 4) * 0.7 - 2.0
B = jnp.arange(24.0).reshape(2, 3, 4) ** 0.5
V = jnp.array([0.3, -1.0, 2.0, 0.1])
M = jnp.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 5.0]])


def named(x, *dims):
    return NamedArray(x, dims)


XY, X, Y, BXY, MN = ("x", "y"), ("x",), ("y",), ("b", "x", "y"), ("m", "n")
a, b, v, m = named(A, *XY), named(B, *BXY), named(V, "y"), named(M, *MN)


def softmax(x):
    e = jnp.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_norm(x, w):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5) * w


FLOWS = {
    "exp": (jnp.exp, (a,), XY),
    "add": (jnp.add, (a, a), XY),
    "add a row": (lambda x, y: x + y, (a, v), XY),
    "wildcard": (lambda x, y: x + y, (a, jnp.ones((3, 4))), XY),
    "wildcard takes names": (lambda x, y: x * y, (named(A, "x", None), named(A, None, "y")), XY),
    "where": (lambda x: jnp.where(x > 0, x, 0.0), (a,), XY),
    "clip": (lambda x: jnp.clip(x, -1.0, 1.0), (a,), XY),
    "mean": (lambda x: x.mean(0), (a,), Y),
    "mean of all": (jnp.mean, (a,), ()),
    "keepdims": (lambda x: x.mean(0, keepdims=True), (a,), (None, "y")),
    "anomaly": (lambda x: x - x.mean(0, keepdims=True), (a,), XY),
    "anomaly by newaxis": (lambda x: x - x.mean(1)[:, None], (a,), XY),
    "var": (lambda x: jnp.var(x, axis=1, ddof=1), (a,), X),
    "argmax": (lambda x: jnp.argmax(x, axis=1), (a,), X),
    "argmax of all": (jnp.argmax, (a,), ()),
    "any": (lambda x: (x > 0).any(1), (a,), X),
    "transpose": (lambda x: x.T, (a,), ("y", "x")),
    "moveaxis": (lambda x: jnp.moveaxis(x, 0, -1), (b,), ("x", "y", "b")),
    "swapaxes": (lambda x: jnp.swapaxes(x, 0, 2), (b,), ("y", "x", "b")),
    "expand_dims": (lambda x: x[:, None], (a,), ("x", None, "y")),
    "squeeze": (lambda x: jnp.squeeze(x[:, None], 1), (a,), XY),
    "broadcast_to": (lambda x: jnp.broadcast_to(x, (5, 3, 4)), (a,), (None, "x", "y")),
    "reshape merges": (lambda x: x.reshape(-1), (a,), (None,)),
    "reshape splits": (lambda x: x.reshape(3, 2, 2), (a,), ("x", None, None)),
    "reshape keeps": (lambda x: x.reshape(6, 4), (b,), (None, "y")),
    "reshape unit axes": (lambda x: x.reshape(3, 1, 4, 1), (a,), ("x", None, "y", None)),
    "reshape never by size": (lambda x: x.reshape(4, 3), (a,), (None, None)),
    "reshape in Fortran's order": (
        lambda x: x.reshape(3, 2, 2, order="F"), (a,), ("x", None, None)),
    "reshape there and back": (lambda x: x.reshape(12).reshape(3, 4), (a,), (None, None)),
    "ravel of one axis": (jnp.ravel, (v,), Y),
    "slice": (lambda x: x[1:, ::2], (a,), XY),
    "integer": (lambda x: x[1], (a,), Y),
    "last integer": (lambda x: x[..., -1], (a,), X),
    "flip": (lambda x: x[::-1], (a,), XY),
    "roll": (lambda x: jnp.roll(x, 1, axis=1), (a,), XY),
    "diff": (lambda x: jnp.diff(x, axis=0), (a,), XY),
    "dynamic_slice": (lambda x: lax.dynamic_slice(x, (1, 0), (2, 4)), (a,), XY),
    "dynamic integer": (lambda x, i: x[i], (a, jnp.int32(2)), Y),
    "take a list": (lambda x: x[jnp.array([2, 0])], (a,), XY),
    "take along the second": (lambda x: jnp.take(x, jnp.array([2, 0]), axis=1), (a,), XY),
    "take named places": (lambda x, i: x[i], (a, named(jnp.array([2, 0]), "u")), ("u", "y")),
    "take a table of places": (lambda x, i: x[i], (a, jnp.zeros((2, 2), int)), (None, None, "y")),
    "take_along_axis": (
        lambda x, i: jnp.take_along_axis(x, i, axis=1),
        (a, named(jnp.zeros((3, 2), int), "x", None)),
        XY,
    ),
    "at set": (lambda x: x.at[0].set(1.0), (a,), XY),
    "at add a row": (lambda x, y: x.at[1].add(y), (a, v), XY),
    "at add at a list": (lambda x: x.at[jnp.array([0, 2])].multiply(3.0), (a,), XY),
    "update slice": (lambda x, y: lax.dynamic_update_slice(x, y[None], (1, 0)), (a, v), XY),
    "concatenate": (lambda x: jnp.concatenate([x, x + 1], 0), (a,), XY),
    "stack": (lambda x: jnp.stack([x, x]), (a,), (None, "x", "y")),
    "split": (lambda x: jnp.split(x, 2, axis=1)[0], (a,), XY),
    "unstack": (lambda x: jnp.unstack(x)[0], (a,), Y),
    "tile": (lambda x: jnp.tile(x, (2,)), (v,), None),
    "pad": (lambda x: jnp.pad(x, ((0, 1), (0, 0))), (a,), XY),
    "sort": (lambda x: jnp.sort(x, axis=0), (a,), XY),
    "argsort": (lambda x: jnp.argsort(x, axis=1), (a,), XY),
    "top_k": (lambda x: lax.top_k(x, 2)[0], (a,), XY),
    "cumsum": (lambda x: jnp.cumsum(x, axis=1), (a,), XY),
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, 1), (a,), XY),
    "associative_scan": (lambda x: lax.associative_scan(jnp.add, x, axis=1), (a,), XY),
    "reduce_window": (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 2), (1, 1), "VALID"),
        (a,),
        XY,
    ),
    "matmul": (jnp.matmul, (a, named(jnp.ones((4, 2)), "y", "z")), ("x", "z")),
    "matmul wildcard": (lambda x: x @ jnp.ones((4, 2)), (a,), ("x", None)),
    "matvec": (jnp.matmul, (a, v), X),
    "batched matmul": (
        jnp.matmul, (b, named(B.transpose(0, 2, 1), "b", "y", "z")), ("b", "x", "z")),
    "einsum": (lambda x, y: jnp.einsum("bxy,y->xb", x, y), (b, v), ("x", "b")),
    "tensordot": (lambda x, y: jnp.tensordot(x, y, 1), (b, v), ("b", "x")),
    "outer": (jnp.outer, (named(V, "x"), named(V, "z")), ("x", "z")),
    "vdot": (jnp.vdot, (v, v), ()),
    "conv": (
        lambda x, k: lax.conv_general_dilated(x, k, (1,), "SAME"),
        (named(jnp.ones((2, 3, 8)), "b", "c", "t"), named(jnp.ones((5, 3, 3)), "o", "c", None)),
        ("b", "o", "t"),
    ),
    "convolve": (lambda x: jnp.convolve(x, jnp.ones(2), mode="same"), (v,), None),
    "fft": (lambda x: jnp.fft.fft(x, axis=1).real, (a,), XY),
    "rfft": (lambda x: jnp.abs(jnp.fft.rfft(x)), (a,), XY),
    "softmax": (softmax, (a,), XY),
    "nn.softmax": (lambda x: jax.nn.softmax(x, axis=0), (a,), XY),
    "logsumexp": (lambda x: jsp.special.logsumexp(x, axis=0), (a,), Y),
    "layer_norm": (layer_norm, (a, v), XY),
    "relu": (jax.nn.relu, (a,), XY),
    "one_hot": (lambda i: jax.nn.one_hot(i, 3), (named(jnp.array([0, 2]), "t"),), ("t", None)),
    "norm": (lambda x: jnp.linalg.norm(x, axis=1), (a,), X),
    "solve": (jnp.linalg.solve, (m, named(V[:3], "m")), ("n",)),
    "solve a matrix": (jnp.linalg.solve, (m, named(A, "m", "k")), ("n", "k")),
    "inv": (jnp.linalg.inv, (m,), ("n", "m")),
    "det": (jnp.linalg.det, (m,), ()),
    "slogdet": (lambda x: jnp.linalg.slogdet(x)[1], (m,), ()),
    "cholesky": (jnp.linalg.cholesky, (m,), ("m", None)),
    "eigh values": (lambda x: jnp.linalg.eigh(x)[0], (m,), (None,)),
    "eigh vectors": (lambda x: jnp.abs(jnp.linalg.eigh(x)[1]), (m,), ("m", None)),
    "svd": (lambda x: jnp.linalg.svd(x, full_matrices=False)[1], (a,), (None,)),
    "svd vectors": (lambda x: abs(jnp.linalg.svd(x, full_matrices=False)[2]), (a,), (None, "y")),
    "qr": (lambda x: jnp.abs(jnp.linalg.qr(x)[0]), (a,), ("x", None)),
    "expm": (jsp.linalg.expm, (m,), MN),
    "solve_triangular": (
        lambda x, y: jsp.linalg.solve_triangular(x, y, lower=True), (m, named(V[:3], "m")), ("n",)
    ),
    "trace": (jnp.trace, (m,), ()),
    "diagonal": (jnp.diagonal, (named(M, "m", None),), ("m",)),
    "tril": (jnp.tril, (m,), MN),
    "scan": (
        lambda x: lax.scan(lambda c, r: (c + r, c * r), jnp.zeros(4), x)[0], (a,), Y,
    ),
    "scan outputs": (
        lambda x: lax.scan(lambda c, r: (c + r.sum(), r * 2), 0.0, x)[1], (a,), XY,
    ),
    "scan scalar outputs": (
        lambda x: lax.scan(lambda c, r: (c + r.sum(), c), 0.0, x)[1], (a,), X,
    ),
    "scan plain outputs": (
        lambda x: lax.scan(lambda c, r: (c + 1.0, c), 0.0, x)[1], (a,), X,
    ),
    "scan over nothing named": (
        lambda x: lax.scan(lambda c, _: (c * 2, c), x, None, length=3)[1],
        (a,), (None, "x", "y"),
    ),
    "map": (lambda x: lax.map(jnp.sort, x), (a,), XY),
    "fori_loop": (lambda x: lax.fori_loop(0, 3, lambda i, c: c + x[i], jnp.zeros(4)), (a,), Y),
    "while": (
        lambda x: lax.while_loop(lambda c: c.sum() < 100, lambda c: c * 2 + 1, x), (a,), XY,
    ),
    "cond": (lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), (a,), XY),
    "cond with zeros": (
        lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.zeros_like, x), (a,), XY,
    ),
    "vmap": (lambda x: jax.vmap(lambda r: r / r.sum())(x), (a,), XY),
    "vmap second axis": (lambda x: jax.vmap(jnp.sort, 1, 1)(x), (a,), XY),
    "vmap two": (
        lambda x, y: jax.vmap(lambda r: jax.vmap(jnp.dot, (0, None))(r, y))(x), (b, v), ("b", "x"),
    ),
    "grad": (lambda x: jax.grad(lambda z: (z**3).sum())(x), (a,), XY),
    "grad of softmax": (lambda x: jax.grad(lambda z: (softmax(z) ** 2).sum())(x), (a,), XY),
    "grad of scan": (
        lambda x: jax.grad(lambda z: lax.scan(
            lambda c, r: (jnp.sin(c) * r, c), jnp.ones(4), z)[0].sum())(x), (a,), XY,
    ),
    "jvp": (lambda x: jax.jvp(jnp.sin, (x,), (x,))[1], (a,), XY),
    "checkpoint": (lambda x: jax.checkpoint(jnp.sin)(x), (a,), XY),
    "jit within": (lambda x: jax.jit(lambda z: z.mean(0))(x), (a,), Y),
    "segment_sum": (
        lambda x: jax.ops.segment_sum(x, jnp.array([0, 1, 0]), 2), (a,), (None, "y"),
    ),
    "interp": (lambda x: jnp.interp(x, jnp.arange(3.0), jnp.arange(3.0) ** 2), (v,), Y),
    "searchsorted": (lambda x: jnp.searchsorted(jnp.arange(3.0), x), (v,), Y),
    "median": (lambda x: jnp.median(x, axis=0), (a,), Y),
    "quantiles lead": (
        lambda x: jnp.percentile(x, jnp.array([10.0, 50.0]), axis=0), (a,), (None, "y")),
    "quantiles under vmap": (
        lambda x: jax.vmap(lambda r: jnp.quantile(r, jnp.array([0.1, 0.5])))(x), (a,),
        ("x", None)),
    "quantiles of all axes": (
        lambda x: jnp.nanquantile(x, jnp.array([0.1, 0.5]), keepdims=True), (a,),
        (None, None, None)),
    "quantile": (lambda x: jnp.quantile(x, 0.3, axis=1), (a,), X),
    "nanmean": (lambda x: jnp.nanmean(x, axis=0), (a,), Y),
    "gradient": (lambda x: jnp.gradient(x, axis=0), (a,), XY),
    "trapezoid": (lambda x: jsp.integrate.trapezoid(x, axis=0), (a,), Y),
    "meshgrid": (lambda x, y: jnp.meshgrid(x, y, indexing="ij")[0],
                 (named(V, "x"), named(V, "y")), None),
}  # fmt: skip


def values(x):
    return jax.tree.map(lambda y: y.array if isinstance(y, NamedArray) else y, x,
                        is_leaf=lambda y: isinstance(y, NamedArray))  # fmt: skip


@pytest.mark.parametrize("name", FLOWS)
def test_names_follow_the_axes(name):
    f, args, dims = FLOWS[name]
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        expected = f(*values(args))
        actual = quaxify(f)(*args)
    assert isinstance(actual, NamedArray)
    np.testing.assert_allclose(actual.array, expected, rtol=2e-5, atol=1e-5)
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    if dims is not None:
        assert actual.dims == dims


@pytest.mark.parametrize("name", ["anomaly", "scan outputs", "einsum", "cond", "take a list"])
def test_under_jit_names_are_gone(name):
    f, args, dims = FLOWS[name]
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        actual = jax.jit(quaxify(f))(*args)
        inside = quaxify(jax.jit(f))(*args)
        plain = jax.jit(lambda *xs: f(*xs)).lower(*values(args)).compile().as_text()
        ours = jax.jit(lambda *xs: quaxify(f)(*xs)).lower(*args).compile().as_text()
    assert actual.dims == inside.dims == dims
    np.testing.assert_allclose(actual.array, f(*values(args)), rtol=1e-5, atol=1e-6)
    assert opcodes(ours) == opcodes(plain)


def opcodes(text):
    import re

    return sorted(re.findall(r"= \S+ ([\w-]+)\(", text))


REFUSALS = {
    "two names": (lambda x: x + x.T, (m,)),
    "x.T @ x": (lambda x: x.T @ x, (a,)),
    "outer with itself": (lambda x: jnp.outer(x, x), (v,)),
    "other order": (jnp.add, (named(M, "x", "y"), named(M, "y", "x"))),
    "contracted pair": (jnp.matmul, (a, named(jnp.ones((4, 2)), "z", "w"))),
    "batch pair": (jnp.matmul, (b, named(B.transpose(0, 2, 1), "c", "y", "z"))),
    "broadcast two names": (lambda x, y: x[:, None] + y[None, :],
                            (named(V, "x"), named(V, "x"))),
    "concatenate in another order": (
        lambda x, y: jnp.concatenate([x, y]), (named(M, "x", "y"), named(M, "y", "x"))),
    "stack of other names": (lambda x, y: jnp.stack([x, y]), (named(V, "x"), named(V, "y"))),
    "select of other names": (lambda x, y: jnp.where(x > 0, x, y), (named(V, "x"), named(V, "y"))),
    "mask of another name": (lambda k, x: jnp.where(k, x, 0.0),
                             (named(V > 0, "x"), named(V, "y"))),
    "cond of other names": (lambda x: lax.cond(x.sum() > 0, lambda z: z, lambda z: z.T, x), (m,)),
    "switch": (lambda x: lax.switch(unstated(1), [lambda z: z, lambda z: z.T], x), (m,)),
    "carry that changes names": (
        lambda x: lax.scan(lambda c, _: (c.T, None), x, None, length=2)[0], (m,)),
    "fori that changes names": (lambda x: lax.fori_loop(0, 2, lambda i, c: c.T, x), (m,)),
    "while that changes names": (
        lambda x: lax.while_loop(lambda c: c.sum() < 0, lambda c: c.T, x), (m,)),
    "scan over two names": (
        lambda x, y: lax.scan(lambda c, r: (c + r[0] * r[1], None), 0.0, (x, y))[0],
        (named(V, "x"), named(V, "y"))),
    "gather brings a name twice": (lambda x, i: x[i], (a, named(jnp.array([0, 1]), "y"))),
    "scatter of another name": (lambda x, y: x.at[0].set(y), (a, named(V, "x"))),
    "scatter at a list": (
        lambda x, y: x.at[jnp.array([0, 1])].set(y), (named(V, "x"), named(V[:2], "y"))),
    "update slice": (
        lambda x, y: lax.dynamic_update_slice(x, y, (0,)), (named(V, "x"), named(V[:2], "y"))),
    "sort by keys of another name": (
        lambda x, y: lax.sort((x, y), num_keys=1), (named(V, "x"), named(V, "y"))),
    "solve": (jnp.linalg.solve, (m, named(V[:3], "n"))),
    "diagonal of two names": (jnp.diagonal, (m,)),
    "cov": (jnp.cov, (a,)),
    "one is a size": (lambda x, y: x + y, (a, named(A[:1], "x", "y"))),
    "one is a size, in broadcast_to": (lambda x: jnp.broadcast_to(x, (3, 4)), (named(A[:1], *XY),)),
    "vmap over two names": (
        lambda x, y: jax.vmap(lambda p, q: p * q)(x, y), (named(V, "x"), named(V, "y"))),
    "einsum": (lambda x, y: jnp.einsum("ij,ij->", x, y), (m, named(M, "n", "m"))),
    "conv channels": (
        lambda x, k: lax.conv_general_dilated(x, k, (1,), "SAME"),
        (named(jnp.ones((2, 3, 8)), "b", "c", "t"), named(jnp.ones((5, 3, 3)), "o", "d", None))),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_refused(name, mode):
    f, args = REFUSALS[name]
    g = quaxify(f) if mode == "eager" else jax.jit(quaxify(f))
    with (
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        pytest.raises((AxisError, RuleError)) as caught,
    ):
        g(*args)
    assert "  at " in str(caught.value), "the error says where"


def test_messages():
    def gram(x):
        return x.T @ x  # HERE

    assert_raises(
        AxisError,
        lambda: quaxify(gram)(a),
        "`dot_general` would put the name 'y' on two axes: ('y', 'y').\n{place}\n"
        "Rename one operand's axis first: `.rename(y='y2')`. In code that is not yours, give its "
        "two arguments `*named.distinct(a, 'y')`; or give it `a.untag('y')` and name the result "
        "with `.tag('y', 'y2')`.",
        at=gram,
    )

    def add(x, y):
        return x + y  # HERE

    assert_raises(
        AxisError,
        lambda: quaxify(add)(named(M, "x", "y"), named(M, "y", "x")),
        "`add` got 'x' and 'y' on one axis: ('x', 'y') and ('y', 'x').\n{place}\n"
        "Under `quaxify` axes meet by position: transpose or `rename` one operand first. Operators "
        "of named arrays align by name.",
        at=add,
    )


def test_unknown_primitive_names_itself():
    from jax.extend.core import Primitive

    stranger = Primitive("stranger")
    stranger.def_abstract_eval(lambda x: x)
    with pytest.raises(RuleError, match=r"`stranger` has no rule for names.*f32\[x=3, y=4\]"):
        quaxify(lambda x: stranger.bind(x))(a)


def test_every_structure_has_a_rule_or_is_refused():
    ruled = _family_rules[NamedArray]
    missing = {
        n for n, f in FACTS.items()
        if n not in ruled and f.structure not in ruled and n not in HIGHER_ORDER
    }  # fmt: skip
    refused = {n for n, f in FACTS.items() if f.structure in (Structure.CREATE, Structure.OTHER)}
    rare = {"cholesky_update", "ormqr", "geqp3", "symmetric_product"}
    assert missing - refused - rare == set()


def test_gradients_by_name_and_by_position():
    grads = sciquax.grad(lambda x: (x * x).sum(("y", "x")))(a)
    assert grads.dims == XY
    np.testing.assert_allclose(grads.array, 2 * A)
    grads = sciquax.grad(lambda x: jnp.sum(x**2))(a)
    assert grads.dims == XY
    np.testing.assert_allclose(grads.array, 2 * A)
    q = NamedArray(Quantity(A, "m"), XY)
    out, grads = sciquax.value_and_grad(lambda x: (x**3).sum())(q)
    assert str(out.units) == "meter ** 3" and str(grads.units) == "meter ** 2"
    np.testing.assert_allclose(grads.array.magnitude, 3 * A**2, rtol=1e-6)


def test_jacobian_dims():
    q = NamedArray(Quantity(V, "m"), ("y",))
    w = named(A, *XY)
    for jacobian in (sciquax.jacfwd, sciquax.jacrev):
        jac = jacobian(lambda x: w.dot(x**2, "y"))(q)
        assert jac.dims == XY and str(jac.units) == "meter"
        np.testing.assert_allclose(jac.array.magnitude, A * 2 * V[None], rtol=1e-5)
        with pytest.raises(AxisError, match="derivative would have"):
            jacobian(lambda x: x * x)(q)


def test_vmap_takes_and_gives_leading_axes():
    u = b.untag("x")
    out = jax.vmap(lambda r: r.sum("b"))(u)
    assert out.dims == (None, "y") and out.shape == (3, 4)
    np.testing.assert_allclose(out.array, B.sum(0))
    with pytest.raises(AxisError, match="(?i)untag first"):
        jax.vmap(lambda r: r.sum("b"))(b)
    with pytest.raises(AxisError, match="(?i)untag first"):
        jax.vmap(lambda r: r + 1.0, in_axes=1)(NamedArray(M, (None, "x")))
    with pytest.raises(AxisError, match="(?i)untag first"):
        jax.tree.map(jnp.transpose, a).sum("x")
    with pytest.raises(AxisError, match="(?i)untag first"):
        lax.scan(lambda c, r: (c, r + 1.0), 0.0, a)
    total, out = (
        lax.scan(lambda c, r: (c + r.sum("y"), r), 0.0, named(A, None, "y"))
        if (False)
        else (None, jax.vmap(lambda r: r * 2)(named(A, None, "y")))
    )
    assert total is None and out.dims == (None, "y")


@pytest.mark.parametrize("kind", ["plain", "quantity"])
def test_vmap_over_and_into_other_places(kind):
    """Sizes are equal, so that only what `jax.vmap` was told says where an axis is."""
    cube = jnp.arange(27.0).reshape(3, 3, 3)

    def make(x, *dims):
        return NamedArray(Quantity(x, "m") if kind == "quantity" else x, dims)

    def check(out, dims, expected):
        assert out.dims == dims
        held = out.array.magnitude if kind == "quantity" else out.array
        np.testing.assert_allclose(held, expected)

    def double(r):
        return r * 2

    behind = make(cube, None, "x", "y")
    check(jax.vmap(double, out_axes=1)(behind), ("x", None, "y"), 2 * cube.transpose(1, 0, 2))
    check(jax.jit(jax.vmap(double, out_axes=-1))(behind), ("x", "y", None),
          2 * cube.transpose(1, 2, 0))  # fmt: skip
    two = make(cube, None, "x", None)
    check(jax.vmap(double, in_axes=2)(two), (None, None, "x"), 2 * cube.transpose(2, 0, 1))
    check(jax.vmap(double, in_axes=2, out_axes=2)(two), (None, "x", None), 2 * cube)
    check(jax.vmap(quaxify(lambda r: r + r), in_axes=1, out_axes=1)(make(cube[0], "x", None)),
          ("x", None), 2 * cube[0])  # fmt: skip
    both = jax.vmap(lambda r: (r, r), out_axes=(0, 1))
    check(both(make(cube[:2], None, "x", "y"))[1], ("x", None, "y"), cube[:2].transpose(1, 0, 2))
    with pytest.raises(AxisError, match="`out_axes`"):  # not known which is which
        both(behind)[1].sum("x")


def test_other_orders_of_nesting():
    inside_out = Quantity(named(A, *XY), "m")
    right = NamedArray(Quantity(A, "m"), XY)
    for f in (jnp.mean, lambda x: x * x, lambda x: x[1:]):
        actual, expected = quaxify(f)(inside_out), quaxify(f)(right)
        assert jax.tree.structure(actual) == jax.tree.structure(expected)
        np.testing.assert_allclose(actual.array.magnitude, expected.array.magnitude)
    total = inside_out + right
    assert total.dims == XY and str(total.units) == "meter"
    assert (right + inside_out).dims == XY
    doubled = inside_out * 2.0
    assert isinstance(doubled, NamedArray) and str(doubled.units) == "meter"


def test_captured_and_built_within():
    def f(x):
        return x + a, NamedArray(x, ("p", "q"))

    out, built = quaxify(f)(named(A, None, None))
    assert out.dims == XY and built.dims == ("p", "q")
    with pytest.raises(AxisError):
        quaxify(f)(named(A, "x", "y"))
    with pytest.raises(TypeError):
        jnp.mean(a)


def test_bcd_units_flow():
    q = NamedArray(Quantity(A, "m"), XY)
    out = quaxify(lambda x: jnp.where(x > Quantity(0.0, "m"), x, 0.0).sum(0))(q)
    assert out.dims == Y and str(out.units) == "meter"
    out = quaxify(lambda x: lax.scan(lambda c, r: (c + r, c), jnp.zeros(4), x)[1])(q)
    assert out.dims == XY and str(out.units) == "meter"
    out = quaxify(lambda x, y: x @ y)(q, q.rename(x="z").T)
    assert out.dims == ("x", "z") and str(out.units) == "meter ** 2"


def test_sizes_error_is_about_size():
    with pytest.raises(AxisSizeError, match="A size of 1 is a size"):
        quaxify(lambda x: jnp.broadcast_to(x, (3, 4)))(named(A[:1], *XY))


def test_callbacks_see_names():
    seen = []
    quaxify(lambda x: jax.debug.callback(seen.append, x))(v)
    jax.effects_barrier()
    assert seen[0].dims == ("y",)


@pytest.mark.parametrize(
    ("pick", "dims"),
    [
        (lambda a: a[:0][jnp.zeros((2, 0), int)], (None, None, "y")),
        (lambda a: a[:, :0][jnp.zeros((2, 2), int)], (None, None, "y")),
        (lambda a: a[:0][:, jnp.zeros((2, 2), int)], ("x", None, None)),
        (lambda a: a[:, :0][1], ("y",)),
        (lambda a: jnp.take_along_axis(a[:, :0], jnp.zeros((2, 0), int), 1), ("x", "y")),
    ],
)
def test_names_where_there_are_no_elements(pick, dims):
    x = jnp.arange(6.0).reshape(2, 3)
    out = quaxify(pick)(NamedArray(x, ("x", "y")))
    assert (out.dims, out.shape) == (dims, pick(x).shape)
