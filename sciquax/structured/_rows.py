"""Elements of a sparse matrix by rows, in blocks of equal length: what `A @ x` is fast on.

Rows are sorted by how many elements they have and cut into a few blocks, each padded to its longest
row (the sliced ELLPACK format: A. Monakov, A. Lokhmotov and A. Avetisyan, *Automatically tuning
sparse matrix-vector multiplication for GPU architectures*, 2010). A block is then a rectangle:
gather, multiply, sum along it, no scatter. Skewed lengths cost a block more, not a wider matrix.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core._compat import Tracer

_SMALLEST = 2048
"""Matrices of fewer elements are not worth a layout."""
_MOST_BLOCKS = 8


class RowLayout(NamedTuple):
    """Where the elements of each row are.

    **Attributes**: for each block, `slots`, the numbers of the elements, of shape (rows, length),
    out of range for padding; or none at all if the elements are in this very order; `columns`,
    their columns; and `places`, which of the blocks' rows each row of the matrix is, or None if
    they are in order.
    """

    slots: tuple[Any, ...]
    columns: tuple[Any, ...]
    places: Any


def row_layout(indices: Any, shape: Sequence[int]) -> RowLayout | None:
    """The layout of a matrix; None for small or batched ones, and where indices are traced."""
    if isinstance(indices, Tracer) or indices.ndim != 2 or indices.shape[-1] != 2:
        return None
    if indices.shape[0] < _SMALLEST:
        return None
    places = np.asarray(indices)
    n_rows, n_columns = shape
    inside = np.flatnonzero((places < np.asarray(shape)).all(axis=1))
    order = inside[np.argsort(places[inside, 0], kind="stable")]
    rows = places[order, 0]
    lengths = np.bincount(rows, minlength=n_rows)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    blocks = _blocks(lengths)
    in_order = len(blocks) == 1 and len(blocks[0]) == n_rows
    slots, columns = [], []
    for members in blocks:
        width = int(lengths[members].max())
        if width == 0:
            slots.append(np.full((len(members), 0), 0, np.int32))
            columns.append(np.zeros((len(members), 0), np.int32))
            continue
        offset = np.arange(width)
        at = starts[members][:, None] + offset
        real = offset < lengths[members][:, None]
        own = np.where(real, order[np.minimum(at, len(order) - 1)], len(places))
        slots.append(own.astype(np.int32))
        padded = np.concatenate([places[:, 1], [0]]).astype(np.int32)
        columns.append(np.minimum(padded[own], n_columns - 1))
    where = None
    if not in_order:
        where = np.empty(n_rows, np.int32)
        where[np.concatenate(blocks)] = np.arange(n_rows, dtype=np.int32)
        where = jnp.asarray(where)
    everything = np.concatenate([s.reshape(-1) for s in slots])
    if np.array_equal(everything, np.arange(len(places))):
        slots = []
    return RowLayout(tuple(map(jnp.asarray, slots)), tuple(map(jnp.asarray, columns)), where)


def _blocks(lengths: np.ndarray) -> list[np.ndarray]:
    """Rows grouped so that padding to each group's longest row wastes little."""
    total = int(lengths.sum())
    longest = int(lengths.max(initial=0))
    if longest * len(lengths) <= 1.15 * total:
        return [np.arange(len(lengths))]
    # Widths 1, 2, 3, 4, 6, 8, 12, ...: at most half of a row is padding; then the groups whose
    # joining costs least are joined.
    steps = [0, 1]
    while steps[-1] < longest:
        steps.append(max(steps[-1] + 1, int(steps[-1] * 1.25)))
    group = np.searchsorted(steps, lengths)
    counts = np.bincount(group, minlength=len(steps))
    edges = [g for g in range(len(steps)) if counts[g]]
    while len(edges) > 1:
        ends = np.cumsum(counts)[edges]
        sizes = np.diff(ends, prepend=0)[:-1]
        waste = sizes * np.diff(np.asarray(steps)[edges])
        least = int(np.argmin(waste))
        if len(edges) <= _MOST_BLOCKS and waste[least] > 0.02 * total:
            break
        edges.pop(least)
    which = np.searchsorted(edges, group)
    return [np.flatnonzero(which == i) for i in range(len(edges))]


def in_layout_order(layout: RowLayout, data: Any, indices: Any, shape: Sequence[int]) -> Any:
    """Elements and places in the order of the blocks, padding and all, and the layout of those."""
    nse = indices.shape[0]
    slots = np.concatenate([np.asarray(s).reshape(-1) for s in layout.slots])
    padding = np.asarray([shape], np.asarray(indices).dtype)  # out of range
    places = np.concatenate([np.asarray(indices), padding])[np.minimum(slots, nse)]
    data = data.at[jnp.asarray(slots)].get(mode="fill", fill_value=0)
    return data, jnp.asarray(places), RowLayout((), layout.columns, layout.places)


def matmul(layout: RowLayout, data: Any, x: Any) -> jax.Array:
    """The matrix times `x`, of shape (columns, *rest)."""
    outs, start = [], 0
    for i, columns in enumerate(layout.columns):
        size = columns.size
        if size == 0:
            outs.append(jnp.zeros((columns.shape[0], *x.shape[1:]), jnp.result_type(data, x)))
            continue
        if layout.slots:
            values = data.at[layout.slots[i]].get(mode="fill", fill_value=0)
        else:
            values = data[start : start + size].reshape(columns.shape)
        start += size
        outs.append(_block(values, columns, x))
    out = outs[0] if len(outs) == 1 else jnp.concatenate(outs)
    return out if layout.places is None else out.at[layout.places].get(mode="promise_in_bounds")


_UNROLL = 40


def _block(values: Any, columns: Any, x: Any) -> jax.Array:
    rows, width = columns.shape

    def pick(at: Any) -> Any:
        return x.at[at].get(mode="promise_in_bounds")

    if width > rows or (x.ndim == 1 and width > _UNROLL):  # long rows
        return jnp.einsum("rk,rk...->r...", values, pick(columns))
    shape = (-1, *[1] * (x.ndim - 1))
    if width <= _UNROLL:  # one loop of `width` gathers: half the time of a sum along an axis
        terms = [values[:, k].reshape(shape) * pick(columns[:, k]) for k in range(width)]
        return functools.reduce(jnp.add, terms)

    def step(total: Any, one: Any) -> Any:
        value, column = one
        return total + value.reshape(shape) * pick(column), None

    start = jnp.zeros((rows, *x.shape[1:]), jnp.result_type(values, x))
    return jax.lax.scan(step, start, (values.T, columns.T))[0]
