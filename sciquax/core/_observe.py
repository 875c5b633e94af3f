"""Who watches the interpreter of this thread, if anybody: see `_show.py`."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from ._value import MODE


@runtime_checkable
class Observer(Protocol):
    """What the interpreter tells: the jaxprs it enters and leaves, equations before and after."""

    def enter(self, jaxpr: Any, n_consts: int, operands: Sequence[Any]) -> None: ...
    def leave(self) -> None: ...
    def before(self, eqn: Any) -> None: ...
    def after(self, results: Sequence[Any]) -> None: ...


@contextlib.contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """While `observer` is told what the interpreter does. Nothing kept is used meanwhile."""
    before, MODE.observer = MODE.observer, observer
    try:
        yield
    finally:
        MODE.observer = before
