"""Running parts of the user's own on quantities, and telling them the units of the solve."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import diffrax
import jax.tree_util as jtu

from sciquax.core import LocatedError, UnitPolymorphic, strip
from sciquax.core.internal import takes_values_apart
from sciquax.units import DimensionalityError
from sciquax.units.internal import magnitude_of, own_unit, wrap

from .._solving.flattened_values import is_stored
from .._solving.tree_units import Working, how_given, is_quantity, to_unit
from .._solving.user_functions import call, definition_of, keep


class _Trial(threading.local):
    """Whether parts of the user's are being tried on quantities, and nothing is to be solved."""

    active = False


TRIAL = _Trial()


@contextlib.contextmanager
def trial() -> Iterator[None]:
    """While active, Diffrax's own loops and root finders return their input."""
    outer, TRIAL.active = TRIAL.active, True
    try:
        yield
    finally:
        TRIAL.active = outer


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


def is_own(part: Any) -> bool:
    """Whether the class of a part is neither of Diffrax, of Optimistix nor of this package."""
    package = type(part).__module__.partition(".")[0]
    return package not in ("diffrax", "optimistix", "sciquax")


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


def settled(state: Any, following: Callable[[Any], Any]) -> Any:
    """An initial internal state in which zeros of every unit have units.

    **Arguments**: what `init` gave; and what gives the state after it.
    """
    leaves, tree = jtu.tree_flatten(state, is_leaf=is_stored)
    if not any(type(x) is UnitPolymorphic for x in leaves):
        return state
    after, new_tree = jtu.tree_flatten(following(state), is_leaf=is_stored)
    if new_tree == tree:
        for i, (x, new) in enumerate(zip(leaves, after, strict=True)):
            if type(x) is UnitPolymorphic:
                leaves[i] = wrap(magnitude_of(strip(x)), own_unit(new))
    return tree.unflatten(leaves)


def as_before(new: Any, old: Any, method: Callable[..., Any], what: str) -> Any:
    """An internal state with its leaves in the units that they had before.

    **Raises** `DimensionalityError` where one measures something else now.
    """
    leaves, tree = jtu.tree_flatten(old, is_leaf=is_stored)
    after, new_tree = jtu.tree_flatten(new, is_leaf=is_stored)
    if new_tree != tree:
        return new  # JAX says what is wrong

    def convert(x: Any, before: Any) -> Any:
        if not is_quantity(x) and not is_quantity(before):
            return x
        unit = own_unit(before)

        def complain(x: Any) -> LocatedError:
            error = DimensionalityError(
                f"{what} returned {how_given(x)} in its internal state, which was in '{unit}'.",
                own_unit(x).pint,
                unit.pint,
                "A state keeps what it measures from step to step, and so must what `init` gives.",
            )
            return error.at(definition_of(method))

        return wrap(to_unit(x, unit, complain), unit)

    return tree.unflatten([convert(*pair) for pair in zip(after, leaves, strict=True)])
