"""Ozone in the stratosphere: Chapman's four reactions, from no ozone at all to ten years on.

    O2 + light   -> 2 O        j1 = 6e-11 / s
    O + O2 + M   -> O3 + M     k2 = 6.1e-34 (T / 300 K)**-2.4  cm**6 / molecule**2 / s
    O3 + light   -> O2 + O     j3 = 9e-4 / s
    O + O3       -> 2 O2       k4 = 8.0e-12 exp(-2060 K / T)   cm**3 / molecule / s

The constants are written as they are published, in three different dimensions; the air is given as
a pressure and a temperature, in hPa and K; `molecule` and `mol` measure the same thing, so that
p / (R T) converts to molecules per cubic centimetre by itself. An atom of oxygen lives for
hundredths of a second, ozone needs years to settle: the system is stiff.

The run is checked against SciPy's Radau on bare numbers and against the steady state, drawn, and
ends with the mistake of a missing M and what is said about it:

    python examples/chapman.py [--output chapman.png]

Sources: S. Chapman, "A theory of upper-atmospheric ozone", Mem. R. Meteorol. Soc. 3, 103, 1930; k2
and k4 of J. B. Burkholder et al., "Chemical Kinetics and Photochemical Data for Use in Atmospheric
Studies", Evaluation 19, JPL Publication 19-5, 2019; j1 and j3 are round numbers for 30 km at noon.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

import sciquax.numpy as snp
from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity, constants

jax.config.update("jax_enable_x64", True)

PER_VOLUME = "molecule/cm**3"
AIR = {"pressure": Quantity(12.0, "hPa"), "temperature": Quantity(227.0, "K")}
RATES = {
    "j1": Quantity(6e-11, "1/s"),
    "k2": Quantity(6.1e-34, "cm**6/molecule**2/s")
    * (AIR["temperature"] / Quantity(300, "K")) ** -2.4,
    "j3": Quantity(9e-4, "1/s"),
    "k4": Quantity(8.0e-12, "cm**3/molecule/s")
    * snp.exp(-Quantity(2060.0, "K") / AIR["temperature"]),
    "M": (AIR["pressure"] / (constants.molar_gas_constant * AIR["temperature"])).to(PER_VOLUME),
}
START = {
    "O": Quantity(0.0, PER_VOLUME),
    "O2": 0.21 * RATES["M"],
    "O3": Quantity(0.0, PER_VOLUME),
}
ATOL = {
    "O": Quantity(1e2, PER_VOLUME),
    "O2": Quantity(1e10, PER_VOLUME),
    "O3": Quantity(1e6, PER_VOLUME),
}


def chemistry(t, n, k):
    """Rates of change of the number densities: ordinary code, without a word of units."""
    light = k["j1"] * n["O2"]
    recombination = k["k2"] * n["O"] * n["O2"] * k["M"]
    photolysis = k["j3"] * n["O3"]
    loss = k["k4"] * n["O"] * n["O3"]
    return {
        "O": 2 * light - recombination + photolysis - loss,
        "O2": -light - recombination + photolysis + 2 * loss,
        "O3": recombination - photolysis - loss,
    }


def mistaken_chemistry(t, n, k):
    """`chemistry` with one slip: nothing takes the energy of the second reaction away."""
    recombination = k["k2"] * n["O"] * n["O2"]
    return chemistry(t, n, k) | {"O3": recombination - k["j3"] * n["O3"]}


def simulate(times, rates=chemistry):
    """Number densities at `times`, a quantity of any unit of time."""
    controller = dfx.PIDController(rtol=1e-7, atol=ATOL, pcoeff=0.3, icoeff=0.4)
    return dfx.diffeqsolve(
        dfx.ODETerm(rates),
        dfx.Kvaerno5(),
        Quantity(0.0, "s"),
        times[-1],
        Quantity(1.0, "us"),
        START,
        RATES,
        saveat=dfx.SaveAt(ts=times),
        stepsize_controller=controller,
    )


def reference(seconds):
    """The same by SciPy, on numbers in cm, s and molecules: an array of species by times."""
    temperature, boltzmann = 227.0, 1.380649e-23
    air = 1200.0 / (boltzmann * temperature) * 1e-6
    k2 = 6.1e-34 * (temperature / 300.0) ** -2.4
    k4 = 8.0e-12 * np.exp(-2060.0 / temperature)

    def rates(t, n):
        o, o2, o3 = n
        light, photolysis = 6e-11 * o2, 9e-4 * o3
        recombination, loss = k2 * o * o2 * air, k4 * o * o3
        return [
            2 * light - recombination + photolysis - loss,
            -light - recombination + photolysis + 2 * loss,
            recombination - photolysis - loss,
        ]

    start, atol = [0.0, 0.21 * air, 0.0], [1e-1, 1e5, 1e2]
    span = (0.0, seconds[-1])
    return solve_ivp(rates, span, start, "Radau", seconds, rtol=1e-10, atol=atol).y


def steady_ozone():
    """What ozone settles at, where each reaction that makes a pair of O and O3 loses one."""
    k, oxygen = RATES, START["O2"]
    return oxygen * snp.sqrt(k["j1"] * k["k2"] * k["M"] / (k["j3"] * k["k4"]))


def draw(solution, path):
    """Ozone and oxygen atoms over fourteen decades of time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    with plot_units():
        figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
        for species, label in (("O3", "ozone, O₃"), ("O", "oxygen atoms, O")):
            axes.loglog(solution.ts.to("day"), solution.ys[species], label=label)
        axes.set(xlabel="time (days)", ylabel="molecules per cm³", title="Chapman's cycle at 30 km")
        axes.legend()
        figure.savefig(path, dpi=180)
        plt.close(figure)


def main(argv=None):
    """Solve, compare, draw. **Returns** the largest difference from SciPy's, relative."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("chapman.png"), help="the picture")
    options = parser.parse_args(argv)

    seconds = np.logspace(-4, np.log10(3.15576e8), 157)
    times = Quantity(jnp.asarray(seconds), "s")
    solution = simulate(times)
    assert solution.ys is not None  # it is None only where nothing was to be saved
    print(f"air: {RATES['M']:.3e~P}; steps: {solution.stats['num_steps']}")
    worst = 0.0
    for row, (species, found) in zip(reference(seconds), sorted(solution.ys.items()), strict=True):
        difference = float(np.max(np.abs(found.m_as(PER_VOLUME) - row)) / np.max(np.abs(row)))
        worst = max(worst, difference)
        print(f"[{species}] at the end {found[-1]:.4e~P}; from SciPy's by {difference:.1e}")
    ozone = solution.ys["O3"]
    ratio = float(ozone[-1] / steady_ozone())
    print(f"ozone after {times[-1].to('year'):.0f~P} is {ratio:.4f} of its steady state")
    ppm = 1e6 * float(ozone[-1] / RATES["M"])
    print(f"and {ppm:.0f} ppm of the air; catalysts, which are not here, leave a fraction of it")
    atoms = solution.ys["O"] + 2 * solution.ys["O2"] + 3 * ozone
    drift = float(jnp.max(jnp.abs(atoms / atoms[0] - 1)))
    print(f"atoms appear or vanish by {drift:.1e}")
    if worst > 1e-4 or drift > 1e-8 or abs(ratio - 1) > 0.02:
        raise SystemExit("this is not what SciPy and the steady state say")
    try:
        simulate(times, mistaken_chemistry)
    except DimensionalityError as error:
        print(f"\nWith a factor [M] missing:\n{error}")
    draw(solution, options.output)
    print(f"\ndrawn in {options.output}")
    return worst


if __name__ == "__main__":
    main()
