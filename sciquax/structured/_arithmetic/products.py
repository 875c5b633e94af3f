"""Products of a matrix and an array, and the batch axes moved for them."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from .._composite.lazy import ProductMatrix
from .._matrices.diagonal import DiagonalMatrix
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix


def inner_product(lhs: Any, rhs: Any) -> Any:
    """The sum of the products of all elements of two matrices, or of a matrix and an array."""
    if isinstance(lhs, StructuredMatrix) and isinstance(rhs, StructuredMatrix):
        product = operations.hadamard(lhs, rhs)
        if product is NotImplemented:  # column by column, O(n) numbers at a time
            return _column_by_column(lhs, rhs)
    elif isinstance(lhs, StructuredMatrix):
        product = times_array(lhs, rhs)
    else:
        product = times_array(rhs, lhs)
    if isinstance(product, StructuredMatrix):
        return product.sum_rows().sum(-1)
    return product if product is NotImplemented else jnp.sum(product, (-2, -1))


def _column_by_column(lhs: Any, rhs: Any) -> Any:
    n = lhs.shape[-1]

    def one(j: Any) -> Any:
        unit = jnp.arange(n) == j
        columns = [m.matvec(unit.astype(m.dtype)) for m in (lhs, rhs)]
        return jnp.sum(columns[0] * columns[1], -1)

    return jnp.sum(lax.map(one, jnp.arange(n)), 0)


# -- what other rules use too ---------------------------------------------------------------------


def reorder_batch(matrix: Any, order: Sequence[int]) -> Any:
    """The matrix with its batch axes in another order."""
    if list(order) == list(range(len(order))):
        return matrix
    return matrix.map_batch(lambda x, count: jnp.transpose(x, (*order, *range(count, x.ndim))))


def transpose(x: Any, order: Sequence[int]) -> Any:
    """`lax.transpose` of an array or a matrix whose matrix axes stay last, or NotImplemented."""
    if not isinstance(x, StructuredMatrix):
        return jnp.transpose(x, order)
    ndim = len(order)
    if set(order[-2:]) != {ndim - 2, ndim - 1}:
        return NotImplemented
    matrix = reorder_batch(x, order[:-2])
    if matrix is NotImplemented:
        return NotImplemented
    return matrix if order[-1] == ndim - 1 else matrix.transpose()


def times_array(matrix: Any, x: Any, divide: bool = False) -> Any:
    """`matrix * x` (or `/`) for an array that broadcasts against it, or NotImplemented."""
    function = jnp.divide if divide else jnp.multiply
    x = jnp.reshape(x, (*(1,) * (len(matrix.shape) - jnp.ndim(x)), *jnp.shape(x)))
    rows, columns = x.shape[-2] == 1, x.shape[-1] == 1
    batch = jnp.broadcast_shapes(matrix.batch_shape(), x.shape[:-2])
    matrix = matrix.over_batch(batch)
    if matrix is NotImplemented:
        return NotImplemented
    if rows and columns:
        s = x[..., 0, 0]
        s = s.reshape(()) if s.size == 1 else jnp.broadcast_to(s, batch)
        return matrix.scale(s, function)
    if columns:
        made = matrix.scale_rows(x[..., 0], function)
        return _scaled_by_product(matrix, x[..., 0], True, divide, made)
    if rows:
        made = matrix.scale_columns(x[..., 0, :], function)
        return _scaled_by_product(matrix, x[..., 0, :], False, divide, made)
    if divide:
        return NotImplemented  # zero by zero, outside of the structure
    return matrix.times_dense(x)


def _scaled_by_product(matrix: Any, d: Any, left: bool, divide: bool, made: Any) -> Any:
    if made is not NotImplemented:
        return made
    d = jnp.broadcast_to(1 / d if divide else d, (*matrix.batch_shape(), d.shape[-1]))
    scale = DiagonalMatrix(d, allow_materialise=True)
    return ProductMatrix.of(scale, matrix) if left else ProductMatrix.of(matrix, scale)
