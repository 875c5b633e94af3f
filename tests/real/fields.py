"""The table of calls: interpolation, quadrature, polynomials, processes, transport, images."""

import jax
import jax.numpy as jnp
import numpy as np

from .calls import DIMENSIONS, LOGARITHM, Package, Table

X = np.array([0.0, 1.0, 2.5, 3.0, 4.2, 5.0, 6.1])
Y = np.array([1.0, 3.0, 2.0, 0.5, -1.0, 2.0, 4.0])
XQ = np.array([0.5, 1.2, 3.3, 4.9])
GX, GY = np.linspace(0, 3, 5), np.linspace(0, 2, 4)
F = np.sin(GX[:, None]) + GY**2
QX, QY = np.array([0.3, 1.1, 2.0]), np.array([0.3, 1.1, 1.2])

interpax = Package("interpax")
add = Table("interpax", "interpax", "interpolation")
for method in ("nearest", "linear", "cubic", "catmull-rom", "cubic2", "monotonic", "akima"):
    add(
        f"interp1d({method})",
        lambda xq, x, f, method=method: interpax.interp1d(xq, x, f, method=method),
        (XQ, "m"), (X, "m"), (Y, "K"),
        unit="K", trust=method in ("cubic2", "monotonic", "akima"),
    )  # fmt: skip
add(
    "interp1d(derivative=1)",
    lambda xq, x, f: interpax.interp1d(xq, x, f, method="cubic", derivative=1),
    (XQ, "m"), (X, "m"), (Y, "K"), unit="K/m",
)  # fmt: skip
add(
    "interp1d(period=)",
    lambda xq, x, f, period: interpax.interp1d(xq, x, f, method="cubic", period=period),
    (XQ + 9, "m"), (X, "m"), (Y, "K"), (7.0, "m"), unit="K",
)  # fmt: skip
add("Interpolator1D", lambda x, f, xq: interpax.Interpolator1D(x, f, method="cubic")(xq),
    (X, "m"), (Y, "K"), (XQ, "m"), unit="K")  # fmt: skip
add("interp2d(linear)", lambda *a: interpax.interp2d(*a, method="linear"),
    (QX, "m"), (QY, "s"), (GX, "m"), (GY, "s"), (F, "K"), unit="K")  # fmt: skip
add("approx_df(cubic)", lambda x, f: interpax.approx_df(x, f, method="cubic"),
    (X, "m"), (Y, "K"), unit="K/m")  # fmt: skip
add("fft_interp1d", lambda f: interpax.fft_interp1d(f, 14), (Y, "K"), unit="K")
add("RBFInterpolator(gaussian)",
    lambda x, f, xq, e: interpax.RBFInterpolator(x, f, kernel="gaussian", epsilon=e)(xq),
    (X[:, None], "m"), (Y, "K"), (XQ[:, None], "m"), (0.7, "1/m"),
    unit="K", trust=True)  # fmt: skip
add.refuses("interp2d(cubic)", lambda *a: interpax.interp2d(*a, method="cubic"),
            (QX, "m"), (QY, "s"), (GX, "m"), (GY, "s"), (F, "K"),
            message="`stack` got operands in 'K' and 'K/m'", reason=DIMENSIONS)  # fmt: skip
add.refuses("CubicHermiteSpline",
            lambda x, y, s, xq: interpax.CubicHermiteSpline(x, y, s, check=False)(xq),
            (X, "m"), (Y, "K"), (Y, "K/m"), (XQ, "m"),
            message="`pow` got a base in 'm' and an exponent", reason=DIMENSIONS)  # fmt: skip

quadax = Package("quadax")
add = Table("quadax", "quadax", "quadrature")


def bell(t, a):
    return t * jnp.exp(-(t**2) / a**2)


add("trapezoid", lambda y, x: quadax.trapezoid(y, x=x), (Y, "N"), (X, "m"), unit="J")
add("simpson", lambda y, x: quadax.simpson(y, x=x), (Y, "N"), (X, "m"), unit="J")
add("simpson(dx=)", lambda y, dx: quadax.simpson(y, dx=dx), (Y, "N"), (0.3, "m"), unit="J")
add("cumulative_trapezoid", lambda y, x: quadax.cumulative_trapezoid(y, x=x, initial=0),
    (Y, "N"), (X, "m"), unit="J")  # fmt: skip
add("cumulative_simpson", lambda y, x: quadax.cumulative_simpson(y, x=x),
    (Y, "N"), (X, "m"), unit="J")  # fmt: skip
for rule, order in (("GaussKronrodRule", 21), ("ClenshawCurtisRule", 32)):
    add(f"{rule}.integrate",
        lambda a, b, s, r=rule, n=order: getattr(quadax, r)(n).integrate(bell, a, b, (s,))[0],
        (0.1, "m"), (3.0, "m"), (2.0, "m"), unit="m**2")  # fmt: skip
