"""What primitives do to a `QuantisedArray`: codes move and contract, scales follow.

Everything without a rule here sees the dequantised array.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax._storage.scales_and_factors import axis_groups, move
from sciquax._storage.splitting import barrier, split, unstack
from sciquax.core import Scaling, Structure, aval_of, facts_of, is_value, register_rule, strip

from ._array import Operands, Params, QuantisedArray, _blocked, _read


def _with(like: QuantisedArray, codes: Any, scale: Any, zero_point: Any, master: Any) -> Any:
    return QuantisedArray(
        codes, scale, zero_point, format=like.format, block_size=like.block_size, master=master
    )


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


def _copy(primitive: Any, operands: Operands, params: Params) -> Any:
    """What only copies its operand moves it nowhere."""
    return _move(primitive, operands, params) if facts_of(primitive).copies else NotImplemented


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


register_rule(
    QuantisedArray,
    (Scaling.JOIN, Scaling.COMPARE, Scaling.PRODUCT, Scaling.QUOTIENT, Scaling.POWER),
    _read,
)
register_rule(
    QuantisedArray,
    "transpose reshape squeeze expand_dims broadcast_in_dim slice rev dynamic_slice".split(),
    _move,
)
register_rule(QuantisedArray, Structure.ELEMENTWISE, _copy)
register_rule(QuantisedArray, "gather", _gather)
register_rule(QuantisedArray, "convert_element_type", _convert)
register_rule(QuantisedArray, "stop_gradient", _stop_gradient)
register_rule(QuantisedArray, "neg", _neg)
register_rule(QuantisedArray, "mul div".split(), _scale)

register_rule(QuantisedArray, "split", split)
register_rule(QuantisedArray, "unstack", unstack)
register_rule(QuantisedArray, "optimization_barrier", barrier)
