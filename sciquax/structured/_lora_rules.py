"""What primitives do to a `LoraArray`: the weight's part and the update's part, apart.

Whatever is linear acts on both. Contractions meet the factors one after the other, the smaller
product first, so that the update costs what the rank says.
"""

import string
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import (
    RuleError,
    aval_of,
    bind,
    describe,
    is_value,
    quaxify,
    register_family,
    register_function,
    strip,
)

from ._companion import axis_groups, move
from ._lora import BATCH, COLUMN, ROW, LoraArray, aligned, combine, make

Params = dict[str, Any]
Operands = Sequence[Any]

_add_arrays = quaxify(lax.add)  # of the weight's part, which may be a value, and the update's


def _shape(x: Any) -> tuple[int, ...]:
    return aval_of(x).shape


def _result(like: LoraArray, weight: Any, a: Any, b: Any, kinds: Sequence[str]) -> Any:
    """A LoraArray while there are rows and columns; what is left of a single row is an array."""
    shape = _shape(weight)
    # What an operation repeated, `a` repeats (or `b`, along its own axes).
    a_shape = [1 if k == COLUMN else n for n, k in zip(shape, kinds, strict=True)]
    b_shape = [1 if k == ROW else n for n, k in zip(shape, kinds, strict=True)]
    a = jnp.broadcast_to(a, (*a_shape, a.shape[-1]))
    b = jnp.broadcast_to(b, (*b_shape, b.shape[-1]))
    if ROW in kinds and COLUMN in kinds:
        return make(like, weight, a, b, kinds)
    return _add_arrays(weight, combine(a, b, like.scaling))


# -- moving elements ------------------------------------------------------------------------------


def _new_kinds(primitive: Any, params: Params, old: Sequence[int], kinds: Sequence[str]) -> Any:
    """What the axes of the moved array are, or None where rows and columns are merged."""
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


def _move(primitive: Any, operands: Operands, params: Params) -> Any:
    lora, *indices = operands
    if type(lora) is not LoraArray:
        return NotImplemented
    shape = _shape(lora)
    kinds = _new_kinds(primitive, params, shape, lora.kinds)
    if kinds is None:
        return NotImplemented
    a, b = (move(primitive, params, shape, x, indices) for x in aligned(lora))
    if a is None or b is None:
        return NotImplemented
    weight = bind(primitive, lora.w, *indices, **params)
    return _result(lora, weight, a, b, kinds)


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
        picked = lax.gather_p.bind(
            jnp.ones(shape, bool), indices, **{**params, "fill_value": False}
        )
        delta = jnp.where(picked, delta, jnp.zeros((), delta.dtype))
    return _add_arrays(out, delta)


def _apply_all(primitive: Any, operands: Operands, params: Params) -> Any:
    """Converts or marks every part."""
    (lora,) = operands
    if primitive.name == "convert_element_type" and not jnp.issubdtype(
        params["new_dtype"], jnp.inexact
    ):
        return NotImplemented
    a, b = (primitive.bind(x, **params) for x in aligned(lora))
    return make(lora, bind(primitive, lora.w, **params), a, b, lora.kinds)


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


# -- scaling, adding, summing ---------------------------------------------------------------------


def _scaled(lora: LoraArray, scaling: float) -> LoraArray:
    object.__setattr__(lora, "scaling", scaling)  # only on values that were just made
    return lora


def _folded(lora: LoraArray) -> tuple[Any, Any]:
    """Aligned factors whose product is the whole update, scaling and all."""
    a, b = aligned(lora)
    return a, b if lora.scaling == 1.0 else b * lora.scaling


def _folded_as(lora: LoraArray, kinds: Sequence[str]) -> tuple[Any, Any] | None:
    """The folded factors for axes of these kinds: rows and columns may change places."""
    a, b = _folded(lora)
    swapped = {ROW: COLUMN, COLUMN: ROW, BATCH: BATCH}
    if lora.kinds == tuple(kinds):
        return a, b
    return (b, a) if tuple(swapped[k] for k in lora.kinds) == tuple(kinds) else None


