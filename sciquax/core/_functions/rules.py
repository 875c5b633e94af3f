"""Rules for whole JAX functions: `register(jnp.linalg.solve)`.

In a jaxpr, a call of a jitted function is one `jit` equation. Its body is the very object that
tracing the function on the same types gives, since JAX caches traces: so the key is the identity
of that jaxpr (or, where JAX keeps no trace, its letter), never a name. That is what tells
`solve(A, b)` from `jvp(solve)`, which is still named `solve`, and from a user's own function called
`solve`. Names only pre-filter.

Under `vmap` *of the caller* the body is the one that JAX's batching makes of the function's, which
JAX keeps too: the rule is found, and mapped (`batched.py`). Under `grad` of the caller the body
is another one and the rule is not used; the rules for primitives are.
"""

import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from .._compat.jaxprs import open_jaxpr
from .._dispatch.signatures import SignatureRules
from .._dispatch.tables import CACHES_TO_CLEAR
from .._values.kinds import VALUE_TYPES
from .._values.mode import traced_for_staging
from .._values.unit_polymorphic import Polymorphic, strip
from .._values.value import Value
from .._weak_cache import WeakCache
from .batched import MAX_DEPTH, Batch, batch_body, mapped
from .recognise import (
    _MAX_ILLEGAL,
    _MAX_MAPS,
    _MAX_TRIES,
    _MAX_TRIES_MAPPED,
    _STATIC_CHOICES,
    Arguments,
    _spellings,
    _static_arguments,
    _unmapped,
    call_body,
    call_name,
    function_name,
    same_letters,
)

_rules: dict[str, list["FunctionRules"]] = {}
_labelling: dict[type[Value], Callable] = {}
_known_calls = WeakCache()
CACHES_TO_CLEAR.append(_known_calls)
_NOT_OURS: Any = object()


class FunctionRules(SignatureRules):
    """The rules registered for one JAX function, and how to recognise its calls."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function_name(function))
        self.function = function
        self.families: dict[type, Callable] = {}
        self.direct_only = False  # see `register_rule`
        self.parameters = [
            p
            for p in inspect.signature(function).parameters.values()
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        self.positional = [p for p in self.parameters if p.kind is p.POSITIONAL_ONLY]

    def arguments_of(self, body: Any, avals: Sequence[Any]) -> Arguments | None:
        """How the call whose body is `body` was made, or None if it is not a call of ours."""
        for depth in range(MAX_DEPTH + 1):
            calls = itertools.islice(_unmapped(avals, depth), _MAX_MAPS)
            for unmapped, maps in calls:
                limit = _MAX_TRIES if depth == 0 else _MAX_TRIES_MAPPED
                found = self._arguments_under(body, unmapped, maps, limit)
                if found is not None:
                    return found
        return None

    def _arguments_under(
        self, body: Any, avals: Sequence[Any], maps: Sequence[Any], limit: int
    ) -> Arguments | None:
        """The same, for a call on these operands under `vmap`s of these sizes and axes."""
        required = [p for p in self.parameters if p.default is p.empty]
        optional = [p for p in self.parameters if p.default is not p.empty]
        while len(required) > len(avals) and required[-1].name in _STATIC_CHOICES:
            optional.insert(0, required.pop())  # `matrix_power(a, n)`
        extra = len(avals) - len(required)
        may_be_arrays = [p for p in optional if not isinstance(p.default, (bool, str))]
        if not 0 <= extra <= len(may_be_arrays):
            return None
        structs = [
            jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=getattr(a, "weak_type", False))
            for a in avals
        ]
        ndim = max((len(a.shape) for a in avals), default=0)
        tries = illegal = 0
        fallback: Arguments | None = None
        # Which optional parameters the other operands are: the next ones, as a rule.
        for arrays in itertools.combinations(may_be_arrays, extra):
            names = tuple(p.name for p in arrays)
            following = dict(zip(names, structs[len(required) :], strict=True))
            for statics in _static_arguments([p for p in optional if p not in arrays], ndim):
                if illegal > _MAX_ILLEGAL:
                    return None
                illegal += 1
                for positional, keywords in _spellings(optional, following, statics):
                    if (tries := tries + 1) > limit:
                        return fallback
                    traced = self._trace([*structs[: len(required)], *positional], keywords)
                    if traced is None and not self.positional:
                        break  # not legal however it is spelled
                    batches: list[Batch] = []
                    illegal = illegal if traced is None else -_MAX_TRIES
                    for size, dims in reversed(maps) if traced is not None else ():
                        traced, out_dims = batch_body(traced, size, dims) or (None, ())
                        batches.insert(0, Batch(size, dims, tuple(out_dims)))
                        if traced is None:
                            break
                    if traced is body:
                        return Arguments(names, statics, tuple(batches))
                    if fallback is None and same_letters(traced, body):
                        fallback = Arguments(names, statics, tuple(batches))
        return fallback

    def _trace(self, positional: Sequence[Any], keywords: dict[str, Any]) -> Any:
        """The body of the call that these arguments make, or None if such a call is illegal."""
        try:
            trace = getattr(self.function, "trace", None)
            if trace is not None:
                with traced_for_staging(True):
                    return trace(*positional, **keywords).jaxpr
            arguments, tree = jax.tree_util.tree_flatten(
                (tuple(positional), keywords), is_leaf=lambda x: x is None
            )
            arrays = [isinstance(x, jax.ShapeDtypeStruct) for x in arguments]

            def call(*tracers: Any) -> Any:
                given = iter(tracers)
                replaced = [
                    next(given) if is_array else x
                    for x, is_array in zip(arguments, arrays, strict=True)
                ]
                args, kwargs = jax.tree_util.tree_unflatten(tree, replaced)
                return self.function(*args, **kwargs)

            with traced_for_staging(True):
                closed = jax.make_jaxpr(call)(
                    *[x for x, is_array in zip(arguments, arrays, strict=True) if is_array]
                )
            calls = [e for e in open_jaxpr(closed)[0].eqns if call_body(e) is not None]
            return call_body(calls[0]) if len(calls) == 1 else None
        except Exception:  # shapes or statics that this function does not take
            return None

    def rule(self, operands: Sequence[Any], willing: bool = False) -> Callable[..., Any] | None:
        """The rule for these operands: by signature, else by the outermost type's family.

        A family's rule may have a method `takes(operands)`, which leaves a call to the function's
        primitives; not if it is `willing` to serve where that costs less. Where the outermost type
        has no rule, and only labels what it holds, a rule of what it holds serves.
        """
        found = self.find(operands) if (self._pending or self._function) else None
        if found is not None:
            return lambda args, kwargs: found(None, args, kwargs)
        types = {type(x): None for x in map(strip, operands) if type(x) in VALUE_TYPES}
        for cls in sorted(types, key=lambda t: -t.layer):
            for parent in cls.__mro__:
                family = self.families.get(parent)
                if family is None:
                    continue
                if willing or getattr(family, "takes", _always)(operands):
                    return lambda args, kwargs, rule=family: rule(*args, **kwargs)
            if cls in _labelling:
                return self._rule_beneath(cls, operands, willing)
        return None

    def _rule_beneath(
        self, outer: type[Value], operands: Sequence[Any], willing: bool
    ) -> Callable | None:
        """The rule of what the outermost values hold, between their labels taken off and put on."""
        if self.direct_only:
            return None
        beneath = self.rule([held_by(x, outer) for x in operands], willing)
        if beneath is None:
            return None
        return lambda args, kwargs: _labelling[outer](self.function, beneath, args, kwargs)


def held_by(x: Any, outer: type[Value]) -> Any:
    """What a value of a type holds, polymorphic if the value is; other operands as they are."""
    inner = strip(x)
    if type(inner) is not outer:
        return x
    assert outer.payload is not None  # `outer` is a type that holds arrays
    held = getattr(inner, outer.payload)
    return Polymorphic(held) if type(x) is Polymorphic else held


def _always(operands: Sequence[Any]) -> bool:
    return True


def function_rules(function: Callable[..., Any]) -> FunctionRules:
    """The rules of a JAX function, made on first use.

    **Raises** TypeError for what leaves no call equation in a jaxpr.
    """
    if not callable(function):
        raise TypeError(
            f"`register` takes a JAX primitive or a jitted JAX function, not {function!r}."
        )
    for rules in _rules.get(function_name(function), ()):
        if rules.function is function:
            return rules
    rules = FunctionRules(function)
    _rules.setdefault(rules.name, []).append(rules)
    return rules


def known_rules(function: Callable[..., Any]) -> list[FunctionRules]:
    """The rules of a JAX function, if it has any."""
    return [r for r in _rules.get(function_name(function), ()) if r.function is function]


def add_function_rule(cls: type, function: Callable[..., Any], rule: Callable[..., Any]) -> None:
    """A type's rule for a whole JAX function: see `register_rule`."""
    function_rules(function).families[cls] = rule
    _known_calls.clear()


