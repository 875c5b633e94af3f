"""Derivatives and integrals by the coordinate along a name."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.axes import as_names, axes
from .._array.base import bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError
from .._by_name.concatenation import concatenate
from .._labels.distances import coordinate_along, from_first, inexact, measured


def _steps(a: Any, known: Coordinate, name: str, distance: np.ndarray, unit: str | None) -> Any:
    return bare(measured(a, known, distance, unit), axes((name,)))


def differentiate(a: Any, name: Any, edge_order: int, unit: str | None) -> Any:
    """Implement `NamedArray.differentiate`."""
    n, known = coordinate_along(a, "differentiate", name, 2)
    if edge_order not in (1, 2) or a.sizes[n] <= edge_order:
        raise AxisError(
            f"`differentiate` got edge_order={edge_order} for {a.sizes[n]} places.", "It is 1 or 2."
        ).at(user_line())
    y = inexact(a.drop_coords(n))
    step = np.diff(from_first(known))
    slope = y.diff(n) / _steps(y, known, n, step, unit)
    dtype = jnp.finfo(y.dtype).dtype

    def weighted(left: Any, right: Any, share: np.ndarray) -> Any:
        """Two slopes by the share of the second, from double precision."""
        shares = bare(jnp.asarray(share, dtype), axes((n,)))
        return left * (1 - shares) + right * shares

    def at(i: int, size: int = 1) -> Any:
        return slope.isel({n: slice(i, i + size)})

    m = len(step)
    first, last = at(0), at(m - 1)
    if edge_order == 2:
        h0, h1 = step[:1], step[1:2]
        first = weighted(at(0), at(1), -h0 / (h0 + h1))
        h0, h1 = step[-1:], step[-2:-1]
        last = weighted(at(m - 1), at(m - 2), -h0 / (h0 + h1))
    parts = [first]
    if m > 1 and np.all(step == step[0]):  # without the place itself, which may be nan
        ends = y.isel({n: slice(2, None)}) - y.isel({n: slice(None, -2)})
        parts.append(ends / _steps(y, known, n, 2 * step[1:], unit))
    elif m > 1:
        left, right = step[:-1], step[1:]
        parts.append(weighted(at(0, m - 1), at(1, m - 1), left / (left + right)))
    out = concatenate([*parts, last], n).transpose(*a.dims)
    return bare(out.array, a._axes.plain)


def _areas(a: Any, op: str, name: Any, unit: str | None) -> tuple[str, Any]:
    n, known = coordinate_along(a, op, name, 0)
    y = inexact(a.drop_coords(n))
    pairs = (y.isel({n: slice(None, -1)}) + y.isel({n: slice(1, None)})) / 2
    return n, pairs * _steps(y, known, n, np.diff(from_first(known)), unit)


def integrate(a: Any, names: Any, unit: str | None) -> Any:
    """Implement `NamedArray.integrate`."""
    for name in as_names(names):
        n, areas = _areas(a, "integrate", name, unit)
        a = areas.sum(n)
    return a


def cumulative_integrate(a: Any, name: Any, unit: str | None) -> Any:
    """Implement `NamedArray.cumulative_integrate`."""
    n, areas = _areas(a, "cumulative_integrate", name, unit)
    out = areas.cumsum(n).pad({n: (1, 0)})
    return bare(out.transpose(*a.dims).array, a._axes.plain)
