"""Derivatives, by the caller, of functions that are known by name: `quaxify(grad(f))`.

JAX's `jvp` of a `whole_call` leaves the call for the primal outputs and a `whole_tangent` for their
tangents, which is linear in the operands' tangents; its transpose is a `whole_cotangent`. So that
the function's rule is still found, and is differentiated itself. Where there is none, or it
declines, the function's own derivative is interpreted.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad, batching, mlir

from .._autodiff import transforms
from .._compat.jaxprs import Literal, Primitive, open_jaxpr
from .._compat.tracing import trace_to_jaxpr
from .._dispatch.tables import HIGHER_ORDER
from .._functions.batched import Batch, mapped
from .._functions.call import ById, Call, apply_rule, differentiable, run_body, whole_call_p
from .._interpret import interpret
from .._values.kinds import aval_of
from .._values.unit_polymorphic import Polymorphic, strip


class Derivative(NamedTuple):
    """A call and which of its operands are differentiated; `batches` as in `Call`."""

    call: Call
    n_operands: int
    active: tuple[int, ...]
    batches: tuple[Batch, ...] = ()


def _primitive(name: str, rule: Callable) -> Primitive:
    """A primitive with the function's own derivative as `body`, and what interprets it by rule."""
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(run_body)
    primitive.to_lojax = run_body  # as for `whole_call`  # pyright: ignore[reportAttributeAccessIssue]
    primitive.def_abstract_eval(lambda *_, call, body: body.out_avals)
    mlir.register_lowering(primitive, mlir.lower_fun(run_body, multiple_results=True))

    def batch(operands: Any, dims: Any, *, call: ById, body: Any) -> Any:
        (size,) = {x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None}
        run = functools.partial(run_body, call=call, body=body)
        closed = trace_to_jaxpr(jax.vmap(run, in_axes=tuple(dims)), operands)
        now = Batch(size, tuple(dims), (0,) * len(body.out_avals))
        item = call.item._replace(batches=(now, *call.item.batches))
        return primitive.bind(*operands, call=ById(item), body=closed), [0] * len(body.out_avals)

    def differentiate(primals: Any, tangents: Any, **params: Any) -> Any:
        tangents = [ad.instantiate_zeros(t) for t in tangents]
        return jax.jvp(lambda *xs: run_body(*xs, **params), tuple(primals), tuple(tangents))

    def interpret_it(_: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
        item: Derivative = params["call"].item

        def apply(operands: Sequence[Any]) -> Any:
            return rule(item, list(operands[: item.n_operands]), list(operands[item.n_operands :]))

        for now in reversed(item.batches):
            apply = mapped(apply, now)
        out = apply(list(operands))
        if out is not NotImplemented:
            return out
        jaxpr, consts = open_jaxpr(params["body"])
        return interpret(jaxpr, consts, list(operands))

    batching.primitive_batchers[primitive] = batch
    ad.primitive_jvps[primitive] = differentiate
    HIGHER_ORDER[name] = interpret_it
    return primitive


def _function(item: Derivative, primals: list[Any], active: Sequence[int]) -> Callable:
    """The rule as a function of some operands."""

    def function(*given: Any) -> list[Any]:
        operands = list(primals)
        for i, x in zip(active, given, strict=True):
            operands[i] = x
        return [strip(x) for x in apply_rule(item.call, operands)]

    return _takes_values(function)


def _has_rule(item: Derivative, primals: Sequence[Any]) -> bool:
    return differentiable(primals) and apply_rule(item.call, primals) is not NotImplemented


def _takes_values(function: Any) -> Callable:
    """Marks what `_autodiff` is to call as it is, rather than to stage."""
    function._takes_values = True
    return function


def _tangent_by_rule(item: Derivative, primals: list[Any], tangents: list[Any]) -> Any:
    """The tangents of the rule's outputs. Literal zeros among the operands' tangents stay out."""
    if not _has_rule(item, primals):
        return NotImplemented
    pairs = zip(item.active, tangents, strict=True)
    moving = [(i, t) for i, t in pairs if type(t) is not Polymorphic]
    if not moving:
        return NotImplemented
    active = [i for i, _ in moving]
    points = tuple(strip(primals[i]) for i in active)
    function = _function(item, primals, active)
    _, out = transforms.jvp(function, points, tuple(t for _, t in moving))
    return out


def _cotangent_by_rule(item: Derivative, primals: list[Any], cotangents: list[Any]) -> Any:
    """The operands' cotangents. Literal zeros among the outputs' stay out."""
    if not _has_rule(item, primals):
        return NotImplemented
    chosen = [i for i, ct in enumerate(cotangents) if type(ct) is not Polymorphic]
    if not chosen:
        return NotImplemented
    whole = _function(item, primals, item.active)

    def function(*given: Any) -> list[Any]:
        out = whole(*given)
        return [out[i] for i in chosen]

    _, pull = transforms.vjp(_takes_values(function), *[strip(primals[i]) for i in item.active])
    return list(pull([cotangents[i] for i in chosen]))


whole_tangent_p = _primitive("whole_tangent", _tangent_by_rule)
whole_cotangent_p = _primitive("whole_cotangent", _cotangent_by_rule)


def _jvp(primals: Any, tangents: Any, *, call: ById, body: Any) -> Any:
    now = ById(call.item._replace(differentiated=True)) if _depends(body) else call
    outs = whole_call_p.bind(*primals, call=now, body=body)
    moving = tuple(i for i, t in enumerate(tangents) if type(t) is not ad.Zero)
    if not moving or not _depends(body) or not all(_is_inexact(x) for x in outs):
        if moving and _depends(body):
            filled = [ad.instantiate_zeros(t) for t in tangents]
            run = functools.partial(run_body, call=call, body=body)
            return jax.jvp(run, tuple(primals), tuple(filled))
        return outs, [_zeros(x) for x in outs]

    def differential(*operands: Any) -> Any:
        points, given = operands[: len(primals)], operands[len(primals) :]
        at = tuple(points[i] for i in moving)
        return jax.jvp(_partially(points, moving, body), at, tuple(given))[1]

    given = [tangents[i] for i in moving]
    closed = trace_to_jaxpr(differential, [*primals, *given])
    item = ById(Derivative(call.item, len(primals), moving))
    return outs, whole_tangent_p.bind(*primals, *given, call=item, body=closed)


def _partially(points: Sequence[Any], moving: Sequence[int], body: Any) -> Callable:
    def function(*given: Any) -> list[Any]:
        operands = list(points)
        for i, x in zip(moving, given, strict=True):
            operands[i] = x
        return run_body(*operands, call=None, body=body)

    return function


def _transpose(cotangents: Any, *operands: Any, call: ById, body: Any) -> list[Any]:
    """Of the tangents, by the function's vector-Jacobian product at the primal operands."""
    item: Derivative = call.item
    primals = operands[: item.n_operands]
    jaxpr, consts = open_jaxpr(body)
    cts = [
        jnp.zeros(v.aval.shape, v.aval.dtype) if type(ct) is ad.Zero else ct
        for ct, v in zip(cotangents, jaxpr.outvars, strict=True)
    ]
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in jaxpr.invars[-_n(item) :]]

    def pull(*given: Any) -> Any:
        points, cts = given[: len(primals)], given[len(primals) :]
        linear = lambda *tangents: run_body(*points, *tangents, call=None, body=body)  # noqa: E731
        return jax.linear_transpose(linear, *shapes)(list(cts))

    closed = trace_to_jaxpr(pull, [*primals, *cts])
    outs = whole_cotangent_p.bind(*primals, *cts, call=call, body=closed)
    return [*[None] * len(primals), *outs]


