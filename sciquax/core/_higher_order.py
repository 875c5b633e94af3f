"""Primitives that hold functions, once, for every type.

Each handler flattens its operands' values to leaves, stages the interpreted body over the leaves,
binds the primitive again on the new body, and builds the outputs' values. Staged bodies are cached
by the identity of the original body and the types, so that compiled code is found again.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import lax

from . import _compat
from ._compat import bind_equation, is_symbolic_zero, open_jaxpr, typeof
from ._dispatch import CACHES_TO_CLEAR, HIGHER_ORDER
from ._errors import CarryError, Unsettled
from ._interpret import interpret
from ._join import coerce, join
from ._polymorphic import Polymorphic, strip
from ._value import VALUE_TYPES, describe, staging
from ._weak import WeakCache


class Type(NamedTuple):
    """The type of an operand: its tree structure and its leaves' abstract values. Hashable."""

    tree: Any
    avals: tuple[Any, ...]

    def leaves(self) -> list[jax.ShapeDtypeStruct]:
        return [
            jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=getattr(a, "weak_type", False))
            for a in self.avals
        ]

    def example(self) -> Any:
        """A value of this type whose leaves are only shapes."""
        return jtu.tree_unflatten(self.tree, self.leaves())


_ARRAY = jtu.tree_structure(0)


def type_of(x: Any) -> Type:
    if type(x) not in VALUE_TYPES:
        return Type(_ARRAY, (_aval(x),))
    leaves, tree = jtu.tree_flatten(x)
    return Type(tree, tuple(map(_aval, leaves)))


def _aval(x: Any) -> Any:
    if isinstance(x, jax.ShapeDtypeStruct):
        return _compat.ShapedArray(x.shape, x.dtype, weak_type=x.weak_type)
    return typeof(x)


def element_type(x: Any) -> Type:
    """The type of one step's slice of a scanned operand."""
    whole = type_of(x)
    sliced = Type(whole.tree, tuple(_compat.without_leading_axis(a) for a in whole.avals))
    if type(x) not in VALUE_TYPES:
        return sliced
    return type_of(x.as_element(sliced.leaves()))


def flatten(values: Sequence[Any]) -> list[Any]:
    return jtu.tree_leaves(list(values))


def unflatten(types: Sequence[Type], leaves: Sequence[Any]) -> list[Any]:
    values, position = [], 0
    for t in types:
        n = len(t.avals)
        values.append(jtu.tree_unflatten(t.tree, leaves[position : position + n]))
        position += n
    return values


class Staged(NamedTuple):
    """An interpreted body: a closed jaxpr over leaves, and the types of its outputs."""

    jaxpr: Any
    outs: tuple[Type, ...]


_staged = WeakCache()
CACHES_TO_CLEAR.append(_staged)


def restage(body: Any, types: Sequence[Type], targets: Sequence[Type | None] = ()) -> Staged:
    """Interpret `body` on operands of these types, to a jaxpr over their leaves.

    **Arguments**: a jaxpr, the types of its operands, and for the first outputs the types to
    convert them to (None leaves one as it comes).
    """
    key = (tuple(types), tuple(targets), _compat.trace_context())
    found = _staged.get(body, key)
    if found is None:
        jaxpr, consts = open_jaxpr(body)
        outs: tuple[Type, ...] = ()

        def flat(*leaves: Any) -> list[Any]:
            nonlocal outs
            values = interpret(jaxpr, consts, unflatten(types, leaves))
            for i, target in enumerate(targets):
                if target is not None:
                    values[i] = _convert(values[i], target)
            outs = tuple(map(type_of, values))
            return flatten(values)

        structs = [
            jax.ShapeDtypeStruct(
                a.shape, a.dtype, weak_type=a.weak_type, sharding=_compat.aval_sharding(a)
            )
            for t in types
            for a in t.avals
        ]
        found = Staged(jax.make_jaxpr(flat)(*structs), outs)
        _staged.put(body, key, found)
    return found


def _convert(value: Any, target: Type) -> Any:
    """`value` in exactly a type: its structure by `coerce`, its leaves' dtypes by conversion."""
    leaves, tree = jtu.tree_flatten(coerce(value, target.example()))
    leaves = [
        x
        if (a := typeof(x)).dtype == t.dtype and getattr(a, "weak_type", False) == t.weak_type
        else lax.convert_element_type(x, t.dtype)
        for x, t in zip(leaves, target.avals, strict=True)
    ]
    return jtu.tree_unflatten(tree, leaves)


