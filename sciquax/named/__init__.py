"""Named axes: `NamedArray`, operations that align by name, and names through positional code."""

import importlib as _importlib
from typing import Any as _Any

from sciquax.core.internal import adapter as _adapter

from . import fft as fft, linalg as linalg, nn as nn, random as random
from ._analysis.along import AlongCoordinates as _Along
from ._analysis.coarsening import Coarsen as Coarsen
from ._analysis.dates import Dates as Dates
from ._analysis.groupby import GroupBy as GroupBy, Resample as Resample
from ._analysis.missing import Missing as _Missing
from ._analysis.relabelling import Relabelling as _Relabelling
from ._analysis.rolling import Rolling as Rolling
from ._analysis.statistics import (
    corr as corr,
    cov as cov,
    histogram as histogram,
    polyfit as polyfit,
    polyval as polyval,
)
from ._analysis.weighting import Weighted as Weighted
from ._array.axes import Axis as Axis
from ._array.base import as_named as _as_named
from ._array.errors import (
    AxisError as AxisError,
    AxisIndexError as AxisIndexError,
    AxisSizeError as AxisSizeError,
    CoordinateError as CoordinateError,
    PositionalError as PositionalError,
)
from ._by_name import elementwise as _functions
from ._by_name.concatenation import (
    concatenate as concatenate,
    split as split,
    stack as stack,
    unstack as unstack,
)
from ._by_name.contractions import dot as dot, einsum as einsum
from ._by_name.elementwise import allclose as allclose, clip as clip, where as where
from ._by_name.expanding import Expanding as _Expanding
from ._by_name.moving import Moving as _Moving
from ._by_name.reductions import Reductions as _Reductions
from ._by_name.shapes import Shapes as _Shapes, distinct as distinct
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
from ._jit import jit as jit
from ._mapping import cmap as cmap, fold as fold, map as map, named_vmap as named_vmap, scan as scan
from ._named_array import NamedArray as NamedArray
from ._sharding import partition_spec as partition_spec, shard as shard
from ._signal import convolve as convolve, welch as welch

from . import _positional as _positional  # isort: skip  # enrols the rules
from ._array import in_files as in_files  # isort: skip

globals().update({name: getattr(_functions, name) for name in _functions.ELEMENTWISE})


def _as_function(name: str) -> _Any:
    method = getattr(NamedArray, name)

    def function(a: _Any, *args: _Any, **kwargs: _Any) -> _Any:
        return getattr(_as_named(a, name), name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = method.__doc__
    return function


# `named.mean(a, "x")` is `a.mean("x")`, as for `jnp` and arrays.
for _kind in (_Reductions, _Shapes, _Expanding, _Moving, _Along, _Missing, _Relabelling):
    for _name in (*vars(_kind), "isel", "sel", "head", "tail", "thin"):
        if not _name.startswith("_") and _name not in ("T", "dt") and _name not in globals():
            globals()[_name] = _as_function(_name)


def to_xarray(a: NamedArray) -> _Any:
    """An `xarray.DataArray` with the dims, coordinates, attributes and unit of `a`."""
    return _as_named(a, "to_xarray").to_xarray()


def from_xarray(data: _Any, **options: _Any) -> _Any:
    """The named array that an `xarray.DataArray` is: see `sciquax.interop.xarray`."""
    return _adapter("xarray").from_xarray(data, **options)


def __getattr__(name: str) -> _Any:
    if name == "strategies":  # needs Hypothesis
        return _importlib.import_module(f"{__name__}.strategies")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
