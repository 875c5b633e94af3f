"""Values with standard deviations, to and from `uncertainties` and pint's measurements.

A quantity has no uncertainty of its own: the nominal values and the standard deviations are two
quantities of one unit.
"""

from typing import Any

import numpy as np
import uncertainties
from uncertainties import unumpy

from sciquax.core import from_foreign
from sciquax.core.internal import wanted
from sciquax.units import Quantity, get_registry
from sciquax.units.internal import difference_unit


def to_uncertainties(value: Quantity, deviation: Any, unit: Any = None) -> Any:
    """Numbers with uncertainties (`ufloat`, or an array of them) in a unit.

    **Arguments**: the value; its standard deviation, a quantity of the same dimension (on a scale
    with an offset, a difference); and the unit, the value's by default.

    **Returns** what `uncertainties` computes with; the unit is left behind, so name it.

    ```python
    >>> from sciquax.interop.uncertainties import to_uncertainties
    >>> from sciquax.units import Quantity
    >>> to_uncertainties(Quantity(1.5, "m"), Quantity(25.0, "cm"), "m")
    1.5+/-0.25

    ```
    """
    value, deviation = from_foreign(value), from_foreign(deviation)
    for x in (value, deviation):
        wanted("to_uncertainties", x, Quantity, "a value and a deviation that are quantities")
    value = value if unit is None else value.to(unit)
    nominal = np.asarray(value.magnitude, np.float64)
    spread = np.asarray(deviation.m_as(_difference(value)), np.float64)
    if nominal.ndim == 0:
        return uncertainties.ufloat(float(nominal), float(spread))
    return unumpy.uarray(nominal, np.broadcast_to(spread, nominal.shape))


def from_uncertainties(x: Any, unit: Any = None) -> tuple[Quantity, Quantity]:
    """The value and the standard deviation of a number with an uncertainty.

    **Arguments**: a `ufloat`, an array of them, or a `pint.Measurement` or `pint.Quantity` of them,
    which have a unit; and the unit, which is converted to if there is one already.

    **Raises** TypeError for a bare number without a unit.
    """
    magnitude = getattr(x, "magnitude", x)
    own = getattr(x, "units", None)
    if own is None and unit is None:
        raise TypeError('Numbers with uncertainties have no unit. Name one: `unit="m"`.')
    source = unit if own is None else own
    value = Quantity(np.asarray(unumpy.nominal_values(magnitude)), source)
    deviation = Quantity(np.asarray(unumpy.std_devs(magnitude)), _difference(value))
    if own is not None and unit is not None:
        value = value.to(unit)
        deviation = deviation.to(_difference(value))
    return value, deviation


def to_measurement(value: Quantity, deviation: Quantity) -> Any:
    """A scalar `pint.Measurement`."""
    number = to_uncertainties(value, deviation)
    registry: Any = get_registry()
    return registry.Measurement(number.nominal_value, number.std_dev, value.units)


def _difference(value: Quantity) -> Any:
    return difference_unit(value._unit)
