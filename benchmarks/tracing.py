"""Trace and lower times, and identity of the optimised programs, for a Diffrax solve."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from sciquax.interop import diffrax as dfx
from sciquax.units import Quantity

from ._timing import Ratio, compare

SOLVERS = ("Tsit5", "Dopri8", "Kvaerno5")


def pendulum_chain(t, y, args):
    """About twenty operations: coupled pendulums with damping, on numbers or quantities."""
    stiffness, damping, mass, length = args
    x, v = y["x"], y["v"]
    left = jnp.roll(x, 1) - x
    right = jnp.roll(x, -1) - x
    spring = stiffness * (left + right)
    gravity = -stiffness * length * jnp.sin(x / length)
    drag = -damping * v
    return {"x": v, "v": (spring + gravity + drag) / mass}


def _solve(module: Any, solver: str, times: tuple) -> Callable:
    t0, t1, dt0 = times

    def solve(y0, args):
        return module.diffeqsolve(
            module.ODETerm(pendulum_chain),
            getattr(module, solver)(),
            t0,
            t1,
            dt0,
            y0,
            args,
            stepsize_controller=module.PIDController(rtol=1e-6, atol=1e-6),
        ).ys

    return solve


def problems(solver: str) -> tuple[tuple[Callable, tuple], tuple[Callable, tuple]]:
    """The same solve on numbers and on quantities: functions and their arguments."""
    x, v = jnp.linspace(0.1, 0.4, 5), jnp.linspace(-0.2, 0.3, 5)
    numbers = ({"x": x, "v": v}, tuple(jnp.asarray(c) for c in (4.0, 0.1, 2.0, 1.5)))
    units = ("N/m", "kg/s", "kg", "m")
    quantities = (
        {"x": Quantity(x, "m"), "v": Quantity(v, "m/s")},
        tuple(Quantity(c, u) for c, u in zip(numbers[1], units, strict=True)),
    )
    seconds = tuple(Quantity(t, "s") for t in (0.0, 2.0, 0.1))
    return (
        (_solve(diffrax, solver, (0.0, 2.0, 0.1)), numbers),
        (_solve(dfx, solver, seconds), quantities),
    )


def lowered(problem: tuple[Callable, tuple]) -> Any:
    """Traced and lowered from nothing: a new function each time, so that no cache answers."""
    solve, args = problem
    return jax.jit(lambda y0, parameters: solve(y0, parameters)).lower(*args)


def program(compiled: Any) -> tuple[int, float, Counter[str]]:
    """Instruction count, flops and opcodes of an optimised program."""
    opcodes = Counter(re.findall(r"= \S+ ([\w-]+)\(", compiled.as_text()))
    analysis = compiled.cost_analysis()
    analysis = analysis[0] if isinstance(analysis, list) else analysis
    return sum(opcodes.values()), analysis["flops"], opcodes


def run() -> list[Ratio]:
    ratios = []
    for solver in SOLVERS:
        plain, ours = problems(solver)
        ratios.append(
            compare(
                f"trace + lower, {solver}",
                lambda plain=plain: lowered(plain),
                lambda ours=ours: lowered(ours),
                rounds=11,
                limit=1.3,
            )
        )
    return ratios


def identity() -> list[str]:
    """For each solver, a row that compares the optimised programs."""
    rows = []
    for solver in SOLVERS:
        plain, ours = (program(lowered(p).compile()) for p in problems(solver))
        same = "identical" if plain == ours else "DIFFERENT"
        rows.append(f"| {solver} | {plain[0]} | {ours[0]} | {plain[1]:g} | {ours[1]:g} | {same} |")
    return rows