add("GaussKronrodRule.integrate (error)",
    lambda a, b, s: quadax.GaussKronrodRule(21).integrate(bell, a, b, (s,))[1],
    (0.1, "m"), (3.0, "m"), (2.0, "m"), unit="m**2", trust=True, forward=True)  # fmt: skip
add("romberg", lambda ab, s: quadax.romberg(bell, ab, args=(s,))[0],
    (np.array([0.1, 3.0]), "m"), (2.0, "m"), unit="m**2", trust=True, forward=True)  # fmt: skip
add.refuses("TanhSinhRule.integrate (error)",
            lambda a, b, s: quadax.TanhSinhRule(61).integrate(bell, a, b, (s,))[1],
            (0.1, "m"), (3.0, "m"), (2.0, "m"),
            message="`log` takes numbers", reason=LOGARITHM)  # fmt: skip

C = np.array([1.0, 2.0, -0.5, 0.3])
P = np.array([0.1, 0.5])
for kind, short in (("chebyshev", "cheb"), ("legendre", "leg"), ("hermite", "herm")):
    part = Package(f"orthax.{kind}", "orthax")
    add = Table("orthax", "orthax", "orthogonal polynomials")
    add(f"{short}val", lambda c, p=part, s=short: getattr(p, s + "val")(P, c), (C, "K"), unit="K")
    add(f"{short}der", lambda c, p=part, s=short: getattr(p, s + "der")(c), (C, "K"), unit="K")
    add(f"{short}int", lambda c, p=part, s=short: getattr(p, s + "int")(c), (C, "K"), unit="K")
    add(f"{short}fit", lambda y, p=part, s=short: getattr(p, s + "fit")(X / 7, y, 3),
        (Y, "K"), unit="K")  # fmt: skip
    add(f"{short}mul", lambda c, d, p=part, s=short: getattr(p, s + "mul")(c, d),
        (C, "K"), (C[:3], "s"), unit="K*s")  # fmt: skip
polynomial = Package("orthax.polynomial", "orthax")
add.refuses("polyfromroots", lambda r: polynomial.polyfromroots(r), (P, "m"),
            message="carry changed structure|got operands in 'm'", reason=DIMENSIONS)  # fmt: skip

tinygp = Package("tinygp")
kernels = Package("tinygp.kernels", "tinygp")
add = Table("tinygp", "tinygp", "Gaussian processes")
T, TQ = np.array([0.0, 0.7, 1.5, 2.2, 3.1]), np.array([0.3, 1.1, 2.9])
for kernel in ("ExpSquared", "Matern32", "Exp"):
    add(f"kernels.{kernel}",
        lambda t, scale, s, k=kernel: s**2 * getattr(kernels, k)(scale=scale)(t, t),
        (T, "s"), (0.8, "s"), (2.0, "m"), unit="m**2")  # fmt: skip


def process(t, scale, s, noise):
    return tinygp.GaussianProcess(s**2 * kernels.ExpSquared(scale=scale), t, diag=noise)


HYPER = (T, "s"), (0.8, "s"), (2.0, "m"), (0.1, "m**2")
add("GaussianProcess.predict", lambda t, h, s, n, y, tq: process(t, h, s, n).predict(y, tq),
    *HYPER, (np.sin(T), "m"), (TQ, "s"), unit="m")  # fmt: skip
add("GaussianProcess.condition",
    lambda t, h, s, n, y, tq: process(t, h, s, n).condition(y, tq).gp.variance,
    *HYPER, (np.sin(T), "m"), (TQ, "s"), unit="m**2", trust=True)  # fmt: skip
add("GaussianProcess.sample", lambda *a: process(*a).sample(jax.random.key(0)), *HYPER, unit="m")
add.refuses("GaussianProcess.log_probability",
            lambda t, h, s, n, y: process(t, h, s, n).log_probability(y),
            *HYPER, (np.sin(T), "m"), message="`log` takes numbers", reason=LOGARITHM)  # fmt: skip

costs = Package("ott.geometry.costs", "ott-jax")
pointcloud = Package("ott.geometry.pointcloud", "ott-jax")
linear = Package("ott.solvers.linear", "ott-jax")
add = Table("ott", "ott-jax", "optimal transport")
A = np.array([[0.1, 1.2], [0.7, -0.4], [1.5, 0.3], [-0.8, 0.9]])
B = np.array([[0.5, 0.2], [-0.3, 1.4], [1.1, -0.9]])
add("costs.SqEuclidean", lambda a, b: costs.SqEuclidean().all_pairs(a, b),
    (A, "m"), (B, "m"), unit="m**2")  # fmt: skip
