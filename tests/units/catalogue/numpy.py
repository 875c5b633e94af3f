"""`jax.numpy`, with `linalg` and `fft` in files of their own."""

import numpy as np

from ._case import (
    FIVE,
    IDX,
    INTS,
    MASK,
    NAN,
    PLAIN,
    SMALL,
    SORTED,
    SQ,
    A,
    Area,
    B,
    C,
    P,
    Q,
    R,
    V,
    W,
)

np_ = Area("numpy")
m = lambda x: Q(x, "m")
s = lambda x: Q(x, "s")

# -- one operand, its unit kept --------------------------------------------------------------------
np_(
    "abs absolute fabs negative positive real conj conjugate copy ravel flip sort "
    "atleast_1d atleast_2d atleast_3d asarray array squeeze transpose cumsum nancumsum "
    "cumulative_sum sum max min amax amin mean median std ptp nanmax nanmin nansum nanmean "
    "nanmedian nanstd nan_to_num diff ediff1d average diag diagflat "
    "unstack zeros_like spacing",
    m(V),
    out="m",
)
np_("real imag conj conjugate abs sum mean cumsum ravel sort", m(C), out="m", note="complex")
np_(
    "nanmax nanmin nansum nanmean nanmedian nanstd nan_to_num nancumsum",
    m(NAN),
    out="m",
    note="nan",
)
np_(
    "sum max min amax amin mean median std ptp nanmax nanmin nansum nanmean nanmedian nanstd "
    "cumsum nancumsum cumulative_sum sort flip average diff unstack",
    m(A), out="m", axis=1, note="axis",
)  # fmt: skip
np_("sum max min mean std median", m(A), out="m", axis=0, keepdims=True, note="keepdims", grad=True)
np_("sum", m(V), out="m", where=MASK, note="where")
np_("mean std", m(V), out="m", where=MASK, note="where")
np_("max min", m(V), out="m", note="where", f=lambda J, x: J.numpy.max(x, where=MASK, initial=0.0))
np_("sum", m(V), m(FIVE), out="m", note="initial", f=lambda J, x, y: J.numpy.sum(x, initial=y))
np_("max", m(V), m(FIVE), out="m", note="initial", f=lambda J, x, y: J.numpy.max(x, initial=y))
np_("var nanvar", m(V), out="m**2", grad=True)
np_("var nanvar", m(A), out="m**2", axis=1, ddof=1, note="ddof")
np_("std nanstd", m(A), out="m", axis=1, ddof=1, note="ddof")
np_("cov", m(A), out="m**2")
np_("cov", m(V), m(W), out="m**2", note="two")
np_("corrcoef", m(A), out=PLAIN)
np_("corrcoef", m(V), m(W), out=PLAIN, note="two")
np_("corrcoef", m(V), s(W), out=PLAIN, note="of two kinds")
np_("average", m(V), s(P), out="m", f=lambda J, x, w: J.numpy.average(x, weights=w), note="weights")
np_(
    "average",
    m(V),
    s(P),
    out=("m", "s"),
    note="returned",
    f=lambda J, x, w: J.numpy.average(x, weights=w, returned=True),
)
np_("percentile nanpercentile", m(V), np.float32(30.0), out="m")
np_("quantile nanquantile", m(V), np.float32(0.3), out="m")
np_(
    "percentile nanpercentile",
    m(A),
    np.array([30.0, 60.0], np.float32),
    out="m",
    axis=1,
    note="many",
)
np_("quantile nanquantile", m(A), np.array([0.3, 0.6], np.float32), out="m", axis=0, note="many")
np_("quantile", m(A), 0.25, out="m", axis=1, method="nearest", keepdims=True, note="nearest")
np_("quantile", m(V), Q(np.float32(0.3), "1"), out="m", note="number")
np_("prod", m(V), out="m**4", grad=True)
np_("prod", m(A), out="m**4", axis=1, note="axis")
np_("prod", m(A), out="m**12", note="all", rescale=False)
np_("permute_dims", m(A), (1, 0), out="m")
np_.numbers("cumprod nancumprod cumulative_prod", P)
np_.numbers("nanprod", P)
np_("argmax argmin argsort nanargmax nanargmin", m(V), out=PLAIN)
np_("argmax argmin argsort", m(A), out=PLAIN, axis=1, note="axis")
np_("argpartition", m(V), 2, out=PLAIN)
np_("partition", m(V), 2, out="m")
np_("lexsort", m(V), s(W), out=PLAIN, f=lambda J, x, y: J.numpy.lexsort((x, y)))
np_("top_k", m(V), 2, out=("m", PLAIN))
np_(
    "all any isnan isinf isfinite isposinf isneginf isreal iscomplex signbit sign logical_not "
    "count_nonzero iscomplexobj isrealobj ndim size isscalar",
    m(V),
    out=PLAIN,
)
np_("shape", m(A), out=PLAIN)
np_("result_type", m(V), out=PLAIN, f=lambda J, x: J.numpy.zeros(2, J.numpy.result_type(x)))
np_("angle", m(C), out="rad")
np_("angle", m(C), out="deg", deg=True, note="deg", rescale=False)
np_("modf", m(V), out="m", rescale=False)
np_("frexp", Q(V, "1"), out=PLAIN, refuses=(0,), rescale=False)

