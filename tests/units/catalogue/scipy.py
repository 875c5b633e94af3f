"""`jax.scipy` beside `linalg`."""

import jax
import numpy as np

from ._case import FIVE, INTS, PLAIN, SORTED, SPD, SQ, A, Area, P, Q, R, V

m = lambda x: Q(x, "m")
s = lambda x: Q(x, "s")
one = lambda x: Q(np.asarray(x, np.float32), "1")
special, signal, stats = map(Area, ("scipy.special", "scipy.signal", "scipy.stats"))
LONG = np.random.default_rng(5).normal(size=32).astype(np.float32)
UNIT = np.array([0.2, 0.5, 0.7, 0.9], np.float32)
KEEP = dict(rtol=1e-3)

# -- special functions ----------------------------------------------------------------------------
special.numbers(
    "dawsn digamma entr erf erfc erfcx exp1 expi expit factorial gamma gammaln gammasgn i0 i0e i1 "
    "i1e loggamma ndtr log_ndtr softmax log_softmax logsumexp spence fresnel sici",
    P,
    **KEEP,
)
special.numbers("erfinv erfcinv logit ndtri", UNIT, **KEEP)
special.numbers("beta betaln gammainc gammaincc boxcox boxcox1p owens_t poch", P, UNIT, **KEEP)
special("zeta", one(P + 1), one(UNIT), out=PLAIN, refuses=(0,), **KEEP)
special.numbers("betainc hyp1f1", P, P + 1, UNIT, **KEEP)
special.numbers("hyp2f1", P, P + 1, P + 2, UNIT, **KEEP)
special.numbers("comb", np.float32(5.0), np.float32(2.0))
special("polygamma", np.int32(2), one(P), out=PLAIN, refuses=(1,), **KEEP)
special("expn", np.int32(2), one(P), out=PLAIN, refuses=(1,), **KEEP)
special("multigammaln", one(P + 2), 2, out=PLAIN, refuses=(0,), **KEEP)
special("bessel_jn", one(P), out=PLAIN, v=2, refuses=(0,), **KEEP)
special("kl_div rel_entr", m(P), m(UNIT), out="m", **KEEP)
special.refuses("kl_div rel_entr", m(P), s(UNIT))
special("xlogy xlog1py", m(V), one(P), out="m", refuses=(1,))
special("wofz", one(P), out=PLAIN, refuses=(0,), **KEEP)
special(
    "sph_harm_y",
    np.array([1], np.int32),
    np.array([1], np.int32),
    Q(UNIT[:1], "rad"),
    Q(UNIT[1:2], "rad"),
    out=PLAIN,
    n_max=2,
    jit=False,
    **KEEP,
)
special.unclaimed("bernoulli", "takes sizes, no data")
special.unclaimed("lpmn lpmn_values sph_harm", "takes orders, no data")

# -- signals --------------------------------------------------------------------------------------
signal("convolve correlate fftconvolve", m(V), s(R), out="m*s")
signal("convolve correlate", m(V), s(R), out="m*s", mode="same", method="fft", note="fft")
signal("convolve2d correlate2d", m(A), s(SQ), out="m*s", mode="same")
signal("detrend", m(LONG), out="m", atol=1e-4)
signal("detrend", m(LONG), out="m", type="constant", note="constant")
signal("welch", m(LONG), Q(np.float32(4.0), "1/s"), out=("1/s", "m**2*s"), nperseg=8)
signal(
    "welch",
    m(LONG),
    Q(np.float32(4.0), "1/s"),
    out=("1/s", "m**2"),
    nperseg=8,
    scaling="spectrum",
    note="spectrum",
)
signal("welch", m(LONG), out=(PLAIN, "m**2"), nperseg=8, note="plain-rate")
signal(
    "csd",
    m(LONG),
    Q(LONG[::-1].copy(), "kg"),
    Q(np.float32(4.0), "1/s"),
    out=("1/s", "m*kg*s"),
    nperseg=8,
)
signal("stft", m(LONG), Q(np.float32(4.0), "1/s"), out=("1/s", "s", "m"), nperseg=8)
signal(
    "istft",
    m(np.asarray(jax.scipy.signal.stft(LONG, nperseg=8)[2])),
    Q(np.float32(4.0), "1/s"),
    out=("s", "m"),
    nperseg=8,
)

# -- distributions --------------------------------------------------------------------------------
_SHAPES = {"beta": (2.0, 3.0), "chi2": (3.0,), "gamma": (2.0,), "pareto": (2.0,), "t": (3.0,),
           "truncnorm": (-2.0, 2.0)}  # fmt: skip
for _name in ("beta cauchy chi2 expon gamma gumbel_l gumbel_r laplace logistic norm pareto t "
              "truncnorm uniform").split():  # fmt: skip
    _area = Area(f"scipy.stats.{_name}")
    _module = getattr(jax.scipy.stats, _name)
    _shape = tuple(np.float32(x) for x in _SHAPES.get(_name, ()))
    _x = UNIT + (1.5 if _name == "pareto" else 0.0)
    _loc, _scale = m(np.float32(0.125)), m(np.float32(1.25))
    _area("pdf", m(_x), *_shape, _loc, _scale, out="1/m", **KEEP)
    for _kind in ("cdf", "logcdf", "sf", "logsf"):
        if hasattr(_module, _kind):
            _area(_kind, m(_x), *_shape, _loc, _scale, out=PLAIN, **KEEP)
    for _kind in ("ppf", "isf"):
        if hasattr(_module, _kind):
            _area(_kind, one(UNIT), *_shape, _loc, _scale, out="m", refuses=(0,), **KEEP)
    _area("logpdf", one(_x), *_shape, one(0.125), one(1.25), out=PLAIN, refuses=(0,), **KEEP)
    _area.refuses("pdf", m(_x), *_shape, note="standard")
    _area.refuses("logpdf", m(_x), *_shape, _loc, _scale, note="dimensional")
