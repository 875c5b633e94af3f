"""Calls of whole functions, kept as one equation: `jnp.linalg.solve`, `"jax.numpy.histogram"`.

Of most functions nothing in a jaxpr tells that they were called, and with what. So the Python
functions behind those that have rules pass their calls on to a hook, from the first staging on.
While a function of the user's is staged it leaves one equation, `whole_call`, which holds the
function, its arguments, and the function's own jaxpr, so that whoever has no rule goes on with
that. At all other times the hook calls the function as it was.

It is the function object that does so, by whatever name it is called: imported before, within
`functools.partial`, `jax.vmap` or `jax.jit`. Of a function that JAX jits, the equation lies within
the `jit` equation. JAX keeps what it traced while staging apart from what it traced elsewhere.

Under `vmap` of the caller the equation stays, and the rule is mapped. Under `grad` of the caller
the rule is differentiated, if the type allows that, else the function's own jaxpr.
"""

import contextlib
import importlib
import pkgutil
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.tree_util as jtu

from .._compat.code import called_by_jax, called_by_the_user, pass_through, python_function
from .._compat.execution import AtOnceTracer
from .._compat.jaxprs import Tracer
from .._compat.registries import is_weakly_typed
from .._compat.tracing import WANTS_A_NUMBER, StagingTracer, trace_to_jaxpr
from .._values.captured import CapturedValue, inject
from .._values.early_constants import noting
from .._values.kinds import aval_of, is_value
from .._values.mode import MODE, trace_anew
from .call import RuledCall, call_whole, leave_call
from .rules import FunctionRules, function_rules, known_rules, uninstalled

_pending: dict[str, list[tuple[str, type, Callable, bool]]] = {}
_hooks: list[tuple[Any, Callable[[Callable[..., Any]], Callable[..., Any]]]] = []
_lock = threading.RLock()


def add_named_rule(cls: type, name: str, rule: Callable[..., Any], direct_only: bool) -> None:
    """Register a type's rule for a function by its public name: see `register_rule`."""
    module, _, attribute = name.rpartition(".")
    _pending.setdefault(module, []).append((attribute, cls, rule, direct_only))


def _resolve_pending() -> None:
    for module_name in [name for name in _pending if name in sys.modules]:
        module = sys.modules[module_name]
        for attribute, cls, rule, direct_only in _pending.pop(module_name):
            function = getattr(module, attribute, None)
            if function is None:
                continue
            # What JAX calls itself is intercepted too if JAX compiles it as a whole: its trace is
            # kept, and is the same whoever calls.
            everywhere = hasattr(function, "lower") or hasattr(rule, "takes")
            rules = function_rules(function, everywhere and not direct_only)
            rules.by_name, rules.direct_only = True, direct_only
            rules.families[cls] = rule


def rules_of(function: Any) -> FunctionRules | None:
    """The rules of a function of JAX's that was registered by name."""
    if _pending:
        _resolve_pending()
    rules = known_rules(function)
    return rules if rules is not None and rules.by_name else None


def add_hook(
    function: Any,
    hook_for: Callable[[Callable[..., Any]], Callable[..., Any]],
    now: bool = False,
) -> None:
    """Send calls of a function of JAX's to `hook_for(function)`, from the first staging on.

    It may be named, `"jax.scipy.stats:gaussian_kde.evaluate"`, so as not to be imported before. One
    that is called before anything is staged is hooked at once, `now`.
    """
    if now:
        _hook(function, hook_for)
    else:
        _hooks.append((function, hook_for))


