"""Values in between: interpolation along coordinates.

For known places the neighbours and their weights are found on the host in double precision; JAX
gets integers and weights. For places that are known when the program runs, the first coordinate is
subtracted first.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from sciquax.core import convert_to, is_value, user_line
from sciquax.core.internal import taken_apart

from .._array.axes import Axes, axes
from .._array.base import NamedBase, bare
from .._array.coordinates import Beside, Coordinate, exact
from .._array.errors import AxisError, CoordinateError, PositionalError
from .._array.known_labels import labels_of
from .._by_name.call_jax import apply, reduced_tree
from .._labels.distances import coordinate_along, from_first, inexact, mixed, with_leaf
from .._labels.lookup import comparable, labels_among, pandas

_DEGREES = {"cubic": 3, "quadratic": 2}
METHODS = ("linear", "nearest", *_DEGREES)


class Options(NamedTuple):
    """How to interpolate: the method, what stands beyond the ends, and a period.

    `fill` is a number, nan or "extrapolate".
    """

    method: str
    fill: Any
    period: Any

    @classmethod
    def of(cls, method: str, fill: Any, period: Any, kwargs: Mapping[str, Any] | None) -> "Options":
        if method not in METHODS:
            raise AxisError(
                f"`interp` got method={method!r}.",
                f"It is {', '.join(map(repr, METHODS[:-1]))} or {METHODS[-1]!r}.",
            ).at(user_line())
        given = dict(kwargs or {})
        given.pop("bounds_error", None)
        fill = given.pop("fill_value", fill)
        if given:
            raise AxisError(f"`interp` got the options {sorted(given)}.").at(user_line())
        return cls(method, float("nan") if fill is None else fill, period)


class _Grid(NamedTuple):
    """Coordinates in ascending order, as distances from the first.

    **Attributes**: the distances; the place of each in the array; and the period, if there is one.
    """

    points: np.ndarray
    places: np.ndarray
    period: float | None


def interpolated(a: Any, axis: Any, value: Any, options: Options) -> Any:
    """Implement `NamedArray.interp` along one name."""
    name, known = coordinate_along(a, "interp", axis, 1)
    if len(known) < 2:
        raise CoordinateError(
            f"`interp` needs two coordinates along {name!r}.", "Use `isel` for the only place."
        ).at(user_line())
    grid = _grid(name, known, options.period)
    layout, held = _layout(name, value)
    source = inexact(bare(a.array, a._axes.without(name)))
    if is_value(source.array) and options.method != "nearest":
        reduced_tree(jnp.mean, source.array, 2, "`interp`")
    leaf, tree = labels_of(held)
    if leaf is None:
        return _at_run_time(source, name, known, grid, layout, held, options)
    if known.dated and leaf.dtype.kind in "UO":
        held = np.asarray(pandas().DatetimeIndex(np.ravel(leaf))).reshape(leaf.shape)
        leaf = held
    labels = labels_among(known, name, held, "interp")
    if not comparable(known, labels.values):
        raise CoordinateError(
            f"`interp` got {labels.values.dtype} along {name!r}, whose coordinates are "
            f"{known.values.dtype}."
        ).at(user_line())
    at = from_first(known, labels.values)
    slack = labels.rounding * np.abs(labels.values) if labels.rounding else 0.0
    shares = _shares(name, grid, at, slack, options)
    out = _at(source, name, shares, layout, options)
    own = {n: c for n, c in a._axes.beside.items() if name in c.dims}
    moved = {n: _beside_at(c, name, shares, layout, options) for n, c in own.items()}
    out = bare(out.array, out._axes.with_beside(**moved))
    new = Coordinate(exact(leaf), tree if tree is not None else known.tree)
    if layout.dims == (name,):
        return bare(out.array, out._axes.with_coord(name, new))
    if None in layout.dims:
        return out
    return bare(out.array, out._axes.with_beside(**{name: Beside(layout.dims, new)}))  # pyright: ignore


def _grid(name: str, known: Coordinate, period: Any) -> _Grid:
    points = from_first(known)
    length = None
    if period is not None:
        unit = Coordinate(np.zeros(0), known.tree)
        length = float(labels_among(unit, name, period, "interp").values)
        points = points % length
    places = np.argsort(points, kind="stable")
    points = points[places]
    steps = np.diff(points)
    if not np.all(steps > 0) or length is not None and points[-1] - points[0] >= length:
        raise CoordinateError(
            f"`interp` needs the coordinates of {name!r} in strict order."
            if length is None
            else f"`interp` needs coordinates of {name!r} that differ within a period."
        ).at(user_line())
    if length is not None:
        points = np.concatenate([points[-1:] - length, points, points[:1] + length])
        places = np.concatenate([places[-1:], places, places[:1]])
    return _Grid(points, places, length)


def _layout(name: str, value: Any) -> tuple[Axes, Any]:
    """The axes of the places, and the places without names."""
    if isinstance(value, NamedBase) or is_value(value):
        value = value.canonical()
    if isinstance(value, NamedBase):
        return value._axes, value.array
    ndim = np.ndim(value) if not hasattr(value, "shape") else len(value.shape)
    if ndim > 1:
        raise PositionalError(
            f"`interp` got values along {name!r} of shape {np.shape(value)} without names.",
            "Name their axes.",
        ).at(user_line())
    return axes((name,) if ndim else ()), value


class _Shares(NamedTuple):
    """What elements along a name known places are made of.

    **Attributes**: the place before and the place after each, by their position in the grid, and
    the share of the latter; or a matrix, of a spline; and what lies beyond the coordinates.
    """

    low: np.ndarray
    high: np.ndarray
    share: np.ndarray
    matrix: np.ndarray | None
    beyond: np.ndarray


def _shares(name: str, grid: _Grid, x: np.ndarray, slack: Any, options: Options) -> _Shares:
    points, places, period = grid
    if period is not None:
        x = points[1] + (x - points[1]) % period
    inside = (x >= points[0] - slack) & (x <= points[-1] + slack)
    extrapolate = options.fill == "extrapolate"
    clipped = x if extrapolate else np.clip(x, points[0], points[-1])
    unknown = np.isnan(x)
    clipped = np.where(unknown, points[0], clipped)
    matrix = None
    if options.method in _DEGREES:
        matrix = _spline(name, grid, clipped, _DEGREES[options.method])
    low = np.clip(np.searchsorted(points, clipped, side="right") - 1, 0, len(points) - 2)
    share = (clipped - points[low]) / (points[low + 1] - points[low])
    if options.method == "nearest":
        share = np.where(share > 0.5, 1.0, 0.0)
    beyond = unknown | (~inside if not extrapolate else False)
    return _Shares(places[low], places[low + 1], share, matrix, beyond)


def _at(source: Any, name: str, shares: _Shares, layout: Axes, options: Options) -> Any:
    """At known places."""
    low, high, share, matrix, beyond = shares
    if matrix is not None:
        out = _product(source, name, matrix, bare(share, layout))
    elif np.isin(share, (0.0, 1.0)).all():
        out = source.isel({name: bare(np.where(share == 1.0, high, low), layout)})
    else:
        before, after = (source.isel({name: bare(at, layout)}) for at in (low, high))
        weights = jnp.asarray(share, jnp.finfo(source.dtype).dtype)
        out = mixed(before, after, bare(weights, layout.plain))
    return _filled(out, bare(beyond, layout.plain), options.fill) if beyond.any() else out


def _beside_at(
    own: Beside, name: str, shares: _Shares, layout: Axes, options: Options
) -> Beside | None:
    """A coordinate along the name and perhaps others at known places, on the host.

    Numbers and dates are interpolated as the elements are, in double precision. Of others that at
    the nearest place is taken, for a list of places, as in xarray.
    """
    low, high, share, matrix, beyond = shares
    known, axis = own.held.values, own.dims.index(name)
    if None in layout.dims or set(layout.dims) & (set(own.dims) - {name}):
        return None
    values = np.moveaxis(known, axis, 0)
    if known.dtype.kind in "iufcmM":
        out = _between(values, shares)
        if beyond.any():
            fill = np.nan if isinstance(options.fill, str) else options.fill
            out[beyond] = np.array("NaT", known.dtype) if known.dtype.kind in "mM" else fill
    elif layout.dims == (name,) and not np.isnan(share).any():
        out = values[np.where(share >= 0.5, high, low)]
    else:
        return None
    made = np.moveaxis(out, range(share.ndim), range(axis, axis + share.ndim))
    dims: Any = (*own.dims[:axis], *layout.dims, *own.dims[axis + 1 :])
    return Beside(dims, Coordinate(made, own.held.tree))


def _between(values: np.ndarray, shares: _Shares) -> np.ndarray:
    """Between the first axis' entries, as `mixed` has it."""
    low, high, share, matrix, _ = shares
    if values.dtype.kind in "mM":
        first = values[np.isfinite(values)].min(initial=values.ravel()[0])
        apart = (values - first).astype(np.float64)
        apart[np.isnat(values)] = np.nan
        out = _between(apart, shares)
        ticks = np.round(np.where(np.isnan(out), 0, out)).astype(np.int64)
        found = first + ticks.astype(f"m8[{np.datetime_data(values.dtype)[0]}]")
        return np.where(np.isnan(out), np.array("NaT", values.dtype), found)
    if matrix is not None:
        out = np.tensordot(matrix, values, axes=(1, 0))
        return out.reshape(share.shape + values.shape[1:])
    share = share.reshape(share.shape + (1,) * (values.ndim - 1))
    before, after = values[low], values[high]
    out = before * (1 - share) + after * share
    return np.where(share == 0, before, np.where(share == 1, after, out))


