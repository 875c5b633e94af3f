"""Ten years of the Solar System, in astronomical units, kilometres a second and days.

Eleven point masses start where JPL's ephemeris DE421 puts them at J2000 and move under
Newton's law of gravity. Diffrax integrates them; every number it is given carries a unit,
and the units disagree on purpose: positions are in au, velocities in km/s, time in days
and years, and G times mass in km**3/s**2. Nothing below converts between them by hand.

The run ends with the distance of each body from DE421, a second run with the two largest
forces that Newton's point masses lack, a picture, and what happens when the force law has
a unit mistake in it:

    python examples/solar_system.py [--years 10] [--output solar_system.png] [--no-plot]

DE421 is: W. M. Folkner, J. G. Williams and D. H. Boggs, "The Planetary and Lunar Ephemeris
DE 421", IPN Progress Report 42-178, JPL, 2009. Its polynomials and constants are read from
the PyPI package `de421` through `jplephem`: no file is fetched when this runs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import de421
import jax
import jax.numpy as jnp
import numpy as np
from jplephem.ephem import Ephemeris

from sciquax import quaxify
from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity

jax.config.update("jax_enable_x64", True)

# Every body, and the name under which DE421 lists its G times mass. The Earth and the Moon
# share one entry, GMB, and are separated by their mass ratio EMRAT. From Jupiter outwards,
# and for Mars, a "planet" is the barycentre of the planet and its moons.
GM_NAMES = {
    "Sun": "GMS",
    "Mercury": "GM1",
    "Venus": "GM2",
    "Earth": "GMB",
    "Moon": "GMB",
    "Mars": "GM4",
    "Jupiter": "GM5",
    "Saturn": "GM6",
    "Uranus": "GM7",
    "Neptune": "GM8",
    "Pluto": "GM9",
}
BODIES = tuple(GM_NAMES)
SUN, EARTH, MOON = (BODIES.index(name) for name in ("Sun", "Earth", "Moon"))
# OTHERS[i] lists the bodies that pull on body i: all of them except i itself, so that no
# distance is ever zero and none needs masking.
OTHERS = np.array([[j for j in range(len(BODIES)) if j != i] for i in range(len(BODIES))])

EPOCH = 2451545.0  # Julian date (TDB) of J2000, 2000 January 1, 12:00
# IAU 2006 mean obliquity of the ecliptic at J2000: Capitaine et al., A&A 412, 567 (2003).
OBLIQUITY = Quantity(84381.406, "arcsecond")
SAMPLES_PER_YEAR = 120
COLOURS = (
    *("gold", "tab:gray", "tab:olive", "tab:blue", "black", "tab:red"),
    *("tab:brown", "tab:orange", "tab:cyan", "tab:purple", "tab:pink"),
)


# --------------------------------------------------------------------------------------
# DE421
# --------------------------------------------------------------------------------------


def ephemeris_state(ephemeris, days):
    """Barycentric positions (au) and velocities (km/s) of `BODIES`, `days` after `EPOCH`.

    **Arguments:** `days`: `Quantity` of shape `(times,)`; anything convertible to days.

    **Returns:** `{"position": Quantity, "velocity": Quantity}`, each `(times, bodies, 3)`,
    on the axes of the ICRF.
    """
    days = np.asarray(days.m_as("day"))

    def read(segment):
        # (2, times, 3): kilometres, and kilometres a day. The date is passed in two
        # parts because one float64 Julian date resolves only 40 microseconds.
        both = ephemeris.position_and_velocity(segment, np.full_like(days, EPOCH), days)
        return np.swapaxes(np.stack(both), 1, 2)

    # DE421 stores the Earth-Moon barycentre, and the Moon as seen from the Earth.
    barycentre, geocentric_moon = read("earthmoon"), read("moon")
    states = {
        "Earth": barycentre - ephemeris.earth_share * geocentric_moon,
        "Moon": barycentre + ephemeris.moon_share * geocentric_moon,
    }
    rows = [states[name] if name in states else read(name.lower()) for name in BODIES]
    position, velocity = np.stack(rows, axis=2)
    return {
        "position": Quantity(jnp.asarray(position), "km").to("au"),
        "velocity": Quantity(jnp.asarray(velocity), "km/day").to("km/s"),
    }


def constant(ephemeris, name, unit):
    """A constant by its name in DE421, and the unit that DE421 gives it in."""
    return Quantity(float(getattr(ephemeris, name)), unit)


def gravitational_parameters(ephemeris):
    """G times mass of each of `BODIES`, in km**3/s**2 (DE421 gives au**3/day**2).

    DE421 fitted its own astronomical unit, 0.4 m short of the one defined since 2012: a
    mass in its units needs its au, not pint's.
    """
    shares = {"Earth": ephemeris.moon_share, "Moon": ephemeris.earth_share}
    values = [getattr(ephemeris, GM_NAMES[name]) * shares.get(name, 1.0) for name in BODIES]
    fitted_au = constant(ephemeris, "AU", "km")
    return (Quantity(jnp.asarray(values), "1/day**2") * fitted_au**3).to("km**3/s**2")


# --------------------------------------------------------------------------------------
# Forces: ordinary JAX code, which does not mention units
# --------------------------------------------------------------------------------------


def gravity(t, state, gm):
    """Newton's law between point masses: the time derivative of `state`."""
    position = state["position"]
    r = position[OTHERS] - position[:, None, :]
    distance = jnp.linalg.norm(r, axis=-1, keepdims=True)
    acceleration = jnp.sum(gm[OTHERS][:, :, None] * r / distance**3, axis=1)
    return {"position": state["velocity"], "velocity": acceleration}