def _hook(function: Any, hook_for: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    named = isinstance(function, str)
    found = python_function(pkgutil.resolve_name(function) if named else function)
    assert found is not None
    pass_through(found, hook_for)


def install() -> None:
    """Send the calls of every function that has rules through a hook."""
    wanted = [name for name in _pending if name.startswith("jax.") or name in sys.modules]
    if not wanted and not uninstalled and not _hooks:
        return
    with _lock:
        for function, hook_for in _hooks:
            _hook(function, hook_for)
        _hooks.clear()
        for name in wanted:  # now, for JAX imports its own when they are first asked for
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(name)
        _resolve_pending()
        fresh = [rules for rules in uninstalled if rules.everywhere or not rules.direct_only]
        uninstalled.clear()
        for rules in fresh:
            function = python_function(rules.function)
            assert function is not None  # `function_rules` has looked
            pass_through(function, _hook_for(rules, function))
            rules.installed = True
        if fresh:
            trace_anew()


def _hook_for(
    rules: FunctionRules, function: types.FunctionType
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def hook_for(original: Callable[..., Any]) -> Callable[..., Any]:
        def hook(*args: Any, **kwargs: Any) -> Any:
            if MODE.direct and any(map(is_value, args)) and called_by_the_user(function):
                raise CapturedValue  # so that it is staged: not all functions ask for its array
            if not MODE.staging or (not rules.everywhere and called_by_jax(function)):
                return original(*args, **kwargs)
            return stage_whole(original, rules, args, kwargs)

        return hook

    return hook_for


def stage_whole(
    function: Callable[..., Any], rules: FunctionRules, args: tuple, kwargs: dict[str, Any]
) -> Any:
    """Call a function on tracers so that one equation is left of it."""
    leaves, tree = jtu.tree_flatten((args, kwargs), is_leaf=is_value)
    holes = tuple(i for i, x in enumerate(leaves) if isinstance(x, Tracer) or is_value(x))
    if not holes or any(map(_may_hold_tracers, leaves)):
        return function(*args, **kwargs)
    at_once = [leaves[i].value for i in holes if isinstance(leaves[i], AtOnceTracer)]
    if at_once and rules.rule(at_once) is None:
        return function(*args, **kwargs)  # whose operations may come to other shapes than JAX's
    operands = [inject(leaves[i]) if is_value(leaves[i]) else leaves[i] for i in holes]
    out_tree: Any = None

    def body(*tracers: Any) -> list[Any]:
        nonlocal out_tree
        args, kwargs = call.arguments(tracers)
        out, out_tree = jtu.tree_flatten(function(*args, **kwargs))
        return out

    blank = [None if i in holes else x for i, x in enumerate(leaves)]
    call = RuledCall(of=rules.name, rules=rules, leaves=tuple(blank), tree=tree, holes=holes)
    try:
        closed = trace_to_jaxpr(body, operands)
    except WANTS_A_NUMBER:
        out = _called_now(rules, leaves, tree, dict(zip(holes, operands, strict=True)))
        return function(*args, **kwargs) if out is NotImplemented else out
    if closed.effects:  # which the equation would hide
        return function(*args, **kwargs)
    return jtu.tree_unflatten(out_tree, leave_call(call, operands, closed))


def _called_now(
    rules: FunctionRules, leaves: Sequence[Any], tree: Any, operands: dict[int, Any]
) -> Any:
    """The rule's answer for the operands' numbers, where they are known while a function is staged.

    Such is a function whose result has a shape that depends on numbers. NotImplemented, if there
    is no rule or something is not known; then the function asks for itself.
    """
    asked = next((x._trace.asked for x in operands.values() if type(x) is StagingTracer), None)
    if asked is None:
        return NotImplemented
    known = list(leaves)
    for i, x in operands.items():
        known[i] = asked.value_of(x) if type(x) is StagingTracer else x
        if isinstance(known[i], Tracer):
            return NotImplemented
    args, kwargs = jtu.tree_unflatten(tree, known)
    out = asked.outside(call_whole, rules, args, kwargs)
    return jtu.tree_map(lambda x: inject(x) if is_value(x) else x, out, is_leaf=is_value)


def _may_hold_tracers(x: Any) -> bool:
    """Whether an argument is a function that may close over tracers of its own."""
    if isinstance(x, types.FunctionType):
        return x.__closure__ is not None or x.__defaults__ is not None
    return callable(x) and not isinstance(x, type)


def _of_values(original: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Answer JAX's question whether a type is weak: a captured value is asked before its array."""
    return lambda x: aval_of(x).weak_type if is_value(x) else original(x)


add_hook(jax.lax.full, noting)
add_hook(is_weakly_typed, _of_values)