def _filled(out: Any, beyond: Any, fill: Any) -> Any:
    """A value in place of what lies beyond the coordinates, in the unit of the array."""
    value = float("nan") if isinstance(fill, str) else fill
    mask = beyond.broadcast_like(out).transpose(*out.dims).array

    def fill_in(x: Any) -> Any:
        return jnp.where(mask, jnp.asarray(value, x.dtype), x)

    return bare(with_leaf(out, fill_in), out._axes)


def _spline(name: str, grid: _Grid, x: np.ndarray, degree: int) -> np.ndarray:
    """A spline through all points as a matrix: its values are linear in those of the array."""
    n = len(grid.points)
    if n <= degree:
        raise CoordinateError(
            f"`interp` by a spline of degree {degree} needs {degree + 1} coordinates along "
            f"{name!r}."
        ).at(user_line())
    from scipy.interpolate import make_interp_spline  # which JAX needs; 0.1 s to import

    spline = make_interp_spline(grid.points, np.eye(n), k=degree)
    weights = np.zeros((np.size(x), int(grid.places.max()) + 1))
    np.add.at(weights.T, grid.places, spline(np.ravel(x)).T)
    return weights


def _product(source: Any, name: str, weights: np.ndarray, at: Any) -> Any:
    axis = source._axes.place[name]

    def product(values: Any) -> Any:
        matrix = jnp.asarray(weights, values.dtype)
        out = jnp.tensordot(matrix, values, axes=(1, axis))
        return out.reshape(at.shape + out.shape[1:])

    rest = [d for i, d in enumerate(source.dims) if i != axis]
    made = with_leaf(source, product)
    coords = {**source._axes.coords, **at._axes.coords}
    dims = (*at._axes.dims, *rest)
    out = bare(made, axes(dims, coords, beside=source._axes.beside))
    order = (*rest[:axis], *at._axes.dims, *rest[axis:])
    return out.transpose(*order)


