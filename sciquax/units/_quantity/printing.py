"""Magnitudes as text: short, in full, in LaTeX."""

import html
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import aval_of, describe, is_value, short_aval
from sciquax.core.internal import Tracer

from .base import QuantityBase

_RICH_LIMIT = 1000  # elements shown as a table in notebooks


def _short(magnitude: Any) -> str:
    return describe(magnitude) if is_value(magnitude) else short_aval(aval_of(magnitude))


def _show(magnitude: Any, separator: str = ", ") -> str:
    if is_value(magnitude):
        return repr(magnitude)
    if isinstance(magnitude, (jax.Array, np.ndarray)) and not isinstance(magnitude, Tracer):
        if isinstance(magnitude, jax.Array) and (
            magnitude.is_deleted() or not magnitude.is_fully_addressable
        ):
            return short_aval(magnitude.aval)
        array = np.asarray(magnitude)
        if array.size == 0:  # whose shape no brackets tell
            return short_aval(array)
        if array.ndim == 0:
            return str(array)
        return np.array2string(array, separator=separator, threshold=100)
    if isinstance(magnitude, (int, float, complex)):
        return str(magnitude)
    if hasattr(magnitude, "shape") and hasattr(magnitude, "dtype"):
        return short_aval(magnitude)
    return repr(magnitude)


def _split_format(spec: str) -> tuple[str, str]:
    """The number's part and the unit's part (`~`, `P`, `L`, `H`, `C`, `D`, `Lx`) of a format."""
    for i, letter in enumerate(spec):
        if letter in "~PLHCD":
            return spec[:i], spec[i:]
    return spec, ""


def _latex_number(number: Any, spec: str) -> str:
    """`1.5`, `2 \\times 10^{-8}`, `1.5 - 2j`, `\\infty`; not-a-number upright."""
    text = (
        format(number, spec).strip("()").replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")
    )
    return re.sub(r"e([+-]?)0*(\d+)", lambda m: rf" \times 10^{{{m[1].strip('+')}{m[2]}}}", text)


def _latex_array(array: np.ndarray, number: str) -> str:
    """A vector or matrix in LaTeX, for which pint has numbers only in some releases."""
    rows = array if array.ndim > 1 else array[None]
    lines = [" & ".join(_latex_number(x, number) for x in row.ravel()) for row in rows]
    return r"\begin{pmatrix}" + r" \\ ".join(lines) + r"\end{pmatrix}"


def _shortest(array: np.ndarray) -> Any:
    """Numbers to show: 1.2 of single precision is not 1.2000000476837158."""
    for kind, double in ((jnp.floating, np.float64), (jnp.complexfloating, np.complex128)):
        if array.dtype != double and jnp.issubdtype(array.dtype, kind):
            if array.size > _RICH_LIMIT:
                return array.astype(double)
            numbers = [double(str(x)) for x in array.ravel()]
            array = np.array(numbers, double).reshape(array.shape)
    return array.item() if array.ndim == 0 else array


class Printing(QuantityBase):
    """`repr`, `str`, `format`, and what notebooks show."""

    def __short__(self) -> str:
        return f"Quantity({_short(self.magnitude)}, '{self._unit}')"

    def __repr__(self) -> str:
        return f"Quantity({_show(self.magnitude)}, '{self._unit}')"

    def __str__(self) -> str:
        return f"{_show(self.magnitude, ' ')} {self.units}"

    def __format__(self, spec: str) -> str:
        """A number's format and pint's for the unit: `f"{q:.2f~P}"`, `f"{q:Lx}"`, `f"{q:H}"`."""
        magnitude = self.magnitude
        if (
            is_value(magnitude)
            or not isinstance(magnitude, (jax.Array, np.ndarray, int, float))
            or (isinstance(magnitude, Tracer))
        ):
            return f"{_show(magnitude)} {format(self.units, _split_format(spec)[1])}".rstrip()
        shown = _shortest(np.asarray(magnitude))
        if isinstance(shown, np.ndarray) and "L" in spec:
            number, unit = _split_format(spec)
            return f"{_latex_array(shown, number)}\\ {format(self.units, unit)}"
        return format(self._unit.registry.Quantity(shown, self.units), spec)

    def _repr_html_(self) -> str:
        """For notebooks: as pint shows it; a value of another type by its representation."""
        if self._has_numbers():
            return format(self, "~H")
        shown = html.escape(_show(self.magnitude, " "))
        unit = format(self.units, "~H")
        if "\n" in shown:
            return f"<pre>{shown}</pre>{unit}"
        shown = f"<code>{shown}</code>" if is_value(self.magnitude) else shown
        return f"{shown} {unit}".rstrip()

    def _repr_latex_(self) -> str | None:
        """For notebooks: as pint shows it. None, so that they show the text, of what has no numbers
        at hand, more than a thousand, none, or more than two axes of them."""
        if not self._has_numbers() or self.magnitude.ndim > 2:
            return None
        return f"${format(self, '~L')}$"

    def _has_numbers(self) -> bool:
        """Whether there are numbers to show in a table."""
        magnitude = self.magnitude
        concrete = isinstance(magnitude, (jax.Array, np.ndarray)) and not (
            isinstance(magnitude, Tracer)
        )
        return concrete and 0 < magnitude.size <= _RICH_LIMIT
