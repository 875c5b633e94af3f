"""Indexed updates by name: `a.at[{"x": 1}].set(v)`."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.axes import Axes, axes
from .._array.base import NamedBase, as_named, bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, PositionalError, show_dims
from .alignment import alignment, sizes_differ
from .call_jax import apply
from .elementwise import where
from .places import Pointwise, _places, _pointwise, isel
from .shapes import permuted

# -- writing --------------------------------------------------------------------------------------


class At:
    """`a.at`: index it to get an [`IndexedUpdate`][]."""

    __slots__ = ("_array",)

    def __init__(self, array: Any):
        self._array = array

    def __getitem__(self, index: Any) -> "IndexedUpdate":
        if isinstance(index, NamedBase) and np.dtype(index.dtype) == np.bool_:
            return MaskedUpdate(self._array, index)
        if not isinstance(index, Mapping):
            raise PositionalError(
                f"A named array is indexed by name, and got {index!r}.",
                "Write `a.at[{'x': 3}]`.",
            ).at(user_line())
        return IndexedUpdate(self._array, dict(index))


class IndexedUpdate:
    """`a.at[{"x": 1}]`: what to do there."""

    __slots__ = ("_array", "_index")

    def __init__(self, array: Any, index: dict[Any, Any]):
        self._array, self._index = array, index

    def _update(self, what: str, *values: Any, **kwargs: Any) -> Any:
        a = self._array
        places = _places(a, "at", self._index)
        if places.arrays:
            points = _pointwise(a, "at", places.arrays)
        else:
            points = Pointwise(axes(()), (), ())
        rest = [i for i in range(a.ndim) if i not in points.positions]
        order = (*points.positions, *rest)
        moved = permuted(a, order).array
        index = (
            *map(jnp.asarray, points.places),
            *(places.basic.get(i, slice(None)) for i in rest),
        )
        region_dims = list(points.layout.dims)
        region_shape = [max(x.shape[k] for x in points.places) for k in range(len(region_dims))]
        coords: dict[Any, Coordinate] = dict(points.layout.coords)
        for i in rest:
            place = places.basic.get(i, slice(None))
            if isinstance(place, slice):
                region_dims.append(a.dims[i])
                region_shape.append(len(range(*place.indices(a.shape[i]))))
                own = a._axes.coords.get(a.dims[i])
                if own is not None:
                    coords[a.dims[i]] = own.take(place)
        region = axes(tuple(region_dims), coords)
        given = [_fit(what, v, region, tuple(region_shape)) for v in values]
        out = getattr(moved.at[index], what)(*given, **kwargs)
        inverse = tuple(int(i) for i in np.argsort(order))
        out = out if inverse == tuple(range(a.ndim)) else apply(jnp.transpose, out, inverse)
        return bare(out, a._axes.plain)

    def set(self, values: Any, **kwargs: Any) -> Any:
        return self._update("set", values, **kwargs)

    def add(self, values: Any, **kwargs: Any) -> Any:
        return self._update("add", values, **kwargs)

    def subtract(self, values: Any, **kwargs: Any) -> Any:
        return self._update("subtract", values, **kwargs)

    def multiply(self, values: Any, **kwargs: Any) -> Any:
        return self._update("multiply", values, **kwargs)

    mul = multiply

    def divide(self, values: Any, **kwargs: Any) -> Any:
        return self._update("divide", values, **kwargs)

    def power(self, values: Any, **kwargs: Any) -> Any:
        return self._update("power", values, **kwargs)

    def min(self, values: Any, **kwargs: Any) -> Any:
        return self._update("min", values, **kwargs)

    def max(self, values: Any, **kwargs: Any) -> Any:
        return self._update("max", values, **kwargs)

    def apply(self, function: Callable[..., Any], **kwargs: Any) -> Any:
        """`function` of the elements there, which must be elementwise."""
        return self.set(function(self.get()), **kwargs)

    def get(self) -> Any:
        return isel(self._array, "at", self._index)


class MaskedUpdate(IndexedUpdate):
    """`a.at[mask]`: what to do where a mask holds, which is aligned by name."""

    __slots__ = ("_mask",)

    def __init__(self, array: Any, mask: NamedBase):
        super().__init__(array, {})
        self._mask = mask

    def _update(self, what: str, *values: Any, **kwargs: Any) -> Any:
        a = self._array
        _fit("mask", self._mask, a._axes, a.shape)  # says so if it has other names or sizes
        changed = super()._update(what, *values, **kwargs)
        out = where(self._mask, changed, a).transpose(*a.dims)
        return bare(out.array, a._axes.plain)

    def get(self) -> Any:
        return self._array[self._mask]


def _fit(what: str, value: Any, region: Axes, shape: tuple[int, ...]) -> Any:
    """What is written, with the axes of the places it is written to."""
    if isinstance(value, (bool, int, float, complex)):
        return value
    v = as_named(value, f"at[...].{what}")
    for name in v.dims:
        if name is None or name not in region.place:
            raise AxisError(
                f"`at[...].{what}` got values with the dims {show_dims(v.dims)} for places "
                f"with {show_dims(region.dims)}.",
                "Values have no other names than the places they are written to.",
            ).at(user_line())
        size = shape[region.place[name]]
        if v.sizes[name] != size:
            raise sizes_differ(f"at[...].{what}", name, [size, v.sizes[name]]).at(user_line())
    if not v.dims:
        return v.array
    plan = alignment(f"at[...].{what}", (region, v._axes))
    return plan.steps[1](v.array)
