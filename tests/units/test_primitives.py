"""Every primitive with units, by one table: value, dtype, shape and unit against plain JAX.

The oracle computes on plain arrays that hold the same numbers in SI; nothing of sciquax is in it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox.internal as eqxi
import jax
import jax.extend.core.primitives as exported
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sciquax import quaxify
from sciquax.core import Scaling, is_value
from sciquax.core._facts import FACTS
from sciquax.units import DimensionalityError, OffsetUnitCalculusError, Quantity, get_registry

RNG = np.random.default_rng(7)
V = RNG.normal(size=3).astype(np.float32) + np.array([2, -3, 4], np.float32)
W = RNG.normal(size=3).astype(np.float32) * 0.5 + np.array([1, 2, 3], np.float32)
P = np.abs(V) + 0.5
A = RNG.normal(size=(3, 4)).astype(np.float32)
SQ = (RNG.normal(size=(3, 3)) + 4 * np.eye(3)).astype(np.float32)
SPD = (SQ @ SQ.T).astype(np.float32)
SMALL = np.array([0.3, -0.6, 0.8], np.float32)
INTS = np.array([5, 12, 3], np.int32)
C = (V + 1j * W).astype(np.complex64)
M = np.array([True, False, True])
IDX = np.array([2, 0], np.int32)

PLAIN = None
"""The unit of an operand or output that is a plain array."""


@dataclasses.dataclass
class Specimen:
    """A call, its operands as (array, unit) and the units of its outputs (or the error)."""

    primitive: str
    f: Callable
    operands: tuple
    out: Any
    note: str = ""
    grad: bool = True
    vmap: bool = True
    rtol: float = 2e-4
    rescale: bool = True
    own: bool = False  # not homogeneous: the oracle computes in the operands' own unit
    reason: str = ""  # of a known bug

    def __str__(self):
        return self.primitive + (f"-{self.note}" if self.note else "")


def s(primitive, f, *operands, out, **more):
    operands = tuple(x if isinstance(x, tuple) else (x, PLAIN) for x in operands)
    return Specimen(primitive, f, operands, out, **more)


def same(name, x=V, unit="km", f=None, **more):
    """Keeps the unit of its only operand."""
    return s(name, f or getattr(lax, name), (x, unit), out=unit, **more)


def pure(name, x=P, **more):
    """Takes percent (or any number up to a factor) and gives a plain number."""
    return s(name, getattr(lax, name), (100 * x, "percent"), out=PLAIN, **more)


def joined(name, f=None, out="km", **more):
    return s(name, f or getattr(lax, name), (V, "km"), (1000 * W, "m"), out=out, **more)


pad = lambda x, z: lax.pad(x, z, [(1, 2, 1)])
gather = lambda x: x[jnp.asarray(IDX)]
DN = lax.ScatterDimensionNumbers((), (0,), (0,))
scatter = lambda op: lambda x, u: op(x, jnp.asarray(IDX)[:, None], u, DN, unique_indices=True)
SCATTER = ((V, "km"), (1000 * W[:2], "m"))


def _eig(x):
    """With squares of the vectors' elements: LAPACK's signs differ between processors."""
    values, vectors = lax.linalg.eig(x, compute_left_eigenvectors=False)
    return values, vectors * vectors


SPECIMENS = [
    # -- linear in one operand
    same("neg"),
    same("abs"),
    same("copy", f=lax.copy_p.bind),
    same("real", C),
    same("imag", C),
    same("conj", C, f=lax.conj, grad=False),
    same(
        "convert_element_type",
        f=lambda x: lax.convert_element_type(x, jnp.float16),
        rtol=2e-3,
        rescale=False,
    ),
    same("convert_element_type", INTS, f=lambda x: x.astype(jnp.float32), note="from-int"),
    same("reduce_precision", f=lambda x: lax.reduce_precision(x, 8, 10), rtol=2e-3),
    same("stop_gradient", f=lax.stop_gradient, grad=False),
    same("broadcast_in_dim", f=lambda x: lax.broadcast_in_dim(x, (2, 3), (1,))),
    same("reshape", A, f=lambda x: lax.reshape(x, (2, 6), (1, 0))),
    same("squeeze", A[:1], f=lambda x: lax.squeeze(x, (0,))),
    same("expand_dims", f=lambda x: lax.expand_dims(x, (1,))),
    same("transpose", A, f=lambda x: lax.transpose(x, (1, 0))),
    same("rev", A, f=lambda x: lax.rev(x, (1,))),
    same("slice", A, f=lambda x: lax.slice(x, (0, 1), (3, 4), (2, 1))),
    same(
        "dynamic_slice", A, f=lambda x: lax.dynamic_slice(x, (jnp.int32(1), jnp.int32(2)), (2, 2))
    ),
    s("split", lambda x: lax.split(x, (1, 2)), (V, "km"), out=["km", "km"]),
    same("gather", f=gather),
    same(
        "gather", f=lambda x: x.at[jnp.array([5, 1])].get(mode="fill", fill_value=0.0), note="fill"
    ),
    same("reduce_sum", A, f=lambda x: jnp.sum(x, 1)),
    same("reduce_max", A, f=lambda x: jnp.max(x, 0)),
    same("reduce_min", A, f=lambda x: jnp.min(x, 1)),
    same("cumsum", A, f=lambda x: lax.cumsum(x, 1, reverse=True)),
    same("cummax"),
    same("cummin"),
    same("reduce_window_sum", f=lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), "VALID")),
    same(
        "reduce_window_max",
        f=lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2,), (1,), "VALID"),
    ),
    same(
        "reduce_window_min", f=lambda x: lax.reduce_window(x, jnp.inf, lax.min, (2,), (1,), "VALID")
    ),
    same("fft", C, f=lambda x: lax.fft(x, "FFT", (3,)), grad=False),
    same("fft", f=lambda x: jnp.fft.rfft(x), note="real", grad=False),
    same("fft", C, f=lambda x: jnp.fft.irfft(x, 4), note="inverse", grad=False),
    same("device_put", f=lambda x: jax.device_put(x)),
    s(
        "optimization_barrier",
        lambda x, y: lax.optimization_barrier((x, y)),
        (V, "km"),
        (W, "s"),
        out=["km", "s"],
        grad=False,
    ),
    s("sort", lambda x, y: lax.sort((x, y), num_keys=1), (V, "km"), (W, "s"), out=["km", "s"]),
    same("sort", A, f=jnp.sort),
    s("top_k", lambda x: lax.top_k(x, 2), (V, "km"), out=["km", PLAIN]),
    s("approx_top_k", lambda x: lax.approx_max_k(x, 1), (V, "km"), out=["km", PLAIN]),
    same("nonbatchable", f=eqxi.nonbatchable, vmap=False, grad=False),
    same("nontraceable", f=eqxi.nontraceable, grad=False, vmap=False),
    same("nondifferentiable_backward", f=eqxi.nondifferentiable_backward, grad=False),
    same(
        "while",
        f=lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + x), (0, x))[1],
        grad=False,
    ),
    same("scan", f=lambda x: lax.scan(lambda c, r: (c + r, None), 0.0, x)[0]),
    same("cond", f=lambda x: lax.cond(x[0] > 0, lambda: x, lambda: -x)),
    same("remat2", f=jax.checkpoint(lambda x: x * 2)),
    same("jit", f=jax.jit(lambda x: x * 2)),
    same("custom_jvp_call", f=jax.nn.relu),
    # -- of one kind
    joined("add"),
    joined("sub"),
    joined("max"),
    joined("min"),
    joined("rem"),
    joined("add_any", f=lambda x, y: jax.vjp(lambda z: (z, z), x)[1]((x, y))[0], grad=False),
    joined("nextafter", grad=False, rescale=False, rtol=1e-4),
    joined("complex", grad=False),
    s("clamp", lax.clamp, (W - 1, "km"), (1000 * V, "m"), (100000 * (W + 1), "cm"), out="km"),
    s(
        "select_n",
        lambda x, y: lax.select_n(jnp.asarray(M), x, y),
        (V, "km"),
        (1000 * W, "m"),
        out="km",
    ),
    s("select_n", lambda x: jnp.where(x > 0, x, 0.0), (V, "km"), out="km", note="zero"),
    s("concatenate", lambda x, y: jnp.concatenate([x, y]), (V, "km"), (1000 * W, "m"), out="km"),
    s("stack", lambda x, y: jnp.stack([x, y], 1), (V, "km"), (1000 * W, "m"), out="km"),
    s(
        "pad", pad, (V, "km"), (np.float32(250.0), "m"), out="km", vmap=False
    ),  # JAX batches it as a select
    s("scatter", scatter(lax.scatter), *SCATTER, out="km"),
    s("scatter-add", scatter(lax.scatter_add), *SCATTER, out="km"),
    s("scatter-sub", lambda x, u: x.at[jnp.asarray(IDX)].subtract(u), *SCATTER, out="km"),
    s("scatter-min", scatter(lax.scatter_min), *SCATTER, out="km"),
    s("scatter-max", scatter(lax.scatter_max), *SCATTER, out="km"),
    s("scatter-mul", scatter(lax.scatter_mul), (V, "km"), (100 * W[:2], "percent"), out="km"),
    s(
        "dynamic_update_slice",
        lambda x, u: lax.dynamic_update_slice(x, u, (1,)),
        *SCATTER,
        out="km",
    ),
    s(
        "select_and_scatter_add",
        lambda x: jax.grad(
            lambda y: jnp.sum(lax.reduce_window(y, -jnp.inf, lax.max, (2,), (1,), "VALID") * x[:2])
        )(x),
        (V, "km"),
        out="km",
        grad=False,
    ),
    # -- comparisons and predicates
    *[
        s(name, getattr(lax, name), (V, "km"), (1000 * W, "m"), out=PLAIN, grad=False)
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    ],
    s(
        "eq",
        lax.eq,
        (INTS.astype(np.float32), "km"),
        (1000 * INTS.astype(np.float32), "m"),
        out=PLAIN,
        grad=False,
        note="equal",
        rescale=False,
    ),
    s("sign", lax.sign, (V, "km"), out=PLAIN, grad=False),
    s("is_finite", lax.is_finite, (V, "km"), out=PLAIN, grad=False),
    s("argmax", lambda x: jnp.argmax(x), (V, "km"), out=PLAIN, grad=False),
    s("argmin", lambda x: jnp.argmin(x), (V, "km"), out=PLAIN, grad=False),
    # -- products, quotients, powers
    s("mul", lax.mul, (V, "km"), (W, "s"), out="km*s"),
    s("mul", lax.mul, (V, "km"), W, out="km", note="plain"),
    s("mul", lax.mul, (V, "km"), (W, "1/m"), out="km/m", note="ratio"),
    s("mul", lax.mul, (V, "km"), (W, "1/km"), out=PLAIN, note="cancels"),
    s("div", lax.div, (V, "km"), (W, "s"), out="km/s"),
    s("div", lax.div, W, (P, "s"), out="1/s", note="reciprocal"),
    s("div", lax.div, (V, "km"), (W, "km"), out=PLAIN, note="cancels"),
    s("div", lax.div, (V, "km"), (W, "m"), out="km/m", note="ratio"),
    s("dot_general", jnp.dot, (A.T, "km"), (W, "N"), out="km*N"),
    s(
        "dot_general",
        lambda x, y: jnp.einsum("ij,ik->jk", x, y),
        (A, "km"),
        (SQ, "N"),
        out="km*N",
        note="einsum",
    ),
    s("conv_general_dilated", lambda x, k: jnp.convolve(x, k), (V, "km"), (W, "s"), out="km*s"),
    s(
        "ragged_dot_general",
        lambda x, y: lax.ragged_dot(x, y, jnp.array([1, 2])),
        (SQ, "km"),
        (np.stack([SQ, SQ.T]), "s"),
        out="km*s",
        vmap=False,
        grad=False,
    ),
    s("square", lax.square, (V, "km"), out="km**2"),
    s("sqrt", lax.sqrt, (P, "km**2"), out="km"),
    s("sqrt", lax.sqrt, (P, "km"), out="km**0.5", note="half"),
    s("cbrt", lax.cbrt, (P, "km**3"), out="km"),
    s("rsqrt", lax.rsqrt, (P, "km**4"), out="1/km**2"),
    s("integer_pow", lambda x: x**3, (V, "km"), out="km**3"),
    s("integer_pow", lambda x: x**-2, (V, "km"), out="1/km**2", note="negative"),
    s("pow", lambda x: x**1.5, (P, "km**2"), out="km**3"),
    s(
        "pow",
        lambda x: x**0.0,
        (P, "km"),
        out=PLAIN,
        note="zero",
        grad=False,
    ),
    s("pow", lax.pow, (100 * P, "percent"), (100 * W, "percent"), out=PLAIN, note="numbers"),
    s("pow", lax.pow, P, (60 * W, "s/min"), out=PLAIN, note="exponent-ratio"),
    s("reduce_prod", lambda x: jnp.prod(x, 1), (A, "km"), out="km**4"),
    # -- rounding
    same("floor", grad=False, rescale=False, own=True),
    same("ceil", grad=False, rescale=False, own=True),
    same("round", grad=False, rescale=False, own=True),
    s(
        "floor",
        lax.floor,
        (150 * V, "percent"),
        out="percent",
        note="percent",
        grad=False,
        rescale=False,
        own=True,
    ),  # fmt: skip
    # -- numbers
    *[
        pure(n)
        for n in (
            "exp",
            "exp2",
            "log",
            "log1p",
            "log2",
            "expm1",
            "sinh",
            "tanh",
            "asinh",
            "erf",
            "cosh",
            "logistic",
            "erfc",
            "lgamma",
            "digamma",
            "bessel_i0e",
            "bessel_i1e",
        )
        if hasattr(lax, n)
    ],
    pure("atanh", SMALL),
    pure("erf_inv", SMALL),
    pure("acosh", P + 1),
    s("exp", lax.exp, (1000 * V, "m/km"), out=PLAIN, note="ratio"),
    s("igamma", lax.igamma, (100 * P, "percent"), W, out=PLAIN, grad=False),
    s("igammac", lax.igammac, (100 * P, "percent"), W, out=PLAIN, grad=False),
    s("zeta", lax.zeta, (100 * (P + 1), "percent"), W, out=PLAIN, grad=False),
    s(
        "polygamma",
        lax.polygamma,
        np.float32(1) + 0 * P,
        (100 * P, "percent"),
        out=PLAIN,
        grad=False,
    ),
    s(
        "regularized_incomplete_beta",
        lax.betainc,
        P,
        W,
        (100 * np.abs(SMALL), "percent"),
        out=PLAIN,
        grad=False,
    ),
    s("cumprod", lax.cumprod, (100 * V, "percent"), out=PLAIN),
    s("cumlogsumexp", lax.cumlogsumexp, (100 * V, "percent"), out=PLAIN),
    # -- angles
    *[s(n, getattr(lax, n), (40 * SMALL, "degree"), out=PLAIN) for n in ("sin", "cos", "tan")],
    s("sin", lax.sin, (SMALL, "radian"), out=PLAIN, note="radian"),
    s("cos", lax.cos, (100 * SMALL, "percent"), out=PLAIN, note="number"),
    *[
        s(n, getattr(lax, n), (100 * SMALL, "percent"), out="radian")
        for n in ("asin", "acos", "atan")
    ],
    s("atan2", lax.atan2, (V, "km"), (1000 * W, "m"), out="radian"),
    # -- matrices
    s(
        "cholesky",
        lambda x: lax.linalg.cholesky(x, symmetrize_input=False),
        (SPD, "km**2"),
        out="km",
        grad=False,
    ),
    s(
        "lu",
        lambda x: lax.linalg.lu(x),
        (SQ, "km"),
        out=["km", PLAIN, PLAIN],
        grad=False,
        own=True,
        rescale=False,
    ),
    s("qr", lambda x: lax.linalg.qr(x), (SQ, "km"), out=[PLAIN, "km"], grad=False),
    s("eigh", lambda x: lax.linalg.eigh(x), (SPD, "km"), out=[PLAIN, "km"], grad=False, rtol=1e-3),
    s(
        "svd",
        lambda x: lax.linalg.svd(x, full_matrices=False),
        (A, "km"),
        out=[PLAIN, "km", PLAIN],
        grad=False,
        rescale=False,
        own=True,
    ),
    s(
        "svd",
        lambda x: lax.linalg.svd(x, compute_uv=False),
        (A, "km"),
        out="km",
        note="values",
        rtol=1e-3,
    ),
    s(
        "schur",
        lambda x: lax.linalg.schur(x),
        (SQ, "km"),
        out=["km", PLAIN],
        grad=False,
        vmap=False,
        rescale=False,
        own=True,
    ),
    s(
        "hessenberg",
        lambda x: lax.linalg.hessenberg(x),
        (SQ, "km"),
        out=["km", PLAIN],
        grad=False,
        rescale=False,
        own=True,
    ),
    s("geqrf", lambda x: lax.linalg.geqrf(x), (SQ, "km"), out=["km", PLAIN], grad=False)
    if hasattr(lax.linalg, "geqrf")
    else None,
    s(
        "eig",
        _eig,
        (SPD, "km"),
        out=["km", PLAIN],
        grad=False,
        rescale=False,
        rtol=1e-3,
    ),
    s(
        "triangular_solve",
        lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, lower=True),
        (SQ, "km"),
        (A, "N"),
        out="N/km",
        rtol=1e-3,
    ),
    s(
        "triangular_solve",
        lambda a, b: lax.linalg.triangular_solve(
            a, b, left_side=True, lower=True, unit_diagonal=True
        ),
        (SQ, PLAIN),
        (A, "N"),
        out="N",
        note="unit-diagonal",
    ),
    s(
        "tridiagonal_solve",
        lax.linalg.tridiagonal_solve,
        (SMALL, "km"),
        (P + 2, "km"),
        (SMALL, "km"),
        (A, "N"),
        out="N/km",
        grad=False,
        vmap=False,
        rtol=1e-3,
    ),
    s("custom_linear_solve", jnp.linalg.solve, (SQ, "km"), (W, "N"), out="N/km", rtol=1e-3),
    s("custom_linear_solve", jnp.linalg.inv, (SQ, "km"), out="1/km", note="inv", rtol=1e-3),
]
SPECIMENS = [x for x in SPECIMENS if x is not None]

ERRORS = [
    *[
        s(n, getattr(lax, n), (V, "km"), (W, "s"), out=DimensionalityError)
        for n in (
            "add",
            "sub",
            "max",
            "min",
            "rem",
            "nextafter",
            "complex",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "atan2",
        )
    ],
    *[
        s(n, getattr(lax, n), (V, "km"), W, out=DimensionalityError, note="plain")
        for n in ("add", "sub", "max", "min", "rem", "lt", "eq", "atan2")
    ],
    *[
        s(n, getattr(lax, n), W, (V, "km"), out=DimensionalityError, note="plain-first")
        for n in ("add", "sub", "lt", "atan2")
    ],
    *[
        s(n, getattr(lax, n), (P, "km"), out=DimensionalityError)
        for n in (
            "exp",
            "exp2",
            "log",
            "log1p",
            "expm1",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "acosh",
            "atanh",
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "logistic",
            "erf",
            "erfc",
            "erf_inv",
            "lgamma",
            "digamma",
            "bessel_i0e",
            "bessel_i1e",
            "cumprod",
            "cumlogsumexp",
        )
        if hasattr(lax, n)
    ],
    *[
        s(n, f, (INTS, "km"), out=DimensionalityError)
        for n, f in {
            "not": lax.bitwise_not,
            "population_count": lax.population_count,
            "clz": lax.clz,
        }.items()
    ],
    *[
        s(n, f, (INTS, "km"), INTS, out=DimensionalityError)
        for n, f in {
            "and": lax.bitwise_and,
            "or": lax.bitwise_or,
            "xor": lax.bitwise_xor,
            "shift_left": lax.shift_left,
            "shift_right_arithmetic": lax.shift_right_arithmetic,
            "shift_right_logical": lax.shift_right_logical,
        }.items()
    ],
    s(
        "bitcast_convert_type",
        lambda x: lax.bitcast_convert_type(x, jnp.int32),
        (V, "km"),
        out=DimensionalityError,
    ),
    s("pow", lax.pow, (P, "km"), W, out=DimensionalityError, note="array-exponent"),
    s("pow", lax.pow, W, (P, "km"), out=DimensionalityError, note="dimensional-exponent"),
    s(
        "pow",
        lambda x, n: x**n,
        (P, "km"),
        np.float32(2),
        out=DimensionalityError,
        note="traced-exponent",
    ),
    s("clamp", lax.clamp, (V, "km"), (V, "km"), (V, "s"), out=DimensionalityError),
    s(
        "select_n",
        lambda x, y: jnp.where(jnp.asarray(M), x, y),
        (V, "km"),
        (W, "s"),
        out=DimensionalityError,
    ),
    s("concatenate", lambda x, y: jnp.concatenate([x, y]), (V, "km"), W, out=DimensionalityError),
    s("stack", lambda x, y: jnp.stack([x, y]), (V, "km"), (W, "s"), out=DimensionalityError),
    s("pad", pad, (V, "km"), np.float32(1), out=DimensionalityError),
    *[
        s(
            f"scatter-{n}",
            lambda x, u, n=n: getattr(x.at[jnp.asarray(IDX)], n)(u),
            (V, "km"),
            (W[:2], "s"),
            out=DimensionalityError,
        )
        for n in ("set", "add", "subtract", "min", "max", "multiply")
    ],
    s(
        "dynamic_update_slice",
        lambda x, u: lax.dynamic_update_slice(x, u, (1,)),
        (V, "km"),
        (W[:2], "s"),
        out=DimensionalityError,
    ),
    s(
        "dynamic_slice",
        lambda x, i: lax.dynamic_slice(x, (i,), (2,)),
        (V, "km"),
        (np.int32(1), "m"),
        out=DimensionalityError,
        note="index",
    ),
    s("gather", lambda x, i: x[i], (V, "km"), (IDX, "m"), out=DimensionalityError, note="index"),
    s(
        "tridiagonal_solve",
        lax.linalg.tridiagonal_solve,
        (SMALL, "km"),
        (P, "s"),
        (SMALL, "km"),
        (A, "N"),
        out=DimensionalityError,
    ),
    s(
        "reduce_and",
        lambda x: lax.reduce(x, np.int32(-1), lax.bitwise_and, (0,)),
        (INTS, "km"),
        out=DimensionalityError,
    ),
    s(
        "reduce_or",
        lambda x: lax.reduce(x, np.int32(0), lax.bitwise_or, (0,)),
        (INTS, "km"),
        out=DimensionalityError,
    ),
    s(
        "reduce_xor",
        lambda x: lax.reduce(x, np.int32(0), lax.bitwise_xor, (0,)),
        (INTS, "km"),
        out=DimensionalityError,
    ),
    s(
        "symmetric_product",
        lambda a, c: lax.linalg.symmetric_product(a, c),
        (SQ, "km"),
        (SPD, "s"),
        out=DimensionalityError,
    ),
    s("unvmap_max", eqxi.unvmap_max, (INTS, "km"), out=DimensionalityError),
    s(
        "random_gamma",
        lambda a: jax.random.gamma(jax.random.key(0), a),
        (P, "km"),
        out=DimensionalityError,
    ),
]
OFFSET_ERRORS = [
    s("neg", lax.neg, (V, "degC"), out=OffsetUnitCalculusError),
    s("abs", lax.abs, (V, "degC"), out=OffsetUnitCalculusError),
    s("add", lax.add, (V, "degC"), (W, "degC"), out=OffsetUnitCalculusError),
    s("mul", lax.mul, (V, "degC"), W, out=OffsetUnitCalculusError, note="plain"),
    s("mul", lax.mul, (V, "degC"), (W, "kg"), out=OffsetUnitCalculusError),
    s("div", lax.div, (V, "degC"), W, out=OffsetUnitCalculusError),
    s("div", lax.div, W, (V, "degC"), out=OffsetUnitCalculusError, note="reciprocal"),
    s("sqrt", lax.sqrt, (P, "degC"), out=OffsetUnitCalculusError),
    s("square", lax.square, (P, "degC"), out=OffsetUnitCalculusError),
    s("integer_pow", lambda x: x**3, (P, "degC"), out=OffsetUnitCalculusError),
    s("reduce_sum", jnp.sum, (V, "degC"), out=OffsetUnitCalculusError),
    s("cumsum", jnp.cumsum, (V, "degC"), out=OffsetUnitCalculusError),
    s("dot_general", jnp.dot, (V, "degC"), (W, "kg"), out=OffsetUnitCalculusError),
    s("fft", jnp.fft.fft, (C, "degC"), out=OffsetUnitCalculusError),
    s("sign", lax.sign, (V, "degC"), out=OffsetUnitCalculusError),
    s(
        "scatter-add",
        lambda x, u: x.at[0].add(u),
        (V, "degC"),
        (np.float32(1), "degC"),
        out=OffsetUnitCalculusError,
        note="degC",
    ),
    s(
        "scatter-sub",
        lambda x, u: x.at[0].subtract(u),
        (V, "degC"),
        (np.float32(1), "degC"),
        out=OffsetUnitCalculusError,
        note="degC",
    ),
    s(
        "scatter-mul",
        lambda x, u: x.at[0].multiply(u),
        (V, "degC"),
        np.float32(2),
        out=OffsetUnitCalculusError,
    ),
    s(
        "rem",
        lax.rem,
        (V, "degC"),
        (W, "degC"),
        out=OffsetUnitCalculusError,
        note="degC",
    ),
    s("reduce_prod", jnp.prod, (V, "degC"), out=OffsetUnitCalculusError),
    s("atan2", lax.atan2, (V, "degC"), (W, "degC"), out=OffsetUnitCalculusError),
    s(
        "complex",
        lax.complex,
        (V, "degC"),
        (W, "degC"),
        out=OffsetUnitCalculusError,
        note="degC",
    ),
    s("lu", lambda x: lax.linalg.lu(x), (SQ, "degC"), out=OffsetUnitCalculusError),
    s(
        "reduce_window_sum",
        lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), "VALID"),
        (V, "degC"),
        out=OffsetUnitCalculusError,
    ),
]
AFFINE = [
    same("max", unit="degC", f=lambda x: lax.max(x, x[::-1]), grad=False),
    same("sort", unit="degC", f=jnp.sort),
    same("reduce_max", unit="degC", f=jnp.max),
    same("concatenate", unit="degC", f=lambda x: jnp.concatenate([x, x])),
    same("gather", unit="degC", f=gather),
    same("select_n", unit="degC", f=lambda x: jnp.where(jnp.asarray(M), x, x[::-1])),
    s("sub", lax.sub, (V, "degC"), (W, "degC"), out="delta_degC"),
    s("add", lax.add, (V, "degC"), (W, "delta_degC"), out="degC"),
    s("sub", lax.sub, (V, "degC"), (W, "delta_degC"), out="degC", note="difference"),
    s("add", lax.add, (W, "delta_degC"), (V, "degC"), out="degC", note="difference-first"),
    s("lt", lax.lt, (V, "degC"), (1.8 * W + 32, "degF"), out=PLAIN, grad=False),
]


def cases(specimens):
    """The specimens as parameters; those of a known bug are expected to fail."""
    return [
        pytest.param(x, marks=pytest.mark.xfail(strict=True, reason=x.reason) if x.reason else ())
        for x in specimens
    ]


# -- the oracle

_SI: dict[Any, tuple[float, float]] = {}


def si(array, unit):
    """The number in SI base units (angles in radians), by pint alone."""
    if unit is PLAIN:
        return np.asarray(array)
    if unit not in _SI:
        registry = get_registry()
        base = registry.get_base_units(unit)[1]
        at = [registry.Quantity(x, unit).to(base).magnitude for x in (0.0, 1.0)]
        _SI[unit] = (at[1] - at[0], at[0])
    factor, offset = _SI[unit]
    array = np.asarray(array)
    kind = np.complex128 if np.iscomplexobj(array) else np.float64
    return array.astype(kind) * factor + offset


def oracle(specimen, operands):
    """Plain JAX in double precision on SI numbers."""
    if specimen.own:
        arrays = [jnp.asarray(x) for x, _ in operands]
        units = specimen.out if isinstance(specimen.out, list) else [specimen.out]
        out = map(np.asarray, jax.tree.leaves(specimen.f(*arrays)))
        return [si(x, u) for x, u in zip(out, units, strict=True)]
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        arrays = [
            jnp.asarray(si(x, u)) if _inexact(x) or u is not PLAIN else jnp.asarray(x)
            for x, u in operands
        ]
        arrays = [x.astype(jnp.float64) if x.dtype == jnp.float32 else x for x in arrays]
        return [np.asarray(x) for x in jax.tree.leaves(specimen.f(*arrays))]


def _inexact(x):
    return np.issubdtype(np.asarray(x).dtype, np.inexact)


def values(operands):
    return [jnp.asarray(x) if u is PLAIN else Quantity(jnp.asarray(x), u) for x, u in operands]


def outputs(tree):
    return jax.tree.leaves(tree, is_leaf=is_value)


def check_units(out, expected):
    expected = expected if isinstance(expected, list) else [expected] * len(out)
    assert len(out) == len(expected)
    for x, unit in zip(out, expected, strict=True):
        if unit is PLAIN:
            assert not is_value(x), f"{x!r} is not plain"
        else:
            assert type(x) is Quantity and type(x.magnitude) is not Quantity, repr(x)
            assert x.units == get_registry().Unit(unit), f"{x!r} is not in {unit}"


def check_numbers(out, expected, rtol):
    for x, e in zip(out, expected, strict=True):
        ours = si(x.magnitude, str(x.units)) if is_value(x) else np.asarray(x)
        scale = np.max(np.abs(e)) if e.size and e.dtype.kind in "fc" else 1.0
        assert ours.shape == e.shape
        np.testing.assert_allclose(ours, e, rtol=rtol, atol=rtol * float(scale))


@pytest.mark.parametrize("specimen", cases([*SPECIMENS, *AFFINE]), ids=str)
def test_value_and_unit(specimen):
    """Eager, jitted from outside and from inside: one answer, the oracle's."""
    args = values(specimen.operands)
    expected = oracle(specimen, specimen.operands)
    plain = jax.tree.leaves(specimen.f(*[jnp.asarray(x) for x, _ in specimen.operands]))
    for f in (quaxify(specimen.f), jax.jit(quaxify(specimen.f)), quaxify(jax.jit(specimen.f))):
        out = outputs(f(*args))
        check_units(out, specimen.out)
        check_numbers(out, expected, specimen.rtol)
        for x, p in zip(out, plain, strict=True):
            assert x.dtype == p.dtype, f"{x.dtype} is not {p.dtype}"


