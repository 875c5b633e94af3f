"""The interpreter: walk a jaxpr's equations in order, on values.

An equation without values is bound again as it is. Otherwise its rule is looked up and called.
Since re-binding is all that happens, any JAX transformation around the interpreter just works, and
nothing of it is left in a compiled program.
"""

from collections.abc import Container, Sequence
from typing import Any

import jax.extend.source_info_util as source_info_util
import jax.numpy as jnp
import jax.tree_util as jtu

from ._compat import jaxprs
from ._compat.execution import current_context, equation_context
from ._compat.jaxprs import Literal, all_inputs, bind_equation, open_jaxpr
from ._dispatch.resolve import resolve
from ._dispatch.signatures import has_signature_rules, plain_rule
from ._dispatch.tables import HIGHER_ORDER, TAKES_STATED
from ._errors import LocatedError, MisshapenError, RuleError, at_equation, code_line
from ._functions.call import answered, whole_call_in
from ._liveness import last_uses, live_equations
from ._values.captured import eject, inject_p
from ._values.formulas import bind_plain, grows, is_transient, settle, wants_deferred
from ._values.kinds import VALUE_TYPES, aval_of, describe, short_aval
from ._values.mode import MODE, not_staging
from ._values.stated import Numbers, marked
from ._values.trust import TRUST, note_picked, output_literals
from ._values.unit_polymorphic import (
    Polymorphic,
    for_rules,
    is_polymorphic_literal,
    stays_polymorphic,
    strip,
)
from ._weak_cache import WeakCache
from ._widened import any_wider, cut_off, is_wider, promoted


def never_returns(eqn: Any) -> bool:
    """Whether an equation is the callback with which Equinox raises an error at run time."""
    if eqn.primitive.name != "pure_callback":
        return False
    function = getattr(eqn.params["callback"], "callback_func", None)
    return getattr(function, "__module__", None) == "equinox._errors"


def bind_error(eqn: Any, operands: list[Any]) -> list[Polymorphic]:
    """Bind it on bare arrays; its outputs are of every type."""
    return [Polymorphic(x) for x in bind_equation(eqn, jtu.tree_leaves(operands))]


def interpret(
    jaxpr: Any,
    consts: Sequence[Any],
    operands: Sequence[Any],
    deferring: bool = False,
    data: Container[int] = (),
    literals: list[Any] | None = None,
) -> list[Any]:
    """The outputs of a jaxpr on values and arrays. Polymorphic constants come out as such.

    With `deferring`, arrays known by a formula are kept so even if no operand asks for it, and in
    the outputs. `data` holds the ids of constants that the program does not state. `literals` is
    filled with those of which the outputs are made, see `trust.py`.
    """
    with not_staging():
        return _interpreted(jaxpr, consts, operands, deferring, data, literals)


def _interpreted(
    jaxpr: Any, consts: Any, operands: Any, deferring: bool, data: Any, literals: Any
) -> list[Any]:
    numbers, inputs = Numbers(), all_inputs(jaxpr, len(consts))
    env = Environment(zip(inputs, numbers.enter(inputs, consts, operands, data), strict=True))
    env.wider = any_wider([*env.values()], inputs)
    here = current_context()
    before = _, _, outer = MODE.direct, MODE.deferring, MODE.numbers
    MODE.direct, MODE.numbers = False, numbers
    MODE.deferring = deferring or any(map(wants_deferred, operands))
    step = _equation
    if (observer := MODE.observer) is not None:
        observer.enter(jaxpr, len(consts), [*env.values()])
        step = _observed
    live, trusting = None, TRUST.value is not None
    place = numbers.place = None if outer is None else outer.place
    try:
        for eqn, dead in zip(jaxpr.eqns, last_uses(jaxpr), strict=True):
            if live is not None and id(eqn) not in live:
                continue
            if trusting:
                numbers.place = str(code_line(eqn) or place or "") or None
            source = eqn.source_info
            stack = source_info_util.current_name_stack() + source.name_stack
            with (
                source_info_util.user_context(source.traceback, name_stack=stack),
                equation_context(eqn, here),
            ):
                try:
                    outs = step(eqn, env)
                except Exception as error:
                    at_equation(error, eqn)
                    if live is None and observer is None and _may_be_unused(error, eqn):
                        live = live_equations(jaxpr)
                        if id(eqn) not in live:
                            continue
                    raise
            env.update(zip(eqn.outvars, outs, strict=True))
            if (stated := numbers.note(eqn)) or trusting:
                if plain_rule(eqn.primitive, numbers.at[1]) is not None:
                    numbers.forget(eqn)  # the rule says what it is
                elif not stated:
                    note_picked(numbers, eqn)
            for var in (*dead, *env.misshapen):
                env.pop(var, None)
        env.update((var, x) for var, (x, _) in env.misshapen.items())  # fine if nothing follows
        outs = _tag_literals(jaxpr.outvars, [_read(env, var) for var in jaxpr.outvars])
        numbers.place = place
        if literals is not None:
            literals += output_literals(numbers, jaxpr) if trusting else [()] * len(outs)
        return [*map(settle, outs)] if MODE.deferring and not deferring else outs
    finally:
        MODE.direct, MODE.deferring, MODE.numbers = before
        numbers.at = (), ()
        if observer is not None:
            observer.leave()


