"""Moving the elements of sparse arrays: slices, transposes, repeats, joins, picks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import sparse as jsparse

from sciquax._storage.splitting import register_splitting
from sciquax.core import (
    RuleError,
    aval_of,
    describe,
    is_value,
    quaxify,
    register_rule,
    strip,
    vanishes,
)
from sciquax.core.internal import Tracer

from ._array import BCOO, wrap
from ._dot_general import product
from ._host.rows import note_transposed
from ._indices import array_of, data_of, elements, foreign, inside, number_of, without_batch

_THIN = 32
"""How many times as many elements as are stored an array beside sparse ones may have."""
Params = dict[str, Any]
Operands = Sequence[Any]


def _kernel(function: Callable, *names: str) -> Callable:
    """A rule that calls a kernel of JAX's with these parameters of the primitive."""

    def rule(primitive: Any, operands: Operands, params: Params) -> Any:
        mat, *rest = operands
        if not isinstance(mat, BCOO) or rest:
            return NotImplemented
        try:
            out = function(mat.to_jax(), **{n: params[n] for n in names})
        except NotImplementedError as error:
            raise RuleError(f"`{primitive.name}` of {describe(mat)}: {error}") from None
        made = wrap(out, mat)
        return made if made.sparse_shape else made.todense()  # of single elements

    return rule


_permute = _kernel(jsparse.bcoo_transpose, "permutation")


def _transpose(primitive: Any, operands: Operands, params: Params) -> Any:
    (mat,) = operands
    if any(axis >= mat.n_batch for axis in params["permutation"][: mat.n_batch]):
        mat = without_batch(mat)
    if mat.n_batch or tuple(params["permutation"]) != (1, 0):
        return _permute(primitive, [mat], params)
    places = jnp.asarray(mat.indices)[:, ::-1]
    note_transposed(mat.indices, places)
    made = jsparse.BCOO(
        (data_of(mat), places),
        shape=mat.sparse_shape[::-1],
        unique_indices=mat.unique_indices,
    )
    return wrap(made, mat, None if mat.most is None else mat.most[::-1])


def _dynamic_slice(primitive: Any, operands: Operands, params: Params) -> Any:
    mat, *starts = operands
    if not isinstance(mat, BCOO):
        return NotImplemented
    out = jsparse.bcoo_dynamic_slice(mat.to_jax(), [*map(array_of, starts)], params["slice_sizes"])
    return wrap(out, mat)


def _made(data: Any, places: Any, kept: Any, shape: Sequence[int], like: BCOO) -> BCOO:
    """Elements at new places; those that are not kept become padding. None is stored twice anew."""
    outside = jnp.asarray(tuple(shape)[like.n_batch :], places.dtype)
    places = jnp.where(kept[..., None], places, outside)
    made = jsparse.BCOO((data, places), shape=tuple(shape), unique_indices=like.unique_indices)
    return wrap(made, like)


def _broadcast(primitive: Any, operands: Operands, params: Params) -> Any:
    """New axes, and repeated ones: what is repeated is stored as often."""
    (mat, *rest) = operands
    if rest or not isinstance(mat, BCOO):
        return NotImplemented
    shape, axes = tuple(params["shape"]), tuple(params["broadcast_dimensions"])
    old = mat.aval().shape
    if mat.n_batch:
        try:
            out = jsparse.bcoo_broadcast_in_dim(
                mat.to_jax(), shape=shape, broadcast_dimensions=axes
            )
            return wrap(out, mat)
        except NotImplementedError:
            mat = without_batch(mat)
    grown = [1] * len(shape)
    places = jnp.zeros((mat.nse, len(shape)), mat.indices.dtype)
    for axis, target in enumerate(axes):
        grown[target] = old[axis]
        places = places.at[:, target].set(mat.indices[:, axis])
    return repeated(_made(data_of(mat), places, inside(mat), grown, mat), shape)