def register_labelling(cls: type[Value], through: Callable[..., Any]) -> Callable[..., Any]:
    """Say how a type that only labels what it holds lets whole functions through.

    `through(function, rule, args, kwargs)` calls the rule, which takes arguments and keywords, on
    what the values hold, and labels the results; or gives NotImplemented, as the rule may. A type
    qualifies if what a result holds is always the function of what the operands hold: names do,
    units (which are converted) do not.
    """
    _labelling[cls] = through
    _known_calls.clear()
    return through


def labels(cls: type[Value]) -> bool:
    """Whether values of this type only label what they hold."""
    return cls in _labelling


def rule_for_call(eqn: Any, operands: Sequence[Any]) -> Callable[[Sequence[Any]], Any] | None:
    """The function-level rule for a call equation on these operands, or None.

    What comes back takes the operands and gives the equation's outputs, or NotImplemented.
    """
    # A plain wrapper such as `jnp.interp` calls a jitted function of the same name, `_interp`.
    candidates = _rules.get(call_name(eqn).removeprefix("_"))
    body = call_body(eqn)
    if not candidates or body is None:
        return None
    for rules in candidates:
        rule = rules.rule(operands)
        if rule is None:
            continue
        # Of the program, not of the operands: a captured value's may be of weak type.
        avals = tuple(var.aval for var in eqn.invars)
        known = _known_calls.get(body, rules)
        if known is None:
            known = rules.arguments_of(body, avals)
            known = _NOT_OURS if known is None else known
            _known_calls.put(body, rules, known)
        if known is _NOT_OURS:
            continue

        def apply(operands: Sequence[Any], rules=rules, known=known, rule=rule) -> Any:
            n = len(operands) - len(known.arrays)
            arrays = dict(zip(known.arrays, operands[n:], strict=True))
            if known.batches:  # the rule for an element
                rule = rules.rule(operands) or rule
            named = {**arrays, **known.statics}
            leading = [named.pop(p.name) for p in rules.positional if p.name in named]
            out = rule([*operands[:n], *leading], named)
            if out is NotImplemented:
                return out
            return jax.tree_util.tree_leaves(out, is_leaf=lambda x: type(x) in VALUE_TYPES)

        for batch in reversed(known.batches):
            apply = mapped(apply, batch)
        return apply
    return None