# -- rounding, in the quantity's own unit ----------------------------------------------------------
np_("floor ceil round around rint trunc", m(V), out="m", rescale=False)
np_("round around", m(V), out="m", decimals=1, rescale=False, note="decimals")
np_("floor ceil round rint trunc", Q(V, "percent"), out="percent", rescale=False, note="percent")

# -- powers ----------------------------------------------------------------------------------------
np_("sqrt", m(P), out="m**0.5", grad=True)
np_("cbrt", Q(V, "m**3"), out="m")
np_("square", m(V), out="m**2", grad=True)
np_("reciprocal", m(V), out="1/m")
np_("power", m(V), 3, out="m**3", grad=True)
np_("power pow float_power", m(P), 1.5, out="m**1.5", note="fraction")
np_("power pow", m(P), -2, out="m**-2", note="negative")
np_("power", m(P), Q(np.float32(2.0), "1"), out="m**2", note="quantity", rescale=False, jit=False)
np_("power pow float_power", Q(P, "1"), Q(V, "1"), out=PLAIN, refuses=(1,), note="numbers")
np_.refuses("power", m(P), V, note="array-exponent")
np_.refuses("power", m(P), m(V), note="dimensional-exponent")
np_.refuses("power", P, m(V), note="dimensional-exponent-of-number")

# -- products and quotients ------------------------------------------------------------------------
np_("multiply", m(V), s(W), out="m*s", grad=True)
np_("dot vdot inner vecdot", m(V), s(W), out="m*s", grad=True)
np_("outer kron", m(V), s(W), out="m*s")
np_("matmul dot", m(A), s(B), out="m*s", note="matrix", grad=True)
np_("matvec", m(A), s(V), out="m*s")
np_("vecmat", s(R), m(A), out="m*s")
np_("cross", m(R), Q(SQ, "s"), out="m*s")
np_("tensordot", m(A), s(B), out="m*s", axes=1)
np_("convolve correlate", m(V), s(R), out="m*s")
np_("convolve correlate", m(V), s(R), out="m*s", mode="valid", note="valid")
np_("einsum", m(A), s(B), out="m*s", f=lambda J, x, y: J.numpy.einsum("ij,jk->ik", x, y))
np_(
    "einsum",
    m(A),
    s(B),
    Q(R, "kg"),
    out="m*s*kg",
    note="three",
    f=lambda J, x, y, z: J.numpy.einsum("ij,jk,i->k", x, y, z),
)
np_("einsum", m(SQ), out="m", note="trace", f=lambda J, x: J.numpy.einsum("ii", x))
np_("einsum", m(SQ), out="m", note="diag", f=lambda J, x: J.numpy.einsum("ii->i", x))
np_(
    "einsum",
    m(A),
    s(A),
    out="m*s",
    note="sublists",
    f=lambda J, x, y: J.numpy.einsum(x, [0, 1], y, [0, 1], [1]),
)
np_(
    "einsum",
    m(A),
    m(V),
    out="m**2",
    note="ellipsis",
    f=lambda J, x, y: J.numpy.einsum("...j,j->...", x, y),
)
np_("divide true_divide", m(V), s(W), out="m/s", grad=True)
np_("divide", m(V), m(W), out=PLAIN, note="ratio")
np_("multiply divide", m(V), Q(W, "1"), out="m", note="number")

