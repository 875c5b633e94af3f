"""A bead in an optical trap: an Ornstein-Uhlenbeck process in micrometres and milliseconds.

    dx = -(kappa / gamma) x dt + sqrt(2 k_B T / gamma) dW

The trap's stiffness kappa is in pN/um, the friction gamma = 6 pi eta r from a viscosity in mPa s
and a radius in nm, and k_B T from kelvin. Brownian motion W is in the square root of time, here
ms**(1/2), and so the noise must be in um/ms**(1/2): that k_B T / gamma has it, and that a forgotten
square root does not, is checked before the first step.

Two thousand beads start 0.3 um from the centre. Their mean and variance are checked against the
analytic ones, in units of their standard errors, and their variance in the end against
equipartition, k_B T / kappa:

    python examples/ornstein_uhlenbeck.py [--output ornstein_uhlenbeck.png]

Source: G. E. Uhlenbeck and L. S. Ornstein, "On the theory of the Brownian motion", Phys. Rev. 36,
823 (1930); for the trap, K. Berg-Sorensen and H. Flyvbjerg, Rev. Sci. Instrum. 75, 594 (2004).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import sciquax.numpy as snp
from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity, constants

jax.config.update("jax_enable_x64", True)

BEADS = 2000
STIFFNESS = Quantity(20.0, "pN/um")
FRICTION = 6 * np.pi * Quantity(0.89, "mPa*s") * Quantity(500.0, "nm")  # Stokes's law
THERMAL_ENERGY = constants.k_B * Quantity(298.15, "K")
START = Quantity(0.3, "um")


def simulate(key, times, noise=None):
    """Positions of all beads, (times, beads), in um."""
    noise = snp.sqrt(2 * THERMAL_ENERGY / FRICTION) if noise is None else noise
    start, end = Quantity(0.0, "ms"), times[-1]

    def bead(key):
        path = dfx.VirtualBrownianTree(
            start, end, Quantity(2.0, "us"), (), key, dfx.SpaceTimeLevyArea
        )
        terms = dfx.MultiTerm(
            dfx.ODETerm(lambda t, x, args: -STIFFNESS * x / FRICTION),
            dfx.ControlTerm(lambda t, x, args: noise, path),
        )
        solution = dfx.diffeqsolve(
            terms, dfx.SRA1(), start, end, Quantity(20.0, "us"), START, saveat=dfx.SaveAt(ts=times)
        )
        assert solution.ys is not None  # it is None only where nothing was to be saved
        return solution.ys

    return jax.vmap(bead, out_axes=1)(jax.random.split(key, BEADS))


def moments(times):
    """The analytic mean and variance."""
    decay = snp.exp(-STIFFNESS * times / FRICTION)
    return START * decay, THERMAL_ENERGY / STIFFNESS * (1 - decay**2)


def draw(times, positions, path):
    """A few beads, and mean and spread, found and analytic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    fine = Quantity(jnp.linspace(0.0, 2.0, 201), "ms")
    mean, variance = moments(fine)
    spread = snp.sqrt(variance)
    with plot_units():
        figure, axes = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
        lines = axes.plot(times, positions[:, :5].to("um"), linewidth=0.8, alpha=0.7)
        lines[0].set_label("five single beads, a colour each")
        axes.plot(times, positions.mean(axis=1), "k.", label="mean of all beads")
        axes.plot(fine, mean, "k", label="analytic mean")
        axes.fill_between(fine, mean - spread, mean + spread, color="tab:gray", alpha=0.3,
                          label="analytic standard deviation")  # fmt: skip
        axes.set(xlabel="time (ms)", ylabel="position (µm)", title="Beads in an optical trap")
        axes.legend()
        figure.savefig(path, dpi=180)
        plt.close(figure)


def main(argv=None):
    """Simulate, compare, draw. **Returns** the largest deviation in standard errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("ornstein_uhlenbeck.png"))
    options = parser.parse_args(argv)

    times = Quantity(jnp.linspace(0.1, 2.0, 20), "ms")
    positions = simulate(jax.random.key(0), times)
    mean, variance = moments(times)
    # Standard errors of a mean and of a variance, of normal samples.
    mean_error = snp.sqrt(variance / BEADS)
    variance_error = variance * np.sqrt(2 / (BEADS - 1))
    deviations = [
        snp.abs(positions.mean(axis=1) - mean) / mean_error,
        snp.abs(positions.var(axis=1, ddof=1) - variance) / variance_error,
    ]
    mean_worst, variance_worst = (float(np.max(np.asarray(d))) for d in deviations)
    print(f"relaxation time {(FRICTION / STIFFNESS).to('ms'):.4f~P}")
    print(f"mean:     at most {mean_worst:.1f} standard errors from the analytic one")
    print(f"variance: at most {variance_worst:.1f} standard errors from the analytic one")
    found = positions[-1].var(ddof=1).to("um**2")
    due = (THERMAL_ENERGY / STIFFNESS).to("um**2")
    print(f"in the end {found:.3g~P}, by equipartition {due:.3g~P}")
    try:
        simulate(jax.random.key(0), times, 2 * THERMAL_ENERGY / FRICTION)
    except DimensionalityError as error:
        print(f"\nWith the square root forgotten:\n{error}")
    draw(times, positions, options.output)
    print(f"\ndrawn in {options.output}")
    return max(mean_worst, variance_worst)


if __name__ == "__main__":
    main()
