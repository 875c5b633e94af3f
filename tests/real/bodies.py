"""The table of calls, continued: molecules, orbits, rotations, neighbours, fits, distributions."""

import jax
import jax.numpy as jnp
import numpy as np

from .calls import LOGARITHM, ROLES, Package, Table

energy = Package("jax_md.energy", "jax-md")
space = Package("jax_md.space", "jax-md")
quantity = Package("jax_md.quantity", "jax-md")
simulate = Package("jax_md.simulate", "jax-md")
minimize = Package("jax_md.minimize", "jax-md")
add = Table("jax_md", "jax-md", "molecular dynamics")
R = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.1], [0.0, 1.3, 0.2], [0.9, 1.1, 1.4]])
V = np.array([[0.3, -0.1, 0.2], [0.0, 0.2, -0.4], [0.1, 0.1, 0.3], [-0.2, 0.4, 0.0]])
DR = np.array([0.9, 1.1, 1.5, 2.2])
SIGMA, EPSILON = (1.0, "nm"), (0.5, "kJ")
add("energy.lennard_jones", lambda *a: energy.lennard_jones(*a), (DR, "nm"), SIGMA, EPSILON,
    unit="kJ")  # fmt: skip
add("energy.morse", lambda *a: energy.morse(*a), (DR, "nm"), SIGMA, EPSILON, (3.0, "1/nm"),
    unit="kJ")  # fmt: skip
add("energy.soft_sphere", lambda *a: energy.soft_sphere(*a), (DR, "nm"), (1.4, "nm"), EPSILON,
    unit="kJ")  # fmt: skip


def pairs(sigma, epsilon):
    return energy.lennard_jones_pair(space.free()[0], sigma=sigma, epsilon=epsilon)


add("energy.lennard_jones_pair", lambda r, s, e: pairs(s, e)(r), (R, "nm"), SIGMA, EPSILON,
    unit="kJ")  # fmt: skip
add("energy.morse_pair",
    lambda r, s, e, a: energy.morse_pair(
        space.free()[0], sigma=s, epsilon=e, alpha=a, r_onset=2 * s, r_cutoff=2.5 * s)(r),
    (R, "nm"), SIGMA, EPSILON, (3.0, "1/nm"), unit="kJ")  # fmt: skip
add.refuses("energy.morse_pair, its own cut-off",
    lambda r, s, e, a: energy.morse_pair(space.free()[0], sigma=s, epsilon=e, alpha=a)(r),
    (R, "nm"), SIGMA, EPSILON, (3.0, "1/nm"), message="got operands in", reason=ROLES)  # fmt: skip
add("quantity.force", lambda r, s, e: quantity.force(pairs(s, e))(r), (R, "nm"), SIGMA, EPSILON,
    unit="kJ/nm")  # fmt: skip
add("space.periodic", lambda a, b, side: space.periodic(side)[0](a, b),
    (R[1], "nm"), (R[3], "nm"), (1.7, "nm"), unit="nm")  # fmt: skip
add("space.map_product", lambda r: space.map_product(space.free()[0])(r, r), (R, "nm"), unit="nm")
add("quantity.kinetic_energy", lambda v, m: quantity.kinetic_energy(velocity=v, mass=m),
    (V, "m/s"), (2.0, "kg"), unit="J")  # fmt: skip


def after_steps(init, step, r, **how):
    state = init(jax.random.key(0), r, **how)
    return jax.lax.fori_loop(0, 3, lambda i, state: step(state), state).position


MOVES = (R, "m"), (1.0, "m"), (0.5, "J"), (2.0, "kg"), (0.01, "s")
add("simulate.nve",
    lambda r, s, e, m, dt: after_steps(
        *simulate.nve(pairs(s, e), space.free()[1], dt), r, kT=e, mass=m),
    *MOVES, unit="m")  # fmt: skip
