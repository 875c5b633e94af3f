"""Indexing by name: places (`isel`), values of coordinates (`sel`), writing.

A place along `x` is a static integer or slice, a list of places, whose axis keeps the name, or a
named array of places, whose names the result has in place of `x`; a name that the array has too is
walked along with. Index arrays are never matched by size.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from sciquax.core import user_line

from .._array.base import NamedBase
from .._array.errors import AxisError, PositionalError, show_dims
from .._labels.lookup import is_mask, locate
from .places import isel
from .shapes import _pairs
from .updating import update

X = TypeVar("X", bound="Indexing")


def _each(a: Any, op: str, given: Any, more: dict[str, Any], default: int | None) -> dict:
    """A number for each name; one for all, or the default, if no name is given."""
    if isinstance(given, Mapping) or more:
        return _pairs(op, given, more)
    number = default if given is None else given
    if number is None:
        raise AxisError(f"`{op}` needs a name and a number.", f"`.{op}(x=2)`.").at(user_line())
    return {n: number for n in a._axes.place}


def _dropped(a: Any, out: Any, drop: bool) -> Any:
    """Without the labels that became single values, if these are to be dropped."""
    single = {n for n, c in a._axes.beside.items() if not c.dims}
    left = [n for n, c in out._axes.beside.items() if not c.dims and n not in single]
    return out.drop_coords(*left) if drop and left else out


class Indexing(NamedBase):
    """The indexing of [`sciquax.named.NamedArray`][]."""

    def isel(
        self: X, indexers: Mapping[Any, Any] | None = None, /, drop: bool = False, **more: Any
    ) -> X:
        """Select the elements at places: `isel(x=3, y=slice(0, 2), z=[0, 2])`.

        **Arguments**: for each name an integer, whose axis goes; a slice; a list or array of
        integers, or a mask that is known; or a named array of integers, whose names stand in the
        result in place of the name. A name that the array has as well is walked along with, so
        `a.isel(x=a.argmax("x"))` is the maximum. `drop` leaves out the labels of names that go.

        **Raises** `AxisError` for an absent name, `AxisIndexError` for a place outside; a place
        that is only known when the program runs, and is outside, gives nan.
        """
        return _dropped(self, isel(self, "isel", _pairs("isel", indexers, more)), drop)

    def head(self: X, places: Any = None, /, **more: int) -> X:
        """Keep the first places along names: `head(time=3)`, or one number for all names."""
        ends = _each(self, "head", places, more, 5)
        return isel(self, "head", {n: slice(0, max(k, 0)) for n, k in ends.items()})

    def tail(self: X, places: Any = None, /, **more: int) -> X:
        """Keep the last places along names: `tail(time=3)`, or one number for all names."""
        ends = _each(self, "tail", places, more, 5)
        sizes = {n: self.shape[self._axes.position("tail", n, self)] for n in ends}
        kept = {n: slice(max(sizes[n] - k, 0), None) for n, k in ends.items()}
        return isel(self, "tail", kept)

    def thin(self: X, steps: Any = None, /, **more: int) -> X:
        """Keep every nth place along names: `thin(time=3)`, or one number for all names."""
        by = _each(self, "thin", steps, more, None)
        return isel(self, "thin", {n: slice(None, None, k) for n, k in by.items()})

    def __getitem__(self: X, index: Any) -> X:
        if index is Ellipsis:
            return self
        if isinstance(index, Mapping):
            return isel(self, "[]", dict(index))
        if isinstance(index, NamedBase) and np.dtype(index.dtype) == np.bool_:
            if index.ndim == 1 and index.dims[0] is not None:
                return isel(self, "[]", {index.dims[0]: index})
            raise AxisError(
                f"A mask with the dims {show_dims(index.dims)} would leave elements without axes.",
                "Use `named.where(mask, a, fill)`, or `flatten` both first.",
            ).at(user_line())
        raise PositionalError(
            f"A named array is indexed by name, and got {index!r}.",
            f"Write `a[{{{next((d for d in self.dims if d), 'x')!r}: 3}}]` or `a.isel(...)`.",
        ).at(user_line())

    def _update(
        self: Any, index: Any, op: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return update(self, index, op, args, kwargs)

    def sel(
        self: X, values: Mapping[Any, Any] | None = None, /, method: str | None = None,
        tolerance: Any = None, drop: bool = False, **more: Any,
    ) -> X:  # fmt: skip
        """Select elements by coordinates: `sel(time="2001-02")`, `sel(x=slice(1.0, 2.0))`.

        **Arguments**: for each name a value, whose axis goes; several; a period of dates, such as
        a month, or a value that is there more than once, whose axis stays; a slice, both ends of
        which are included; or a mask. Plain numbers are in the coordinate's unit, quantities in one
        convertible. `method` is "exact" (the default), "nearest", "pad" or "backfill", as pandas
        has them; `tolerance` bounds how far the nearest may be. `drop` is that of `isel`.

        **Raises** `CoordinateError` if a value is not there. ImportError without pandas.
        """
        indexers = {}
        for axis, value in _pairs("sel", values, more).items():
            i = self._axes.position("sel", axis, self)
            if is_mask(value) and self.dims[i] not in self._axes.coords:
                indexers[self.dims[i]] = value
                continue
            self.coord(axis)
            known = self._axes.coords[self.dims[i]]
            indexers[self.dims[i]] = locate(known, self.dims[i], value, method, tolerance)
        return _dropped(self, isel(self, "sel", indexers), drop)
