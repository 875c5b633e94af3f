"""`jax.lax` between devices, within functions, in odd shapes; and `jax.lax.linalg`."""

import jax
import numpy as np

from ._case import FIVE, INTS, PLAIN, SPD, SQ, A, Area, P, Q, R, V, W

m = lambda x: Q(x, "m")
s = lambda x: Q(x, "s")
lax, xla = Area("lax"), Area("lax.linalg")

# -- collectives, over a mapped axis --------------------------------------------------------------
for _name in ("psum", "pmax", "pmin", "pmean", "all_gather"):
    lax(
        _name,
        m(V),
        out="m",
        f=lambda J, x, n=_name: jax.vmap(lambda v: getattr(J.lax, n)(v, "i"), axis_name="i")(x),
        eager=False,
    )
lax(
    "ppermute pshuffle",
    m(V),
    out="m",
    eager=False,
    f=lambda J, x: jax.vmap(
        lambda v: J.lax.ppermute(v, "i", [(0, 1), (1, 2), (2, 3), (3, 0)]), axis_name="i"
    )(x),
)
lax.unclaimed(
    "all_to_all pswapaxes psum_scatter psum_scatter_start ragged_all_to_all pbroadcast pcast precv "
    "psend axis_index axis_size with_sharding_constraint",
    "between devices; the primitives keep the unit, see `tests/units/test_primitives.py`",
)

# -- shapes ---------------------------------------------------------------------------------------
lax("tile", m(A), (1, 2), out="m")
lax("unstack", m(A), out="m")
lax("stack", m(V), m(W), out="m", f=lambda J, x, y: J.lax.stack([x, y]))
lax("full", m(FIVE), out="m", f=lambda J, x: J.lax.full((3,), x))
lax("broadcast_like", m(V), s(A), out="m")
lax("index_take", m(V), out="m", f=lambda J, x: J.lax.index_take(x, (np.array([2, 0]),), (0,)))
lax("conv_general_dilated_patches", m(A[None]), out="m", filter_shape=(2,), window_strides=(1,),
    padding="VALID")  # fmt: skip
lax("conv_general_dilated_local", m(A[None]), s(np.ones((2, 6, 3), np.float32)), out="m*s",
    window_strides=(1,), padding="VALID", filter_shape=(2,))  # fmt: skip
lax("ragged_dot", m(A), s(np.ones((2, 4, 3), np.float32)), np.array([1, 2], np.int32), out="m*s")

# -- holding functions ----------------------------------------------------------------------------
lax(
    "custom_root",
    m(FIVE),
    out="m",
    f=lambda J, a: J.lax.custom_root(
        lambda y: y * y - a * a,
        3.0 * a,
        lambda f, y: J.lax.fori_loop(0, 9, lambda i, y: y - f(y) / (2 * y), y),
        lambda g, y: y / g(1.0),
    ),
)
lax(
    "custom_linear_solve",
    m(SQ),
    s(R),
    out="s/m",
    f=lambda J, a, b: J.lax.custom_linear_solve(
        lambda x: a @ x, b, lambda mv, y: J.numpy.linalg.solve(a, y)
    ),
)
lax("platform_dependent", m(V), out="m",
    f=lambda J, x: J.lax.platform_dependent(x, default=lambda y: 2 * y))  # fmt: skip

# -- numbers, bits, and what takes no data --------------------------------------------------------
lax.numbers("polynomial", P, P + 1)
lax.numbers("one_minus_square", V)
lax.refuses("mulhi", m(INTS), m(INTS))
lax.refuses("reduce_and reduce_or reduce_xor", m(INTS), (0,))
lax.refuses("bitcast_convert_type", m(V), np.int32)
lax.unclaimed(
    "ConvGeneralDilatedDimensionNumbers DotDimensionNumbers PrecisionLike after_all create_token "
    "broadcast_shapes broadcasted_iota iota empty dtype conv_dimension_numbers "
    "conv_general_permutations conv_general_shape_tuple conv_shape_tuple "
    "conv_transpose_shape_tuple padtype_to_pads reduce_window_shape_tuple rng_bit_generator "
    "rng_uniform shape_as_value composite dce_sink stage",
    "takes no data: shapes, dimension numbers, tokens",
)
lax.unclaimed("ragged_dot_general scaled_dot", "by their primitives; block-scaled formats")
lax.unclaimed("random_gamma_grad", "of JAX's own differentiation")

# -- matrices -------------------------------------------------------------------------------------
xla("eig", Q(SQ, "1/s"), out=("1/s", PLAIN, PLAIN), rtol=2e-3)
xla("svd", m(SQ), out=(PLAIN, "m", PLAIN), rtol=2e-3)
xla("symmetric_product", m(SQ), Q(SPD, "m**2"), out="m**2")
xla("tridiagonal", m(SPD), out=("m", "m", "m", PLAIN), lower=True, rescale=False)
xla.unclaimed(
    "cholesky_update householder_product lu_pivots_to_permutation ormqr qdwh",
    "takes factors of a factorisation, whose units are mixed; refused",
)
Area("numpy")("minmax", m(V), out="m")
Area("numpy")("sort_complex", m(V), out="m")
Area("random")("rayleigh", m(P), out="m", f=lambda J, a: J.random.rayleigh(jax.random.key(3), a))
Area("scipy.spatial.transform").unclaimed("Slerp", "interpolates at times that are numbers")
