"""Errors that say what went wrong, where in the user's code, and what to do about it.

An error carries its parts as data and derives its text from them, so that the place can be filled
in by whoever knows it: the interpreter from an equation's source information, or an eager operator
from the Python stack.
"""

import os
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import jax.extend.source_info_util as source_info_util

from ._compat.frames import is_library_file, is_user_file, outward, user_location

E = TypeVar("E", bound="LocatedError")

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def named_file(file: str) -> str:
    """The name by which a reader knows a file: for a notebook's cell IPython's, `Cell In[3]`.

    Jupyter compiles a cell as a file in /tmp that does not exist.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    named = shell.compile.format_code_name(file) if shell else None
    return " ".join(named) if named else file


class Location:
    """A place in the user's code: `file:line:column (function)`."""

    __slots__ = ("column", "file", "function", "line")

    def __init__(self, file: str, line: int, column: int, function: str):
        self.file: str = file
        self.line: int = line
        self.column: int = column
        self.function: str = function

    def __str__(self) -> str:
        place = f"{named_file(self.file)}:{self.line}"
        if self.column:
            place += f":{self.column}"
        return f"{place} ({self.function})"


class LocatedError(Exception):
    """An error that knows its place and its remedy; subclasses also derive from a built-in one.

    Its text is the message, then the place, then the remedy. `**data` become attributes. Pickled,
    data that is neither text nor numbers is kept as text.

    **Attributes**: `location`, the user's line, or None while nobody gave it; `remedy`;
    `in_library`, what else helps where the line is a library's, which nobody edits; `origin`, the
    innermost line of anybody's, by which that is known.
    """

    location: Location | None = None
    remedy: str = ""
    in_library: str = ""
    origin: Location | None = None

    def __init__(self, message: str = "", remedy: str = "", **data: Any):
        Exception.__init__(self, message)  # pint's exceptions, further on, take something else
        vars(self).update(data)
        if remedy:
            self.remedy = remedy

    def at(self: E, place: Any) -> E:
        """This error with its place, unless that is None.

        **Arguments**: a `Location`, as `user_line` and `current_location` give it, or an
        equation of a jaxpr, whose line of the user's it is.

        ```python
        >>> from sciquax.core import Location, RuleError
        >>> print(RuleError("`sin` got two.", "Give it one.").at(Location("a.py", 3, 0, "f")))
        `sin` got two.
          at a.py:3 (f)
        Give it one.

        ```
        """
        given = place is None or isinstance(place, Location)
        location = place if given else line_of(place)
        if self.in_library and self.origin is None:
            self.origin = code_line(None if given else place)
        if location is not None:
            self.location = location
        return self

    def what(self) -> str:
        """The message alone, its long quotations cut."""
        return shortened(str(self.args[0])) if self.args else ""

    def __str__(self) -> str:
        lines = [self.what()]
        if self.location is not None:
            lines.append(f"  at {self.location}")
        if self.remedy:
            lines.append(shortened(self.remedy))
        if self.in_library and self.origin is not None and is_librarys(self.origin):
            there = self.location is not None and self.location.file == self.origin.file
            line = "That line is" if there else f"The operation is at {self.origin}, which is"
            lines.append(f"{line} a library's. {self.in_library}")
        return "\n".join(lines)

    def __reduce__(self) -> Any:
        data = {k: x if isinstance(x, _PICKLED) else str(x) for k, x in vars(self).items()}
        return _blank, (type(self), self.args), data


SHOWN = 80
"""How much of what the user gave a message shows."""

_WORD = re.compile(rf"[^\s./]{{{SHOWN + 1},}}")
_LIST = re.compile(rf"([(\[{{])([^()\[\]{{}}]{{{2 * SHOWN},}})([)\]}}])")


def shortened(text: str) -> str:
    """A message without the middle of long words and the rest of long lists in it."""
    if len(text) <= 2 * SHOWN:
        return text
    text = _WORD.sub(lambda m: f"{m[0][: SHOWN - 5]}...{m[0][-2:]}", text)
    return _LIST.sub(lambda m: f"{m[1]}{m[2][: SHOWN - 3]}...{m[3]}", text)


def quoted(x: Any) -> str:
    """The representation of what was given, cut: for messages."""
    text = x if isinstance(x, str) else repr(x)
    text = text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
    return repr(text) if isinstance(x, str) else text


