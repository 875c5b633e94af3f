"""The interpreter: walk a jaxpr's equations in order, on values.

An equation without values is bound again as it is. Otherwise its rule is looked up and called.
Since re-binding is all that happens, any JAX transformation around the interpreter just works, and
nothing of it is left in a compiled program.
"""

import contextlib
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import jax.extend.source_info_util as source_info_util
import jax.numpy as jnp
import jax.tree_util as jtu

from ._compat.execution import current_context, default_promotion, equation_context
from ._compat.jaxprs import (
    Literal,
    all_inputs,
    bind_equation,
    last_uses,
    needed_equations,
    open_jaxpr,
)
from ._dispatch.resolve import resolve
from ._dispatch.signatures import has_signature_rules, plain_rule
from ._dispatch.tables import AFTER_BODY, CACHES_TO_CLEAR, HIGHER_ORDER, TAKES_STATED
from ._errors import LocatedError, at_equation, code_line, is_librarys
from ._functions.call import answered, whole_call_in
from ._values.captured import contains_inject, eject, inject_p
from ._values.environment import Environment, any_wider, checked, read, tag_literals
from ._values.formulas import bind_plain, grows, is_transient, settle, wants_deferred
from ._values.kinds import VALUE_TYPES, aval_of
from ._values.mode import MODE, not_staging
from ._values.stated import Numbers, marked
from ._values.trust import (
    TRUST,
    note_picked,
    output_literals,
    output_numbers,
    place_of,
    read_literals,
)
from ._values.unit_polymorphic import UnitPolymorphic, for_rules, stays_polymorphic, strip
from ._weak_cache import WeakCache
from ._widened import cut_off, promoted


def never_returns(eqn: Any) -> bool:
    """Whether an equation is the callback by which Equinox raises an error at run time."""
    if eqn.primitive.name != "pure_callback":
        return False
    function = getattr(eqn.params["callback"], "callback_func", None)
    return getattr(function, "__module__", None) == "equinox._errors"


def bind_error(eqn: Any, operands: list[Any]) -> list[UnitPolymorphic]:
    """Bind the callback of an error on bare arrays; its outputs fit every type."""
    return [UnitPolymorphic(x) for x in bind_equation(eqn, jtu.tree_leaves(operands))]


def interpret(
    jaxpr: Any,
    consts: Sequence[Any],
    operands: Sequence[Any],
    deferring: bool = False,
    data: Container[int] = (),
    literals: list[Any] | None = None,
    stated: list[Any] | None = None,
) -> list[Any]:
    """Carry out a jaxpr on values and arrays, equation by equation.

    **Arguments**

    - `jaxpr`, `consts`: the program and its constants.
    - `operands`: a value or an array for each of the program's inputs.
    - `deferring`: whether arrays that are known by a formula stay formulas although no operand asks
      for it, in the outputs too.
    - `data`: the ids of those constants that the program does not state.
    - `literals`: a list that receives, for each output, the literals it is made of; see `trust.py`.
    - `stated`: a list that receives, for each output, the number that the program states for it.

    **Returns** the outputs. Numbers that fit every unit are marked as `UnitPolymorphic`.
    """
    return Interpretation(operands, deferring).finish(jaxpr, consts, data, literals, stated)


