"""Physical constants: pint's, which follow CODATA, and their standard uncertainties."""

import functools
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pint

from ._quantity.quantity import Quantity
from ._unit.errors import UndefinedUnitError
from ._unit.exponents import rational
from ._unit.parsing import as_unit, base_unit
from ._unit.registry import PINT, get_registry


class Constants:
    """`constants.speed_of_light`, `constants.gravitational_constant`: quantities in SI base units.

    Any name that pint's registry defines as a constant or a unit works; `G`, `g`, `h` and `F`,
    which are gauss, gram, hour and farad as units, are the constants here, as in SciPy and
    Astropy. Values are pint's, from CODATA; the registry's `constants_en.txt` states the release.

    **Raises** AttributeError, with near names, for one that the registry does not know.
    """

    def __getattr__(self, name: str) -> Quantity:
        if name.startswith("_"):
            raise AttributeError(name)

        try:
            return Quantity(1.0, _named(name)).to_base_units()
        except UndefinedUnitError as error:
            raise AttributeError(str(error)) from None

    def __dir__(self) -> Any:
        known = get_registry()._units
        return sorted([*_SUN, *(n for n in _constants() if n in known), *_METHODS])

    def relative_uncertainty(self, name: str) -> float:
        """The relative standard uncertainty of a constant; 0 for one that is exact.

        Measured constants have theirs from the file that pint's values come from. All others are
        products of powers of these, and theirs follow, the measured ones taken as independent. That
        gives CODATA's for what derives from one measured constant (vacuum permittivity, the Bohr
        radius); of ratios of measured ones it is an upper estimate where they are correlated.

        **Raises** AttributeError for an unknown name; ValueError for a value that is stated without
        an uncertainty.

        ```python
        >>> from sciquax.units import constants
        >>> f"{constants.relative_uncertainty('gravitational_constant'):.1e}"
        '2.2e-05'
        >>> constants.relative_uncertainty("planck_constant")
        0.0

        ```
        """
        name = _named(name)
        self.__getattr__(name)  # so that an unknown name says what is near
        with PINT:
            powers = _measured_in(get_registry(), name)
        measured = _measured()
        parts = []
        for constant, power in powers.items():
            uncertainty = measured[constant]
            if uncertainty is None:
                raise ValueError(f"The value of '{constant}' is stated without an uncertainty.")
            parts.append(float(power) * uncertainty)
        return math.hypot(*parts) if parts else 0.0

    def uncertainty(self, name: str) -> Quantity:
        """The standard uncertainty of a constant, in the SI base units of the constant itself."""
        unit = as_unit(_named(name))
        with PINT:
            base = base_unit(unit)
            size = float(unit.registry.convert(1.0, unit.pint, base.pint))
        return Quantity(abs(size) * self.relative_uncertainty(name), base)


_SUN = ("solar_luminosity", "solar_mass", "solar_radius")
_SYMBOLS = {
    "G": "gravitational_constant",
    "g": "standard_gravity",
    "h": "planck_constant",
    "F": "faraday_constant",
    "Ryd": "rydberg_constant",
    "muB": "bohr_magneton",
    "sigma_sb": "stefan_boltzmann_constant",
    "sigma_T": "thomson_cross_section",
    "b_wien": "wien_wavelength_displacement_law_constant",
    "k_e": "coulomb_constant",
}
"""What physicists call constants, where pint has another unit by that name, or none."""


def _named(name: str) -> str:
    return _SYMBOLS.get(name, name)


_METHODS = ("relative_uncertainty", "uncertainty")
_LINE = re.compile(r"^(\w+)\s*=\s*(-?[\d.]+)(?:e([-+]?\d+))?[^#]*#\s*(?:\((\d+)\)|(approximate))")


@functools.cache
def _lines() -> tuple[str, ...]:
    """The lines of pint's file of constants."""
    file = Path(pint.__file__).parent / "constants_en.txt"
    return tuple(file.read_text(encoding="utf-8").splitlines())


@functools.cache
def _constants() -> frozenset[str]:
    """The names of pint's constants; `constants` takes those of units as well."""
    found: set[str] = set()
    for line in _lines():
        name, *others = (part.strip() for part in line.partition("#")[0].split("="))
        found.update([name, *others[1:]])
    return frozenset(name for name in found if name.isidentifier() and name != "_")


@functools.cache
def _measured() -> dict[str, float | None]:
    """The relative uncertainty of pint's measured constants; None where none is stated.

    pint writes the uncertainty of the last digits as a comment, `6.67430e-11 ...  # (15)`.
    """
    found: dict[str, float | None] = {}
    for line in _lines():
        if (match := _LINE.match(line)) is not None:
            name, digits, _, last, _ = match.groups()
            if last is None:
                found[name] = None
            else:
                decimals = len(digits.partition(".")[2])
                found[name] = int(last) * 10.0**-decimals / abs(float(digits))
    return found


def _measured_in(registry: Any, name: str) -> dict[str, Fraction]:
    """The powers of measured constants in the definition of a unit."""
    _, name, _ = registry.parse_unit_name(name)[0]  # without a prefix
    if name in _measured():
        return {name: Fraction(1)}
    total: dict[str, Fraction] = {}
    definition = registry._units[name]
    if definition.is_base:
        return total
    for part, power in definition.reference.items():
        for constant, inner in _measured_in(registry, part).items():
            exponent = rational(power)
            total[constant] = total.get(constant, Fraction(0)) + exponent * inner
    return {constant: power for constant, power in total.items() if power}


constants: Constants = Constants()
