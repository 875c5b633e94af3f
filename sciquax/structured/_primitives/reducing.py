"""Sums and extremes over the axes of a matrix."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import register_rule

from .._matrices.bands import BandMatrix, rows_of
from .._matrices.diagonal import DiagonalMatrix
from .._matrices.identity import IdentityMatrix
from .._matrices.kronecker import KroneckerMatrix
from .._matrices.permutation import PermutationMatrix
from .._matrices.toeplitz import ToeplitzMatrix
from .._matrices.triangular import TriangularMatrix
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


def _extreme(primitive: Any, operands: Operands, params: Params) -> Any:
    """Of all elements of a matrix: of the stored ones and, if any is not stored, zero."""
    (x,) = operands
    ndim = len(x.shape)
    axes = {int(a) % ndim for a in params["axes"]}
    function, combine = {
        "reduce_max": (jnp.max, jnp.maximum),
        "reduce_min": (jnp.min, jnp.minimum),
        "reduce_or": (jnp.any, jnp.logical_or),
        "reduce_and": (jnp.all, jnp.logical_and),
    }[primitive.name]
    if not axes:
        return x
    if not {ndim - 2, ndim - 1} <= axes:
        return _extreme_along(x, primitive.name[7:], axes)
    if isinstance(x, KroneckerMatrix) and ndim == 2 and primitive.name[7:] in ("max", "min"):
        return x.extreme(primitive.name == "reduce_max")
    if isinstance(x, IdentityMatrix):
        x = DiagonalMatrix(x.diagonal())
    if isinstance(x, PermutationMatrix) and x.shape[-1] > 1:
        one = jnp.ones((*x.batch_shape(), 1), x.dtype)
        x = DiagonalMatrix(jnp.concatenate([one, jnp.zeros_like(one)], -1))
    if not x.arrays_are_entries:
        if primitive.name not in ("reduce_max", "reduce_min") or x.size == 0:
            return NotImplemented
        out = function(x.each_column(lambda column: function(column, -1)), -1)
        batch = tuple(a for a in axes if a < ndim - 2)
        return function(out, batch) if batch else out
    if isinstance(x, BandMatrix):
        stored = list(x.diagonals().values())
    elif isinstance(x, ToeplitzMatrix):
        stored = [x.column, x.row[..., 1:]]
    elif isinstance(x, TriangularMatrix):
        stored = [x.materialise().reshape(*x.batch_shape(), -1)]
    else:
        stored = [y.reshape(*x.batch_shape(), -1) for y in x.arrays()]
    out = function(jnp.concatenate(stored, -1), -1)
    full = x.covers_all or isinstance(x, TriangularMatrix)
    count = sum(y.shape[-1] for y in stored)
    if not full and count < x.shape[-1] * x.shape[-2]:
        out = combine(out, jnp.zeros((), out.dtype))
    batch = tuple(a for a in axes if a < ndim - 2)
    return function(out, batch) if batch else out


def _extreme_along(x: Any, name: str, axes: set[int]) -> Any:
    """Of each row or column: within bands, or of the elements of one row at a time."""
    ndim = len(x.shape)
    if not axes & {ndim - 2, ndim - 1}:
        return NotImplemented
    rows = ndim - 1 in axes
    x = x if rows else x.transpose()
    function, combine = {
        "max": (jnp.max, jnp.maximum),
        "min": (jnp.min, jnp.minimum),
        "or": (jnp.any, jnp.logical_or),
        "and": (jnp.all, jnp.logical_and),
    }[name]
    if isinstance(x, BandMatrix):
        out, outside = x.diagonal(), np.full(x.shape[-1], x.shape[-1] - 1)
        for k, row in rows_of(x).items():
            place = np.arange(x.shape[-1]) + k
            inside = (place >= 0) & (place < x.shape[-1]) & (k != 0)
            out, outside = jnp.where(inside, combine(out, row), out), outside - inside
        out = jnp.where(outside > 0, combine(out, jnp.zeros((), x.dtype)), out)
    elif isinstance(x, TriangularMatrix):
        out = function(x.materialise(), -1)
    else:
        columns = np.arange(x.shape[-1])
        if x.entries(np.zeros_like(columns), columns) is NotImplemented:
            return NotImplemented

        def one(i: Any) -> Any:
            return function(x.entries(jnp.full(columns.shape, i), columns), -1)

        out = jnp.moveaxis(lax.map(one, jnp.arange(x.shape[-2])), 0, -1)
    batch = tuple(a for a in axes if a < ndim - 2)
    return function(out, batch) if batch else out


register_rule(StructuredMatrix, "reduce_sum", _guarded(_reduce_sum))
register_rule(
    StructuredMatrix, ("reduce_max", "reduce_min", "reduce_or", "reduce_and"), _guarded(_extreme)
)