def _neg(primitive: Any, operands: Operands, params: Params) -> Any:
    (lora,) = operands
    a, b = aligned(lora)
    return make(lora, bind(primitive, lora.w, **params), a, -b, lora.kinds)


def _scale(primitive: Any, operands: Operands, params: Params) -> Any:
    """Multiplied or divided by a number, by one number a row, or by one a column."""
    lora, factor = operands
    if type(lora) is not LoraArray:
        if primitive.name == "div":
            return NotImplemented
        lora, factor = factor, lora
    factor = strip(factor)
    if type(factor) is LoraArray:
        return NotImplemented
    shape, kinds, own = _shape(lora), lora.kinds, _shape(factor)
    if own and (
        len(own) != len(shape) or any(m not in (1, n) for m, n in zip(own, shape, strict=True))
    ):
        return NotImplemented
    varies = {k for k, m in zip(kinds, own, strict=bool(own)) if m != 1}
    if ROW in varies and COLUMN in varies:
        return NotImplemented
    a, b = aligned(lora)
    number = quaxify(lambda x: lax.expand_dims(x, (x.ndim,)))(factor) if own else factor
    which = COLUMN if COLUMN in varies else ROW
    if which == ROW:
        a = bind(primitive, a, number, **params)
    else:
        b = bind(primitive, b, number, **params)
    weight = bind(primitive, *[lora.w if x is lora else strip(x) for x in operands], **params)
    return _result(lora, weight, a, b, kinds)


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    """With another LoraArray, the ranks add up; any other array is added to the weight."""
    x, y = map(strip, operands)
    if type(x) is LoraArray and type(y) is LoraArray:
        other = _folded_as(y, x.kinds)
        if other is None or _shape(x) != _shape(y):
            return NotImplemented
        (a, b), (c, d) = _folded(x), other
        d = -d if primitive.name == "sub" else d
        a, b = jnp.concatenate([a, c], -1), jnp.concatenate([b, d], -1)
        weight = bind(primitive, x.w, y.w, **params)
        return _scaled(make(x, weight, a, b, x.kinds), 1.0)
    lora = x if type(x) is LoraArray else y
    weight = bind(primitive, *[lora.w if z is lora else z for z in (x, y)], **params)
    if _shape(weight) != _shape(lora):
        return NotImplemented
    a, b = aligned(lora)
    b = -b if primitive.name == "sub" and lora is y else b
    return make(lora, weight, a, b, lora.kinds)


def _sum(primitive: Any, operands: Operands, params: Params) -> Any:
    (lora,) = operands
    axes, kinds = params["axes"], lora.kinds
    a, b = aligned(lora)
    batch = [d for d in axes if kinds[d] == BATCH]
    if batch:  # a sum of products is one product of more ranks
        a, b = (
            jnp.moveaxis(x, batch, range(-1 - len(batch), -1)).reshape(
                *[1 if d in batch else n for d, n in enumerate(x.shape[:-1])], -1
            )
            for x in (a, b)
        )
    a, b = (jnp.sum(x, axis=tuple(axes)) for x in (a, b))  # over an axis of one: nothing
    kept = [k for d, k in enumerate(kinds) if d not in axes]
    return _result(lora, bind(primitive, lora.w, **params), a, b, kept)


# -- contracting ----------------------------------------------------------------------------------


