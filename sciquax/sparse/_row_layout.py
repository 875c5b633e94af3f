"""Elements of a sparse matrix by rows, in rectangles: what `A @ x` is fast on.

The first few elements of every row, as many as pays, make one rectangle (the ELLPACK format), in
the rows' order; what longer rows have left is cut into pieces of a few widths, whose sums are added
to their rows (as in the hybrid format of N. Bell and M. Garland, *Implementing sparse matrix-vector
multiplication on throughput-oriented processors*, 2009). A rectangle needs no scatter: gather,
multiply, sum along it. Skewed lengths cost some pieces more, not a wider matrix.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core.internal import Tracer

_SMALLEST = 2048
"""Matrices of fewer elements are not worth a layout."""
_WIDEST = 40
"""Of the rectangle of all rows."""
_WIDTHS = (32, 8, 4, 1)
_ROUNDED_UP = (24, 4, 1, 0)
"""Of pieces; and what more than so many elements make a whole one of, padded."""
_PIECE = 4.0
"""What adding a piece's sum to its row costs, in elements: 3 ns to 0.75 ns, on two x86-64 cores."""


class RowLayout(NamedTuple):
    """Where the elements of each row are.

    **Attributes**: for each rectangle, `slots`, the numbers of the elements, of shape
    (pieces, width), out of range for padding; or none at all if the elements are in this very
    order; `columns`, their columns, for padding one more than there are; and `rows`, which row each
    piece belongs to, or None if they are all the rows in order.
    """

    slots: tuple[Any, ...]
    columns: tuple[Any, ...]
    rows: tuple[Any, ...]


def row_layout(indices: Any, shape: Sequence[int]) -> RowLayout | None:
    """The layout of a matrix; None for small or batched ones, and where indices are traced."""
    if isinstance(indices, Tracer) or indices.ndim != 2 or indices.shape[-1] != 2:
        return None
    if indices.shape[0] < _SMALLEST:
        return None
    places = np.asarray(indices)
    n_rows, n_columns = shape
    inside = np.flatnonzero((places < np.asarray(shape)).all(axis=1))
    if not len(inside):
        return None
    order = inside[np.argsort(places[inside, 0], kind="stable")]
    lengths = np.bincount(places[order, 0], minlength=n_rows)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    padded = np.concatenate([places[:, 1], [n_columns]]).astype(np.int32)
    slots, columns, rows = [], [], []
    for members, first, width in _pieces(lengths):
        at = (starts[members] + first)[:, None] + np.arange(width)
        real = at < (starts[members] + lengths[members])[:, None]
        own = np.where(real, order[np.minimum(at, len(order) - 1)], len(places)).astype(np.int32)
        slots.append(own)
        columns.append(padded[own])
        every = len(members) == n_rows and not first.any()
        rows.append(None if every else jnp.asarray(members.astype(np.int32)))
    everything = np.concatenate([s.reshape(-1) for s in slots])
    if np.array_equal(everything, np.arange(len(places))):
        slots = []
    return RowLayout(tuple(map(jnp.asarray, slots)), tuple(map(jnp.asarray, columns)), tuple(rows))


def most_of(indices: Any, shape: Sequence[int]) -> tuple[int, int] | None:
    """How many elements a row and a column of a matrix have at most, up to a power of two."""
    if isinstance(indices, Tracer) or indices.ndim != 2 or indices.shape[-1] != 2:
        return None
    places = np.asarray(indices)
    places = places[(places < np.asarray(shape)).all(axis=1)]
    rows, columns = (int(np.bincount(p, minlength=1).max()) for p in places.T)
    return _power_of_two(rows), _power_of_two(columns)


def _power_of_two(n: int) -> int:
    """So that a program compiled for one matrix serves similar ones."""
    return 1 << max(n - 1, 0).bit_length()


def _left(lengths: Any) -> list[Any]:
    """How many pieces of each width the elements that are left in rows are cut into."""
    counts = []
    for width, most in zip(_WIDTHS, _ROUNDED_UP, strict=True):
        count = lengths // width + (lengths % width > most)
        counts.append(count)
        lengths = np.maximum(lengths - count * width, 0)
    return counts


def _pieces(lengths: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Rows, the first of their elements, and the width, of each rectangle; the cheapest cut."""
    histogram = np.bincount(lengths)
    values = np.flatnonzero(histogram)

    def cost(width: int) -> float:
        counts = _left(np.maximum(values - width, 0))
        each = sum(c * (w + _PIECE) for c, w in zip(counts, _WIDTHS, strict=True))
        return width * len(lengths) + float((histogram[values] * each).sum())

    first = min(range(min(int(lengths.max()), _WIDEST) + 1), key=cost)
    rows = np.arange(len(lengths))
    found = [(rows, np.zeros(len(rows), np.int64), first)] if first else []
    done = np.minimum(lengths, first)
    for width, counts in zip(_WIDTHS, _left(lengths - done), strict=True):
        if counts.any():
            members = np.repeat(rows, counts)
            offset = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)
            found.append((members, done[members] + offset * width, width))
        done = done + counts * width
    return found


def in_layout_order(layout: RowLayout, data: Any, indices: Any, shape: Sequence[int]) -> Any:
    """Elements and places in the order of the rectangles, with padding, and their layout."""
    nse = indices.shape[0]
    slots = np.concatenate([np.asarray(s).reshape(-1) for s in layout.slots])
    padding = np.asarray([shape], np.asarray(indices).dtype)  # out of range
    places = np.concatenate([np.asarray(indices), padding])[np.minimum(slots, nse)]
    data = data.at[jnp.asarray(slots)].get(mode="fill", fill_value=0)
    return data, jnp.asarray(places), RowLayout((), layout.columns, layout.rows)


def matmul(layout: RowLayout, data: Any, x: Any, n_rows: int) -> jax.Array:
    """The matrix, of so many rows, times `x`, of shape (columns, *rest)."""
    x = jnp.concatenate([x, jnp.zeros((1, *x.shape[1:]), x.dtype)])  # what padding meets
    out, start = None, 0
    for i, (columns, rows) in enumerate(zip(layout.columns, layout.rows, strict=True)):
        if layout.slots:
            values = data.at[layout.slots[i]].get(mode="fill", fill_value=0)
        else:
            values = data[start : start + columns.size].reshape(columns.shape)
        start += columns.size
        sums = _rectangle(values, columns, x)
        if rows is None:
            out = sums
            continue
        out = jnp.zeros((n_rows, *x.shape[1:]), sums.dtype) if out is None else out
        out = out.at[rows].add(sums, indices_are_sorted=True, mode="promise_in_bounds")
    assert out is not None
    return out


def _rectangle(values: Any, columns: Any, x: Any) -> jax.Array:
    """One loop of as many gathers as it is wide: half the time of a sum along an axis."""
    shape = (-1, *[1] * (x.ndim - 1))
    terms = [
        values[:, k].reshape(shape) * x.at[columns[:, k]].get(mode="promise_in_bounds")
        for k in range(columns.shape[1])
    ]
    return functools.reduce(jnp.add, terms)
