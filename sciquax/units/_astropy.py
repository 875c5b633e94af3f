"""Units and quantities of Astropy, translated.

A unit is translated by name where both libraries mean the same by it, which is checked by its size
in SI base units; and through SI base units where they do not (solar masses differ in the last
digits by release). Levels that both have, such as `mag(AB)`, are translated too; other logarithms,
and what counts pixels, are refused.
"""

import math
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core.internal import quoted

from ._quantity.base import wrap
from ._quantity.quantity import Quantity
from ._unit.exponents import rational
from ._unit.parsing import as_unit
from ._unit.registry import PINT, get_registry
from ._unit.spelling import LEVELS
from ._unit.unit import InternedUnit, dimensionless

_BASE = {  # Astropy's irreducible units by pint's names
    "m": "meter", "s": "second", "kg": "kilogram", "A": "ampere", "K": "kelvin", "cd": "candela",
    "mol": "mole", "rad": "radian", "bit": "bit", "ct": "count",
    "adu": "adu", "DN": "data_number", "electron": "electron", "ph": "photon", "beam": "beam",
}  # fmt: skip
_SCALES = {"deg_C": "degC", "deg_F": "degF", "deg_R": "degR"}
_BY_PINT_NAME = {
    "degree_Celsius": "deg_C", "degree_Fahrenheit": "deg_F", "delta_degree_Celsius": "K",
    "arcminute": "arcmin", "arcsecond": "arcsec", "degree": "deg", "light_year": "lyr",
    "astronomical_unit": "AU", "electron_volt": "eV", "percent": "percent",
}  # fmt: skip


def from_astropy(x: Any) -> Quantity:
    """Convert an `astropy.units.Quantity` (or a quantity of unxt's) to ours.

    **Raises** TypeError for units without a counterpart in pint, such as `dex(cm/s2)`.

    ```python
    >>> import astropy.units as u
    >>> from sciquax.interop.astropy import from_astropy
    >>> from_astropy(3.0 * u.km / u.hour)
    Quantity(3.0, 'km/h')

    ```
    """
    unit, scale = from_astropy_unit(unit_without_mask(x))
    value = x.value
    if scale != 1.0:
        value = value * scale
    return Quantity(value if hasattr(value, "dtype") else jnp.asarray(value), unit)


def from_astropy_unit(unit: Any) -> tuple[InternedUnit, float]:
    """The unit that an Astropy unit is, and a factor that is left over."""
    if (level := _level(unit)) is not None:
        return level, 1.0
    product, scale = dimensionless(), float(unit.scale)
    for base, power in zip(unit.bases, unit.powers, strict=True):
        exponent = rational(power)
        same = _same_name(base)
        if same is None:
            same, factor = _through_si(base)
            scale *= factor ** float(exponent)
        if exponent == 1 and len(unit.bases) == 1:
            product = same  # also of a scale with an offset, which takes part in no product
        else:
            product = product * same**exponent
    return product, scale


def _level(unit: Any) -> InternedUnit | None:
    """The level or gain that one of Astropy's is; None for linear units."""
    import astropy.units as u

    text = unit.to_string()
    if hasattr(unit, "bases") and text not in ("mag", "dex", "dB"):
        return None
    for theirs, name in LEVELS.items():
        # As dB(1) and dB, which Astropy has as equal.
        if (unit == u.Unit(theirs) or name == text) and (found := as_unit(name)).logarithmic:
            return found
    raise TypeError(
        f"The unit {quoted(text)} of Astropy is a logarithm, and no unit of the registry: give "
        "`x.physical`."
    )


def _same_name(base: Any) -> InternedUnit | None:
    """The unit that pint calls by one of Astropy's names and that measures the same."""
    text = base.to_string()
    if text in _SCALES:
        return as_unit(_SCALES[text])
    if text in _BASE:
        return as_unit(_BASE[text])
    theirs = _si_of_astropy(base)
    for name in (*getattr(base, "long_names", ()), *getattr(base, "names", (text,))):
        try:
            found = as_unit(name)
        except Exception:  # not a unit to pint
            continue
        if not found.offset and theirs is not None and _alike(_si_of_pint(found), theirs):
            return found
    return None


def _through_si(base: Any) -> tuple[InternedUnit, float]:
    theirs = _si_of_astropy(base)
    if theirs is None:
        raise _refuse(base)
    scale, powers = theirs
    product = dimensionless()
    for name, power in powers.items():
        product = product * as_unit(name) ** power
    return product, scale


