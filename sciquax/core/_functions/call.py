"""`whole_call`: a call that stays one equation until it is interpreted.

The equation says who carries the call out once there are values, a `LateCall`: the rules of a
function of JAX's (`RuledCall`), a solver that needs units, or the derivative of such a call, see
`_higher_order/late_call_derivatives.py`. A call of JAX's function also has the function's own
jaxpr as `body`, which serves where it is not carried out.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.tree_util as jtu
from jax.interpreters import batching, mlir

from .._compat.code import written_by_jax
from .._compat.execution import default_promotion
from .._compat.jaxprs import Literal, Primitive, eval_jaxpr, open_jaxpr, with_leading_axis
from .._compat.results import named_result
from .._compat.tracing import trace_to_jaxpr
from .._values.formulas import settle
from .._values.kinds import is_value
from .._values.mode import MODE
from .._values.unit_polymorphic import strip
from .._weak_cache import WeakCache
from .batched import Batch, mapped, mapped_derivative
from .rules import FunctionRules, labels, payload_of


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LateCall:
    """The executor of a call whose operands become values later. It is equal to itself alone.

    **Attributes**: what the call is `of`, in words; and `batches`, the `vmap`s around it, the
    outermost first.
    """

    of: str
    batches: tuple[Batch, ...] = ()

    def __repr__(self) -> str:
        return f"<call of {self.of}>"

    def once(self, operands: Sequence[Any]) -> Any:
        """The results within all `vmap`s, as a list; or NotImplemented if the body is to serve."""
        raise NotImplementedError

    def carry_out(self, operands: Sequence[Any]) -> Any:
        """The results, as a list; or NotImplemented if the body is to serve."""
        return self.within_batches(self.once, [*map(settle, operands)])

    def within_batches(self, apply: Callable[[Sequence[Any]], Any], operands: Sequence[Any]) -> Any:
        for batch in reversed(self.batches):
            apply = mapped(apply, batch)
        return apply(list(operands))

    def differentiated(self) -> "LateCall | None":
        """The same call where the caller also asks for its derivative. None: the body's serves."""
        return self

    def own_derivative(self, operands: Sequence[Any]) -> Callable[..., Any] | None:
        """The derivative that a rule with a `derivative` says itself, see `register_rule`.

        A function of operands, tangents or cotangents by their places, and whether it takes these.
        """
        return None


class _WholeCall(Primitive):
    """A call that the interpreter carries out. Outside of staging it runs at once."""

    multiple_results = True

    def bind(self, *operands: Any, call: LateCall, body: Any, avals: Any) -> Any:
        if MODE.staging:
            return super().bind(*operands, call=call, body=body, avals=avals)
        return run(*operands, call=call, body=body, avals=avals)


whole_call_p = _WholeCall("whole_call")


def leave_call(
    call: LateCall, operands: Sequence[Any], body: Any = None, avals: Sequence[Any] | None = None
) -> list[Any]:
    """Leave one equation of a call in the program being staged.

    **Arguments**: who carries it out; the operands; the jaxpr that serves where nobody does, if
    there is one; and the abstract values of the results, if there is none.

    **Returns** a tracer for each result.
    """
    avals = tuple(body.out_avals if avals is None else avals)
    return whole_call_p.bind(*operands, call=call, body=body, avals=avals)


def run(*operands: Any, call: LateCall, body: Any, avals: Any) -> list[Any]:
    """The result of a call on plain arrays."""
    return call.carry_out(operands) if body is None else run_body(body, *operands)


def run_body(body: Any, *operands: Any) -> list[Any]:
    jaxpr, consts = open_jaxpr(body)
    return eval_jaxpr(jaxpr, consts, *operands)


@whole_call_p.def_abstract_eval
def _abstract(*_, call, body, avals):
    return list(avals)


def _batch(operands, dims, *, call, body, avals):
    """Batch the call by one more map; it stays one equation."""
    (size,) = {x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None}
    dims = tuple(dims)
    batch = Batch(size, dims, (0,) * len(avals))
    call = dataclasses.replace(call, batches=(batch, *call.batches))
    if body is not None:
        body = trace_to_jaxpr(jax.vmap(functools.partial(run_body, body), in_axes=dims), operands)
    outs = leave_call(call, operands, body, [with_leading_axis(a, size) for a in avals])
    return outs, [0] * len(outs)


whole_call_p.def_impl(run)
# JAX 0.12 asks this of an equation whose body it does not lower as it is.
whole_call_p.to_lojax = run  # pyright: ignore[reportAttributeAccessIssue]
# A function jitted by the user and traced within `quaxify` is bound again on plain arrays.
mlir.register_lowering(whole_call_p, mlir.lower_fun(run, multiple_results=True))
batching.primitive_batchers[whole_call_p] = _batch