_PICKLED = (str, int, float, tuple, list, set, Location, type(None))


def _blank(cls: type[LocatedError], args: tuple[Any, ...]) -> LocatedError:
    """An error to fill with data; `__init__` may take other arguments."""
    error = cls.__new__(cls)
    error.args = args
    return error


class RuleError(LocatedError, TypeError):
    """A value's type has no rule for an operation, or its rule refuses the operands."""


class AmbiguousRuleError(RuleError):
    """Two registered rules fit an operation equally well."""


class CarryError(RuleError):
    """The branches of a conditional, or a loop's carry before and after, differ in type."""


class MisshapenError(RuleError):
    """A rule made another shape than JAX, and the program builds on it."""


class OutsideQuaxifyError(RuleError):
    """A JAX function received a value outside of `quaxify`."""


def wanted(op: str, x: Any, kinds: Any, text: str) -> Any:
    """An argument, if it is of these types. **Raises** `RuleError`.

    **Arguments**: the name of the function; the argument; the types; how to describe them.
    """
    if not isinstance(x, kinds):
        raise RuleError(f"`{op}` takes {text}, not {quoted(x)}.").at(user_line())
    return x


def outside(what: str, called: str | None = None) -> OutsideQuaxifyError:
    """The error for `jnp.sin(value)` without `quaxify`. **Arguments**: the type; the function."""
    place = user_line()
    caller = "f" if place is None else place.function.split("<locals>.")[-1]
    wrap = f"`sciquax.quaxify({'f' if '<' in caller else caller})(...)`"
    if called is None:
        subject, ours = "A JAX function", "the same function of `sciquax.numpy` or its siblings"
    else:
        subject, ours = f"`{called}`", f"`{called.replace('jax.', 'sciquax.', 1)}(...)`"
    return OutsideQuaxifyError(
        f"{subject} was given a `{what}` outside of `quaxify`.",
        f"Write {ours}, or wrap the function that calls it: {wrap}.",
    ).at(place)


class Unsettled(Exception):
    """Internal: two values have no common type; the caller knows which program they belong to.

    **Arguments**: a function that makes the caller's error from a message and a `remedy`.
    """

    def __init__(self, make: Callable[..., LocatedError] = CarryError):
        super().__init__()
        self.make = make


def at_equation(error: BaseException, eqn: Any) -> None:
    """Give `error` the user's line of `eqn`, unless an inner equation already did.

    Equations within a jitted library function carry none: the enclosing equation then does it,
    since the error passes through its interpreter next. An error of somebody else's gets a note.
    """
    if isinstance(error, LocatedError):
        if error.location is None:
            error.at(eqn)
    elif not getattr(error, "_sciquax_located", False) and (place := line_of(eqn)) is not None:
        error.add_note(f"While interpreting `{eqn.primitive.name}`\n  at {place}")
        error._sciquax_located = True  # pyright: ignore[reportAttributeAccessIssue]


def line_of(eqn: Any) -> Location | None:
    """The user's line that made an equation."""
    place = user_location(eqn.source_info)
    return None if place is None else Location(*place)


def code_line(eqn: Any = None) -> Location | None:
    """The innermost line of an equation, or of the Python stack, that is not JAX's or ours.

    It may be a library's, which `line_of` and `user_line` pass over.
    """
    if eqn is None:
        return user_line(libraries=True)
    place = user_location(eqn.source_info, libraries=True)
    return None if place is None else Location(*place)


def current_location() -> Location | None:
    """The user's line of the equation that is being interpreted, else of the Python stack."""
    place = user_location(source_info_util.current())
    return user_line() if place is None else Location(*place)


def is_librarys(line: Location | None) -> bool:
    """Whether a line is in a library."""
    return line is not None and is_library_file(line.file)


def user_line(libraries: bool = False) -> Location | None:
    """The innermost line of the user's, or also of a library's, on the Python stack.

    A library that was handed a value, as NumPy and matplotlib are, is passed over, unless there are
    no other lines.
    """
    innermost = None
    for frame in outward(sys._getframe(1)):
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE) and is_user_file(file, libraries):
            place = Location(file, frame.f_lineno, 0, frame.f_code.co_qualname)
            if libraries or not is_library_file(file):
                return place
            innermost = innermost or place
    return innermost
