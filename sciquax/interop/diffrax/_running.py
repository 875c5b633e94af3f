"""Running parts of the user's own on quantities, and telling them the units of the solve."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import diffrax

from sciquax.core import LocatedError
from sciquax.core.internal import takes_values_apart

from .._solving.tree_units import Working
from .._solving.trial import is_own
from .._solving.user_functions import call, keep


class _Running(threading.local):
    """The working units of the solve whose part of the user's own runs on quantities, if any.

    Meanwhile Diffrax's own parts, which work on magnitudes, take quantities too: see `_hooks`.
    """

    working: Working | None = None


RUNNING = _Running()


@contextlib.contextmanager
def running(working: Working | None) -> Iterator[None]:
    """While active, Diffrax's own parts accept quantities; for None they do not."""
    outer, RUNNING.working = RUNNING.working, working
    try:
        yield
    finally:
        RUNNING.working = outer


def runs_on_quantities(solver: Any) -> bool:
    """Whether a solver, or the one that Diffrax's wraps, is the user's: it sees his terms."""
    while isinstance(getattr(solver, "solver", None), diffrax.AbstractSolver) and not is_own(
        solver
    ):
        solver = solver.solver
    return is_own(solver)


def is_directed(term: Any) -> bool:
    """Whether a term is what Diffrax makes of each, for time that runs backwards: `WrapTerm`."""
    return not is_own(term) and {"term", "direction"} <= vars(term).keys()


def on_quantities(part: Any, name: str, working: Working, *args: Any) -> Any:
    """Call a user's method on quantities, including those that the part holds.

    Outputs that are literal 0, inf or nan keep their mark, that they belong to every unit.
    """

    @takes_values_apart
    def method(part: Any, *args: Any) -> Any:
        return getattr(part, name)(*args)

    method.__wrapped__ = getattr(type(part), name)  # type: ignore[attr-defined]  # errors name it
    with running(working):
        try:
            return call(method, part, *args, finish=keep)
        except LocatedError as error:
            error.add_note(
                f"`{type(part).__name__}.{name}`, which is not Diffrax's, runs on quantities: a "
                "number in it that stands for a time or for a part of the state needs its unit."
            )
            raise
