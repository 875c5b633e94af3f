"""Carrying out a call that was kept as one equation."""

from collections.abc import Sequence
from typing import Any

from .._compat.jaxprs import open_jaxpr
from .._dispatch.tables import HIGHER_ORDER
from .._functions.call import Call, apply_rule, differentiable
from .._interpret import interpret
from .._values.stated import bare
from .._values.unit_polymorphic import for_rules


def _interpret_whole(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    call: Call = params["call"].item
    given = for_rules([*map(bare, operands)])
    if not call.differentiated or differentiable(given):
        out = apply_rule(call, given)
        if out is not NotImplemented:
            return out
    jaxpr, consts = open_jaxpr(params["body"])
    return interpret(jaxpr, consts, list(operands))


HIGHER_ORDER["whole_call"] = _interpret_whole
