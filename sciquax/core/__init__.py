"""The core: staging, interpretation and dispatch. It knows JAX and no concrete type.

Read the files in the order a call travels: `_quaxify`, `_interpret`, `_dispatch`, and what they
stand on: `_value`, `_families`, `_polymorphic`, `_join`, `_functions`, `_inject`, `_lax`, `_errors`
and `_compat`. `_higher_order` lists who handles primitives that hold functions.
"""

from . import (  # enrols its handlers
    _higher_order as _higher_order,
    _standin_derivatives as _standin_derivatives,
)
from ._autodiff import (
    grad as grad,
    hessian as hessian,
    jacfwd as jacfwd,
    jacrev as jacrev,
    jvp as jvp,
    linearize as linearize,
    run as run,
    value_and_grad as value_and_grad,
    vjp as vjp,
)
from ._compiled import (
    call_compiled as call_compiled,
    is_compiled_function as is_compiled_function,
)
from ._deferred import register_deferred as register_deferred
from ._dispatch import bind as bind, register as register, register_family as register_family
from ._errors import (
    AmbiguousRuleError as AmbiguousRuleError,
    CarryError as CarryError,
    LocatedError as LocatedError,
    Location as Location,
    OutsideQuaxifyError as OutsideQuaxifyError,
    RuleError as RuleError,
    Unsettled as Unsettled,
    current_location as current_location,
    locate_at as locate_at,
    locate_stack as locate_stack,
)
from ._explain import explain_rules as explain_rules
from ._families import (
    Facts as Facts,
    Scaling as Scaling,
    Structure as Structure,
    facts_of as facts_of,
)
from ._foreign import (
    adopt as adopt,
    is_value_or_foreign as is_value_or_foreign,
    register_foreign as register_foreign,
    taker_of as taker_of,
)
from ._functions import (
    held_by as held_by,
    register_function as register_function,
    register_labelling as register_labelling,
)
from ._inject import inject as inject
from ._interpret import interpret as interpret
from ._join import coerce as coerce, join as join
from ._materialising import (
    log_materialisations as log_materialisations,
    materialised as materialised,
)
from ._namespace import Namespace as Namespace
from ._polymorphic import (
    Polymorphic as Polymorphic,
    is_polymorphic_literal as is_polymorphic_literal,
    strip as strip,
)
from ._quaxify import (
    as_of_the_user as as_of_the_user,
    call as call,
    call_or_stage as call_or_stage,
    output_places as output_places,
    quaxify as quaxify,
)
from ._show import show as show
from ._standins import register_named as register_named
from ._value import (
    MODE as MODE,
    VALUE_TYPES as VALUE_TYPES,
    ArrayValue as ArrayValue,
    Value as Value,
    aval_of as aval_of,
    describe as describe,
    is_value as is_value,
    short_aval as short_aval,
)