VMAP = [x for x in SPECIMENS if x.vmap]


@pytest.mark.parametrize("specimen", cases(VMAP), ids=str)
def test_vmap(specimen):
    """Mapped from outside and inside over two different rows."""
    rows = [specimen.operands, [(_other(x), u) for x, u in specimen.operands]]
    stacked = [(np.stack([a, b]), u) for (a, u), (b, _) in zip(*rows, strict=True)]
    expected = [oracle(specimen, row) for row in rows]
    for f in (jax.vmap(quaxify(specimen.f)), quaxify(jax.vmap(specimen.f))):
        out = outputs(f(*values(stacked)))
        check_units(out, specimen.out)
        for i in range(2):
            check_numbers([x[i] for x in out], expected[i], specimen.rtol)


def _other(x):
    """A row unlike the first, in the domain of every function here."""
    if not _inexact(x):
        return x
    return (x * np.asarray(0.9, x.dtype)).astype(x.dtype)


GRADS = [x for x in SPECIMENS if x.grad]


@pytest.mark.parametrize("specimen", cases(GRADS), ids=str)
def test_gradient(specimen):
    """The gradient's unit is the output's per the argument's, its value the oracle's."""
    import sciquax

    def loss(*xs):
        (out,) = [
            x for x in jax.tree.leaves(specimen.f(*xs)) if jnp.issubdtype(x.dtype, jnp.inexact)
        ][:1]
        return jnp.sum(out * jnp.arange(1, out.size + 1, dtype=out.dtype).reshape(out.shape))

    argnums = tuple(
        i
        for i, (x, _) in enumerate(specimen.operands)
        if np.issubdtype(np.asarray(x).dtype, np.floating)
    )
    if not argnums:
        pytest.skip("no real operand")
    grads = sciquax.grad(loss, argnums)(*values(specimen.operands))
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        arrays = [
            jnp.asarray(si(x, u)) if _inexact(x) else jnp.asarray(x) for x, u in specimen.operands
        ]
        arrays = [x.astype(jnp.float64) if x.dtype == jnp.float32 else x for x in arrays]
        expected = [np.asarray(g) for g in jax.grad(loss, argnums)(*arrays)]
    out = specimen.out[0] if isinstance(specimen.out, list) else specimen.out
    registry = get_registry()
    numerator = registry.Unit(out or "")
    for i, grad, e in zip(argnums, grads, expected, strict=True):
        unit = numerator / registry.Unit(specimen.operands[i][1] or "")
        if is_value(grad):
            assert grad.units == unit, f"{grad.units} is not {unit}"
        else:
            assert unit == registry.Unit(""), f"plain, not {unit}"
        check_numbers([grad], [e], max(10 * specimen.rtol, 2e-3))


