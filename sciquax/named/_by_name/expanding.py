"""Axes that an array gets without having had them, and those of size 1 that go."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.axes import name_of, sizes_of
from .._array.base import NamedBase, bare, coordinate
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, AxisSizeError, show_dims
from .call_jax import apply
from .shapes import _pairs

S = TypeVar("S", bound="Expanding")


class Expanding(NamedBase):
    """Methods of [`sciquax.named.NamedArray`][] that add axes along which it is repeated."""

    def expand_dims(self: S, axis: Any = None, size: int = 1, **more: Any) -> S:
        """Add leading axes along which the array is repeated: `("w", 2)`, `(run=[1, 2])`.

        **Arguments**: a name and its size; or names with a size, or the coordinates, of each.

        **Raises** `AxisError` if a name is there already.
        """
        if axis is None or isinstance(axis, Mapping):
            out: Any = self
            for name, given in reversed(_pairs("expand_dims", axis, more).items()):
                own = None if np.ndim(given) == 0 else coordinate(given, name_of(name))
                out = _expanded(out, name, int(given) if own is None else len(own), own)
            return out
        if more:
            raise AxisError("`expand_dims` got names twice.").at(user_line())
        return _expanded(self, axis, size, None)

    def squeeze(self: S, names: Any = None, *, drop: bool = False) -> S:
        """Remove axes of size 1: the ones named, or all; with `drop`, also their labels.

        **Raises** `AxisSizeError` for an axis of another size.
        """
        if names is None:
            positions = tuple(i for i, n in enumerate(self.shape) if n == 1)
        else:
            positions = self._axes.positions("squeeze", names, self)
        for i in positions:
            if self.shape[i] != 1:
                raise AxisSizeError(
                    f"`squeeze` got {self.dims[i]!r}, whose size is {self.shape[i]}.",
                    "Only an axis of size 1 can go; select or reduce others.",
                ).at(user_line())
        known = {self.dims[i]: 0 for i in positions if self.dims[i] in self._axes.coords}
        if known or self._axes.beside:  # what is left of an axis is where it was
            known = {self.dims[i]: 0 for i in positions if self.dims[i] is not None}
            left = cast(Any, self).isel(known, drop=drop)
            return left.squeeze() if len(known) < len(positions) else left
        rest = [i for i in range(self.ndim) if i not in positions]
        return bare(apply(jnp.squeeze, self.array, positions), self._axes.keep(rest))


def _expanded(a: Any, axis: Any, size: int, own: Coordinate | None) -> Any:
    name = name_of(axis)
    stated = getattr(axis, "size", None)
    if stated is not None:
        if size not in (1, stated):
            raise AxisSizeError(f"`expand_dims` got {axis!r} and the size {size}.").at(user_line())
        size = stated
    if name in a._axes.place:
        raise AxisError(
            f"`expand_dims` got {name!r}, which the array has: {show_dims(a.dims)}.",
            f"Choose another name, or rename first: `.rename({name}='{name}2')`.",
        ).at(user_line())
    size = sizes_of("expand_dims", {name: size})[name]
    out = apply(jnp.broadcast_to, apply(jnp.expand_dims, a.array, 0), (size, *a.shape))
    layout, single = a._axes.with_dims((name, *a.dims)), a._axes.beside.get(name)
    if own is None and single is not None and not single.dims:
        # Where the array was becomes the axis' coordinate.
        own = Coordinate(np.broadcast_to(single.held.values, (size,)), single.held.tree)
    return bare(out, layout if own is None else layout.with_coord(name, own))