def join_types(lhs: Type, rhs: Type) -> Type:
    """The type that values of both become: structures by `join`, dtypes by promotion."""
    if lhs == rhs:
        return lhs
    example = join(lhs.example(), rhs.example())
    leaves, tree = jtu.tree_flatten(example)
    avals = list(map(_aval, leaves))
    # An output of another dtype (an integer converted to other units) or of weak type.
    shapes = [[a.shape for a in some] for some in (lhs.avals, rhs.avals, avals)]
    if shapes[0] == shapes[1] == shapes[2]:
        avals = [_join_avals(a, b) for a, b in zip(lhs.avals, rhs.avals, strict=True)]
    return Type(tree, tuple(avals))


def _join_avals(lhs: Any, rhs: Any) -> Any:
    if lhs.shape != rhs.shape:
        raise Unsettled
    if lhs.dtype == rhs.dtype and lhs.weak_type == rhs.weak_type:
        return lhs
    dtype = lhs.dtype if lhs.dtype == rhs.dtype else jnp.promote_types(lhs.dtype, rhs.dtype)
    return _compat.ShapedArray(lhs.shape, dtype, weak_type=False)


# -- calls ----------------------------------------------------------------------------------------


def _jit(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Compile the interpreted body under the same name, shardings and donation."""
    types = [type_of(x) for x in operands]
    staged = restage(params["jaxpr"], types)
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


def _call(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """A call that compiles nothing of its own: interpret its body in place."""
    body = params["call_jaxpr"] if "call_jaxpr" in params else params["jaxpr"]
    jaxpr, consts = open_jaxpr(body)
    return interpret(jaxpr, consts, list(operands))


def _remat(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Rematerialise the interpreted body under the same policy."""
    staged = restage(params["jaxpr"], [type_of(x) for x in operands])
    closed, consts = _compat.closed_without_consts(staged.jaxpr)
    new = dict(params, jaxpr=_compat.as_open(closed))
    return unflatten(staged.outs, primitive.bind(*consts, *flatten(operands), **new))


# -- conditionals and loops -----------------------------------------------------------------------


def _cond(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Every branch on the values; where the outputs differ in type they are joined."""
    index, *values = operands
    index = index.materialise() if type(index) in VALUE_TYPES else index
    branches = params["branches"]
    types = [type_of(x) for x in values]
    staged = [restage(branch, types) for branch in branches]
    outs = list(staged[0].outs)
    for number, other in enumerate(staged[1:], start=1):
        for i, (a, b) in enumerate(zip(outs, other.outs, strict=True)):
            try:
                outs[i] = join_types(a, b)
            except Unsettled as unsettled:
                raise unsettled.make(
                    f"Output {i} of a conditional is {describe_type(a)} in its first branch and "
                    f"{describe_type(b)} in branch {number}, which have no common type.",
                    remedy="Make the branches return the same kind of value.",
                ) from None
    staged = [
        s if list(s.outs) == outs else restage(branch, types, outs)
        for s, branch in zip(staged, branches, strict=True)
    ]
    bodies, consts = zip(*[_compat.closed_without_consts(s.jaxpr) for s in staged], strict=True)
    if any(consts):
        bodies, leading = _share_consts(staged)
    else:
        leading = []
    new = dict(params, branches=tuple(bodies))
    return unflatten(outs, primitive.bind(index, *leading, *flatten(values), **new))


def _share_consts(staged: Sequence[Staged]) -> tuple[list[Any], list[Any]]:
    """Branches that all take all branches' constants as leading operands, and those."""
    opened = [open_jaxpr(s.jaxpr) for s in staged]
    everything = [c for _, consts in opened for c in consts]
    bodies, start = [], 0
    for jaxpr, consts in opened:
        stop = start + len(consts)

        def flat(*leaves: Any, jaxpr=jaxpr, start=start, stop=stop) -> list[Any]:
            return _compat.eval_jaxpr(jaxpr, leaves[start:stop], *leaves[len(everything) :])

        structs = [
            jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=getattr(a, "weak_type", False))
            for a in (*map(typeof, everything), *(v.aval for v in jaxpr.invars))
        ]
        bodies.append(jax.make_jaxpr(flat)(*structs))
        start = stop
    return bodies, everything


_MAX_ROUNDS = 8


def _settle(
    step: Callable[[list[Type], Sequence[Type]], Staged], carry: list[Type], what: str
) -> tuple[list[Type], Staged]:
    """The carry's types, found by running the body on them until they come back unchanged."""
    n = len(carry)
    staged = step(carry, ())
    for _ in range(_MAX_ROUNDS):
        if list(staged.outs[:n]) == carry:
            return carry, staged
        joined = []
        for i, (a, b) in enumerate(zip(carry, staged.outs[:n], strict=True)):
            try:
                joined.append(join_types(a, b))
            except Unsettled as unsettled:
                raise unsettled.make(
                    f"Carry {i} of a `{what}` goes in as {describe_type(a)} and comes out of its "
                    f"body as {describe_type(b)}, which have no common type.",
                    remedy="Start the loop with the type that its body returns, or convert in the "
                    "body.",
                ) from None
        if joined == carry:  # the outputs only need converting
            staged = step(carry, carry)
            if list(staged.outs[:n]) == carry:
                return carry, staged
        carry = joined
        staged = step(carry, ())
    raise CarryError(
        f"The carry of a `{what}` changes type at every step: "
        + ", ".join(map(describe_type, staged.outs[:n]))
        + ".",
        "A quantity multiplied by a unit in every step has no unit that a loop could carry.",
    )


def describe_type(t: Type) -> str:
    return describe(strip(t.example()))


def _scan(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    consts, carry, xs = _compat.scan_operands(list(operands), params)
    const_types = [type_of(x) for x in consts]
    x_types = [element_type(x) for x in xs]

    def step(types: list[Type], targets: Sequence[Type]) -> Staged:
        return restage(params["jaxpr"], [*const_types, *types, *x_types], tuple(targets))

    carry_types, staged = _settle(step, [type_of(x) for x in carry], "scan")
    carry = [_convert(x, t) for x, t in zip(carry, carry_types, strict=True)]
    closed, hoisted = _compat.closed_without_consts(staged.jaxpr)
    const_leaves, carry_leaves, x_leaves = flatten(consts), flatten(carry), flatten(xs)
    y_types = [stacked_type(t, params["length"]) for t in staged.outs[len(carry) :]]
    new = _compat.scan_params(
        params,
        closed,
        len(hoisted) + len(const_leaves),
        len(carry_leaves),
        len(x_leaves),
        sum(len(t.avals) for t in y_types),
    )
    outs = primitive.bind(*hoisted, *const_leaves, *carry_leaves, *x_leaves, **new)
    return unflatten([*carry_types, *y_types], outs)


def stacked_type(t: Type, length: int) -> Type:
    """The type of `length` values of type `t` along a new leading axis."""
    whole = Type(t.tree, tuple(_compat.with_leading_axis(a, length) for a in t.avals))
    example = t.example()
    if type(example) not in VALUE_TYPES:
        return whole
    return type_of(example.as_stacked(whole.leaves()))


def _while(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
    cond_consts = list(operands[:n_cond])
    body_consts = list(operands[n_cond : n_cond + n_body])
    carry = list(operands[n_cond + n_body :])
    body_types = [type_of(x) for x in body_consts]

    def step(types: list[Type], targets: Sequence[Type]) -> Staged:
        return restage(params["body_jaxpr"], [*body_types, *types], tuple(targets))

    carry_types, staged = _settle(step, [type_of(x) for x in carry], "while")
    carry = [_convert(x, t) for x, t in zip(carry, carry_types, strict=True)]
    test = restage(params["cond_jaxpr"], [*[type_of(x) for x in cond_consts], *carry_types])
    body, body_hoisted = _compat.closed_without_consts(staged.jaxpr)
    cond, cond_hoisted = _compat.closed_without_consts(test.jaxpr)
    cond_leaves = [*cond_hoisted, *flatten(cond_consts)]
    body_leaves = [*body_hoisted, *flatten(body_consts)]
    new = dict(
        params,
        cond_jaxpr=cond,
        body_jaxpr=body,
        cond_nconsts=len(cond_leaves),
        body_nconsts=len(body_leaves),
    )
    return unflatten(
        carry_types, primitive.bind(*cond_leaves, *body_leaves, *flatten(carry), **new)
    )


# -- custom derivatives ---------------------------------------------------------------------------


def _custom_jvp(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Keep the rule: the interpreted function has the interpreted rule as its derivative."""
    types = [type_of(x) for x in operands]
    jaxpr, consts = open_jaxpr(params["call_jaxpr"])
    outs: tuple[Type, ...] = ()

    def primal(*leaves: Any) -> list[Any]:
        nonlocal outs
        values = [strip(x) for x in interpret(jaxpr, consts, unflatten(types, leaves))]
        outs = tuple(map(type_of, values))
        return flatten(values)

    def rule(leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        nonlocal outs
        values = unflatten(types, leaves)
        n_consts = params["num_consts"]
        skipped = sum(len(t.avals) for t in types[:n_consts])
        values = values[n_consts:]
        zeros, given = _tangent_values(values, types[n_consts:], tangents[skipped:])
        with staging():  # the rule may capture values, as the function may
            rule_jaxpr, rule_consts, out_zeros = _compat.jvp_jaxpr(params, zeros)
        rule_jaxpr, more = open_jaxpr(rule_jaxpr)
        results = interpret(rule_jaxpr, rule_consts or more, [*values, *given])
        results = [strip(x) for x in results]
        primals, nonzero = results[: len(out_zeros)], iter(results[len(out_zeros) :])
        outs = tuple(map(type_of, primals))
        out_leaves, out_tangents = [], []
        for value, is_zero in zip(primals, out_zeros, strict=True):
            own = jtu.tree_leaves(value)
            out_leaves += own
            if is_zero:
                out_tangents += [jnp.zeros_like(x) for x in own]
            else:
                out_tangents += _tangent_leaves(next(nonzero), value)
        return out_leaves, out_tangents

    call = jax.custom_jvp(primal)
    call.defjvp(rule, symbolic_zeros=params["symbolic_zeros"])
    results = call(*flatten(operands))
    return unflatten(outs, results)


def _tangent_values(
    values: Sequence[Any], types: Sequence[Type], tangents: Sequence[Any]
) -> tuple[list[bool], list[Any]]:
    """Which operands have a symbolically zero tangent, and the tangents of the others."""
    zeros, given, position = [], [], 0
    for value, t in zip(values, types, strict=True):
        own = tangents[position : position + len(t.avals)]
        position += len(t.avals)
        zero = bool(own) and all(is_symbolic_zero(x) for x in own)
        zeros.append(zero)
        if not zero:
            own = [_compat.zeros_of(x) if is_symbolic_zero(x) else x for x in own]
            given.append(value.as_tangent(own) if type(value) in VALUE_TYPES else own[0])
    return zeros, given


def _tangent_leaves(tangent: Any, value: Any) -> list[Any]:
    leaves = jtu.tree_leaves(value)
    if type(value) in VALUE_TYPES:
        tangent = coerce(tangent, value.as_tangent(leaves))
    else:
        tangent = strip(tangent)
    return jtu.tree_leaves(tangent)


def _custom_vjp(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Keep the rule: interpret the forward and the backward function too."""
    types = [type_of(x) for x in operands]
    jaxpr, consts = open_jaxpr(params["call_jaxpr"])
    outs: tuple[Type, ...] = ()
    residual_types: tuple[Type, ...] = ()

    def primal(*leaves: Any) -> list[Any]:
        nonlocal outs
        values = [strip(x) for x in interpret(jaxpr, consts, unflatten(types, leaves))]
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
            fwd_jaxpr, fwd_consts = _compat.fwd_jaxpr(params, perturbed[n_consts:])
        fwd_open, more = open_jaxpr(fwd_jaxpr)
        results = interpret(fwd_open, fwd_consts or more, values[n_consts:])
        out_tree, residual_tree, forwarded = params["out_trees"]()
        n_res = sum(f is None for f in forwarded)
        pruned, primals = results[:n_res], [strip(x) for x in results[n_res:]]
        pruned = iter(pruned)
        residuals = [next(pruned) if f is None else values[f] for f in forwarded]
        residual_types = tuple(map(type_of, residuals))
        outs = tuple(map(type_of, primals))
        return flatten(primals), flatten(residuals)

    def backward(leaves: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
        residuals = unflatten(residual_types, leaves)
        given, position = [], 0
        for t in outs:
            own = cotangents[position : position + len(t.avals)]
            position += len(t.avals)
            own = [_compat.zeros_of(x) if is_symbolic_zero(x) else x for x in own]
            example = t.example()
            given.append(example.as_cotangent(own) if type(example) in VALUE_TYPES else own[0])
        from ._quaxify import quaxify

        def run(*args: Any) -> list[Any]:
            results = _compat.call_maybe_wrapped(params["bwd"], *args)
            results = _compat.backward_results(results)
            return [None if x is None or is_symbolic_zero(x) else x for x in results]

        results = quaxify(run)(*residuals, *given)
        n_consts = params["num_consts"]
        out: list[Any] = []
        for i, t in enumerate(types):
            ct = results[i - n_consts] if i >= n_consts else None
            example = t.example()
            if ct is None:
                out += [_zero_cotangent(a) for a in t.avals]
            elif type(example) in VALUE_TYPES:
                like = example.as_cotangent([jnp.zeros(a.shape, a.dtype) for a in t.avals])
                out += jtu.tree_leaves(coerce(ct, like))
            else:
                out.append(strip(ct))
        return tuple(out)

    call = jax.custom_vjp(primal)
    call.defvjp(forward, backward, symbolic_zeros=True)
    results = call(*flatten(operands))
    return unflatten(outs, results)


def _zero_cotangent(aval: Any) -> Any:
    if jnp.issubdtype(aval.dtype, jnp.inexact):
        return jnp.zeros(aval.shape, aval.dtype)
    return np.zeros(aval.shape, jax.dtypes.float0)


# -- linear solves --------------------------------------------------------------------------------


def _custom_linear_solve(
    primitive: Any, operands: Sequence[Any], params: dict[str, Any]
) -> list[Any]:
    """`lax.custom_linear_solve` on the interpreted functions; the solution's type is solve's."""
    lengths, bodies = params["const_lengths"], params["jaxprs"]
    groups, position = [], 0
    for n in lengths:
        groups.append(list(operands[position : position + n]))
        position += n
    matvec_consts, vecmat_consts, solve_consts, transpose_consts = groups
    b = list(operands[position:])
    b_types = [type_of(x) for x in b]

    def run(body: Any, consts: list[Any], args: list[Any]) -> list[Any]:
        jaxpr, own = open_jaxpr(body)
        return [strip(x) for x in interpret(jaxpr, own, [*consts, *args])]

    solution = jax.eval_shape(
        lambda leaves: run(bodies.solve, solve_consts, unflatten(b_types, leaves)), flatten(b)
    )
    x_types = [type_of(x) for x in solution]

    try:
        product = jax.eval_shape(
            lambda leaves: run(bodies.matvec, matvec_consts, unflatten(x_types, leaves)),
            [a for x in solution for a in jtu.tree_leaves(x)],
        )
        for x, t in zip(product, b_types, strict=True):
            coerce(x, t.example())
    except Unsettled:
        # The solver materialised: a type without structure to keep. Then so do all operands.
        arrays = [x.materialise() if type(x) in VALUE_TYPES else x for x in operands]
        return primitive.bind(*arrays, **params)

    def matvec(leaves: list[Any]) -> list[Any]:
        out = run(bodies.matvec, matvec_consts, unflatten(x_types, leaves))
        return flatten([_convert(x, t) for x, t in zip(out, b_types, strict=True)])

    def solve(_: Any, leaves: list[Any]) -> list[Any]:
        return flatten(run(bodies.solve, solve_consts, unflatten(b_types, leaves)))

    def transpose_solve(_: Any, leaves: list[Any]) -> list[Any]:
        given = []
        for x, own in zip(x_types, _regroup(x_types, leaves), strict=True):
            example = x.example()
            given.append(example.as_cotangent(own) if type(example) in VALUE_TYPES else own[0])
        out = run(bodies.transpose_solve, transpose_consts, given)
        result: list[Any] = []
        for ct, t in zip(out, b_types, strict=True):
            example = t.example()
            if type(example) in VALUE_TYPES:
                ct = coerce(
                    ct, example.as_cotangent([jnp.zeros(a.shape, a.dtype) for a in t.avals])
                )
            result += jtu.tree_leaves(strip(ct))
        return result

    del vecmat_consts
    leaves = lax.custom_linear_solve(
        matvec, flatten(b), solve, transpose_solve if bodies.transpose_solve is not None else None
    )
    return unflatten(x_types, leaves)


def _regroup(types: Sequence[Type], leaves: Sequence[Any]) -> list[list[Any]]:
    groups, position = [], 0
    for t in types:
        groups.append(list(leaves[position : position + len(t.avals)]))
        position += len(t.avals)
    return groups


HIGHER_ORDER.update(
    jit=_jit,
    call=_call,
    core_call=_call,
    closed_call=_call,
    core_closed_call=_call,
    eval_jaxpr=_call,
    remat2=_remat,
    cond=_cond,
    scan=_scan,
    custom_jvp_call=_custom_jvp,
    custom_vjp_call=_custom_vjp,
    custom_linear_solve=_custom_linear_solve,
)
HIGHER_ORDER["while"] = _while

__all__ = ["Polymorphic", "bind_equation", "restage", "type_of"]