RESCALED = {
    "km": ("cm", 1e5),
    "m": ("mile", 1 / 1609.344),
    "s": ("min", 1 / 60),
    "N": ("kN", 1e-3),
    "percent": ("dimensionless", 0.01),
    "degree": ("arcmin", 60.0),
    "radian": ("degree", 180 / np.pi),
    "km**2": ("m**2", 1e6),
    "km**3": ("m**3", 1e9),
    "km**4": ("m**4", 1e12),
    "1/m": ("1/cm", 0.01),
    "1/km": ("1/m", 1e-3),
    "cm": ("m", 0.01),
    "m/km": ("cm/m", 0.1),
    "s/min": ("dimensionless", 1 / 60),
}


@pytest.mark.parametrize("specimen", cases(x for x in SPECIMENS if x.rescale), ids=str)
def test_changing_units_commutes(specimen):
    """The same physical operands in other units give the same physical result."""
    changed = [
        (x, u)
        if u is PLAIN
        else ((x * RESCALED[u][1]).astype(x.dtype if _inexact(x) else np.float32), RESCALED[u][0])
        for x, u in specimen.operands
    ]
    out = outputs(quaxify(specimen.f)(*values(changed)))
    check_numbers(out, oracle(specimen, specimen.operands), 3 * specimen.rtol)