def mistaken_gravity(t, state, gm):
    """`gravity` with one slip: r is not a unit vector, so it wants distance**3."""
    position = state["position"]
    r = position[OTHERS] - position[:, None, :]
    distance = jnp.linalg.norm(r, axis=-1, keepdims=True)
    acceleration = jnp.sum(gm[OTHERS][:, :, None] * r / distance**2, axis=1)
    return {"position": state["velocity"], "velocity": acceleration}


def corrected_gravity(t, state, constants):
    """`gravity`, plus the Sun's relativistic field and the Earth's equatorial bulge."""
    derivative = gravity(t, state, constants["gm"])
    pull_on_moon = oblateness(state, constants)
    mass_ratio = constants["gm"][MOON] / constants["gm"][EARTH]
    acceleration = derivative["velocity"] + relativity(state, constants)
    acceleration = acceleration.at[MOON].add(pull_on_moon)
    acceleration = acceleration.at[EARTH].add(-mass_ratio * pull_on_moon)
    return {"position": derivative["position"], "velocity": acceleration}


def relativity(state, constants):
    """The Sun's first post-Newtonian acceleration of each body; none of the Sun.

    IERS Conventions (2010), equation 10.12, first term, with beta = gamma = 1.
    """
    gm, c = constants["gm"][SUN], constants["light_speed"]
    r = state["position"][SUN + 1 :] - state["position"][SUN]
    v = state["velocity"][SUN + 1 :] - state["velocity"][SUN]
    distance = jnp.linalg.norm(r, axis=-1, keepdims=True)
    radial = (4 * gm / distance - jnp.sum(v * v, axis=-1, keepdims=True)) * r
    along = 4 * jnp.sum(r * v, axis=-1, keepdims=True) * v
    acceleration = gm * (radial + along) / (c**2 * distance**3)
    return jnp.concatenate([jnp.zeros_like(acceleration[:1]), acceleration])


def oblateness(state, constants):
    """The acceleration of the Moon by the second zonal harmonic (J2) of the Earth.

    O. Montenbruck and E. Gill, *Satellite Orbits*, section 3.2; the Earth's pole is taken
    along the z axis of the ICRF, from which it strays by 0.06 degrees in ten years.
    """
    r = state["position"][MOON] - state["position"][EARTH]
    distance = jnp.linalg.norm(r)
    sine = r[2] / distance
    pole = jnp.array([0.0, 0.0, 1.0])
    bulge = constants["j2"] * constants["earth_radius"] ** 2 * constants["gm"][EARTH] / distance**4
    return -1.5 * bulge * ((1 - 5 * sine**2) * r / distance + 2 * sine * pole)


# --------------------------------------------------------------------------------------
# Integration and its errors
# --------------------------------------------------------------------------------------


def integrate(force, state, args, times):
    """Solve for the motion from `times[0]` to `times[-1]`.

    **Returns:** the state at each of `times`, and the number of steps it took.
    """
    solution = dfx.diffeqsolve(
        dfx.ODETerm(force),
        dfx.Dopri8(),
        t0=times[0],
        t1=times[-1],
        dt0=Quantity(0.1, "day"),
        y0=state,
        args=args,
        saveat=dfx.SaveAt(ts=times),
        # Tighter than this, the Moon, which goes round the most, changes by 0.3 km in ten years.
        stepsize_controller=dfx.PIDController(
            rtol=1e-13,
            atol={"position": Quantity(0.1, "mm"), "velocity": Quantity(1.0, "nm/s")},
        ),
        max_steps=None,
        progress_meter=dfx.TqdmProgressMeter(refresh_steps=200),
    )
    assert solution.ys is not None  # it is None only where nothing was to be saved
    return solution.ys, int(solution.stats["num_steps"])


