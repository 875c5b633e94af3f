"""Named arrays against plain JAX: eager operators, tracing, and identity of the programs."""

import re
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp

from sciquax import named
from sciquax.named import NamedArray
from sciquax.units import Quantity

from ._timing import Ratio, compare


def by_name(x: NamedArray, w: NamedArray) -> tuple[NamedArray, NamedArray]:
    """Anomaly, covariance, weighted mean."""
    anomaly = x - x.mean("time")
    covariance = named.einsum("time space, time space:other -> space other", anomaly, anomaly)
    mean = (anomaly * w).sum("space") / w.sum("space")
    return covariance / (x.sizes["time"] - 1), mean


def by_position(x: Any, w: Any) -> tuple[Any, Any]:
    """The same on plain arrays."""
    anomaly = x - x.mean(0)[None]
    covariance = jnp.einsum("ts,to->so", anomaly, anomaly)
    mean = (anomaly * w[None]).sum(1) / w.sum(0)
    return covariance / (x.shape[0] - 1), mean


def problems() -> dict[str, tuple[Any, tuple]]:
    x, w = jnp.ones((100, 64)), jnp.linspace(0.1, 1.0, 64)
    return {
        "plain": (by_position, (x, w)),
        "named": (by_name, (NamedArray(x, ("time", "space")), NamedArray(w, ("space",)))),
        "named quantities": (
            by_name,
            (NamedArray(Quantity(x, "K"), ("time", "space")), NamedArray(w, ("space",))),
        ),
    }


def lowered(problem: tuple[Any, tuple]) -> Any:
    """Traced and lowered from nothing: a new function each time, so that no cache answers."""
    function, args = problem
    return jax.jit(lambda *xs: function(*xs)).lower(*args)


def opcodes(problem: tuple[Any, tuple]) -> Counter[str]:
    """The opcodes of the optimised program."""
    return Counter(re.findall(r"= \S+ ([\w-]+)\(", lowered(problem).compile().as_text()))


def run() -> list[Ratio]:
    x, y = jnp.arange(6.0).reshape(2, 3), jnp.arange(6.0).reshape(2, 3) * 2.0
    row = jnp.arange(3.0)
    a, b = NamedArray(x, ("x", "y")), NamedArray(y, ("x", "y"))
    c, r = NamedArray(y.T, ("y", "x")), NamedArray(row, ("y",))
    p, q = (NamedArray(Quantity(z, "m"), ("x", "y")) for z in (x, y))
    found = problems()
    return [
        compare("named + named", lambda: x + y, lambda: a + b, number=300, limit=3),
        compare("named + transposed", lambda: x + y, lambda: a + c, number=300, limit=3),
        compare("named + row", lambda: x + row, lambda: a + r, number=300, limit=3),
        compare("named quantities +", lambda: x + y, lambda: p + q, number=300, limit=3),
        compare("named sum", lambda: x.sum(0), lambda: a.sum("x"), number=100),
        compare(
            "trace + lower, anomaly, named",
            lambda: lowered(found["plain"]),
            lambda: lowered(found["named"]),
            rounds=15,
            limit=1.3,
        ),
        compare(
            "trace + lower, anomaly, named quantities",
            lambda: lowered(found["plain"]),
            lambda: lowered(found["named quantities"]),
            rounds=15,
            limit=1.3,
        ),
    ]


def identity() -> list[str]:
    """For each kind of array, a row that compares the optimised program with plain JAX's."""
    found = problems()
    plain = opcodes(found.pop("plain"))
    return [
        f"| anomaly, {name} | {sum(plain.values())} | {sum(own.values())} | | | "
        f"{'identical' if own == plain else 'DIFFERENT'} |"
        for name, own in ((name, opcodes(problem)) for name, problem in found.items())
    ]