@pytest.mark.parametrize("specimen", cases([*ERRORS, *OFFSET_ERRORS]), ids=str)
def test_refused(specimen):
    call = lambda *xs: specimen.f(*xs)
    for f in (quaxify(call), jax.jit(quaxify(call))):
        with pytest.raises(specimen.out) as info:
            f(*values(specimen.operands))
        assert isinstance(info.value, TypeError) and __file__ in str(info.value)


# What has no specimen: it makes arrays, holds functions, talks between devices, or is JAX's inner
# machinery that no single-device program of plain functions emits.
WITHOUT = {Scaling.CONSTANT, Scaling.REFUSED}
ELSEWHERE = """
    name pvary sharding_constraint layout_constraint with_memory_space_constraint reshard pbroadcast
    reduced_vary_cast vary_unreduced_cast to_edtype from_edtype zeros_like copy_p eq_to le_to lt_to
    psum pmax pmin ppermute all_to_all all_gather reduce_scatter psum_invariant all_gather_invariant
    ragged_all_to_all unvmap_all unvmap_any select_if_vmap maybe_set broadcast_to tile unstack
    igamma_grad_a random_gamma_grad one_minus_square polynomial mulhi select_and_gather_add
    cholesky_update geqp3 geqrf ormqr householder_product tridiagonal lu_pivots_to_permutation
    custom_vjp_call call core_call closed_call core_closed_call eval_jaxpr reduce reduce_window
    select_and_scatter custom_linear_solve stack
    shard_map pure_callback io_callback debug_callback debug_print composite linear_call
    custom_vmap_call noinline
""".split()  # tests/core/test_higher_order.py; tests/structured


