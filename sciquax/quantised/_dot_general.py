"""Contractions of a `QuantisedArray`: codes contract in integers, scales multiply the result."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from sciquax.core import aval_of, bind, is_value, register_rule, strip

from ._array import Operands, Params, QuantisedArray, _blocked, _read
from ._codes import FORMATS, decode, wide

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
        out = _float_dot(primitive, lhs, rhs, params)
    masters = [x.master if type(x) is QuantisedArray else None for x in (lhs, rhs)]
    if any(m is not None for m in masters):
        # The value is the quantised one's; the derivative is that with the masters.
        arrays = [x.dequantise() if type(x) is QuantisedArray else x for x in (lhs, rhs)]
        out = _straight_dot(primitive, params, out, arrays, masters)
    return out


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
    """Whether its codes are integers that share a scale along the contracted axes."""
    return FORMATS[q.format].integer and all(q.scale.shape[d] == 1 for d in contract)


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
    places = [_placer(*codes, dimensions, side) for side in (0, 1)]
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
    """What puts one side's companion, of length one along contracted axes, in the output's axes."""
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
    (contract, batch) = params["dimension_numbers"]
    free = [d for d in range(q.codes.ndim) if d not in (*contract[side], *batch[side])]
    tile_axis, count = _tiles(q, free)
    bare = q.replace(master=None, input_scale=None)
    if count == 1:
        return _one_tile(primitive, bare, x, params, side)
    size = q.codes.shape[tile_axis] // count

    def split(companion: Any) -> Any:
        """Tiles along a new leading axis; what is shared along the axis stays as it is."""
        if companion is None or companion.shape[tile_axis] == 1:
            return None
        shape = (*companion.shape[:tile_axis], count, size, *companion.shape[tile_axis + 1 :])
        return jnp.moveaxis(companion.reshape(shape), tile_axis, 0)

    def one(parts: Any) -> Any:
        codes, scale, zero_point = parts
        tile = bare.replace(
            codes=codes,
            scale=q.scale if scale is None else scale,
            zero_point=q.zero_point if zero_point is None else zero_point,
        )
        return _one_tile(primitive, tile, x, params, side)

    tiles = lax.map(one, (split(q.codes), split(q.scale), split(q.zero_point)))
    # The tiles' axis in the output, behind the leading axis of tiles.
    x_free = x.ndim - len(contract[1 - side]) - len(batch[1 - side])
    axis = len(batch[side]) + free.index(tile_axis) + (x_free if side == 1 else 0)
    tiles = jnp.moveaxis(tiles, 0, axis)
    return tiles.reshape(*tiles.shape[:axis], count * size, *tiles.shape[axis + 2 :])


def _tiles(q: QuantisedArray, free: Sequence[int]) -> tuple[int, int]:
    """The axis to cut a large array along, and into how many equal tiles."""
    blocked = _blocked(q)
    candidates = [d for d in free if d != blocked]
    if q.codes.size <= TILE or not candidates:
        return 0, 1
    axis = max(candidates, key=lambda d: q.codes.shape[d])
    n = q.codes.shape[axis]
    for count in range(-(-q.codes.size // TILE), n + 1):
        if n % count == 0:
            return axis, count
    return 0, 1


def _one_tile(primitive: Any, q: QuantisedArray, x: Any, params: Params, side: int) -> Any:
    dimensions = params["dimension_numbers"]
    contract, _ = dimensions
    shared = all(q.scale.shape[d] == 1 for d in contract[side])
    if not shared or q.zero_point is not None:
        dense = q.dequantise()
        return primitive.bind(*((dense, x) if side == 0 else (x, dense)), **params)
    codes = decode(q.codes, q.format, q.dtype)
    pair = (codes, x) if side == 0 else (x, codes)
    # Sums of codes are large: of 16 bits only once they are scaled.
    dtype = params["preferred_element_type"] or jnp.promote_types(q.dtype, x.dtype)
    inner = wide(dtype)
    out = primitive.bind(*pair, **{**params, "preferred_element_type": inner})
    scale = _placer(*((q, x) if side == 0 else (x, q)), dimensions, side)(q.scale)
    return (out * scale.astype(inner)).astype(dtype)


register_rule(QuantisedArray, "dot_general", _dot_general)
