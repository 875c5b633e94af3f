"""Un-jitted calls that need no staging: the operations of the last call are replayed.

Calling a quaxified function stages and interprets it. Where everything that the function sees is
known and unchanged (`snapshot.py`), and the operands are of the same types, the operations on bare
arrays that this came to are the same too. They are kept, and run one by one as JAX runs operations
that are not compiled together, so that the numbers are the same to the last bit.

Plain arrays among the arguments are concrete to the function, which may branch on what they hold.
A plan is of the function staged with these abstract as well, if that can be, and does the same.
"""

import types
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu

from .._compat import execution, jaxprs
from .._compat.jaxprs import Literal, Tracer, open_jaxpr
from .._compat.tracing import trace_to_jaxpr
from .._dispatch.tables import CACHES_TO_CLEAR
from .._interpret import interpret
from .._values.captured import inject_p
from .._values.kinds import VALUE_TYPES
from .._values.mode import MODE
from .._values.types import flatten, type_of, unflatten
from .._values.unit_polymorphic import strip
from .._weak_cache import WeakCache
from .snapshot import FUNCTIONS, Snapshot, snapshot
from .staging import BuiltOutput, Output, stage

_PER_FUNCTION = 8  # plans kept for one function
_SIMPLE = (int, float, complex, str, bool, type(None))

_plans = WeakCache()
CACHES_TO_CLEAR.append(_plans)


class Plan:
    """The operations of a staged and interpreted call, on bare arrays."""

    def __init__(self, staged: Any, values: Sequence[Any]):
        operand_types = [type_of(x) for x in values]
        out_types: list[Any] = []

        def flat(*leaves: Any) -> list[Any]:
            values = unflatten(operand_types, leaves)
            outs = interpret(staged.jaxpr, staged.consts, values, data=staged.data)
            outs = [strip(x) for x in outs]
            out_types[:] = map(type_of, outs)
            return flatten(outs)

        structs = [x for t in operand_types for x in t.leaves()]
        jaxpr, consts = open_jaxpr(trace_to_jaxpr(flat, structs))
        if jaxpr.effects:
            raise Unplannable
        self._out_types = out_types
        self._slots: list[Any] = []
        numbers: dict[Any, int] = {}

        def slot(var: Any) -> int:
            if type(var) is Literal:
                self._slots.append(var.val)
                return len(self._slots) - 1
            if var not in numbers:
                numbers[var] = len(self._slots)
                self._slots.append(None)
            return numbers[var]

        inputs = jaxprs.all_inputs(jaxpr, len(consts))
        for var, const in zip(inputs[: len(consts)], consts, strict=True):
            self._slots[slot(var)] = const
        self._inputs = [slot(var) for var in inputs[len(consts) :]]
        self._steps = [
            (
                execution.eager_callable(eqn),
                [slot(v) for v in eqn.invars],
                [slot(v) for v in eqn.outvars],
                eqn.primitive.multiple_results,
            )
            for eqn in jaxpr.eqns
        ]
        self._outputs = [slot(v) for v in jaxpr.outvars]

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        env = list(self._slots)
        for i, leaf in zip(self._inputs, jtu.tree_leaves(list(values)), strict=True):
            env[i] = leaf
        for function, ins, outs, several in self._steps:
            results = function(*[env[i] for i in ins])
            if several:
                for i, x in zip(outs, results, strict=True):
                    env[i] = x
            else:
                env[outs[0]] = results
        return unflatten(self._out_types, [jaxprs.as_array(env[i]) for i in self._outputs])


class Unplannable(Exception):
    """Internal: the program of a call cannot be kept."""


class Kept:
    """The program kept for one function and its operands' types, and the conditions of its use.

    **Arguments**: what the function sees; and which leaves of its calls are plain arrays.
    """

    def __init__(self, seen: Snapshot, arrays: Sequence[int]):
        self.seen, self._arrays = seen, list(arrays)
        self._staged: Any = None
        self._plan: Plan | None = None
        self._hopeless = False

    def remember(self, staged: Any, read: int) -> None:
        """Remember a call that was staged, without the plain arrays that it was given.

        **Arguments**: `read`, what `MODE.arrays_read` was before.
        """
        if not self._arrays:
            self._staged = staged
        elif MODE.arrays_read == read:
            self._staged = staged._replace(consts=())

    def again(
        self, leaves: Sequence[Any], treedef: Any, chosen: Sequence[int], values: Sequence[Any]
    ) -> Any:
        """The result of a call, at the second time or later; or this object, if it is to be staged.

        The plan is made at the second time, with the plain arrays abstract as well.
        """
        operands = [*values, *(leaves[i] for i in self._arrays)]
        if self._plan is None and self._staged is not None and not self._hopeless:
            try:
                staged = self._staged
                if self._arrays:
                    staged = stage(leaves, treedef, [*chosen, *self._arrays])
                    _check_same(self._staged, staged)
                _check(staged)
                before = MODE.signature_rules_called
                plan = Plan(staged, operands)
                if MODE.signature_rules_called != before:
                    raise Unplannable
                self._plan, self._staged = plan, staged
            except Exception:  # a rule that wants concrete arrays, say
                self._hopeless = True
        plan: Any = self._plan
        staged: Any = self._staged
        return self if plan is None else staged.rebuild(plan(operands))


