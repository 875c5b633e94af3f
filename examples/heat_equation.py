"""The heat equation on a rod, by Crank-Nicolson and by a stiff Diffrax solver, in O(n) per step.

The Laplacian is a `SymmetricTridiagonalMatrix` in 1/m^2. Crank-Nicolson is written with ordinary
`jnp`: `A + jnp.eye(n)`, `A @ u`, `jnp.linalg.solve`. Diffrax's implicit solver gets the tridiagonal
Jacobian of the stencil from three products. Both are compared with the analytic solution, and the
Crank-Nicolson step with a dense one as n grows.

Run: `python examples/heat_equation.py [figure.png]`.
"""

import sys
import time

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from sciquax import quaxify
from sciquax.interop.lineax import BandedJacobianSolver
from sciquax.structured import SymmetricTridiagonalMatrix
from sciquax.units import Quantity

jax.config.update("jax_enable_x64", True)

LENGTH = Quantity(1.0, "m")
DIFFUSIVITY = Quantity(1.0, "cm**2/s")
END = Quantity(20.0, "min")


def laplacian(n):
    """The second difference on n inner points of the rod, its ends at fixed temperature."""
    spacing = LENGTH / (n + 1)
    stencil = SymmetricTridiagonalMatrix(jnp.full(n, -2.0), jnp.ones(n - 1))
    return stencil / spacing**2


def positions(n):
    return jnp.arange(1, n + 1) / (n + 1) * LENGTH


def analytic(x, t):
    """The first and third modes, each decaying at its own rate."""

    def mode(k, amplitude):
        rate = DIFFUSIVITY * (k * jnp.pi / LENGTH) ** 2
        return amplitude * jnp.exp(-rate * t) * jnp.sin(k * jnp.pi * (x / LENGTH))

    return quaxify(lambda: mode(1, Quantity(80.0, "K")) + mode(3, Quantity(20.0, "K")))()


@quaxify
def crank_nicolson(operator, u, step, steps):
    """(1 - dt/2 A) u' = (1 + dt/2 A) u; dt A is a number, and stays tridiagonal."""
    half = step / 2 * operator
    n = u.shape[0]

    def advance(u, _):
        return jnp.linalg.solve(jnp.eye(n) - half, (jnp.eye(n) + half) @ u), None

    return jax.lax.scan(advance, u, length=steps)[0]


def crank_nicolson_solution(n, steps):
    start = analytic(positions(n), Quantity(0.0, "s"))
    return crank_nicolson(DIFFUSIVITY * laplacian(n), start, END.to("s") / steps, steps)


def diffrax_solution(n):
    """Kvaerno's fifth-order implicit method; the Jacobian has three diagonals."""
    rate = (DIFFUSIVITY * laplacian(n)).to("1/s").magnitude
    finder = diffrax.VeryChord(rtol=1e-5, atol=1e-5, linear_solver=BandedJacobianSolver(1, 1))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, u, A: A.matvec(u)),
        diffrax.Kvaerno5(root_finder=finder),
        0.0,
        END.m_as("s"),
        1.0,
        analytic(positions(n), Quantity(0.0, "s")).m_as("K"),
        args=rate,
        stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-4),
    )
    assert solution.ys is not None
    return Quantity(solution.ys[0], "K")


def step_times(sizes):
    """Seconds of one Crank-Nicolson step, tridiagonal and dense."""
    rows = []
    for n in sizes:
        u = jnp.ones(n)
        half = (DIFFUSIVITY * laplacian(n) * Quantity(0.5, "s")).to("").magnitude

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


def main(figure=None, n=200, big=10_000):
    x = positions(n)
    exact = analytic(x, END)
    ours, stiff = crank_nicolson_solution(n, 200), diffrax_solution(n)
    for name, u in (("Crank-Nicolson", ours), ("Diffrax, Kvaerno5", stiff)):
        error = quaxify(lambda u: jnp.max(jnp.abs(u - exact)))(u)
        print(f"{name}, n = {n}: largest error {error.m_as('K'):.1e} K")
    start = time.perf_counter()
    jax.block_until_ready(diffrax_solution(big).magnitude)
    print(f"Diffrax, n = {big}: {time.perf_counter() - start:.1f} s with compilation")
    rows = step_times([100, 1000, 2000, 10_000, 100_000])
    for size, fast, slow in rows:
        print(f"n = {size}: a step takes {fast * 1e3:.3g} ms, dense {slow * 1e3:.3g} ms")
    if figure:
        import matplotlib.pyplot as plt

        _, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
        left.plot(x.m_as("m"), exact.m_as("K"), label="analytic")
        left.plot(x.m_as("m"), ours.m_as("K"), "--", label="Crank-Nicolson")
        left.plot(x.m_as("m"), stiff.m_as("K"), ":", label="Diffrax")
        left.set(xlabel="position (m)", ylabel="temperature (K)", title="after 20 minutes")
        left.legend()
        sizes, fast, slow = zip(*rows, strict=True)
        right.loglog(sizes, fast, "o-", label="tridiagonal")
        right.loglog(sizes, slow, "s-", label="dense")
        right.set(xlabel="n", ylabel="seconds", title="a Crank-Nicolson step")
        right.legend()
        plt.savefig(figure, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main(*sys.argv[1:2])
