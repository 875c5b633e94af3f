"""Physical units: `Quantity` on pint's registry, checked when a program is traced."""

from ._analysis.infer import (
    ContradictionError as ContradictionError,
    Inference as Inference,
    Inferred as Inferred,
    Unknown as Unknown,
    infer as infer,
    unknown as unknown,
)
from ._analysis.pi_theorem import pi_theorem as pi_theorem
from ._analysis.rescaling import (
    canonicalise as canonicalise,
    nondimensionalise as nondimensionalise,
)
from ._constants import constants as constants
from ._quantity.any_unit import any_unit as any_unit, safe_divide as safe_divide
from ._quantity.bare_numbers import set_bare_angles as set_bare_angles
from ._quantity.quantity import Quantity as Quantity
from ._quantity.trusted_literals import (
    TrustedLiteral as TrustedLiteral,
    TrustedLiterals as TrustedLiterals,
    trust_literals as trust_literals,
)
from ._quantity.unit_of_arrays import unit as unit
from ._unit.contexts import context as context
from ._unit.errors import (
    DimensionalityError as DimensionalityError,
    MixedRegistriesError as MixedRegistriesError,
    OffsetUnitCalculusError as OffsetUnitCalculusError,
    UndefinedUnitError as UndefinedUnitError,
)
from ._unit.registry import get_registry as get_registry, set_registry as set_registry
from ._wrapping.with_constants import (
    UnknownConstantError as UnknownConstantError,
    with_constants as with_constants,
)
from ._wrapping.wrap_around import wrap as wrap
from ._wrapping.wraps import wraps as wraps

# These enrol rules, and say what becomes of other libraries' quantities.
from . import _foreign as _foreign, _functions as _functions, _primitives as _primitives  # isort: skip
from ._quantity import in_files as in_files  # isort: skip
from ._wrapping import methods_of_tracers as methods_of_tracers  # isort: skip
