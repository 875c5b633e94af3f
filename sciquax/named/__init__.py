"""Named axes: `NamedArray`, operations that align by name, and names through positional code."""

from typing import Any

from sciquax.core._adapters import adapter

from . import _functions, fft as fft, linalg as linalg, random as random
from ._array import NamedArray as NamedArray
from ._axes import Axis as Axis
from ._base import as_named
from ._combine import (
    concatenate as concatenate,
    split as split,
    stack as stack,
    unstack as unstack,
)
from ._contraction import dot as dot, einsum as einsum
from ._creation import (
    arange as arange,
    empty as empty,
    eye as eye,
    full as full,
    full_like as full_like,
    linspace as linspace,
    ones as ones,
    ones_like as ones_like,
    zeros as zeros,
    zeros_like as zeros_like,
)
from ._errors import (
    AxisError as AxisError,
    AxisSizeError as AxisSizeError,
    CoordinateError as CoordinateError,
    PlaceError as PlaceError,
    PositionalError as PositionalError,
)
from ._functions import ELEMENTWISE, allclose as allclose, clip as clip, where as where
from ._lifting import (
    cmap as cmap,
    fold as fold,
    map as map,
    named_vmap as named_vmap,
    scan as scan,
)
from ._reductions import Reductions
from ._shapes import Shapes
from ._sharding import partition_spec as partition_spec, shard as shard
from ._windows import Rolling as Rolling

from . import _rules as _rules, _function_rules as _function_rules  # isort: skip  # enrol the rules

globals().update({name: getattr(_functions, name) for name in ELEMENTWISE})


def _as_function(name: str) -> Any:
    method = getattr(NamedArray, name)

    def function(a: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(as_named(a, name), name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = method.__doc__
    return function


# `named.mean(a, "x")` is `a.mean("x")`, as for `jnp` and arrays.
for _name in (*vars(Reductions), *vars(Shapes), "isel", "sel", "interp"):
    if not _name.startswith("_") and _name != "T" and _name not in globals():
        globals()[_name] = _as_function(_name)


def to_xarray(a: NamedArray) -> Any:
    """An `xarray.DataArray` with the dims, coordinates, attributes and unit of `a`."""
    return a.to_xarray()


def from_xarray(data: Any, **options: Any) -> Any:
    """The named array that an `xarray.DataArray` is: see `sciquax.interop.xarray`."""
    return adapter("xarray").from_xarray(data, **options)


def __getattr__(name: str) -> Any:
    if name == "strategies":  # needs Hypothesis
        import importlib

        return importlib.import_module(f"{__name__}.strategies")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