# -- functions that have rules --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RuledCall(LateCall):
    """A call of a function that has rules: its arguments, with holes where the operands go.

    `rule_differentiated`: whether the rule would be differentiated, which not all types allow.
    """

    rules: FunctionRules
    leaves: tuple[Any, ...]
    tree: Any
    holes: tuple[int, ...]
    rule_differentiated: bool = False

    def arguments(self, operands: Sequence[Any]) -> tuple[tuple, dict[str, Any]]:
        leaves = list(self.leaves)
        for i, x in zip(self.holes, operands, strict=True):
            leaves[i] = x
        return jtu.tree_unflatten(self.tree, leaves)

    def rule(self, operands: Sequence[Any]) -> Callable[..., Any] | None:
        """The rule for the arrays among the arguments: operands, and what was concrete."""
        given = dict(zip(self.holes, operands, strict=True))
        return self.rules.rule(
            [
                given.get(i, x)
                for i, x in enumerate(self.leaves)
                if i in given or hasattr(x, "shape")
            ]
        )

    def own_derivative(self, operands: Sequence[Any]) -> Callable[..., Any] | None:
        found = getattr(self.rule(operands), "derivative", None)
        if found is None:
            return None

        def derivative(operands: Sequence[Any], given: dict[int, Any], transposed: bool) -> Any:
            args, kwargs = self.arguments(operands)
            return found(given, transposed, *args, **kwargs)

        for batch in reversed(self.batches):
            derivative = mapped_derivative(derivative, batch)
        return derivative

    def carry_out(self, operands: Sequence[Any]) -> Any:
        whole = self.rule(operands)
        if self.rule_differentiated and not _differentiable(operands):
            if getattr(whole, "derivative", None) is None:
                return NotImplemented
        if whole is None:
            return NotImplemented

        def once(operands: Sequence[Any]) -> Any:
            rule = (self.rule(operands) or whole) if self.batches else whole
            out = rule(*self.arguments(operands))
            return out if out is NotImplemented else jtu.tree_leaves(out, is_leaf=is_value)

        return self.within_batches(once, operands)

    def differentiated(self) -> LateCall:
        return dataclasses.replace(self, rule_differentiated=True)


def _differentiable(operands: Sequence[Any]) -> bool:
    """Whether rules on these operands may be differentiated themselves."""
    types = [type(strip(x)) for x in operands if is_value(strip(x))]
    outermost = max(types, key=lambda t: t.layer, default=None)
    if outermost is not None and labels(outermost):
        return _differentiable([payload_of(x, outermost) for x in operands])
    return outermost is not None and outermost.differentiable_rules


def call_whole(rules: FunctionRules, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The rule's answer for a function called on values outside of staging, or NotImplemented."""
    leaves, tree = jtu.tree_flatten((args, kwargs), is_leaf=is_value)
    if any(is_value(x) and x.payload and is_value(getattr(x, x.payload)) for x in leaves):
        leaves = [x.canonical() if is_value(x) else x for x in leaves]
        args, kwargs = jtu.tree_unflatten(tree, leaves)
    rule = rules.rule([x for x in leaves if hasattr(x, "shape")], willing=True)
    if rule is None:
        return NotImplemented
    with default_promotion():
        out = named_result(rules.function, rule(args, kwargs))
    return jtu.tree_map(strip, out, is_leaf=is_value)


class Within(NamedTuple):
    """A function's body that only makes a whole call: which operands it takes, what it returns."""

    call: RuledCall
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
    call = eqn.params["call"]
    if not isinstance(call, RuledCall):  # what is compiled with what is around it
        return False
    takes = tuple(places[v] for v in eqn.invars)
    return Within(call, eqn.params["body"], takes, tuple(made[v] for v in jaxpr.outvars))


def answered(eqn: Any, operands: Sequence[Any]) -> Any:
    """The results of an equation that is a late call, if it is carried out, or NotImplemented."""
    if eqn.primitive is whole_call_p:
        call = eqn.params["call"]
        inlined = isinstance(call, RuledCall) and call.rules.inlined
        if inlined and written_by_jax(eqn.source_info.traceback):
            return NotImplemented
        return call.carry_out(operands)
    body = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    found = None if body is None else whole_call_in(body)
    if found is None:
        return NotImplemented
    out = found.call.carry_out([operands[i] for i in found.operands])
    return out if out is NotImplemented else [out[i] for i in found.results]
