"""The core: staging, interpretation and dispatch. It knows JAX and no concrete type.

Read the folders in the order a call travels: `_stage` (from a call to a jaxpr and back),
`_interpret` (the jaxpr on values), `_dispatch` and `_functions` (which rule), `_higher_order`
(loops, branches, custom derivatives), and what they stand on: `_values`, `_facts`, `_errors`,
`_compat`.
"""

from ._annotations import Checked as Checked
from ._autodiff.calls import run as run
from ._autodiff.jacobians import hessian as hessian, jacfwd as jacfwd, jacrev as jacrev
from ._autodiff.transforms import (
    grad as grad,
    jvp as jvp,
    linearize as linearize,
    value_and_grad as value_and_grad,
    vjp as vjp,
)
from ._dispatch.resolve import bind as bind
from ._errors import (
    AmbiguousRuleError as AmbiguousRuleError,
    CarryError as CarryError,
    LocatedError as LocatedError,
    Location as Location,
    OutsideQuaxifyError as OutsideQuaxifyError,
    RuleError as RuleError,
    Unsettled as Unsettled,
    current_location as current_location,
    user_line as user_line,
)
from ._explain_rules import explain_rules as explain_rules
from ._facts import (
    Facts as Facts,
    Scaling as Scaling,
    Structure as Structure,
    facts_of as facts_of,
    register_facts as register_facts,
)
from ._functions.rules import (
    payload_of as payload_of,
    register_labelling as register_labelling,
)
from ._higher_order import (
    handlers as handlers,  # enrols them
    late_call_derivatives as late_call_derivatives,
)
from ._interpret import interpret as interpret
from ._namespaces import Namespace as Namespace
from ._register import register as register, register_rule as register_rule
from ._show import show as show
from ._stage.compiled import (
    call_compiled as call_compiled,
    is_compiled_function as is_compiled_function,
)
from ._stage.quaxify import (
    call as call,
    call_or_stage as call_or_stage,
    output_places as output_places,
    quaxify as quaxify,
)
from ._values.captured import inject as inject
from ._values.common_type import common_type as common_type, convert_to as convert_to
from ._values.formulas import register_deferred as register_deferred
from ._values.kinds import (
    VALUE_TYPES as VALUE_TYPES,
    aval_of as aval_of,
    converter_for as converter_for,
    describe as describe,
    from_foreign as from_foreign,
    is_value as is_value,
    is_value_or_foreign as is_value_or_foreign,
    register_foreign as register_foreign,
    short_aval as short_aval,
)
from ._values.materialisation_log import (
    log_materialisations as log_materialisations,
    materialised as materialised,
)
from ._values.mode import MODE as MODE
from ._values.stated import (
    is_finite as is_finite,
    scalar as scalar,
    stated_number as stated_number,
    vanishes as vanishes,
)
from ._values.unit_polymorphic import (
    UnitPolymorphic as UnitPolymorphic,
    is_polymorphic_literal as is_polymorphic_literal,
    strip as strip,
)
from ._values.value import ArrayValue as ArrayValue, Value as Value
