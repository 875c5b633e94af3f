"""Distances along coordinates, in double precision on the host, from the first coordinate on."""

import datetime
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import taken_apart

from .._array.base import NamedBase, bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, CoordinateError
from .._array.host import check_numbers
from .lookup import difference_of


def from_first(known: Coordinate, labels: Any = None) -> np.ndarray:
    """How far labels (the coordinates themselves, if None) are from the first coordinate.

    In the coordinates' unit; dates in ticks of their dtype.
    """
    values = known.values
    labels = values if labels is None else labels
    if not len(values):
        return np.zeros(np.shape(labels))
    first = values[0]
    if known.calendar is not None:  # of cftime, whose differences are Python's
        apart = np.asarray(labels, object) - first
        return np.asarray(apart / datetime.timedelta(microseconds=1), np.float64)
    if values.dtype.kind in "mM":
        return np.asarray((labels - first) / np.timedelta64(1, tick_of(known)))
    if values.dtype.kind in "iu" and np.asarray(labels).dtype.kind in "iu":
        return np.asarray(labels - first, np.float64)
    return np.asarray(np.asarray(labels, np.float64) - np.float64(first))


def tick_of(known: Coordinate) -> Any:
    if known.calendar is not None:
        return "us"
    return np.datetime_data(known.values.dtype)[0]


def measured(a: Any, known: Coordinate, distance: np.ndarray, unit: str | None) -> Any:
    """A distance along coordinates as `a` is divided by or multiplied with it.

    **Arguments**: the array; its coordinates; the distance, as `from_first` gives it; and the unit
    of time in which dates count beside plain numbers (their dtype's, as in xarray, if None).
    """
    dtype = jnp.finfo(a.dtype).dtype
    if known.values.dtype.kind not in "mM" and known.calendar is None:
        held: Any = jnp.asarray(distance, dtype)
        example = difference_of(known)
        return example.of(held) if example.tree is not None else held
    tick = tick_of(known)
    if unit is None:
        unit = "s" if hasattr(a.array, "units") or tick not in ("s", "ms", "us", "ns") else tick
    try:
        ratio = np.timedelta64(1, tick) / np.timedelta64(1, unit)  # pyright: ignore
    except TypeError:
        raise AxisError(
            f"Dates do not count in {unit!r}.", "It is 'D', 'h', 'm', 's', 'ms', 'us' or 'ns'."
        ).at(user_line()) from None
    held = jnp.asarray(distance * ratio, dtype)
    if hasattr(a.array, "units"):
        return type(a.array)(held, {"D": "day", "m": "minute", "h": "hour"}.get(unit, unit))
    return held


def coordinate_along(a: Any, op: str, name: Any, least: int) -> tuple[str, Coordinate]:
    """The coordinates along a name. **Raises** where they are no numbers or dates."""
    i = a._axes.position(op, name, a)
    name = a.dims[i]
    if a.shape[i] < least:
        raise AxisError(f"`{op}` needs two places along {name!r}.").at(user_line())
    a.coord(name)  # says so if there is none
    known = a._axes.coords[name]
    if not known.numeric and known.values.dtype.kind not in "mM" and known.calendar is None:
        raise CoordinateError(
            f"`{op}` needs coordinates along {name!r} that are numbers or dates, and they are "
            f"{known.values.dtype}."
        ).at(user_line())
    return name, known


def inexact(a: Any) -> Any:
    """The array in floating point, as JAX converts integers for a mean.

    **Raises** `CoordinateError` for dates, spans of time and strings, which are no numbers.
    """
    if jnp.issubdtype(a.dtype, jnp.inexact):
        return a
    check_numbers(a.dtype, "This", a.dims)
    return a.astype(jnp.result_type(float))


def with_leaf(a: NamedBase, function: Any) -> Any:
    """An array with `function` of the numbers in it, in the same unit, offsets included.

    For what commutes with a change of units: choosing, and means with weights that sum to one.
    """
    held = a.array
    if not is_value(held):
        return function(held)
    leaves, tree = taken_apart(held)
    if len(leaves) != 1 or leaves[0].shape != held.shape:
        return function(held)
    return jtu.tree_unflatten(tree, [function(leaves[0])])


def mixed(before: Any, after: Any, share: Any) -> Any:
    """Between two arrays of one unit, by the share of the second; either alone at 0 and 1."""
    held = before.array
    x, y = (taken_apart(v.array)[0] for v in (before, after))
    if is_value(held) and len(x) == 1 and x[0].shape == held.shape:
        tree = taken_apart(held)[1]
        out = mixed(bare(x[0], before._axes), bare(y[0], after._axes), share)
        return bare(jtu.tree_unflatten(tree, [out.array]), out._axes)
    from_both = before * (1 - share) + after * share
    if is_value(held):
        return from_both
    layout = from_both._axes
    before, after, share = (
        bare(v.broadcast_like(from_both).array, layout) for v in (before, after, share)
    )
    array = jnp.where(share.array == 1, after.array, from_both.array)
    return bare(jnp.where(share.array == 0, before.array, array), layout)


def frequencies_of(op: str, a: Any, axis: int, n: int | None) -> Coordinate | None:
    """The frequencies of evenly spaced coordinates, in double precision, per their unit."""
    known = a._axes.coords.get(a.dims[axis])
    if op not in ("fft", "rfft") or known is None or not known.numeric or len(known) < 2:
        return None
    steps = np.diff(from_first(known))
    if steps[0] == 0 or not np.allclose(steps, steps[0], rtol=1e-6, atol=0.0):
        return None
    step = (known.values[-1] - known.values[0]) / (len(known) - 1)
    values = getattr(np.fft, f"{op}freq")(a.shape[axis] if n is None else n, step)
    if known.tree is None:
        return Coordinate(values)
    example = difference_of(known).of(np.float32(1.0))
    return Coordinate(values, taken_apart(1.0 / example)[1])
