"""Elements, rows, columns and parts of structured matrices."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import VALUE_TYPES, register_rule

from .._matrices.rectangular import selection
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import _guarded


def slice_(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """`lax.slice`."""
    (x,) = operands
    starts = tuple(map(int, params["start_indices"]))
    strides = tuple(map(int, params["strides"] or (1,) * len(starts)))
    sizes = tuple(
        -(-(int(stop) - start) // stride)
        for start, stop, stride in zip(starts, params["limit_indices"], strides, strict=True)
    )

    def batch(y: Any, count: int) -> Any:
        full = y.ndim - count
        return lax.slice(
            y,
            (*starts[:count], *(0,) * full),
            (*map(int, params["limit_indices"][:count]), *y.shape[count:]),
            (*strides[:count], *(1,) * full),
        )

    x = x.map_batch(batch)
    if x is NotImplemented:
        return NotImplemented
    return submatrix(x, starts[-2:], sizes[-2:], strides[-2:])


def dynamic_slice(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """`lax.dynamic_slice`; starts are clamped as there."""
    x, *starts = operands
    if not isinstance(x, StructuredMatrix) or any(type(s) in VALUE_TYPES for s in starts):
        return NotImplemented
    sizes = tuple(map(int, params["slice_sizes"]))

    def batch(y: Any, count: int) -> Any:
        full = y.ndim - count
        zeros = [np.zeros((), np.int32)] * full
        given = [jnp.asarray(s, np.int32) for s in starts[:count]]
        return lax.dynamic_slice(y, [*given, *zeros], (*sizes[:count], *y.shape[count:]))

    x = x.map_batch(batch)
    if x is NotImplemented:
        return NotImplemented
    clamped = []
    for start, size, full in zip(starts[-2:], sizes[-2:], x.shape[-2:], strict=True):
        whole = size == full
        clamped.append(0 if whole else jnp.clip(jnp.asarray(start, np.int32), 0, full - size))
    return submatrix(x, clamped, sizes[-2:], (1, 1))


def submatrix(x: Any, starts: Sequence[Any], sizes: Sequence[int], strides: Sequence[int]) -> Any:
    """Rows and columns at regular steps: structured where that is a structure.

    A part no larger than what the matrix stores comes as an array; a larger one that no type holds
    as a product.
    """
    rows, columns = sizes
    if tuple(sizes) == x.shape[-2:] and tuple(strides) == (1, 1):
        return x
    static = all(isinstance(s, (int, np.integer)) for s in starts)
    if rows > 1 and columns > 1 and tuple(strides) == (1, 1) and static:
        made = operations.submatrix(x, starts, sizes)
        if made is not NotImplemented:
            return made
    if min(rows, columns) > 1 and rows * columns > max(_stored(x), 2 * x.shape[-1]):
        return (
            _selected(x, starts, sizes) if static and tuple(strides) == (1, 1) else NotImplemented
        )
    i = jnp.asarray(starts[0], np.int32) + strides[0] * np.arange(rows, dtype=np.int32)
    j = jnp.asarray(starts[1], np.int32) + strides[1] * np.arange(columns, dtype=np.int32)
    return elements(x, i, j)


def _selected(x: Any, starts: Sequence[int], sizes: Sequence[int]) -> Any:
    """Adjoining rows and columns, by products with the matrices that select them."""
    whole = x.shape[-2:]
    if sizes[0] != whole[0]:
        x = operations.matmul(selection(starts[0], sizes[0], whole[0], x.dtype), x)
    if x is NotImplemented or sizes[1] == whole[1]:
        return x
    return operations.matmul(x, selection(starts[1], sizes[1], whole[1], x.dtype).transpose())


def elements(x: Any, i: Any, j: Any) -> Any:
    """The block of rows `i` and columns `j`, as an array: by products, where it has no entries."""
    ii, jj = jnp.broadcast_arrays(i[:, None], j[None, :])
    found = x.entries(ii, jj)
    if found is not NotImplemented:
        return found
    if i.shape[0] < j.shape[0]:
        found = elements(x.transpose(), j, i)
        return found if found is NotImplemented else jnp.swapaxes(found, -1, -2)
    units = (jnp.arange(x.shape[-1])[:, None] == j).astype(x.dtype)
    return jnp.take(x.matmat(units), i, axis=-2)


def _in_turn(x: Any, i: Any, j: Any) -> Any:
    """The elements at index arrays `i` and `j`, one column at a time."""
    i, j = jnp.broadcast_arrays(i, j)

    def one(place: Any) -> Any:
        column = x.matvec((jnp.arange(x.shape[-1]) == place[1]).astype(x.dtype))
        return jnp.take(column, place[0], axis=-1)

    return lax.map(one, (i.reshape(-1), j.reshape(-1))).reshape(i.shape)


def _stored(x: Any) -> int:
    """How many numbers a matrix stores for each of its batch."""
    total = 0
    for y, ndim in zip(x.arrays(), type(x).CORE_NDIMS, strict=True):
        total += (
            _stored(y)
            if isinstance(y, StructuredMatrix)
            else int(np.prod(y.shape[len(y.shape) - ndim :]))
        )
    return total


def gather(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """`A[i, j]` with index arrays, and rows or columns by index arrays."""
    x, indices = operands
    numbers = params["dimension_numbers"]
    ndim = len(x.shape)
    if not isinstance(x, StructuredMatrix) or type(indices) in VALUE_TYPES or ndim != 2:
        return NotImplemented
    if numbers.operand_batching_dims or numbers.start_indices_batching_dims:
        return NotImplemented
    sizes = tuple(map(int, params["slice_sizes"]))
    collapsed = tuple(map(int, numbers.collapsed_slice_dims))
    order = tuple(map(int, numbers.start_index_map))
    if any(sizes[axis] != 1 for axis in collapsed) or sorted(order) != list(collapsed):
        return NotImplemented
    limits = [x.shape[axis] - 1 for axis in order]
    index = [indices[..., c] for c in range(len(order))]
    inside = jnp.ones((), bool)
    for i, limit in zip(index, limits, strict=True):
        inside &= (i >= 0) & (i <= limit)
    index = [jnp.clip(i, 0, limit) for i, limit in zip(index, limits, strict=True)]
    if len(collapsed) == 2:
        if numbers.offset_dims:
            return NotImplemented
        place = dict(zip(order, index, strict=True))
        out = x.entries(place[0], place[1])
        if out is NotImplemented:
            out = _in_turn(x, place[0], place[1])
    else:
        (axis,) = collapsed
        other = 1 - axis
        (i,) = index
        if sizes[other] != x.shape[other] or len(numbers.offset_dims) != 1:
            return NotImplemented
        if i.size > 1 and i.size * x.shape[other] > max(_stored(x), 2 * x.shape[other]):
            return NotImplemented
        whole = np.arange(x.shape[other], dtype=np.int32)
        flat = i.reshape(-1)
        out = elements(x, flat, whole) if axis == 0 else elements(x, whole, flat)
        if out is NotImplemented:
            return NotImplemented
        out = out if axis == 0 else out.T
        out = out.reshape(*i.shape, x.shape[other])
        out = jnp.moveaxis(out, -1, int(numbers.offset_dims[0]))
        inside = jnp.expand_dims(inside, int(numbers.offset_dims[0])) if inside.ndim else inside
    if out is NotImplemented:
        return NotImplemented
    return _filled(out, inside, params)


def _filled(out: Any, inside: Any, params: dict[str, Any]) -> Any:
    """The number for elements outside the matrix, by the gather's mode."""
    mode = lax.GatherScatterMode.from_any(params["mode"])
    if mode is not lax.GatherScatterMode.FILL_OR_DROP:
        return out
    fill = params.get("fill_value")
    if fill is None:
        if jnp.issubdtype(out.dtype, jnp.inexact):
            fill = np.nan
        elif out.dtype == np.bool_:
            fill = True
        elif jnp.issubdtype(out.dtype, jnp.unsignedinteger):
            fill = jnp.iinfo(out.dtype).max
        else:
            fill = jnp.iinfo(out.dtype).min
    return jnp.where(inside, out, jnp.asarray(fill, out.dtype))


register_rule(StructuredMatrix, "slice", _guarded(slice_))
register_rule(StructuredMatrix, "dynamic_slice", _guarded(dynamic_slice))
register_rule(StructuredMatrix, "gather", _guarded(gather))
