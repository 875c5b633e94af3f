"""Calls: `jit`, `remat`, and calls that only carry a name."""

from collections.abc import Sequence
from typing import Any

from .._compat import jaxprs
from .._compat.jaxprs import open_jaxpr
from .._interpret import interpret
from .._values.mode import MODE
from .._values.types import flatten, type_of, unflatten
from .bodies import restage


def jit(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Compile the interpreted body under the same name, shardings and donation."""
    types = [type_of(x) for x in operands]
    staged = restage(params["jaxpr"], types, deferring=MODE.deferring)
    n_in = [len(t.avals) for t in types]
    n_out = [len(t.avals) for t in staged.outs]
    per_operand = {"in_shardings", "in_layouts", "donated_invars"}
    per_output = {"out_shardings", "out_layouts"}
    new = dict(params, jaxpr=staged.jaxpr)
    for name in per_operand & params.keys():
        new[name] = _repeat(params[name], n_in)
    for name in per_output & params.keys():
        new[name] = _repeat(params[name], n_out)
    return unflatten(staged.outs, primitive.bind(*flatten(operands), **new))


def _repeat(items: Sequence[Any], counts: Sequence[int]) -> tuple[Any, ...]:
    return tuple(x for x, n in zip(items, counts, strict=True) for _ in range(n))


def call(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """A call that compiles nothing of its own: interpret its body in place."""
    body = params["call_jaxpr"] if "call_jaxpr" in params else params["jaxpr"]
    jaxpr, consts = open_jaxpr(body)
    return interpret(jaxpr, consts, list(operands))


def remat(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Rematerialise the interpreted body under the same policy."""
    staged = restage(params["jaxpr"], [type_of(x) for x in operands])
    closed, consts = jaxprs.closed_without_consts(staged.jaxpr)
    new = dict(params, jaxpr=jaxprs.as_open(closed))
    return unflatten(staged.outs, primitive.bind(*consts, *flatten(operands), **new))
