"""Functions of other people's packages: to trace, and un-jitted, against the same on numbers."""

import contextlib
import importlib
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sciquax import quaxify
from sciquax.units import Quantity, trust_literals
from tests.real import bodies, fields
from tests.real.calls import CALLS, Call, Package

from ._timing import Ratio, compare

MODULES = bodies, fields  # which fill the table of calls
EVERY = 3


def _import_packages() -> None:
    """Put the packages in the place of what imports them at their first use."""
    for module in MODULES:
        for name, x in list(vars(module).items()):
            if isinstance(x, Package) and x.installed():
                setattr(module, name, importlib.import_module(x.name))


def _traced(function: Callable, args: list[Any]) -> Callable[[], Any]:
    """Trace from nothing: a new function each time, so that JAX finds none that it has traced."""
    return lambda: jax.jit(lambda *args: function(*args)).trace(*args)


def _of(call: Call) -> list[Ratio]:
    numbers = [jnp.asarray(x, float) for x, _ in call.arguments]
    pairs = zip(numbers, call.arguments, strict=True)
    given = [Quantity(x, g.unit) if g.unit else x for x, g in pairs]
    f = call.function
    with trust_literals() if call.trust else contextlib.nullcontext():
        return [
            compare(
                f"trace, {call.id}",
                _traced(f, numbers),
                _traced(quaxify(f), given),
                rounds=5,
                limit=3,
            ),
            compare(
                f"un-jitted, {call.id}",
                lambda: f(*numbers),
                lambda: quaxify(f)(*given),
                rounds=5,
                limit=10,
            ),
        ]


def run() -> list[Ratio]:
    """Both ratios of every third call of the packages that are installed, and their medians."""
    _import_packages()
    found = [_of(call) for call in CALLS[::EVERY] if call.package.installed()]
    medians = [
        Ratio(f"median {what}", *map(statistics.median, zip(*rows, strict=True)), limit=limit)
        for what, limit, rows in (
            ("trace", 1.6, [pair[0][1:6] for pair in found]),
            ("un-jitted", 3, [pair[1][1:6] for pair in found]),
        )
        if rows
    ]
    return [*medians, *(ratio for pair in found for ratio in pair)]