@quaxify
def distance_errors(position, reference):
    """Distances between two sets of positions: shape `(times, bodies + 1)`.

    The last column is the Moon as seen from the Earth.
    """
    difference = position - reference
    geocentric_moon = difference[:, MOON] - difference[:, EARTH]
    difference = jnp.concatenate([difference, geocentric_moon[:, None]], axis=1)
    return jnp.linalg.norm(difference, axis=-1)


@quaxify
def energy(state, gm):
    """Newtonian energy at each time, multiplied by G: masses then come in as `gm` alone."""
    first, second = np.triu_indices(len(BODIES), k=1)
    position, velocity = state["position"], state["velocity"]
    kinetic = jnp.sum(0.5 * gm[:, None] * velocity**2, axis=(-2, -1))
    distance = jnp.linalg.norm(position[:, first] - position[:, second], axis=-1)
    return kinetic - jnp.sum(gm[first] * gm[second] / distance, axis=-1)


@quaxify
def revolutions(state, gm, span):
    """How often each body but the Sun goes round the Sun in `span`, by Kepler's third law."""
    r = jnp.linalg.norm(state["position"][SUN + 1 :] - state["position"][SUN], axis=-1)
    v = jnp.linalg.norm(state["velocity"][SUN + 1 :] - state["velocity"][SUN], axis=-1)
    semi_major_axis = 1 / (2 / r - v**2 / gm[SUN])
    return jnp.sqrt(gm[SUN] / semi_major_axis**3) * span / (2 * jnp.pi)


@quaxify
def slip_per_revolution(constants):
    """How far Newton gets ahead of relativity in one revolution, whichever the planet.

    For a circular orbit, with speed n r, the acceleration in `relativity` says that
    n**2 r**3 = GM (1 - 3 e), where e = GM/(c**2 r). Newton, started at that r and speed,
    finds a semi-major axis r (1 - 3 e) and goes round too fast by 6 e n: 12 pi GM/c**2, or
    55.7 km, a revolution. (Half of that is the advance of the perihelion, 43 arcseconds a
    century for Mercury; the rest is the change of period.) Eccentricity moves the figure
    by tens of per cent, and it takes a revolution to show.
    """
    return 12 * jnp.pi * constants["gm"][SUN] / constants["light_speed"] ** 2


# --------------------------------------------------------------------------------------
# Results
# --------------------------------------------------------------------------------------


def print_errors(times, newton, corrected, turns, slip):
    """The table. `turns` counts revolutions; the others are times and lengths."""
    columns = [round(fraction * (len(times) - 1)) for fraction in (0.1, 0.5, 1.0)]
    after = [f"{times[column].m_as('year'):.3g} yr" for column in columns]
    newton, corrected, slip = (np.asarray(x.m_as("km")) for x in (newton, corrected, slip))
    turns = np.asarray(turns)
    row_format = "{:16}" + 4 * "{:>11}" + "{:>16}{:>12}"
    print(f"\nDistance from DE421, in km\n{'':16}{'Newton, point masses':^44}", end="")
    print(f"{'no relativity:':>16}{'corrected:':>12}")
    print(row_format.format("after", *after, "(largest)", "expected", "(largest)"))
    for row, name in enumerate((*BODIES, "Moon from Earth")):
        errors = [f"{value:.2f}" for value in (*newton[columns, row], newton[:, row].max())]
        circles_sun = row not in (SUN, MOON, len(BODIES)) and turns[row - 1] > 0.99
        expected = f"{slip * turns[row - 1]:.0f}" if circles_sun else ""
        print(row_format.format(name, *errors, expected, f"{corrected[:, row].max():.2f}"))


CAUSES = """
Where the errors come from. "Newton, point masses" leaves out:
  - relativity. Ignoring it puts a planet ahead by about 12 pi GM/c**2 = 55.7 km a
    revolution (the column "no relativity", for circular orbits; Mercury's 43 arcseconds a
    century are part of it). That is nearly all of the error from Mercury to Saturn.
  - the shapes of the bodies. The bulge of the Earth's equator turns the Moon's orbit.
"Corrected" adds the relativity of the Sun's field and that bulge, and nothing else. What
remains should be mostly the asteroids (their pull is felt most by Mars; without their share
of the momentum, everything drifts by 3.7 km in ten years), and for the Moon its own figure,
the tides and the relativity of the Earth's motion. The solver's own error is metres, and
for the Moon 0.3 km (by tightening the tolerances)."""


