"""Coordinates: for each name, optionally, the values that its places stand for.

They are known when a program is traced, so that they can be checked then: NumPy arrays, of dates
and strings too, compared by contents. A coordinate may be a value of one array, such as a quantity.
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import Unsettled, convert_to

from .errors import CoordinateError


class Coordinate:
    """The coordinates along one axis. Compares and hashes by contents."""

    __slots__ = ("_hash", "_key", "tree", "values")

    def __init__(self, values: np.ndarray, tree: Any = None):
        values = np.array(values)
        values.flags.writeable = False
        self.values, self.tree = values, tree
        contents = tuple(values.tolist()) if values.dtype.hasobject else values.tobytes()
        self._key = (values.shape, values.dtype.str, tree, contents)
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or isinstance(other, Coordinate) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return _rebuild, (self.values, self.value() if self.tree is not None else None)

    def __len__(self) -> int:
        return self.values.shape[0]

    def value(self) -> Any:
        """The coordinates as an array: a quantity if they have a unit, else NumPy's."""
        return self.values if self.tree is None else jtu.tree_unflatten(self.tree, [self.values])

    def take(self, index: Any) -> "Coordinate":
        return Coordinate(self.values[index], self.tree)

    @property
    def numeric(self) -> bool:
        return self.values.dtype.kind in "iufb"

    def same(self, other: "Coordinate") -> bool:
        """Whether two are equal, one converted to the unit of the other if need be."""
        if self == other:
            return True
        if len(self) != len(other) or self.numeric != other.numeric:
            return False
        try:
            given = other.converted(self)
        except (CoordinateError, TypeError, ValueError):
            return False
        if not self.numeric:
            return bool(np.array_equal(self.values, given))
        if self.like(other) and self.values.dtype == other.values.dtype:
            return bool(np.array_equal(self.values, given, equal_nan=True))
        # Another unit or precision: 0.1 km is 100 m, up to rounding.
        return bool(np.allclose(self.values, given, rtol=1e-6, atol=0.0, equal_nan=True))

    def like(self, other: "Coordinate") -> bool:
        """Whether both are plain, or values of one type and unit."""
        if self.tree is None or other.tree is None:
            return self.tree is other.tree
        return self.tree == other.tree

    def show(self, place: int) -> str:
        unit = getattr(self.value(), "units", "")
        return f"{self.values[place]} {unit}".strip()

    def converted(self, like: "Coordinate") -> np.ndarray:
        """The values in the unit of `like`. **Raises** where there is no common unit."""
        if self.like(like):
            return self.values
        try:
            with jax.ensure_compile_time_eval():
                value = (
                    convert_to(jtu.tree_unflatten(self.tree, [self.values]), like.value())
                    if (self.tree is not None)
                    else convert_to(self.values, like.value())
                )
        except Unsettled:
            raise CoordinateError("Coordinates of different kinds.") from None
        return np.asarray(jtu.tree_leaves(value)[0])


def _rebuild(values: np.ndarray, value: Any) -> Coordinate:
    return Coordinate(values, None if value is None else jtu.tree_structure(value))


def merge(what: str, name: str, lhs: Coordinate, rhs: Coordinate) -> Coordinate:
    """One of two equal coordinates. **Raises** `CoordinateError` saying where they differ."""
    if lhs is rhs or lhs.same(rhs):
        return lhs
    error = CoordinateError(
        f"`{what}` got two coordinates for {name!r}: {_difference(lhs, rhs)}.",
        "Select the same places first (`sel`, `isel`, `interp`), or drop one with "
        f"`.drop_coords({name!r})`.",
    )
    raise error


def _difference(lhs: Coordinate, rhs: Coordinate) -> str:
    if len(lhs) != len(rhs):
        return f"{len(lhs)} values and {len(rhs)} values"
    if lhs.numeric == rhs.numeric:
        try:
            given = rhs.converted(lhs)
        except (CoordinateError, TypeError, ValueError):
            return f"{lhs.show(0)} and {rhs.show(0)} at place 0, of different kinds"
        different = np.flatnonzero(lhs.values != given)
        if len(different):
            place = int(different[0])
            return f"{lhs.show(place)} and {rhs.show(place)} at place {place}"
    return f"{lhs.show(0)} and {rhs.show(0)} at place 0"


def as_array(value: Any) -> Any:
    """A coordinate's values for arithmetic: JAX's, if they are numbers."""
    if isinstance(value, np.ndarray):
        return jnp.asarray(value) if value.dtype.kind in "iufbc" else value
    return jtu.tree_map(jnp.asarray, value)