def _may_be_unused(error: Exception, eqn: Any) -> bool:
    """Whether a call that cannot be carried out on these values matters only if it is used.

    Libraries compute what nobody asked for, and XLA drops it: Diffrax a fraction of time done, by
    `where(t0 == t1, 1, t1 - t0)`, whose 1 has no unit. What is not a call is the user's, and said.
    """
    return isinstance(error, LocatedError) and eqn.primitive.name == "jit"


class Environment(dict):
    """What each variable of a jaxpr stands for.

    `misshapen` holds results of rules in other shapes than JAX's, with the equations. The jaxpr was
    staged with JAX's shapes: an equation that takes such a result would not do what is meant.
    `wider` says whether some integer of the program is floating point, see `_widened.py`.
    """

    def __init__(self, pairs: Any):
        super().__init__(pairs)
        self.wider = False
        self.misshapen: dict[Any, tuple[Any, Any]] = {}

    def __missing__(self, var: Any) -> Any:
        result, eqn = self.misshapen[var]
        error = MisshapenError(
            f"The rule for `{eqn.primitive.name}` made {describe(result)} where JAX makes "
            f"{short_aval(var.aval)}, and what follows builds on it.",
            "A function is traced with JAX's shapes before it is interpreted. Return JAX's shape, "
            "or end the quaxified function there and go on outside of it.",
        )
        at_equation(error, eqn)
        raise error


def _observed(eqn: Any, env: Environment) -> Sequence[Any]:
    """`_equation`, with an observer told of it."""
    MODE.observer.before(eqn)
    outs = _equation(eqn, env)
    MODE.observer.after(outs)
    return outs


def _equation(eqn: Any, env: Environment) -> Sequence[Any]:
    """The results of one equation."""
    operands = [_read(env, var) for var in eqn.invars]
    if env.wider:
        staged, (eqn, operands) = eqn, promoted(eqn, operands)
        if eqn.primitive.name == "div":
            return cut_off(staged, _carried_out(eqn, operands, env))
    return _carried_out(eqn, operands, env)


def _carried_out(eqn: Any, operands: list[Any], env: Environment) -> Sequence[Any]:
    out: Any
    MODE.numbers.at = eqn.invars, operands
    primitive = eqn.primitive
    if primitive is inject_p:
        value = eject(map(strip, operands), eqn.params["tree"])
        MODE.deferring = MODE.deferring or wants_deferred(value)
        return [value]
    if never_returns(eqn):
        return bind_error(eqn, operands)
    has_value = any(type(x) in VALUE_TYPES for x in operands)
    tagged = _tag_literals(eqn.invars, operands)
    if primitive.name in HIGHER_ORDER:
        if not (env.wider and any_wider(operands, eqn.invars)) and not _worth_opening(eqn, tagged):
            if MODE.deferring and eqn.params.get(_CALLS.get(primitive.name)) and grows(eqn):
                body = open_jaxpr(eqn.params[_CALLS[primitive.name]])
                return interpret(*body, MODE.numbers.passed_on(tagged), True)
            return marked(eqn, bind_equation(eqn, [strip(x) for x in operands]))
        if (outs := answered(eqn, for_rules(tagged))) is not NotImplemented:
            return _checked(eqn, outs, env)
        if MODE.deferring:
            if primitive.name not in _CALLS:
                tagged = [*map(settle, tagged)]
            elif primitive.name == "jit" and _states_numbers(eqn, tagged):
                body = open_jaxpr(eqn.params["jaxpr"])
                return interpret(*body, MODE.numbers.passed_on(tagged), deferring=True)
        return _checked(eqn, HIGHER_ORDER_or_rule(eqn, tagged), env)
    if has_value or (tagged is not operands and stays_polymorphic(primitive, tagged)):
        out = resolve(primitive, tagged)(primitive, tagged, eqn.params)
        return _checked(eqn, out if primitive.multiple_results else (out,), env)
    if (rule := plain_rule(primitive, operands)) is not None:
        out = rule(primitive, operands, eqn.params)
        return _checked(eqn, out if primitive.multiple_results else (out,), env)
    if MODE.deferring:
        out = bind_plain(primitive, operands, primitive.get_bind_params(eqn.params))
    else:
        out = bind_equation(eqn, operands)
    if primitive.name in _UNINITIALISED:
        out = Polymorphic(out)
    return out if primitive.multiple_results else (out,)


