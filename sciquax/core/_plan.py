"""Un-jitted calls that need no staging: the operations of the last call, again.

Calling a quaxified function stages and interprets it. Where everything that the function sees is
known and unchanged (`_visible.py`), and the operands are of the same types, the operations on bare
arrays that this came to are the same too. They are kept, and run one by one as JAX runs operations
that are not compiled together, so that the numbers are the same to the last bit.
"""

import types
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.tree_util as jtu

from . import _compat
from ._bodies import flatten, type_of, unflatten
from ._compat import Literal, Tracer, open_jaxpr
from ._dispatch import CACHES_TO_CLEAR
from ._inject import inject_p
from ._interpret import interpret
from ._outputs import BuiltOutput, Output
from ._polymorphic import strip
from ._value import MODE, VALUE_TYPES
from ._visible import Snapshot, snapshot
from ._weak import WeakCache

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
            outs = interpret(staged.jaxpr, staged.consts, unflatten(operand_types, leaves))
            outs = [strip(x) for x in outs]
            out_types[:] = map(type_of, outs)
            return flatten(outs)

        structs = [x for t in operand_types for x in t.leaves()]
        jaxpr, consts = open_jaxpr(jax.make_jaxpr(flat)(*structs))
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

        inputs = _compat.all_inputs(jaxpr, len(consts))
        for var, const in zip(inputs[: len(consts)], consts, strict=True):
            self._slots[slot(var)] = const
        self._inputs = [slot(var) for var in inputs[len(consts) :]]
        self._steps = [
            (
                _compat.eager_callable(eqn),
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
        return unflatten(self._out_types, [_compat.as_array(env[i]) for i in self._outputs])


class Unplannable(Exception):
    """Internal: what a call does cannot be kept."""


class Kept:
    """What is kept for one function and types of operands, and for how long it is good."""

    def __init__(self, seen: Snapshot):
        self.seen = seen
        self.staged: Any = None
        self.plan: Plan | None = None
        self.hopeless = False


def kept_for(leaves: Sequence[Any], treedef: Any, chosen: Sequence[int]) -> Kept | None:
    """What is kept for a call, new if nothing is; None if nothing may be."""
    function = leaves[0] if leaves else None
    if type(function) is not types.FunctionType or 0 in chosen or not _compat.nothing_is_traced():
        return None
    parts: list[Any] = [treedef, _compat.trace_context()]
    wanted = set(chosen)
    for i, x in enumerate(leaves):
        if i in wanted:
            parts.append(type_of(x))
        elif i > 0:
            if type(x) not in _SIMPLE:
                return None
            parts.append((type(x), x.hex() if type(x) is float else x))
    key = tuple(parts)
    entries = _plans.get(function, ())
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
    _plans.put(function, (), entries)
    while len(entries) >= _PER_FUNCTION:
        entries.pop(next(iter(entries)), None)
    kept = entries[key] = Kept(seen)
    return kept


def _is_plannable(value: Any) -> bool:
    """Whether a value's rules, and those of what it holds, do nothing but compute."""
    inner = jtu.tree_leaves(value, is_leaf=lambda x: x is not value and type(x) in VALUE_TYPES)
    return type(value).pure_rules and not any(
        isinstance(x, Tracer) or (type(x) in VALUE_TYPES and not _is_plannable(x)) for x in inner
    )


def planned(kept: Kept, values: Sequence[Any]) -> Plan | None:
    """The plan for a call that was staged before, made at its second time."""
    if kept.plan is None and kept.staged is not None and not kept.hopeless:
        try:
            _check(kept.staged)
            before = MODE.signature_rules_called
            plan = Plan(kept.staged, values)
            if MODE.signature_rules_called != before:
                raise Unplannable
            kept.plan = plan
        except Exception:  # a rule that wants concrete arrays, say
            kept.hopeless = True
    return kept.plan


def _check(staged: Any) -> None:
    """**Raises** `Unplannable` if values whose rules do more than compute take part."""
    for item in staged.template:
        if type(item) not in (Output, BuiltOutput, *_SIMPLE):
            raise Unplannable
    for eqn in _equations(staged.jaxpr):
        if eqn.primitive is inject_p:
            tree = eqn.params["tree"]
            if not _is_plannable(jtu.tree_unflatten(tree, [0] * tree.num_leaves)):
                raise Unplannable


def _equations(jaxpr: Any) -> Iterator[Any]:
    for eqn in jaxpr.eqns:
        yield eqn
        for body in _compat.bodies(eqn.params):
            yield from _equations(open_jaxpr(body)[0])
