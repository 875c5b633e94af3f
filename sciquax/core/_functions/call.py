"""`whole_call`: a call of a function that stays one equation until it is interpreted."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.tree_util as jtu
from jax.interpreters import batching, mlir

from .._compat.code import written_by_jax
from .._compat.jaxprs import Literal, Primitive, eval_jaxpr, open_jaxpr
from .._compat.results import named_result
from .._compat.tracing import trace_to_jaxpr
from .._values.kinds import is_value
from .._values.unit_polymorphic import strip
from .._weak_cache import WeakCache
from .batched import Batch, mapped
from .rules import FunctionRules, held_by, labels

whole_call_p = Primitive("whole_call")
whole_call_p.multiple_results = True


class Call(NamedTuple):
    """A call of a function: its arguments, with holes where the operands go.

    `batches` are the `vmap`s around it, the outermost first; `differentiated`, whether the caller
    also asks for its derivative.
    """

    rules: FunctionRules
    leaves: tuple[Any, ...]
    tree: Any
    holes: tuple[int, ...]
    batches: tuple[Batch, ...] = ()
    differentiated: bool = False

    def arguments(self, operands: Sequence[Any]) -> tuple[tuple, dict[str, Any]]:
        leaves = list(self.leaves)
        for i, x in zip(self.holes, operands, strict=True):
            leaves[i] = x
        return jtu.tree_unflatten(self.tree, leaves)

    def data(self, operands: Sequence[Any]) -> list[Any]:
        """The arrays among the arguments in their order: operands, and what was concrete."""
        given = dict(zip(self.holes, operands, strict=True))
        return [
            given.get(i, x) for i, x in enumerate(self.leaves) if i in given or hasattr(x, "shape")
        ]


class ById:
    """Holds an object as a parameter of an equation: equal to nothing but itself."""

    __slots__ = ("item",)

    def __init__(self, item: Any):
        self.item = item

    def __repr__(self) -> str:
        item = getattr(self.item, "call", self.item)
        return f"<call of {item.rules.name}>"


def call_whole(rules: FunctionRules, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The rule's answer for a function called on values outside of staging, or NotImplemented."""
    leaves, tree = jtu.tree_flatten((args, kwargs), is_leaf=is_value)
    if any(is_value(x) and x.payload and is_value(getattr(x, x.payload)) for x in leaves):
        leaves = [x.canonical() if is_value(x) else x for x in leaves]
        args, kwargs = jtu.tree_unflatten(tree, leaves)
    rule = rules.rule([x for x in leaves if hasattr(x, "shape")], willing=True)
    if rule is None:
        return NotImplemented
    out = named_result(rules.function, rule(args, kwargs))
    return jtu.tree_map(strip, out, is_leaf=is_value)


# -- the equation ---------------------------------------------------------------------------------


def differentiable(operands: Sequence[Any]) -> bool:
    """Whether rules on these operands may be differentiated themselves."""
    types = [type(strip(x)) for x in operands if is_value(strip(x))]
    outermost = max(types, key=lambda t: t.layer, default=None)
    if outermost is not None and labels(outermost):
        return differentiable([held_by(x, outermost) for x in operands])
    return outermost is not None and outermost.differentiable_rules


def apply_rule(call: Call, operands: Sequence[Any]) -> Any:
    """The results of a call's rule, as a list; or NotImplemented."""
    whole = call.rules.rule(call.data(operands))
    if whole is None:
        return NotImplemented

    def apply(operands: Sequence[Any]) -> Any:
        rule = whole
        if call.batches:  # the rule for an element
            rule = call.rules.rule(call.data(operands)) or whole
        out = rule(*call.arguments(operands))
        return out if out is NotImplemented else jtu.tree_leaves(out, is_leaf=is_value)

    for batch in reversed(call.batches):
        apply = mapped(apply, batch)
    return apply(list(operands))


def carry_out(call: Call, operands: Sequence[Any]) -> Any:
    """The results of a call by its rule, as a list; or NotImplemented if its body is to serve."""
    if call.differentiated and not differentiable(operands):
        return NotImplemented
    return apply_rule(call, operands)


class Within(NamedTuple):
    """A function's body that only makes a whole call: which operands it takes, what it returns."""

    call: Call
    body: Any
    operands: tuple[int, ...]
    results: tuple[int, ...]


_within = WeakCache()


def whole_call_in(body: Any) -> Within | None:
    """The whole call that is all there is to the body of a jitted or `custom_jvp` function."""
    found = _within.get(body, ())
    if found is None:
        found = _find_within(body)
        _within.put(body, (), found)
    return found if isinstance(found, Within) else None


def _find_within(body: Any) -> Within | bool:
    jaxpr, consts = open_jaxpr(body)
    if consts or len(jaxpr.eqns) != 1 or jaxpr.eqns[0].primitive is not whole_call_p:
        return False
    (eqn,) = jaxpr.eqns
    places = {var: i for i, var in enumerate(jaxpr.invars)}
    made = {var: i for i, var in enumerate(eqn.outvars)}
    if any(type(v) is Literal or v not in places for v in eqn.invars):
        return False
    if any(type(v) is Literal or v not in made for v in jaxpr.outvars):
        return False
    call: Call = eqn.params["call"].item
    takes = tuple(places[v] for v in eqn.invars)
    return Within(call, eqn.params["body"], takes, tuple(made[v] for v in jaxpr.outvars))


def answered(eqn: Any, operands: Sequence[Any]) -> Any:
    """The results of an equation that calls a function which has a rule, or NotImplemented."""
    if eqn.primitive is whole_call_p:
        call = eqn.params["call"].item
        if call.rules.inlined and written_by_jax(eqn.source_info.traceback):
            return NotImplemented
        return carry_out(call, operands)
    body = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    found = None if body is None else whole_call_in(body)
    if found is None:
        return NotImplemented
    out = carry_out(found.call, [operands[i] for i in found.operands])
    return out if out is NotImplemented else [out[i] for i in found.results]


def run_body(*operands: Any, call: Any, body: Any) -> list[Any]:
    jaxpr, consts = open_jaxpr(body)
    return eval_jaxpr(jaxpr, consts, *operands)


@whole_call_p.def_abstract_eval
def _abstract(*_, call, body):
    return body.out_avals


def _batch(operands, dims, *, call, body):
    """Stay one equation: a function under one more map."""
    sizes = {x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None}
    (size,) = sizes
    dims = tuple(dims)
    item: Call = call.item
    batch = Batch(size, dims, (0,) * len(body.out_avals))
    run = functools.partial(run_body, call=call, body=body)
    closed = trace_to_jaxpr(jax.vmap(run, in_axes=dims), operands)
    now = item._replace(batches=(batch, *item.batches))
    outs = whole_call_p.bind(*operands, call=ById(now), body=closed)
    return outs, [0] * len(outs)


whole_call_p.def_impl(run_body)
# JAX 0.12 asks this of an equation whose body it does not lower as it is.
whole_call_p.to_lojax = run_body  # pyright: ignore[reportAttributeAccessIssue]
mlir.register_lowering(whole_call_p, mlir.lower_fun(run_body, multiple_results=True))
batching.primitive_batchers[whole_call_p] = _batch
