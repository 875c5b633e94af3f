"""Quantities among Python's numbers and sequences, and NumPy's arrays."""

import linecache
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import sciquax.numpy as sqnp
from sciquax.core import aval_of, describe, user_line
from sciquax.core.internal import (
    OfType,
    Tracer,
    asks_for_numbers,
    by_conversion,
    compared_as_static,
    counterpart,
    library_called,
)

from .._unit.errors import DimensionalityError
from .annotations import annotation
from .arithmetic import as_number, multiplicative
from .base import Q, QuantityBase, bare


class NumpyProtocol(QuantityBase):
    """Python's and NumPy's protocols of numbers, sequences and arrays."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """A NumPy array of a dimensionless quantity. **Raises** `DimensionalityError` otherwise.

        An array of objects keeps the unit: its elements are scalar quantities.
        """
        if dtype is not None and np.dtype(dtype).hasobject and not self._unit.unitless:
            elements = np.empty(self.magnitude.shape, object)
            for index in np.ndindex(self.magnitude.shape):
                elements[index] = self[index]
            return elements
        return np.asarray(self._number("np.asarray"), dtype=dtype)

    __array_priority__ = 100

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions on quantities: the JAX function of the same name."""
        function = getattr(sqnp, ufunc.__name__, None)
        if method != "__call__" or kwargs or function is None:
            return NotImplemented
        return function(*inputs)

    @OfType
    def __array_function__(  # pyright: ignore[reportRedeclaration]
        self, function: Callable[..., Any], _: Any, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """NumPy's other functions: JAX's of the same name, and else NumPy's, of numbers alone."""
        like = counterpart(function, sqnp) if asks_for_numbers(function) else None
        return (like or by_conversion(function))(*args, **kwargs)

    def _number(self, op: str) -> Any:
        try:
            return as_number(op, self)
        except DimensionalityError as error:
            error.remedy = _instead(type(self), op)
            raise error.at(user_line()) from None

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def __index__(self) -> int:
        return self._number("an index").__index__()

    def __bool__(self) -> bool:
        if self._unit.offset:
            multiplicative("bool", self._unit)
        return bool(self.magnitude)

    def __hash__(self) -> int:
        """Of a scalar whose number is known: for static fields and arguments, keys and sets.

        By number, dtype and unit. JAX and Equinox take two for one static argument where all three
        are the same; elsewhere 1 km equals 1000 m.
        **Raises** TypeError for arrays, and for numbers that are not known, as under `jax.jit`.
        """
        if (key := _key(self)) is None:
            raise TypeError(
                f"unhashable: {describe(self)}. Only a scalar quantity whose number is known has a "
                "hash; make others leaves, or arguments that are not static."
            )
        return hash(key)

    def __eq__(self, other: Any) -> Any:
        x: Any = self
        if x.shape or not compared_as_static() or (key := _key(x)) is None:
            return x._binary("eq", x, other)
        return isinstance(other, QuantityBase) and key == _key(other)

    def __ne__(self, other: Any) -> Any:
        x: Any = self
        if x.shape or not compared_as_static() or (key := _key(x)) is None:
            return x._binary("ne", x, other)
        return not isinstance(other, QuantityBase) or key != _key(other)

    def __len__(self) -> int:
        if not self.magnitude.shape:
            raise TypeError("len() of a scalar quantity")
        return self.magnitude.shape[0]

    def __iter__(self: Q) -> Iterator[Q]:
        if not self.magnitude.shape:
            raise TypeError("iteration over a scalar quantity")
        return (bare(x, self._unit) for x in self.magnitude)

    def __getitem__(self: Q, index: Any) -> Q:
        return bare(self.magnitude[_plain_index(index)], self._unit)

    def __class_getitem__(cls, unit: Any) -> Any:
        return annotation(unit)

    def item(self: Q, *args: Any) -> Q:
        """One element, as a scalar quantity."""
        return bare(jnp.asarray(self.magnitude.item(*args)), self._unit)

    def block_until_ready(self: Q) -> Q:
        """Wait for the magnitude to be computed, as `jax.Array.block_until_ready`."""
        jax.block_until_ready(self.magnitude)
        return self


def _key(x: QuantityBase) -> Any:
    """Number, dtype and unit of a scalar that is known, and None of anything else."""
    y = x.magnitude
    if isinstance(y, (jax.Array, np.ndarray)) and y.ndim == 0 and not isinstance(y, Tracer):
        number = np.asarray(y)
        return number.tobytes(), number.dtype, aval_of(y).weak_type, x._unit
    return None


_IN_C = {"float": r"\bmath\.(\w+)\(", "np.asarray": r"\bnp\.(as|)array\(\s*[\[(]"}


def _instead(kind: type, op: str) -> str:
    """The remedy where a library asks a quantity for numbers, by the library that asks.

    What is written in C is not on Python's stack: by the user's line.
    """
    line = user_line()
    text = "" if line is None else linecache.getline(line.file, line.line)
    if (called := re.search(_IN_C.get(op, _IN_C["np.asarray"]), text)) is not None:
        function = called[1] if op == "float" else "stack"
        if hasattr(sqnp, function):
            return (
                f"Use `jax.numpy.{function}` under `quaxify`, `sciquax.numpy.{function}` "
                "elsewhere, or `.m_as(unit)` for the magnitude in a unit of your choice."
            )
    library, function = library_called() or ("", "")
    place = next((x for x in (sqnp, sqnp.linalg, sqnp.fft) if hasattr(x, function)), None)
    enabled = kind in getattr(sys.modules.get("matplotlib.units"), "registry", ())
    own = {
        "matplotlib": "matplotlib takes numbers alone here: use"
        if enabled
        else "Call `sciquax.interop.matplotlib.enable()` first, or use",
        "pandas": "Use `sciquax.interop.pandas`, or",
        "xarray": "Use `sciquax.interop.xarray`, or",
        "numpy": f"Use `{place.__name__}.{function}`, or" if place else "Use",
    }
    return f"{own.get(library, 'Use')} `.m_as(unit)` for the magnitude in a unit of your choice."


def _plain_index(index: Any) -> Any:
    """An index with quantities in it, which must be numbers, as such."""
    if isinstance(index, tuple):
        return tuple(map(_plain_index, index))
    return index._number("an index") if isinstance(index, NumpyProtocol) else index
