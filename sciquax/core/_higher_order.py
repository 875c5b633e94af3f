"""Primitives that hold functions, once, for every type: who handles which.

A handler takes the primitive, the operands and the parameters, as a rule does.
"""

from . import _calls, _control, _custom_derivatives, _linear_solve
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
        "custom_linear_solve": _linear_solve.custom_linear_solve,
    }
)
