"""What primitives do to a `QuantisedArray`: codes move and contract, scales follow.

Everything without a rule here sees the dequantised array.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from sciquax.core import Scaling, aval_of, bind, is_value, register_family, strip

from ._companion import axis_groups, move
from ._quantised import FORMATS, QuantisedArray, decode

Params = dict[str, Any]
Operands = Sequence[Any]

TILE = 1 << 19
"""Weights of more elements are converted to floating point this many at a time."""


def _with(like: QuantisedArray, codes: Any, scale: Any, zero_point: Any, master: Any) -> Any:
    return QuantisedArray(
        codes, scale, zero_point, format=like.format, block_size=like.block_size, master=master
    )


def _blocked(q: QuantisedArray) -> int | None:
    """The axis whose elements share scales in blocks, if there is one."""
    for axis, (own, n) in enumerate(zip(q.scale.shape, q.codes.shape, strict=True)):
        if own not in (1, n):
            return axis
    return None


# -- moving elements ------------------------------------------------------------------------------


def _keeps_blocks(primitive: Any, params: Params, q: QuantisedArray, axis: int) -> bool:
    """Whether the elements along the blocked axis stay together."""
    shape = q.codes.shape
    if primitive.name == "slice":
        start, limit = params["start_indices"][axis], params["limit_indices"][axis]
        strides = params["strides"]
        return (start, limit) == (0, shape[axis]) and (strides is None or strides[axis] == 1)
    if primitive.name == "dynamic_slice":
        return params["slice_sizes"][axis] == shape[axis]
    if primitive.name == "rev":
        return axis not in params["dimensions"]
    if primitive.name == "reshape":
        return all(
            [shape[d] for d in left if shape[d] != 1]
            == [params["new_sizes"][d] for d in right if params["new_sizes"][d] != 1]
            for left, right in axis_groups(shape, params["new_sizes"])
            if axis in left
        )
    return True


def _move(primitive: Any, operands: Operands, params: Params) -> Any:
    q, *indices = operands
    if type(q) is not QuantisedArray:
        return NotImplemented
    if any(is_value(i) for i in indices):
        return NotImplemented
    axis = _blocked(q)
    scale, zero_point = q.scale, q.zero_point
    if axis is not None and not _keeps_blocks(primitive, params, q, axis):
        return NotImplemented
    shape = q.codes.shape
    if axis is not None and primitive.name == "reshape":
        # The blocked axis keeps its length: as if the array had one element for each block.
        new = list(params["new_sizes"])
        for left, right in axis_groups(shape, params["new_sizes"]):
            if axis in left:
                (target,) = [d for d in right if new[d] == shape[axis]]
                new[target] = scale.shape[axis]
        params_scale = {**params, "new_sizes": tuple(new)}
        shape = (*shape[:axis], scale.shape[axis], *shape[axis + 1 :])
    elif axis is not None and primitive.name in ("slice", "dynamic_slice"):
        sizes = "limit_indices" if primitive.name == "slice" else "slice_sizes"
        new = list(params[sizes])
        new[axis] = scale.shape[axis]
        params_scale = {**params, sizes: tuple(new)}
    else:
        params_scale = params
    scale = move(primitive, params_scale, shape, scale, indices)
    if scale is None:
        return NotImplemented
    if zero_point is not None:
        zero_point = move(primitive, params_scale, shape, zero_point, indices)
    codes = primitive.bind(q.codes, *indices, **params)
    master = None if q.master is None else primitive.bind(q.master, *indices, **params)
    return _with(q, codes, scale, zero_point, master)


def _gather(primitive: Any, operands: Operands, params: Params) -> Any:
    """The codes and scales at the places asked for, dequantised: nothing else is."""
    q, indices = operands
    if type(q) is not QuantisedArray or is_value(indices):
        return NotImplemented
    numbers, sizes, shape = params["dimension_numbers"], params["slice_sizes"], q.codes.shape
    whole = [s == n for s, n in zip(sizes, shape, strict=True)]
    axis = _blocked(q)
    if numbers.operand_batching_dims or (axis is not None and not whole[axis]):
        return NotImplemented
    clip = {**params, "fill_value": None}
    if params["mode"] is lax.GatherScatterMode.FILL_OR_DROP:
        clip["mode"] = lax.GatherScatterMode.CLIP
    codes = primitive.bind(q.codes, indices, **clip)

    def pick(companion: Any) -> Any:
        # Shared along an axis that is picked from: one for each index, so that places agree.
        full = [
            n if not w else own for n, w, own in zip(shape, whole, companion.shape, strict=True)
        ]
        companion = jnp.broadcast_to(companion, full)
        windows = [s if not w else own for s, w, own in zip(sizes, whole, full, strict=True)]
        return primitive.bind(companion, indices, **{**clip, "slice_sizes": tuple(windows)})

    scale = pick(q.scale)
    zero_point = None if q.zero_point is None else pick(q.zero_point)
    master = None if q.master is None else primitive.bind(q.master, indices, **clip)
    out = _with(q, codes, scale, zero_point, master)
    if params["mode"] is not lax.GatherScatterMode.FILL_OR_DROP:
        return out
    # Where is a place out of range? Where a gather of a single element each says so.
    inside = jnp.broadcast_to(
        jnp.ones((), q.scale.dtype), [1 if w else n for w, n in zip(whole, shape, strict=True)]
    )
    windows = tuple(1 if w else s for w, s in zip(whole, sizes, strict=True))
    inside = primitive.bind(inside, indices, **{**params, "slice_sizes": windows, "fill_value": 0})
    fill = params["fill_value"]
    fill = jnp.nan if fill is None else fill
    dense = out.dequantise()
    return jnp.where(inside != 0, dense, jnp.asarray(fill, dense.dtype))


# -- conversions and scalings ---------------------------------------------------------------------


def _convert(primitive: Any, operands: Operands, params: Params) -> Any:
    """To another floating point dtype: the scale's."""
    (q,) = operands
    if not jnp.issubdtype(params["new_dtype"], jnp.floating):
        return NotImplemented
    bound = {**params, "weak_type": False}
    master = None if q.master is None else primitive.bind(q.master, **bound)
    return _with(q, q.codes, primitive.bind(q.scale, **bound), q.zero_point, master)


