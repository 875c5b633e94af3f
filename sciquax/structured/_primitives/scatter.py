"""`A.at[i, j].set`, `.add`, `A.at[1:3].multiply`: updates that keep a structure, or widen it.

Elements of a band matrix are set in its diagonals, more of them if there must be, around the circle
at its corners. Any other update is a correction of low rank, of which the rows and columns are
never multiplied out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax._storage.formulas import Filled, Transient
from sciquax.core import VALUE_TYPES, register_rule, stated_number
from sciquax.core.internal import Tracer, whole

from .._blocks.cyclic import CyclicBandedMatrix
from .._blocks.cyclic_operations import around, rows_around
from .._matrices.bands import BandMatrix
from .._matrices.diagonal import DiagonalMatrix
from .._matrices.outer import LowRankMatrix
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import _guarded

_MOST = 8
"""Of places that are not known before the program runs, how many rows or elements."""
_WINDOW = 64
"""How many times as many elements as it has rows a part may have that is looked at one by one."""


class _Update(NamedTuple):
    """Elements (i, j), or rows i, or columns j: which, and the numbers there, one row for each."""

    axis: int | None
    places: Any  # (count, 2) or (count,)
    values: Any  # (count,) or (count, n)
    known: bool


def _read(x: Any, indices: Any, updates: Any, params: dict[str, Any]) -> _Update | None:
    """The kind of a scatter, or None for another kind."""
    numbers = params["dimension_numbers"]
    if len(x.shape) != 2 or type(indices) in VALUE_TYPES or numbers.operand_batching_dims:
        return None
    if isinstance(updates, Filled) and isinstance(updates.array, np.ndarray):
        updates = np.broadcast_to(updates.array, updates.extent)
    if isinstance(updates, Transient):
        updates = updates.materialise()
    if type(updates) in VALUE_TYPES:
        return None
    if (stated := stated_number(updates, whole)) is not None:
        updates = np.broadcast_to(stated, np.shape(updates))
    inserted = tuple(map(int, numbers.inserted_window_dims))
    order = tuple(map(int, numbers.scatter_dims_to_operand_dims))
    window = tuple(map(int, numbers.update_window_dims))
    fixed = _known(indices)
    if not inserted and fixed is not None and window == (0, 1):
        return _window(x, fixed.reshape(-1), order, updates)
    if sorted(order) != list(inserted) or not inserted:
        return None
    indices = indices if fixed is None else fixed
    places = indices.reshape(-1, len(order))
    if mode_of(params) is lax.GatherScatterMode.CLIP:
        limits = np.asarray([x.shape[axis] - 1 for axis in order], places.dtype)
        places = (np if fixed is not None else jnp).clip(places, 0, limits)
    if inserted == (0, 1):
        if window:
            return None
        places = places[:, [order.index(0), order.index(1)]]
        return _Update(None, places, updates.reshape(-1), fixed is not None)
    other = 1 - inserted[0]
    if len(window) != 1 or updates.shape[window[0]] != x.shape[other]:
        return None
    of = np if isinstance(updates, np.ndarray) else jnp
    values = of.moveaxis(updates, window[0], -1).reshape(-1, x.shape[other])
    return _Update(inserted[0], places[:, 0], values, fixed is not None)


def _window(x: Any, starts: Any, order: tuple[int, ...], updates: Any) -> _Update | None:
    """Of adjoining rows, columns, or both: what `A.at[1:3].set` and `A.at[1:3, 2:].set` do."""
    starts = [int(starts[order.index(axis)]) if axis in order else 0 for axis in (0, 1)]
    sizes = np.shape(updates)
    within = all(0 <= s <= n - k for s, k, n in zip(starts, sizes, x.shape, strict=True))
    if not within:
        return None
    of = np if isinstance(updates, np.ndarray) else jnp
    for axis in (0, 1):
        if sizes[1 - axis] == x.shape[1 - axis]:
            places = starts[axis] + np.arange(sizes[axis])
            return _Update(axis, places, of.moveaxis(updates, axis, 0), True)
    if sizes[0] * sizes[1] > _WINDOW * max(x.shape):
        return None
    places = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), -1).reshape(-1, 2)
    return _Update(None, places + np.asarray(starts), updates.reshape(-1), True)


def mode_of(params: dict[str, Any]) -> Any:
    return lax.GatherScatterMode.from_any(params["mode"])


def _known(indices: Any) -> np.ndarray | None:
    """The indices, where they are known before the program runs."""
    if isinstance(indices, np.ndarray) or not isinstance(indices, Tracer):
        return np.asarray(indices)
    number = stated_number(indices, whole, data=True)
    return None if number is None else np.broadcast_to(number, np.shape(indices))


_COMBINE = {"scatter": "set", "scatter-add": "add", "scatter-sub": "add", "scatter-mul": "multiply"}


def scatter(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """`scatter`, `scatter-add` and `scatter-mul` on a matrix."""
    x, indices, updates = operands
    if not isinstance(x, StructuredMatrix):
        return NotImplemented
    if primitive.name == "scatter" and params["update_jaxpr"] is not None:  # A.at[0].apply(f)
        return NotImplemented
    update = _read(x, indices, updates, params)
    if update is None or not jnp.issubdtype(x.dtype, jnp.inexact):
        return NotImplemented
    how = _COMBINE[primitive.name]
    if update.known:
        update = _inside(x, update, last=how == "set")
    elif len(update.places) > (_MOST if how != "set" or params["unique_indices"] else 1):
        return NotImplemented  # set twice, which one counts is not known
    if not len(update.places):
        return x
    update = update._replace(values=update.values.astype(x.dtype))
    if primitive.name == "scatter-sub":
        update = update._replace(values=-update.values)
    if update.axis is None:
        return _elements(x, update, how)
    if update.axis == 1:
        turned = _rows(x.transpose(), update, how)
        return turned if turned is NotImplemented else turned.transpose()
    return _rows(x, update, how)


def _inside(x: Any, update: _Update, last: bool) -> _Update:
    """Without what lies outside of the matrix, and, of what is set twice, with the last."""
    places = update.places if update.places.ndim == 2 else update.places[:, None]
    shape = x.shape if update.axis is None else (x.shape[update.axis],)
    keep = np.flatnonzero(((places >= 0) & (places < np.asarray(shape))).all(-1))
    if last:
        final = {tuple(places[k]): k for k in keep}
        keep = np.sort(np.asarray([*final.values()], int))
    return update._replace(places=update.places[keep], values=update.values[keep])


# -- elements -------------------------------------------------------------------------------------


def _elements(x: Any, update: _Update, how: str) -> Any:
    i, j = update.places[:, 0], update.places[:, 1]
    if update.known:
        made = _on_diagonals(x, i, j, update.values, how)
        if made is not NotImplemented:
            return made
    if len(i) > _MOST or how == "multiply" and _repeated(update.places):
        return NotImplemented
    inside = (i >= 0) & (i < x.shape[0]) & (j >= 0) & (j < x.shape[1])
    change = update.values
    if how != "add":
        there = x.entries(jnp.clip(i, 0, x.shape[0] - 1), jnp.clip(j, 0, x.shape[1] - 1))
        if there is NotImplemented:
            return NotImplemented
        change = (there * change if how == "multiply" else change) - there
    change = jnp.where(inside, change, 0)
    return _plus(
        x, _unit(i, x.shape[0], x.dtype).T, change[:, None] * _unit(j, x.shape[1], x.dtype)
    )


def _repeated(places: Any) -> bool:
    """Whether a place is there twice, or may be."""
    if len(places) < 2:
        return False
    return not isinstance(places, np.ndarray) or len(np.unique(places, axis=0)) < len(places)


def _unit(places: Any, n: int, dtype: Any) -> Any:
    """Rows of the identity."""
    return (jnp.asarray(places)[:, None] == np.arange(n)).astype(dtype)


def _plus(x: Any, u: Any, v: Any) -> Any:
    change = LowRankMatrix.build([u, v], allow_materialise=x.allow_materialise)
    return operations.add(x, change)


def _on_diagonals(x: Any, i: Any, j: Any, values: Any, how: str) -> Any:
    """In the diagonals of a band matrix, or around the circle."""
    if not isinstance(x, BandMatrix | CyclicBandedMatrix):
        return NotImplemented
    n, offset = x.shape[-1], j - i
    if how == "multiply" or how == "set" and _vanish(values):  # zeros stay
        around_it, stored = isinstance(x, CyclicBandedMatrix), [*rows_around(x)]
        kept = np.isin(
            offset % n if around_it else offset, [k % n for k in stored] if around_it else stored
        )
        i, j, offset, values = i[kept], j[kept], offset[kept], values[kept]
        if not len(offset):
            return x
    if isinstance(x, BandMatrix):
        lower, upper = x.widths()
        count = lower + upper + 1
        wider = max(lower, -int(offset.min())) + max(upper, int(offset.max())) + 1
        if wider <= max(2 * count, 5):
            bands = dict(x.diagonals())
            for k in sorted({*map(int, offset)}):
                here = offset == k
                own = bands.get(k, jnp.zeros(n - abs(k), x.dtype))
                at = own.at[np.minimum(i, j)[here]]
                bands[k] = getattr(at, how)(values[here])
            return x.like(bands)
    rows = rows_around(x)
    wrapped = (offset + n // 2) % n - n // 2
    count = max(rows) - min(rows) + 1
    wider = max(max(rows), int(wrapped.max())) - min(min(rows), int(wrapped.min())) + 1
    if wider > max(2 * count, 5) or wider > n // 2:
        return NotImplemented
    for k in sorted({*map(int, wrapped)}):
        here = wrapped == k
        at = rows.get(k, jnp.zeros(n, x.dtype)).at[i[here]]
        rows[k] = getattr(at, how)(values[here])
    return around(x, rows, n)


# -- rows -----------------------------------------------------------------------------------------


def _rows(x: Any, update: _Update, how: str) -> Any:
    """Write the part of rows that is in the bands; the rest is of low rank, unless it is zero."""
    places, values = update.places, update.values
    rows, columns = x.shape
    if isinstance(x, BandMatrix | CyclicBandedMatrix):
        x, values = _rows_of_bands(x, update, how)
        if how == "multiply" or _vanish(update.values) or _vanish(values):
            return x
    elif len(places) > _MOST:
        return _scaled_rows(x, update, how)
    elif how != "add":
        there = jnp.stack([_row(x, place) for place in places])
        if how == "multiply" and _repeated(places):
            return NotImplemented
        values = (there * values if how == "multiply" else values) - there
    if len(places) > _MOST:
        return NotImplemented
    inside = (places >= 0) & (places < rows)
    values = jnp.where(jnp.asarray(inside)[:, None], values, 0)
    return _plus(x, _unit(places, rows, x.dtype).T, values)


def _rows_of_bands(x: Any, update: _Update, how: str) -> tuple[Any, Any]:
    """The matrix with its diagonals updated, and what of the rows lies beside them."""
    places, values, columns = update.places, update.values, x.shape[-1]
    around_it = isinstance(x, CyclicBandedMatrix)
    each = rows_around(x) if around_it else dict(x.diagonals())
    of = np if isinstance(values, np.ndarray) and update.known else jnp
    offset = np.arange(columns)[None, :] - of.asarray(places)[:, None]
    for k, own in each.items():
        if not own.shape[-1]:  # a diagonal without elements
            continue
        at = own.at[_dropped(places - (0 if around_it else max(0, -k)), len(own))]
        new = of.take_along_axis(update.values, ((places + k) % columns)[:, None], 1)[:, 0]
        each[k] = getattr(at, how)(new, mode="drop")
        values = of.where((offset - k) % columns == 0 if around_it else offset == k, 0, values)
    return around(x, each, columns) if around_it else x.like(each), values


def _scaled_rows(x: Any, update: _Update, how: str) -> Any:
    """Many rows times one number each, or set to zero."""
    values = update.values
    if not update.known or not isinstance(values, np.ndarray) or how == "add":
        return NotImplemented
    if how == "set" and np.any(values) or np.any(values != values[:, :1]):
        return NotImplemented
    factors = np.ones(x.shape[0], values.dtype)
    np.multiply.at(factors, update.places, values[:, 0])
    scaled = x.scale_rows(jnp.asarray(factors))
    if scaled is not NotImplemented:
        return scaled
    return operations.matmul(DiagonalMatrix(factors, allow_materialise=True), x)


def _dropped(place: Any, length: int) -> Any:
    """An index that is out of range if it is negative."""
    return jnp.where(jnp.asarray(place) < 0, length, place)


def _row(x: Any, place: Any) -> Any:
    unit = (jnp.arange(x.shape[0]) == jnp.clip(place, 0, x.shape[0] - 1)).astype(x.dtype)
    return x.transpose().matvec(unit)


def _vanish(values: Any) -> bool:
    """Whether an array is known to be zeros."""
    return not isinstance(values, Tracer) and not np.any(np.asarray(values))


register_rule(StructuredMatrix, (*_COMBINE,), _guarded(scatter))
