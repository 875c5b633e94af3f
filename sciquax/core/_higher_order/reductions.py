"""Reductions by a function of the user's: `lax.reduce`, `lax.reduce_window`, and their kin.

The function combines two elements, so a value takes part if each of its leaves has the shape of the
whole: then leaves are reduced together, by the interpreted function. A type may have a rule of its
own for the primitive; other types fall back to their default.
"""

from collections.abc import Callable, Sequence
from typing import Any

from jax import lax

from .._compat import jaxprs
from .._compat.tracing import trace_to_jaxpr
from .._dispatch.resolve import default_rule
from .._dispatch.tables import family_rules
from .._errors import CarryError, RuleError, Unsettled
from .._values.kinds import VALUE_TYPES, describe
from .._values.stated import stated_number, whole
from .._values.trust import Literals, literal_numbers, taking
from .._values.types import Type, convert, describe_type, flatten, join_types, type_of, unflatten
from .._values.unit_polymorphic import strip
from .bodies import check_number, minding, restage


def _own_rule(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The rule or the default of the outermost type, where elements cannot be combined."""
    values = [x for x in map(strip, operands) if type(x) in VALUE_TYPES]
    if not values:
        return primitive.bind(*map(strip, operands), **params)
    types = sorted({type(x) for x in values}, key=lambda t: -t.layer)
    outer = types[0]
    for rule in family_rules(outer, primitive):
        out = rule(primitive, operands, params)
        if out is not NotImplemented:
            return out
    if all(_is_pointwise(x) for x in values):
        return NotImplemented
    return default_rule(types, primitive)(primitive, list(map(strip, operands)), params)


def _is_pointwise(x: Any) -> bool:
    return all(a.shape == x.aval().shape for a in type_of(x).avals)


def _element(t: Type) -> Type:
    return Type(t.tree, tuple(jaxprs.ShapedArray((), a.dtype) for a in t.avals))


def _combine(
    params: dict[str, Any], starts: Sequence[Any], items: Sequence[Any], op: str
) -> tuple[list[Type], Callable]:
    """The accumulator's element types, and the function on leaves that combines two elements."""
    body = params["jaxpr"]
    if params.get("consts"):
        jaxpr, consts = body, params["consts"]
        scalars = [jaxprs.ShapedArray((), v.aval.dtype) for v in jaxpr.invars]
        body = trace_to_jaxpr(lambda *args: jaxprs.eval_jaxpr(jaxpr, consts, *args), scalars)
    for a, b in zip(starts, items, strict=True):
        if found := minding(type_of(a), type_of(b)):
            check_number(stated_number(a, whole), found, op, literal_numbers(a))
    acc = [
        _join(type_of(a), _element(type_of(b)), op, (literal_numbers(a), ()))
        for a, b in zip(starts, items, strict=True)
    ]
    staged = restage(body, [*acc, *acc])
    acc = [_join(a, b, op) for a, b in zip(acc, staged.outs, strict=True)]
    staged = restage(body, [*acc, *acc], acc)
    if list(staged.outs) != acc:
        raise CarryError(
            f"The function of a `{op}` changes the type of what it accumulates at every step: "
            + ", ".join(map(describe_type, staged.outs))
            + ".",
            "A product of quantities over an axis has no unit that an accumulator could carry.",
        )
    jaxpr, own = jaxprs.open_jaxpr(staged.jaxpr)

    def combine(lhs: Any, rhs: Any) -> list[Any]:
        return jaxprs.eval_jaxpr(jaxpr, own, *lhs, *rhs)

    return acc, combine


def _join(a: Type, b: Type, op: str, literals: Sequence[Literals] = ((), ())) -> Type:
    try:
        return join_types(a, b, literals)
    except Unsettled as unsettled:
        raise unsettled.make(
            f"The function of a `{op}` takes {describe_type(a)} and {describe_type(b)}, which "
            "have no common type.",
            remedy="Start from the kind of value that is reduced, and return it.",
        ) from None


def reduce(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    own = _own_rule(primitive, operands, params)
    if own is not NotImplemented:
        return own
    n = len(operands) // 2
    items, starts = list(operands[:n]), list(operands[n:])
    acc, combine = _combine(params, starts, items, "reduce")
    items = [convert(x, _like(t, x)) for x, t in zip(items, acc, strict=True)]
    starts = [*map(_start, starts, acc)]

    outs = lax.reduce(flatten(items), flatten(starts), combine, params["dimensions"])
    shape = _reduced_shape(items[0], params["dimensions"])
    return unflatten([_with_shape(t, shape) for t in acc], outs)


def _start(x: Any, t: Type) -> Any:
    return convert(taking(x, literal_numbers(x), t.example()), t)


def _like(element: Type, whole: Any) -> Type:
    return _with_shape(element, type_of(whole).avals[0].shape)


def _with_shape(t: Type, shape: tuple[int, ...]) -> Type:
    return Type(t.tree, tuple(a.update(shape=shape) for a in t.avals))


def _reduced_shape(x: Any, dimensions: Sequence[int]) -> tuple[int, ...]:
    shape = type_of(x).avals[0].shape
    return tuple(n for i, n in enumerate(shape) if i not in dimensions)


def reduce_window(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    own = _own_rule(primitive, operands, params)
    if own is not NotImplemented:
        return own
    n = len(operands) // 2
    items, starts = list(operands[:n]), list(operands[n:])
    acc, combine = _combine(params, starts, items, "reduce_window")
    items = [convert(x, _like(t, x)) for x, t in zip(items, acc, strict=True)]
    starts = [*map(_start, starts, acc)]

    outs = lax.reduce_window(
        flatten(items),
        flatten(starts),
        combine,
        params["window_dimensions"],
        params["window_strides"],
        params["padding"],
        params["base_dilation"],
        params["window_dilation"],
    )
    return unflatten([_with_shape(t, outs[0].shape) for t in acc], outs)


def select_and_scatter(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """No type has elements of which one is selected and another scattered: only its own rule."""
    own = _own_rule(primitive, operands, params)
    if own is not NotImplemented:
        return own
    names = ", ".join(describe(x) for x in operands)
    raise RuleError(
        f"`{primitive.name}` has no rule for ({names}).",
        "Use `lax.reduce_window` with `lax.max` or `lax.add`, whose derivatives have rules.",
    )
