"""Rules for functions by their names: `"jax.numpy.histogram"`, `"jax.scipy.stats.norm.pdf"`.

Of most functions nothing in a jaxpr tells that they were called. So while a function of the user's
is staged, the public names in JAX's modules of those that have rules stand for a stand-in, which
leaves one equation, `whole_call`: it holds the function, its arguments, and the function's own
jaxpr, so that whoever has no rule goes on with that. For calls that come from JAX itself, from
another thread or without tracers the stand-in is the function.

Under `vmap` of the caller the equation stays, and the rule is mapped. `grad` of the caller
differentiates the function's own jaxpr.
"""

import contextlib
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu

from .._compat.frames import calling_module
from .._compat.jaxprs import Tracer
from .._compat.tracing import trace_to_jaxpr
from .._values.kinds import is_value
from .._values.mode import MODE
from .call import ById, Call, whole_call_p
from .rules import FunctionRules, function_rules

_pending: dict[str, list[tuple[str, type, Callable, bool]]] = {}
_rules_of: dict[Any, FunctionRules] = {}
_places: list[tuple[dict[str, Any], str, Any, "StandIn"]] = []
_lock = threading.Lock()
_users = 0


def add_named_rule(cls: type, name: str, rule: Callable[..., Any], direct_only: bool) -> None:
    """A type's rule for a function by its public name: see `register_rule`."""
    module, _, attribute = name.rpartition(".")
    _pending.setdefault(module, []).append((attribute, cls, rule, direct_only))


def _resolve_pending() -> None:
    for module_name in [name for name in _pending if name in sys.modules]:
        module = sys.modules[module_name]
        for attribute, cls, rule, direct_only in _pending.pop(module_name):
            function = getattr(module, attribute, None)
            if isinstance(function, StandIn):
                function = function.function
            if function is None:
                continue
            rules = _rules_of.get(function)
            if rules is None:
                # Those that JAX compiles as a whole are also known by their call equation.
                known = hasattr(function, "lower") or hasattr(rule, "takes")
                rules = function_rules(function) if known else FunctionRules(function)
                rules.direct_only = direct_only
                _rules_of[function] = rules
                if not direct_only:
                    _places.append((vars(module), attribute, function, StandIn(function, rules)))
            rules.families[cls] = rule


def rules_of(function: Any) -> FunctionRules | None:
    """The rules of a function of JAX's that was registered by name."""
    _resolve_pending()
    try:
        return _rules_of.get(function)
    except TypeError:  # not hashable
        return None


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """While a function of the user's is being staged."""
    global _users
    with _lock:
        if _users == 0:
            for name in list(_pending):  # now, for JAX imports them when they are first asked for
                with contextlib.suppress(ModuleNotFoundError):
                    importlib.import_module(name)
            _resolve_pending()
            for names, attribute, _, stand_in in _places:
                names[attribute] = stand_in
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for names, attribute, function, _ in _places:
                    names[attribute] = function


class StandIn:
    """What a function's name stands for while a function of the user's is staged."""

    def __init__(self, function: Callable[..., Any], rules: FunctionRules):
        self.function, self.rules = function, rules
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not MODE.staging or _called_by_jax():
            return self.function(*args, **kwargs)
        return stage_whole(self.function, self.rules, args, kwargs)


# What JAX writes its own functions in. Its transformations call a function for the user.
_FUNCTIONS_OF_JAX = (
    "jax.numpy",
    "jax.scipy",
    "jax.experimental",
    "jax.example_libraries",
    *(f"jax._src.{name}" for name in ("numpy", "scipy", "lax", "nn", "random", "image", "ops")),
)


def _called_by_jax() -> bool:
    return calling_module().startswith(_FUNCTIONS_OF_JAX)


def stage_whole(
    function: Callable[..., Any], rules: FunctionRules, args: tuple, kwargs: dict[str, Any]
) -> Any:
    """Call a function on tracers so that one equation is left of it."""
    leaves, tree = jtu.tree_flatten((args, kwargs), is_leaf=is_value)
    holes = tuple(i for i, x in enumerate(leaves) if isinstance(x, Tracer) or is_value(x))
    if not holes or any(callable(x) and not isinstance(x, type) for x in leaves):
        return function(*args, **kwargs)  # a function may close over tracers of its own
    operands = [jnp.asarray(leaves[i]) if is_value(leaves[i]) else leaves[i] for i in holes]
    out_tree: Any = None

    def body(*tracers: Any) -> list[Any]:
        nonlocal out_tree
        args, kwargs = call.arguments(tracers)
        out, out_tree = jtu.tree_flatten(function(*args, **kwargs))
        return out

    blank = [None if i in holes else x for i, x in enumerate(leaves)]
    call = Call(rules, tuple(blank), tree, holes)
    closed = trace_to_jaxpr(body, operands)
    return jtu.tree_unflatten(out_tree, whole_call_p.bind(*operands, call=ById(call), body=closed))
