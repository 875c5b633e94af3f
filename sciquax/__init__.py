"""JAX programs on array-ish objects they were never written for, by multiple dispatch.

[`quaxify`][sciquax.quaxify] wraps an existing JAX function; quantities with units, and other
values, then flow through it. `sciquax.units`, `sciquax.named`, `sciquax.structured`,
`sciquax.sparse`, `sciquax.lora`, `sciquax.quantised` and `sciquax.zero` hold the values,
`sciquax.numpy` and its siblings the JAX namespaces already wrapped, `sciquax.interop` what adapts
other libraries.
"""

import importlib.metadata as _metadata
import typing as _typing
from importlib import import_module as _import_module

from .core import (
    ArrayValue as ArrayValue,
    Checked as Checked,
    Value as Value,
    explain_rules as explain_rules,
    grad as grad,
    hessian as hessian,
    jacfwd as jacfwd,
    jacrev as jacrev,
    jvp as jvp,
    linearize as linearize,
    log_materialisations as log_materialisations,
    quaxify as quaxify,
    register as register,
    register_rule as register_rule,
    show as show,
    value_and_grad as value_and_grad,
    vjp as vjp,
)
from .versions import show_versions as show_versions

if _typing.TYPE_CHECKING:
    from .named import NamedArray as NamedArray
    from .units import Quantity as Quantity

# Loaded on first use: pint's registry and the extras cost more to import than all of the core.
_LAZY = (
    "core", "interop", "lax", "lora", "named", "nn", "numpy", "ops", "quantised", "random", "scipy",
    "sparse", "structured", "testing", "units", "zero",
)  # fmt: skip
_FROM = {"NamedArray": "named", "Quantity": "units"}
_OFFERED = {x for x in globals() if x[0] != "_" and x != "versions"}


def __getattr__(name: str) -> _typing.Any:
    if name in _FROM:
        return getattr(_import_module(f".{_FROM[name]}", __name__), name)
    if name in _LAZY:
        return _import_module(f".{name}", __name__)
    if name == "__version__":
        return _metadata.version("sciquax")
    raise AttributeError(f"module 'sciquax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_OFFERED, *_LAZY, *_FROM, "__version__"})
