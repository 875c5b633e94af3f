"""Bodies of functions, staged anew as interpreted on values of given types, and kept."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._compat import execution
from .._compat.jaxprs import open_jaxpr
from .._compat.tracing import trace_to_jaxpr
from .._dispatch.tables import CACHES_TO_CLEAR
from .._errors import LocatedError
from .._interpret import interpret
from .._values.kinds import VALUE_TYPES
from .._values.mode import MODE
from .._values.stated import Asked
from .._values.trust import Literals, are_trusted, taking
from .._values.types import Type, convert, flatten, type_of, unflatten
from .._values.unit_polymorphic import strip
from .._weak_cache import WeakCache


class Staged(NamedTuple):
    """An interpreted body: a closed jaxpr over leaves, and the types of its outputs.

    Where literals are trusted, `literals` are those that each output is made of.
    """

    jaxpr: Any
    outs: tuple[Type, ...]
    literals: Sequence[Literals]


_staged = WeakCache()
CACHES_TO_CLEAR.append(_staged)


def restage(
    body: Any, types: Sequence[Type], targets: Sequence[Type | None] = (), deferring: bool = False
) -> Staged:
    """Interpret `body` on operands of these types, to a jaxpr over their leaves.

    **Arguments**: a jaxpr, the types of its operands, and for the first outputs the types to
    convert them to (None leaves one as it comes); and whether outputs may be transient.

    What is kept is used for operands of the same types. Where the body asked what number a stated
    operand is, the answers have to be the same too.
    """
    sources = [t.source for t in types]
    types = [t.asking(None) for t in types]
    stated = tuple(s is not None for s in sources)
    key = (tuple(types), stated, tuple(targets), deferring, execution.trace_context())
    kept = _staged.get(body, key)
    if kept is None:
        _staged.put(body, key, kept := {})
    if MODE.observer is None:
        for questions, by_answers in kept.items():
            now = tuple(_hashable(sources[i].ask(what, data)) for i, what, data in questions)
            if (found := by_answers.get(now)) is not None:
                return found
    answers: dict[Any, Any] = {}
    asked = [None if s is None else Asked(i, s, answers) for i, s in enumerate(sources)]
    found = _stage(body, [*map(Type.asking, types, asked)], targets, deferring)
    for source in asked:
        if source is not None:
            source.end()
    now = tuple(map(_hashable, answers.values()))
    kept.setdefault(tuple(answers), {})[now] = found
    return found


def _stage(
    body: Any, types: Sequence[Type], targets: Sequence[Type | None], deferring: bool
) -> Staged:
    jaxpr, consts = open_jaxpr(body)
    outs: tuple[Type, ...] = ()
    literals: list[Literals] = []

    def flat(*leaves: Any) -> list[Any]:
        nonlocal outs
        values = interpret(jaxpr, consts, unflatten(types, leaves), deferring, literals=literals)
        for i, target in enumerate(targets):
            if target is not None:
                values[i] = convert(taking(values[i], literals[i], target.example()), target)
        outs = tuple(map(type_of, values))
        return flatten(values)

    closed = trace_to_jaxpr(flat, [a for t in types for a in t.avals])
    return Staged(closed, outs, literals)


def stated_outputs(body: Any, types: Sequence[Type]) -> list[Any]:
    """The number that each output of a body is which the body states; None for all others."""
    jaxpr, consts = open_jaxpr(body)
    numbers: list[Any] = []

    def flat(*leaves: Any) -> list[Any]:
        values = unflatten([t.asking(None) for t in types], leaves)
        return flatten(interpret(jaxpr, consts, values, stated=numbers))

    trace_to_jaxpr(flat, [a for t in types for a in t.avals])
    return numbers


def _hashable(answer: Any) -> Any:
    """An answer as a hashable key; numbers count to the last bit."""
    is_array = isinstance(answer, (np.ndarray, np.generic))
    return (answer.dtype, answer.shape, answer.tobytes()) if is_array else answer


def minding(a: Type | None, b: Type) -> list[Any]:
    """The part of a value `b` that depends on which number stands beside it, if `a` is an array."""
    if a is not None and type(strip(a.example())) in VALUE_TYPES:
        return []
    found: list[Any] = []
    example: Any = strip(b.example())
    while type(example) in VALUE_TYPES:
        if example.minds_numbers():
            found.append(example)
        example = None if example.payload is None else getattr(example, example.payload)
    return found


def check_number(
    number: Any, beside: Sequence[Any], op: str, made_of: Literals | None = None
) -> None:
    """Ask the values that might stand in the place of a stated number whether they accept it.

    The literals that it is made of count where literals are trusted.
    """
    for example in beside if number is not None else ():
        try:
            example.check_number(number, op)
        except LocatedError:
            if made_of is None or not are_trusted(made_of, example):
                raise
