"""Calling a function with rules applied at once, for the few programs that cannot be staged.

Staging asks JAX for the shape of every result before a rule is asked. Where JAX refuses operands
that a rule would take (two ranks given to `lax.add`), or a rule returns another shape than JAX's
and the program goes on with it, the function is called once more, under a JAX trace in which each
operation on values is interpreted as the function binds it. That is how quax works throughout.

Only for types whose rules are all by signature: rules by family rely on JAX having checked.
"""

import os
import types
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.extend.source_info_util as source_info_util
import jax.tree_util as jtu

from .._compat.execution import AtOnceTracer, called_at_once
from .._compat.frames import ended_in_raise
from .._compat.jaxprs import as_array
from .._dispatch.resolve import resolve
from .._dispatch.signatures import plain_rule
from .._dispatch.tables import HIGHER_ORDER, has_family_rules
from .._errors import MisshapenError
from .._functions.call import answered
from .._values.captured import contains_inject, eject, inject_p
from .._values.kinds import VALUE_TYPES, aval_of
from .._values.mode import not_staging, staging
from .._values.unit_polymorphic import strip

_JAX = os.path.dirname(jax.__file__)


def rules_may_answer(error: BaseException, values: Iterable[Any]) -> bool:
    """Whether rules may be applied at once to a function that could not be staged or interpreted.

    They may not if the function itself raised, since it would be called twice.
    """
    if any(has_family_rules(type(x)) for x in values):
        return False
    if isinstance(error, MisshapenError):
        return True
    return type(error) in (TypeError, ValueError) and not ended_in_raise(error, outside=_JAX)


def call_at_once(
    leaves: list[Any], treedef: Any, chosen: Sequence[int], reason: BaseException
) -> Any:
    """Call the function among `leaves` on the chosen values; rules are applied as it goes.

    **Arguments**: the flattened call, which leaves are values, and why it could not be staged, to
    be raised if this does not work out either.
    """
    avals = [aval_of(leaves[i]) for i in chosen]
    try:
        with called_at_once(_operation) as lift:
            lifted = list(leaves)
            for i, aval in zip(chosen, avals, strict=True):
                lifted[i] = lift(leaves[i], aval)
            fn, args, kwargs = jtu.tree_unflatten(treedef, lifted)
            with staging():
                out = fn(*args, **kwargs)
    except Exception:
        raise reason from None
    return jtu.tree_map(_lowered, out)


def _lowered(x: Any) -> Any:
    return as_array(strip(x.value)) if isinstance(x, AtOnceTracer) else x


def _operation(
    primitive: Any, operands: Sequence[Any], params: dict[str, Any]
) -> list[tuple[Any, Any]]:
    """The results of one operation, and the abstract values of those that are values."""
    with not_staging():
        out = _result(primitive, list(operands), params)
        out = list(out) if primitive.multiple_results else [out]
        return [(x, aval_of(x) if type(x) in VALUE_TYPES else None) for x in out]


def _result(primitive: Any, operands: list[Any], params: dict[str, Any]) -> Any:
    if primitive is inject_p:
        return eject(operands, params["tree"])
    has_value = any(type(x) in VALUE_TYPES for x in operands)
    if has_value and any(has_family_rules(type(x)) for x in operands):
        raise TypeError("a rule by family relies on JAX having checked the operands")
    if primitive.name in HIGHER_ORDER:
        source = source_info_util.current()
        eqn = types.SimpleNamespace(primitive=primitive, params=params, source_info=source)
        if not has_value and not contains_inject(eqn):
            return primitive.bind(*operands, **params)
        if (out := answered(eqn, operands)) is not NotImplemented:
            return out
        return [strip(x) for x in resolve(primitive, operands)(primitive, operands, params)]
    if has_value:
        return resolve(primitive, operands)(primitive, operands, params)
    if (rule := plain_rule(primitive, operands)) is not None:
        return rule(primitive, operands, params)
    return primitive.bind(*operands, **params)