add("simulate.nvt_nose_hoover",
    lambda r, s, e, m, dt: after_steps(
        *simulate.nvt_nose_hoover(pairs(s, e), space.free()[1], dt, kT=e), r, mass=m),
    *MOVES, unit="m")  # fmt: skip


def descended(r, sigma, epsilon, rate):
    init, step = minimize.gradient_descent(pairs(sigma, epsilon), space.free()[1], rate)
    return step(step(init(r)))


add("minimize.gradient_descent", descended, (R, "nm"), SIGMA, EPSILON, (1e-3, "nm**2/kJ"),
    unit="nm")  # fmt: skip

adx = Package("astrodynx")
twobody = Package("astrodynx.twobody", "astrodynx")
add = Table("astrodynx", "astrodynx", "orbits")
MU = (398600.0, "km**3/s**2")
PLACE, SPEED = np.array([7000.0, -1200.0, 300.0]), np.array([1.0, 7.2, 0.9])
add("angular_momentum", lambda r, v: adx.angular_momentum(r, v),
    (PLACE, "km"), (SPEED, "km/s"), unit="km**2/s")  # fmt: skip
add("semimajor_axis", lambda r, v, mu: adx.semimajor_axis(r, v, mu),
    (7000.0, "km"), (7.5, "km/s"), MU, unit="km")  # fmt: skip
add("orb_period", lambda a, mu: adx.orb_period(a, mu), (7000.0, "km"), MU, unit="s")
add("eccentricity_vector", lambda r, v, mu: adx.eccentricity_vector(r, v, mu),
    (PLACE, "km"), (SPEED, "km/s"), MU, unit="")  # fmt: skip
add("rv2coe", lambda r, v, mu: adx.rv2coe(r, v, mu),
    (PLACE, "km"), (SPEED, "km/s"), MU, unit=("km", "", "", "", "", ""))  # fmt: skip
add("coe2rv", lambda *a: adx.coe2rv(*a),
    (7000.0, "km"), (0.1,), (0.3, "radian"), (0.5, "radian"), (1.0, "radian"), (0.7, "radian"), MU,
    unit=("km", "km/s"))  # fmt: skip
add("solve_kepler_elps", lambda m, e: adx.solve_kepler_elps(m, e), (1.0, "radian"), (0.1,),
    unit="", forward=True)  # fmt: skip
add("twobody.sigma_fn", lambda r, v, mu: twobody.sigma_fn(r, v, mu),
    (PLACE, "km"), (SPEED, "km/s"), MU, unit="km**0.5")  # fmt: skip
add("gravity.point_mass_grav", lambda x, mu: adx.gravity.point_mass_grav(0.0, x, {"mu": mu}),
    (np.r_[PLACE, SPEED], "km"), MU, unit="km/s**2")  # fmt: skip

core = Package("jaxoplanet.core", "jaxoplanet")
orbits = Package("jaxoplanet.orbits", "jaxoplanet")
curves = Package("jaxoplanet.light_curves", "jaxoplanet")
add = Table("jaxoplanet", "jaxoplanet", "transits")
DAYS = np.linspace(-0.2, 0.2, 5)


def transit(period, duration):
    return orbits.TransitOrbit(
        period=period, duration=duration, time_transit=0.0 * period, impact_param=0.3,
        radius_ratio=0.1,
    )  # fmt: skip


add("core.kepler", lambda m, e: core.kepler(m, e), (np.array([0.1, 1.0, 2.0]), "radian"), (0.3,),
    unit=("", ""))  # fmt: skip
add("TransitOrbit.relative_position", lambda t, p, d: transit(p, d).relative_position(t)[0],
    (DAYS, "day"), (3.0, "day"), (0.2, "day"), unit="", trust=True)  # fmt: skip
add("limb_dark_light_curve",
    lambda t, p, d: curves.limb_dark_light_curve(transit(p, d), 0.1, 0.3)(t),
    (DAYS, "day"), (3.0, "day"), (0.2, "day"), unit="", trust=True)  # fmt: skip