def test_every_primitive_has_a_specimen():
    have = {
        x.primitive.removesuffix("-set") for x in (*SPECIMENS, *ERRORS, *OFFSET_ERRORS, *AFFINE)
    }
    known = {n for n, f in FACTS.items() if f.scaling not in WITHOUT}
    emitted_only_by_newer = {"log2"} - {n.removesuffix("_p") for n in dir(exported)}
    assert sorted(known - have - set(ELSEWHERE) - emitted_only_by_newer) == []
    names = {getattr(exported, n).name for n in dir(exported) if n.endswith("_p")}
    assert sorted(names - FACTS.keys()) == []


@pytest.mark.parametrize("specimen", [*SPECIMENS, *ERRORS], ids=str)
def test_specimen_emits_its_primitive(specimen):
    """The table tests what it says it tests."""
    arrays = [jnp.asarray(x) for x, _ in specimen.operands]
    name = {
        "scatter-set": "scatter",
        "scatter-subtract": "scatter-sub",
        "scatter-multiply": "scatter-mul",
        "expand_dims": "broadcast_in_dim",
    }.get(specimen.primitive, specimen.primitive)
    found = _all_primitives(jax.make_jaxpr(lambda *xs: specimen.f(*xs))(*arrays))
    if name == "concatenate" and "stack" in found:
        name = "stack"
    if name == "stack" and "stack" not in found:
        name = "concatenate"
    aliases = {
        "expand_dims": "reshape",
        "scatter-sub": "scatter-add",
        "stop_gradient": "mul",
        "broadcast_in_dim": "reshape",
    }
    if name == "stop_gradient":
        return
    assert name in found or aliases.get(name) in found, found


def _all_primitives(jaxpr):
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    found = set()
    for eqn in jaxpr.eqns:
        found.add(eqn.primitive.name)
        for param in jax.tree.leaves(
            list(eqn.params.values()), is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")
        ):
            if hasattr(param, "eqns") or hasattr(param, "jaxpr"):
                found |= _all_primitives(param)
    return found