def repeated(mat: BCOO, shape: Sequence[int]) -> BCOO:
    """Repeated along axes, as by `jnp.tile`, to this shape."""
    mat = without_batch(mat)
    old = mat.aval().shape
    again = [d for d, (m, n) in enumerate(zip(old, shape, strict=True)) if m != n]
    if not again:
        return mat
    counts = [shape[d] // max(old[d], 1) for d in again]
    grid = np.stack(
        [x.ravel() * old[d] for x, d in zip(np.indices(counts), again, strict=True)], -1
    )
    data = jnp.repeat(data_of(mat), len(grid))
    kept = jnp.repeat(inside(mat), len(grid))
    places = jnp.repeat(mat.indices, len(grid), axis=0)
    offsets = jnp.tile(jnp.asarray(grid, places.dtype), (mat.nse, 1))
    places = places.at[:, jnp.asarray(again)].add(offsets)
    return _made(data, places, kept, shape, mat)


def _tile(primitive: Any, operands: Operands, params: Params) -> Any:
    (mat,) = operands
    shape = [n * r for n, r in zip(mat.aval().shape, params["reps"], strict=True)]
    return repeated(mat, shape)


def _pad(primitive: Any, operands: Operands, params: Params) -> Any:
    """With zeros."""
    mat, value = map(strip, operands)
    config, n = params["padding_config"], mat.n_batch if isinstance(mat, BCOO) else 0
    if (
        not isinstance(mat, BCOO)
        or not number_of(value, vanishes)
        or any(any(c) for c in config[:n])
    ):
        return NotImplemented
    shape = list(mat.aval().shape)
    low, scale = [], []
    for d, (before, after, between) in enumerate(config):
        shape[d] += int(before + after + between * max(0, shape[d] - 1))
        low.append(before)
        scale.append(between + 1)
    dtype = mat.indices.dtype
    places = mat.indices * jnp.asarray(scale[n:], dtype) + jnp.asarray(low[n:], dtype)
    kept = (places >= 0) & (places < jnp.asarray(shape[n:], dtype))
    return _made(data_of(mat), places, inside(mat) & kept.all(axis=-1), shape, mat)


def _concatenate(primitive: Any, operands: Operands, params: Params) -> Any:
    mats = _all_sparse([*map(strip, operands)])
    if mats is None:
        return NotImplemented
    n, axis = mats[0].n_batch, params["dimension"]
    if any(x.n_batch != n for x in mats) or axis < n:
        mats = [*map(without_batch, mats)]
        n = 0
    dtype = mats[0].indices.dtype
    shape = list(mats[0].aval().shape)
    shape[axis] = sum(x.aval().shape[axis] for x in mats)
    start, places, kept = 0, [], []
    for x in mats:
        moved = x.indices.astype(dtype).at[..., axis - n].add(start)
        start += x.aval().shape[axis]
        places.append(moved)
        kept.append(inside(x))
    data = jnp.concatenate([*map(data_of, mats)], axis=n)
    out = _made(
        data, jnp.concatenate(places, axis=n), jnp.concatenate(kept, axis=n), shape, mats[0]
    )
    object.__setattr__(out, "unique_indices", all(x.unique_indices for x in mats))
    return out


def _all_sparse(operands: Operands) -> list[BCOO] | None:
    """With arrays of zeros, and thin ones, as sparse ones too; None where one is neither."""
    stored = sum(x.nse + max(x.aval().shape) for x in operands if isinstance(x, BCOO))
    out = []
    for x in operands:
        if not isinstance(x, BCOO):
            shape = aval_of(x).shape
            few, zeros = math.prod(shape) <= _THIN * stored, number_of(x) == 0
            if foreign(x) or len(shape) != 2 or not (few or zeros):
                return None
            places = np.zeros((0, 2)) if zeros else np.indices(shape).reshape(2, -1).T
            data = jnp.zeros(0, x.dtype) if zeros else array_of(x).reshape(-1)
            x = BCOO(data, places.astype(np.int32), shape, unique_indices=True)
        out.append(x)
    return out


def _stack(primitive: Any, operands: Operands, params: Params) -> Any:
    mats = [*map(strip, operands)]
    if not all(isinstance(x, BCOO) for x in mats):
        return NotImplemented
    axis, ndim = params["axis"], len(mats[0].aval().shape)
    kept = tuple(d for d in range(ndim + 1) if d != axis)
    shape = [*mats[0].aval().shape]
    shape.insert(axis, 1)
    grow = {"shape": tuple(shape), "broadcast_dimensions": kept}
    grown = [_broadcast(lax.broadcast_in_dim_p, [x], grow) for x in mats]
    return _concatenate(lax.concatenate_p, grown, {"dimension": axis})


# -- picking by number ----------------------------------------------------------------------------


def _gather(primitive: Any, operands: Operands, params: Params) -> Any:
    """Single elements, which are an array; or whole rows or columns, which are sparse."""
    mat, indices = map(strip, operands)
    if not isinstance(mat, BCOO) or isinstance(indices, BCOO):
        return NotImplemented
    numbers, indices = params["dimension_numbers"], array_of(indices)
    if numbers.operand_batching_dims:
        return NotImplemented
    mat = without_batch(mat)
    shape, ndim = mat.aval().shape, len(mat.aval().shape)
    fills = params["mode"] is lax.GatherScatterMode.FILL_OR_DROP
    if (
        len(numbers.collapsed_slice_dims) == ndim == len(numbers.start_index_map)
        and params["slice_sizes"] == (1,) * ndim
    ):
        order = np.argsort(numbers.start_index_map)
        limits = jnp.asarray(shape, indices.dtype) - 1
        places = indices[..., order]
        clipped = jnp.clip(places, 0, limits)
        found = elements(data_of(mat), mat.indices, clipped.reshape(-1, ndim))
        found = found.reshape(indices.shape[:-1])
        if not fills:
            return found
        fill = params["fill_value"]
        fill = jnp.asarray(jnp.nan if fill is None else fill, found.dtype)
        return jnp.where((places == clipped).all(axis=-1), found, fill)
    if len(numbers.start_index_map) != 1:
        return NotImplemented
    (axis,) = numbers.start_index_map
    sizes = tuple(1 if d == axis else n for d, n in enumerate(shape))
    if tuple(numbers.collapsed_slice_dims) != (axis,) or tuple(params["slice_sizes"]) != sizes:
        return NotImplemented
    if fills:
        raise RuleError(
            f"`{primitive.name}` of {describe(mat)} by numbers that may be outside of it, where "
            "all elements would be filled in.",
            'Index it, `A[i]`, or pass `mode="clip"`.',
        )
    picked = jnp.clip(indices[..., 0], 0, shape[axis] - 1)
    counts, rows = picked.shape, picked.reshape(-1)
    n = rows.shape[0]
    places = jnp.stack([jnp.arange(n, dtype=rows.dtype), rows], axis=-1)
    one = BCOO(jnp.ones(n, mat.dtype), places, (n, shape[axis]), unique_indices=True)
    out = product(one, mat, (((1,), (axis,)), ((), ())), {})  # (picked, the other axes)
    others = [m for d, m in enumerate(shape) if d != axis]
    out = _reshape(lax.reshape_p, [out], {"new_sizes": (*counts, *others)})
    left, right = iter(range(len(counts))), iter(range(len(counts), len(counts) + len(others)))
    order = [
        next(right) if d in numbers.offset_dims else next(left)
        for d in range(len(counts) + len(others))
    ]
    out = without_batch(out)  # a reshape of one row makes a batch of it
    return wrap(jsparse.bcoo_transpose(out.to_jax(), permutation=tuple(order)), mat)


def _take(
    a: Any,
    indices: Any,
    axis: int | None = None,
    out: Any = None,
    mode: Any = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    fill_value: Any = None,
) -> Any:
    """Numbers that are known to be inside need not be filled in."""
    if not isinstance(a, BCOO) or is_value(indices) or isinstance(indices, Tracer) or axis is None:
        return NotImplemented
    size, numbers = a.aval().shape[axis], np.asarray(indices)
    if mode not in (None, "fill") or not ((-size <= numbers) & (numbers < size)).all():
        return NotImplemented
    numbers = np.where(numbers < 0, numbers + size, numbers)
    return quaxify(lambda a: jnp.take(a, numbers, axis=axis, mode="clip"))(a)


def _reshaped(mat: Any, *, new_sizes: Any) -> Any:
    return jsparse.bcoo_reshape(mat, new_sizes=new_sizes)


_reshape = _kernel(_reshaped, "new_sizes")


def _slice(mat: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
    return jsparse.bcoo_slice(
        mat, start_indices=start_indices, limit_indices=limit_indices, strides=strides
    )


register_rule(BCOO, "transpose", _transpose)
register_rule(BCOO, "squeeze", _kernel(jsparse.bcoo_squeeze, "dimensions"))
register_rule(BCOO, "rev", _kernel(jsparse.bcoo_rev, "dimensions"))
register_rule(BCOO, "reshape", _reshape)
register_rule(BCOO, "slice", _kernel(_slice, "start_indices", "limit_indices", "strides"))
register_rule(BCOO, "dynamic_slice", _dynamic_slice)
register_rule(BCOO, "broadcast_in_dim", _broadcast)
register_rule(BCOO, "tile", _tile)
register_rule(BCOO, "pad", _pad)
register_rule(BCOO, "concatenate", _concatenate)
register_rule(BCOO, "stack", _stack)
register_rule(BCOO, "gather", _gather)
register_rule(BCOO, jnp.take, _take)

register_splitting(BCOO)
