"""`A.at[i, j].set`, `.add`, `A.at[i].set(row)`: updates that keep a structure, or widen it.

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
from .._matrices.outer import LowRankMatrix
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import _guarded

_MOST = 8
"""Of places that are not known before the program runs, how many rows or elements."""


class _Update(NamedTuple):
    """Elements (i, j), or rows i, or columns j: which, and the numbers there, one row for each."""

    axis: int | None
    places: Any  # (count, 2) or (count,)
    values: Any  # (count,) or (count, n)
    known: bool


def _read(x: Any, indices: Any, updates: Any, params: dict[str, Any]) -> _Update | None:
    """What a scatter does; None for what is none of these."""
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
    if sorted(order) != list(inserted) or not inserted:
        return None
    fixed = _known(indices)
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


def mode_of(params: dict[str, Any]) -> Any:
    return lax.GatherScatterMode.from_any(params["mode"])


def _known(indices: Any) -> np.ndarray | None:
    """The indices, where they are known before the program runs."""
    if isinstance(indices, np.ndarray) or not isinstance(indices, Tracer):
        return np.asarray(indices)
    number = stated_number(indices, whole, data=True)
    return None if number is None else np.broadcast_to(number, np.shape(indices))


def scatter(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """`scatter` and `scatter-add` on a matrix."""
    x, indices, updates = operands
    if not isinstance(x, StructuredMatrix):
        return NotImplemented
    update = _read(x, indices, updates, params)
    if update is None or not jnp.issubdtype(x.dtype, jnp.inexact):
        return NotImplemented
    add = primitive.name != "scatter"
    if update.known:
        update = _inside(x, update, last=not add)
    elif len(update.places) > (_MOST if add or params["unique_indices"] else 1):
        return NotImplemented  # set twice, which one counts is not known
    if not len(update.places):
        return x
    update = update._replace(values=update.values.astype(x.dtype))
    if primitive.name == "scatter-sub":
        update = update._replace(values=-update.values)
    if update.axis is None:
        return _elements(x, update, add)
    if update.axis == 1:
        turned = _rows(x.transpose(), update, add)
        return turned if turned is NotImplemented else turned.transpose()
    return _rows(x, update, add)


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


def _elements(x: Any, update: _Update, add: bool) -> Any:
    i, j = update.places[:, 0], update.places[:, 1]
    if update.known:
        made = _on_diagonals(x, i, j, update.values, add)
        if made is not NotImplemented:
            return made
    if len(i) > _MOST:
        return NotImplemented
    inside = (i >= 0) & (i < x.shape[0]) & (j >= 0) & (j < x.shape[1])
    change = update.values
    if not add:
        there = x.entries(jnp.clip(i, 0, x.shape[0] - 1), jnp.clip(j, 0, x.shape[1] - 1))
        if there is NotImplemented:
            return NotImplemented
        change = change - there
    change = jnp.where(inside, change, 0)
    return _plus(
        x, _unit(i, x.shape[0], x.dtype).T, change[:, None] * _unit(j, x.shape[1], x.dtype)
    )


def _unit(places: Any, n: int, dtype: Any) -> Any:
    """Rows of the identity."""
    return (jnp.asarray(places)[:, None] == np.arange(n)).astype(dtype)


def _plus(x: Any, u: Any, v: Any) -> Any:
    change = LowRankMatrix.build([u, v], allow_materialise=x.allow_materialise)
    return operations.add(x, change)


def _on_diagonals(x: Any, i: Any, j: Any, values: Any, add: bool) -> Any:
    """In the diagonals of a band matrix, or around the circle."""
    if not isinstance(x, BandMatrix | CyclicBandedMatrix):
        return NotImplemented
    n, offset = x.shape[-1], j - i
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
                bands[k] = at.add(values[here]) if add else at.set(values[here])
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
        rows[k] = at.add(values[here]) if add else at.set(values[here])
    return around(x, rows, n)


# -- rows -----------------------------------------------------------------------------------------


def _rows(x: Any, update: _Update, add: bool) -> Any:
    """What is in the bands goes there; the rest of the rows is of low rank, unless it is zero."""
    places = update.places
    if len(places) > _MOST:
        return NotImplemented
    rows, columns = x.shape
    values = update.values
    inside = (places >= 0) & (places < rows)
    if isinstance(x, BandMatrix | CyclicBandedMatrix):
        around_it = isinstance(x, CyclicBandedMatrix)
        each = rows_around(x) if around_it else x.diagonals()
        of = np if isinstance(values, np.ndarray) and update.known else jnp
        offset = np.arange(columns)[None, :] - of.asarray(places)[:, None]
        for k, own in each.items():
            if not own.shape[-1]:  # a diagonal without elements
                continue
            start = 0 if around_it else max(0, -k)
            for place, value in zip(places, update.values, strict=True):
                at = own.at[_dropped(place - start, len(own))]
                new = jnp.take(value, (place + k) % columns)
                own = at.add(new, mode="drop") if add else at.set(new, mode="drop")
            each[k] = own
            here = (offset - k) % columns == 0 if around_it else offset == k
            values = of.where(here, 0, values)
        x = around(x, each, columns) if around_it else x.like(each)
        if _vanish(values):
            return x
    elif not add:
        there = [_row(x, place) for place in places]
        values = values - jnp.stack(there)
    values = jnp.where(jnp.asarray(inside)[:, None], values, 0)
    return _plus(x, _unit(places, rows, x.dtype).T, values)


def _dropped(place: Any, length: int) -> Any:
    """An index that is out of range if it is negative."""
    return jnp.where(jnp.asarray(place) < 0, length, place)


def _row(x: Any, place: Any) -> Any:
    unit = (jnp.arange(x.shape[0]) == jnp.clip(place, 0, x.shape[0] - 1)).astype(x.dtype)
    return x.transpose().matvec(unit)


def _vanish(values: Any) -> bool:
    """Whether an array is known to be zeros."""
    return not isinstance(values, Tracer) and not np.any(np.asarray(values))


register_rule(StructuredMatrix, ("scatter", "scatter-add", "scatter-sub"), _guarded(scatter))