# -- operands of one kind --------------------------------------------------------------------------
np_("add subtract maximum minimum fmax fmin hypot copysign fmod remainder mod", m(V), m(W), out="m")
np_("add subtract maximum minimum hypot", m(V), m(W), out="m", grad=True, note="grad")
np_("nextafter", m(V), m(W), out="m")
np_("floor_divide", m(V), m(W), out=PLAIN)
np_("divmod", m(V), m(W), out=(PLAIN, "m"))
np_.refuses(
    "add subtract maximum minimum fmax fmin hypot fmod remainder mod floor_divide divmod "
    "nextafter arctan2 equal less isclose allclose append",
    m(V),
    s(W),
)
np_.refuses(
    "add subtract maximum fmax hypot floor_divide remainder equal less greater isclose append",
    m(V),
    W,
    note="bare",
)
np_("copysign", m(V), s(W), out="m", note="other")
np_(
    "equal not_equal less less_equal greater greater_equal array_equal array_equiv isclose "
    "allclose",
    m(V),
    m(W),
    out=PLAIN,
)
np_(
    "isclose allclose",
    m(V),
    m(V + np.float32(0.01)),
    m(np.float32(0.1)),
    out=PLAIN,
    note="atol",
    f=lambda J, x, y, t: J.numpy.isclose(x, y, rtol=0.0, atol=t),
)
np_.refuses(
    "isclose", m(V), m(W), s(FIVE), note="atol", f=lambda J, x, y, t: J.numpy.isclose(x, y, atol=t)
)
np_("clip", m(V), m(np.float32(-1.0)), m(np.float32(3.0)), out="m", grad=True)
np_("clip", m(V), 0, None, out="m", note="zero")
np_("clip", m(V), m(np.float32(2.0)), out="m", note="max", f=lambda J, x, y: J.numpy.clip(x, max=y))
np_.refuses("clip", m(V), 1.0, 2.0)
np_("arctan2 atan2", m(V), m(W), out="rad", grad=True)
np_("heaviside", m(V), 0.5, out=PLAIN)
np_("ldexp", m(V), INTS, out="m")
np_("interp", m(SORTED + np.float32(0.2)), m(SORTED), s(W), out="s", grad=False)
np_(
    "interp",
    m(SORTED * 7),
    m(SORTED),
    s(W),
    m(FIVE),
    out="s",
    note="period",
    f=lambda J, x, xp, fp, p: J.numpy.interp(x, xp, fp, period=p),
)
np_(
    "interp",
    m(SORTED * 2),
    m(SORTED),
    s(W),
    s(FIVE),
    out="s",
    note="left",
    f=lambda J, x, xp, fp, p: J.numpy.interp(x, xp, fp, left=p, right=p),
)
np_.refuses("interp", s(V), m(SORTED), s(W))
np_("searchsorted", m(SORTED), m(V), out=PLAIN)
np_("digitize", m(V), m(SORTED), out=PLAIN)
np_("digitize", m(V), m(SORTED), out=PLAIN, right=True, note="right")
np_.refuses("searchsorted digitize", m(SORTED), s(V))
np_.refuses("digitize", m(V), SORTED, note="bare")

# -- numbers and angles ----------------------------------------------------------------------------
np_.numbers("exp exp2 expm1 sinh cosh tanh arctanh atanh arcsinh asinh sinc", SMALL)
np_.numbers("log log10 log2 log1p arccosh acosh i0", P + 1)
np_("sin cos tan", Q(V, "rad"), out=PLAIN, refuses=(0,), grad=True)
np_("arcsin asin arccos acos arctan atan", Q(SMALL, "1"), out="rad", refuses=(0,))
np_.numbers("logaddexp logaddexp2", V, W)
np_("deg2rad radians", Q(V, "deg"), out="rad", rescale=False)
np_("rad2deg degrees", Q(V, "rad"), out="deg", rescale=False)
np_.refuses("deg2rad rad2deg degrees radians", m(V))
np_.refuses("deg2rad radians", Q(V, "rad"), note="radians")
np_("unwrap", Q(V * 3, "rad"), out="rad")
np_("unwrap", Q(V * 3, "rad"), out="rad", axis=0, note="axis")
np_(
    "unwrap",
    m(V * 3),
    m(FIVE),
    out="m",
    note="period",
    f=lambda J, x, p: J.numpy.unwrap(x, period=p),
)
np_.refuses("unwrap", m(V))
np_.numbers("sinc", V)