for _name, _args in {
    "bernoulli": (INTS * 0 + 1, one(0.3)),
    "binom": (INTS, np.float32(20.0), one(0.3)),
    "geom": (INTS, one(0.3)),
    "nbinom": (INTS, np.float32(20.0), one(0.3)),
    "poisson": (INTS, one(2.5)),
}.items():
    Area(f"scipy.stats.{_name}")("pmf logpmf", *_args, out=PLAIN, refuses=(len(_args) - 1,), **KEEP)
Area("scipy.stats.bernoulli")("cdf", INTS * 0, one(0.3), out=PLAIN, refuses=(1,))
Area("scipy.stats.bernoulli")("ppf", one(UNIT), one(0.3), out=PLAIN, refuses=(1,))
Area("scipy.stats.poisson")("cdf", INTS, one(2.5), out=PLAIN, refuses=(1,))
Area("scipy.stats.poisson")("entropy", one(2.5), out=PLAIN, refuses=(0,))
Area("scipy.stats.betabinom")(
    "pmf logpmf", INTS, np.float32(20.0), one(2.0), one(3.0), out=PLAIN, refuses=(2,)
)
Area("scipy.stats.multinomial")(
    "pmf logpmf",
    np.array([2, 3], np.int32),
    np.int32(5),
    one([0.4, 0.6]),
    out=PLAIN,
    refuses=(2,),
    **KEEP,
)
Area("scipy.stats.dirichlet")(
    "pdf logpdf", one([0.4, 0.6]), one([2.0, 3.0]), out=PLAIN, refuses=(1,), **KEEP
)
Area("scipy.stats.gennorm")("pdf logpdf cdf", one(UNIT), one(1.5), out=PLAIN, refuses=(0,), **KEEP)
Area("scipy.stats.vonmises")(
    "pdf logpdf", Q(UNIT, "rad"), one(1.5), out=PLAIN, refuses=(0,), **KEEP
)
Area("scipy.stats.wrapcauchy")(
    "pdf logpdf", Q(UNIT, "rad"), one(0.5), out=PLAIN, refuses=(0,), **KEEP
)
_mvn = Area("scipy.stats.multivariate_normal")
_mvn("pdf", m(R), m(R / 2), Q(SPD, "m**2"), out="1/m**3", **KEEP)
_mvn("logpdf", one(R), one(R / 2), one(SPD), out=PLAIN, refuses=(0,), **KEEP)
stats("mode", m(V), out=("m", PLAIN))
stats("sem", m(V), out="m")
stats("rankdata", m(V), out=PLAIN)
stats(
    "gaussian_kde",
    m(LONG),
    m(P),
    out="1/m",
    f=lambda J, d, x: jax.scipy.stats.gaussian_kde(d)(x),
    eager=False,
    **KEEP,
)

# -- the rest -------------------------------------------------------------------------------------
Area("scipy.integrate")("trapezoid", m(V), s(SORTED), out="m*s")
Area("scipy.integrate")(
    "trapezoid",
    m(V),
    s(FIVE),
    out="m*s",
    note="dx",
    f=lambda J, y, d: J.scipy.integrate.trapezoid(y, dx=d),
)
Area("scipy.interpolate")(
    "RegularGridInterpolator",
    s(SORTED),
    m(V),
    s(np.array([[0.75], [2.5]], np.float32)),
    out="m",
    eager=False,  # a class
    f=lambda J, x, v, p: J.scipy.interpolate.RegularGridInterpolator((x,), v)(p),
)
Area("scipy.ndimage")(
    "map_coordinates", m(A), one([[0.5, 1.5], [1.25, 2.0]]), out="m", order=1, refuses=(1,)
)
Area("scipy.ndimage")(
    "map_coordinates",
    m(A),
    one([[0.5, 9.5], [1.25, 2.0]]),
    out="m",
    order=1,
    cval=0.0,
    note="outside",
)
Area("scipy.fft")("dct idct dctn idctn", m(V), out="m")
Area("scipy.cluster.vq")("vq", m(A), m(A[:2] + 1), out=(PLAIN, "m"))
Area("scipy.cluster.vq").refuses("vq", m(A), s(A[:2]))
for _solver in ("cg", "gmres", "bicgstab"):
    Area("scipy.sparse.linalg")(
        _solver,
        m(SPD),
        s(R),
        out="s/m",
        rtol=5e-3,
        atol=1e-3,
        # The default tolerance is below float32's rounding here, by which JAX's gmres may divide.
        f=lambda J, a, b, n=_solver: getattr(J.scipy.sparse.linalg, n)(a, b, tol=1e-4)[0],
    )
Area("scipy.sparse.linalg")(
    "cg",
    m(SPD),
    s(R),
    out="s/m",
    rtol=5e-3,
    atol=1e-3,
    note="function",
    f=lambda J, a, b: J.scipy.sparse.linalg.cg(lambda x: a @ x, b)[0],
)
_rot = Area("scipy.spatial.transform")
_rot(
    "Rotation",
    one(0.7),
    m(R),
    out="m",
    eager=False,
    f=lambda J, angle, v: J.scipy.spatial.transform.Rotation.from_rotvec(
        angle * np.array([0, 0, 1], np.float32)
    ).apply(v),
)
_rot(
    "Rotation",
    m(R),
    out="m",
    note="quaternion",
    eager=False,
    f=lambda J, v: J.scipy.spatial.transform.Rotation.from_quat(
        np.array([0, 0.6, 0, 0.8], np.float32)
    ).apply(v),
)
Area("scipy.optimize").unclaimed("minimize", "its line search has thresholds; pass it magnitudes")
