"""The globals that a function's code names, found in its bytecode."""

import dis
import types
from collections.abc import Iterator

from .._weak_cache import WeakCache

_UNSAFE_OPCODES = frozenset(
    "STORE_GLOBAL DELETE_GLOBAL STORE_ATTR DELETE_ATTR IMPORT_NAME IMPORT_FROM LOAD_NAME "
    "LOAD_BUILD_CLASS YIELD_VALUE SEND".split()
)


class Unseen(Exception):
    """Internal: a function sees something that may change without notice."""


_names_of_code = WeakCache()


def names_of(code: types.CodeType) -> tuple[tuple[str, ...], ...] | None:
    """The globals that code names, each with the attributes taken of it; inner code included.

    None if it does what cannot be followed.
    """
    found = _names_of_code.get(code, ())
    if found is None:
        try:
            found = tuple(dict.fromkeys(_chains(code, code.co_freevars)))
        except Unseen:
            found = "unseen"
        _names_of_code.put(code, (), found)
    return None if found == "unseen" else found


def _chains(code: types.CodeType, outer_free: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    chain: list[str] = []
    handlers = 0  # of `except` and `finally`, in which what only tracing refuses may end
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name in _UNSAFE_OPCODES and (name, code.co_name) != ("YIELD_VALUE", "<genexpr>"):
            raise Unseen
        handlers += (name == "PUSH_EXC_INFO") - (name == "WITH_EXCEPT_START")
        if name == "STORE_DEREF" and instruction.argval in outer_free:
            raise Unseen
        if name == "LOAD_GLOBAL":
            if chain:
                yield tuple(chain)
            chain = [instruction.argval]
        elif name in ("LOAD_ATTR", "LOAD_METHOD") and chain:
            chain.append(instruction.argval)
        elif name not in ("CACHE", "PUSH_NULL", "PRECALL", "EXTENDED_ARG") and chain:
            yield tuple(chain)
            chain = []
    if handlers:
        raise Unseen
    if chain:
        yield tuple(chain)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _chains(constant, outer_free)
