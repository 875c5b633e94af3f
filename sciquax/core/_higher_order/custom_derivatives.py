"""Functions with derivative rules of their own: these rules are kept and are interpreted too."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._compat import derivatives
from .._compat.derivatives import is_symbolic_zero
from .._compat.jaxprs import open_jaxpr
from .._interpret import interpret
from .._stage.quaxify import quaxify
from .._values.common_type import convert_to
from .._values.kinds import VALUE_TYPES, aval_of
from .._values.mode import staging
from .._values.stated import as_literal, bare
from .._values.trust import asked_at_once, is_trusted, zero_tangent
from .._values.types import Type, flatten, type_of, unflatten
from .._values.unit_polymorphic import UnitPolymorphic, strip


def custom_jvp(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Keep the rule: the interpreted function has the interpreted rule as its derivative."""
    rule = functools.partial(derivatives.jvp_jaxpr, params)
    n_consts, symbolic_zeros = params["num_consts"], params["symbolic_zeros"]
    return with_jvp(params["call_jaxpr"], rule, operands, n_consts, symbolic_zeros)


def with_jvp(
    body: Any,
    jvp_jaxpr: Callable[[Sequence[bool]], tuple[Any, Sequence, Sequence[bool]]],
    operands: Sequence[Any],
    n_consts: int = 0,
    symbolic_zeros: bool = True,
) -> list[Any]:
    """The results of a jaxpr that has a derivative of its own, both of them interpreted.

    **Arguments**: the jaxpr; its derivative, as a function of which operands have symbolically
    zero tangents, see `_compat.jvp_jaxpr`; the operands; how many of them have no tangents; whether
    symbolic zeros are told to the derivative.
    """
    types = [type_of(x) for x in asked_at_once(operands)]
    jaxpr, consts = open_jaxpr(body)
    outs: tuple[Type, ...] = ()

    def primal(*leaves: Any) -> list[Any]:
        nonlocal outs
        values = interpret(jaxpr, consts, unflatten(types, leaves))
        outs = tuple(map(type_of, values))
        return flatten(values)

    def rule(leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        nonlocal outs
        values = unflatten(types, leaves)
        skipped = sum(len(t.avals) for t in types[:n_consts])
        values = values[n_consts:]
        zeros, given = _tangent_values([*map(bare, values)], types[n_consts:], tangents[skipped:])
        with staging():  # the rule may capture values, as the function may
            rule_jaxpr, rule_consts, out_zeros = jvp_jaxpr(zeros)
        rule_jaxpr, more = open_jaxpr(rule_jaxpr)
        results = interpret(rule_jaxpr, rule_consts or more, [*values, *given])
        primals, nonzero = results[: len(out_zeros)], iter(results[len(out_zeros) :])
        outs = tuple(map(type_of, primals))
        out_leaves, out_tangents = [], []
        for value, is_zero in zip(primals, out_zeros, strict=True):
            own = jtu.tree_leaves(value)
            out_leaves += own
            if is_zero:
                out_tangents += [_zero_tangent(aval_of(x)) for x in own]
            else:
                out_tangents += _tangent_leaves(next(nonzero), value)
        return out_leaves, out_tangents

    call = jax.custom_jvp(primal)
    call.defjvp(rule, symbolic_zeros=symbolic_zeros)
    results = call(*flatten(operands))
    return unflatten(outs, results)


def _tangent_values(
    values: Sequence[Any], types: Sequence[Type], tangents: Sequence[Any]
) -> tuple[list[bool], list[Any]]:
    """A mask of operands with a symbolically zero tangent, and the tangents of the others."""
    zeros, given, position = [], [], 0
    for value, t in zip(values, types, strict=True):
        own = tangents[position : position + len(t.avals)]
        position += len(t.avals)
        zero = bool(own) and all(is_symbolic_zero(x) for x in own)
        zeros.append(zero)
        if not zero:
            own = [derivatives.zeros_of(x) if is_symbolic_zero(x) else x for x in own]
            is_value = type(value) in VALUE_TYPES
            given.append(value.as_tangent(own) if is_value else zero_tangent(own[0], t.source))
    return zeros, given


def _tangent_leaves(tangent: Any, value: Any) -> list[Any]:
    value, leaves = strip(value), jtu.tree_leaves(value)
    if type(value) in VALUE_TYPES:
        tangent = convert_to(tangent, value.as_tangent(leaves))
    else:
        tangent = strip(tangent)
    return jtu.tree_leaves(tangent)


def custom_vjp(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Keep the rule: interpret the forward and the backward function too."""
    types = [type_of(x) for x in asked_at_once(operands)]
    trusted = [is_trusted(t.example(), t.source) for t in types]
    jaxpr, consts = open_jaxpr(params["call_jaxpr"])
    outs: tuple[Type, ...] = ()
    residual_types: tuple[Type, ...] = ()

    def primal(*leaves: Any) -> list[Any]:
        nonlocal outs
        values = interpret(jaxpr, consts, unflatten(types, leaves))
        outs = tuple(map(type_of, values))
        return flatten(values)

    def forward(*records: Any) -> tuple[list[Any], list[Any]]:
        nonlocal outs, residual_types
        leaves = [r.value for r in records]
        values = unflatten(types, leaves)
        perturbed, position = [], 0
        for t in types:
            own = records[position : position + len(t.avals)]
            position += len(t.avals)
            perturbed.append(any(r.perturbed for r in own))
        n_consts = params["num_consts"]
        with staging():
            fwd_jaxpr, fwd_consts = derivatives.fwd_jaxpr(params, perturbed[n_consts:])
        fwd_open, more = open_jaxpr(fwd_jaxpr)
        results = interpret(fwd_open, fwd_consts or more, values[n_consts:])
        out_tree, residual_tree, forwarded = params["out_trees"]()
        n_res = sum(f is None for f in forwarded)
        pruned, primals = results[:n_res], results[n_res:]
        pruned = iter(pruned)
        residuals = [next(pruned) if f is None else values[f] for f in forwarded]
        residual_types = tuple(map(type_of, residuals))
        outs = tuple(map(type_of, primals))
        return flatten(primals), flatten(residuals)

    def backward(leaves: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
        residuals = [*map(as_literal, unflatten(residual_types, leaves))]
        given, position = [], 0
        for t in outs:
            own = cotangents[position : position + len(t.avals)]
            position += len(t.avals)
            own = [derivatives.zeros_of(x) if is_symbolic_zero(x) else x for x in own]
            example = strip(t.example())
            given.append(example.as_cotangent(own) if type(example) in VALUE_TYPES else own[0])

        def run(*args: Any) -> list[Any]:
            results = derivatives.call_maybe_wrapped(params["bwd"], *args)
            results = derivatives.backward_results(results)
            return [None if x is None or is_symbolic_zero(x) else x for x in results]

        results = quaxify(run)(*residuals, *given)
        n_consts = params["num_consts"]
        out: list[Any] = []
        for i, t in enumerate(types):
            ct = results[i - n_consts] if i >= n_consts else None
            example = t.example()
            if ct is None:
                out += [_zero_tangent(a) for a in t.avals]
            elif (
                type(example) is UnitPolymorphic or trusted[i]
            ):  # literals: nothing is derived by them
                out += jtu.tree_leaves(ct)
            elif type(example) in VALUE_TYPES:
                like = example.as_cotangent([jnp.zeros(a.shape, a.dtype) for a in t.avals])
                out += jtu.tree_leaves(convert_to(ct, like))
            else:
                out.append(strip(ct))
        return tuple(out)

    call = jax.custom_vjp(primal)
    call.defvjp(forward, backward, symbolic_zeros=True)
    results = call(*flatten(operands))
    return unflatten(outs, results)


def _zero_tangent(aval: Any) -> Any:
    if jnp.issubdtype(aval.dtype, jnp.inexact):
        return jnp.zeros(aval.shape, aval.dtype)
    return np.zeros(aval.shape, jax.dtypes.float0)
