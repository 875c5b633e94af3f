"""Places by values of coordinates, and values in between."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import convert_to, is_value, user_line
from sciquax.core.internal import Tracer

from .._array.axes import axes
from .._array.base import NamedBase, bare, coordinate
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, CoordinateError, PositionalError

# -- by coordinate --------------------------------------------------------------------------------


def _converted(known: Coordinate, name: str, value: Any) -> np.ndarray:
    """Values in the unit and dtype of the coordinates they are looked up among."""
    if isinstance(value, NamedBase):
        value = value.array
    leaf = jax.tree_util.tree_leaves(value)[0] if is_value(value) else value
    if isinstance(leaf, Tracer):
        raise CoordinateError(
            f"`sel` got a value along {name!r} that is only known when the program runs.",
            "Use `interp`, which takes such values.",
        ).at(user_line())
    if is_value(value):
        shape = value.shape
        flat = Coordinate(
            np.atleast_1d(np.asarray(leaf)).ravel(), jax.tree_util.tree_structure(value)
        )
        return flat.converted(known).reshape(shape)
    given = np.asarray(value)
    if known.tree is not None:
        return Coordinate(given.ravel()).converted(known).reshape(given.shape)
    if known.values.dtype.kind == "M":
        return given.astype("datetime64") if given.dtype.kind in "UO" else given
    return given


def _locate(known: Coordinate, name: str, value: Any, method: str | None, tolerance: Any) -> Any:
    if method not in (None, "exact", "nearest"):
        raise AxisError(f"`sel` got method={method!r}.", "It is 'exact' or 'nearest'.").at(
            user_line()
        )
    if isinstance(value, slice):
        return _between(known, name, value)
    given = _converted(known, name, value)
    values = known.values
    if values.dtype.kind == "f" and given.dtype.kind in "fiu":
        given = given.astype(values.dtype)
    places = np.empty(given.shape, int)
    for at, wanted in np.ndenumerate(given):
        if method == "nearest":
            distance = np.abs(values - wanted)
            place = int(np.argmin(distance))
            bound = None if tolerance is None else _converted(known, name, tolerance)
            found = [place] if bound is None or distance[place] <= bound else []
        else:
            found = np.flatnonzero(values == wanted)
        if len(found) != 1:
            near = ""
            if known.numeric and len(values) and not len(found):
                near = f" The nearest is {values[np.argmin(np.abs(values - wanted))]}."
            count = "more than once" if len(found) else "not"
            raise CoordinateError(
                f"`sel` got {wanted} along {name!r}, which is {count} among its "
                f"{len(values)} coordinates.{near}",
                "Use method='nearest', a slice, or `isel`.",
            ).at(user_line())
        places[at] = found[0]
    if isinstance(value, NamedBase):
        return bare(places, value._axes)
    return int(places) if places.ndim == 0 else places


def _between(known: Coordinate, name: str, value: slice) -> Any:
    if value.step is not None:
        raise CoordinateError(f"`sel` got a slice with a step along {name!r}.").at(user_line())
    values = known.values
    ascending = bool(np.all(values[1:] >= values[:-1]))
    descending = bool(np.all(values[1:] <= values[:-1]))
    if not (ascending or descending):
        raise CoordinateError(
            f"`sel` got a slice along {name!r}, whose coordinates are in no order.",
            "Sort first, or select by a mask.",
        ).at(user_line())
    low = None if value.start is None else _converted(known, name, value.start)
    high = None if value.stop is None else _converted(known, name, value.stop)
    if values.dtype.kind == "M" and isinstance(value.stop, str):
        # All of the month, if a month is given: up to the last instant before the next.
        high = np.datetime64(value.stop)
        period: Any = np.datetime_data(high.dtype)[0]
        instant: Any = np.datetime_data(values.dtype)[0]
        after = (high + np.timedelta64(1, period)).astype(values.dtype)
        high = after - np.timedelta64(1, instant)
    if low is not None and high is not None and low > high:
        if ascending and len(values) > 1:
            raise CoordinateError(
                f"`sel` got the slice {low} to {high} along {name!r}, which ascends."
            ).at(user_line())
        low, high = high, low
    if descending and not ascending and (low is None) != (high is None):
        low, high = high, low  # `slice(60, None)` goes on in the direction of storage
    inside = np.ones(values.shape, bool)
    if low is not None:
        inside &= values >= low
    if high is not None:
        inside &= values <= high
    places = np.flatnonzero(inside)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _interpolated(a: Any, axis: Any, value: Any, method: str) -> Any:
    if method not in ("linear", "nearest"):
        raise AxisError(f"`interp` got method={method!r}.", "It is 'linear' or 'nearest'.").at(
            user_line()
        )
    i = a._axes.position("interp", axis, a)
    name = a.dims[i]
    a.coord(name)
    known = a._axes.coords[name]
    if not known.numeric or len(known) < 2:
        raise CoordinateError(
            f"`interp` needs two coordinates along {name!r} that are numbers.",
            "Give numbers, such as the days since the first date.",
        ).at(user_line())
    steps = np.diff(known.values.astype(float))
    if not (np.all(steps > 0) or np.all(steps < 0)):
        raise CoordinateError(f"`interp` needs the coordinates of {name!r} in strict order.").at(
            user_line()
        )
    layout = None
    if isinstance(value, NamedBase):
        layout, value = value._axes, value.array
    if not is_value(value):
        value = jnp.asarray(value)
    if layout is None:
        if value.ndim > 1:
            raise PositionalError(
                f"`interp` got values along {name!r} of shape {value.shape} without names.",
                "Name their axes.",
            ).at(user_line())
        layout = axes((name,) if value.ndim else ())
    plain = convert_to(value, known.value())
    at = jax.tree_util.tree_leaves(plain)[0]
    dtype = jnp.result_type(float)
    if jnp.issubdtype(a.dtype, jnp.inexact):
        dtype = jnp.finfo(a.dtype).dtype
    at = at.astype(dtype)
    flip = bool(steps[0] < 0)
    points = jnp.asarray(known.values[::-1] if flip else known.values, dtype)
    source = a.drop_coords(name)
    source = source.flip(name) if flip else source
    low = jnp.clip(jnp.searchsorted(points, at, side="right") - 1, 0, len(known) - 2)
    weight = (at - points[low]) / (points[low + 1] - points[low])
    # An end that was converted to other units may be beyond by rounding.
    slack = 8 * float(jnp.finfo(dtype).eps) * (1 + float(np.abs(known.values).max()))
    slack = slack / float(np.abs(steps).min())
    inside = (weight >= -slack) & (weight <= 1 + slack)
    weight = jnp.where(inside, jnp.clip(weight, 0, 1), jnp.nan)
    if method == "nearest":
        weight = jnp.where(
            weight > 0.5, jnp.ones_like(weight), jnp.where(weight <= 0.5, 0.0, jnp.nan)
        )
    before = source.isel({name: bare(low, layout)})
    after = source.isel({name: bare(low + 1, layout)})
    if not jnp.issubdtype(a.dtype, jnp.inexact):
        before, after = before.astype(dtype), after.astype(dtype)
    share = bare(weight, layout.plain)
    out = before * (1 - share) + after * share
    if layout.dims == (name,):
        try:
            new = coordinate(value, name)
        except CoordinateError:  # only known when the program runs
            return out
        return bare(out.array, out._axes.with_coord(name, new))
    return out
