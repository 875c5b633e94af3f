"""Bodies of functions, staged anew as interpreted on values of given types, and kept."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .._compat import execution, jaxprs
from .._compat.jaxprs import ShapedArray, open_jaxpr
from .._compat.tracing import trace_to_jaxpr
from .._dispatch.tables import CACHES_TO_CLEAR
from .._interpret import interpret
from .._values.mode import MODE
from .._values.types import Type, convert, flatten, type_of, unflatten
from .._weak_cache import WeakCache


class Staged(NamedTuple):
    """An interpreted body: a closed jaxpr over leaves, and the types of its outputs."""

    jaxpr: Any
    outs: tuple[Type, ...]


_staged = WeakCache()
CACHES_TO_CLEAR.append(_staged)


def restage(
    body: Any, types: Sequence[Type], targets: Sequence[Type | None] = (), deferring: bool = False
) -> Staged:
    """Interpret `body` on operands of these types, to a jaxpr over their leaves.

    **Arguments**: a jaxpr, the types of its operands, and for the first outputs the types to
    convert them to (None leaves one as it comes); and whether outputs may be transient.
    """
    key = (tuple(types), tuple(targets), deferring, execution.trace_context())
    found = _staged.get(body, key) if MODE.observer is None else None
    if found is None:
        jaxpr, consts = open_jaxpr(body)
        outs: tuple[Type, ...] = ()

        def flat(*leaves: Any) -> list[Any]:
            nonlocal outs
            values = interpret(jaxpr, consts, unflatten(types, leaves), deferring)
            for i, target in enumerate(targets):
                if target is not None:
                    values[i] = convert(values[i], target)
            outs = tuple(map(type_of, values))
            return flatten(values)

        avals = [
            ShapedArray(a.shape, a.dtype, weak_type=a.weak_type, sharding=jaxprs.aval_sharding(a))
            for t in types
            for a in t.avals
        ]
        found = Staged(trace_to_jaxpr(flat, avals), outs)
        _staged.put(body, key, found)
    return found
