"""`jax.nn`, `jax.lax`, `jax.ops` and `jax.random`."""

import jax
import numpy as np

from ._case import FIVE, IDX, INTS, MASK, PLAIN, SMALL, SPD, A, Area, B, C, P, Q, R, V, W

m = lambda x: Q(x, "m")
s = lambda x: Q(x, "s")
nn, lax, ops, random = map(Area, ("nn", "lax", "ops", "random"))

# -- nn: activations are of numbers, but for those that only scale --------------------------------
nn.numbers(
    "celu elu gelu hard_sigmoid hard_silu hard_swish hard_tanh log1mexp log_sigmoid log_softmax "
    "logmeanexp logsumexp mish relu6 selu sigmoid silu soft_sign softmax softplus sparse_plus "
    "sparse_sigmoid squareplus swish tanh glu",
    P,
)
nn("relu leaky_relu identity", m(V), out="m")
nn("standardize", m(A), out=PLAIN, rtol=2e-3)
nn("standardize", m(A), out=PLAIN, axis=0, note="axis", rtol=2e-3)
nn("one_hot", INTS, 13, out=PLAIN)
nn.refuses("one_hot", m(INTS), 13)
nn(
    "dot_product_attention",
    Q(A[None, :, None], "1"),
    Q(A[None, :, None], "1"),
    m(A[None, :, None]),
    out="m",
    rtol=2e-3,
)
nn.unclaimed(
    "get_scaled_dot_general_config scaled_dot_general scaled_matmul",
    "block-scaled formats of eight bits",
)

