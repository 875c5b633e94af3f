"""Systems that the Diffrax tests solve: with units, and as the numbers that Diffrax would see."""

import inspect
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.interop import diffrax as dfx
from sciquax.units import Quantity
from tests.environment import PLAIN_KERNELS

Q = Quantity


def bare(tree: Any) -> Any:
    """A tree's magnitudes."""
    return jtu.tree_map(
        lambda x: x.magnitude if isinstance(x, Quantity) else x,
        tree,
        is_leaf=lambda x: isinstance(x, Quantity),
    )


def units_of(tree: Any) -> Any:
    """A tree's units, as text; None for plain arrays."""
    return jtu.tree_map(
        lambda x: str(x._unit) if isinstance(x, Quantity) else None,
        tree,
        is_leaf=lambda x: isinstance(x, Quantity),
    )


def assert_same_numbers(got: Any, expected: Any) -> None:
    """Bit for bit, dtypes included; rounding apart where users have other kernels."""
    got, expected = jtu.tree_leaves(got), jtu.tree_leaves(expected)
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        if PLAIN_KERNELS and jnp.issubdtype(a.dtype, jnp.inexact):
            np.testing.assert_array_max_ulp(a, b, maxulp=64)
        else:
            assert np.array_equal(a, b, equal_nan=True), (a, b)


class Oven:
    """A shaken spring that cools: mixed units in the state, about twenty operations.

    With `units=False` everything is a bare number, what is left of the quantities.
    """

    def __init__(self, units: bool):
        self.library: Any = dfx if units else diffrax
        self.q: Callable[[Any, str], Any] = Quantity if units else lambda x, unit: jnp.asarray(x)
        q = self.q
        self.y0 = {
            "x": q(jnp.array([0.1, 0.2, 0.3]), "km"),
            "v": q(jnp.zeros(3), "m/s"),
            "T": q(300.0, "K"),
        }
        self.args = (q(4.0, "N/m"), q(0.5, "kg"), q(0.3, "kg/s"), q(0.2, "1/s"), q(280.0, "K"))
        self.length, self.speed = q(1.0, "km"), q(100.0, "m/s")
        self.shake, self.frequency = q(50.0, "m/s**2"), q(3.0, "1/s")
        self.units = units

    def rhs(self, t: Any, y: Any, args: Any) -> Any:
        """The vector field. Where units meet, `sciquax` converts; bare numbers are by hand."""
        k, m, c, h, ambient = args
        x, v, temperature = y["x"], y["v"], y["T"]
        spring = k * x if self.units else k * x * 1000.0
        push = self.shake * jnp.cos(self.frequency * t)
        stretch = jnp.sum((x / self.length) ** 2)
        cooling = h * (ambient - temperature) * jnp.exp(-stretch)
        friction = jnp.sum(v * v) / self.speed**2 * h * 0.1 * temperature
        return {
            "x": v if self.units else v / 1000.0,
            "v": push - (c * v + spring) / m,
            "T": cooling + friction,
        }

    def times(self, n: int = 5, end: float = 1.0) -> Any:
        return self.q(jnp.linspace(0.0, end, n), "s")

    def solve(self, solver: Any, y0: Any = None, args: Any = None, **options: Any) -> Any:
        lib, q = self.library, self.q
        options.setdefault("saveat", lib.SaveAt(ts=self.times()))
        options.setdefault("stepsize_controller", lib.PIDController(rtol=1e-4, atol=1e-5))
        return lib.diffeqsolve(
            lib.ODETerm(self.rhs),
            solver,
            q(0.0, "s"),
            q(1.0, "s"),
            options.pop("dt0", q(0.01, "s")),
            self.y0 if y0 is None else y0,
            self.args if args is None else args,
            **options,
        )


def run_and_program(function: Callable, *args: Any) -> tuple[Any, tuple[int, float]]:
    """The result; and the number of instructions of the program, and its floating point operations.

    Of the program as XLA optimised it, compiled once.
    """
    compiled = jax.jit(function).lower(*args).compile()
    cost = compiled.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    instructions = sum(" = " in line for line in compiled.as_text().splitlines())
    return compiled(*args), (instructions, cost["flops"])


def place(function: Callable, text: str | None = None, column: bool | int = True) -> str:
    """`file:line:column (function)` of the line of `function` that holds `text`, or of its start.

    The column is that of the text, or the one given.
    """
    lines, first = inspect.getsourcelines(function)
    where = f"{inspect.getsourcefile(function)}:"
    if text is None:
        return f"  at {where}{first} ({function.__qualname__})"
    ((offset, line),) = [(i, line) for i, line in enumerate(lines) if text in line]
    number = line.index(text) if column is True else column
    at = f":{number}" if number else ""
    return f"  at {where}{first + offset}{at} ({function.__qualname__})"
