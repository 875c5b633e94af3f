"""A spring constant, recovered in N/m from noisy metres by gradients through the solver.

A mass of 250 g hangs on a damped spring; its position is seen forty times in three seconds, with an
error of 2 mm. The sum of squared deviations is in m**2, so that its gradient with respect to a
spring constant in N/m is in m**2/(N/m), and with respect to a friction in g/s in m**2/(g/s). A step
against that gradient is no spring constant: the learning rate of gradient descent has a unit, a
different one for every parameter. Gauss and Newton's step has the right one by itself,

    dp = -(J^T J)^-1 J^T r,

since the residuals' Jacobian J is in m/(N/m) and m/(g/s).

The gradient is checked against finite differences, and the constants found against the true ones,
in standard errors, which are in N/m and g/s too:

    python examples/spring_fit.py [--output spring_fit.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import sciquax
import sciquax.numpy as snp
from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity

jax.config.update("jax_enable_x64", True)

MASS = Quantity(250.0, "g")
TRUE = {"k": Quantity(8.0, "N/m"), "c": Quantity(150.0, "g/s")}
GUESS = {"k": Quantity(7.0, "N/m"), "c": Quantity(80.0, "g/s")}
NOISE = Quantity(2.0, "mm")
TIMES = Quantity(jnp.linspace(0.0, 3.0, 41)[1:], "s")


def oscillate(t, y, p):
    """A damped spring: ordinary code, without a word of units."""
    return {"x": y["v"], "v": -(p["k"] * y["x"] + p["c"] * y["v"]) / MASS}


def positions(p):
    """Where the mass is at `TIMES`."""
    solution = dfx.diffeqsolve(
        dfx.ODETerm(oscillate),
        dfx.Tsit5(),
        Quantity(0.0, "s"),
        TIMES[-1],
        Quantity(20.0, "ms"),
        {"x": Quantity(10.0, "cm"), "v": Quantity(0.0, "m/s")},
        p,
        saveat=dfx.SaveAt(ts=TIMES),
    )
    assert solution.ys is not None  # it is None only where nothing was to be saved
    return solution.ys["x"]


def observations(seed=0):
    """What is seen, in m."""
    noise = np.random.default_rng(seed).normal(size=TIMES.shape)
    return (positions(TRUE) + NOISE * jnp.asarray(noise)).to("m")


def loss(p, seen):
    """The sum of squared deviations, in m**2."""
    return snp.sum((positions(p) - seen) ** 2)


def gauss_newton(p, seen, steps=8):
    """The parameters that fit best, and their standard errors, in the parameters' units.

    A parameter is scaled by its guess, so that one matrix holds all: numbers over mm.
    """
    names, scales = list(p), dict(p)
    jacobian = jax.jit(sciquax.jacrev(lambda p: positions(p)))
    errors: dict = {}
    for _ in range(steps):
        j = jacobian(p)
        matrix = np.stack([np.asarray(j[x] * scales[x] / NOISE) for x in names], axis=1)
        residual = np.asarray((positions(p) - seen) / NOISE)
        step, *_ = np.linalg.lstsq(matrix, -residual)
        p = {name: p[name] + s * scales[name] for name, s in zip(names, step, strict=True)}
        sigma = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix)))
        errors = {name: s * scales[name] for name, s in zip(names, sigma, strict=True)}
    return p, errors


def finite_difference(name, seen, step=1e-6):
    """The gradient's entry by central differences of the loss."""
    small = step * GUESS[name]
    high, low = (loss(GUESS | {name: GUESS[name] + sign * small}, seen) for sign in (1, -1))
    return (high - low) / (2 * small)


def draw(seen, found, path):
    """What was seen, the first guess, the fit."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    seconds = TIMES.m_as("s")
    axes.plot(seconds, seen.m_as("cm"), "k.", label="seen")
    axes.plot(seconds, positions(GUESS).m_as("cm"), "--", label=f"guess, {GUESS['k']:.3g~P}")
    axes.plot(seconds, positions(found).m_as("cm"), label=f"fit, {found['k']:.4g~P}")
    axes.set(xlabel="time (s)", ylabel="position (cm)", title="A spring constant from positions")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv=None):
    """Fit, compare, draw. **Returns** the largest deviation in standard errors."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("spring_fit.png"), help="the picture")
    options = parser.parse_args(argv)

    seen = observations()
    gradient = sciquax.grad(loss)(GUESS, seen)
    for name, due in (("k", "m**2/(N/m)"), ("c", "m**2/(g/s)")):
        assert gradient[name].is_compatible_with(due)
        expected = finite_difference(name, seen)
        ratio = float(gradient[name] / expected)
        print(f"gradient in {name}: {gradient[name].to(due):.6g~P}; over differences {ratio:.7f}")
        assert abs(ratio - 1) < 1e-5
    try:
        _ = GUESS["k"] - 0.1 * gradient["k"]
    except DimensionalityError as error:
        print(f"\nA step of plain gradient descent:\n{error}\n")

    found, errors = gauss_newton(GUESS, seen)
    deviations = []
    for name, true in TRUE.items():
        deviations.append(float(abs((found[name] - true) / errors[name])))
        error = errors[name].to(true.units)
        print(f"{name}: {found[name].to(true.units):.4f~P} +- {error:.4f~P}, true {true:.0f~P}")
    draw(seen, found, options.output)
    print(f"\ndrawn in {options.output}")
    return max(deviations)


if __name__ == "__main__":
    main()
