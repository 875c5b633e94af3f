"""Sums and extremes over the axes of a matrix."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import register_rule

from .._matrices.bands import BandMatrix, rows_of
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import Operands, Params, _guarded


def reduce_sum(x: Any, axes: Sequence[int]) -> Any:
    """The sum over axes, or NotImplemented."""
    axes = sorted(a % len(x.shape) for a in axes)
    if not isinstance(x, StructuredMatrix):
        return jnp.sum(x, tuple(axes))
    if not axes:
        return x
    ndim = len(x.shape)
    batch = tuple(a for a in axes if a < ndim - 2)
    if ndim - 1 in axes:
        out = x.sum_rows()
        if ndim - 2 in axes:
            out = jnp.sum(out, -1)
        return jnp.sum(out, batch) if batch else out
    if ndim - 2 in axes:
        out = x.sum_columns()
        return jnp.sum(out, batch) if batch else out
    if type(x).scaled_leaves is not None or x.index_leaves() or not x.arrays_are_entries:
        return NotImplemented
    return x.map_batch(lambda y, _: jnp.sum(y, batch))


# -- reducing -------------------------------------------------------------------------------------


def _reduce_sum(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    return reduce_sum(x, [*map(int, params["axes"])])


EXTREMES = {
    "reduce_max": (jnp.max, jnp.maximum),
    "reduce_min": (jnp.min, jnp.minimum),
    "reduce_or": (jnp.any, jnp.logical_or),
    "reduce_and": (jnp.all, jnp.logical_and),
}


def _extreme(primitive: Any, operands: Operands, params: Params) -> Any:
    """Of all elements, or of each row or column."""
    (x,) = operands
    ndim = len(x.shape)
    axes = {int(a) % ndim for a in params["axes"]}
    if not axes:
        return x
    rows_and_columns = axes & {ndim - 2, ndim - 1}
    if not rows_and_columns:
        return NotImplemented
    function, combine = EXTREMES[primitive.name]
    if len(rows_and_columns) == 2:
        out = _extreme_of_all(x, primitive.name)
    else:
        out = _extreme_of_rows(x if ndim - 1 in axes else x.transpose(), function, combine)
    batch = tuple(axes - rows_and_columns)
    return function(out, batch) if batch and out is not NotImplemented else out


def _extreme_of_all(x: Any, name: str) -> Any:
    """Of the stored elements and, if any is not stored, zero; else of one column at a time."""
    function, combine = EXTREMES[name]
    ordered = name in ("reduce_max", "reduce_min")
    if ordered and (out := x.extreme(largest=name == "reduce_max")) is not NotImplemented:
        return out
    stored = x.stored()
    if stored is NotImplemented:
        if not ordered or x.size == 0:
            return NotImplemented
        return function(x.each_column(lambda column: function(column, -1)), -1)
    out = function(stored, -1)
    if not x.covers_all and stored.shape[-1] < x.shape[-1] * x.shape[-2]:
        out = combine(out, jnp.zeros((), out.dtype))
    return out


def _extreme_of_rows(x: Any, function: Any, combine: Any) -> Any:
    """Within bands, or of the elements of one row at a time."""
    if not isinstance(x, BandMatrix):
        return x.each_row(lambda row: function(row, -1))
    out, outside = x.diagonal(), np.full(x.shape[-1], x.shape[-1] - 1)
    for k, row in rows_of(x).items():
        place = np.arange(x.shape[-1]) + k
        inside = (place >= 0) & (place < x.shape[-1]) & (k != 0)
        out, outside = jnp.where(inside, combine(out, row), out), outside - inside
    return jnp.where(outside > 0, combine(out, jnp.zeros((), x.dtype)), out)


register_rule(StructuredMatrix, "reduce_sum", _guarded(_reduce_sum))
register_rule(StructuredMatrix, tuple(EXTREMES), _guarded(_extreme))
