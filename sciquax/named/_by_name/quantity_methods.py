"""Quantity methods (`to`, `magnitude`, ...) forwarded to the array inside."""

import sys
from typing import Any, TypeVar

import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import adapter, library_called

from .._array.base import NamedBase, bare
from .._array.errors import PositionalError
from .contractions import dot
from .elementwise import clip


def _inner(a: Any, op: str) -> Any:
    inner = a.array
    if not is_value(inner) or not hasattr(inner, op):
        raise PositionalError(
            f"`.{op}` needs a quantity inside, and this holds a plain array.",
            "Make one with `NamedArray(Quantity(x, 'm/s'), dims)`.",
        ).at(user_line())
    return inner


P = TypeVar("P", bound="PassingThrough")


class PassingThrough(NamedBase):
    """Methods of [`sciquax.named.NamedArray`][] that the array inside answers."""

    def to(self: P, unit: Any) -> P:
        """Convert to another unit. **Raises** `DimensionalityError` if dimensions differ."""
        unit = unit.array if type(unit) is type(self) else unit
        return bare(_inner(self, "to").to(unit), self._axes)

    def to_base_units(self: P) -> P:
        """Convert to the registry's base units."""
        return bare(_inner(self, "to_base_units").to_base_units(), self._axes)

    def to_compact(self: P, unit: Any = None) -> P:
        """Convert to the prefix that makes the largest magnitude readable."""
        return bare(_inner(self, "to_compact").to_compact(unit), self._axes)

    def m_as(self: P, unit: Any) -> P:
        """The numbers in another unit, with their names."""
        return bare(_inner(self, "m_as").m_as(unit), self._axes)

    @property
    def magnitude(self: P) -> P:
        """The numbers without their unit, with their names."""
        return bare(_inner(self, "magnitude").magnitude, self._axes)

    m = magnitude

    @property
    def units(self) -> Any:
        """The unit of the quantity inside."""
        return _inner(self, "units").units

    u = units

    @property
    def dimensionality(self) -> Any:
        """The dimensionality of the quantity inside."""
        return _inner(self, "dimensionality").dimensionality

    def is_compatible_with(self, other: Any) -> bool:
        """Whether the quantity inside can be converted to `other`."""
        other = other.array if type(other) is type(self) else other
        return _inner(self, "is_compatible_with").is_compatible_with(other)

    @property
    def real(self: P) -> P:
        return bare(self.array.real, self._axes.plain)

    @property
    def imag(self: P) -> P:
        return bare(self.array.imag, self._axes.plain)

    def conj(self: P) -> P:
        """The complex conjugate."""
        return bare(self.array.conj(), self._axes.plain)

    def round(self: P, decimals: int = 0) -> P:
        """Round to a number of decimals."""
        return bare(self.array.round(decimals), self._axes.plain)

    def clip(self: P, min: Any = None, max: Any = None) -> P:
        """Clip to two bounds, which align by name."""
        return clip(self, min, max)

    def dot(self: P, other: Any, names: Any) -> P:
        """The sum of products over a name or several: see [`sciquax.named.dot`][]."""
        return dot(self, other, names)

    def to_xarray(self) -> Any:
        """An `xarray.DataArray`, its unit in `attrs["units"]` as pint-xarray has it."""
        return adapter("xarray").to_xarray(self)

    def to_numpy(self) -> Any:
        """NumPy's array, its axes in the order of `dims`: of numbers, as matplotlib asks for.

        Matplotlib gets a quantity while `sciquax.interop.matplotlib` is enabled, which labels axes
        with its unit and converts to theirs.
        """
        enabled = type(self.array) in getattr(sys.modules.get("matplotlib.units"), "registry", ())
        if enabled and is_value(self.array) and (library_called() or ("",))[0] == "matplotlib":
            return self.array
        return np.asarray(self)

    def to_dataframe(self, name: str | None = None) -> Any:
        """A `pandas.DataFrame` with a row for each place, whose index are the coordinates."""
        made = adapter("xarray").to_xarray(self)
        return made.to_dataframe(name or made.name or "value")

    def plot(self, *args: Any, **kwargs: Any) -> Any:
        """Draw by matplotlib through xarray; axes are labelled with names and units."""
        return adapter("xarray").to_xarray(self).plot(*args, **kwargs)
