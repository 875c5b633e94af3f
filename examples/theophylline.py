"""How fast a drug is taken up and cleared, fitted with Optimistix, with what was known before.

Theophylline in the blood of the first of twelve volunteers after one dose by mouth (Boeckmann,
Sheiner, Beal, NONMEM Users Guide, 1994; in R as `Theoph`). A depot empties into the blood:

    dA/dt = -ka A,    dC/dt = ka A / V - ke C,    A(0) = dose, C(0) = 0.

The absorption rate ka and the elimination rate ke are in 1/h, the volume of distribution V is in L
per kg of body weight, and so is what was known of them before: a mean and a standard deviation,
each in its own unit. A residual is a deviation over its standard deviation, a number, for measured
concentrations in mg/L and for prior knowledge alike. Levenberg and Marquardt's method, through the
solver of the differential equation, finds their least sum of squares.

The fit is checked against SciPy's, on bare numbers, of the equation's solution in closed form:

    python examples/theophylline.py [--output theophylline.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

import sciquax
from sciquax.interop import diffrax as dfx, optimistix as optx
from sciquax.units import DimensionalityError, Quantity

jax.config.update("jax_enable_x64", True)

DOSE = Quantity(4.02, "mg/kg")
TIMES = Quantity(
    jnp.array([0.0, 15.0, 34.2, 67.2, 121.2, 229.2, 306.0, 421.8, 543.0, 727.2, 1462.2]), "min"
)
SEEN = Quantity(
    jnp.array([0.74, 2.84, 6.57, 10.5, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28]), "mg/L"
)
ERROR = Quantity(0.7, "mg/L")
# What was known before: means, and their standard deviations in other units.
MEAN = {"ka": Quantity(1.5, "1/h"), "ke": Quantity(2.0, "1/day"), "V": Quantity(0.5, "L/kg")}
SPREAD = {"ka": Quantity(0.02, "1/min"), "ke": Quantity(0.03, "1/h"), "V": Quantity(80.0, "mL/kg")}


def body(t, y, p):
    """The depot and the blood: ordinary code, without a word of units."""
    taken_up = p["ka"] * y["depot"]
    return {"depot": -taken_up, "blood": taken_up / p["V"] - p["ke"] * y["blood"]}


def concentrations(p, times=TIMES):
    """What the blood holds at these times, in mg/L."""
    solution = dfx.diffeqsolve(
        dfx.ODETerm(body),
        dfx.Tsit5(),
        Quantity(0.0, "min"),
        Quantity(25.0, "h"),
        Quantity(5.0, "min"),
        {"depot": DOSE, "blood": Quantity(0.0, "mg/L")},
        p,
        saveat=dfx.SaveAt(ts=times),
        stepsize_controller=dfx.PIDController(rtol=1e-9, atol=1e-9),
        adjoint=dfx.ForwardMode(),  # the residuals are differentiated forwards, by three parameters
    )
    assert solution.ys is not None  # it is None only where nothing was to be saved
    return solution.ys["blood"]


def residuals(p, seen):
    """Deviations from what was seen and from what was known, in standard deviations."""
    return (concentrations(p) - seen) / ERROR, {k: (p[k] - MEAN[k]) / SPREAD[k] for k in MEAN}


def fit(seen):
    """The most probable parameters, and their standard deviations."""
    solver = optx.LevenbergMarquardt(rtol=1e-10, atol=1e-10)
    found = optx.least_squares(residuals, solver, MEAN, seen).value
    jacobian = jax.jit(sciquax.jacfwd(residuals))(found, seen)
    columns = []
    for name, spread in SPREAD.items():  # residuals per standard deviation: numbers
        rows = [jacobian[0][name], *(jacobian[1][k][name] for k in MEAN)]
        columns.append(np.concatenate([np.atleast_1d(np.asarray(x * spread)) for x in rows]))
    matrix = np.stack(columns, axis=1)
    sigma = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix)))
    return found, {name: x * SPREAD[name] for name, x in zip(SPREAD, sigma, strict=True)}


def fit_of_numbers():
    """The same by SciPy: the closed form, on numbers in h, mg/L, L/kg."""
    units = {"ka": "1/h", "ke": "1/h", "V": "L/kg"}
    mean, spread = ({k: float(x[k].m_as(u)) for k, u in units.items()} for x in (MEAN, SPREAD))
    hours, seen, dose = TIMES.m_as("h"), SEEN.m_as("mg/L"), DOSE.m_as("mg/kg")

    def deviations(p):
        ka, ke, v = p
        blood = dose * ka / (v * (ka - ke)) * (np.exp(-ke * hours) - np.exp(-ka * hours))
        known = [(x - m) / s for x, m, s in zip(p, mean.values(), spread.values(), strict=True)]
        return np.concatenate([(blood - seen) / ERROR.m_as("mg/L"), known])

    start = list(mean.values())
    found = least_squares(deviations, start, xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    return {k: Quantity(x, u) for x, (k, u) in zip(found, units.items(), strict=True)}


def draw(found, path):
    """What was seen, what was expected, the fit."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    times = Quantity(jnp.linspace(0.0, 25.0, 300), "h")
    with plot_units():
        figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
        axes.plot(times, concentrations(MEAN, times), "--", label="expected from what was known")
        axes.plot(times, concentrations(found, times), label="fit")
        axes.errorbar(TIMES, SEEN, ERROR, fmt="k.", label="measured")
        axes.set(
            title="A dose of 4 mg/kg by mouth", xlabel="time (h)", ylabel="theophylline (mg/L)"
        )
        axes.legend()
        figure.savefig(path, dpi=180)
        plt.close(figure)


def main(argv=None):
    """Fit, compare, draw. **Returns** the largest relative difference from SciPy's fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("theophylline.png"), help="the picture")
    options = parser.parse_args(argv)

    found, errors = fit(SEEN)
    differences = []
    for name, expected in fit_of_numbers().items():
        differences.append(abs(float(found[name] / expected) - 1))
        value, error = (x[name].to(expected.units) for x in (found, errors))
        print(f"{name}: {value:.4f~P} +- {error:.4f~P}, SciPy {expected:.4f~P}")
    half_life = jnp.log(2) / found["ke"]
    print(f"half of it is gone after {half_life.to('h'):.2f~P}")
    print(f"cleared: {(found['ke'] * found['V']).to('mL/min/kg'):.3f~P}")
    try:
        residuals(MEAN | {"ke": Quantity(8.0, "h")}, SEEN)  # a half-life in place of a rate
    except DimensionalityError as error:
        print(f"\nWith a half-life in place of a rate:\n{error}\n")
    draw(found, options.output)
    print(f"drawn in {options.output}")
    return max(differences)


if __name__ == "__main__":
    main()