# -- shapes ----------------------------------------------------------------------------------------
np_("reshape", m(A), (4, 3), out="m")
np_(
    "ravel transpose matrix_transpose flip fliplr flipud rot90 tril triu squeeze",
    m(A),
    out="m",
    note="matrix",
)
np_("trace diagonal diag", m(SQ), out="m", note="matrix")
np_("expand_dims", m(A), 1, out="m")
np_("swapaxes moveaxis", m(A), 0, 1, out="m")
np_("rollaxis", m(A), 1, out="m")
np_("roll", m(A), 1, out="m", axis=1)
np_("tile repeat", m(V), 2, out="m")
np_("resize", m(V), (2, 3), out="m")
np_("broadcast_to", m(V), (3, 4), out="m")
np_("broadcast_arrays", m(V), s(FIVE), out=("m", "s"))
np_("meshgrid", m(V), s(R), out=("m", "s"))
np_("ix_", INTS, IDX, out=PLAIN)
for _name in "concatenate concat stack hstack vstack dstack column_stack block".split():
    np_(
        _name,
        m(V),
        m(W),
        out="m",
        grad=_name == "stack",
        f=lambda J, x, y, name=_name: getattr(J.numpy, name)([x, y]),
    )
    np_.refuses(_name, m(V), s(W), f=lambda J, x, y, name=_name: getattr(J.numpy, name)([x, y]))
    np_.refuses(
        _name, m(V), W, note="bare", f=lambda J, x, y, name=_name: getattr(J.numpy, name)([x, y])
    )
