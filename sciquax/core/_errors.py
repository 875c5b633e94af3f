"""Errors that say what went wrong, where in the user's code, and what to do about it.

An error carries its parts as data and derives its text from them, so that the place can be filled
in by whoever knows it: the interpreter from an equation's source information, or an eager operator
from the Python stack.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import jax.extend.source_info_util as source_info_util

from ._compat.frames import is_user_file, user_location

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Location:
    """A place in the user's code: `file:line:column (function)`."""

    __slots__ = ("column", "file", "function", "line")

    def __init__(self, file: str, line: int, column: int, function: str):
        self.file: str = file
        self.line: int = line
        self.column: int = column
        self.function: str = function

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        if self.column:
            place += f":{self.column}"
        return f"{place} ({self.function})"


class LocatedError(Exception):
    """Mixin of errors that know their place and their remedy.

    Subclasses give `what()`; the text is `what`, then the place, then the remedy.
    """

    location: Location | None = None
    remedy: str = ""

    def what(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        lines = [self.what()]
        if self.location is not None:
            lines.append(f"  at {self.location}")
        if self.remedy:
            lines.append(self.remedy)
        return "\n".join(lines)


class RuleError(LocatedError, TypeError):
    """An operation that a value's type cannot take: no rule, or a rule that refuses."""

    def __init__(self, message: str, remedy: str = ""):
        super().__init__(message)
        self.remedy = remedy

    def __reduce__(self) -> Any:
        return type(self), (self.args[0], self.remedy), {"location": self.location}


class AmbiguousRuleError(RuleError):
    """Two registered rules fit equally well."""


class CarryError(RuleError):
    """The types of a loop's carry, or of a conditional's branches, do not settle."""


class MisshapenError(RuleError):
    """A rule made another shape than JAX, and the program builds on it."""


class OutsideQuaxifyError(RuleError):
    """A JAX function was handed a value outside of `quaxify`."""


def outside(what: str) -> OutsideQuaxifyError:
    """The error for `jnp.sin(value)` without `quaxify`."""
    error = OutsideQuaxifyError(
        f"A JAX function was given a `{what}` outside of `quaxify`.",
        "Wrap the function that calls it, `sciquax.quaxify(f)(...)`, or use the same function from "
        "`sciquax.numpy`, `sciquax.lax`, `sciquax.nn` or `sciquax.scipy`.",
    )
    locate_stack(error)
    return error


class Unsettled(Exception):
    """Internal: two values have no common type; the caller knows what they belong to.

    **Arguments**: what makes the error that the caller raises, from a message and a `remedy`.
    """

    def __init__(self, make: Callable[..., LocatedError] = CarryError):
        super().__init__()
        self.make = make


def locate_equation(error: BaseException, eqn: Any) -> None:
    """Give `error` the user's line of `eqn`, unless an inner equation already did.

    Equations within a jitted library function carry none: the enclosing equation then does it,
    since the error passes through its interpreter next.
    """
    if getattr(error, "_sciquax_located", False):
        return
    place = user_location(eqn.source_info)
    if place is not None:
        _place(error, Location(*place), eqn.primitive.name)


def locate_at(error: BaseException, location: Location | None) -> None:
    """Give `error` a place that was noted before, by `current_location`."""
    if location is not None:
        _place(error, location, "")


def current_location() -> Location | None:
    """The user's line of the equation that is being interpreted, else of the Python stack."""
    place = user_location(source_info_util.current())
    if place is not None:
        return Location(*place)
    error = LocatedError()
    locate_stack(error, 2)
    return error.location


def locate_stack(error: BaseException, depth: int = 1) -> BaseException:
    """Give `error` the innermost line of the user's on the Python stack, and return it."""
    frame = sys._getframe(depth)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE) and is_user_file(file):
            _place(error, Location(file, frame.f_lineno, 0, frame.f_code.co_qualname), "")
            break
        frame = frame.f_back
    return error


def _place(error: BaseException, location: Location, primitive: str) -> None:
    error._sciquax_located = True  # type: ignore[attr-defined]
    if isinstance(error, LocatedError):
        error.location = location
    elif primitive:
        error.add_note(f"While interpreting `{primitive}`\n  at {location}")
