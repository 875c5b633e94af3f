"""Moving the elements of a `LoraArray`: the weight and the factors move together."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax._storage.scales_and_factors import axis_groups, gathered_within, move
from sciquax._storage.splitting import register_splitting
from sciquax.core import Structure, bind, facts_of, is_value, register_rule, strip

from ._array import BATCH, COLUMN, ROW, LoraArray, aligned, make, remade
from ._factor_arrays import combine
from ._factors import Operands, Params, _add_arrays, _folded_as, _result, _scaled, _shape

# -- moving elements ------------------------------------------------------------------------------


def _new_kinds(primitive: Any, params: Params, old: Sequence[int], kinds: Sequence[str]) -> Any:
    """The kinds of the moved array's axes, or None if rows and columns are merged."""
    name = primitive.name
    if name == "transpose":
        return [kinds[d] for d in params["permutation"]]
    if name == "squeeze":
        removed = {d % len(old) for d in params["dimensions"]}
        return [k for d, k in enumerate(kinds) if d not in removed]
    if name == "expand_dims":
        ndim = len(old) + len(params["dimensions"])
        added = {d % ndim for d in params["dimensions"]}
        given = iter(kinds)
        return [BATCH if d in added else next(given) for d in range(ndim)]
    if name == "broadcast_in_dim":
        # A repeated axis belongs to the rows: `a` is repeated along it.
        new = [BATCH if n == 1 else ROW for n in params["shape"]]
        for axis, target in enumerate(params["broadcast_dimensions"]):
            new[target] = kinds[axis]
        return new
    if name == "reshape":
        new = [BATCH] * len(params["new_sizes"])
        for left, right in axis_groups(old, params["new_sizes"]):
            found = {kinds[d] for d in left if old[d] != 1}
            if len(found) > 1:
                return None
            for d in right:
                new[d] = next(iter(found), BATCH)
        return new
    return list(kinds)


def _keeps_factors(permutation: Sequence[int], kinds: Sequence[str]) -> bool:
    """Whether rows, columns and batch axes change places without any order among themselves."""
    places = {k: [d for d in permutation if kinds[d] == k] for k in (BATCH, ROW, COLUMN)}
    left = [d for d in permutation if kinds[d] != COLUMN]  # the axes of `a`
    return all(x == sorted(x) for x in (*places.values(), left))


def _move(primitive: Any, operands: Operands, params: Params) -> Any:
    lora, *indices = operands
    if type(lora) is not LoraArray:
        return NotImplemented
    shape = _shape(lora)
    kinds = _new_kinds(primitive, params, shape, lora.kinds)
    if kinds is None:
        return NotImplemented
    if primitive.name == "transpose" and _keeps_factors(params["permutation"], lora.kinds):
        return remade(lora, bind(primitive, lora.w, **params), lora.a, lora.b, kinds)
    a, b = (move(primitive, params, shape, x, indices) for x in aligned(lora))
    if a is None or b is None:
        return NotImplemented
    weight = bind(primitive, lora.w, *indices, **params)
    return _result(lora, weight, a, b, kinds)


def _copy(primitive: Any, operands: Operands, params: Params) -> Any:
    """Primitives that copy their operand leave it where it is."""
    return _move(primitive, operands, params) if facts_of(primitive).copies else NotImplemented


def _gather(primitive: Any, operands: Operands, params: Params) -> Any:
    """Rows (embeddings) or columns picked: an array, of the picked elements alone.

    Whole matrices picked along batch axes stay what they are. Places out of range get no update,
    so that the weight's own fill value stands.
    """
    lora, indices = operands
    numbers = params["dimension_numbers"]
    if type(lora) is not LoraArray or is_value(indices) or numbers.operand_batching_dims:
        return NotImplemented
    indices = jnp.asarray(indices)
    shape, kinds, sizes = _shape(lora), lora.kinds, params["slice_sizes"]
    partial = {k for k, s, n in zip(kinds, sizes, shape, strict=True) if s != n}
    out = bind(primitive, lora.w, indices, **params)
    out_ndim = len(_shape(out))

    def pick(factor: Any, fill: int) -> Any:
        """The factor at the same places; the rank is one more axis of every window, the last."""
        windows = [min(s, m) for s, m in zip(sizes, factor.shape, strict=False)]
        at = indices
        for i, d in enumerate(numbers.start_index_map):
            if factor.shape[d] != shape[d]:  # where it does not vary, at its only place
                at = at.at[..., i].set(0)
        return lax.gather_p.bind(
            factor,
            at,
            **{
                **params,
                "dimension_numbers": lax.GatherDimensionNumbers(
                    (*numbers.offset_dims, out_ndim),
                    numbers.collapsed_slice_dims,
                    numbers.start_index_map,
                ),
                "slice_sizes": (*windows, factor.shape[-1]),
                "fill_value": fill,
            },
        )

    def keep(factor: Any) -> Any:
        """A factor that does not vary along the axes picked from, in the output's axes."""
        factor = lax.squeeze(factor, numbers.collapsed_slice_dims)
        kept = [1] * out_ndim
        for size, d in zip(factor.shape[:-1], numbers.offset_dims, strict=True):
            kept[d] = size
        return lax.broadcast_in_dim(
            factor, (*kept, factor.shape[-1]), (*numbers.offset_dims, out_ndim)
        )

    a, b = aligned(lora)
    if BATCH in partial and len(partial) == 1:
        new = [BATCH] * out_ndim
        remaining = [k for d, k in enumerate(kinds) if d not in numbers.collapsed_slice_dims]
        for d, kind in zip(numbers.offset_dims, remaining, strict=True):
            new[d] = kind
        return _result(lora, out, pick(a, 0), pick(b, 0), new)
    if partial == {COLUMN}:
        a, b = keep(a), pick(b, 0)
    elif partial == {ROW}:
        a, b = pick(a, 0), keep(b)
    else:
        a, b = pick(a, 0), pick(b, 0)
    delta = combine(a, b, lora.scaling)
    if params["mode"] is lax.GatherScatterMode.FILL_OR_DROP:
        # No derivative comes back from where nothing was picked.
        picked = gathered_within(indices, params, shape, delta.ndim)
        delta = jnp.where(picked, delta, jnp.zeros((), delta.dtype))
    return _add_arrays(out, delta)


