"""Contractions of a `QuantisedArray`: codes contract in integers, scales multiply the result."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from sciquax.core import aval_of, bind, is_value, register_rule, strip

from ._array import Operands, Params, QuantisedArray, _blocked, _read
from ._codes import FORMATS, as_bytes, decode, encode, wide

TILE = 1 << 19
"""Weights of more elements are converted to floating point this many at a time."""

# -- contracting ----------------------------------------------------------------------------------


def _dot_general(primitive: Any, operands: Operands, params: Params) -> Any:
    lhs, rhs = map(strip, operands)
    (contract, batch) = params["dimension_numbers"]
    both = [x for x in (lhs, rhs) if type(x) is QuantisedArray]
    if any(is_value(x) and type(x) is not QuantisedArray for x in (lhs, rhs)):
        return _read(primitive, operands, params)
    if len(both) == 2:
        if all(map(_integer_ready, both, contract)):
            out = _integer_dot(lhs, rhs, params)
        else:
            lhs_dense = lhs.dequantise()
            return bind(primitive, lhs_dense, rhs, **params)
    else:
        out = _with_array(primitive, lhs, rhs, params)
    masters = [x.master if type(x) is QuantisedArray else None for x in (lhs, rhs)]
    if any(m is not None for m in masters):
        # The value is the quantised one's; the derivative is that with the masters.
        arrays = [x.dequantise() if type(x) is QuantisedArray else x for x in (lhs, rhs)]
        out = _straight_dot(primitive, params, out, arrays, masters)
    return out


def _with_array(primitive: Any, lhs: Any, rhs: Any, params: Params) -> Any:
    """With floating point numbers, which become integers if there is a scale for them."""
    side = 0 if type(lhs) is QuantisedArray else 1
    q, x = (lhs, rhs) if side == 0 else (rhs, lhs)
    contract, batch = params["dimension_numbers"]
    if q.input_scale is None or not jnp.issubdtype(x.dtype, jnp.floating):
        return _float_dot(primitive, lhs, rhs, params)
    # Those along which the scale is repeated are contracted when it holds.
    repeated = [m != 1 for m in q.input_scale.shape]
    free = [d for d in range(q.ndim) if d not in (*contract[side], *batch[side])]
    meant = all(repeated[d] or q.codes.shape[d] == 1 for d in contract[side])
    meant = meant and not any(repeated[d] for d in free)
    if q._observer is not None:
        if meant or (len(contract[side]) == 1 and any(repeated[d] for d in free)):
            q._observer.see(x, -1 if meant else -2)
        return _float_dot(primitive, lhs, rhs, params)
    if not meant or not _integer_ready(q, contract[side]):
        return _float_dot(primitive, lhs, rhs, params)

    def dot(product: Any, q: Any, x: Any) -> Any:
        return product(*((q, x) if side == 0 else (x, q)), params)

    @jax.custom_jvp
    def rounded(q: Any, x: Any) -> Any:
        scale = _input_scale(q, x.ndim, contract[side], batch[side], batch[1 - side])
        codes = encode(x.astype(scale.dtype) / scale, "int8", True, None)
        return dot(_integer_dot, q, QuantisedArray(codes, scale, dtype=x.dtype))

    @rounded.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        product = functools.partial(_float_dot, primitive)
        return rounded(*primals), dot(product, primals[0], tangents[1])

    return rounded(jax.tree.map(lax.stop_gradient, q.replace(master=None)), x)


def _input_scale(
    q: QuantisedArray, ndim: int, contract: Any, batch: Sequence[int], others: Sequence[int]
) -> Any:
    """The scale of what `q` is contracted with, in its axes; `others` are its batch axes."""
    kept = [d for d in range(q.ndim) if d not in batch]
    scale = lax.transpose(q.input_scale, (*batch, *kept))
    scale = scale[(slice(None),) * len(batch) + (0,) * len(kept)]
    order = sorted(range(len(others)), key=lambda i: others[i])
    shape = [1] * ndim
    for i in order:
        shape[others[i]] = scale.shape[i]
    return lax.transpose(scale, order).reshape(shape)


def _straight_dot(primitive: Any, params: Params, out: Any, arrays: Any, masters: Any) -> Any:
    @jax.custom_jvp
    def pass_through(out: Any, arrays: Any, masters: Any) -> Any:
        return out

    @pass_through.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        out, (lhs, rhs), _ = primals
        tangent, _, (lhs_dot, rhs_dot) = tangents
        if lhs_dot is not None:
            tangent = tangent + primitive.bind(lhs_dot, rhs, **params)
        if rhs_dot is not None:
            tangent = tangent + primitive.bind(lhs, rhs_dot, **params)
        return out, tangent

    return pass_through(out, [lax.stop_gradient(x) for x in arrays], list(masters))


def _integer_ready(q: QuantisedArray, contract: Sequence[int]) -> bool:
    """Whether its codes are integers, and its scales those of the product."""
    return FORMATS[q.format].integer and _scales_product(q, contract)


def _scales_product(q: QuantisedArray, contract: Sequence[int]) -> bool:
    """Whether codes share a scale along the contracted axes, and in no blocks along others."""
    sizes = zip(q.scale.shape, q.codes.shape, strict=True)
    return all(s == 1 or s == n and d not in contract for d, (s, n) in enumerate(sizes))


def _integer_dot(lhs: QuantisedArray, rhs: QuantisedArray, params: Params) -> Any:
    """`s t sum (c - z) (d - w)`, the sums in int32 over as many elements as cannot overflow."""
    dimensions = params["dimension_numbers"]
    both = (lhs, rhs)
    codes = [x.codes.astype(jnp.int8) for x in both]
    zeros = [x.zero_point for x in both]
    dtype = params["preferred_element_type"] or jnp.promote_types(lhs.dtype, rhs.dtype)
    inner = wide(dtype)
    longest = (2**31 - 1) // math.prod(128 if z is None else 256 for z in zeros)
    length = math.prod(lhs.codes.shape[d] for d in dimensions[0][0])
    if length <= longest:
        total = _integer_sum(codes, zeros, dimensions).astype(inner)
    else:
        total = _long_sum(codes, zeros, dimensions, longest, inner)
    places = [_placer(codes[0], codes[1], dimensions, side) for side in (0, 1)]
    scales = [place(x.scale).astype(inner) for x, place in zip(both, places, strict=True)]
    return (total * scales[0] * scales[1]).astype(dtype)


def _integer_sum(codes: Sequence[Any], zeros: Sequence[Any], dimensions: Any) -> Any:
    """`sum c d - z sum d - w sum c + k z w`, in int32."""
    contract, _ = dimensions
    lhs, rhs = codes
    total = lax.dot_general(lhs, rhs, dimensions, preferred_element_type=jnp.int32)
    places = [_placer(lhs, rhs, dimensions, side) for side in (0, 1)]
    sums = [
        jnp.sum(c, axis=tuple(axes), keepdims=True, dtype=jnp.int32)
        for c, axes in zip(codes, contract, strict=True)
    ]
    z, w = (None if v is None else place(v) for v, place in zip(zeros, places, strict=True))
    if z is not None:
        total = total - z * places[1](sums[1])
    if w is not None:
        total = total - w * places[0](sums[0])
    if z is not None and w is not None:
        total = total + z * w * math.prod(lhs.shape[d] for d in contract[0])
    return total


def _joined(x: Any, order: Sequence[int], kept: int) -> Any:
    x = lax.transpose(x, order)
    return x.reshape(*x.shape[:kept], math.prod(x.shape[kept:]))


def _long_sum(
    codes: Sequence[Any], zeros: Sequence[Any], dimensions: Any, longest: int, dtype: Any
) -> Any:
    """The same in pieces of the contracted axes, which are one here and the last."""
    contract, batch = dimensions
    old, batches = [], []
    for pair, axes, batch_axes in zip(zip(codes, zeros, strict=True), contract, batch, strict=True):
        kept = [d for d in range(pair[0].ndim) if d not in axes]
        order = (*kept, *axes)
        old.append([None if x is None else _joined(x, order, len(kept)) for x in pair])
        batches.append(tuple(kept.index(d) for d in batch_axes))
    (lhs, z), (rhs, w) = old
    length = lhs.shape[-1]
    count = length // longest
    last = (lhs.ndim - 1, rhs.ndim - 1)
    whole = [x[..., : count * longest].reshape(*x.shape[:-1], count, longest) for x in (lhs, rhs)]
    pieces = (
        ((last[0] + 1,), (last[1] + 1,)),
        tuple((axis, *axes) for axis, axes in zip(last, batches, strict=True)),
    )
    wider = [None if x is None else x[..., None] for x in (z, w)]
    total = jnp.sum(_integer_sum(whole, wider, pieces).astype(dtype), axis=0)
    if count * longest == length:
        return total
    rest = [x[..., count * longest :] for x in (lhs, rhs)]
    ends = (((last[0],), (last[1],)), tuple(batches))
    return total + _integer_sum(rest, (z, w), ends).astype(dtype)


def _placer(lhs: Any, rhs: Any, dimensions: Any, side: int) -> Any:
    """A function that gives one side's companion the output's axes; contracted ones have size 1."""
    (contract, batch) = dimensions
    ndims = [len(aval_of(x).shape) for x in (lhs, rhs)]
    free = [[d for d in range(ndims[i]) if d not in (*contract[i], *batch[i])] for i in (0, 1)]

    def place(companion: Any) -> Any:
        companion = lax.transpose(companion, (*batch[side], *free[side], *contract[side]))
        head = companion.shape[: len(batch[side])]
        tail = companion.shape[len(head) : len(head) + len(free[side])]
        other = (1,) * len(free[1 - side])
        return companion.reshape(*head, *(tail + other if side == 0 else other + tail))

    return place


def _float_dot(primitive: Any, lhs: Any, rhs: Any, params: Params) -> Any:
    """Codes converted tile by tile, the product scaled."""
    side = 0 if type(lhs) is QuantisedArray else 1
    q, x = (lhs, rhs) if side == 0 else (rhs, lhs)
    transposed = q.was_transposed
    q = q.replace(master=None, input_scale=None)
    (contract, batch) = params["dimension_numbers"]
    free = [d for d in range(q.codes.ndim) if d not in (*contract[side], *batch[side])]
    axis, count = _tiles(q, free)
    if count == 1:
        return _one_tile(primitive, q, x, params, side)
    x_free = x.ndim - len(contract[1 - side]) - len(batch[1 - side])
    at = len(batch[side]) + free.index(axis) + (x_free if side == 1 else 0)
    if axis != 0 and len(free) == 1 and transposed:
        # Tiles are cut of what lies together: the compiler undoes two transpositions.
        q, dimensions = _tile_axis_first(q, axis, params["dimension_numbers"], side)
        params, axis = {**params, "dimension_numbers": dimensions}, 0
    q = q.replace(codes=as_bytes(q.codes))
    n = q.codes.shape[axis]
    size = n // count

    def cut(companion: Any, i: Any) -> Any:
        if companion is None or companion.shape[axis] == 1:
            return companion
        length = size if companion.shape[axis] == n else size // q.block_size
        return lax.dynamic_slice_in_dim(companion, i * length, length, axis)

    # Converted again for a derivative: kept, all tiles are the array itself.
    @jax.checkpoint
    def one(i: Any) -> Any:
        parts = {name: cut(getattr(q, name), i) for name in ("codes", "scale", "zero_point")}
        return _one_tile(primitive, q.replace(**parts), x, params, side)

    tiles = lax.map(one, jnp.arange(count))
    # The tiles' axis in the output, behind the leading axis of tiles.
    tiles = jnp.moveaxis(tiles, 0, at)
    return tiles.reshape(*tiles.shape[:at], n, *tiles.shape[at + 2 :])


def _tile_axis_first(q: QuantisedArray, axis: int, dimensions: Any, side: int) -> Any:
    """The array with this axis moved to the front, and the contraction's axes as they are then."""
    order = (axis, *[d for d in range(q.codes.ndim) if d != axis])
    parts = {
        name: None if (x := getattr(q, name)) is None else lax.transpose(x, order)
        for name in ("codes", "scale", "zero_point")
    }
    moved = [
        tuple(
            tuple(order.index(d) for d in axes) if i == side else axes
            for i, axes in enumerate(pair)
        )
        for pair in dimensions
    ]
    return q.replace(**parts), tuple(moved)