jaxlie = Package("jaxlie")
add = Table("jaxlie", "jaxlie", "rotations")
TURN, ARM = np.array([0.1, 0.2, 0.3]), np.array([1.0, -2.0, 0.5])
add("SO2.from_radians @", lambda a, x: jaxlie.SO2.from_radians(a) @ x, (0.7, "radian"),
    (ARM[:2], "m"), unit="m")  # fmt: skip
add("SO3.exp @", lambda w, x: jaxlie.SO3.exp(w) @ x, (TURN, "radian"), (ARM, "m"), unit="m")
add("SO3.from_rpy_radians", lambda *a: jaxlie.SO3.from_rpy_radians(*a).as_matrix(),
    (0.7, "radian"), (0.2, "radian"), (0.3, "radian"), unit="")  # fmt: skip
fastquat = Package("fastquat")
add = Table("fastquat", "fastquat", "quaternions")
Q4 = np.array([0.8, 0.1, 0.5, 0.2])
add("Quaternion *", lambda a, b: (fastquat.Quaternion(*a) * fastquat.Quaternion(*b)).w,
    (Q4, "m"), (Q4[::-1], "m"), unit="m**2")  # fmt: skip
add("Quaternion.norm", lambda a: fastquat.Quaternion(*a).norm(), (Q4, "m"), unit="m")
add("Quaternion.rotate_vector",
    lambda v: fastquat.Quaternion(*jnp.asarray(Q4)).normalize().rotate_vector(v),
    (ARM, "m"), unit="m")  # fmt: skip

gates = Package("jaxley.solver_gate", "jaxley")
channels = Package("jaxley.channels", "jaxley")
add = Table("jaxley", "jaxley", "neurons")
VOLTAGE, OPEN = np.array([-65.0, -40.0, 10.0]), np.array([0.1, 0.2, 0.3])
RATES = (np.array([1.0, 2.0, 3.0]), "1/ms"), (np.array([0.5, 0.4, 0.3]), "1/ms")
add("solver_gate.solve_gate_exponential", lambda *a: gates.solve_gate_exponential(*a),
    (OPEN,), (0.025, "ms"), *RATES, unit="")  # fmt: skip
add("solver_gate.solve_gate_implicit", lambda *a: gates.solve_gate_implicit(*a),
    (OPEN,), (0.025, "ms"), *RATES, unit="")  # fmt: skip
add("solver_gate.exponential_euler", lambda *a: gates.exponential_euler(*a),
    (VOLTAGE, "mV"), (0.025, "ms"), (VOLTAGE + 10, "mV"), (5.0, "ms"), unit="mV")  # fmt: skip
add("Leak.compute_current",
    lambda v, g, e: channels.Leak().compute_current({}, v, {"Leak_gLeak": g, "Leak_eLeak": e}),
    (VOLTAGE, "mV"), (1e-4, "S/cm**2"), (-70.0, "mV"), unit="mV*S/cm**2")  # fmt: skip

jaxkd = Package("jaxkd")
add = Table("jaxkd", "jaxkd", "nearest neighbours")
CLOUD = np.stack([np.cos(3 * np.arange(12.0)), np.sin(5 * np.arange(12.0))], axis=1)
add("build_and_query", lambda p, q: jaxkd.build_and_query(p, q, k=3)[1],
    (CLOUD, "m"), (CLOUD[:3] + 0.2, "m"), unit="m", forward=True)  # fmt: skip

add("extras.k_means", lambda p: jaxkd.extras.k_means(jax.random.key(0), p, k=2, steps=3)[0],
    (CLOUD, "m"), unit="m", trust=True, forward=True)  # fmt: skip