def _dot_general(primitive: Any, operands: Operands, params: Params) -> Any:
    """`W @ x + s (a @ (b @ x))`, for every form of the contraction."""
    x, y = map(strip, operands)
    lora_first = type(x) is LoraArray
    lora, other = (x, y) if lora_first else (y, x)
    whole = bind(primitive, *((lora.w, other) if lora_first else (other, lora.w)), **params)

    (contract_x, contract_y), (batch_x, batch_y) = params["dimension_numbers"]
    contract, other_contract = (contract_x, contract_y) if lora_first else (contract_y, contract_x)
    batch, other_batch = (batch_x, batch_y) if lora_first else (batch_y, batch_x)
    kinds = lora.kinds
    letters = iter(string.ascii_letters)
    rank = next(letters)
    own = [next(letters) for _ in kinds]
    others = [next(letters) for _ in _shape(other)]
    for d, e in (
        *zip(contract, other_contract, strict=True),
        *zip(batch, other_batch, strict=True),
    ):
        others[e] = own[d]
    free = [c for d, c in enumerate(own) if d not in (*contract, *batch)]
    other_free = [c for e, c in enumerate(others) if e not in (*other_contract, *other_batch)]
    out = [own[d] for d in batch] + (free + other_free if lora_first else other_free + free)

    batch_letters = [c for c, k in zip(own, kinds, strict=True) if k == BATCH]
    a_spec = [c for c, k in zip(own, kinds, strict=True) if k != COLUMN] + [rank]
    b_spec = batch_letters + [rank] + [c for c, k in zip(own, kinds, strict=True) if k == COLUMN]
    factors = [(a_spec, lora.a), (b_spec, lora.b)]
    if any(kinds[d] == COLUMN for d in contract) or not any(kinds[d] == ROW for d in contract):
        factors.reverse()  # contract with `b` first
    (first_spec, first), (second_spec, second) = factors
    needed = {*second_spec, *out}
    middle = [c for c in dict.fromkeys([*others, *first_spec]) if c in needed]

    dtype = jnp.promote_types(aval_of(other).dtype, lora.a.dtype)
    first, second = first.astype(dtype), second.astype(dtype)
    options = {"precision": params["precision"]}

    def update(other: Any) -> Any:
        if other.dtype != dtype:
            other = other.astype(dtype)
        spec = f"{''.join(others)},{''.join(first_spec)}->{''.join(middle)}"
        partial = jnp.einsum(spec, other, first, **options)
        spec = f"{''.join(middle)},{''.join(second_spec)}->{''.join(out)}"
        return jnp.einsum(
            spec,
            partial,
            second,
            preferred_element_type=params["preferred_element_type"],
            **options,
        )

    delta = quaxify(update)(other)
    return _plus(whole, delta, lora.scaling)


def _plus(whole: Any, delta: Any, scaling: float) -> Any:
    dtype = aval_of(whole).dtype
    if scaling != 1.0:
        delta = quaxify(lambda x: x * scaling)(delta)
    if aval_of(delta).dtype != dtype:
        delta = quaxify(lambda x: x.astype(dtype))(delta)
    return _add_arrays(whole, delta)


def _conv(primitive: Any, operands: Operands, params: Params) -> Any:
    """A convolution with the update is two: with one factor, and of one pixel with the other."""
    image, kernel = map(strip, operands)
    if type(kernel) is not LoraArray or type(image) is LoraArray:
        return NotImplemented
    numbers, kinds = params["dimension_numbers"], kernel.kinds
    out_axis, in_axis, *window = numbers.rhs_spec
    rows = [d for d, k in enumerate(kinds) if k == ROW]
    columns = [d for d, k in enumerate(kinds) if k == COLUMN]
    if len(rows) + len(columns) != len(kinds) or params["batch_group_count"] != 1:
        return NotImplemented
    groups = params["feature_group_count"]
    a, b = aligned(kernel)
    pixel, rest = (a, b) if rows in ([out_axis], [in_axis]) else (b, a)
    alone = rows if pixel is a else columns

    def with_rank(factor: Any, axis: int) -> Any:
        """The factor as a kernel whose axis `axis` is the rank."""
        return jnp.squeeze(jnp.moveaxis(factor, -1, axis), axis + 1)

    if alone == [out_axis]:
        # First the window, to `rank` channels a group; then one pixel, to the output channels.
        first = jnp.concatenate([with_rank(rest, out_axis)] * groups, out_axis)
        order = ((first, False), (with_rank(pixel, in_axis), True))
    elif alone == [in_axis] and groups == 1:
        # First one pixel, from the input channels to `rank`; then the window.
        order = ((with_rank(pixel, out_axis), True), (with_rank(rest, in_axis), False))
    else:
        return NotImplemented
    whole = bind(primitive, image, kernel.w, **params)
    spatial = len(window)
    one = {
        **params,
        "window_strides": (1,) * spatial,
        "padding": ((0, 0),) * spatial,
        "lhs_dilation": (1,) * spatial,
        "rhs_dilation": (1,) * spatial,
    }
    out = image
    for factor, single in order:
        arguments = one if single else params
        lhs_spec = numbers.lhs_spec if out is image else numbers.out_spec
        arguments = {
            **arguments,
            "dimension_numbers": lax.ConvDimensionNumbers(
                lhs_spec, numbers.rhs_spec, numbers.out_spec
            ),
        }
        out = bind(primitive, out, factor, **arguments)
    return _plus(whole, out, kernel.scaling)


