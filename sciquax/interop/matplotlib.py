"""Quantities on matplotlib's axes: labelled with their unit, and converted to the axis's.

So are those in named arrays, `plt.plot(a.coord("time"), a)`; `a.plot()` labels with names as well.

```python
with plot_units():
    plt.plot(time, height)                  # axes labelled "s" and "m"
    plt.plot(time, height.to("ft"))         # drawn in metres
    plt.gca().yaxis.set_units("km")
```
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax.tree_util as jtu
import matplotlib.units as munits
import numpy as np

from sciquax.units import Quantity
from sciquax.units.internal import as_unit

from ._drawn import install, remove


class QuantityConverter(munits.ConversionInterface):
    """The interface through which matplotlib handles quantities.

    **Arguments**: `spec`, pint's format of the axis's label.
    """

    def __init__(self, spec: str = "~P"):
        self.spec = spec

    def default_units(self, x: Any, axis: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The unit of the first thing drawn."""
        units = [q.units for q in _quantities(x)]
        return units[0] if units else None

    def convert(self, value: Any, unit: Any, axis: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Numbers in the axis's unit.

        **Raises** `DimensionalityError` for what measures something else, or has no unit.
        """
        if not isinstance(value, Quantity) and hasattr(value, "to_numpy"):
            value = value.to_numpy()  # a named array's quantity
        if isinstance(value, Quantity):
            return np.asarray(value.magnitude if unit is None else value.m_as(unit))
        if isinstance(value, (list, tuple)):
            return [self.convert(v, unit, axis) for v in value]
        array = np.asarray(value)
        if array.dtype == object:
            return np.array([self.convert(v, unit, axis) for v in array.ravel()]).reshape(
                array.shape
            )
        return value  # positions on the axis: its limits and ticks

    def axisinfo(self, unit: Any, axis: Any) -> munits.AxisInfo | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The axis's label: its unit, unless that is a plain number."""
        if unit is None:
            return None
        return munits.AxisInfo(label=self.label(unit))

    def label(self, unit: Any) -> str | None:
        """The label of a unit on an axis or a colour bar."""
        unit = as_unit(unit)
        return None if unit.unitless else format(unit.pint, self.spec)


def _quantities(x: Any) -> list[Quantity]:
    items = np.ravel(x) if isinstance(x, np.ndarray) and x.dtype == object else [x]
    leaves = jtu.tree_leaves(list(items), is_leaf=lambda v: isinstance(v, Quantity))
    return [v for v in leaves if isinstance(v, Quantity)]


def enable(spec: str = "~P") -> None:
    """Make matplotlib convert and label quantities from now on.

    **Arguments**: `spec`, pint's format of units in labels: "~P" for m/s², "P" for names, "L" for
    LaTeX.
    """
    munits.registry[Quantity] = converter = QuantityConverter(spec)
    install(converter.label)


def disable() -> None:
    """Undo `enable`: quantities are then refused, as by `np.asarray`."""
    munits.registry.pop(Quantity, None)
    remove()


@contextlib.contextmanager
def plot_units(spec: str = "~P") -> Iterator[None]:
    """`enable` within a block."""
    before = munits.registry.get(Quantity)
    enable(spec)
    try:
        yield
    finally:
        disable()
        if isinstance(before, QuantityConverter):
            enable(before.spec)