def _at_run_time(
    source: Any, name: str, known: Coordinate, grid: _Grid, layout: Axes, held: Any,
    options: Options,
) -> Any:  # fmt: skip
    """At places that are known when the program runs."""
    if options.method not in ("linear", "nearest") or known.dated:
        raise CoordinateError(
            f"`interp` got values along {name!r} that are only known when the program runs.",
            "Linear and nearest interpolation along numbers take such values.",
        ).at(user_line())
    points, places, period = grid
    if isinstance(held, (list, tuple)):
        held = jnp.stack(list(map(jnp.asarray, held)))
    plain = convert_to(held, known.value()) if is_value(held) else held
    at: Any = taken_apart(plain)[0][0]
    dtype = jnp.finfo(source.dtype).dtype
    first = np.float64(known.values[0])
    at = at.astype(dtype) - jnp.asarray(first, dtype)
    if period is not None:
        at = points[1] + (at - points[1]) % period
    knots = jnp.asarray(points, dtype)
    low = jnp.clip(jnp.searchsorted(knots, at, side="right") - 1, 0, len(points) - 2)
    weight = (at - knots[low]) / (knots[low + 1] - knots[low])
    # An end that was converted to other units may be beyond by rounding.
    slack = 8 * float(jnp.finfo(dtype).eps) * (1 + float(np.abs(known.values).max()))
    slack = slack / float(np.diff(points).min())
    inside = (weight >= -slack) & (weight <= 1 + slack)
    if options.fill != "extrapolate":
        weight = jnp.where(jnp.isnan(weight), weight, jnp.clip(weight, 0, 1))
    if options.method == "nearest":
        weight = jnp.where(weight > 0.5, jnp.ones_like(weight), jnp.zeros_like(weight))
    order = jnp.asarray(places)
    before = source.isel({name: bare(apply(jnp.take, order, low), layout)})
    after = source.isel({name: bare(apply(jnp.take, order, low + 1), layout)})
    out = mixed(before, after, bare(weight, layout.plain))
    if options.fill == "extrapolate":
        return out
    return _filled(out, bare(~inside, layout.plain), options.fill)
