"""Comparing the description in a file with the value that it is to fill."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sciquax.core import LocatedError, is_value, user_line

from .descriptions import class_name, describe, entries, is_array, parts, same_class, shown
from .static_parts import shown as shown_static, text_of, written

_MOST = 8
REMEDY = "Read it into what was written, and change that then."


class StoredTypeError(LocatedError, ValueError, RuntimeError):
    """A file holds something else than what it is read into.

    A RuntimeError too, as Equinox raises where shapes differ.
    """


class Difference(NamedTuple):
    """Something that a file has otherwise than `like`.

    **Attributes**: `path`, where; `stored` and `wanted`, what each has there; `error`, what makes
    the error of a message if this is all that differs.
    """

    path: str
    stored: str
    wanted: str
    error: Callable[..., Exception] = StoredTypeError

    def text(self, source: str) -> str:
        place = f"At {self.path} the" if self.path else "The"
        return f"{place} {source} has {self.stored}, `like` {self.wanted}."


class Reading(NamedTuple):
    """How the values of one class are read.

    **Attributes**: `differences`, from the static fields as they are written, the value to be
    filled and its path; `convert`, from a value that was read, in the static fields of the one to
    be filled, and those of the file: what it is in the former. **Raises** ValueError.
    """

    differences: Callable[[dict[str, Any], Any, str], Iterator[Difference]]
    convert: Callable[[Any, dict[str, Any]], Any] = lambda value, static: value


_readings: dict[type, Reading] = {}


def register_reading(kind: type, reading: Reading) -> None:
    """Say how the static fields of a class are compared and converted; else they must be equal."""
    _readings[kind] = reading


def reading_of(kind: type) -> Reading:
    known = (_readings[k] for k in kind.__mro__ if k in _readings)
    return next(known, Reading(_all_equal))


def check(node: Any, like: Any, source: str) -> None:
    """Compare a description with what is to be filled.

    **Arguments**: and what error messages call the file.

    **Raises** `StoredTypeError` with everything that differs, by path; or what a single kind of
    difference raises.
    """
    found = list(_differences(node, like, ""))
    if not found:
        return
    lines = [x.text(source) for x in found[:_MOST]]
    if len(found) > _MOST:
        lines.append(f"There are {len(found) - _MOST} more differences.")
    kinds = {x.error for x in found}
    make = found[0].error if len(found) == 1 or len(kinds) == 1 else StoredTypeError
    error = make("\n".join(lines), remedy=REMEDY)
    raise error.at(user_line()) if isinstance(error, LocatedError) else error


def _differences(node: Any, like: Any, path: str) -> Iterator[Difference]:
    kind = _kind(like)
    alike = kind == _kind_stored(node)
    if not alike or kind == "class" and not same_class(node["class"], class_name(type(like))):
        yield Difference(path, shown(node), shown(describe(like)[0]))
    elif kind == "class":
        yield from reading_of(type(like)).differences(node["static"], like, path)
        yield from _by_name(node["fields"], parts(like).fields, path, ".")
    elif kind == "tree":
        yield from _by_name(dict(map(tuple, node["tree"])), entries(like), path, "")
    elif text_of(node) != text_of(own := describe(like)[0]):
        yield Difference(path, shown(node), shown(own))


def _by_name(
    stored: dict[str, Any], wanted: dict[str, Any], path: str, dot: str
) -> Iterator[Difference]:
    for name in {**stored, **wanted}:
        place = f"{path}{dot}{name}"
        if name not in stored:
            yield Difference(place, "nothing", shown(describe(wanted[name])[0]))
        elif name not in wanted:
            yield Difference(place, shown(stored[name]), "nothing")
        else:
            yield from _differences(stored[name], wanted[name], place)


def _kind(like: Any) -> str:
    if is_value(like):
        return "class"
    return "nothing" if like is None else "array" if is_array(like) else "tree"


def _kind_stored(node: Any) -> str:
    if node is None:
        return "nothing"
    return next((key for key in ("class", "tree") if key in node), "array")


def _all_equal(static: dict[str, Any], like: Any, path: str) -> Iterator[Difference]:
    """The differences of static fields that must be equal."""
    own = {name: written(x) for name, x in parts(like).static.items()}
    for name in {**static, **own}:
        if name not in static or name not in own or text_of(static[name]) != text_of(own[name]):
            stored, wanted = (
                shown_static(x[name]) if name in x else "nothing" for x in (static, own)
            )
            yield Difference(f"{path}.{name}", stored, wanted)
