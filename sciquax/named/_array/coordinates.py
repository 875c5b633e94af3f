"""Coordinates: for each name, optionally, the values that its places stand for.

They are known when a program is traced, so that they can be checked then: NumPy arrays on the host,
of dates and strings too, in the precision that they are given in, never converted to JAX's. A
coordinate may be a value of one array, such as a quantity. [`meet`][] decides what the coordinates
of arrays come to when these meet, whatever function they meet in.
"""

import datetime
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax.tree_util as jtu
import numpy as np

from sciquax.core import Unsettled, convert_to, user_line
from sciquax.core.internal import taken_apart, takes_values_apart

from .errors import CoordinateError

ROUNDING = 1e-12
"""By how much a conversion of units may be off, relative to the number, in double precision."""


class Coordinate:
    """The coordinates along one axis. Compares and hashes by contents, digested once.

    **Attributes**: `values`, a NumPy array that is not written to; `tree`, the structure of the
    value (a quantity) whose leaf it is, or None; `found`, for what looks labels up to keep.
    """

    __slots__ = ("__weakref__", "_digest", "found", "tree", "values")

    def __init__(self, values: Any, tree: Any = None):
        self.values, self.tree = exact(values), tree
        self.found: dict[str, Any] = {}
        self._digest: tuple[Any, ...] | None = None

    @property
    def digest(self) -> tuple[Any, ...]:
        known = self._digest
        if known is None:
            values = self.values
            data = (
                repr(values.tolist()).encode()
                if values.dtype.hasobject
                else np.ascontiguousarray(values).view(np.uint8).data
            )
            contents = hashlib.blake2b(data, digest_size=16).digest()
            known = self._digest = (values.shape, values.dtype.str, contents)
        return known

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Coordinate) and self.like(other) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> Any:
        return _rebuild, (self.values, self.value() if self.tree is not None else None)

    def __len__(self) -> int:
        return self.values.shape[0]

    def value(self) -> Any:
        """The coordinates as an array: a quantity if they have a unit, else NumPy's."""
        return self.of(self.values)

    def of(self, values: Any) -> Any:
        """Other values in the unit of this."""
        return values if self.tree is None else jtu.tree_unflatten(self.tree, [values])

    def take(self, index: Any) -> "Coordinate":
        return Coordinate(self.values[index], self.tree)

    @property
    def numeric(self) -> bool:
        return self.values.dtype.kind in "iufb"

    @property
    def dated(self) -> bool:
        return self.values.dtype.kind == "M"

    @property
    def calendar(self) -> str | None:
        """The calendar of dates that are cftime's, such as "360_day"."""
        first = self.values.flat[0] if self.values.dtype.hasobject and self.values.size else None
        return getattr(first, "calendar", None)

    def like(self, other: "Coordinate") -> bool:
        """Whether both are plain, or values of one type and unit."""
        if self.tree is None or other.tree is None:
            return self.tree is other.tree
        return self.tree == other.tree

    def same(self, other: "Coordinate") -> bool:
        """Whether two are equal, one converted to the unit of the other if need be."""
        if self == other:
            return True
        if self.values.shape != other.values.shape or self.numeric != other.numeric:
            return False
        try:
            return bool(self.agrees(other).all())
        except (CoordinateError, TypeError, ValueError):
            return False

    def agrees(self, other: "Coordinate") -> np.ndarray:
        """At which places two of one length are equal. **Raises** for different kinds."""
        given, own = other.converted(self), self.values
        kinds = {own.dtype.kind, given.dtype.kind}
        if kinds == {"f"} or kinds <= set("iufb") and "f" in kinds:
            narrow = _narrower(self, other)
            rounding = 0.0 if self.like(other) and narrow is None else ROUNDING
            if narrow is not None:  # what single precision tells apart
                rounding = 2 * float(np.finfo(narrow).eps)
            a, b = own.astype(np.float64), given.astype(np.float64)
            with np.errstate(invalid="ignore"):
                close = np.abs(a - b) <= rounding * np.abs(a)
            return (a == b) | close | (np.isnan(a) & np.isnan(b))
        if len(kinds) > 1 and not kinds <= set("iub"):
            raise CoordinateError("Coordinates of different kinds.")
        same = np.asarray(own == given)
        return same | (np.isnat(own) & np.isnat(given)) if kinds <= set("mM") else same

    def within(self, other: "Coordinate") -> bool:
        """Whether all of these are among others."""
        try:
            return bool(np.isin(self.converted(other), other.values).all())
        except (CoordinateError, TypeError, ValueError):
            return False

    def show(self, place: int) -> str:
        return f"{self.shown(self.values[place])} {self.unit}".strip()

    def shown(self, value: Any) -> Any:
        """A value as an error message has it: dates without zeros at the end."""
        if self.dated and np.ndim(value) == 0 and isinstance(value, np.datetime64):
            text = str(value)
            if "T" in text:
                text = text.rstrip("0").rstrip(".") if "." in text else text
                text = text.removesuffix("T00:00:00").removesuffix("T00:00")
            return text
        return value

    @property
    def unit(self) -> Any:
        """The unit, or nothing."""
        return getattr(self.value(), "units", "")

    @takes_values_apart
    def converted(self, like: "Coordinate") -> np.ndarray:
        """The values in the unit of `like`, in double precision.

        **Raises** where there is no common unit.
        """
        if self.like(like):
            return self.values
        if not self.numeric or not like.numeric:
            raise CoordinateError("Coordinates of different kinds.")
        try:
            value = convert_to(self.of(self.values.astype(np.float64)), like.of(np.float64(0.0)))
        except Unsettled:
            raise CoordinateError("Coordinates of different kinds.") from None
        return np.asarray(taken_apart(value)[0][0])