def kept_for(leaves: Sequence[Any], treedef: Any, chosen: Sequence[int]) -> Kept | None:
    """The programs kept for a call, a new record if there is none; None if none may be kept."""
    if not leaves or MODE.observer is not None or not execution.nothing_is_traced():
        return None
    called = treedef.children()[0]
    function = owner = leaves[0]
    functions = called.num_leaves
    if not jtu.treedef_is_leaf(called):
        function = called.unflatten(leaves[:functions])
        owner = getattr(function, "__func__", None) or type(function).__call__
        if not isinstance(function, eqx.Module) or type(owner) is not types.FunctionType:
            return None
    elif type(function) not in FUNCTIONS or 0 in chosen:
        return None
    parts: list[Any] = [treedef, execution.trace_context()]
    arrays: list[int] = []
    wanted = set(chosen)
    for i, x in enumerate(leaves):
        if i in wanted:
            parts.append(type_of(x))
        elif isinstance(x, jax.Array):
            arrays.append(i)
            parts.append(type_of(x))
        elif i < functions and callable(x):
            if x is not owner:  # what is kept for it must not keep it alive
                parts.append(weakref.ref(x) if type(x) is types.FunctionType else x)
        elif type(x) in _SIMPLE:
            parts.append((type(x), x.hex() if type(x) is float else x))
        else:
            return None
    key = tuple(parts)
    entries = _plans.get(owner, ())
    if entries is None:
        entries = {}
    try:
        kept = entries.get(key)
    except TypeError:  # something in the tree cannot be hashed
        return None
    if kept is not None and kept.seen.still_holds():
        return kept
    if not all(_is_plannable(leaves[i]) for i in chosen):
        return None
    seen = snapshot(function)
    if seen is None:
        return None
    _plans.put(owner, (), entries)
    while len(entries) >= _PER_FUNCTION:
        entries.pop(next(iter(entries)), None)
    kept = entries[key] = Kept(seen, arrays)
    return kept


def _is_plannable(value: Any) -> bool:
    """Whether a value's rules, and those of what it holds, do nothing but compute."""
    inner = jtu.tree_leaves(value, is_leaf=lambda x: x is not value and type(x) in VALUE_TYPES)
    return type(value).pure_rules and not any(
        isinstance(x, Tracer) or (type(x) in VALUE_TYPES and not _is_plannable(x)) for x in inner
    )


def _check_same(concrete: Any, abstract: Any) -> None:
    """**Raises** `Unplannable` if a function did not do the same with its plain arrays abstract."""
    if concrete.out_tree != abstract.out_tree:
        raise Unplannable
    for before, now in zip(concrete.template, abstract.template, strict=True):
        if type(now) in _SIMPLE and (type(before) is not type(now) or before != now):
            raise Unplannable
    if [*_outline(concrete.jaxpr)] != [*_outline(abstract.jaxpr)]:
        raise Unplannable


def _outline(jaxpr: Any) -> Iterator[tuple[Any, ...]]:
    for eqn in jaxpr.eqns:
        body = eqn.params["body"] if eqn.primitive.name == "whole_call" else None
        if body is not None:  # there is no such equation where the operands are concrete
            yield from _outline(open_jaxpr(body)[0])
        else:
            yield eqn.primitive, *((v.aval.shape, v.aval.dtype) for v in eqn.outvars)


def _check(staged: Any) -> None:
    """**Raises** `Unplannable` if values whose rules do more than compute take part."""
    for item in staged.template:
        if type(item) not in (Output, BuiltOutput, *_SIMPLE):
            raise Unplannable
    for eqn in jaxprs.equations(staged.jaxpr):
        if eqn.primitive is inject_p:
            tree = eqn.params["tree"]
            if not _is_plannable(jtu.tree_unflatten(tree, [0] * tree.num_leaves)):
                raise Unplannable
