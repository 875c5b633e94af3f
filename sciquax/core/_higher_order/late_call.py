"""A call that was kept as one equation, and that no rule has answered: what the function does."""

from collections.abc import Sequence
from typing import Any

from .._compat.jaxprs import open_jaxpr
from .._dispatch.tables import HIGHER_ORDER
from .._interpret import interpret
from .._values.mode import MODE


def _interpret_whole(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    jaxpr, consts = open_jaxpr(params["body"])
    return interpret(jaxpr, consts, list(operands), MODE.deferring)


HIGHER_ORDER["whole_call"] = _interpret_whole
