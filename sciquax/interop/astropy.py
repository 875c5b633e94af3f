"""Quantities to and from Astropy.

A unit is translated by name where both libraries mean the same by it, which is checked by its size
in SI base units; and through SI base units where they do not (solar masses differ in the last
digits by release). What is logarithmic or counts pixels is refused.
"""

from sciquax.units.internal import (
    from_astropy as from_astropy,
    from_astropy_unit as from_astropy_unit,
    to_astropy as to_astropy,
)