def plot(times, state, error, output):
    """Draw the inner orbits, the outer orbits, and the growth of the errors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    cosine, sine = quaxify(lambda x: (jnp.cos(x), jnp.sin(x)))(OBLIQUITY)

    @quaxify
    def ecliptic_plane(position):
        y, z = position[..., 1], position[..., 2]
        return position[..., 0], y * cosine + z * sine

    x, y = (axis.to("au") for axis in ecliptic_plane(state["position"]))
    years = times.to("year")
    with plot_units():
        figure, (inner, outer, growth) = plt.subplots(
            3, figsize=(5.5, 13.5), height_ratios=(5, 5, 4), layout="constrained"
        )
        colours = dict(zip(BODIES, COLOURS, strict=True))
        for panel, names, radius in (
            (inner, ("Sun", "Mercury", "Venus", "Earth", "Mars"), 2.4),
            (outer, ("Sun", "Jupiter", "Saturn", "Uranus", "Neptune", "Pluto"), 33.0),
        ):
            for name in names:
                body = BODIES.index(name)
                panel.plot(x[:, body], y[:, body], lw=0.8, color=colours[name])
                panel.plot(x[-1, body], y[-1, body], "o", color=colours[name], label=name)
            panel.set(xlim=(-radius, radius), ylim=(-radius, radius), aspect="equal")
            panel.set(xlabel="ecliptic x (au)", ylabel="ecliptic y (au)")
            panel.legend(loc="upper right", fontsize="small")
        inner.set_title("Inner planets (the Moon is within the Earth's dot)")
        outer.set_title(f"Outer planets, {years[-1].m:g} years from J2000")
        for body, name in enumerate(BODIES):
            growth.semilogy(
                years[1:], error[1:, body].to("km"), color=colours[name], lw=1, label=name
            )
        growth.set(xlabel="time since J2000 (years)", ylabel="distance from DE421 (km)")
        growth.set(ylim=(1e-3, None), title="Newtonian point masses, against DE421")
        figure.legend(*growth.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.savefig(output, dpi=150)
        plt.close(figure)


def show_unit_mistake(state, gm, times):
    """Integrate with the wrong power of the distance, and print what the user is told."""
    print("\nNow with a slip in the force law, gm * r / distance**2 with r not a unit vector:\n")
    try:
        integrate(mistaken_gravity, state, gm, times)
    except DimensionalityError as error:
        print(f"{type(error).__name__}: {error}")
    else:
        raise AssertionError("a force law with the wrong units was integrated")


def parse_arguments():
    parser = argparse.ArgumentParser(description="Ten years of the Solar System, with units.")
    parser.add_argument("--years", type=float, default=10.0, help="length of the run (default 10)")
    parser.add_argument("--output", type=Path, default=Path("solar_system.png"), help="the picture")
    parser.add_argument("--no-plot", action="store_true", help="draw no picture")
    arguments = parser.parse_args()
    if arguments.years <= 0:
        parser.error("--years must be positive")
    return arguments


def main():
    arguments = parse_arguments()
    ephemeris = Ephemeris(de421)
    # A multiple of ten samples, so that a tenth and a half of the run are among them.
    samples = 10 * max(1, round(SAMPLES_PER_YEAR * arguments.years / 10))
    times = Quantity(jnp.linspace(0.0, arguments.years, samples + 1), "year").to("day")
    reference = ephemeris_state(ephemeris, times)
    start = jax.tree.map(lambda array: array[0], reference)
    gm = gravitational_parameters(ephemeris)
    constants = {
        "gm": gm,
        "light_speed": constant(ephemeris, "CLIGHT", "km/s"),
        "earth_radius": constant(ephemeris, "AE", "km"),
        "j2": constant(ephemeris, "J2E", "dimensionless"),
    }

    clock = time.perf_counter()
    years = f"{arguments.years:g} years from J2000"
    print(f"Newtonian gravity, {len(BODIES)} bodies, {years}", flush=True)
    newton, steps = integrate(gravity, start, gm, times)
    print("The same, with the Sun's relativity and the Earth's bulge", flush=True)
    corrected, more_steps = integrate(corrected_gravity, start, constants, times)
    seconds = time.perf_counter() - clock
    print(f"Took {seconds:.1f} s with compilation, in {steps} and {more_steps} steps.")

    newton_error = distance_errors(newton["position"], reference["position"])
    corrected_error = distance_errors(corrected["position"], reference["position"])
    turns = revolutions(start, gm, times[-1] - times[0])
    print_errors(times, newton_error, corrected_error, turns, slip_per_revolution(constants))
    energies = energy(newton, gm)
    drift = jnp.max(jnp.abs(energies / energies[0] - 1))
    print(f"\nLargest relative change of energy (Newton): {float(drift):.1e}")
    print(CAUSES)
    if not arguments.no_plot:
        plot(times, newton, newton_error, arguments.output)
        print(f"\nPicture: {arguments.output.resolve()}")
    show_unit_mistake(start, gm, times)


if __name__ == "__main__":
    main()