def _narrower(lhs: Coordinate, rhs: Coordinate) -> np.dtype | None:
    """The dtype of the two that is narrower than double precision, if there is one."""
    floats = [c.values.dtype for c in (lhs, rhs) if c.values.dtype.kind == "f"]
    narrow = [d for d in floats if d.itemsize < 8]
    if not narrow or lhs.values.dtype == rhs.values.dtype and lhs.like(rhs):
        return None
    return min(narrow, key=lambda d: d.itemsize)


def exact(values: Any) -> np.ndarray:
    """Labels as NumPy keeps them: integers in 64 bits, Python's dates and strings as NumPy's."""
    values = np.asarray(values)
    kind = values.dtype.kind
    if kind == "O":
        values = _of_objects(values)
    elif kind == "i":
        values = values.astype(np.int64)
    elif kind == "u":
        values = values.astype(np.int64 if values.dtype.itemsize < 8 else np.uint64)
    elif kind == "V" or values.dtype.name == "bfloat16":
        values = values.astype(np.float32)
    if type(values) is not np.ndarray or values.flags.writeable:
        values = np.array(values)
        values.flags.writeable = False
    return values


def _of_objects(values: np.ndarray) -> np.ndarray:
    found = [x for x in values.flat if x is not None]
    if found and len(found) == values.size:
        if all(isinstance(x, str) for x in found):
            return values.astype(str)
        if all(isinstance(x, (datetime.datetime, np.datetime64)) for x in found):
            nanoseconds = any(getattr(x, "nanosecond", 0) for x in found)
            return values.astype("datetime64[ns]" if nanoseconds else "datetime64[us]")
        if all(isinstance(x, datetime.date) for x in found):
            return values.astype("datetime64[D]")
        if all(isinstance(x, datetime.timedelta) for x in found):
            return values.astype("timedelta64[us]")
    return values


def _rebuild(values: np.ndarray, value: Any) -> Coordinate:
    return Coordinate(values, None if value is None else taken_apart(value)[1])


# -- where arrays meet ----------------------------------------------------------------------------

Coordinates = Mapping[Any, Coordinate]


class Beside(NamedTuple):
    """A coordinate that is no axis' own: one value, a second along an axis, or one of several axes.

    **Attributes**: the names of its axes; and its values, of as many axes.
    """

    dims: tuple[str, ...]
    held: Coordinate

    def taken(self, index: Mapping[str, Any]) -> "Beside":
        """At places along names, each by itself: an integer (its axis goes), a slice or a list."""
        if not set(self.dims) & set(index):
            return self
        values, dims = self.held.values, self.dims
        for i in reversed(range(len(dims))):
            if dims[i] in index:
                at = index[dims[i]]
                values = values[(slice(None),) * i + (at,)]
                dims = dims if np.ndim(values) == len(dims) else dims[:i] + dims[i + 1 :]
        return Beside(dims, Coordinate(values, self.held.tree))

    def renamed(self, names: Mapping[Any, Any]) -> "Beside | None":
        """With other names, or None if one of its axes has none any more."""
        dims = tuple(names.get(d, d) for d in self.dims)
        return None if None in dims else Beside(dims, self.held)

    def same(self, other: "Beside") -> bool:
        return self.dims == other.dims and self.held.same(other.held)


def single(value: Any) -> Beside:
    """A number beside an array, such as which quantile it is."""
    return Beside((), Coordinate(np.asarray(value, float)))


def met_beside(*arrays: Mapping[str, Beside]) -> dict[str, Beside]:
    """The coordinates beside arrays that meet. If two of one name differ, both go, as in xarray."""
    known: dict[str, Beside] = {}
    gone = set()
    for own in arrays:
        for name, coordinate in own.items():
            first = known.setdefault(name, coordinate)
            if first is not coordinate and not first.same(coordinate):
                gone.add(name)
    return {n: c for n, c in known.items() if n not in gone} if gone else known


def meet(op: str, *arrays: Coordinates, keep: Iterable[Any] | None = None) -> dict:
    """The coordinates of arrays that meet: by name, the first one's, checked against the others'.

    **Arguments**: the function that they meet in; each array's coordinates; the names to `keep`
    (all, if None).

    **Raises** `CoordinateError`, saying where two of one name differ.
    """
    known: dict = {}
    for own in arrays:
        for name, coordinate in own.items():
            first = known.setdefault(name, coordinate)
            if first is not coordinate and not first.same(coordinate):
                raise differ(op, name, first, coordinate).at(user_line())
    if keep is None:
        return known
    kept = set(keep)
    return {n: c for n, c in known.items() if n in kept}


def differ(op: str, name: Any, lhs: Coordinate, rhs: Coordinate) -> CoordinateError:
    return CoordinateError(
        f"`{op}` got two coordinates for {name!r}: {_difference(lhs, rhs)}.",
        "Select the same places first (`sel`, `isel`, `interp`), or drop one with "
        f"`.drop_coords({name!r})`.",
    )


def _difference(lhs: Coordinate, rhs: Coordinate) -> str:
    if len(lhs) != len(rhs):
        return f"{len(lhs)} values and {len(rhs)} values"
    if lhs.numeric == rhs.numeric:
        try:
            different = np.flatnonzero(~lhs.agrees(rhs))
        except (CoordinateError, TypeError, ValueError):
            return f"{lhs.show(0)} and {rhs.show(0)} at place 0, of different kinds"
        if len(different):
            place = int(different[0])
            return f"{lhs.show(place)} and {rhs.show(place)} at place {place}"
    return f"{lhs.show(0)} and {rhs.show(0)} at place 0"
