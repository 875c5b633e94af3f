"""Statistics along names: covariance, correlation, polynomials, histograms."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import quoted, taken_apart

from .._array.axes import axes, name_of
from .._array.base import NamedBase, as_named, bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, CoordinateError
from .._array.host import host_leaf
from .._by_name.alignment import alignment
from .._by_name.call_jax import apply
from .._labels.distances import coordinate_along, inexact
from .._labels.lookup import difference_of


def _pair(op: str, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Two arrays of common axes, and where both are no nan."""
    a, b = (inexact(as_named(x, op)) for x in (a, b))
    plan = alignment(op, (a._axes, b._axes))
    plan.check(op, (a.shape, b.shape))
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


def rank(a: Any, name: Any, pct: bool) -> Any:
    """Implement `NamedArray.rank`."""
    i = a._axes.position("rank", name, a)
    leaf = taken_apart(a.array)[0][0]
    x = jnp.asarray(leaf) if np.dtype(leaf.dtype).kind in "iub" else inexact(a).array
    x = jnp.moveaxis(taken_apart(x)[0][0], i, -1)
    rows = x.reshape(-1, x.shape[-1])

    def of_row(row: Any) -> Any:
        ordered = jnp.sort(row)
        below, upto = (jnp.searchsorted(ordered, row, side=s) for s in ("left", "right"))
        return (below + upto + 1).astype(jnp.result_type(float)) / 2

    out = jax.vmap(of_row)(rows)
    valid = rows == rows
    if pct:
        out = out / jnp.maximum(valid.sum(-1, keepdims=True), 1).astype(out.dtype)
    out = jnp.where(valid, out, jnp.nan).reshape(x.shape)
    return bare(jnp.moveaxis(out, -1, i), a._axes.plain)


def polyfit(
    a: Any, name: Any, deg: int, into: Any = "degree", *, skipna: bool = False,
    datetime_unit: str = "ns",
) -> Any:  # fmt: skip
    """The coefficients of the polynomial in the coordinate along a name that fits best.

    **Arguments**: an array; a name, whose coordinates are numbers (in their own unit); the degree;
    the name of the coefficients' axis, whose coordinates are the degrees, the highest first, as in
    xarray; and whether nans are left out. Dates count from 1970 in `datetime_unit`, as in xarray.

    **Returns** the coefficients; where there are units, each coefficient has its own: then they are
    a dictionary by degrees, as [`sciquax.named.polyval`][] takes it.

    The least-squares matrix is made on the host in double precision.
    """
    n, known = coordinate_along(as_named(a, "polyfit"), "polyfit", name, 1)
    a = inexact(a)
    x = _since_1970(known.values, datetime_unit) if known.dated else known.values
    if x.dtype.kind not in "iuf" or known.dated and is_value(a.array):
        raise AxisError(
            "`polyfit` takes coordinates that are numbers.", "Give days since the first date."
        ).at(user_line())
    matrix = np.vander(x.astype(np.float64), deg + 1)
    smallest = np.abs(matrix).max(axis=0, initial=1).max() * float(jnp.finfo(a.dtype).tiny)
    if known.dated and smallest > 1e-3:
        raise CoordinateError(
            f"`polyfit` of degree {deg} by {datetime_unit}: {a.dtype} has no numbers so small.",
            "Count in a longer unit: `datetime_unit='D'`.",
        ).at(user_line())
    # A constant is fitted apart: large coordinates leave single precision nothing else.
    mean = a.mean(n, skipna=skipna) if not is_value(a.array) else a.mean(n)
    apart = (a - mean).transpose(n, ...)
    if is_value(a.array) or known.tree is not None:
        if skipna:
            raise AxisError("`polyfit` with units takes no `skipna`.").at(user_line())
        return _with_units(known, apart, mean, _solution(matrix))
    if skipna:
        out = _without_nans(matrix, apart.array)
    else:
        out = jnp.tensordot(jnp.asarray(_solution(matrix), a.dtype), apart.array, axes=(1, 0))
    out = out.at[-1].add(mean.array)
    degrees = Coordinate(np.arange(deg, -1, -1))
    layout = a._axes.without(n).with_dims((name_of(into), *(d for d in a.dims if d != n)))
    return bare(out, layout.with_coord(name_of(into), degrees))


def _since_1970(dates: np.ndarray, unit: str) -> np.ndarray:
    try:
        return (dates - np.datetime64(0, unit)) / np.timedelta64(1, unit)  # pyright: ignore
    except TypeError:
        raise AxisError(
            f"Dates do not count in {unit!r}.", "It is 'D', 'h', 'm', 's', 'ms', 'us' or 'ns'."
        ).at(user_line()) from None