np_(
    "concatenate",
    m(V),
    np.zeros(2, np.float32),
    out="m",
    note="zeros",
    eager=False,
    f=lambda J, x, _: J.numpy.concatenate([x, J.numpy.zeros(2)]),
)
np_("trim_zeros", m(V), out="m", jit=False)
np_("append", m(V), m(W), out="m")
np_("split array_split hsplit", m(V), 2, out="m")
np_("vsplit", m(A), 3, out="m")
np_("dsplit", m(A[None]), 2, out="m")
np_("pad", m(V), 2, out="m")
np_("pad", m(V), 2, out="m", mode="edge", note="edge")
np_("pad", m(V), 2, out="m", mode="reflect", note="reflect")
np_("pad", m(V), 2, out="m", mode="mean", note="mean")
np_("pad", m(V), 2, out="m", mode="linear_ramp", note="ramp")
np_(
    "pad",
    m(V),
    m(FIVE),
    out="m",
    note="constant",
    f=lambda J, x, c: J.numpy.pad(x, 1, constant_values=c),
)
np_.refuses("pad", m(V), 1, note="bare", constant_values=2.0)
np_("take", m(V), IDX, out="m", grad=True)
np_("take_along_axis", m(V), IDX, out="m", axis=0)
np_("put_along_axis", m(V), IDX, m(FIVE), out="m", axis=0, inplace=False)
np_("put", m(V), IDX, m(FIVE), out="m", inplace=False)
np_("place", m(V), MASK, m(W[:2]), out="m", inplace=False)
np_.refuses("put place", m(V), MASK, s(W[:2]), inplace=False)
np_("insert", m(V), 1, m(FIVE), out="m")
np_("insert", m(V), IDX, m(W[:2]), out="m", note="many")
np_("delete", m(V), 1, out="m")
np_("compress", MASK, m(V), out="m", jit=False, f=lambda J, c, x: J.numpy.compress(c, x))
np_("extract", MASK, m(V), out="m", jit=False)
np_("compress extract", MASK, m(V), out="m", size=2, note="size")
np_("fill_diagonal", m(SQ), m(FIVE), out="m", inplace=False)
np_(
    "select",
    m(V),
    m(W),
    out="m",
    note="default",
    f=lambda J, x, y: J.numpy.select([MASK, ~MASK], [x, y]),
)
np_(
    "select",
    m(V),
    m(W),
    out="m",
    f=lambda J, x, y: J.numpy.select([x > y, x < y], [x, y], default=J.numpy.nan),
)
np_.refuses("select", m(V), W, f=lambda J, x, y: J.numpy.select([MASK], [x], y))
np_(
    "choose",
    m(V),
    m(W),
    out="m",
    jit=False,
    f=lambda J, x, y: J.numpy.choose(np.array([0, 1, 1, 0]), [x, y]),
)
np_(
    "choose",
    m(V),
    m(W),
    out="m",
    note="wrap",
    f=lambda J, x, y: J.numpy.choose(np.array([0, 1, 1, 2]), [x, y], mode="wrap"),
)
np_("where", MASK, m(V), m(W), out="m")
np_("where", m(V), out="m", note="zero", f=lambda J, x: J.numpy.where(MASK, x, 0.0))
np_("where", m(V), out="m", note="nan", f=lambda J, x: J.numpy.where(MASK, x, J.numpy.nan))
np_("where", m(V), out=PLAIN, note="one", jit=False)
np_("where", m(V), m(W), out="m", note="compare", f=lambda J, x, y: J.numpy.where(x > y, x, y))
np_.refuses("where", MASK, m(V), s(W))
np_.refuses("where", m(V), note="bare", f=lambda J, x: J.numpy.where(MASK, x, 5.0))
np_(
    "piecewise",
    m(V),
    out="m",
    f=lambda J, x: J.numpy.piecewise(x, [x < 0, x >= 0], [lambda t: -t, lambda t: 2 * t]),
)
np_(
    "piecewise",
    m(V),
    m(FIVE),
    out="m",
    note="constant",
    f=lambda J, x, y: J.numpy.piecewise(x, [x < 0], [0.0, lambda t: t + y]),
)
np_("nonzero flatnonzero argwhere", m(V), out=PLAIN, jit=False)
np_("nonzero flatnonzero argwhere", m(V), out=PLAIN, size=4, note="size")
np_(
    "apply_along_axis",
    m(A),
    out="m",
    f=lambda J, x: J.numpy.apply_along_axis(lambda r: r - r.mean(), 1, x),
)
np_("apply_over_axes", m(A), out="m", f=lambda J, x: J.numpy.apply_over_axes(J.numpy.sum, x, [0]))
np_(
    "vectorize",
    m(A),
    s(V),
    out="m*s",
    f=lambda J, x, y: J.numpy.vectorize(J.numpy.dot, signature="(n),(n)->()")(x, y),
)
np_(
    "vectorize",
    m(V),
    m(W),
    out="m",
    note="scalar",
    f=lambda J, x, y: J.numpy.vectorize(lambda a, b: a + b)(x, y),
)
np_(
    "frompyfunc",
    m(V),
    m(W),
    out="m",
    f=lambda J, x, y: J.numpy.frompyfunc(lambda a, b: a + b, 2, 1)(x, y),
)
np_("fromfunction", m(V), out="m", f=lambda J, x: J.numpy.fromfunction(lambda i: i * x[0], (3,)))
np_("iterable", m(V), out=PLAIN)
np_("full", m(FIVE), out="m", f=lambda J, x: J.numpy.full(3, x))
np_("full_like", m(V), m(FIVE), out="m")
np_("full_like", m(V), out="m", note="nan", f=lambda J, x: J.numpy.full_like(x, J.numpy.nan))
np_("full_like", V, m(FIVE), out="m", note="plain")
np_.refuses("full_like", m(V), 2.0, note="bare")
np_("zeros_like", m(V), out="m", dtype=np.float32, shape=(2,), note="shape")
np_(
    "zeros_like",
    m(V),
    s(W),
    out="s",
    note="polymorphic",
    eager=False,
    f=lambda J, x, y: J.numpy.zeros_like(x) + y,
)
np_("empty_like", m(V), out="m", f=lambda J, x: J.numpy.empty_like(x) * 0)
np_("ones_like", m(V), out="m", rescale=False)
np_("ones_like", m(V), out="m", rescale=False, note="sum", f=lambda J, x: J.numpy.ones_like(x) + x)
np_("astype", m(INTS), np.float32, out="m", rescale=False)
np_("vander", Q(V, "1"), out=PLAIN, refuses=(0,))

