"""Physical units: `Quantity` on pint's registry, checked when a program is traced."""

from ._any_unit import any_unit as any_unit, safe_divide as safe_divide
from ._constants import constants as constants
from ._contexts import context as context
from ._errors import (
    DimensionalityError as DimensionalityError,
    MixedRegistriesError as MixedRegistriesError,
    OffsetUnitCalculusError as OffsetUnitCalculusError,
    UndefinedUnitError as UndefinedUnitError,
)
from ._infer import (
    ContradictionError as ContradictionError,
    Inference as Inference,
    Inferred as Inferred,
    Unknown as Unknown,
    infer as infer,
    unknown as unknown,
)
from ._pi_theorem import pi_theorem as pi_theorem
from ._quantity import Quantity as Quantity
from ._registry import get_registry as get_registry, set_registry as set_registry
from ._scales import canonicalise as canonicalise, nondimensionalise as nondimensionalise
from ._unit import unit as unit

# These enrol rules, and say what becomes of other libraries' quantities.
from . import _foreign as _foreign, _rules as _rules, functions as functions  # isort: skip
