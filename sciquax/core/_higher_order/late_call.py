"""A call that was kept as one equation and that no rule answers: interpret the function's body."""

from collections.abc import Sequence
from typing import Any

from .._compat.jaxprs import open_jaxpr
from .._dispatch.tables import HIGHER_ORDER
from .._errors import RuleError
from .._functions.call import LateCall, whole_call_p
from .._interpret import interpret
from .._values.mode import MODE


def _interpret_body(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    if params["body"] is None:
        raise underivable(params["call"])
    jaxpr, consts = open_jaxpr(params["body"])
    return interpret(jaxpr, consts, list(operands), MODE.deferring)


def underivable(call: LateCall) -> RuleError:
    return RuleError(
        f"`{call.of}` on quantities within `quaxify` has no rule for this kind of derivative.",
        "Differentiate outside: `sciquax.grad(f)(...)` of a function `f` that solves.",
    )


HIGHER_ORDER[whole_call_p.name] = _interpret_body