# -- spacings --------------------------------------------------------------------------------------
np_("linspace", m(np.float32(1.0)), m(FIVE), 4, out="m")
np_("linspace", m(np.float32(1.0)), m(FIVE), 4, out=("m", "m"), retstep=True, note="retstep")
np_("linspace", m(FIVE), 4, out="m", note="zero", f=lambda J, x, n: J.numpy.linspace(0, x, n))
np_("geomspace", m(np.float32(1.0)), m(FIVE), 4, out="m")
np_("logspace", Q(np.float32(0.5), "1"), Q(SMALL[0], "1"), 4, out=PLAIN, refuses=(0,))
np_("arange", m(np.float32(1.0)), m(FIVE), m(np.float32(1.5)), out="m", jit=False)
np_(
    "arange",
    m(FIVE),
    out="m",
    note="stop",
    jit=False,
    rescale=False,
    f=lambda J, x: J.numpy.arange(0, x, x / 4),
)
np_.refuses("linspace geomspace", m(np.float32(1.0)), s(FIVE), 4)
np_.refuses("linspace", 1.0, s(FIVE), 4, note="bare")
np_("diff", m(A), out="m", n=2, note="n")
np_("diff", m(V), m(FIVE), out="m", note="prepend", f=lambda J, x, p: J.numpy.diff(x, prepend=p))
np_(
    "ediff1d",
    m(V),
    m(FIVE),
    out="m",
    note="ends",
    f=lambda J, x, p: J.numpy.ediff1d(x, to_begin=p, to_end=p),
)
np_("gradient", m(V), out="m", grad=False)
np_("gradient", m(V), s(np.float32(2.0)), out="m/s", note="spacing")
np_("gradient", m(V), s(SORTED), out="m/s", note="coordinates")
np_(
    "gradient", m(A), s(np.float32(2.0)), Q(np.float32(0.5), "kg"), out=("m/s", "m/kg"), note="axes"
)
np_("trapezoid", m(V), out="m")
np_("trapezoid", m(V), s(SORTED), out="m*s", note="x", grad=True)
np_("trapezoid", m(V), s(FIVE), out="m*s", note="dx", f=lambda J, y, d: J.numpy.trapezoid(y, dx=d))

# -- histograms, sets, counting --------------------------------------------------------------------
np_("histogram", m(V), 3, out=(PLAIN, "m"))
np_("histogram", m(V), m(SORTED), out=(PLAIN, "m"), note="edges")
np_(
    "histogram",
    m(V),
    s(P),
    out=("s", "m"),
    note="weights",
    f=lambda J, x, w: J.numpy.histogram(x, 3, weights=w),
)
np_(
    "histogram",
    m(V),
    out=("1/m", "m"),
    note="density",
    f=lambda J, x: J.numpy.histogram(x, 3, density=True),
)
np_(
    "histogram",
    m(V),
    m(np.float32(-4.0)),
    m(FIVE),
    out=(PLAIN, "m"),
    note="range",
    f=lambda J, x, a, b: J.numpy.histogram(x, 3, range=(a, b)),
)
np_("histogram2d", m(V), s(W), out=(PLAIN, "m", "s"), bins=3)
np_("histogram2d", m(V), s(W), out=("1/m/s", "m", "s"), bins=3, density=True, note="density")
np_("histogramdd", m(A), out=(PLAIN, "m", "m", "m", "m"), bins=2)
np_("histogram_bin_edges", m(V), 3, out="m")
np_.refuses("histogram histogram_bin_edges", m(V), SORTED)
np_.refuses(
    "histogram", m(V), note="range", f=lambda J, x: J.numpy.histogram(x, 3, range=(0.0, 4.0))
)
np_(
    "bincount",
    INTS,
    s(P),
    out="s",
    note="weights",
    f=lambda J, x, w: J.numpy.bincount(x, weights=w, length=13),
)
np_.refuses("bincount", m(INTS))
np_("unique unique_values", m(V), out="m", jit=False)
np_("unique", m(V), out="m", size=5, note="size")
np_(
    "unique",
    m(V),
    out=("m", PLAIN, PLAIN, PLAIN),
    size=4,
    note="all",
    return_index=True,
    return_inverse=True,
    return_counts=True,
)
np_("unique_all", m(V), out=("m", PLAIN, PLAIN, PLAIN), size=4)
np_("unique_counts unique_inverse", m(V), out=("m", PLAIN), size=4)
np_("intersect1d setdiff1d setxor1d union1d", m(V), m(V[::2]), out="m", jit=False, rescale=False)
np_("union1d", m(V), m(W), out="m", size=9, note="size")
np_("setdiff1d", m(V), m(W), out="m", size=4, note="size")
np_("isin", m(V), m(V[1:3]), out=PLAIN, rescale=False)
np_.refuses("intersect1d setdiff1d setxor1d union1d isin", m(V), s(W))
np_.refuses("isin", m(V), W, note="bare")