jaxopt = Package("jaxopt")
optax = Package("optax")
add = Table("jaxopt", "jaxopt", "optimisers")
W = np.array([0.0, 0.7, 1.5, 2.2, 3.1])
add("projection_simplex", lambda x, v: jaxopt.projection.projection_simplex(x, v),
    (W, "m"), (1.0, "m"), unit="m")  # fmt: skip
add("projection_l2_ball", lambda x, v: jaxopt.projection.projection_l2_ball(x, v),
    (W, "m"), (1.0, "m"), unit="m")  # fmt: skip
add("prox_lasso", lambda x, v: jaxopt.prox.prox_lasso(x, v), (W, "m"), (0.5, "m"), unit="m",
    trust=True)  # fmt: skip
add("GradientDescent",
    lambda x, c: jaxopt.GradientDescent(
        lambda x, c: jnp.sum((x - c) ** 2), stepsize=0.1, maxiter=5, acceleration=False,
        implicit_diff=False).run(x, c=c).params,
    (W, "m"), (np.sin(W), "m"), unit="m", trust=True, forward=True)  # fmt: skip
add("FixedPointIteration",
    lambda x, c: jaxopt.FixedPointIteration(
        lambda x, c: 0.5 * (x + c), maxiter=5, implicit_diff=False).run(x, c).params,
    (W, "m"), (np.sin(W), "m"), unit="m", trust=True, forward=True)  # fmt: skip
add("linear_solve.solve_cg", lambda a, b: jaxopt.linear_solve.solve_cg(lambda x: a @ x, b),
    (np.array([[2.0, 0.3], [0.3, 1.0]]), "N/m"), (np.array([1.0, 2.0]), "N"),
    unit="m", forward=True)  # fmt: skip
add = Table("optax", "optax", "optimisers")


def descent(optimiser, x, gradient):
    state = optimiser.init(x)
    for _ in range(2):
        updates, state = optimiser.update(gradient, state, x)
        x = optax.apply_updates(x, updates)
    return x


add("sgd", lambda x, g, rate: descent(optax.sgd(rate, momentum=0.9), x, g),
    (W, "m"), (np.cos(W), "J/m"), (0.1, "m**2/J"), unit="m")  # fmt: skip
add("adam", lambda x, g, rate: descent(optax.adam(rate), x, g),
    (W, "m"), (np.cos(W), "J/m"), (0.1, "m"), unit="m", trust=True)  # fmt: skip
add("global_norm", lambda a, b: optax.global_norm((a, b)), (W, "m"), (W[:2], "m"), unit="m")
add.refuses("huber_loss", lambda a, b: optax.huber_loss(a, b, delta=1.0),
            (W, "m"), (np.sin(W), "m"), message="got operands in", reason=ROLES)  # fmt: skip

dist = Package("numpyro.distributions", "numpyro")
add = Table("numpyro", "numpyro", "distributions")
LOC = (0.3, "m"), (1.2, "m")
for name in ("Normal", "Laplace", "Gumbel"):
    add(f"{name}.cdf", lambda x, *a, d=name: getattr(dist, d)(*a).cdf(x), (W, "m"), *LOC, unit="")
    add(f"{name}.sample", lambda *a, d=name: getattr(dist, d)(*a).sample(jax.random.key(1), (3,)),
        *LOC, unit="m")  # fmt: skip
add("MultivariateNormal.sample",
    lambda m, c: dist.MultivariateNormal(m, c).sample(jax.random.key(0)),
    (W[:2], "m"), (np.array([[2.0, 0.3], [0.3, 1.0]]), "m**2"), unit="m")  # fmt: skip
add("kl_divergence", lambda a, b, c, d: dist.kl_divergence(dist.Normal(a, b), dist.Normal(c, d)),
    *LOC, (0.5, "m"), (2.0, "m"), unit="")  # fmt: skip
add.refuses("Normal.log_prob", lambda x, *a: dist.Normal(*a).log_prob(x), (W, "m"), *LOC,
            message="`log` takes numbers", reason=LOGARITHM)  # fmt: skip
