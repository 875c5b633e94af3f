"""Names of `core` that are not public, for sciquax's own packages."""

from ._adapters import adapter as adapter
from ._autodiff.tangent_labels import derivative as derivative, owner_of as owner_of
from ._compat.code import (
    function_within as function_within,
    within_library_of_jax as within_library_of_jax,
)
from ._compat.execution import (
    default_promotion as default_promotion,
    nothing_is_traced as nothing_is_traced,
    trace_context as trace_context,
)
from ._compat.frames import (
    asked_by_the_user as asked_by_the_user,
    asked_what_it_is as asked_what_it_is,
    axes_of_outputs as axes_of_outputs,
    compared_as_static as compared_as_static,
    library_called as library_called,
    mapped_axis as mapped_axis,
    within_filter_vmap as within_filter_vmap,
)
from ._compat.indexing import rewriting_take as rewriting_take, scatter_update as scatter_update
from ._compat.jaxprs import (
    Literal as Literal,
    Primitive as Primitive,
    ShapedArray as ShapedArray,
    Tracer as Tracer,
    open_jaxpr as open_jaxpr,
)
from ._compat.numpys_functions import (
    OfType as OfType,
    asks_for_numbers as asks_for_numbers,
    by_conversion as by_conversion,
    counterpart as counterpart,
)
from ._compat.registries import add_property_of_tracers as add_property_of_tracers
from ._compat.tracing import StagingTracer as StagingTracer, known_value as known_value
from ._compat.trees import taken_apart as taken_apart
from ._dispatch.tables import AFTER_BODY as AFTER_BODY
from ._errors import quoted as quoted, wanted as wanted
from ._functions.call import LateCall as LateCall, leave_call as leave_call
from ._functions.intercept import add_hook as add_hook
from ._stage.captured_trees import takes_values_apart as takes_values_apart
from ._stage.staging import (
    Staged as Staged,
    fill as fill,
    stage as stage,
    template_of as template_of,
)
from ._values.array_methods import METHODS as METHODS, Plain as Plain
from ._values.captured import typeof_aval as typeof_aval
from ._values.flattening import ValueMeta as ValueMeta
from ._values.formulas import wants_deferred as wants_deferred
from ._values.indexed_update import (
    At as At,
    IndexedUpdate as IndexedUpdate,
    indexed_update as indexed_update,
)
from ._values.kinds import (
    Display as Display,
    Guard as Guard,
    adopt_all as adopt_all,
    brief as brief,
    captured_foreign as captured_foreign,
    each_value_type as each_value_type,
    is_whole as is_whole,
    takes_foreign as takes_foreign,
)
from ._values.masks import is_masked as is_masked
from ._values.mode import bound_methods as bound_methods
from ._values.operators import OPERATORS as OPERATORS
from ._values.stated import whole as whole
from ._values.trust import (
    TRUST as TRUST,
    LiteralNumber as LiteralNumber,
    Literals as Literals,
    literal_numbers as literal_numbers,
)
