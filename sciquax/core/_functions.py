"""Rules for whole JAX functions: `register(jnp.linalg.solve)`.

In a jaxpr, a call of a jitted function is one `jit` equation. Its body is the very object that
tracing the function on the same types gives, since JAX caches traces: so the key is the identity
of that jaxpr (or, where JAX keeps no trace, its letter), never a name. That is what tells
`solve(A, b)` from `jvp(solve)`, which is still named `solve`, and from a user's own function called
`solve`. Names only pre-filter.

Under `vmap` *of the caller* the body is the one that JAX's batching makes of the function's, which
JAX keeps too: the rule is found, and mapped (`_batched.py`). Under `grad` of the caller the body
is another one and the rule is not used; the rules for primitives are.
"""

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ._batched import MAX_DEPTH, Batch, batch_body, mapped, unbatchings
from ._compat import open_jaxpr
from ._dispatch import CACHES_TO_CLEAR, SignatureRules
from ._polymorphic import Polymorphic, strip
from ._value import VALUE_TYPES, Value, traced_for_staging
from ._weak import WeakCache

_rules: dict[str, list["FunctionRules"]] = {}
_labelling: dict[type[Value], Callable] = {}
_known_calls = WeakCache()
CACHES_TO_CLEAR.append(_known_calls)
_NOT_OURS: Any = object()

# What a static argument may be, by the name it has in JAX and NumPy signatures. The default is
# tried first; these are tried after it when the trace with defaults is another jaxpr.
_STATIC_CHOICES: dict[str, Callable[[int], Sequence[Any]]] = {
    "axis": lambda ndim: [None, *range(-ndim, ndim)],
    "axis1": lambda ndim: range(-ndim, ndim),
    "axis2": lambda ndim: range(-ndim, ndim),
    "offset": lambda ndim: range(-4, 5),
    "k": lambda ndim: range(-4, 5),
    "n": lambda ndim: range(-8, 17),
    "ord": lambda ndim: [None, 1, 2, -1, -2, 0, 3, np.inf, -np.inf, "fro", "nuc"],
    "UPLO": lambda ndim: ["L", "U"],
    "trans": lambda ndim: [0, 1, 2, "N", "T", "C"],
    "assume_a": lambda ndim: ["gen", "sym", "her", "pos"],
    "keepdims": lambda ndim: [False, True],
    "lower": lambda ndim: [False, True],
    "unit_diagonal": lambda ndim: [False, True],
    "upper": lambda ndim: [False, True],
    "symmetrize_input": lambda ndim: [True, False],
    "permute_l": lambda ndim: [False, True],
    "full_matrices": lambda ndim: [True, False],
    "compute_uv": lambda ndim: [True, False],
    "hermitian": lambda ndim: [False, True],
    "equal_nan": lambda ndim: [False, True],
    "left": lambda ndim: ["extrapolate"],
    "right": lambda ndim: ["extrapolate"],
    "side": lambda ndim: ["left", "right"],
    "method": lambda ndim: ["scan", "scan_unrolled", "sort", "compare_all", "lu", "qr"],
}
# Options that leave no trace in a program, `overwrite_a` and `check_finite`, are not among them.
_MAX_TRIES = 400
_MAX_TRIES_MAPPED, _MAX_MAPS = 200, 12
_MAX_ILLEGAL = 8  # choices that could not be traced, none could before: not the shapes of a call


class Arguments(NamedTuple):
    """How a function was called: the optional parameters that are arrays, and the static ones.

    `batches` are the `vmap`s around it, the outermost first.
    """

    arrays: tuple[str, ...]
    statics: dict[str, Any]
    batches: tuple[Batch, ...] = ()


def _static_arguments(parameters: Sequence[Any], ndim: int) -> Iterator[dict[str, Any]]:
    """Every choice of static arguments; those that differ least from the defaults come first."""
    choices = []
    for p in parameters:
        others = [c for c in _STATIC_CHOICES.get(p.name, lambda _: [])(ndim) if c is not p.default]
        choices.append(others if p.default is p.empty else [p.default, *others])
    combinations = itertools.islice(itertools.product(*[range(len(c)) for c in choices]), 4000)
    for combo in sorted(combinations, key=lambda numbers: sum(i > 0 for i in numbers)):
        yield {p.name: c[i] for p, c, i in zip(parameters, choices, combo, strict=True)}


def _spellings(
    optional: Sequence[Any], arrays: dict[str, Any], statics: dict[str, Any]
) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Ways to write a call's optional arguments, by position and by keyword.

    JAX keys its traces by them: `norm(x, 2)` and `norm(x, ord=2)` are two.
    """
    values = {**arrays, **statics}
    defaults = {p.name: p.default for p in optional}
    for count in range(len(optional) + 1):
        if count and optional[count - 1].kind is inspect.Parameter.KEYWORD_ONLY:
            return
        positional = [values[p.name] for p in optional[:count]]
        yield (
            positional,
            {
                p.name: values[p.name]
                for p in optional[count:]
                if p.name in arrays or values[p.name] is not defaults[p.name]
            },
        )


class FunctionRules(SignatureRules):
    """The rules registered for one JAX function, and how to recognise its calls."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function_name(function))
        self.function = function
        self.families: dict[type, Callable] = {}
        self.direct_only = False  # see `_standins.register_named`
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


def _unmapped(avals: Sequence[Any], depth: int) -> Iterator[tuple[Sequence[Any], list[Any]]]:
    """What a function may have seen below `depth` maps, and those maps, the outermost first."""
    if depth == 0:
        yield avals, []
        return
    for size, dims, inner in unbatchings(avals):
        for seen, maps in _unmapped(inner, depth - 1):
            yield seen, [(size, dims), *maps]


def same_letters(traced: Any, body: Any) -> bool:
    """Whether the body of a call is to the letter what tracing the function gave.

    JAX keeps the traces of jitted functions, and identity tells. It keeps none of a `custom_jvp`
    function's, and keys those made within a `vmap` apart; there, equality of all equations and
    parameters does: what computes the same is the same, whoever wrote it.
    """
    if traced is None:
        return False
    (jaxpr, consts), (other, other_consts) = open_jaxpr(traced), open_jaxpr(body)
    return (
        len(jaxpr.eqns) == len(other.eqns)
        and not consts
        and not other_consts
        and all(a.primitive is b.primitive for a, b in zip(jaxpr.eqns, other.eqns, strict=True))
        and str(traced) == str(body)
    )


def function_name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


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


def register_function(
    cls: type, function: Callable[..., Any], rule: Callable[..., Any]
) -> Callable[..., Any]:
    """Give a type its rule for a whole JAX function; the rule has the function's signature.

    Used whenever the type is the outermost among the arguments, as `register_family` is for
    primitives.
    """
    function_rules(function).families[cls] = rule
    _known_calls.clear()
    return rule


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


def call_body(eqn: Any) -> Any:
    """The body of an equation that calls a function, or None."""
    params = eqn.params
    body = params.get("jaxpr", params.get("call_jaxpr"))
    return body


def call_name(eqn: Any) -> str:
    name = eqn.params.get("name")
    if name is None:
        body = call_body(eqn)
        info = getattr(body, "debug_info", None) or getattr(
            getattr(body, "jaxpr", None), "debug_info", None
        )
        name = getattr(info, "func_name", "")
    return name


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


__all__ = ["FunctionRules", "Polymorphic", "function_rules", "register_function", "rule_for_call"]
