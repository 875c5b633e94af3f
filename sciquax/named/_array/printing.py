"""The text of a named array: `NamedArray(f32[time=100, space=64], 'K')`, and known values."""

import html
from typing import Any

import jax
import numpy as np

from sciquax.core import is_value, short_aval
from sciquax.core.internal import Display, Tracer, is_masked, is_whole

from .errors import AxisError


def _leaf(array: Any) -> Any:
    """The array that holds the numbers: the array itself, or that within a quantity."""
    return array.magnitude if hasattr(array, "_unit") else array


def _known(array: Any) -> np.ndarray | None:
    """The values, if they are known and at hand."""
    leaf = _leaf(array)
    if isinstance(leaf, np.ndarray):
        return leaf
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer):
        return None
    if leaf.is_deleted() or not leaf.is_fully_addressable:
        return None
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.extended):
        return None
    return np.asarray(leaf)


def header(a: Any) -> str:
    """`f32[time=100, space=64], 'K'`."""
    array = a.array
    if not is_whole(array) or is_value(array) and is_masked(array):
        return f"{array!r}"
    try:
        dims = a._axes.dims
    except AxisError:
        return f"{short_aval(array)}, taken from its names"
    sizes = ", ".join(
        str(n) if d is None else f"{d}={n}" for d, n in zip(dims, array.shape, strict=True)
    )
    dtype = short_aval(array.aval() if is_value(array) else array).partition("[")[0]
    text = f"{dtype}[{sizes}]"
    unit = getattr(array, "_unit", None)
    if unit is not None:
        inner = getattr(array, "magnitude", None)
        structure = f", {type(inner).__name__}" if is_value(inner) else ""
        return f"{text}, '{unit}'{structure}"
    return f"{text}, {type(array).__name__}" if is_value(array) else text


def _values(a: Any) -> str | None:
    """The numbers, or the structure that holds them where that says more than the header."""
    inner = _leaf(a.array)
    if is_value(inner):
        whole = is_whole(inner) and not is_masked(inner)
        known = f"{type(inner).__name__}({short_aval(inner.aval())})" if whole else repr(inner)
        return None if repr(inner) == known else repr(inner)
    values = _known(a.array)
    if values is None:
        return None
    return str(values) if values.ndim == 0 else np.array2string(values, threshold=100)


class Printing(Display):
    """How [`sciquax.named.NamedArray`][] prints."""

    def __short__(self) -> str:
        return f"NamedArray({header(self)})"

    def __repr__(self) -> str:
        values = _values(self)
        lines = [self.__short__()] if values is None else [self.__short__(), values]
        return "\n".join([*lines, *_coordinates(self)])

    def __str__(self) -> str:
        return repr(self)

    def __format__(self: Any, spec: str) -> str:
        if not spec:
            return str(self)
        return format(self._scalar("format"), spec)

    def _repr_html_(self: Any) -> str:
        """A table of the axes with their coordinates, and the values."""
        if not is_whole(self):
            return super()._repr_html_()
        rows = []
        for name, size in zip(self._axes.dims, self.shape, strict=True):
            known = self._axes.coords.get(name) if name is not None else None
            shown = "" if known is None else str(_summary(known))
            rows.append(
                f"<tr><td><b>{html.escape(str(name or ''))}</b></td><td>{size}</td>"
                f"<td>{html.escape(shown)}</td></tr>"
            )
        for name, (dims, held) in self._axes.beside.items():
            shown = _summary(held)
            rows.append(
                f"<tr><td>{html.escape(name)}</td><td>{html.escape(', '.join(dims))}</td>"
                f"<td>{html.escape(shown)}</td></tr>"
            )
        values = _values(self)
        body = "" if values is None else f"<pre>{html.escape(values)}</pre>"
        return (
            f"<div><code>{html.escape(self.__short__())}</code>"
            f"<table><tr><th>axis</th><th>size</th><th>coordinates</th></tr>{''.join(rows)}</table>"
            f"{body}</div>"
        )


def _coordinates(a: Any) -> list[str]:
    """A line for each axis with coordinates."""
    try:
        known = a._axes.coords
    except AxisError:
        return []
    lines = [f"{name}: {_summary(c)}" for name, c in known.items()]
    for name, (dims, held) in a._axes.beside.items():
        along = f" ({', '.join(dims)})" if dims else ""
        lines.append(f"{name}{along}: {_summary(held)}")
    return lines


def _summary(known: Any) -> str:
    values = known.values.ravel()
    if len(values) == 0:
        return "none"
    first, last = known.shown(values[0]), known.shown(values[-1])
    shown = first if len(values) == 1 else f"{first} to {last}"
    return f"{shown} {known.unit}".strip()
