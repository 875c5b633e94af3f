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

    # What editors complete; `__getattr__` makes them, and those of units.
    G_0: Quantity
    K_J: Quantity
    K_J90: Quantity
    N_A: Quantity
    Phi_0: Quantity
    R: Quantity
    R_K: Quantity
    R_K90: Quantity
    R_inf: Quantity
    Xu_Cu: Quantity
    Xu_Mo: Quantity
    Z_0: Quantity
    a_u_action: Quantity
    a_u_mass: Quantity
    alpha: Quantity
    angstrom_star: Quantity
    atm: Quantity
    atmosphere: Quantity
    atomic_mass_constant: Quantity
    atomic_unit_of_action: Quantity
    atomic_unit_of_mass: Quantity
    avogadro_constant: Quantity
    avogadro_number: Quantity
    boltzmann_constant: Quantity
    c: Quantity
    c_0: Quantity
    c_1: Quantity
    c_2: Quantity
    characteristic_impedance_of_vacuum: Quantity
    classical_electron_radius: Quantity
    conductance_quantum: Quantity
    conventional_josephson_constant: Quantity
    conventional_mercury_density: Quantity
    conventional_von_klitzing_constant: Quantity
    conventional_water_density: Quantity
    coulomb_constant: Quantity
    dirac_constant: Quantity
    e: Quantity
    electric_constant: Quantity
    electron_g_factor: Quantity
    electron_mass: Quantity
    elementary_charge: Quantity
    eps0: Quantity
    eps_0: Quantity
    epsilon_0: Quantity
    eulers_number: Quantity
    faraday_constant: Quantity
    fine_structure_constant: Quantity
    first_radiation_constant: Quantity
    g0: Quantity
    g_0: Quantity
    g_e: Quantity
    g_n: Quantity
    gravitational_constant: Quantity
    gravity: Quantity
    hbar: Quantity
    impedance_of_free_space: Quantity
    josephson_constant: Quantity
    k: Quantity
    k_B: Quantity
    k_C: Quantity
    ln10: Quantity
    m_e: Quantity
    m_n: Quantity
    m_p: Quantity
    m_u: Quantity
    magnetic_constant: Quantity
    magnetic_flux_quantum: Quantity
    mercury_density_0C: Quantity
    mercury_density_32F: Quantity
    mercury_density_60F: Quantity
    molar_gas_constant: Quantity
    mu0: Quantity
    mu_0: Quantity
    neutron_mass: Quantity
    newtonian_constant_of_gravitation: Quantity
    pi: Quantity
    planck_constant: Quantity
    proton_mass: Quantity
    r_e: Quantity
    rydberg_constant: Quantity
    second_radiation_constant: Quantity
    sigma: Quantity
    sigma_e: Quantity
    solar_luminosity: Quantity
    solar_mass: Quantity
    solar_radius: Quantity
    speed_of_light: Quantity
    standard_atmosphere: Quantity
    standard_gravity: Quantity
    stefan_boltzmann_constant: Quantity
    tansec: Quantity
    thomson_cross_section: Quantity
    vacuum_permeability: Quantity
    vacuum_permittivity: Quantity
    von_klitzing_constant: Quantity
    water_density_4C: Quantity
    water_density_60F: Quantity
    wien_frequency_displacement_law_constant: Quantity
    wien_u: Quantity
    wien_wavelength_displacement_law_constant: Quantity
    wien_x: Quantity
    x_unit_Cu: Quantity
    x_unit_Mo: Quantity
    zeta: Quantity

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