class Interpretation:
    """A program in progress: the values of its variables, as far as it has been carried out.

    Most are carried out at once. A program that is still being staged is carried out so far when
    somebody asks for a number in it (`_stage/numbers_asked.py`), and goes on from there.

    **Arguments**: the operands; and `deferring`, see `interpret`.
    """

    __slots__ = ("_deferring", "_kept", "_operands", "env", "numbers")

    def __init__(self, operands: Sequence[Any], deferring: bool = False):
        self._operands, self._kept = operands, deferring
        self._deferring = deferring or any(map(wants_deferred, operands))
        self.env, self.numbers = Environment(), Numbers(TRUST.value is not None)

    def finish(
        self,
        jaxpr: Any,
        consts: Sequence[Any],
        data: Any,
        literals: list[Any] | None = None,
        stated: list[Any] | None = None,
    ) -> list[Any]:
        """The outputs of the program; `jaxpr` is the part that is left to carry out."""
        with not_staging(), self._at_work(jaxpr, consts, data):
            self._carry_out(jaxpr, last_uses(jaxpr), set())
            outs = self._read(jaxpr.outvars)
            if literals is not None:
                trusting = TRUST.value is not None
                literals += output_literals(self.numbers, jaxpr) if trusting else [()] * len(outs)
            if stated is not None:
                stated += output_numbers(self.numbers, jaxpr)
            return [*map(settle, outs)] if MODE.deferring and not self._kept else outs

    def so_far(self, jaxpr: Any, consts: Sequence[Any], data: Any, done: set[int]) -> None:
        """Carry out a program that is not fully staged; add the places of what was done to `done`.

        What its outputs do not need is left if it fails: what follows may not need it either.
        """
        with not_staging(), self._at_work(jaxpr, consts, data):
            self._carry_out(jaxpr, [()] * len(jaxpr.eqns), done)

    def forget(self, variables: Iterable[Any]) -> None:
        for var in variables:
            self.env.pop(var, None)

    @contextlib.contextmanager
    def _at_work(self, jaxpr: Any, consts: Sequence[Any], data: Any) -> Iterator[None]:
        env, numbers = self.env, self.numbers
        inputs = all_inputs(jaxpr, len(consts))
        given = zip(inputs, numbers.enter(inputs, consts, self._operands, data), strict=True)
        env.update((var, x) for var, x in given if var not in env)
        before = _, _, outer = MODE.direct, MODE.deferring, MODE.numbers
        MODE.direct, MODE.deferring, MODE.numbers = False, self._deferring, numbers
        numbers.place = None if outer is None else outer.place
        env.wider = env.wider or any_wider([env[var] for var in inputs], inputs)
        if (observer := MODE.observer) is not None:
            observer.enter(jaxpr, len(consts), [env[var] for var in inputs])
        try:
            with default_promotion():
                yield
        finally:
            self._deferring = MODE.deferring
            MODE.direct, MODE.deferring, MODE.numbers = before
            numbers.at = (), ()
            if observer is not None:
                observer.leave()

    def _carry_out(self, jaxpr: Any, freed: Sequence[Sequence[Any]], done: set[int]) -> None:
        """Carry out the equations, and add the places of those that succeeded to `done`.

        An error is the caller's: who reads what was to be made gets it again, but nobody else.
        """
        env, numbers, observer = self.env, self.numbers, MODE.observer
        step = _equation if observer is None else _observed
        here, place = current_context(), numbers.place
        needed: list[Any] | None = None
        trusting = TRUST.value is not None
        for i, (eqn, dead) in enumerate(zip(jaxpr.eqns, freed, strict=True)):
            whole = eqn
            if needed is None and not observer and _failed_before(eqn):
                needed = needed_equations(jaxpr)
            if needed is not None and (eqn := needed[i]) is None:
                continue
            if trusting:
                numbers.place = place_of(eqn, place)
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
                    known = any(error is e for e in env.failed.values())
                    if needed is None and (known or not observer and _may_be_unused(error, eqn)):
                        needed = needed_equations(jaxpr)
                    if needed is None or needed[i] is eqn:
                        done.add(i)
                        env.failed.update((var, error) for var in eqn.outvars)
                        raise
                    if needed[i] is None:
                        continue
                    if not observer and eqn.primitive.name == "jit":
                        _partly_needed.put(eqn.params["jaxpr"], (), True)
                    eqn = needed[i]
                    outs = step(eqn, env)
            if eqn is whole:
                done.add(i)
            env.update(zip(eqn.outvars, outs, strict=True))
            if (stated := numbers.note(eqn)) or trusting:
                if plain_rule(eqn.primitive, numbers.at[1]) is not None:
                    numbers.forget(eqn)  # the rule says what it is
                elif not stated:
                    note_picked(numbers, eqn)
            for var in (*dead, *env.misshapen):
                env.pop(var, None)
        numbers.place = place

    def _read(self, outvars: Sequence[Any]) -> list[Any]:
        env = self.env
        env.update((var, x) for var, (x, _) in env.misshapen.items())  # fine if nothing follows
        return tag_literals(outvars, [read(env, var) for var in outvars])


_partly_needed = WeakCache()
CACHES_TO_CLEAR.append(_partly_needed)


def _failed_before(eqn: Any) -> bool:
    """Whether a call could be carried out before only without results that nobody needs."""
    return eqn.primitive.name == "jit" and _partly_needed.get(eqn.params["jaxpr"], ()) is not None


