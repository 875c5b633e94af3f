"""Errors about names, sizes, indices and coordinates."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from sciquax.core import LocatedError


class AxisError(LocatedError, ValueError):
    """A name that is absent, repeated, ambiguous, or of another size."""


class AxisSizeError(AxisError):
    """One name has two sizes."""


class CoordinateError(AxisError):
    """Coordinates disagree, or do not contain the requested value."""


class AxisIndexError(AxisError, IndexError):
    """An index is outside of an axis."""


class PositionalError(LocatedError, TypeError):
    """An operand has no names, where axes are matched by name."""


def show_dims(dims: Sequence[Any]) -> str:
    """Dims as a tuple reads: `('x', None)`."""
    return f"({', '.join(map(repr, dims))}{',' if len(dims) == 1 else ''})"


def suggestion(name: Any, known: Iterable[Any]) -> str:
    """`Did you mean 'time'?`, or what there is."""
    names = [k for k in known if isinstance(k, str)]
    near = difflib.get_close_matches(str(name), names, n=2, cutoff=0.6)
    if near:
        return "Did you mean " + " or ".join(map(repr, near)) + "?"
    return f"It has {', '.join(map(repr, names))}." if names else "It has no named axes."


def absent(op: str, name: Any, dims: Sequence[Any]) -> AxisError:
    return AxisError(
        f"`{op}` got the name {name!r}, and the array's dims are {show_dims(dims)}.",
        suggestion(name, dims),
    )


def repeated(op: str, name: Any) -> AxisError:
    return AxisError(
        f"`{op}` got the name {name!r} twice.", "Give each name once; `rename` tells axes apart."
    )
