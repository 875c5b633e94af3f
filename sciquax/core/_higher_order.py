"""Primitives that hold functions, once, for every type: who handles which.

A handler takes the primitive, the operands and the parameters, as a rule does.
"""

from . import (
    _callbacks,
    _calls,
    _control,
    _custom_calls,
    _custom_derivatives,
    _equinox,
    _hi_primitives,
    _linear_solve,
    _reductions,
    _shard_map,
)
from ._dispatch import HIGHER_ORDER

HIGHER_ORDER.update(
    {
        "jit": _calls.jit,
        "call": _calls.call,
        "core_call": _calls.call,
        "closed_call": _calls.call,
        "core_closed_call": _calls.call,
        "eval_jaxpr": _calls.call,
        "remat2": _calls.remat,
        "cond": _control.cond,
        "scan": _control.scan,
        "while": _control.while_,
        "custom_jvp_call": _custom_derivatives.custom_jvp,
        "custom_vjp_call": _custom_derivatives.custom_vjp,
        "custom_vmap_call": _custom_calls.custom_vmap,
        "linear_call": _custom_calls.linear_call,
        "shard_map": _shard_map.shard_map,
        "call_hi_primitive": _hi_primitives.hi_primitive,
        "noinline": _equinox.noinline,
        "composite": _calls.call,
        "debug_callback": _callbacks.debug_callback,
        "debug_print": _callbacks.debug_print,
        "pure_callback": _callbacks.host_callback,
        "io_callback": _callbacks.host_callback,
        "reduce": _reductions.reduce,
        "reduce_window": _reductions.reduce_window,
        "select_and_scatter": _reductions.select_and_scatter,
        "custom_linear_solve": _linear_solve.custom_linear_solve,
    }
)
