"""The places of stored elements: which are the same, and what stands at them elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import sparse as jsparse

from sciquax._storage.formulas import BandMask, Filled
from sciquax.core import aval_of, is_value, scalar, stated_number, strip

from ._array import BCOO, wrap


def array_of(x: Any) -> Any:
    """A plain array of an operand: stored ones, such as quantised, are read."""
    return x.materialise() if is_value(x) else jnp.asarray(x)


def data_of(x: BCOO) -> Any:
    return array_of(x.data)


def foreign(*operands: Any) -> bool:
    """Whether a value is among them that must not be made dense here, such as a banded matrix."""
    return any(
        is_value(x) and not isinstance(x, BCOO) and not x.transient and type(x).layer > BCOO.layer
        for x in operands
    )


def number_of(x: Any, question: Callable[[np.ndarray], Any] = scalar) -> Any:
    """A number that the program states, or what is asked about it, or None."""
    x = strip(x)
    if isinstance(x, Filled):
        x = x.array
    return None if is_value(x) or np.size(x) != 1 else stated_number(x, question)


def unique(x: BCOO) -> BCOO:
    """With duplicates added up, so that a function may be applied to each element."""
    if x.unique_indices or x.nse <= 1:
        return x
    if not x.sparse_shape:  # all at the one place there is
        data = added_up(data_of(x).T, jnp.zeros(x.nse, jnp.int32), 1).T
        made = jsparse.BCOO((data, x.indices[..., :1, :]), shape=x.aval().shape)
        return wrap(made, x)
    if x.dtype == bool:  # any of them
        counts = unique(x.with_payload(data_of(x).astype(jnp.int32)))
        return counts.with_payload(data_of(counts) > 0)
    return x.as_point()


def inside(x: BCOO) -> Any:
    """A mask of the elements that are not padding."""
    return (x.indices < jnp.asarray(x.sparse_shape, x.indices.dtype)).all(axis=-1)


def without_batch(x: BCOO) -> BCOO:
    """The same with batch axes as sparse ones."""
    if not x.n_batch:
        return x
    batch, shape = x.indices.shape[: x.n_batch], x.aval().shape
    grids = [lax.broadcasted_iota(x.indices.dtype, (*batch, x.nse), d) for d in range(len(batch))]
    indices = jnp.concatenate([jnp.stack(grids, axis=-1), x.indices], axis=-1)
    flat = indices.reshape(-1, len(shape))
    made = jsparse.BCOO(
        (data_of(x).reshape(-1), flat), shape=shape, unique_indices=x.unique_indices
    )
    return wrap(made, x)


def in_batch(mat: BCOO, batch: tuple[int, ...]) -> BCOO | None:
    """One matrix, or a batch of them, for every place of a batch."""
    own = mat.aval().shape[:-2]
    if own == batch and mat.n_batch == len(batch):
        return mat
    if any(n != 1 for n in own):
        return None
    one = wrap(jsparse.bcoo_squeeze(mat.to_jax(), dimensions=tuple(range(len(own)))), mat)
    data, indices = (jnp.broadcast_to(x, (*batch, *x.shape)) for x in (data_of(one), one.indices))
    made = jsparse.BCOO((data, indices), shape=(*batch, *one.sparse_shape))
    made.unique_indices = one.unique_indices
    return wrap(made, mat)


def numbered(places: Any) -> Any:
    """A number for each place, the same for equal places."""
    if places.size == 0:  # none, or all the one place of an array without axes
        return jnp.zeros(len(places), jnp.int32)
    order = jnp.lexsort(places.T[::-1])
    ordered = places[order]
    changes = (ordered[1:] != ordered[:-1]).any(axis=1)
    number = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(changes, dtype=jnp.int32)])
    return jnp.zeros(len(places), jnp.int32).at[order].set(number)


def added_up(data: Any, segments: Any, count: int) -> Any:
    """Sums by segment; of booleans, whether any is true."""
    if data.dtype == bool:
        return added_up(data.astype(jnp.int32), segments, count) > 0
    return jax.ops.segment_sum(data, segments, count)


def elements(data: Any, indices: Any, places: Any) -> Any:
    """The sum of the elements stored at each of `places`, zero if none is. No batch axes."""
    places = jnp.asarray(places, indices.dtype)
    every = numbered(jnp.concatenate([jnp.asarray(indices), places]))
    n = len(indices)
    return added_up(data, every[:n], len(every))[every[n:]]


def together(mats: Sequence[BCOO], fills: Sequence[Any] | None = None) -> list[BCOO]:
    """Sparse arrays of one shape with the same places, none twice: those of any of them.

    `fills` are what each has where it stores nothing, arrays that fit it: zeros, unless given.
    """
    if len({x.n_batch for x in mats}) > 1:
        mats = [*map(without_batch, mats)]
    first = unique(mats[0])
    if all(x.indices is mats[0].indices for x in mats):
        if first is mats[0]:
            return list(mats)
        if all(x.data is mats[0].data for x in mats):
            return [first] * len(mats)
    n_batch = first.n_batch

    def one(arrays: Any, indices: Any) -> Any:
        places = jnp.concatenate(indices)
        segments, size = numbered(places), len(places)
        outside = jnp.broadcast_to(jnp.asarray(first.sparse_shape, places.dtype), places.shape)
        places = outside.at[segments].set(places)
        ends = np.cumsum([len(x) for x in indices])[:-1]
        of_each = jnp.split(segments, ends)
        added = [added_up(x, s, size) for x, s in zip(arrays, of_each, strict=True)]
        stored = [added_up(jnp.ones(len(s), bool), s, size) for s in of_each]
        return added, stored, places

    for _ in range(n_batch):
        one = jax.vmap(one)
    dtype = first.indices.dtype
    arrays, stored, places = one([*map(data_of, mats)], [x.indices.astype(dtype) for x in mats])
    shape = first.aval().shape
    made = [
        wrap(jsparse.BCOO((x, places), shape=shape, unique_indices=True), like)
        for x, like in zip(arrays, mats, strict=True)
    ]
    for i, fill in enumerate(fills or ()):
        if isinstance(fill, jax.Array) or np.any(fill):
            beside = standing_at(fill, made[i], 0)
            made[i] = made[i].with_payload(jnp.where(stored[i], made[i].data, beside))
    return made


def same_kind(mats: Sequence[BCOO]) -> bool:
    """Whether they have one shape and the same batch axes."""
    return len({(x.aval().shape, x.n_batch) for x in mats}) == 1


def fits(array: Any, mat: BCOO) -> bool:
    """Whether an array has `mat`'s shape, or length one along axes, or no axes at all."""
    own, shape = aval_of(array).shape, mat.aval().shape
    return own == () or (
        len(own) == len(shape) and all(m in (1, n) for m, n in zip(own, shape, strict=True))
    )


def standing_at(array: Any, mat: BCOO, fill: Any) -> Any:
    """Elements of an array that `fits` at the places of `mat`; `fill` at padding's."""
    if isinstance(array, Filled):
        array = array.array
    if isinstance(array, BandMask):
        offset = mat.indices[..., -1] - mat.indices[..., -2]
        inner = jnp.ones(offset.shape, bool)
        inner = inner if array.low is None else inner & (offset >= array.low)
        return inner if array.high is None else inner & (offset <= array.high)
    array = array_of(array)
    shape = aval_of(array).shape
    if shape == ():
        return array

    def one(array: Any, indices: Any) -> Any:
        places = tuple(
            indices[:, d] if n != 1 else jnp.zeros_like(indices[:, d])
            for d, n in enumerate(array.shape)
        )
        return array.at[places].get(mode="fill", fill_value=fill)

    for d in reversed(range(mat.n_batch)):
        one = jax.vmap(one, in_axes=(None if shape[d] == 1 else 0, 0))
        array = lax.squeeze(array, [d]) if shape[d] == 1 else array
    return one(array, mat.indices)