def _pad(primitive: Any, operands: Operands, params: Params) -> Any:
    """The weight with any value, the update with zeros."""
    lora, value = operands
    if type(lora) is not LoraArray:
        return NotImplemented
    weight = bind(primitive, lora.w, value, **params)
    a, b = (
        lax.pad(
            x,
            jnp.zeros((), x.dtype),
            [
                (0, 0, 0) if m == 1 and k not in (kind, BATCH) else c
                for c, m, k in zip(params["padding_config"], x.shape, lora.kinds, strict=False)
            ]
            + [(0, 0, 0)],
        )
        for x, kind in zip(aligned(lora), (ROW, COLUMN), strict=True)
    )
    return make(lora, weight, a, b, lora.kinds)


def _tile(primitive: Any, operands: Operands, params: Params) -> Any:
    """Repeated along rows by `a`, along columns by `b`, along batch axes by both."""
    (lora,) = operands
    reps = params["reps"]
    a, b = (
        jnp.tile(
            x, [n if k in (kind, BATCH) else 1 for n, k in zip(reps, lora.kinds, strict=True)] + [1]
        )
        for x, kind in zip(aligned(lora), (ROW, COLUMN), strict=True)
    )
    return make(lora, bind(primitive, lora.w, **params), a, b, lora.kinds)


def _concatenate(primitive: Any, operands: Operands, params: Params) -> Any:
    """Side by side along rows or columns: the ranks add up. Another array has no update."""
    axis = params["dimension"]
    operands = [*map(strip, operands)]
    first = next(x for x in operands if type(x) is LoraArray)
    kinds, ndim = first.kinds, len(first.kinds)
    parts = []
    for x in operands:
        if type(x) is not LoraArray:
            shape, dtype = _shape(x), first.a.dtype
            a = jnp.zeros(
                [1 if k == COLUMN else n for n, k in zip(shape, kinds, strict=True)] + [0], dtype
            )
            b = jnp.zeros(
                [1 if k == ROW else n for n, k in zip(shape, kinds, strict=True)] + [0], dtype
            )
        elif (pair := _folded_as(x, kinds)) is None:
            return NotImplemented
        else:
            a, b = pair
        parts.append((a, b))
    ranks = [a.shape[-1] for a, _ in parts]

    def with_rank(x: Any, start: int, total: int) -> Any:
        padding = [(0, 0, 0)] * ndim + [(start, total - start - x.shape[-1], 0)]
        return lax.pad(x, jnp.zeros((), x.dtype), padding)

    def own_ranks(factors: Sequence[Any]) -> Any:
        starts = np.cumsum([0, *ranks[:-1]])
        return jnp.concatenate(
            [with_rank(x, int(s), sum(ranks)) for x, s in zip(factors, starts, strict=True)], axis
        )

    def same_ranks(factors: Sequence[Any]) -> Any:
        return jnp.concatenate([with_rank(x, 0, max(ranks)) for x in factors], axis)

    left, right = [a for a, _ in parts], [b for _, b in parts]
    if kinds[axis] == ROW:
        a, b = own_ranks(left), jnp.concatenate(right, -1)
    elif kinds[axis] == COLUMN:
        a, b = jnp.concatenate(left, -1), own_ranks(right)
    else:
        a, b = same_ranks(left), same_ranks(right)
    weight = bind(primitive, *[x.w if type(x) is LoraArray else x for x in operands], **params)
    return _scaled(make(first, weight, a, b, kinds), 1.0)


def _stack(primitive: Any, operands: Operands, params: Params) -> Any:
    """Along a new batch axis."""
    axis = params["axis"]
    shape = [*_shape(operands[0])]
    kept = tuple(d for d in range(len(shape) + 1) if d != axis)
    shape.insert(axis, 1)
    grow = {"shape": tuple(shape), "broadcast_dimensions": kept, "sharding": None}
    grown = [bind(lax.broadcast_in_dim_p, x, **grow) for x in operands]
    return bind(lax.concatenate_p, *grown, dimension=axis)


register_rule(
    LoraArray,
    "transpose reshape squeeze expand_dims broadcast_in_dim slice rev dynamic_slice".split(),
    _move,
)
register_rule(LoraArray, Structure.ELEMENTWISE, _copy)
register_rule(LoraArray, "gather", _gather)

register_rule(LoraArray, "concatenate", _concatenate)
register_rule(LoraArray, "stack", _stack)
register_rule(LoraArray, "pad", _pad)
register_rule(LoraArray, "tile", _tile)

register_splitting(LoraArray)
