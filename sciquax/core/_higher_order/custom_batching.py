"""Functions with batching or transposition rules of their own: the rules are kept."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.custom_batching import custom_vmap as _custom_vmap
from jax.custom_derivatives import linear_call as _linear_call

from .._compat.jaxprs import open_jaxpr
from .._interpret import interpret
from .._stage.quaxify import quaxify
from .._values.common_type import convert_to
from .._values.kinds import VALUE_TYPES
from .._values.types import Type, flatten, regroup, stacked_type, type_of, unflatten
from .._values.unit_polymorphic import strip


def custom_vmap(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """`jax.custom_batching.custom_vmap`: the user's rule sees values with a leading axis."""
    operands = list(map(strip, operands))
    types = [type_of(x) for x in operands]
    jaxpr, consts = open_jaxpr(params["call"])
    outs: tuple[Type, ...] = ()

    @_custom_vmap
    def call(*leaves: Any) -> list[Any]:
        nonlocal outs
        values = [strip(x) for x in interpret(jaxpr, consts, unflatten(types, leaves))]
        outs = tuple(map(type_of, values))
        return flatten(values)

    @call.def_vmap
    def rule(size: int, in_batched: Sequence[bool], *leaves: Any) -> Any:
        groups, flags = regroup(types, leaves), regroup(types, in_batched)
        values, batched = [], []
        for t, own, flag in zip(types, groups, flags, strict=True):
            whole = t
            if any(flag):
                own = [
                    x if f else jnp.broadcast_to(x, (size, *jnp.shape(x)))
                    for x, f in zip(own, flag, strict=True)
                ]
                whole = stacked_type(t, size)
            values.append(jtu.tree_unflatten(whole.tree, own))
            batched.append(any(flag))
        tree = params["in_tree"]
        args = jtu.tree_unflatten(tree, values)
        flags_tree = jtu.tree_unflatten(tree, batched)
        out, out_batched = quaxify(lambda args: params["rule"](size, flags_tree, *args))(args)
        out_values = jtu.tree_leaves(out, is_leaf=lambda x: type(x) in VALUE_TYPES)
        out_leaves, out_flags = [], []
        for x, flag, t in zip(out_values, jtu.tree_leaves(out_batched), outs, strict=True):
            x = convert_to(x, (stacked_type(t, size) if flag else t).example())
            own = jtu.tree_leaves(x)
            out_leaves += own
            out_flags += [flag] * len(own)
        return out_leaves, out_flags

    leaves = call(*flatten(operands))
    return unflatten(outs, leaves)


def linear_call(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """`jax.custom_derivatives.linear_call`: the interpreted function, and its transpose."""
    operands = list(map(strip, operands))
    n_fixed = params["num_callee_consts"] + params["num_res"]
    n_consts = params["num_callee_consts"]
    fixed, linear = operands[:n_fixed], operands[n_fixed:]
    fixed_types = [type_of(x) for x in fixed]
    linear_types = [type_of(x) for x in linear]
    jaxpr, consts = open_jaxpr(params["callee"])
    outs: tuple[Type, ...] = ()

    def call(fixed_leaves: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
        nonlocal outs
        given = [*unflatten(fixed_types, fixed_leaves), *unflatten(linear_types, leaves)]
        values = [strip(x) for x in interpret(jaxpr, consts, given)]
        outs = tuple(map(type_of, values))
        return flatten(values)

    def transposed(fixed_leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        transpose, t_consts = params["transpose_thunk"]()
        t_jaxpr, own = open_jaxpr(transpose)
        residuals = unflatten(fixed_types, fixed_leaves)[n_consts:]
        given = []
        for t, leaves in zip(outs, regroup(outs, cotangents), strict=True):
            example = t.example()
            is_value = type(example) in VALUE_TYPES
            given.append(example.as_cotangent(leaves) if is_value else leaves[0])
        results = interpret(t_jaxpr, own, [*t_consts, *residuals, *given])
        out: list[Any] = []
        for t, x in zip(linear_types, map(strip, results), strict=True):
            example = t.example()
            if type(example) in VALUE_TYPES:
                zeros = [jnp.zeros(a.shape, a.dtype) for a in t.avals]
                x = convert_to(x, example.as_cotangent(zeros))
            out += jtu.tree_leaves(x)
        return out

    # The types of the outputs, before JAX asks for the transpose.
    jax.eval_shape(call, flatten(fixed), flatten(linear))
    leaves = _linear_call(call, transposed, flatten(fixed), flatten(linear))
    return unflatten(outs, leaves)
