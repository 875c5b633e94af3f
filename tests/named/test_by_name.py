"""Operations by name against NumPy on the same axes, eager, under jit, and with units inside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import named, quaxify
from sciquax.named import Axis, NamedArray
from sciquax.units import Quantity

A = np.arange(6.0, dtype=np.float32).reshape(2, 3) * 1.7 - 3.0
B = np.array([[0.5, -2.0], [3.0, 1.0], [0.25, 4.0]], np.float32)
C = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)[:, ::-1] - 5.0
W = np.array([1.0, 2.0, 0.5], np.float32)


def arr(x, *dims):
    return NamedArray(jnp.asarray(x), dims)


a, b, c, w = arr(A, "x", "y"), arr(B, "y", "x"), arr(C, "x", "y", "z"), arr(W, "y")
i = arr(np.array([2, 0]), "u")
SQUARE = arr(np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 5.0]], np.float32), "p", "q")

# name: (function of named arrays, arguments, expected dims, expected values)
CASES = {
    "add transposed": (lambda a, b: a + b, (a, b), "x y", A + B.T),
    "add broadcast": (lambda a, w: w + a, (a, w), "y x", W[:, None] + A.T),
    "outer": (lambda u, v: u * v, (w, arr(W, "z")), "y z", np.outer(W, W)),
    "three": (lambda a, c, w: a + c * w, (a, c, w), "x y z", A[..., None] + C * W[None, :, None]),
    "number": (lambda a: 2.0 / (1 - a) ** 2, (a,), "x y", 2.0 / (1 - A) ** 2),
    "comparison": (lambda a, b: a > b, (a, b), "x y", A > B.T),
    "equality": (lambda a, b: a == b, (a, b), "x y", A == B.T),
    "floordiv": (lambda a, b: a // b, (a, b), "x y", A // B.T),
    "mod": (lambda a, b: a % b, (a, b), "x y", A % B.T),
    "logic": (lambda a, b: (a > 0) & ~(b > 0), (a, b), "x y", (A > 0) & ~(B.T > 0)),
    "abs": (lambda a: abs(-a), (a,), "x y", abs(A)),
    "where": (lambda a, b, w: named.where(a > 0, w, b), (a, b, w), "x y",
              np.where(A > 0, W[None], B.T)),
    "where numbers": (lambda a: named.where(a > 0, a, 0.0), (a,), "x y", np.where(A > 0, A, 0)),
    "clip": (lambda a, w: a.clip(0.0, w), (a, w), "x y", np.clip(A, 0.0, W[None])),
    "maximum": (lambda a, b: named.maximum(a, b), (a, b), "x y", np.maximum(A, B.T)),
    "exp": (lambda a: named.exp(a), (a,), "x y", np.exp(A)),
    "sum": (lambda a: a.sum("x"), (a,), "y", A.sum(0)),
    "sum of all": (lambda a: a.sum(), (a,), "", A.sum()),
    "mean of two": (lambda c: c.mean(("x", "z")), (c,), "y", C.mean((0, 2))),
    "var": (lambda a: a.var("y", ddof=1), (a,), "x", A.var(1, ddof=1)),
    "std": (lambda c: c.std(("z", "y")), (c,), "x", C.std((1, 2))),
    "prod": (lambda a: a.prod("x"), (a,), "y", A.prod(0)),
    "max": (lambda c: c.max("z"), (c,), "x y", C.max(2)),
    "any": (lambda a: (a > 0).any("x"), (a,), "y", (A > 0).any(0)),
    "all": (lambda a: (a > -2).all("y"), (a,), "x", (A > -2).all(1)),
    "median": (lambda a: a.median("y"), (a,), "x", np.median(A, 1)),
    "quantile": (lambda a: a.quantile(0.3, "y"), (a,), "x", np.quantile(A, 0.3, 1)),
    "quantiles": (lambda a, q: a.quantile(q, "y"), (a, arr(np.float32([0.1, 0.9]), "q")), "q x",
                  np.quantile(A, [0.1, 0.9], 1)),
    "count_nonzero": (lambda a: (a > 0).count_nonzero("y"), (a,), "x", np.count_nonzero(A > 0, 1)),
    "logsumexp": (lambda a: a.logsumexp("y"), (a,), "x", np.log(np.exp(A).sum(1))),
    "ptp": (lambda a: a.ptp("y"), (a,), "x", np.ptp(A, 1)),
    "masked sum": (lambda a: a.sum("y", where=a > 0), (a,), "x", np.where(A > 0, A, 0).sum(1)),
    "weighted mean": (lambda a, w: a.weighted_mean(w, "y"), (a, w), "x", A @ W / W.sum()),
    "weighted mean of all": (lambda a, w: a.weighted_mean(w), (a, w), "",
                             (A * W).sum() / (2 * W.sum())),
    "argmax": (lambda c: c.argmax("y"), (c,), "x z", C.argmax(1)),
    "argmin": (lambda w: w.argmin(), (w,), "", W.argmin()),
    "cumsum": (lambda c: c.cumsum("y"), (c,), "x y z", C.cumsum(1)),
    "cumprod": (lambda w: w.cumprod("y"), (w,), "y", W.cumprod()),
    "cummax": (lambda a: a.cummax("y"), (a,), "x y", np.maximum.accumulate(A, 1)),
    "sort": (lambda b: b.sort("y"), (b,), "y x", np.sort(B, 0)),
    "sort descending": (lambda b: b.sort("y", descending=True), (b,), "y x", np.sort(B, 0)[::-1]),
    "argsort": (lambda b: b.argsort("y"), (b,), "y x", np.argsort(B, 0)),
    "top_k": (lambda b: b.top_k(2, "y")[0], (b,), "y x", np.sort(B, 0)[::-1][:2]),
    "softmax": (lambda a: a.softmax("x"), (a,), "x y", np.exp(A) / np.exp(A).sum(0)),
    "flip": (lambda a: a.flip("y"), (a,), "x y", A[:, ::-1]),
    "roll": (lambda a: a.roll(x=1, y=2), (a,), "x y", np.roll(A, (1, 2), (0, 1))),
    "diff": (lambda c: c.diff("z"), (c,), "x y z", np.diff(C, axis=2)),
    "pad": (lambda a: a.pad(y=(1, 0)), (a,), "x y", np.pad(A, ((0, 0), (1, 0)))),
    "dot": (lambda a, b: named.dot(a, b.rename(x="k"), "y"), (a, b), "x k", A @ B),
    "dot batched": (lambda a, b: a.dot(b, "y"), (a, b), "x", (A * B.T).sum(1)),
    "dot three": (lambda a, b, w: named.dot(a, b, w, ("x", "y")), (a, b, w), "",
                  (A * B.T * W).sum()),
    "einsum": (lambda a, b: named.einsum("x y, y k -> k x", a, b.rename(x="k")), (a, b), "k x",
               (A @ B).T),
    "einsum free order": (lambda a, b: named.einsum("y x, x y:k -> y k", a, b), (a, b), "y k",
                          np.einsum("xy,kx->yk", A, B)),
    "einsum ellipsis": (lambda c, w: named.einsum("y ..., y -> ...", c, w), (c, w), "x z",
                        np.einsum("xyz,y->xz", C, W)),
    "einsum merged ellipses": (lambda c, a: named.einsum("... y, y ... -> ...", c, a), (c, a),
                               "x z", np.einsum("xyz,xy->xz", C, A)),
    "einsum output only": (lambda a, b: named.einsum("-> y", a, b), (a, b), "y",
                           (A * B.T).sum(0)),
    "einsum alias": (lambda a: named.einsum("x y, x y:y2 -> y y2", a, a), (a,), "y y2", A.T @ A),
    "einsum diagonal": (lambda s: named.einsum("p:i q:i -> i", s), (SQUARE,), "i",
                        np.diag(SQUARE.array)),
    "einsum sum": (lambda c: named.einsum("x y z -> z", c), (c,), "z", C.sum((0, 1))),
    "einsum three": (lambda a, b, w: named.einsum("x y, y k, y -> x k", a, b.rename(x="k"), w),
                     (a, b, w), "x k", np.einsum("xy,yk,y->xk", A, B, W)),
    "transpose": (lambda c: c.transpose("z", ...), (c,), "z x y", C.transpose(2, 0, 1)),
    "transpose all": (lambda c: c.transpose("y", "z", "x"), (c,), "y z x", C.transpose(1, 2, 0)),
    "rename": (lambda a: a.rename(x="y", y="x"), (a,), "y x", A),
    "expand_dims": (lambda a: a.expand_dims("w", 2), (a,), "w x y", np.stack([A, A])),
    "squeeze": (lambda a: a.expand_dims("w").squeeze("w"), (a,), "x y", A),
    "flatten": (lambda c: c.flatten(("z", "x"), "zx"), (c,), "y zx",
                C.transpose(1, 2, 0).reshape(3, 8)),
    "flatten neighbours": (lambda c: c.flatten(("x", "y"), "xy"), (c,), "xy z", C.reshape(6, 4)),
    "unflatten": (lambda c: c.unflatten("z", p=2, q=2), (c,), "x y p q", C.reshape(2, 3, 2, 2)),
    "broadcast_like": (lambda w, c: w.broadcast_like(c), (w, c), "x y z",
                       np.broadcast_to(W[:, None], C.shape)),
    "concatenate": (lambda a, b: named.concatenate([a, b], "x"), (a, b), "x y",
                    np.concatenate([A, B.T])),
    "stack": (lambda a, b: named.stack([a, b], "new"), (a, b), "new x y", np.stack([A, B.T])),
    "unstack": (lambda a: a.unstack("y")[1], (a,), "x", A[:, 1]),
    "split": (lambda c: c.split("z", 2)[1], (c,), "x y z", C[:, :, 2:]),
    "split at": (lambda c: c.split("z", [1, 3])[1], (c,), "x y z", C[:, :, 1:3]),
    "isel": (lambda c: c.isel(y=1), (c,), "x z", C[:, 1]),
    "isel negative": (lambda c: c[{"z": -1}], (c,), "x y", C[:, :, -1]),
    "isel slice": (lambda c: c.isel(z=slice(None, None, 2), x=0), (c,), "y z", C[0, :, ::2]),
    "isel list": (lambda c: c.isel(y=[2, 0]), (c,), "x y z", C[:, [2, 0]]),
    "isel two lists": (lambda c: c.isel(y=[2, 0], z=[1, 3, 0]), (c,), "x y z",
                       C[:, [2, 0]][:, :, [1, 3, 0]]),
    "isel named": (lambda c, i: c.isel(y=i), (c, i), "x u z", C[:, [2, 0]]),
    "isel mixed": (lambda c, i: c.isel(y=i, z=slice(1, 3), x=1), (c, i), "u z",
                   C[1, [2, 0], 1:3]),
    "isel pointwise": (lambda c, i: c.isel(y=i, z=i), (c, i), "x u",
                       C[:, [2, 0], [2, 0]]),
    "isel walks along": (lambda c: c.isel(y=c.argmax("y")), (c,), "x z", C.max(1)),
    "isel traced": (lambda c, k: c.isel(y=k), (c, jnp.int32(2)), "x z", C[:, 2]),
    "at set": (lambda a: a.at[{"x": 1}].set(0.0), (a,), "x y",
               np.stack([A[0], np.zeros(3)])),
    "at set by name": (lambda a, w: a.at[{"x": 1}].set(w), (a, w), "x y", np.stack([A[0], W])),
    "at add in order": (lambda c, b: c.at[{"z": 2}].add(b), (c, b), "x y z",
                        C + np.eye(4)[2] * B.T[..., None]),
    "at list": (lambda a: a.at[{"y": [0, 2]}].multiply(2.0), (a,), "x y", A * [2, 1, 2]),
    "at two lists": (lambda c: c.at[{"y": [0, 2], "z": [1, 3]}].set(0.0), (c,), "x y z",
                     C * (1 - np.outer([1, 0, 1], [0, 1, 0, 1]))),
    "at mask": (lambda a, w: a.at[a.transpose("y", "x") > 3].add(w), (a, w), "x y",
                A + np.where(A > 3, W, 0)),
    "at mask of one name": (lambda a, w: a.at[w > W[0]].set(0.0), (a, w), "x y",
                            np.where(W > W[0], 0, A)),
    "at named": (lambda a, v: a.at[{"y": v}].set(0.0), (a, arr(np.array([1, 2]), "x")), "x y",
                 A * [[1, 0, 1], [1, 1, 0]]),
    "at slice": (lambda c, a: c.at[{"z": slice(1, 3)}].set(a), (c, a), "x y z",
                 np.where([False, True, True, False], A[..., None], C)),
    "rolling": (lambda c: c.rolling(z=2, valid=True).mean(), (c,), "x y z",
                (C[..., 1:] + C[..., :-1]) / 2),
    "rolling with nan": (lambda w: w.rolling(y=2).sum(), (w,), "y", [np.nan, 3.0, 2.5]),
    "rolling centred": (lambda w: w.rolling(y=3, center=True).max(), (w,), "y",
                        [np.nan, 2.0, np.nan]),
    "construct": (lambda w: w.rolling(y=2).construct(y="lag"), (w,), "y lag", [[1, 2], [2, 0.5]]),
    "cmap": (lambda c: named.cmap(jnp.sort)(c.untag("y")).tag("y"), (c,), "y x z",
             np.sort(C, 1).transpose(1, 0, 2)),
    "cmap two": (lambda c, w: named.cmap(jnp.dot)(c.untag("y"), w.untag("y")), (c, w), "x z",
                 np.einsum("xyz,y->xz", C, W)),
    "cmap broadcasts": (lambda a, b: named.cmap(lambda p, q: p - q)(a, b), (a, b), "x y", A - B.T),
    "named_vmap": (lambda c, a: named.named_vmap(lambda p, q: p.dot(q, "y"), over="x")(c, a),
                   (c, a), "x z", np.einsum("xyz,xy->xz", C, A)),
    "named_vmap in part": (lambda c, w: named.named_vmap(lambda p, q: p * q, over="x")(c, w),
                           (c, w), "x y z", C * W[:, None]),
    "named_vmap two": (lambda c: named.named_vmap(lambda p: p.sum(), over=("x", "z"))(c), (c,),
                       "x z", C.sum(1)),
    "scan": (lambda c: named.scan(
        lambda s, x: (s + x, s), named.zeros({"x": 2, "y": 3}), c, "z")[0], (c,), "x y", C.sum(2)),
    "scan outputs": (lambda c: named.scan(
        lambda s, x: (s + x, s + x), named.zeros({"y": 3, "x": 2}), c, "z")[1], (c,), "z y x",
        C.cumsum(2).transpose(2, 1, 0)),
    "scan reverse": (lambda a: named.scan(
        lambda s, x: (s + x, s), 0.0 * a.sum("y"), a, "y", reverse=True)[1], (a,), "y x",
        np.stack([A[:, 1] + A[:, 2], A[:, 2], 0 * A[:, 0]])),
    "map": (lambda c: named.map(lambda p: p.sum("x"), c, "y"), (c,), "y z", C.sum(0)),
    "fold": (lambda a: named.fold(lambda s, x: 2 * s + x, named.zeros({"x": 2}), a, "y"), (a,), "x",
             4 * A[:, 0] + 2 * A[:, 1] + A[:, 2]),
    "fft": (lambda c: named.fft.rfft(c, "z", "f").real, (c,), "x y f", np.fft.rfft(C).real),
    "ifft": (lambda c: named.fft.ifft(named.fft.fft(c, "y"), "y").real, (c,), "x y z", C),
    "fftshift": (lambda c: named.fft.fftshift(c, "z"), (c,), "x y z", np.fft.fftshift(C, 2)),
    "solve": (lambda s, w: named.linalg.solve(s, w, "p", "q"), (SQUARE, arr(W, "p")), "q",
              np.linalg.solve(SQUARE.array, W)),
    "solve batched": (lambda s, c: named.linalg.solve(s, c, "p", "q"),
                      (SQUARE, arr(C, "x", "p", "z")), "q x z",
                      np.linalg.solve(SQUARE.array, C).transpose(1, 0, 2)),
    "inv": (lambda s: named.linalg.inv(s, "p", "q"), (SQUARE,), "q p", np.linalg.inv(SQUARE.array)),
    "det": (lambda s: named.linalg.det(s, "p", "q"), (SQUARE,), "", np.linalg.det(SQUARE.array)),
    "trace": (lambda s: named.linalg.trace(s, "p", "q"), (SQUARE,), "", np.trace(SQUARE.array)),
    "eigh": (lambda s: named.linalg.eigh(s, "p", "q", "k")[0], (SQUARE,), "k",
             np.linalg.eigvalsh(SQUARE.array)),
    "svd": (lambda c: named.linalg.svd(c, "z", "y", "k")[1], (c,), "x k",
            np.linalg.svd(C.transpose(0, 2, 1))[1]),
    "norm": (lambda c: named.linalg.norm(c, ("x", "z")), (c,), "y",
             np.sqrt((C**2).sum((0, 2)))),
    "astype": (lambda a: a.astype(jnp.int32), (a,), "x y", A.astype(np.int32)),
}  # fmt: skip


def check(actual, dims, expected):
    assert isinstance(actual, NamedArray)
    assert actual.dims == tuple(dims.split())
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(np.asarray(actual.array), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_numpy(name):
    f, args, dims, expected = CASES[name]
    check(f(*args), dims, expected)


@pytest.mark.parametrize("name", CASES)
def test_under_jit(name):
    f, args, dims, expected = CASES[name]
    check(jax.jit(f)(*args), dims, expected)


def m(x, *dims, unit="m"):
    return NamedArray(Quantity(jnp.asarray(x), unit), dims)


qa, qb, qw, qc = m(A, "x", "y"), m(B * 100, "y", "x", unit="cm"), m(W, "y", unit="kg"), m(
    C, "x", "y", "z")  # fmt: skip
S = SQUARE.array
QS = NamedArray(Quantity(S, "N/m"), ("p", "q"))

WITH_UNITS = {
    "add": (lambda: qa + qb, "x y", A + B.T, "m"),
    "mul": (lambda: qa * qw, "x y", A * W, "kg*m"),
    "div": (lambda: qa / Quantity(2.0, "s"), "x y", A / 2, "m/s"),
    "times on the left": (lambda: Quantity(2.0, "s") * qa, "x y", A * 2, "m*s"),
    "power": (lambda: qa**2, "x y", A**2, "m**2"),
    "where": (lambda: named.where(qa > qb, qa, 0.0), "x y", np.where(A > B.T, A, 0), "m"),
    "where converts": (lambda: named.where(qa.magnitude > 0, qa, qb).to("m"), "x y",
                       np.where(A > 0, A, B.T), "m"),
    "maximum": (lambda: named.maximum(qa, qb), "x y", np.maximum(A, B.T), "m"),
    "sqrt": (lambda: named.sqrt(qa * qa), "x y", abs(A), "m"),
    "sum": (lambda: qa.sum("x"), "y", A.sum(0), "m"),
    "mean": (lambda: qc.mean(("x", "z")), "y", C.mean((0, 2)), "m"),
    "var": (lambda: qa.var("y", ddof=1), "x", A.var(1, ddof=1), "m**2"),
    "std": (lambda: qa.std("y"), "x", A.std(1), "m"),
    "median": (lambda: qa.median("y"), "x", np.median(A, 1), "m"),
    "quantile": (lambda: qa.quantile(0.25, "y"), "x", np.quantile(A, 0.25, 1), "m"),
    "max": (lambda: qa.max("x"), "y", A.max(0), "m"),
    "argmax": (lambda: qa.argmax("y"), "x", A.argmax(1), None),
    "cumsum": (lambda: qa.cumsum("y"), "x y", A.cumsum(1), "m"),
    "sort": (lambda: qb.sort("y"), "y x", np.sort(B * 100, 0), "cm"),
    "top_k": (lambda: qb.top_k(1, "y")[0], "y x", B.max(0)[None] * 100, "cm"),
    "diff": (lambda: qa.diff("y"), "x y", np.diff(A), "m"),
    "roll": (lambda: qa.roll(y=1), "x y", np.roll(A, 1, 1), "m"),
    "pad": (lambda: qa.pad(y=1), "x y", np.pad(A, ((0, 0), (1, 1))), "m"),
    "dot": (lambda: qa.dot(qw, "y"), "x", A @ W, "kg*m"),
    "einsum": (lambda: named.einsum("x y, x y:k -> y k", qa, qa), "y k", A.T @ A, "m**2"),
    "transpose": (lambda: qa.transpose("y", "x"), "y x", A.T, "m"),
    "flatten": (lambda: qa.flatten(("y", "x"), "f"), "f", A.T.ravel(), "m"),
    "unflatten": (lambda: qc.unflatten("z", p=2, q=2), "x y p q", C.reshape(2, 3, 2, 2), "m"),
    "expand_dims": (lambda: qa.expand_dims("w", 2), "w x y", np.stack([A, A]), "m"),
    "broadcast_like": (lambda: qw.broadcast_like(qa), "x y", np.broadcast_to(W, (2, 3)), "kg"),
    "concatenate": (lambda: named.concatenate([qa, qb], "x"), "x y", np.concatenate([A, B.T]), "m"),
    "stack": (lambda: named.stack([qa, qb], "n"), "n x y", np.stack([A, B.T]), "m"),
    "isel": (lambda: qa.isel(y=[2, 0], x=1), "y", A[1, [2, 0]], "m"),
    "isel named": (lambda: qa.isel(y=i), "x u", A[:, [2, 0]], "m"),
    "isel traced": (lambda: jax.jit(lambda k: qa.isel(y=k))(jnp.int32(1)), "x", A[:, 1], "m"),
    "at set": (lambda: qa.at[{"x": 0}].set(Quantity(50.0, "cm")), "x y",
               np.stack([np.full(3, 0.5), A[1]]), "m"),
    "at add": (lambda: qa.at[{"y": [0, 1]}].add(qb.isel(y=[0, 1])), "x y",
               A + B.T * [1, 1, 0], "m"),
    "rolling": (lambda: qa.rolling(y=2, valid=True).mean(), "x y", (A[:, 1:] + A[:, :-1]) / 2, "m"),
    "rolling with nan": (lambda: qw.rolling(y=2).sum(), "y", [np.nan, 3.0, 2.5], "kg"),
    "cmap": (lambda: named.cmap(lambda r: r * r)(qa.untag("y")).tag("y"), "y x", (A * A).T, "m**2"),
    "named_vmap": (lambda: named.named_vmap(lambda r: r.sum("y"), "x")(qa), "x", A.sum(1), "m"),
    "scan": (lambda: named.scan(
        lambda s, x: (s + x, s), m(np.zeros(2, np.float32), "x"), qb, "y")[0], "x", B.sum(0), "m"),
    "fold": (lambda: named.fold(lambda s, x: s + x, m(np.zeros(2, np.float32), "x"), qa, "y"), "x",
             A.sum(1), "m"),
    "fft": (lambda: named.fft.rfft(qc, "z").real, "x y z", np.fft.rfft(C).real, "m"),
    "solve": (lambda: named.linalg.solve(QS, m(W, "p", unit="N"), "p", "q"), "q",
              np.linalg.solve(S, W), "m"),
    "inv": (lambda: named.linalg.inv(QS, "p", "q"), "q p", np.linalg.inv(S), "m/N"),
    "det": (lambda: named.linalg.det(QS, "p", "q"), "", np.linalg.det(S), "N**3/m**3"),
    "eigh": (lambda: named.linalg.eigh(QS, "p", "q", "k")[0], "k", np.linalg.eigvalsh(S), "N/m"),
    "norm": (lambda: named.linalg.norm(qa, "y"), "x", np.linalg.norm(A, axis=1), "m"),
    "to": (lambda: qa.to("km"), "x y", A / 1000, "km"),
    "cmap of JAX's function": (lambda: named.cmap(jnp.sort)(qa.untag("y")).tag("y"), "y x",
                               np.sort(A).T, "m"),
    "cmap of two units": (lambda: named.cmap(lambda u, v: jnp.dot(u, v))(
        qa.untag("y"), qa.to("km").untag("y")), "x", (A**2).sum(1) / 1000, "km*m"),
    "at mask": (lambda: qa.at[qa.magnitude > 3].set(Quantity(0.5, "km")), "x y",
                np.where(A > 3, 500, A), "m"),
    "top_k by name": (lambda: qa.top_k("y", 1)[0], "x y", A.max(1, keepdims=True), "m"),
    "unique within a function": (
        lambda: quaxify(lambda x: jnp.unique(x, size=6))(qa.flatten(("x", "y"), "k")), "k",
        np.sort(A, None), "m"),
    "weighted mean": (lambda: qa.weighted_mean(qw, "y"), "x", A @ W / W.sum(), "m"),
    "full": (lambda: named.full({"x": 2}, Quantity(3.0, "s")), "x", [3.0, 3.0], "s"),
    "linspace": (lambda: named.linspace("x", Quantity(0.0, "m"), Quantity(1.0, "m"), 3), "x",
                 [0, 0.5, 1], "m"),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_UNITS)
def test_units_inside(name):
    f, dims, expected, unit = WITH_UNITS[name]
    actual = f()
    assert actual.dims == tuple(dims.split())
    if unit is None:
        assert not hasattr(actual.array, "units")
        np.testing.assert_allclose(actual.array, expected)
        return
    assert actual.array.is_compatible_with(unit)
    assert actual.units == Quantity(1.0, unit).units
    np.testing.assert_allclose(actual.array.magnitude, expected, rtol=1e-4, atol=1e-4)


def test_construction_and_inspection():
    assert a.dims == ("x", "y") and a.sizes == {"x": 2, "y": 3} and a.shape == (2, 3)
    assert a.ndim == 2 and a.dtype == np.float32 and a.size == 6
    assert a.axes == (Axis("x", 2), Axis("y", 3))
    assert NamedArray(A, (Axis("x", 2), "y")).dims == ("x", "y")
    assert NamedArray(A, (None, "y")).sizes == {"y": 3}
    assert NamedArray(W, "y").dims == ("y",) and NamedArray(1.0, ()).dims == ()
    assert hash(Axis("x", 2)) == hash(Axis("x", 2)) and Axis("x") != Axis("x", 2)
    assert repr(Axis("x", 2)) == "Axis('x', 2)"
    assert float(a.sum()) == pytest.approx(A.sum()) and bool((a > 100).any()) is False
    assert named.arange("x", 4).sizes == {"x": 4} == named.arange(Axis("x", 4)).sizes
    assert named.full((Axis("x", 2), Axis("y", 3)), 7.0).array.tolist() == [[7.0] * 3] * 2
    assert named.zeros_like(qa).units == qa.units
    assert named.ones({"x": 2}, jnp.int32).dtype == jnp.int32


def test_random():
    key = jax.random.key(0)
    x = named.random.normal(key, {"x": 3, "y": 2})
    np.testing.assert_array_equal(x.array, jax.random.normal(key, (3, 2)))
    p = arr(np.float32([0.0, 1.0]), "y")
    coin = named.random.bernoulli(key, {"x": 3, "y": 2}, p)
    assert coin.array.tolist() == [[False, True]] * 3
    assert named.random.uniform(key, (Axis("x", 4),), minval=2.0, maxval=3.0).min() >= 2.0
    assert named.random.randint(key, {"x": 4}, 0, 3).dtype == jnp.int32
    shuffled = named.random.permutation(key, a, "y")
    assert sorted(shuffled.isel(x=0).array.tolist()) == sorted(A[0].tolist())
    assert named.random.categorical(key, a, "y", {"n": 5}).dims == ("n", "x")
    assert named.random.choice(key, a, "y", {"u": 4}).dims == ("x", "u")


def test_pytree_and_serialisation(tmp_path):
    import copy
    import pickle

    import equinox as eqx

    leaves, tree = jax.tree.flatten(qa)
    assert len(leaves) == 1 and hash(tree) == hash(jax.tree.structure(m(B.T, "x", "y")))
    back = pickle.loads(pickle.dumps(qa))
    assert back.dims == qa.dims and jax.tree.structure(back) == tree
    assert copy.deepcopy(a).dims == a.dims
    eqx.tree_serialise_leaves(tmp_path / "a.eqx", a)
    loaded = eqx.tree_deserialise_leaves(tmp_path / "a.eqx", named.zeros({"x": 2, "y": 3}))
    np.testing.assert_array_equal(loaded.array, A)
    doubled = jax.tree.map(lambda x: x * 2, a)
    assert doubled.dims == a.dims
    struct = jax.eval_shape(lambda x: x.sum("x"), a)
    assert struct.dims == ("y",) and struct.shape == (3,)


def test_no_retrace():
    traces = 0

    @jax.jit
    def f(x, y):
        nonlocal traces
        traces += 1
        return x + y

    for _ in range(3):
        f(arr(A, "x", "y"), arr(B, Axis("y", 3), "x"))
    assert traces == 1


def test_repr():
    assert repr(jax.eval_shape(lambda x: x, qa)) == "NamedArray(f32[x=2, y=3], 'm')"
    assert repr(arr(W, "y")) == "NamedArray(f32[y=3])\n[1.  2.  0.5]"
    assert repr(NamedArray(jnp.ones((2, 1), jnp.int32), (None, "y"))) == (
        "NamedArray(i32[2, y=1])\n[[1]\n [1]]"
    )
    seen = []
    jax.jit(lambda x: seen.append(repr(x)))(qa)
    assert seen == ["NamedArray(f32[x=2, y=3], 'm')"]
    html = qa.assign_coords(y=Quantity([1.0, 2.0, 3.0], "km"))._repr_html_()
    assert "<table>" in html and "1.0 to 3.0 kilometer" in html


def test_annotations():
    from beartype import beartype
    from jaxtyping import Float, jaxtyped

    assert isinstance(a, NamedArray["y x"]) and not isinstance(a, NamedArray["x"])
    assert isinstance(a, NamedArray["x", "..."]) and isinstance(a, NamedArray["x=2 y"])
    assert not isinstance(a, NamedArray["x=3 y"])

    @jaxtyped(typechecker=beartype)
    def f(x: Float[NamedArray["x y"], "2 3"]) -> NamedArray["y"]:
        return x.sum("x")

    assert f(a).dims == ("y",)
    with pytest.raises(Exception, match="x"):
        f(c)
