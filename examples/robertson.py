"""Robertson's reactions, the classic stiff system, in mol/L and seconds, up to a year and on.

    A -> B            k1 = 0.04 / s
    B + B -> B + C    k2 = 3e7 L/mol/s
    B + C -> A + C    k3 = 1e4 L/mol/s

The rate constants of first and second order differ in dimension, and here in unit too: k2 is given
per minute, k3 in m**3/kmol/s. Nothing below converts them by hand; a rate law of the wrong order
does not compile. Concentrations span eight orders of magnitude, so each species has its own
absolute tolerance, in the unit that suits it.

The run is checked against SciPy's Radau on bare numbers, drawn, and ends with the mistake of a
missing factor [B] and what is said about it:

    python examples/robertson.py [--output robertson.png]

Source: H. H. Robertson, "The solution of a set of reaction rate equations", in Numerical Analysis:
An Introduction, J. Walsh (ed.), Academic Press, 1966; the constants are those of E. Hairer and
G. Wanner, Solving Ordinary Differential Equations II, Springer, 1996, section IV.1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity

jax.config.update("jax_enable_x64", True)

CONSTANTS = {
    "k1": Quantity(0.04, "1/s"),
    "k2": Quantity(1.8e9, "L/mol/min"),  # 3e7 L/mol/s
    "k3": Quantity(1e4, "m**3/kmol/s"),  # 1e4 L/mol/s
}
START = {
    "A": Quantity(1.0, "mol/L"),
    "B": Quantity(0.0, "mol/L"),
    "C": Quantity(0.0, "mol/L"),
}
ATOL = {
    "A": Quantity(0.1, "nmol/L"),
    "B": Quantity(0.1, "pmol/L"),
    "C": Quantity(0.1, "nmol/L"),
}


def kinetics(t, c, k):
    """Rates of change of the concentrations: ordinary code, without a word of units."""
    forward = k["k1"] * c["A"]
    doubling = k["k2"] * c["B"] ** 2
    backward = k["k3"] * c["B"] * c["C"]
    return {"A": backward - forward, "B": forward - doubling - backward, "C": doubling}


def mistaken_kinetics(t, c, k):
    """`kinetics` with one slip: the second reaction is of second order in B."""
    return kinetics(t, c, k) | {"C": k["k2"] * c["B"]}


def simulate(times, rates=kinetics):
    """Concentrations at `times`, a quantity of any unit of time."""
    controller = dfx.PIDController(rtol=1e-8, atol=ATOL, pcoeff=0.3, icoeff=0.4)
    return dfx.diffeqsolve(
        dfx.ODETerm(rates),
        dfx.Kvaerno5(),
        Quantity(0.0, "s"),
        times[-1],
        Quantity(1.0, "us"),
        START,
        CONSTANTS,
        saveat=dfx.SaveAt(ts=times),
        stepsize_controller=controller,
    )


def reference(seconds):
    """The same by SciPy, on numbers in mol/L and s: an array of species by times."""

    def rates(t, y):
        a, b, c = y
        forward, doubling, backward = 0.04 * a, 3e7 * b * b, 1e4 * b * c
        return [backward - forward, forward - doubling - backward, doubling]

    return solve_ivp(
        rates, (0.0, seconds[-1]), [1.0, 0.0, 0.0], "Radau", seconds, rtol=1e-10, atol=1e-15
    ).y


def draw(solution, path):
    """The three concentrations over eleven decades of time; B is scaled up to be seen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    with plot_units():
        figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
        for species, factor in (("A", 1), ("B", 10000), ("C", 1)):
            label = f"{species} × {factor}" if factor > 1 else species
            axes.semilogx(solution.ts, factor * solution.ys[species], label=label)
        axes.set(xlabel="time (s)", ylabel="concentration (mol/L)", title="Robertson's reactions")
        axes.legend()
        figure.savefig(path, dpi=180)
        plt.close(figure)


def main(argv=None):
    """Solve, compare, draw. **Returns** the largest difference from SciPy's, relative."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("robertson.png"), help="the picture")
    options = parser.parse_args(argv)

    times = Quantity(jnp.logspace(-5, 8, 157), "s")
    solution = simulate(times)
    expected = reference(np.asarray(times.m_as("s")))
    assert solution.ys is not None  # it is None only where nothing was to be saved
    print(f"steps: {solution.stats['num_steps']}, end at {times[-1].to('year'):.3g~P}")
    worst = 0.0
    for row, (species, found) in zip(expected, solution.ys.items(), strict=True):
        difference = float(np.max(np.abs(found.m_as("mol/L") - row)) / np.max(np.abs(row)))
        worst = max(worst, difference)
        print(f"[{species}] at the end {found[-1]:.6g~P}; from SciPy's by {difference:.1e}")
    total = sum(solution.ys.values(), start=Quantity(0.0, "mol/L"))
    drift = np.max(np.abs(np.asarray((total - START["A"]).m_as("mol/L"))))
    print(f"matter appears or vanishes by {drift:.1e} mol/L")
    try:
        simulate(times, mistaken_kinetics)
    except DimensionalityError as error:
        print(f"\nWith a factor [B] missing:\n{error}")
    draw(solution, options.output)
    print(f"\ndrawn in {options.output}")
    return worst


if __name__ == "__main__":
    main()