def _n(item: Derivative) -> int:
    return len(item.active)


def _transpose_call(cotangents: Any, *operands: Any, call: ById, body: Any) -> list[Any]:
    """Of a function that is linear in these operands (`trace`, in derivatives of JAX's)."""
    jaxpr, _ = open_jaxpr(body)
    linear = [i for i, x in enumerate(operands) if ad.is_undefined_primal(x)]
    cts = [
        jnp.zeros(v.aval.shape, v.aval.dtype) if type(ct) is ad.Zero else ct
        for ct, v in zip(cotangents, jaxpr.outvars, strict=True)
    ]
    shapes = [
        jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype) for x in map(operands.__getitem__, linear)
    ]
    pulled = jax.linear_transpose(_partially(operands, linear, body), *shapes)(cts)
    out: list[Any] = [None] * len(operands)
    for i, x in zip(linear, pulled, strict=True):
        out[i] = x
    return out


ad.primitive_jvps[whole_call_p] = _jvp
ad.primitive_transposes[whole_call_p] = _transpose_call
ad.primitive_transposes[whole_tangent_p] = _transpose


def _is_inexact(x: Any) -> bool:
    return jnp.issubdtype(aval_of(x).dtype, jnp.inexact)


def _zeros(x: Any) -> Any:
    return jnp.zeros(x.shape, x.dtype) if _is_inexact(x) else np.zeros(x.shape, jax.dtypes.float0)


def _depends(body: Any) -> bool:
    """Whether an output depends on the operands: `ones_like`'s does not."""
    jaxpr, _ = open_jaxpr(body)
    reached = set(jaxpr.invars)
    for eqn in jaxpr.eqns:
        if any(type(v) is not Literal and v in reached for v in eqn.invars):
            reached.update(eqn.outvars)
    return any(type(v) is not Literal and v in reached for v in jaxpr.outvars)
