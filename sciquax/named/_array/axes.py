"""`Axis`, a name with a size; and `Axes`, what an array knows of its axes: names, coordinates.

Arrays store strings. `Axes` are interned, so that two arrays laid out alike share one object, which
compares and hashes by identity: that is what makes operators and pytrees cheap.
"""

import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

import numpy as np

from sciquax.core import user_line
from sciquax.core.internal import wanted

from .coordinates import Beside, Coordinate, meet, met_beside
from .errors import AxisError, AxisSizeError, absent, repeated, show_dims

Dims = tuple[str | None, ...]


class Axis:
    """A name, with a size that is checked wherever the name is used.

    **Arguments**: `name`, a string; `size`, or None for any. Compares by value.

    ```python
    >>> from sciquax.named import Axis, zeros
    >>> Axis("x", 3) == Axis("x", 3)
    True
    >>> zeros((Axis("x", 3), Axis("y", 2))).dims
    ('x', 'y')

    ```
    """

    __slots__ = ("name", "size")
    name: str
    size: int | None

    def __init__(self, name: str, size: int | None = None):
        check_name(name)
        if size is not None:
            wanted("Axis", size, SupportsIndex, f"a whole number as the size of {name!r}")
            size = size.__index__()
            if size < 0:
                raise AxisSizeError(f"The size of axis {name!r} is {size}.").at(user_line())
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "size", size)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("An `Axis` is immutable; make another one.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Axis):
            return NotImplemented
        return (self.name, self.size) == (other.name, other.size)

    def __hash__(self) -> int:
        return hash((Axis, self.name, self.size))

    def __reduce__(self) -> Any:
        return Axis, (self.name, self.size)

    def __repr__(self) -> str:
        return (
            f"Axis({self.name!r}, {self.size})" if self.size is not None else f"Axis({self.name!r})"
        )


def check_name(name: Any) -> str:
    """`name`, if it is a name. **Raises** `AxisError`."""
    if type(name) is not str or not name:
        raise AxisError(
            f"A name is a string or an `Axis`, and {name!r} is a {type(name).__name__}."
        ).at(user_line())
    return name


def name_of(axis: Any) -> str:
    """The name of a name or an `Axis`."""
    return axis.name if isinstance(axis, Axis) else check_name(axis)


def size_given(axis: Any) -> int | None:
    return axis.size if isinstance(axis, Axis) else None


def as_names(names: Any) -> tuple[Any, ...]:
    """One name or several, as a tuple of what was given."""
    if isinstance(names, (str, Axis)):
        return (names,)
    if isinstance(names, (int, slice)) or not isinstance(names, Iterable):
        raise AxisError(
            f"Axes are given by name, and {names!r} is not one.",
            "Positions belong to code that runs under `quaxify`.",
        ).at(user_line())
    return tuple(names)


def sizes_of(op: str, sizes: Any) -> dict[str, int]:
    """`{"x": 3}`, `Axis("x", 3)` or a sequence of such axes, as a dictionary."""
    if isinstance(sizes, Mapping):
        pairs = [(name_of(k), size_given(k), v) for k, v in sizes.items()]
    else:
        pairs = [(name_of(a), None, size_given(a)) for a in as_names(sizes)]
    found: dict[str, int] = {}
    for name, stated, size in pairs:
        if size is None:
            raise AxisError(
                f"`{op}` needs the size of axis {name!r}.", f"Write `{{{name!r}: 3}}`."
            ).at(user_line())
        size = wanted(op, size, (int, np.integer), "sizes that are integers").__index__()
        if name in found:
            raise repeated(op, name).at(user_line())
        if size < 0 or stated is not None and stated != size:
            raise AxisSizeError(f"`{op}` got the size {size} for axis {name!r}.").at(user_line())
        found[name] = size
    return found


class Axes:
    """The names, sizes and coordinates of an array's axes. Make one with `axes`.

    **Attributes**: `dims`, a name or None for each axis; `coords`, coordinates by name; `attrs`,
    what a file said of the array (None, if nothing); `beside`, coordinates that are no axis' own;
    `place`, the position of each name; `plain`, the same without attributes, as results of
    arithmetic have it; `traced`, the same without single values beside, for which JAX would
    compile anew; `named`, whether every axis has a name.
    """

    __slots__ = (
        "__weakref__", "attrs", "beside", "coords", "dims", "named", "place", "plain", "traced",
    )  # fmt: skip

    dims: Dims
    coords: dict[str, Coordinate]
    attrs: "Attributes | None"
    beside: dict[str, Beside]
    place: dict[str, int]
    plain: "Axes"
    traced: "Axes"
    named: bool

    def __init__(
        self, dims: Dims, coords: dict[str, Coordinate], attrs: "Attributes | None",
        beside: dict[str, Beside],
    ):  # fmt: skip
        self.dims, self.coords, self.attrs, self.beside = dims, coords, attrs, beside
        self.place = {name: i for i, name in enumerate(dims) if name is not None}
        self.named = None not in dims
        self.plain = self if attrs is None else axes(dims, coords, beside=beside)
        several = {n: c for n, c in beside.items() if c.dims}
        self.traced = (
            self if len(several) == len(beside) else axes(dims, coords, attrs, beside=several)
        )

    def __reduce__(self) -> Any:
        return axes, (self.dims, self.coords, self.attrs, self.beside)

    def __copy__(self) -> "Axes":
        return self

    def __deepcopy__(self, memo: Any) -> "Axes":
        return self

    def __repr__(self) -> str:
        extra = f", coords={sorted(self.coords)}" if self.coords else ""
        return f"Axes({show_dims(self.dims)}{extra})"

    def position(self, op: str, axis: Any, array: Any = None) -> int:
        """Where a name is. **Raises** `AxisError` if it is absent or of another size."""
        name = name_of(axis)
        found = self.place.get(name)
        if found is None:
            if name in self.beside:
                along = self.beside[name].dims
                raise AxisError(
                    f"`{op}` got {name!r}, a coordinate with the dims {show_dims(along)}: no axis.",
                    f"Choose by a mask: `a.sel({along[0]}=a.coord({name!r}) == 3)`."
                    if len(along) == 1
                    else "Name an axis.",
                ).at(user_line())
            raise absent(op, name, self.dims).at(user_line())
        if array is not None and isinstance(axis, Axis) and axis.size is not None:
            size = array.shape[found]
            if size != axis.size:
                raise AxisSizeError(
                    f"`{op}` got {axis!r}, and the array's {name!r} has size {size}.",
                    "Give the name alone, or the right size.",
                ).at(user_line())
        return found

    def positions(self, op: str, names: Any, array: Any = None) -> tuple[int, ...]:
        """Where names are. **Raises** `AxisError` if one is absent or repeated."""
        found: list[int] = []
        for axis in as_names(names):
            position = self.position(op, axis, array)
            if position in found:
                raise repeated(op, name_of(axis)).at(user_line())
            found.append(position)
        return tuple(found)

    def keep(self, positions: Iterable[int]) -> "Axes":
        """The axes at these positions, in this order, with their coordinates."""
        return self.with_dims(tuple(self.dims[i] for i in positions))

    def with_dims(self, dims: Dims) -> "Axes":
        """Other dims; coordinates of the names among them are kept, attributes are not."""
        if not self.coords:
            return axes(dims, beside=self.beside) if self.beside else axes(dims)
        kept = {n: self.coords[n] for n in dims if n is not None and n in self.coords}
        return axes(dims, kept, beside=self.beside)

    def with_coord(self, name: str, coordinate: Coordinate | None) -> "Axes":
        coords = {n: c for n, c in self.coords.items() if n != name}
        if coordinate is not None:
            coords[name] = coordinate
        return axes(self.dims, coords, self.attrs, self.beside)

    def with_beside(self, **more: Beside | None) -> "Axes":
        """With other coordinates that are no axis' own; None takes one away."""
        both = {**self.beside, **more}
        kept = {n: c for n, c in both.items() if c is not None}
        return axes(self.dims, self.coords, self.attrs, kept)

    def taken(self, at: Mapping[Any, Any]) -> "Axes":
        """The coordinates at places along names, of a slice or a list: as many axes as before."""
        if not self.coords and not self.beside:
            return self
        coords = {n: c.take(at[n]) if n in at else c for n, c in self.coords.items()}
        beside = {n: c.taken(at) for n, c in self.beside.items()}
        return axes(self.dims, coords, self.attrs, beside)

    def without(self, *names: Any) -> "Axes":
        """Without any coordinates along names, whose places are to be others."""
        if not self.coords and not self.beside:
            return self.plain
        coords = {n: c for n, c in self.coords.items() if n not in names}
        beside = {n: c for n, c in self.beside.items() if not set(c.dims) & set(names)}
        return axes(self.dims, coords, beside=beside)


class Attributes:
    """The attributes of a variable in a file. They compare by contents.

    **Attributes**: its `name`; a dictionary, `items`; and one for each coordinate, `items_of`.
    """

    __slots__ = ("_key", "items", "items_of", "name")

    def __init__(
        self,
        name: str | None,
        items: Mapping[str, Any],
        items_of: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.name, self.items = name, dict(items)
        self.items_of = {k: dict(v) for k, v in (items_of or {}).items()}
        self._key = (name, repr(self.items), repr(self.items_of))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attributes) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> Any:
        return Attributes, (self.name, self.items, self.items_of)


_interned: weakref.WeakValueDictionary[Any, Axes] = weakref.WeakValueDictionary()
_lock = threading.RLock()


def axes(
    dims: Dims,
    coords: Mapping[Any, Coordinate] | None = None,
    attrs: Attributes | None = None,
    beside: Mapping[str, Beside] | None = None,
) -> Axes:
    """The one `Axes` of these dims, coordinates and attributes, and of what is `beside` them.

    Of that only what the dims leave room for: all its axes are there, and none has its name.
    """
    key = (
        (dims, tuple(coords[n] for n in sorted(coords)), tuple(sorted(coords))) if coords else dims
    )
    if beside:
        beside = {
            n: c for n, c in sorted(beside.items()) if n not in dims and set(c.dims) <= set(dims)
        }
        key = (key, tuple(beside.items())) if beside else key
    if attrs is not None:
        key = (key, attrs)
    found = _interned.get(key)
    if found is None:
        with _lock:
            found = _interned.get(key)
            if found is None:
                found = Axes(dims, dict(coords or {}), attrs, dict(beside or {}))
                _interned[key] = found
    return found


def met(op: str, dims: Dims, *layouts: Axes) -> Axes:
    """The axes of a result of these dims, with what the coordinates of operands come to.

    **Raises** `CoordinateError` where two of one name differ.
    """
    coords = meet(op, *[x.coords for x in layouts], keep=dims)
    return axes(dims, coords, beside=met_beside(*[x.beside for x in layouts]))


def check_distinct(op: str, dims: Sequence[str | None]) -> None:
    """**Raises** `AxisError` if a name is on two axes."""
    seen: set[str] = set()
    for name in dims:
        if name is None:
            continue
        if name in seen:
            raise AxisError(
                f"`{op}` would put the name {name!r} on two axes: {show_dims(dims)}.",
                f"Rename one first: `.rename({name}='{name}2')`.",
            ).at(user_line())
        seen.add(name)