def _solution(matrix: np.ndarray) -> np.ndarray:
    """The least-squares solution as a matrix, of columns scaled alike."""
    scale = np.sqrt((matrix * matrix).sum(axis=0))
    solution = np.linalg.pinv(matrix / scale, rcond=len(matrix) * np.finfo(float).eps)
    return solution / scale[:, None]


def _without_nans(matrix: np.ndarray, y: Any) -> Any:
    """Coefficients of each series by its own elements that are no nan, in an orthonormal basis."""
    basis, triangle = np.linalg.qr(matrix)
    q = jnp.asarray(basis, y.dtype)
    valid = ~jnp.isnan(y)
    series = jnp.moveaxis(jnp.where(valid, y, 0), 0, -1)
    weights = jnp.moveaxis(valid, 0, -1).astype(y.dtype)
    normal = jnp.einsum("...k,ki,kj->...ij", weights, q, q)
    found = jnp.linalg.solve(normal, jnp.einsum("...k,ki->...i", series, q)[..., None])[..., 0]
    out = jnp.einsum("ji,...i->...j", jnp.asarray(np.linalg.inv(triangle), y.dtype), found)
    return jnp.moveaxis(out, -1, 0)


def _with_units(known: Coordinate, apart: Any, mean: Any, solution: np.ndarray) -> dict[int, Any]:
    """A coefficient for each degree, in the array's unit per power of the coordinate's."""
    step, n = difference_of(known), apart.dims[0]
    unit = step.of(jnp.ones((), apart.dtype)) if step.tree is not None else 1.0
    out = {}
    for k, row in enumerate(reversed(solution)):
        weights = bare(jnp.asarray(row, apart.dtype), axes((n,)))
        share = (apart * weights).sum(n) / unit**k if k else (apart * weights).sum(n)
        out[k] = mean + share if k == 0 else share
    return out


def polyval(
    coord: Any, coefficients: Any, name: Any = "degree", *, datetime_unit: str = "ns"
) -> Any:
    """The polynomial of such coefficients at coordinates, by Horner's rule; dates as in `polyfit`.

    **Raises** `CoordinateError` for coordinates so far from zero that the precision of the
    coefficients says nothing: the seconds since 1970 of one day in single precision.
    """
    if isinstance(coefficients, Mapping):
        degrees = list(coefficients)
        if not degrees or not all(type(k) is int and k >= 0 for k in degrees):
            raise AxisError(
                f"`polyval` got coefficients for {quoted(degrees)}.",
                "They are by degrees: 0, 1, 2.",
            ).at(user_line())
        parts = {k: as_named(x, "polyval") for k, x in coefficients.items()}
    else:
        given = as_named(coefficients, "polyval")
        i = given._axes.position("polyval", name, given)
        n, own = given.dims[i], given._axes.coords.get(given.dims[i])
        degrees = np.arange(given.shape[i])[::-1] if own is None else own.values
        plain = bare(given.array, given._axes.without(n))
        parts = {int(k): plain.isel({n: i}) for i, k in enumerate(degrees)}
    highest = max(parts)
    if isinstance(coord, NamedBase) and np.dtype(coord.dtype).kind == "M":
        coord = bare(_since_1970(coord.array, datetime_unit), coord._axes)
    _check_digits(coord, highest, parts[highest].dtype)
    out = parts[highest]
    for k in range(highest - 1, -1, -1):
        out = out * coord + parts[k] if k in parts else out * coord
    return out


def _check_digits(coord: Any, degree: int, dtype: Any) -> None:
    held = host_leaf(coord.array) if isinstance(coord, NamedBase) else None
    if held is None or held.size < 2 or held.dtype.kind not in "iuf" or degree < 1:
        return
    x = held.astype(np.float64)
    spread = (np.nanmax(x) - np.nanmin(x)) / 2
    if spread > 0 and (np.abs(x).max() / spread) ** degree * float(jnp.finfo(dtype).eps) > 0.01:
        raise CoordinateError(
            f"`polyval` of degree {degree} in {dtype} from {x.min()} to {x.max()}: the powers take "
            "all its digits.",
            "Count from the first coordinate, when fitting too: "
            "`a.assign_coords(t=a.coord('t') - first)`.",
        ).at(user_line())


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
    x = taken_apart(inexact(a).array)[0][0]
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
    tree = taken_apart(a.array)[1] if is_value(a.array) else None
    dims = (*layout.dims, name_of(into))
    return bare(counts, axes(dims, {**layout.coords, name_of(into): Coordinate(middles, tree)}))
