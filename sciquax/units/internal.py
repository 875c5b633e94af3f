"""Names of `units` that are not public, for `interop` and `testing`."""

from ._astropy import (
    from_astropy as from_astropy,
    from_astropy_unit as from_astropy_unit,
    to_astropy as to_astropy,
)
from ._quantity.arithmetic import (
    as_number as as_number,
    multiplicative as multiplicative,
    unify as unify,
)
from ._quantity.base import magnitude_of as magnitude_of, own_unit as own_unit, wrap as wrap
from ._quantity.trusted_literals import beside as beside
from ._unit.convert import convert as convert
from ._unit.logarithmic import span_unit as span_unit
from ._unit.parsing import as_unit as as_unit, base_unit as base_unit, from_pint as from_pint
from ._unit.registry import PINT as PINT
from ._unit.unit import (
    InternedUnit as InternedUnit,
    base_names as base_names,
    difference_unit as difference_unit,
    dimensionless as dimensionless,
    intern as intern,
)
