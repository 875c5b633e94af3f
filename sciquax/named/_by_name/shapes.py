"""Shape operations by name."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import jax.numpy as jnp

from sciquax.core import user_line
from sciquax.core.internal import known_value, wanted

from .._array.axes import Dims, axes, check_distinct, name_of, sizes_of
from .._array.base import NamedBase, as_named, bare
from .._array.coordinates import meet
from .._array.errors import (
    AxisError,
    AxisIndexError,
    AxisSizeError,
    PositionalError,
    repeated,
    show_dims,
)
from .alignment import size_mismatch, unnamed
from .call_jax import apply
from .stacking import stacked, unstacked


def permuted(a: NamedBase, order: tuple[int, ...]) -> Any:
    """The axes in another order, given by positions."""
    if order == tuple(range(a.ndim)):
        return a
    dims = tuple(a.dims[i] for i in order)
    layout = axes(dims, a._axes.coords, a._axes.attrs, a._axes.beside)
    return bare(apply(jnp.transpose, a.array, order), layout)


def _pairs(op: str, given: Mapping[Any, Any] | None, more: dict[str, Any]) -> dict[Any, Any]:
    if given is not None:
        wanted(op, given, Mapping, "values by name")
    pairs = dict(given or {})
    names = {name_of(k) for k in pairs}
    for name, value in more.items():
        if name in names:
            raise repeated(op, name).at(user_line())
        pairs[name] = value
    if len({name_of(k) for k in pairs}) != len(pairs):
        raise AxisError(f"`{op}` got a name twice: {list(pairs)}.").at(user_line())
    return pairs


def renamed(a: NamedBase, op: str, names: dict[Any, Any]) -> Any:
    new = list(a.dims)
    others = {k: v for k, v in names.items() if k in a._axes.beside}
    names = {k: v for k, v in names.items() if k not in others}
    for old, name in names.items():
        new[a._axes.position(op, old, a)] = None if name is None else name_of(name)
    moved = dict(zip(a.dims, new, strict=True))
    check_distinct(op, new)
    coords = {moved[n]: c for n, c in a._axes.coords.items() if moved[n] is not None}
    for axis in names.values():
        if axis is not None:
            axes(tuple(new)).position(op, axis, a)  # checks the size of an `Axis`
    moved_too = {others.get(n, n): c.renamed(moved) for n, c in a._axes.beside.items()}
    beside = {n: c for n, c in moved_too.items() if c is not None}
    return bare(a.array, axes(tuple(new), coords, a._axes.attrs, beside))


def scalar(op: str, x: Any) -> Any:
    """A parameter that is one number: of a named array without axes, what it holds."""
    return as_named(x, op)._scalar(op) if isinstance(x, NamedBase) else x


def known_integer(op: str, x: Any) -> int:
    """An integer that shapes depend on. **Raises** `PositionalError` if it is not known."""
    found = known_value(x)
    if found is None or found.ndim or found.dtype.kind not in "iu":
        raise PositionalError(f"`{op}` takes integers that are known, and got {x!r}.").at(
            user_line()
        )
    return int(found)


def distinct(a: Any, names: Any, count: int = 2) -> tuple[Any, ...]:
    """An array several times, under names that differ: for code that meets it with itself.

    **Arguments**: the array, a name or several, and how many arrays to return. The first is as it
    was, in the second `x` is `x2`, in the third `x3`, coordinates included.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import named, quaxify
    >>> kernel = quaxify(lambda s, t: jnp.exp(-((s[:, None] - t[None, :]) ** 2)))
    >>> times = named.arange("t", 3, dtype=float)
    >>> kernel(*named.distinct(times, "t")).dims
    ('t', 't2')

    ```
    """
    a = as_named(a, "distinct")
    own = [a.dims[i] for i in a._axes.positions("distinct", names, a)]
    return (a, *(a.rename({n: f"{n}{k}" for n in own}) for k in range(2, count + 1)))


S = TypeVar("S", bound="Shapes")


class Shapes(NamedBase):
    """The shape operations of [`sciquax.named.NamedArray`][]."""

    def transpose(self: S, *names: Any) -> S:
        """Order the axes: by all names, or some and `...` for the others. None reverses them.

        **Raises** `AxisError` for an absent, repeated or forgotten name.
        """
        if len(names) == 1 and isinstance(names[0], (tuple, list)):
            names = tuple(names[0])
        if not names:
            return permuted(self, tuple(reversed(range(self.ndim))))
        if sum(n is ... for n in names) > 1:
            raise AxisError("`transpose` got `...` twice.").at(user_line())
        positions = self._axes.positions("transpose", [n for n in names if n is not ...], self)
        rest = tuple(i for i in range(self.ndim) if i not in positions)
        if ... in names:
            place = next(i for i, n in enumerate(names) if n is ...)
            order = (*positions[:place], *rest, *positions[place:])
        elif rest:
            left = show_dims([self.dims[i] for i in rest])
            raise AxisError(
                f"`transpose` got {show_dims([name_of(n) for n in names])} and not {left}.",
                "Name every axis, or write `...` for the others.",
            ).at(user_line())
        else:
            order = positions
        return permuted(self, order)

    @property
    def T(self: S) -> S:
        """The axes in reverse order."""
        return self.transpose()

    def rename(self: S, names: Mapping[Any, Any] | None = None, /, **more: Any) -> S:
        """Rename axes: `rename(x="u")` or `rename({"x": "u"})`. Coordinates move along.

        **Raises** `AxisError` for an absent name, or where two axes would have one name.
        """
        pairs = _pairs("rename", names, more)
        for new in pairs.values():
            name_of(new)
        return renamed(self, "rename", pairs)

    def flatten(self: S, names: Any, into: Any) -> S:
        """Join several axes to one, where the first axis is. The first name varies slowest.

        **Raises** `AxisError` for an absent or repeated name, or if `into` is there already.
        """
        positions = self._axes.positions("flatten", names, self)
        if not positions:
            raise AxisError("`flatten` needs names.", "`expand_dims` makes a new axis.").at(
                user_line()
            )
        new = name_of(into)
        rest = [i for i in range(self.ndim) if i not in positions]
        if any(self.dims[i] == new for i in rest):
            raise repeated("flatten", new).at(user_line())
        before = [i for i in rest if i < positions[0]]
        after = [i for i in rest if i > positions[0]]
        a = permuted(self, (*before, *positions, *after))
        n = len(before)
        shape = (*a.shape[:n], -1, *a.shape[n + len(positions) :])
        if 0 in a.shape:
            size = 1
            for i in positions:
                size *= self.shape[i]
            shape = (*shape[:n], size, *shape[n + 1 :])
        dims = (*a.dims[:n], new, *a.dims[n + len(positions) :])
        rest_of = self._axes.without(new, *(self.dims[i] for i in positions))
        out = bare(apply(jnp.reshape, a.array, shape), rest_of.with_dims(dims))
        out._axes.position("flatten", into, out)
        return out

    def stack(self: S, names: Mapping[Any, Any] | None = None, /, **more: Any) -> S:
        """Join several axes to one, as `flatten`, with their labels: `stack(z=("x", "y"))`.

        The labels stand beside the new axis, as coordinates of their names.
        """
        out: Any = self
        for into, several in _pairs("stack", names, more).items():
            out = stacked(out, several, into)
        return out

    def unflatten(self: S, name: Any, into: Any = None, /, **sizes: int) -> S:
        """Split an axis into several, the first varying slowest: `unflatten("xy", x=3, y=4)`.

        With names alone, `unflatten("z", ("x", "y"))`, by the labels of these names that stand
        beside the axis, as `stack` leaves them: nan where there is no element.

        **Raises** `AxisSizeError` unless the sizes multiply to the axis' size; `CoordinateError`
        for two elements of the same labels.
        """
        if isinstance(into, (list, tuple)) and all(isinstance(n, str) for n in into):
            return unstacked(self, name, into)
        place = self._axes.position("unflatten", name, self)
        pairs = {**(sizes_of("unflatten", into) if into is not None else {}), **sizes}
        new = sizes_of("unflatten", pairs)
        total = 1
        for n in new.values():
            total *= n
        if total != self.shape[place]:
            shown = " * ".join(f"{n} ({k})" for k, n in new.items())
            raise AxisSizeError(
                f"`unflatten` got {shown} = {total} for {self.dims[place]!r}, whose size is "
                f"{self.shape[place]}."
            ).at(user_line())
        dims = (*self.dims[:place], *new, *self.dims[place + 1 :])
        check_distinct("unflatten", dims)
        shape = (*self.shape[:place], *new.values(), *self.shape[place + 1 :])
        layout = self._axes.without(self.dims[place]).with_dims(dims)
        return bare(apply(jnp.reshape, self.array, shape), layout)

    def broadcast_to(self: S, sizes: Mapping[Any, int]) -> S:
        """Give the array these names in this order; it is repeated along those it lacks.

        **Raises** `AxisError` if a name of the array's is missing, `AxisSizeError` for a size that
        differs (1 is a size).
        """
        wanted = sizes_of("broadcast_to", sizes)
        for name, size in self.sizes.items():
            if name not in wanted:
                raise AxisError(
                    f"`broadcast_to` got the names {show_dims(tuple(wanted))} for an array "
                    f"with {show_dims(self.dims)}.",
                    "Name all of the array's axes, too.",
                ).at(user_line())
            if wanted[name] != size:
                raise size_mismatch("broadcast_to", name, [size, wanted[name]]).at(user_line())
        if not self._axes.named:
            raise unnamed("broadcast_to", self._axes).at(user_line())
        a = permuted(self, tuple(self._axes.place[n] for n in wanted if n in self._axes.place))
        new = tuple(i for i, n in enumerate(wanted) if n not in self._axes.place)
        array = apply(jnp.expand_dims, a.array, new) if new else a.array
        out = apply(jnp.broadcast_to, array, tuple(wanted.values()))
        return bare(out, self._axes.with_dims(tuple(wanted)))

    def broadcast_like(self: S, other: Any) -> S:
        """Give the array the names of another, in that order; its other names lead."""
        other = as_named(other, "broadcast_like")
        if not other._axes.named:
            raise unnamed("broadcast_like", other._axes).at(user_line())
        own = {n: s for n, s in self.sizes.items() if n not in other.sizes}
        out = self.broadcast_to({**own, **other.sizes})
        coords = meet("broadcast_like", self._axes.coords, other._axes.coords)
        return bare(out.array, axes(out.dims, coords, beside=out._axes.beside))

    def untag(self: S, *names: Any) -> S:
        """Move these axes to the front, in this order, and remove their names: for `cmap`.

        **Raises** `AxisError` for an absent or repeated name.
        """
        positions = self._axes.positions("untag", names, self)
        rest = tuple(i for i in range(self.ndim) if i not in positions)
        moved = permuted(self, (*positions, *rest))
        dims: Dims = (None,) * len(positions) + tuple(self.dims[i] for i in rest)
        return bare(moved.array, moved._axes.with_dims(dims))

    def tag(self: S, *names: Any) -> S:
        """Name the axes that have no names, in their order: one name for each.

        **Raises** `AxisError` for another number of names, or one that is there already.
        """
        places = [i for i, n in enumerate(self.dims) if n is None]
        if len(names) != len(places):
            raise AxisError(
                f"`tag` got {len(names)} names for {len(places)} axes without one: "
                f"{show_dims(self.dims)}."
            ).at(user_line())
        dims = list(self.dims)
        for i, name in zip(places, names, strict=True):
            dims[i] = name_of(name)
        check_distinct("tag", dims)
        layout = axes(tuple(dims), self._axes.coords, beside=self._axes.beside)
        for name in names:
            layout.position("tag", name, self)
        return bare(self.array, layout)

    def astype(self: S, dtype: Any) -> S:
        """Convert to another dtype."""
        out = self.array.astype(dtype)
        return bare(out, self._axes)

    def unstack(self: S, name: Any) -> list[S]:
        """Return one array for each place along a name; the arrays lack the name."""
        place, a = self._axes.position("unstack", name, self), cast(Any, self)
        return [a.isel({self.dims[place]: i}) for i in range(self.shape[place])]

    def split(self: S, name: Any, parts: Any) -> list[S]:
        """Split along a name: into `parts` equal parts, or before each of these places.

        **Raises** `AxisSizeError` if there is no equal division, `AxisIndexError` for a place
        outside.
        """
        place = self._axes.position("split", name, self)
        size, own = self.shape[place], self.dims[place]
        if isinstance(parts, int):
            if parts <= 0 or size % parts:
                raise AxisSizeError(
                    f"`split` cannot cut {own!r} of size {size} in {parts} parts."
                ).at(user_line())
            cuts = [size // parts * i for i in range(1, parts)]
        else:
            cuts = [int(i) for i in parts]
            if cuts != sorted(cuts) or any(not 0 <= i <= size for i in cuts):
                raise AxisIndexError(
                    f"`split` got the places {cuts} along {own!r} of size {size}."
                ).at(user_line())
        edges = [0, *cuts, size]
        return [
            cast(Any, self).isel({own: slice(i, j)})
            for i, j in zip(edges[:-1], edges[1:], strict=True)
        ]