# -- lax ------------------------------------------------------------------------------------------
lax("abs neg real imag conj stop_gradient", m(C), out="m", note="complex")
lax("abs neg stop_gradient cumsum cummax cummin", m(V), out="m")
lax("add sub max min rem nextafter", m(V), m(W), out="m")
lax.refuses("add sub max min rem eq lt le gt ge ne", m(V), s(W))
lax("eq ne lt le gt ge", m(V), m(W), out=PLAIN)
lax("mul", m(V), s(W), out="m*s")
lax("div", m(V), s(W), out="m/s")
lax("sqrt", Q(P, "m**2"), out="m")
lax("cbrt", Q(P, "m**3"), out="m")
lax("rsqrt", Q(P, "m**2"), out="1/m")
lax("square", m(V), out="m**2")
lax("reciprocal", m(V), out="1/m")
lax("integer_pow", m(V), 3, out="m**3")
lax("pow", m(P), np.float32(1.5), out="m**1.5", jit=False, rescale=False)
lax("sign is_finite", m(V), out=PLAIN)
lax("floor ceil round", m(V), out="m", rescale=False)
lax("sin cos tan", Q(V, "rad"), out=PLAIN, refuses=(0,))
lax("asin acos atan", Q(SMALL, "1"), out="rad", refuses=(0,))
lax("atan2", m(V), m(W), out="rad")
lax.numbers(
    "exp exp2 expm1 sinh cosh tanh atanh asinh logistic erf erfc erf_inv bessel_i0e bessel_i1e",
    SMALL,
)
lax.numbers("log log2 log1p acosh lgamma digamma", P + 1)
lax.numbers("igamma igammac igamma_grad_a polygamma zeta", P + 1, P + 0.5, rtol=2e-3)
lax.numbers("betainc", P, P + 1, np.abs(SMALL))
lax.numbers("cumprod cumlogsumexp", P)
lax("clamp", m(np.float32(-1.0)), m(V), m(FIVE), out="m")
lax("complex", m(V), m(W), out="m")
lax("select", MASK, m(V), m(W), out="m")
lax("select_n", MASK, m(V), m(W), out="m")
lax("sort", m(V), out="m")
lax("sort_key_val", m(V), s(W), out=("m", "s"))
lax("top_k", m(V), 2, out=("m", PLAIN))
lax("argmax argmin", m(V), 0, np.int32, out=PLAIN)
lax("dot", m(A), s(B), out="m*s")
lax("batch_matmul", m(A[None]), s(B[None]), out="m*s")
lax("dot_general", m(A), s(B), (((1,), (0,)), ((), ())), out="m*s")
lax("conv", m(A[None, None]), s(B[None, None, :2]), (1, 1), "SAME", out="m*s")
lax("conv_general_dilated", m(A[None]), s(A[None, :, :2]), (1,), "SAME", out="m*s")
lax("conv_transpose", m(A[None]), s(B[None]), (1,), "SAME", out="m*s")
lax(
    "conv_with_general_padding",
    m(A[None, None]),
    s(B[None, None]),
    (1, 1),
    [(0, 1), (0, 1)],
    None,
    None,
    out="m*s",
)
lax("broadcast", m(V), (2,), out="m")
lax("broadcast_in_dim", m(V), (2, 4), (1,), out="m")
lax("broadcast_to_rank", m(V), 2, out="m")
lax("reshape", m(A), (4, 3), out="m")
lax("transpose", m(A), (1, 0), out="m")
lax("rev expand_dims", m(A), (0,), out="m")
lax("squeeze", m(A[None]), (0,), out="m")
lax("collapse", m(A), 0, out="m")
lax("slice", m(V), (1,), (3,), out="m")
lax("slice_in_dim", m(V), 1, 3, out="m")
lax("index_in_dim dynamic_index_in_dim", m(V), 1, out="m")
lax(
    "dynamic_slice",
    m(V),
    (np.int32(1),),
    (2,),
    out="m",
    f=lambda J, x, i, n: J.lax.dynamic_slice(x, (1,), (2,)),
)
lax("dynamic_slice_in_dim", m(V), 1, 2, out="m")
lax(
    "dynamic_update_slice",
    m(V),
    m(W[:2]),
    out="m",
    f=lambda J, x, u: J.lax.dynamic_update_slice(x, u, (1,)),
)
lax("dynamic_update_slice_in_dim dynamic_update_index_in_dim", m(V), m(W[:1]), 1, 0, out="m")
lax("concatenate", m(V), m(W), out="m", f=lambda J, x, y: J.lax.concatenate([x, y], 0))
lax("pad", m(V), m(FIVE), [(1, 2, 0)], out="m")
lax("split", m(V), (1, 3), out="m")
lax("full_like", m(V), m(FIVE), out="m")
lax("convert_element_type", m(V), np.float16, out="m", rtol=2e-3, rescale=False)
lax("reduce_precision", m(V), 8, 20, out="m")
lax("reduce_sum reduce_max reduce_min", m(V), (0,), out="m")
lax("reduce_prod", m(V), (0,), out="m**4")
lax("reduce", m(V), out="m", f=lambda J, x: J.lax.reduce(x, 0.0, jax.lax.add, (0,)))
lax(
    "reduce_window",
    m(V),
    out="m",
    f=lambda J, x: J.lax.reduce_window(x, 0.0, jax.lax.add, (2,), (1,), "VALID"),
)
lax(
    "reduce_window",
    m(V),
    out="m",
    note="max",
    f=lambda J, x: J.lax.reduce_window(x, -np.inf, jax.lax.max, (2,), (1,), "VALID"),
)
lax("approx_max_k approx_min_k", m(V), 2, out=("m", PLAIN))
lax("optimization_barrier", m(V), out="m")
lax("fft", m(C), "FFT", (4,), out="m")
lax("associative_scan", m(V), out="m", f=lambda J, x: J.lax.associative_scan(jax.lax.add, x))
lax(
    "gather",
    m(V),
    out="m",
    f=lambda J, x: J.lax.gather(
        x, IDX[:, None], jax.lax.GatherDimensionNumbers((), (0,), (0,)), (1,)
    ),
)
_DN = jax.lax.ScatterDimensionNumbers((), (0,), (0,))
for _name in ("scatter", "scatter_add", "scatter_sub", "scatter_max", "scatter_min"):
    if hasattr(jax.lax, _name):
        lax(
            _name,
            m(V),
            m(W[:2]),
            out="m",
            f=lambda J, x, u, n=_name: getattr(J.lax, n)(x, IDX[:, None], u, _DN),
        )
        lax.refuses(
            _name,
            m(V),
            s(W[:2]),
            f=lambda J, x, u, n=_name: getattr(J.lax, n)(x, IDX[:, None], u, _DN),
        )
