"""What scripts, notebooks and printed trees show of every value.

`python -m tests.interop.displays` writes `displays.txt`.
"""

import functools
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciquax.lora import DoraArray
from sciquax.named import NamedArray
from sciquax.units import Quantity
from sciquax.zero import Zero

from ..structured import nesting_table
from .stored_values import values

PAGE = Path(__file__).with_name("displays.txt")


def in_quarters(x: Any) -> Any:
    """Random numbers to their nearest quarters, which look the same on every machine."""
    random = isinstance(x, jax.Array) and x.dtype == jnp.float32 and x.size
    return jnp.round(4 * x) / 4 if random else x


@functools.cache
def dora() -> DoraArray:
    return DoraArray(nesting_table.NESTED["LoraArray(QuantisedArray)"](1))


@functools.cache
def shown() -> dict[str, Any]:
    """What is shown, by name: stored values with random numbers in quarters, and more."""
    large = jnp.zeros((2000, 3000))
    return {name: jax.tree.map(in_quarters, x) for name, x in values().items()} | {
        "number": Quantity(1.5, "m/s**2"),
        "micro": Quantity(jnp.array([0.0, 1e-8]), "µm"),
        "not finite": Quantity(jnp.array([[1 - 2j, jnp.nan], [jnp.inf, 3e20]]), "Ω"),
        "three axes": Quantity(jnp.zeros((1, 2, 2)), "m"),
        "large": Quantity(large, "K"),
        "large named": NamedArray(Quantity(large, "K"), ("t", "x"), {"t": np.arange(2000) + 0.5}),
        "no axes": NamedArray(jnp.float32(2.0), ()),
        "no elements": NamedArray(Quantity(jnp.zeros((0, 3)), "m"), ("x", None)),
        "NamedArray(Quantity(DoraArray))": NamedArray(Quantity(dora(), "m"), ("i", "j")),
        "zeros": Zero((), bool),
        "no zeros": Zero((2, 0), complex),
    }


def section(name: str, value: Any) -> str:
    """The texts of one value, those left out that are the representation again."""
    texts = {"repr": repr(value), "str": str(value), "tree": eqx.tree_pformat(value, width=200)}
    texts["html"] = value._repr_html_()
    if hasattr(value, "_repr_latex_"):
        texts["latex"] = value._repr_latex_() or "none"
    shown = [f"{k}: {v}" for k, v in texts.items() if k == "repr" or v != texts["repr"]]
    return "\n".join([f"## {name}", *shown])


def page() -> str:
    """The text of `displays.txt`."""
    return "\n\n".join(section(*item) for item in shown().items()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
