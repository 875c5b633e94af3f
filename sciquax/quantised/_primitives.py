"""Rules of `QuantisedArray` for primitives: codes move and contract, and scales follow.

Everything without a rule here sees the dequantised array.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax._storage.scales_and_factors import axis_groups, gathered_within, move
from sciquax._storage.splitting import register_splitting
from sciquax.core import Scaling, Structure, aval_of, facts_of, is_value, register_rule, strip

from ._array import Operands, Params, QuantisedArray, _blocked, _read
from ._codes import expand, wide

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


def _length(primitive: Any, params: Params, axis: int) -> int:
    """Of a slice along an axis."""
    if primitive.name == "dynamic_slice":
        return params["slice_sizes"][axis]
    return params["limit_indices"][axis] - params["start_indices"][axis]


def _put(items: Sequence[Any], at: int, item: Any) -> tuple[Any, ...]:
    return (*items[:at], item, *items[at + 1 :])


def _move(primitive: Any, operands: Operands, params: Params) -> Any:
    q, *indices = operands
    if type(q) is not QuantisedArray:
        return NotImplemented
    if any(is_value(i) for i in indices):
        return NotImplemented
    axis = _blocked(q)
    shape = q.codes.shape
    cuts = primitive.name in ("slice", "dynamic_slice")
    single = axis is not None and cuts and _length(primitive, params, axis) == 1
    if axis is not None and not single and not _keeps_blocks(primitive, params, q, axis):
        if not cuts:
            return NotImplemented
        q, axis = _without_blocks(q), None  # each element has its scale then
    scale, zero_point = q.scale, q.zero_point
    at = indices
    if axis is not None and primitive.name == "reshape":
        # The blocked axis keeps its length: as if the array had one element for each block.
        new = list(params["new_sizes"])
        for left, right in axis_groups(shape, params["new_sizes"]):
            if axis in left:
                (target,) = [d for d in right if new[d] == shape[axis]]
                new[target] = scale.shape[axis]
        params_scale = {**params, "new_sizes": tuple(new)}
        shape = (*shape[:axis], scale.shape[axis], *shape[axis + 1 :])
    elif axis is not None and single and primitive.name == "slice":
        start = params["start_indices"][axis] // q.block_size
        params_scale = {
            **params,
            "start_indices": _put(params["start_indices"], axis, start),
            "limit_indices": _put(params["limit_indices"], axis, start + 1),
        }
    elif axis is not None and single:
        at = _put(indices, axis, indices[axis] // q.block_size)
        params_scale = params
    elif axis is not None and cuts:
        sizes = "limit_indices" if primitive.name == "slice" else "slice_sizes"
        params_scale = {**params, sizes: _put(params[sizes], axis, scale.shape[axis])}
    else:
        params_scale = params
    scale = move(primitive, params_scale, shape, scale, at)
    if scale is None:
        return NotImplemented
    if zero_point is not None:
        zero_point = move(primitive, params_scale, shape, zero_point, at)
    codes = primitive.bind(q.codes, *indices, **params)
    master = None if q.master is None else primitive.bind(q.master, *indices, **params)
    input_scale = q.input_scale
    if input_scale is not None:
        input_scale = move(primitive, params, q.codes.shape, input_scale, indices)
    out = q.replace(
        codes=codes, scale=scale, zero_point=zero_point, master=master, input_scale=input_scale
    )
    if primitive.name == "transpose" and not q.was_transposed:
        object.__setattr__(out, "was_transposed", True)  # of a value that was just made
    return out


def _without_blocks(q: QuantisedArray) -> QuantisedArray:
    """With a scale for each element along the axis whose blocks share them."""
    shape, size = q.codes.shape, q.block_size
    zero_point = None if q.zero_point is None else expand(q.zero_point, shape, size)
    return q.replace(scale=expand(q.scale, shape, size), zero_point=zero_point)


def _copy(primitive: Any, operands: Operands, params: Params) -> Any:
    """Primitives that copy their operand leave it where it is."""
    return _move(primitive, operands, params) if facts_of(primitive).copies else NotImplemented


def _gather(primitive: Any, operands: Operands, params: Params) -> Any:
    """The codes and scales at the places asked for, dequantised: nothing else is."""
    q, indices = operands
    if type(q) is not QuantisedArray or is_value(indices):
        return NotImplemented
    numbers, sizes, shape = params["dimension_numbers"], params["slice_sizes"], q.codes.shape
    whole = [s == n for s, n in zip(sizes, shape, strict=True)]
    axis = _blocked(q)
    if numbers.operand_batching_dims:
        return NotImplemented
    if axis is not None and not whole[axis] and sizes[axis] != 1:
        q = _without_blocks(q)
    clip = {**params, "fill_value": None}
    if params["mode"] is lax.GatherScatterMode.FILL_OR_DROP:
        clip["mode"] = lax.GatherScatterMode.CLIP
    codes = primitive.bind(q.codes, indices, **clip)

    def pick(companion: Any) -> Any:
        windows = [min(s, own) for s, own in zip(sizes, companion.shape, strict=True)]
        at = indices
        for i, d in enumerate(numbers.start_index_map):
            if companion.shape[d] == 1:  # shared along an axis that is picked from
                at = at.at[..., i].set(0)
            elif companion.shape[d] != shape[d]:  # an element, or all, of an axis in blocks
                at = at.at[..., i].set(at[..., i] // q.block_size)
        return primitive.bind(companion, at, **{**clip, "slice_sizes": tuple(windows)})

    out = q.replace(
        codes=codes,
        scale=pick(q.scale),
        zero_point=None if q.zero_point is None else pick(q.zero_point),
        master=None if q.master is None else primitive.bind(q.master, indices, **clip),
        input_scale=None if q.input_scale is None else pick(q.input_scale),
    )
    if params["mode"] is not lax.GatherScatterMode.FILL_OR_DROP:
        return out
    fill = params["fill_value"]
    fill = jnp.nan if fill is None else fill
    dense = out.dequantise()
    within = gathered_within(indices, params, shape, dense.ndim)
    return jnp.where(within, dense, jnp.asarray(fill, dense.dtype))


# -- conversions and scalings ---------------------------------------------------------------------


def _convert(primitive: Any, operands: Operands, params: Params) -> Any:
    """To another floating point dtype: the scale's."""
    (q,) = operands
    if not jnp.issubdtype(params["new_dtype"], jnp.floating):
        return NotImplemented
    bound = {**params, "weak_type": False}
    dtype = params["new_dtype"]
    widened = {**bound, "new_dtype": wide(dtype)}
    return q.replace(
        scale=primitive.bind(q.scale, **widened),
        master=None if q.master is None else primitive.bind(q.master, **bound),
        _dtype=dtype,
    )


def _stop_gradient(primitive: Any, operands: Operands, params: Params) -> Any:
    (q,) = operands
    return q.replace(scale=primitive.bind(q.scale, **params), master=None)


def _neg(primitive: Any, operands: Operands, params: Params) -> Any:
    (q,) = operands
    return q.replace(scale=-q.scale, master=None if q.master is None else -q.master)


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
    if own and (
        len(own) != len(shape) or any(m not in (1, n) for m, n in zip(own, shape, strict=True))
    ):
        return NotImplemented
    if own and axis is not None and own[axis] != 1:
        return NotImplemented
    scale = primitive.bind(q.scale, jnp.asarray(factor).astype(q.scale.dtype), **params)
    zero_point = q.zero_point
    if zero_point is not None:
        zero_point = jnp.broadcast_to(zero_point, scale.shape)
    master = None if q.master is None else primitive.bind(q.master, factor, **params)
    return q.replace(scale=scale, zero_point=zero_point, master=master)


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

register_splitting(QuantisedArray)
