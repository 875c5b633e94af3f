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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.interpreters import batching, mlir

from ._batched import Batch, mapped
from ._compat import Primitive, Tracer, eval_jaxpr, named_result, open_jaxpr
from ._dispatch import HIGHER_ORDER
from ._functions import FunctionRules, function_rules, held_by, labels
from ._interpret import interpret
from ._polymorphic import strip
from ._value import MODE, is_value

_pending: dict[str, list[tuple[str, type, Callable, bool]]] = {}
_rules_of: dict[Any, FunctionRules] = {}
_places: list[tuple[dict[str, Any], str, Any, "StandIn"]] = []
_lock = threading.Lock()
_users = 0

whole_call_p = Primitive("whole_call")
whole_call_p.multiple_results = True


def register_named(
    cls: type, name: str, rule: Callable[..., Any], direct_only: bool = False
) -> None:
    """Give a type its rule for a function by its public name, `"jax.scipy.stats.norm.pdf"`.

    The function is looked up when its module has been imported; a name that this release of JAX
    does not have is passed over. The rule has the function's signature, and may return
    NotImplemented to go on with what the function consists of. A rule that is `direct_only` serves
    the quaxified function itself, called on concrete values (`sciquax.numpy.where(mask)`).
    """
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


def _called_by_jax() -> bool:
    caller = sys._getframe(2).f_globals.get("__name__", "")
    return caller.startswith("jax.")


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


class ById:
    """Holds an object as a parameter of an equation: equal to nothing but itself."""

    __slots__ = ("item",)

    def __init__(self, item: Any):
        self.item = item

    def __repr__(self) -> str:
        item = getattr(self.item, "call", self.item)
        return f"<call of {item.rules.name}>"


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
    closed = jax.make_jaxpr(body)(*operands)
    return jtu.tree_unflatten(out_tree, whole_call_p.bind(*operands, call=ById(call), body=closed))


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
    rule = call.rules.rule(operands)
    if rule is None:
        return NotImplemented

    def apply(operands: Sequence[Any]) -> Any:
        out = rule(*call.arguments(operands))
        return out if out is NotImplemented else jtu.tree_leaves(out, is_leaf=is_value)

    for batch in reversed(call.batches):
        apply = mapped(apply, batch)
    return apply(list(operands))


def _interpret_whole(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    call: Call = params["call"].item
    if not call.differentiated or differentiable(operands):
        out = apply_rule(call, operands)
        if out is not NotImplemented:
            return out
    jaxpr, consts = open_jaxpr(params["body"])
    return interpret(jaxpr, consts, list(operands))


HIGHER_ORDER["whole_call"] = _interpret_whole


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
    closed = jax.make_jaxpr(jax.vmap(run, in_axes=dims))(*operands)
    now = item._replace(batches=(batch, *item.batches))
    outs = whole_call_p.bind(*operands, call=ById(now), body=closed)
    return outs, [0] * len(outs)


whole_call_p.def_impl(run_body)
# JAX 0.12 asks this of an equation whose body it does not lower as it is.
whole_call_p.to_lojax = run_body  # pyright: ignore[reportAttributeAccessIssue]
mlir.register_lowering(whole_call_p, mlir.lower_fun(run_body, multiple_results=True))
batching.primitive_batchers[whole_call_p] = _batch
