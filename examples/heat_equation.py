"""The heat equation on a rod, by Crank-Nicolson and by a stiff Diffrax solver, in O(n) per step.

The operator is a tridiagonal matrix in 1/s, named: it takes a function of "position" to one of
"row". Crank-Nicolson is written with ordinary `jnp`: `jnp.eye(n) + A`, `A @ u`, `jnp.linalg.solve`.
Diffrax's implicit solver gets the tridiagonal Jacobian of the vector field from three products.
Both are compared with the analytic solution, and a Crank-Nicolson step with a dense one as n grows.

    python examples/heat_equation.py [--output heat_equation.png]
"""

import argparse
import time
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import sciquax.numpy as sqnp
from sciquax import quaxify
from sciquax.interop import diffrax as dfx
from sciquax.interop.lineax._structured import BandedJacobianSolver
from sciquax.named import NamedArray
from sciquax.structured import SymmetricTridiagonalMatrix
from sciquax.units import Quantity

LENGTH = Quantity(1.0, "m")
DIFFUSIVITY = Quantity(1.0, "cm**2/s")
END = Quantity(20.0, "min")


def heat_operator(n):
    """The diffusivity times the second difference on n inner points, both ends kept at 0 K."""
    spacing = LENGTH / (n + 1)
    stencil = SymmetricTridiagonalMatrix(jnp.full(n, -2.0), jnp.ones(n - 1))
    return NamedArray((DIFFUSIVITY / spacing**2).to("1/s") * stencil, ("row", "position"))


def positions(n):
    return NamedArray(jnp.arange(1, n + 1) / (n + 1) * LENGTH, ("position",))


def analytic(x, t):
    """The first and third modes, each decaying at its own rate."""

    def mode(k, amplitude):
        rate = DIFFUSIVITY * (k * jnp.pi / LENGTH) ** 2
        return amplitude * sqnp.exp(-rate * t) * sqnp.sin(k * jnp.pi * (x / LENGTH))

    return mode(1, Quantity(80.0, "K")) + mode(3, Quantity(20.0, "K"))


@quaxify
def crank_nicolson(A, u, step, steps):
    """(1 - dt/2 A) u' = (1 + dt/2 A) u; dt A is a number, and stays tridiagonal."""
    half = step / 2 * A
    n = u.shape[0]

    def advance(u, _):
        return jnp.linalg.solve(jnp.eye(n) - half, (jnp.eye(n) + half) @ u), None

    return jax.lax.scan(advance, u, length=steps)[0]


def crank_nicolson_solution(n, steps):
    start = analytic(positions(n), Quantity(0.0, "s"))
    return crank_nicolson(heat_operator(n), start, END.to("s") / steps, steps)


def diffrax_solution(n):
    """Kvaerno's fifth-order implicit method; the Jacobian has three diagonals."""

    def vector_field(t, u, A):
        return A.dot(NamedArray(u, ("position",)), "position").array

    finder = diffrax.VeryChord(rtol=1e-5, atol=1e-5, linear_solver=BandedJacobianSolver(1, 1))
    solution = dfx.diffeqsolve(
        dfx.ODETerm(vector_field),
        dfx.Kvaerno5(root_finder=finder),
        Quantity(0.0, "s"),
        END,
        Quantity(1.0, "s"),
        analytic(positions(n), Quantity(0.0, "s")).array,
        args=heat_operator(n),
        stepsize_controller=dfx.PIDController(rtol=1e-4, atol=1e-4),
    )
    assert solution.ys is not None
    return NamedArray(solution.ys[0], ("position",))


def step_times(sizes):
    """Seconds of one Crank-Nicolson step, tridiagonal and dense."""
    rows = []
    for n in sizes:
        u = jnp.ones(n)
        half = Quantity(0.5, "s") * heat_operator(n).array  # a number: seconds times 1/s

        def step(half, u, n=n):
            return jnp.linalg.solve(jnp.eye(n) - half, (jnp.eye(n) + half) @ u)

        structured = jax.jit(quaxify(step))
        times = [_seconds(structured, half, u)]
        times.append(_seconds(jax.jit(step), half.materialise(), u) if n <= 2000 else np.nan)
        rows.append((n, *times))
    return rows


def _seconds(function, *args, repeats=5):
    jax.block_until_ready(function(*args))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*args))
        times.append(time.perf_counter() - start)
    return min(times)


def main(output=None, n=200, big=10_000, sizes=(100, 1000, 2000, 10_000, 100_000)):
    x = positions(n)
    exact = analytic(x, END)
    ours, stiff = crank_nicolson_solution(n, 200), diffrax_solution(n)
    errors = []
    for name, u in (("Crank-Nicolson", ours), ("Diffrax, Kvaerno5", stiff)):
        largest: Any = quaxify(lambda u: jnp.max(jnp.abs(u - exact)))(u)
        errors.append(largest.array.m_as("K"))
        print(f"{name}, n = {n}: largest error {errors[-1]:.1e} K")
    if big:
        start = time.perf_counter()
        jax.block_until_ready(diffrax_solution(big))
        print(f"Diffrax, n = {big}: {time.perf_counter() - start:.1f} s with compilation")
    rows = step_times(sizes)
    for size, fast, slow in rows:
        dense = "was not tried" if np.isnan(slow) else f"{slow * 1e3:.3g} ms"
        print(f"n = {size}: a step takes {fast * 1e3:.3g} ms, dense {dense}")
    if output is not None:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        left.plot(x.array.m_as("m"), exact.array.m_as("K"), label="analytic")
        left.plot(x.array.m_as("m"), ours.array.m_as("K"), "--", label="Crank-Nicolson")
        left.plot(x.array.m_as("m"), stiff.array.m_as("K"), ":", label="Diffrax")
        left.set(xlabel="position (m)", ylabel="temperature (K)", title="after 20 minutes")
        left.legend()
        sizes, fast, slow = zip(*rows, strict=True)
        right.loglog(sizes, fast, "o-", label="tridiagonal")
        right.loglog(sizes, slow, "s-", label="dense")
        right.set(xlabel="n", ylabel="seconds", title="a Crank-Nicolson step")
        right.legend()
        figure.savefig(output, dpi=120)
    return errors, stiff


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path)
    main(parser.parse_args().output)
