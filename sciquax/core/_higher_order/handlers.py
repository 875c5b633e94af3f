"""Primitives that hold functions, once, for every type: who handles which.

A handler takes the primitive, the operands and the parameters, as a rule does.
"""

from .._dispatch.tables import HIGHER_ORDER, TAKES_STATED
from . import (
    callbacks,
    calls,
    control_flow,
    custom_batching,
    custom_derivatives,
    gradient_labels as gradient_labels,  # enrols itself
    hi_primitives,
    jacobian_blocks as jacobian_blocks,  # enrols itself
    late_call as late_call,  # enrols itself
    late_call_derivatives as late_call_derivatives,  # enrols itself
    linear_solve,
    noinline,
    nothing_picked as nothing_picked,  # enrols itself
    reductions,
    shard_map,
)

HIGHER_ORDER.update(
    {
        "jit": calls.jit,
        "call": calls.call,
        "core_call": calls.call,
        "closed_call": calls.call,
        "core_closed_call": calls.call,
        "eval_jaxpr": calls.call,
        "remat2": calls.remat,
        "cond": control_flow.cond,
        "scan": control_flow.scan,
        "while": control_flow.while_,
        "custom_jvp_call": custom_derivatives.custom_jvp,
        "custom_vjp_call": custom_derivatives.custom_vjp,
        "custom_vmap_call": custom_batching.custom_vmap,
        "linear_call": custom_batching.linear_call,
        "shard_map": shard_map.shard_map,
        "call_hi_primitive": hi_primitives.hi_primitive,
        "noinline": noinline.noinline,
        "composite": calls.call,
        "debug_callback": callbacks.debug_callback,
        "debug_print": callbacks.debug_print,
        "pure_callback": callbacks.host_callback,
        "io_callback": callbacks.host_callback,
        "reduce": reductions.reduce,
        "reduce_window": reductions.reduce_window,
        "select_and_scatter": reductions.select_and_scatter,
        "custom_linear_solve": linear_solve.custom_linear_solve,
    }
)

TAKES_STATED.update(
    {
        "jit",
        "call",
        "core_call",
        "closed_call",
        "core_closed_call",
        "eval_jaxpr",
        "composite",
        "remat2",
        "cond",
        "scan",
        "while",
        "custom_jvp_call",
        "custom_vjp_call",
        "whole_call",
    }
)