def _tiles(q: QuantisedArray, free: Sequence[int]) -> tuple[int, int]:
    """The axis to cut a large array along, and into how many equal tiles."""
    if q.codes.size <= TILE or not free:
        return 0, 1
    axis = max(free, key=lambda d: q.codes.shape[d])
    n = q.codes.shape[axis]
    whole = q.block_size if axis == _blocked(q) else 1  # elements that a tile has all or none of
    wanted = -(-q.codes.size // TILE)
    counts = [m for m in range(1, n // whole + 1) if n % m == 0 and n // m % whole == 0]
    return axis, next((m for m in counts if m >= wanted), counts[-1] if counts else 1)


def _kept(tile: Any) -> Any:
    """Made once: for CPUs, elements would be made anew for each column of the product."""
    return lax.optimization_barrier(tile)


def _one_tile(primitive: Any, q: QuantisedArray, x: Any, params: Params, side: int) -> Any:
    dimensions = params["dimension_numbers"]
    if not _scales_product(q, dimensions[0][side]) or q.zero_point is not None:
        dense = _kept(q.dequantise())
        return primitive.bind(*((dense, x) if side == 0 else (x, dense)), **params)
    codes = _kept(decode(q.codes, q.format, q.dtype))
    pair = (codes, x) if side == 0 else (x, codes)
    # Sums of codes are large: of 16 bits only once they are scaled.
    dtype = params["preferred_element_type"] or jnp.promote_types(q.dtype, x.dtype)
    inner = wide(dtype)
    out = primitive.bind(*pair, **{**params, "preferred_element_type": inner})
    scale = _placer(*((q, x) if side == 0 else (x, q)), dimensions, side)(q.scale)
    return (out * scale.astype(inner)).astype(dtype)


register_rule(QuantisedArray, "dot_general", _dot_general)
