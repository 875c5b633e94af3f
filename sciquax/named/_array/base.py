"""`NamedBase`, what every operation may ask of a named array, and `bare`, which makes results."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import ArrayValue, from_foreign, is_value, strip, user_line
from sciquax.core.internal import Tracer, wanted

from .axes import (
    Axes,
    Axis,
    Dims,
    as_names,
    axes,
    check_distinct,
    check_name,
    name_of,
    size_given,
)
from .coordinates import Beside, Coordinate
from .errors import (
    AxisError,
    AxisSizeError,
    CoordinateError,
    PositionalError,
    absent,
    show_dims,
)
from .flattening import _new, _set
from .host import NO_NUMBERS
from .known_labels import labels_of

if TYPE_CHECKING:  # what the class of the mixins is
    _Base = ArrayValue
else:
    _Base = object

_class: Any = None  # `NamedArray`, which stands above the mixins that it is made of


class NamedBase(_Base):
    """The data of a named array: an array and its axes. For `isinstance`, annotations, mixins."""

    array: Any
    _axes: Any

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        global _class
        if _class is None and issubclass(cls, ArrayValue):
            _class = cls

    # -- what it is -------------------------------------------------------------------------------

    @property
    def dims(self) -> Dims:
        """The axes' names, None where there is none, in the order in which axes are stored."""
        return self._axes.dims

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each name. Axes without a name are not in it."""
        shape = self.array.shape
        return {name: shape[i] for name, i in self._axes.place.items()}

    @property
    def axes(self) -> tuple[Axis | None, ...]:
        """The dims as `Axis` objects, with their sizes."""
        pairs = zip(self._axes.dims, self.array.shape, strict=True)
        return tuple(None if name is None else Axis(name, size) for name, size in pairs)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape if self._axes.dims else ()

    @property
    def ndim(self) -> int:
        return len(self._axes.dims)

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def size(self) -> int:
        return self.array.size

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    # -- coordinates ------------------------------------------------------------------------------

    @property
    def coords(self) -> dict[str, Any]:
        """The coordinates by name: named arrays, as `coord` gives them."""
        return {name: self.coord(name) for name in (*self._axes.coords, *self._axes.beside)}

    def coord(self, name: Any) -> Any:
        """The coordinates along a name: a named array of NumPy's on the host, in full precision.

        Comparing them with numbers, which count in their unit, with dates or strings gives a mask
        that is known when a program is traced. A coordinate that is no axis' own comes with its
        axes. Other coordinates along these axes come with either. **Raises** `AxisError` if there
        are none.
        """
        own = self._axes.beside.get(name) if isinstance(name, str) else None
        if own is not None:
            along = {n: c for n, c in self._axes.coords.items() if n in own.dims}
            return bare(own.held.value(), axes(own.dims, along, beside=self._axes.beside))
        place = self._axes.position("coord", name, self)
        name = self._axes.dims[place]
        found = self._axes.coords.get(name)
        if found is None:
            raise AxisError(
                f"{name!r} has no coordinates.",
                f"Give them with `.assign_coords({name}=values)`.",
            ).at(user_line())
        return bare(found.value(), axes((name,), {name: found}, beside=self._axes.beside))

    def assign_coords(self, coords: Mapping[Any, Any] | None = None, /, **more: Any) -> Any:
        """Assign coordinates: one known array per name. None removes a coordinate.

        Under a name that no axis has, a coordinate beside those: one value, `run=5`; a second
        along an axis, `month=("time", months)`; or one of several axes, `lat=(("y", "x"), lats)`.

        **Raises** `AxisError` for an absent name, `CoordinateError` for one that does not fit.
        """
        given = {**(coords or {}), **more}
        return bare(self.array, _assigned("assign_coords", self._axes, self.array.shape, given))

    def drop_coords(self, *names: Any) -> Any:
        """Drop the coordinates of these names, or all coordinates."""
        known = self._axes
        for name in names or (*known.coords, *known.beside):
            if isinstance(name, str) and name in known.beside:
                known = known.with_beside(**{name: None})
            else:
                known = known.with_coord(known.dims[known.position("drop_coords", name)], None)
        return bare(self.array, known)

    @property
    def attrs(self) -> dict[str, Any]:
        """The array's attributes in a file. Selections keep them; arithmetic drops them."""
        found = self._axes.attrs
        return {} if found is None else dict(found.items)

    @property
    def name(self) -> str | None:
        """The name that the array has in a file, if it came from one."""
        found = self._axes.attrs
        return None if found is None else found.name

    def stored_coords(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        """The coordinates as they are kept, and what a file said of each.

        **Returns** by name a NumPy array, or a quantity of one, in full precision; and attributes.
        """
        known = self._axes
        said = {} if known.attrs is None else known.attrs.items_of
        held = {**known.coords, **{n: c.held for n, c in known.beside.items()}}
        return {name: (c.value(), dict(said.get(name, {}))) for name, c in held.items()}


N = TypeVar("N", bound=NamedBase)


def bare(array: Any, axes: Axes) -> Any:
    """A named array without any checks: what every operation builds its result with."""
    a = _new(_class)
    _set(a, "array", array)
    _set(a, "_axes", axes)
    return a


def checked_axes(
    shape: tuple[int, ...], dims: Any, coords: Mapping[Any, Any] | None = None
) -> Axes:
    """The axes of an array of this shape. **Raises** what `NamedArray` does."""
    if isinstance(dims, Mapping):
        dims = [Axis(name, size) for name, size in dims.items()]
    given = () if dims is None else as_names(dims)
    names = tuple(
        a.name if isinstance(a, Axis) else None if a is None else check_name(a) for a in given
    )
    if len(names) != len(shape):
        raise AxisError(
            f"An array of shape {shape} got {len(names)} names, {show_dims(names)}.",
            "Give one for each axis; None for an axis without a name.",
        ).at(user_line())
    check_distinct("NamedArray", names)
    for axis, size in zip(given, shape, strict=True):
        stated = size_given(axis)
        if stated is not None and stated != size:
            raise AxisSizeError(
                f"{axis!r} got an axis of size {size}; the array's shape is {shape}."
            ).at(user_line())
    if not coords:
        return axes(names)
    wanted("NamedArray", coords, Mapping, "coordinates by name, `{'x': values}`")
    return _assigned("NamedArray", axes(names), shape, coords)


def _assigned(op: str, known: Axes, shape: tuple[int, ...], coords: Mapping[Any, Any]) -> Axes:
    for key, value in coords.items():
        name = name_of(key)
        if name not in known.place and (name in known.beside or value is not None):
            made = None if value is None else _beside(op, known, shape, name, value)
            known = known.with_beside(**{name: made})
            continue
        place = known.position(op, key)
        if isinstance(value, tuple) and len(value) == 2 and np.ndim(value[1]) == 1:
            value = value[1] if value[0] in (name, (name,), [name]) else value  # as xarray has it
        made = None if value is None else _fitting(name, value, shape[place])
        known = known.with_coord(name, made)
    return known


def _beside(op: str, known: Axes, shape: tuple[int, ...], name: str, value: Any) -> Beside:
    """A coordinate that is no axis' own."""
    dims: tuple[Any, ...] = ()
    if isinstance(value, NamedBase) or is_value(value):
        value = value.canonical()
    if isinstance(value, NamedBase):
        dims, value = value.dims, value.array
    elif isinstance(value, tuple) and len(value) == 2 and not isinstance(value[0], (int, float)):
        dims, value = tuple(map(name_of, as_names(value[0]))), value[1]
    leaf, tree = labels_of(value)
    if leaf is None:
        raise _untold(name)
    if leaf.ndim and not dims:
        raise absent(op, name, known.dims).at(user_line())
    if leaf.shape != tuple(shape[known.position(op, d)] for d in dims):
        raise CoordinateError(
            f"The coordinate {name!r} along {show_dims(dims)} has the shape {leaf.shape}, and the "
            f"array's dims are {show_dims(known.dims)} of shape {shape}."
        ).at(user_line())
    return Beside(dims, Coordinate(leaf, tree))


def _untold(name: str) -> CoordinateError:
    return CoordinateError(
        f"The coordinate of {name!r} is only known when the program runs.",
        "Coordinates are checked when a program is traced: give known arrays.",
    ).at(user_line())


def _fitting(name: str, value: Any, size: int) -> Coordinate:
    made = coordinate(value, name)
    if len(made) != size:
        raise CoordinateError(
            f"The coordinate of {name!r} has {len(made)} values for size {size}."
        ).at(user_line())
    return made


def _as_array(value: Any) -> Any:
    if isinstance(value, (jax.Array, Tracer, jax.ShapeDtypeStruct)):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in NO_NUMBERS:
        raise CoordinateError(
            f"A named array holds numbers, and got an array of {value.dtype}.",
            "Dates and strings are coordinates: `.assign_coords(time=dates)`, and "
            "`.coord('time')` is a named array of them.",
        ).at(user_line())
    return jnp.asarray(value)


def as_named(x: Any, op: str) -> Any:
    """`x`, if it has names, or a number. **Raises** `PositionalError` for a plain array."""
    x = from_foreign(strip(x))
    if isinstance(x, NamedBase):
        return x
    if is_value(x):
        x = x.canonical()
        if isinstance(x, NamedBase):
            return x
    elif not hasattr(x, "shape"):
        if not isinstance(x, (bool, int, float, complex, np.generic)):
            raise PositionalError(
                f"`{op}` got a `{type(x).__name__}`, which is not a named array.",
                "Give it names: `NamedArray(x, ('x', ...))`.",
            ).at(user_line())
        known = isinstance(x, np.generic) and x.dtype.kind in "mM"
        return bare(np.asarray(x) if known else jnp.asarray(x), axes(()))
    if x.shape != ():
        raise plain_operand(op, x)
    return bare(x, axes(()))


def plain_operand(op: str, x: Any) -> PositionalError:
    return PositionalError(
        f"`{op}` aligns by name, and got an array of shape {tuple(x.shape)} without names.",
        "Name its axes, `NamedArray(x, ('x', ...))`; or run positional code under `quaxify`.",
    ).at(user_line())


def coordinate(value: Any, name: str) -> Coordinate:
    """The coordinates that an array, a quantity or a list is, in full precision.

    **Raises** `CoordinateError` for what is not one known, one-dimensional array.
    """
    if isinstance(value, Coordinate):
        return value
    if isinstance(value, NamedBase) or is_value(value):
        value = value.canonical()
    if isinstance(value, NamedBase):
        if value.dims != (name,):
            raise CoordinateError(
                f"The coordinate of {name!r} has the dims {value.dims}.",
                f"Give one with the single name {name!r}.",
            ).at(user_line())
        return coordinate(value.array, name)
    leaf, tree = labels_of(value)
    if leaf is None:
        raise _untold(name)
    if leaf.ndim != 1:
        raise CoordinateError(
            f"The coordinate of {name!r} has {leaf.ndim} axes.", "Give one value per place."
        ).at(user_line())
    return Coordinate(leaf, tree)