Si = tuple[float, dict[str, Fraction]]


def _si_of_astropy(unit: Any) -> Si | None:
    """A unit as a number times powers of SI base units, by pint's names."""
    from astropy.units import UnitsError, si

    try:
        root = unit.decompose(bases=si.bases)  # pyright: ignore[reportAttributeAccessIssue]
    except UnitsError:
        return None
    powers = {}
    for base, power in zip(root.bases, root.powers, strict=True):
        name = _BASE.get(base.to_string())
        if name is None:
            return None
        powers[name] = rational(power)
    return float(root.scale), powers


def _si_of_pint(unit: InternedUnit) -> Si:
    registry = unit.registry
    with PINT:
        base = registry.get_base_units(unit.pint, system="mks")[1]
        scale = float(registry.convert(1.0, unit.pint, base))
    return scale, {k: rational(v) for k, v in base._units.items()}


def _alike(lhs: Si, rhs: Si) -> bool:
    return lhs[1] == rhs[1] and math.isclose(lhs[0], rhs[0], rel_tol=1e-12)


def unit_without_mask(x: Any) -> Any:
    """An Astropy quantity's unit. **Raises** TypeError for one with a mask, which would be lost."""
    if getattr(x, "mask", None) is None:
        return x.unit
    raise TypeError(
        "An Astropy quantity with a mask is not converted, since the mask would be lost. Give "
        "`x.filled(nan)`, or `x.unmasked` and the mask apart."
    )


def on_host(value: Any, unit: Any) -> Any:
    """An `astropy.units.Quantity` of an array of NumPy's and a unit of Astropy."""
    import astropy.units as u

    return u.Quantity(value, unit, copy=False, subok=True)  # a Magnitude is one of a subclass


def in_program(value: Any, unit: Any) -> Any:
    """A quantity of an array of JAX's and a unit of Astropy; plain if that is dimensionless."""
    found, scale = from_astropy_unit(unit)
    return wrap(value if scale == 1.0 else value * scale, found)


def to_astropy(q: Quantity) -> Any:
    """Convert to an `astropy.units.Quantity` of a NumPy array: the inverse of `from_astropy`.

    **Raises** TypeError for units without a counterpart in Astropy.

    ```python
    >>> from sciquax.interop.astropy import to_astropy
    >>> from sciquax.units import Quantity
    >>> to_astropy(Quantity(3.0, "km/hour"))
    <Quantity 3. km / h>

    ```
    """
    import astropy.units as u

    unit, scale = _to_astropy_unit(q._unit)
    value = np.asarray(q.magnitude)
    return u.Quantity(value if scale == 1.0 else value * scale, unit, subok=True)


def _to_astropy_unit(unit: InternedUnit) -> tuple[Any, float]:
    import astropy.units as u

    if unit.logarithmic:
        for theirs, name in LEVELS.items():
            if as_unit(name, unit.registry) is unit:
                return u.Unit(theirs), 1.0
    product: Any = u.dimensionless_unscaled
    scale = 1.0
    for name, power in unit.container.items():
        part = as_unit(name, unit.registry)
        exponent = rational(power)
        found = _astropy_by_name(name, part)
        if found is None:
            if part.offset:
                raise _refuse(part)
            factor, powers = _si_of_pint(part)
            found = u.dimensionless_unscaled
            symbols = {v: k for k, v in _BASE.items()}
            for base, n in powers.items():
                if base not in symbols:
                    raise _refuse(part)
                found = found * u.Unit(symbols[base]) ** n
            scale *= factor ** float(exponent)
        product = found if exponent == 1 and len(unit.container) == 1 else product * found**exponent
    return product, scale


def _astropy_by_name(name: str, unit: InternedUnit) -> Any:
    import astropy.units as u

    with PINT:
        symbol = get_registry().get_symbol(name) if unit.registry is get_registry() else name
    for text in (_BY_PINT_NAME.get(name), symbol, name):
        if text is None:
            continue
        if text in _SCALES:
            import astropy.units.imperial as imperial

            return getattr(u, text, None) or getattr(imperial, text)
        try:
            found = u.Unit(text)
        except ValueError:
            continue
        theirs = None if unit.offset else _si_of_astropy(found)
        if theirs is not None and _alike(theirs, _si_of_pint(unit)):
            return found
    return None


def _refuse(unit: Any) -> TypeError:
    return TypeError(
        f"The unit {quoted(str(unit))} has no counterpart in the other library: convert to SI "
        "units first."
    )