add("costs.PNormP", lambda a, b: costs.PNormP(1.5).all_pairs(a, b),
    (A, "m"), (B, "m"), unit="m**1.5")  # fmt: skip
add("PointCloud.kernel_matrix",
    lambda a, b, e: pointcloud.PointCloud(a, b, epsilon=e).kernel_matrix,
    (A, "m"), (B, "m"), (0.5, "m**2"), unit="")  # fmt: skip
for result, unit in (("matrix", ""), ("reg_ot_cost", "m**2")):
    add(f"linear.solve.{result}",
        lambda a, b, e, r=result: getattr(
            linear.solve(pointcloud.PointCloud(a, b, epsilon=e), max_iterations=20,
                         min_iterations=20), r),
        (A, "m"), (B, "m"), (0.5, "m**2"), unit=unit, forward=True)  # fmt: skip

dm_pix = Package("dm_pix")
add = Table("dm_pix", "dm-pix", "images")
IMAGE = np.abs(np.sin(np.arange(90.0).reshape(6, 5, 3)))
for name, call, unit in (
    ("rgb_to_grayscale", lambda i: dm_pix.rgb_to_grayscale(i), "W"),
    ("mse", lambda i: dm_pix.mse(i, 0.9 * i), "W**2"),
    ("rotate", lambda i: dm_pix.rotate(i, 0.3), "W"),
    ("flat_nd_linear_interpolate",
     lambda i: dm_pix.flat_nd_linear_interpolate(i[..., 0], jnp.array([[0.3, 1.2], [2.1, 1.7]])),
     "W"),
):  # fmt: skip
    add(name, call, (IMAGE, "W"), unit=unit)

exponax = Package("exponax")
add = Table("exponax", "exponax", "partial differential equations")
WAVE = np.sin(np.linspace(0, 2 * np.pi, 16, endpoint=False))[None]
add("stepper.Burgers",
    lambda u, L, nu, dt: exponax.stepper.Burgers(1, L, 16, dt, diffusivity=nu)(u),
    (WAVE, "m/s"), (2.0, "m"), (0.05, "m**2/s"), (0.1, "s"), unit="m/s")  # fmt: skip
add("stepper.Advection", lambda u, L, c, dt: exponax.stepper.Advection(1, L, 16, dt, velocity=c)(u),
    (WAVE, "K"), (2.0, "m"), (np.array([0.5]), "m/s"), (0.1, "s"), unit="K")  # fmt: skip
add("derivative", lambda u, L: exponax.derivative(u, L), (WAVE, "K"), (2.0, "m"), unit="K/m")
add("metrics.RMSE", lambda u, v: exponax.metrics.RMSE(u, v),
    (WAVE, "K"), (WAVE * 0.9, "K"), unit="K")  # fmt: skip

cfd = Package("jax_cfd.base", "jax-cfd")
add = Table("jax_cfd", "jax-cfd", "fluids")
GAS, U, V = (f(np.arange(16.0)).reshape(4, 4) for f in (np.sin, np.cos, np.arctan))


def on_grid(data, offset=(0.5, 0.5)):
    grid = cfd.grids.Grid((4, 4), domain=((0.0, 2.0), (0.0, 2.0)))
    around = cfd.boundaries.periodic_boundary_conditions(2)
    return cfd.grids.GridVariable(cfd.grids.GridArray(data, offset, grid), around)


def flow(u, v):
    return on_grid(u, (1.0, 0.5)), on_grid(v, (0.5, 1.0))


add("finite_differences.laplacian", lambda c: cfd.finite_differences.laplacian(on_grid(c)).data,
    (GAS, "K"), unit="K")  # fmt: skip
add("finite_differences.divergence",
    lambda u, v: cfd.finite_differences.divergence(flow(u, v)).data,
    (U, "m/s"), (V, "m/s"), unit="m/s")  # fmt: skip
add("advection.advect_upwind",
    lambda c, u, v, dt: cfd.advection.advect_upwind(on_grid(c), flow(u, v), dt).data,
    (GAS, "K"), (U, "m/s"), (V, "m/s"), (0.1, "s"), unit="K*m/s")  # fmt: skip
add("advection.advect_van_leer",
    lambda c, u, v, dt: cfd.advection.advect_van_leer(on_grid(c), flow(u, v), dt).data,
    (GAS, "K"), (0.1 * U,), (0.1 * V,), (0.1,), unit="K", trust=True)  # fmt: skip
add("pressure.projection", lambda u, v: cfd.pressure.projection(flow(u, v))[0].data,
    (U, "m/s"), (V, "m/s"), unit="m/s")  # fmt: skip
