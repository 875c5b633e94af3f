"""Statistics along names: covariance, correlation, polynomials, histograms."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, user_line

from .._array.axes import axes, name_of
from .._array.base import as_named, bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError
from .._by_name.alignment import alignment
from .._by_name.call_jax import apply
from .._labels.distances import coordinate_along, inexact


def _pair(what: str, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Two arrays of common axes, and where both are no nan."""
    a, b = (inexact(as_named(x, what)) for x in (a, b))
    plan = alignment(what, (a._axes, b._axes))
    plan.check(what, (a.shape, b.shape))
    first, second = plan.steps[0](a.array), plan.steps[1](b.array)
    shape = np.broadcast_shapes(first.shape, second.shape)
    x, y = (bare(apply(jnp.broadcast_to, v, shape), plan.axes) for v in (first, second))
    return x, y, bare(x.notnull().array & y.notnull().array, plan.axes)


def cov(a: Any, b: Any, names: Any = None, *, ddof: int = 1) -> Any:
    """The covariance of two arrays over a name or several, of elements that both have.

    Nans are left out in pairs, and `ddof` is 1, as in xarray.
    """
    x, y, valid = _pair("cov", a, b)
    apart = (x - x.mean(names, where=valid)) * (y - y.mean(names, where=valid))
    total = apart.sum(names, where=valid)
    return total / (valid.sum(names).astype(x.dtype) - ddof)


def corr(a: Any, b: Any, names: Any = None) -> Any:
    """The Pearson correlation of two arrays over a name or several, of elements that both have."""
    x, y, valid = _pair("corr", a, b)
    apart = (x - x.mean(names, where=valid)) * (y - y.mean(names, where=valid))
    return apart.mean(names, where=valid) / (x.std(names, where=valid) * y.std(names, where=valid))


def polyfit(a: Any, name: Any, deg: int, into: Any = "degree") -> Any:
    """The coefficients of the polynomial in the coordinate along a name that fits best.

    **Arguments**: an array of numbers; a name, whose coordinates are numbers (in their own unit);
    the degree; and the name of the coefficients' axis, whose coordinates are the degrees, the
    highest first, as in xarray.

    The least-squares matrix is made on the host in double precision.
    """
    n, known = coordinate_along(as_named(a, "polyfit"), "polyfit", name, 1)
    a = inexact(a)
    if is_value(a.array) or not known.numeric:
        raise AxisError(
            "`polyfit` takes numbers along numbers, as each coefficient has a unit of its own.",
            "Fit `a.magnitude`, by days since the first date.",
        ).at(user_line())
    x = known.values.astype(np.float64)
    matrix = np.vander(x, deg + 1)
    scale = np.sqrt((matrix * matrix).sum(axis=0))
    solution = np.linalg.pinv(matrix / scale, rcond=len(x) * np.finfo(float).eps)
    solution = solution / scale[:, None]
    # A constant is fitted apart: large coordinates leave single precision nothing else.
    axis = a._axes.place[n]
    mean = a.mean(n)
    apart = (a - mean).transpose(n, ...)
    out = jnp.tensordot(jnp.asarray(solution, a.dtype), apart.array, axes=(1, 0))
    out = out.at[-1].add(mean.array)
    dims = (name_of(into), *[d for i, d in enumerate(a.dims) if i != axis])
    coords = {k: c for k, c in a._axes.coords.items() if k != n}
    degrees = Coordinate(np.arange(deg, -1, -1))
    return bare(out, axes(dims, {**coords, name_of(into): degrees}))


def polyval(coord: Any, coefficients: Any, name: Any = "degree") -> Any:
    """The polynomial of such coefficients at coordinates, by Horner's rule."""
    coefficients = as_named(coefficients, "polyval")
    i = coefficients._axes.position("polyval", name, coefficients)
    n = coefficients.dims[i]
    order: list[Any] = list(range(coefficients.shape[i]))
    if n in coefficients._axes.coords:
        order = np.argsort(-coefficients._axes.coords[n].values).tolist()
    out: Any = 0.0
    coefficients = bare(coefficients.array, coefficients._axes.without(n))
    for k in order:
        out = coefficients.isel({n: k}) + out * coord
    return out


def histogram(
    a: Any, bins: Any, names: Any = None, into: Any = "bin", density: bool = False
) -> Any:
    """How many elements are in each bin, over a name or several (all, if None).

    **Arguments**: the array; the edges of the bins, known numbers in the array's unit; the names;
    the name of the bins' axis, whose coordinates are their middles; and whether to divide by the
    number of elements and the widths.
    """
    a = as_named(a, "histogram")
    over = range(a.ndim) if names is None else a._axes.positions("histogram", names, a)
    rest = [i for i in range(a.ndim) if i not in over]
    edges = np.asarray(bins, np.float64)
    if edges.ndim != 1 or len(edges) < 2:
        raise AxisError("`histogram` takes the edges of its bins.").at(user_line())
    x = jtu.tree_leaves(inexact(a).array)[0]
    moved = jnp.transpose(x, (*rest, *over)).reshape((*[x.shape[i] for i in rest], -1))
    ends = jnp.asarray(edges, moved.dtype)
    place = jnp.searchsorted(ends, moved, side="right") - 1
    place = jnp.where(moved == ends[-1], len(edges) - 2, place)
    counts = jax.nn.one_hot(place, len(edges) - 1, dtype=int).sum(-2)
    if density:
        widths = np.broadcast_to(np.diff(edges), counts.shape)
        shares = counts / counts.sum(-1, keepdims=True)
        counts = shares / jnp.asarray(widths, shares.dtype)
    layout = a._axes.keep(rest)
    middles = (edges[1:] + edges[:-1]) / 2
    tree = jtu.tree_structure(a.array) if is_value(a.array) else None
    dims = (*layout.dims, name_of(into))
    return bare(counts, axes(dims, {**layout.coords, name_of(into): Coordinate(middles, tree)}))