register_family(
    LoraArray,
    "transpose reshape squeeze expand_dims broadcast_in_dim slice rev dynamic_slice copy "
    "copy_p".split(),
    _move,
)
register_family(LoraArray, "gather", _gather)
register_family(
    LoraArray,
    "convert_element_type stop_gradient reduce_precision name sharding_constraint conj".split(),
    _apply_all,
)
register_family(LoraArray, "concatenate", _concatenate)
register_family(LoraArray, "stack", _stack)
register_family(LoraArray, "pad", _pad)
register_family(LoraArray, "tile", _tile)
register_family(LoraArray, "neg", _neg)
register_family(LoraArray, "mul div".split(), _scale)
register_family(LoraArray, "add sub add_any".split(), _add)
register_family(LoraArray, "reduce_sum", _sum)
register_family(LoraArray, "dot_general", _dot_general)
register_family(LoraArray, "conv_general_dilated", _conv)


# -- whole functions ------------------------------------------------------------------------------


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Of the weight, and of the update from one row and one column each."""
    if type(a) is not LoraArray:
        raise RuleError(f"The diagonal of {describe(a)} is not supported.")
    ndim, kinds = len(a.kinds), a.kinds
    places = [axis1 % ndim, axis2 % ndim]
    if {kinds[d] for d in places} != {ROW, COLUMN} or kinds.count(BATCH) != ndim - 2:
        raise RuleError(f"The diagonal of {describe(a)} along these axes is not supported.")
    m, n = (_shape(a)[d] for d in places)
    length = max(0, min(m, n - offset) if offset >= 0 else min(m + offset, n))
    starts = (max(0, -offset), max(0, offset))
    of_weight = quaxify(lambda w: jnp.diagonal(w, offset, axis1, axis2))(a.w)
    parts = []
    for factor, kind in zip(aligned(a), (ROW, COLUMN), strict=True):
        own = next(i for i, d in enumerate(places) if kinds[d] == kind)
        along = lax.slice_in_dim(factor, starts[own], starts[own] + length, axis=places[own])
        flat = jnp.squeeze(along, places[1 - own])
        # The axis that is left is where the other one was taken out.
        at = places[own] - (places[1 - own] < places[own])
        parts.append(jnp.moveaxis(flat, at, -2))
    delta = jnp.sum(parts[0] * parts[1], axis=-1) * a.scaling
    return _add_arrays(of_weight, delta)


def _diag(v: Any, k: int = 0) -> Any:
    return _diagonal(v, k)


def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    del out
    diagonal = _diagonal(a, offset, axis1, axis2)
    return quaxify(lambda d: jnp.sum(d, -1, dtype=dtype))(diagonal)


register_function(LoraArray, jnp.diagonal, _diagonal)
register_function(LoraArray, jnp.diag, _diag)
register_function(LoraArray, jnp.trace, _trace)
