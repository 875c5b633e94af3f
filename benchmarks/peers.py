"""The same quantities in other libraries of units, un-jitted: those that are installed.

pint and Astropy come with the `test` extra and hold NumPy's arrays, as their users' do; unxt and
saiunit hold JAX's and are timed where `pip install unxt saiunit` has been done. The columns are the
peer's time and ours.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax import quaxify
from sciquax.units import Quantity

from ._timing import Ratio, compare

X, Y = np.arange(1.0, 4.0, dtype=np.float32), np.arange(2.0, 5.0, dtype=np.float32)
COUNT = 20  # arguments of the jitted function


def _pint() -> Callable[[Any, str], Any]:
    import pint

    return pint.UnitRegistry().Quantity


def _astropy() -> Callable[[Any, str], Any]:
    import astropy.units

    return lambda x, unit: np.asarray(x) * astropy.units.Unit(unit)


def _unxt() -> Callable[[Any, str], Any]:
    unxt: Any = importlib.import_module("unxt")
    return lambda x, unit: unxt.Quantity(jnp.asarray(x), unit)


def _saiunit() -> Callable[[Any, str], Any]:
    saiunit: Any = importlib.import_module("saiunit")
    return lambda x, unit: jnp.asarray(x) * getattr(saiunit, {"m": "meter", "cm": "cmeter"}[unit])


PEERS = {"pint": _pint, "astropy": _astropy, "unxt": _unxt, "saiunit": _saiunit}
ON_JAX = ("unxt", "saiunit")


def _operators(name: str, make: Callable[[Any, str], Any]) -> list[Ratio]:
    p, q, r = make(X, "m"), make(Y, "m"), make(Y, "cm")
    a, b, c = (Quantity(jnp.asarray(x), u) for x, u in ((X, "m"), (Y, "m"), (Y, "cm")))
    return [
        compare(f"quantity + quantity, {name}", lambda: p + q, lambda: a + b, number=100),
        compare(f"metres + centimetres, {name}", lambda: p + r, lambda: a + c, number=100),
        compare(f"quantity * quantity, {name}", lambda: p * q, lambda: a * b, number=100),
    ]


def _jitted(name: str, make: Callable[[Any, str], Any]) -> Ratio:
    def total(*args: Any) -> Any:
        return sum(args[1:], args[0])

    theirs, own = ([of(X + i, "m") for i in range(COUNT)] for of in (make, Quantity))
    peer, ours = jax.jit(total), jax.jit(quaxify(total))
    return compare(
        f"jitted call, {COUNT} arguments, {name}",
        lambda: peer(*theirs),
        lambda: ours(*own),
        number=100,
    )


def run() -> list[Ratio]:
    ratios = []
    for name, maker in PEERS.items():
        if importlib.util.find_spec(name) is None:
            continue
        ratios += _operators(name, maker())
        if name in ON_JAX:
            ratios.append(_jitted(name, maker()))
    return ratios