def _stop_gradient(primitive: Any, operands: Operands, params: Params) -> Any:
    (q,) = operands
    return _with(q, q.codes, primitive.bind(q.scale, **params), q.zero_point, None)


def _neg(primitive: Any, operands: Operands, params: Params) -> Any:
    (q,) = operands
    master = None if q.master is None else -q.master
    return _with(q, q.codes, primitive.bind(q.scale, **params), q.zero_point, master)


def _scale(primitive: Any, operands: Operands, params: Params) -> Any:
    """Multiplied or divided by a number, or by one for each channel: the scale is."""
    q, factor = map(strip, operands)
    if type(q) is not QuantisedArray:
        if primitive.name == "div":
            return _read(primitive, operands, params)
        q, factor = factor, q
    own = aval_of(factor).shape
    if is_value(factor) and type(factor) is not QuantisedArray:
        return _read(primitive, operands, params)
    if is_value(factor) or sum(n != 1 for n in own) > 1:
        return NotImplemented
    shape, axis = q.codes.shape, _blocked(q)
    if own and any(m not in (1, n) for m, n in zip(own, shape, strict=True)):
        return NotImplemented
    if own and axis is not None and own[axis] != 1:
        return NotImplemented
    scale = primitive.bind(q.scale, factor, **params)
    zero_point = q.zero_point
    if zero_point is not None:
        zero_point = jnp.broadcast_to(zero_point, scale.shape)
    master = None if q.master is None else primitive.bind(q.master, factor, **params)
    return _with(q, q.codes, scale, zero_point, master)


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
    """`s t (sum c d - z sum d - w sum c + k z w)`, the sums in int32."""
    dimensions = params["dimension_numbers"]
    contract, _ = dimensions
    codes = (lhs.codes.astype(jnp.int8), rhs.codes.astype(jnp.int8))
    total = lax.dot_general(codes[0], codes[1], dimensions, preferred_element_type=jnp.int32)
    places = [_placer(lhs, rhs, dimensions, side) for side in (0, 1)]
    zeros = [x.zero_point for x in (lhs, rhs)]
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
        total = total + z * w * math.prod(lhs.codes.shape[d] for d in contract[0])
    dtype = params["preferred_element_type"] or jnp.promote_types(lhs.dtype, rhs.dtype)
    scales = [place(x.scale).astype(dtype) for x, place in zip((lhs, rhs), places, strict=True)]
    return total.astype(dtype) * scales[0] * scales[1]


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
    bare = QuantisedArray(q.codes, q.scale, q.zero_point, format=q.format, block_size=q.block_size)
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
        tile = QuantisedArray(
            codes,
            q.scale if scale is None else scale,
            q.zero_point if zero_point is None else zero_point,
            format=q.format,
            block_size=q.block_size,
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
    codes = decode(q, q.codes)
    pair = (codes, x) if side == 0 else (x, codes)
    out = primitive.bind(*pair, **params)
    scale = _placer(*((q, x) if side == 0 else (x, q)), dimensions, side)(q.scale)
    return out * scale.astype(out.dtype)


def _read(primitive: Any, operands: Operands, params: Params) -> Any:
    """Beside a value of another type, which is not for us to materialise: dequantised."""
    stripped = [*map(strip, operands)]
    if not any(is_value(x) and type(x) is not QuantisedArray for x in stripped):
        return NotImplemented
    arrays = [x.dequantise() if type(x) is QuantisedArray else x for x in stripped]
    return bind(primitive, *arrays, **params)


register_family(
    QuantisedArray,
    (Scaling.JOIN, Scaling.COMPARE, Scaling.PRODUCT, Scaling.QUOTIENT, Scaling.POWER),
    _read,
)
register_family(
    QuantisedArray,
    "transpose reshape squeeze expand_dims broadcast_in_dim slice rev dynamic_slice copy "
    "copy_p".split(),
    _move,
)
register_family(QuantisedArray, "gather", _gather)
register_family(QuantisedArray, "convert_element_type", _convert)
register_family(QuantisedArray, "stop_gradient", _stop_gradient)
register_family(QuantisedArray, "neg", _neg)
register_family(QuantisedArray, "mul div".split(), _scale)
register_family(QuantisedArray, "dot_general", _dot_general)
