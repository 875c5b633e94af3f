"""Indexed updates by name: `a.at[{"x": 1}].set(v)`."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.axes import Axes, axes
from .._array.base import NamedBase, as_named, bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, PositionalError, show_dims
from .._array.host import on_device
from .alignment import alignment, size_mismatch
from .call_jax import apply
from .elementwise import where
from .places import Pointwise, _places, _pointwise, isel
from .shapes import permuted


def update(a: Any, index: Any, op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`a.at[index].what(*args, **kwargs)`: at places by name, or where a mask holds."""
    mask = None
    if isinstance(index, NamedBase) and np.dtype(index.dtype) == np.bool_:
        index, mask = {}, index
    elif not isinstance(index, Mapping):
        raise PositionalError(
            f"A named array is indexed by name, and got {index!r}.", "Write `a.at[{'x': 3}]`."
        ).at(user_line())
    if op == "get":
        return a[mask] if mask is not None else isel(a, "at", dict(index))
    if op == "apply":  # the function of the elements there, which must be elementwise
        op, args = "set", (args[0](a if mask is not None else update(a, index, "get", (), {})),)
    if mask is None:
        return _changed(a, dict(index), op, *args, **kwargs)
    _fit("mask", mask, a._axes, a.shape)  # says so if it has other names or sizes
    out = where(mask, _changed(a, {}, op, *args, **kwargs), a).transpose(*a.dims)
    return bare(out.array, a._axes.plain)


def _changed(a: Any, index: dict[Any, Any], op: str, *values: Any, **kwargs: Any) -> Any:
    places = _places(a, "at", index)
    if places.arrays:
        points = _pointwise(a, "at", places.arrays)
    else:
        points = Pointwise(axes(()), (), ())
    rest = [i for i in range(a.ndim) if i not in points.positions]
    order = (*points.positions, *rest)
    moved = on_device(permuted(a, order).array)
    region_dims = list(points.layout.dims)
    region_shape = [max(x.shape[k] for x in points.places) for k in range(len(region_dims))]
    coords: dict[Any, Coordinate] = dict(points.layout.coords)
    for i, x in places.arrays.items():
        own = a._axes.coords.get(a.dims[i])
        if own is not None and x.dims == (a.dims[i],) and isinstance(x.array, np.ndarray):
            coords[a.dims[i]] = own.take(x.array)
    for i in rest:
        place = places.basic.get(i, slice(None))
        if isinstance(place, slice):
            region_dims.append(a.dims[i])
            region_shape.append(len(range(*place.indices(a.shape[i]))))
            own = a._axes.coords.get(a.dims[i])
            if own is not None:
                coords[a.dims[i]] = own.take(place)
    region = axes(tuple(region_dims), coords)
    given = [_fit(op, v, region, tuple(region_shape)) for v in values]
    at = (
        *map(jnp.asarray, points.places),
        *(places.basic.get(i, slice(None)) for i in rest),
    )
    out = getattr(moved.at[at], op)(*given, **kwargs)
    inverse = tuple(int(i) for i in np.argsort(order))
    out = out if inverse == tuple(range(a.ndim)) else apply(jnp.transpose, out, inverse)
    return bare(out, a._axes.plain)


def _fit(op: str, value: Any, region: Axes, shape: tuple[int, ...]) -> Any:
    """The values to write, with the axes of the places that they are written to."""
    if isinstance(value, (bool, int, float, complex)):
        return value
    v = as_named(value, f"at[...].{op}")
    for name in v.dims:
        if name is None or name not in region.place:
            raise AxisError(
                f"`at[...].{op}` got values with the dims {show_dims(v.dims)} for places "
                f"with {show_dims(region.dims)}.",
                "Values have no other names than the places they are written to.",
            ).at(user_line())
        size = shape[region.place[name]]
        if v.sizes[name] != size:
            raise size_mismatch(f"at[...].{op}", name, [size, v.sizes[name]]).at(user_line())
    if not v.dims:
        return v.array
    plan = alignment(f"at[...].{op}", (region, v._axes))
    return plan.steps[1](v.array)