def _may_be_unused(error: Exception, eqn: Any) -> bool:
    """Whether an equation that fails on these values matters only if its result is used.

    Libraries compute what nobody asked for, and XLA drops it: Diffrax a fraction of time done, by
    `where(t0 == t1, 1, t1 - t0)`, whose 1 has no unit; a Gaussian process its density, by the
    logarithm of a length, beside its mean. What the user's own line does is said.
    """
    if not isinstance(error, LocatedError):
        return False
    return eqn.primitive.name == "jit" or is_librarys(code_line(eqn))


def _observed(eqn: Any, env: Environment) -> Sequence[Any]:
    """Carry out an equation, and tell the observer."""
    MODE.observer.before(eqn)
    outs = _equation(eqn, env)
    MODE.observer.after(outs)
    return outs


def _equation(eqn: Any, env: Environment) -> Sequence[Any]:
    """The results of one equation."""
    operands = [read(env, var) for var in eqn.invars]
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
    tagged = tag_literals(eqn.invars, operands)
    if primitive.name in HIGHER_ORDER:
        if not (env.wider and any_wider(operands, eqn.invars)) and not _worth_opening(eqn, tagged):
            if MODE.deferring and eqn.params.get(_CALLS.get(primitive.name)) and grows(eqn):
                body = open_jaxpr(eqn.params[_CALLS[primitive.name]])
                return interpret(*body, MODE.numbers.passed_on(tagged), True)
            return marked(eqn, bind_equation(eqn, [strip(x) for x in operands]))
        if (outs := answered(eqn, for_rules(tagged))) is not NotImplemented:
            return checked(eqn, outs, env)
        if MODE.deferring:
            if primitive.name not in _CALLS:
                tagged = [*map(settle, tagged)]
            elif primitive.name == "jit" and _states_numbers(eqn, tagged):
                body = open_jaxpr(eqn.params["jaxpr"])
                return interpret(*body, MODE.numbers.passed_on(tagged), deferring=True)
        return checked(eqn, higher_order_or_rule(eqn, tagged), env)
    if TRUST.value is not None:
        tagged, has_value = read_literals(primitive, tagged, has_value)
    if has_value or (tagged is not operands and stays_polymorphic(primitive, tagged)):
        out = resolve(primitive, tagged)(primitive, tagged, eqn.params)
        return checked(eqn, out if primitive.multiple_results else (out,), env)
    if (rule := plain_rule(primitive, operands)) is not None:
        out = rule(primitive, operands, eqn.params)
        return checked(eqn, out if primitive.multiple_results else (out,), env)
    if MODE.deferring:
        out = bind_plain(primitive, operands, primitive.get_bind_params(eqn.params))
    else:
        out = bind_equation(eqn, operands)
    if primitive.name in _UNINITIALISED:
        out = UnitPolymorphic(out)
    return out if primitive.multiple_results else (out,)


_CALLS = {"jit": "jaxpr", "whole_call": "body"}
"""Equations that only call a function, and the parameter with its body."""

_SHORT = 8


def _states_numbers(eqn: Any, operands: Sequence[Any]) -> bool:
    """Whether a call of few equations has operands that the program states, or formulas.

    `jnp.where(mask, x, 0.0)` is a call with the zero as an operand, which must stay known as zero.
    """
    found = whole_call_in(eqn.params["jaxpr"])
    body, _ = open_jaxpr(eqn.params["jaxpr"] if found is None else found.body)
    return len(body.eqns) <= _SHORT and (
        any(type(var) is Literal for var in eqn.invars) or any(map(is_transient, operands))
    )


def higher_order_or_rule(eqn: Any, operands: list[Any]) -> Any:
    """A rule registered for the primitive itself, or the handler that all types share."""
    primitive = eqn.primitive
    if has_signature_rules(primitive):
        return resolve(primitive, operands)(primitive, operands, eqn.params)
    if primitive.name in TAKES_STATED:
        operands = MODE.numbers.passed_on(operands)
    outs = HIGHER_ORDER[primitive.name](primitive, operands, eqn.params)
    for kind, restored in AFTER_BODY.items():
        if any(type(strip(x)) is kind for x in operands):
            outs = restored(operands, outs)
    return outs


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
        return all(type(x) is UnitPolymorphic for x in inexact)
    return any(_is_inexact(var.aval) for var in eqn.outvars)


def _is_inexact(aval: Any) -> bool:
    return jnp.issubdtype(aval.dtype, jnp.inexact)
