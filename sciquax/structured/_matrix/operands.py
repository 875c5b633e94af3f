"""Questions of rules to operands: which are matrices, which numbers the program states."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from sciquax._storage.formulas import Filled, Transient
from sciquax.core import VALUE_TYPES, bind, scalar, stated_number, strip
from sciquax.core.internal import Tracer

from .matrix import StructuredMatrix

Params = dict[str, Any]
Operands = Sequence[Any]


def _is(x: Any) -> bool:
    return isinstance(x, StructuredMatrix)


def _is_empty(x: Any) -> bool:
    """Whether a matrix has no rows or no columns: it is its array."""
    return _is(x) and 0 in x.shape[-2:]


def _plain(operands: Operands) -> list[Any] | None:
    """The operands with constants by formula as small arrays; None if another type is there."""
    out = []
    for x in operands:
        x = strip(x)
        if isinstance(x, Filled):
            x = x.array
        if isinstance(x, Transient):
            return None
        if type(x) in VALUE_TYPES and not _is(x):
            return None
        out.append(x)
    return out


def static_number(x: Any, question: Callable[[np.ndarray], Any] = scalar) -> Any:
    """The number of an operand that the program states, or that is computed already.

    Or the answer to a question about it, see `sciquax.core.stated_number`; None for what it is not.
    """
    if type(x) in VALUE_TYPES or np.size(x) != 1:
        return None
    if isinstance(x, jax.Array) and not isinstance(x, Tracer):
        return question(np.asarray(x))
    return stated_number(x, question)


def _guarded(rule: Callable) -> Callable:
    """Where another type's matrix of the same layer meets ours, neither rule applies."""

    def guarded(primitive: Any, operands: Operands, params: Params) -> Any:
        operands = [strip(x) for x in operands]
        if not any(map(_is, operands)):
            return NotImplemented
        if any(map(_is_empty, operands)):
            arrays = [x.materialise() if _is_empty(x) else x for x in operands]
            return bind(primitive, *arrays, **params)
        return rule(primitive, operands, params)

    guarded.__name__ = guarded.__qualname__ = f"structured{rule.__name__}"
    guarded.__module__ = rule.__module__
    return guarded