def _checked(eqn: Any, results: Any, env: Environment) -> Sequence[Any]:
    """A rule's results: as many as JAX's, each an array or a value. Other shapes are put aside."""
    outvars = eqn.outvars
    if not isinstance(results, (list, tuple)):
        results = list(results) if hasattr(type(results), "__iter__") else [results]
    if len(results) != len(outvars):
        raise RuleError(
            f"The rule for `{eqn.primitive.name}` returned {len(results)} results, where JAX "
            f"returns {len(outvars)}.",
            "Return a list of so many arrays or values.",
        )
    for x, var in zip(results, outvars, strict=True):
        try:
            shape = aval_of(x).shape
            env.wider = env.wider or is_wider(x, var)
        except TypeError:
            raise RuleError(
                f"The rule for `{eqn.primitive.name}` returned {x!r}, which is neither an array "
                "nor a value."
            ) from None
        if shape != var.aval.shape:
            env.misshapen[var] = x, eqn
    return results


_CALLS = {"jit": "jaxpr", "whole_call": "body"}
"""Equations that only call a function, and the parameter with its body."""

_SHORT = 8


def _states_numbers(eqn: Any, operands: Sequence[Any]) -> bool:
    """Whether a call of few equations is given numbers that stand in the program, or formulas.

    `jnp.where(mask, x, 0.0)` is a call with the zero as an operand, which must stay known as zero.
    """
    found = whole_call_in(eqn.params["jaxpr"])
    body, _ = open_jaxpr(eqn.params["jaxpr"] if found is None else found.body)
    return len(body.eqns) <= _SHORT and (
        any(type(var) is Literal for var in eqn.invars) or any(map(is_transient, operands))
    )


def HIGHER_ORDER_or_rule(eqn: Any, operands: list[Any]) -> Any:
    """A rule registered for the primitive itself, or the handler that all types share."""
    primitive = eqn.primitive
    if has_signature_rules(primitive):
        return resolve(primitive, operands)(primitive, operands, eqn.params)
    if primitive.name in TAKES_STATED:
        operands = MODE.numbers.passed_on(operands)
    return HIGHER_ORDER[primitive.name](primitive, operands, eqn.params)


def _read(env: dict[Any, Any], var: Any) -> Any:
    return var.val if type(var) is Literal else env[var]


def _tag_literals(invars: Sequence[Any], operands: list[Any]) -> list[Any]:
    """`operands` with literal 0, inf and nan marked as belonging to every unit."""
    tagged = operands
    for i, var in enumerate(invars):
        if type(var) is Literal and is_polymorphic_literal(var.val):
            if tagged is operands:
                tagged = list(operands)
            tagged[i] = Polymorphic(operands[i])
    return tagged


_UNINITIALISED = {"empty", "empty2"}


def _worth_opening(eqn: Any, operands: Sequence[Any]) -> bool:
    """Whether to interpret the body of an equation that holds a function.

    Not if only plain numbers, or polymorphic constants among them, go in: then what comes out is
    plain. A body without inexact operands may make constants of its own.
    """
    if any(type(strip(x)) in VALUE_TYPES for x in operands) or contains_inject(eqn):
        return True
    inexact = [x for x in operands if _is_inexact(aval_of(x))]
    if inexact:
        return all(type(x) is Polymorphic for x in inexact)
    return any(_is_inexact(var.aval) for var in eqn.outvars)


def _is_inexact(aval: Any) -> bool:
    return jnp.issubdtype(aval.dtype, jnp.inexact)


_with_inject: WeakCache = WeakCache()


def contains_inject(eqn: Any) -> bool:
    """Whether a captured value occurs in the functions that an equation holds."""
    return any(_jaxpr_contains_inject(body) for body in jaxprs.bodies(eqn.params))


def _jaxpr_contains_inject(body: Any) -> bool:
    found = _with_inject.get(body, ())
    if found is None:
        jaxpr, _ = jaxprs.open_jaxpr(body)
        found = any(_makes_values(e.primitive) or contains_inject(e) for e in jaxpr.eqns)
        _with_inject.put(body, (), found)
    return found


def _makes_values(primitive: Any) -> bool:
    """Whether a primitive gives values where no operand is one."""
    return primitive is inject_p or getattr(primitive, "makes_values", False)