lax(
    "scatter_mul",
    m(V),
    Q(W[:2], "1"),
    out="m",
    f=lambda J, x, u: J.lax.scatter_mul(x, IDX[:, None], u, _DN),
)
lax(
    "scatter_apply",
    m(V),
    out="m",
    f=lambda J, x: J.lax.scatter_apply(x, IDX[:, None], lambda y: 2 * y, _DN, update_shape=(2,)),
)
lax(
    "cond",
    m(V),
    m(W),
    out="m",
    f=lambda J, x, y: J.lax.cond(x[0] > y[0], lambda a, b: a, lambda a, b: b, x, y),
)
lax(
    "switch",
    m(V),
    m(W),
    out="m",
    f=lambda J, x, y: J.lax.switch(1, [lambda a, b: a, lambda a, b: a + b], x, y),
)
lax("scan", m(V), out=("m", "m"), f=lambda J, x: J.lax.scan(lambda c, v: (c + v, 2 * c), 0.0, x))
lax("map", m(V), out="m**2", f=lambda J, x: J.lax.map(lambda v: v * v, x))
lax("fori_loop", m(V), out="m", f=lambda J, x: J.lax.fori_loop(0, 4, lambda i, c: c + x[i], 0.0))
lax(
    "while_loop",
    m(V),
    out="m",
    f=lambda J, x: J.lax.while_loop(lambda c: c < x[2], lambda c: c + x[0], 0.0 * x[0]),
)
lax.refuses(
    "bitwise_and bitwise_or bitwise_xor shift_left shift_right_logical shift_right_arithmetic",
    m(INTS),
    m(INTS),
)
lax.refuses("bitwise_not population_count clz", m(INTS))

# -- segments -------------------------------------------------------------------------------------
SEGMENTS = np.array([0, 0, 2, 2], np.int32)
ops("segment_sum segment_max segment_min", m(V), SEGMENTS, 3, out="m")
ops("segment_prod", Q(V, "1"), SEGMENTS, 3, out=PLAIN, refuses=(0,))

# -- random ---------------------------------------------------------------------------------------
_draw = lambda f: lambda J, *xs: f(J.random, jax.random.key(3), *xs)
random(
    "uniform",
    m(np.float32(1.0)),
    m(FIVE),
    out="m",
    f=_draw(lambda r, k, a, b: r.uniform(k, (3,), minval=a, maxval=b)),
)
random.refuses(
    "uniform",
    m(np.float32(1.0)),
    s(FIVE),
    f=_draw(lambda r, k, a, b: r.uniform(k, (3,), minval=a, maxval=b)),
)
random.refuses(
    "uniform",
    m(FIVE),
    f=_draw(lambda r, k, a: r.uniform(k, (3,), minval=1.0, maxval=a)),
    note="bare",
)
random("normal", m(FIVE), out="m", f=_draw(lambda r, k, a: r.normal(k, (3,)) * a))
random("choice", m(V), out="m", f=_draw(lambda r, k, a: r.choice(k, a, (3,))))
random(
    "choice",
    m(V),
    out="m",
    note="weights",
    f=_draw(lambda r, k, a: r.choice(k, a, (3,), p=np.array([0.1, 0.2, 0.3, 0.4]))),
)
random("permutation", m(V), out="m", f=_draw(lambda r, k, a: r.permutation(k, a)))
random(
    "permutation",
    m(A),
    out="m",
    note="independent",
    f=_draw(lambda r, k, a: r.permutation(k, a, axis=1, independent=True)),
)
random(
    "multivariate_normal",
    m(R),
    Q(SPD, "m**2"),
    out="m",
    rtol=2e-3,
    f=_draw(lambda r, k, a, c: r.multivariate_normal(k, a, c)),
)
for _name in (
    "bernoulli",
    "poisson",
    "gamma",
    "dirichlet",
    "categorical",
    "chisquare",
    "t",
    "geometric",
    "pareto",
    "wald",
):
    random(
        _name,
        Q(np.abs(SMALL) + np.float32(0.1), "1"),
        out=PLAIN,
        refuses=(0,),
        rtol=2e-3,
        f=_draw(lambda r, k, a, n=_name: getattr(r, n)(k, a)),
    )
for _name in ("beta", "f"):
    random(
        _name,
        Q(P, "1"),
        Q(P + 1, "1"),
        out=PLAIN,
        refuses=(0,),
        rtol=2e-3,
        f=_draw(lambda r, k, a, b, n=_name: getattr(r, n)(k, a, b)),
    )
random(
    "truncated_normal",
    Q(np.float32(-1.0), "1"),
    Q(np.float32(2.0), "1"),
    out=PLAIN,
    refuses=(0,),
    f=_draw(lambda r, k, a, b: r.truncated_normal(k, a, b, (3,))),
)
random.refuses(
    "randint", m(np.int32(0)), m(np.int32(5)), f=_draw(lambda r, k, a, b: r.randint(k, (3,), a, b))
)
random.unclaimed(
    "Key PRNGKey ball binomial bits cauchy clone double_sided_maxwell exponential fold_in "
    "generalized_normal gumbel key key_data key_dtype key_impl laplace loggamma logistic lognormal "
    "maxwell multinomial orthogonal rademacher split triangular weibull_min wrap_key_data",
    "makes or takes keys and numbers; multiply what it draws by a unit",
)