# -- polynomials -----------------------------------------------------------------------------------
np_.numbers("poly", R)
np_("polyval", Q(R, "1"), Q(V, "1"), out=PLAIN)
np_("polyval", m(R), Q(V, "1"), out="m", note="values", refuses=(1,))
np_("polyadd polysub", m(R), m(V), out="m")
np_("polymul", m(R), s(V), out="m*s")
np_("polyder", m(V), out="m")
np_("polyint", m(V), out="m")
np_("polydiv", m(V), s(R), out=("m/s", "m"))
np_("polyfit", Q(SORTED, "1"), m(V), 2, out="m", refuses=(0,), rtol=3e-3)
np_(
    "roots",
    m(np.array([1.0, -6.0, 11.0, -6.0], np.float32)),
    out=PLAIN,
    strip_zeros=False,
    rtol=3e-3,
)
np_.refuses("polyadd polysub", m(R), s(V))

# -- ufuncs ----------------------------------------------------------------------------------------
np_("add", m(A), out="m", note="reduce", f=lambda J, x: J.numpy.add.reduce(x, axis=1))
np_("add", m(V), out="m", note="accumulate", f=lambda J, x: J.numpy.add.accumulate(x))
np_(
    "add",
    m(V),
    m(FIVE),
    out="m",
    note="at",
    f=lambda J, x, y: J.numpy.add.at(x, IDX, y, inplace=False),
)
np_("add", m(V), m(W), out="m", note="outer", f=lambda J, x, y: J.numpy.add.outer(x, y))
np_("add", m(V), out="m", note="reduceat", f=lambda J, x: J.numpy.add.reduceat(x, np.array([0, 2])))
np_("multiply", m(V), s(W), out="m*s", note="outer", f=lambda J, x, y: J.numpy.multiply.outer(x, y))
np_("multiply", m(V), out="m**4", note="reduce", f=lambda J, x: J.numpy.multiply.reduce(x))
np_(
    "maximum",
    m(A),
    out="m",
    note="reduce",
    f=lambda J, x: J.numpy.maximum.reduce(x, axis=0, initial=-np.inf),
)
np_("minimum", m(A), out="m", note="accumulate", f=lambda J, x: J.numpy.minimum.accumulate(x))
np_(
    "hypot", m(V), m(W), out="m", note="outer", f=lambda J, x, y: J.numpy.hypot(x[:, None], y[None])
)

# -- booleans, bits and integers -------------------------------------------------------------------
np_("logical_and logical_or logical_xor", m(V), s(W), out=PLAIN)
np_.refuses(
    "bitwise_and bitwise_or bitwise_xor left_shift right_shift bitwise_left_shift "
    "bitwise_right_shift",
    m(INTS),
    m(INTS),
)
np_.refuses("bitwise_not bitwise_invert invert bitwise_count", m(INTS))

np_("gcd lcm", m(INTS), m(INTS[::-1].copy()), out="m", rescale=False)
for _name in ("packbits", "unpackbits"):
    np_.refuses(_name, m(INTS.astype(np.uint8)))

np_.unclaimed(
    "array_repr array_str bartlett blackman hamming hanning kaiser broadcast_shapes "
    "can_cast diag_indices diag_indices_from einsum_path empty eye from_dlpack frombuffer fromfile "
    "fromiter fromstring get_printoptions identity indices isdtype issubdtype load mask_indices "
    "ones printoptions promote_types ravel_multi_index save savez set_printoptions tri "
    "tril_indices tril_indices_from triu_indices triu_indices_from unravel_index zeros",
    "takes no data: sizes, indices, types, files or text",
)
