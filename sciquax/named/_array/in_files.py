"""Axes in files: names, coordinates in full precision, what a file said of the array."""

from collections.abc import Iterator
from typing import Any

import jax.tree_util as jtu
import numpy as np

from sciquax._files.building import build
from sciquax._files.comparison import Difference, Reading, register_reading
from sciquax._files.descriptions import describe
from sciquax._files.static_parts import read, register_static, shown, text_of, written
from sciquax.core.internal import quoted

from .axes import Attributes, Axes, axes
from .base import NamedBase
from .coordinates import Beside, Coordinate
from .errors import show_dims
from .flattening import StaleAxes


def _write_coordinate(c: Coordinate) -> tuple[Any, Any]:
    """The values, and the type of the value that they are in, if they have a unit."""
    return c.values, None if c.tree is None else describe(c.of(np.zeros(0)))[0]


def _read_coordinate(found: tuple[Any, Any]) -> Coordinate:
    values, kind = found
    tree = None if kind is None else jtu.tree_structure(build(kind, [np.zeros(0)]))
    return Coordinate(values, tree)


register_static(Coordinate, "coordinates", _write_coordinate, _read_coordinate)
register_static(
    Attributes, "attributes", lambda a: (a.name, a.items, a.items_of), lambda x: Attributes(*x)
)
register_static(Beside, "coordinate beside axes", tuple, lambda x: Beside(*x))
register_static(
    Axes,
    "axes",
    lambda known: (
        known.dims,
        known.coords,
        known.attrs,
        *([known.beside] if known.beside else ()),
    ),
    lambda x: axes(*x),
)
# An array whose axes a transformation took away says so, rather than be written.
register_static(StaleAxes, "misplaced", lambda known: known.dims, tuple)


def _differences(static: dict[str, Any], like: Any, path: str) -> Iterator[Difference]:
    own = like._axes
    try:
        stored = read(static["_axes"])
        if type(stored) is not Axes:
            raise ValueError(f"{quoted(stored)} are no axes.")
    except (ValueError, KeyError) as error:
        yield Difference(path, f"axes that cannot be read ({error})", show_dims(own.dims))
        return
    if stored.dims != own.dims:
        yield Difference(path, f"the dims {show_dims(stored.dims)}", show_dims(own.dims))
        return
    for name in {**stored.coords, **own.coords}:
        here, there = stored.coords.get(name), own.coords.get(name)
        if here is None or there is None or not here.same(there):
            yield Difference(path, f"{_shown(here)} along {name!r}", _shown(there))
    for name in {**stored.beside, **own.beside}:
        one, other = stored.beside.get(name), own.beside.get(name)
        if one is None or other is None or not one.same(other):
            found = [None if b is None else b.held for b in (one, other)]
            yield Difference(path, f"{_shown(found[0])} called {name!r}", _shown(found[1]))
    if (told := _attributes(stored)) != (wanted := _attributes(own)):
        yield Difference(path, f"attributes {shown(told)}", shown(wanted))


def _shown(c: Coordinate | None) -> str:
    if c is None:
        return "no coordinates"
    return f"the coordinates {quoted(c.values.tolist())} {c.unit}".strip()


def _attributes(known: Axes) -> str:
    return text_of(written(known.attrs))


register_reading(NamedBase, Reading(_differences))
