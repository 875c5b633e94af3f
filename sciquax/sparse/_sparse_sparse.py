"""Contractions of two sparse arrays: the products that occur, and no others where that is known."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import sparse as jsparse

from sciquax.core import RuleError, describe
from sciquax.core.internal import Tracer

from ._array import BCOO, wrap
from ._host.rows import csr_of
from ._indices import data_of, elements, inside, without_batch

_MOST_PRODUCTS = 50_000_000


def sparse_sparse(lhs: BCOO, rhs: BCOO, dimensions: Any) -> Any:
    """`dot_general` of two: sparse, but for vectors and numbers."""
    (contract, batch) = dimensions
    leading = all(a < x.n_batch for x, axes in zip((lhs, rhs), batch, strict=True) for a in axes)
    if batch != ((), ()) and leading and lhs.n_batch == rhs.n_batch == len(batch[0]):
        try:
            out = jsparse.bcoo_dot_general(lhs.to_jax(), rhs.to_jax(), dimension_numbers=dimensions)
        except NotImplementedError as error:
            what = f"`dot_general` of {describe(lhs)} and {describe(rhs)}"
            raise RuleError(f"{what}: {error}") from None
        if not isinstance(out, jsparse.BCOO):
            return out
        return out.todense() if out.ndim <= 1 else wrap(out, lhs)
    lhs, rhs = without_batch(lhs), without_batch(rhs)
    matrices = len(lhs.sparse_shape) == len(rhs.sparse_shape) == 2 and len(contract[0]) == 1
    if matrices and batch == ((), ()) and (found := _by_scipy(lhs, rhs, contract)) is not None:
        return found
    roles = [(*b, *c) for b, c in zip(batch, contract, strict=True)]
    free = [
        [d for d in range(len(x.sparse_shape)) if d not in axes]
        for x, axes in zip((lhs, rhs), roles, strict=True)
    ]
    shape = [lhs.sparse_shape[d] for d in (*batch[0], *free[0])]
    shape = (*shape, *[rhs.sparse_shape[d] for d in free[1]])
    if not any(isinstance(x.indices, Tracer) for x in (lhs, rhs)):
        pairs = _known_pairs(lhs, rhs, roles)
    elif not free[0] or not free[1]:
        return _looked_up(lhs, rhs, roles, free, shape, len(batch[0]))
    else:
        pairs = _possible_pairs(lhs, rhs, roles)
    left, right, meet = pairs
    data = data_of(lhs)[left] * data_of(rhs)[right]
    data = data if meet is None else jnp.where(meet, data, jnp.zeros((), data.dtype))
    own, other = (jnp.asarray, jnp.asarray) if meet is not None else (np.asarray, np.asarray)
    columns = [own(lhs.indices)[left][:, d] for d in (*batch[0], *free[0])]
    columns += [other(rhs.indices)[right][:, d] for d in free[1]]
    if not columns:
        return jnp.sum(data)
    if meet is None:
        return _known_sums(data, columns, shape, lhs)
    outside = [jnp.where(meet, c, n) for c, n in zip(columns, shape, strict=True)]
    return _placed(data, jnp.stack(outside, axis=-1), shape, lhs)


def _by_scipy(lhs: BCOO, rhs: BCOO, contract: Any) -> BCOO | None:
    """Of two matrices that are there."""
    if lhs.dtype != rhs.dtype:
        return None
    left = csr_of(data_of(lhs), lhs.indices, lhs.sparse_shape)
    right = None if left is None else csr_of(data_of(rhs), rhs.indices, rhs.sparse_shape)
    if left is None or right is None:
        return None
    left = left if contract[0][0] == 1 else left.T
    right = right if contract[1][0] == 0 else right.T
    out = (left @ right).tocsr()
    rows = np.repeat(np.arange(out.shape[0], dtype=np.int32), np.diff(out.indptr))
    places = np.stack([rows, out.indices.astype(np.int32)], axis=-1)
    made = jsparse.BCOO(
        (jnp.asarray(out.data), jnp.asarray(places)),
        shape=out.shape,
        unique_indices=True,
    )
    return wrap(made, lhs)


def _placed(data: Any, places: Any, shape: tuple[int, ...], like: BCOO) -> Any:
    if len(shape) == 1:
        return jnp.zeros(shape, data.dtype).at[places[:, 0]].add(data, mode="drop")
    made = jsparse.BCOO((data, places), shape=shape)
    if math.prod(shape) < made.nse:
        made = jsparse.bcoo_sum_duplicates(made, nse=math.prod(shape))
    return wrap(made, like)


def _known_sums(data: Any, columns: list[Any], shape: tuple[int, ...], like: BCOO) -> Any:
    """Products added up by place, where places are known."""
    flat = np.ravel_multi_index(tuple(columns), shape) if len(data) else np.zeros(0, np.int64)
    distinct, segment = np.unique(flat, return_inverse=True)
    data = jax.ops.segment_sum(data, jnp.asarray(segment), len(distinct))
    if len(shape) == 1:
        return jnp.zeros(shape, data.dtype).at[jnp.asarray(distinct)].set(data)
    indices = np.stack(np.unravel_index(distinct, shape), axis=-1).astype(np.int32)
    return BCOO(
        data,
        indices,
        shape,
        indices_sorted=True,
        unique_indices=True,
        allow_materialise=like.allow_materialise,
    )


# -- which elements meet --------------------------------------------------------------------------


def _known_pairs(lhs: BCOO, rhs: BCOO, roles: Any) -> tuple[Any, Any, None]:
    """The numbers of the elements that meet, found on the host."""
    left, right = np.asarray(lhs.indices), np.asarray(rhs.indices)
    left_ok = np.flatnonzero((left < np.asarray(lhs.sparse_shape)).all(axis=1))
    right_ok = np.flatnonzero((right < np.asarray(rhs.sparse_shape)).all(axis=1))
    wanted, keys = np.zeros(len(left_ok), np.int64), np.zeros(len(right_ok), np.int64)
    for i, j in zip(*roles, strict=True):
        wanted = wanted * lhs.sparse_shape[i] + left[left_ok, i]
        keys = keys * lhs.sparse_shape[i] + right[right_ok, j]
    order = right_ok[np.argsort(keys, kind="stable")]
    keys = np.sort(keys)
    first, last = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
    counts = last - first
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(left_ok, counts), order[np.repeat(first, counts) + offsets], None


def _possible_pairs(lhs: BCOO, rhs: BCOO, roles: Any) -> tuple[Any, Any, Any]:
    """Every pair that may meet, and which do: places are only known when the program runs.

    Of a matrix made outside of the program it is known how many elements a row or a column has at
    most; so few are looked at for each element of the other.
    """
    if len(roles[0]) == 1:
        (i,), (j,) = roles
        if rhs.most is not None and len(rhs.sparse_shape) == 2:
            return _along(lhs, i, rhs, j, rhs.most[j])
        if lhs.most is not None and len(lhs.sparse_shape) == 2:
            right, left, meet = _along(rhs, j, lhs, i, lhs.most[i])
            return left, right, meet
    if lhs.nse * rhs.nse > _MOST_PRODUCTS:
        raise _unknown(lhs, rhs)
    left, right = lhs.indices, rhs.indices.astype(lhs.indices.dtype)
    meet = inside(lhs)[:, None] & inside(rhs)[None, :]
    for i, j in zip(*roles, strict=True):
        meet &= left[:, None, i] == right[None, :, j]
    numbers = np.indices(meet.shape).reshape(2, -1)
    return *numbers, meet.reshape(-1)


def _along(lhs: BCOO, i: int, rhs: BCOO, j: int, most: int) -> tuple[Any, Any, Any]:
    """For each element of one, the few of the other, at most, that have its number on an axis."""
    if lhs.nse * most > _MOST_PRODUCTS:
        raise _unknown(lhs, rhs)
    size = rhs.sparse_shape[j]
    keys = jnp.where(inside(rhs), rhs.indices[:, j], size)
    order = jnp.argsort(keys)
    starts = jnp.searchsorted(keys[order], jnp.arange(size + 1, dtype=keys.dtype))
    wanted = jnp.where(inside(lhs), lhs.indices[:, i], size)
    first = starts.at[wanted].get(mode="fill", fill_value=rhs.nse)
    last = starts.at[wanted + 1].get(mode="fill", fill_value=0)
    at = first[:, None] + jnp.arange(most, dtype=first.dtype)
    meet = at < last[:, None]
    right = order[jnp.minimum(at, rhs.nse - 1)]
    left = np.repeat(np.arange(lhs.nse), most)
    return left, right.reshape(-1), meet.reshape(-1)


def _unknown(lhs: BCOO, rhs: BCOO) -> RuleError:
    return RuleError(
        f"`dot_general` of {describe(lhs)} and {describe(rhs)}, whose places are only known "
        "when the program runs, would make room for the product of their numbers of elements.",
        "Multiply them outside of `jit`, or apply one after the other: `A @ (B @ x)`.",
    )


def _looked_up(lhs: BCOO, rhs: BCOO, roles: Any, free: Any, shape: Any, n_batch: int) -> Any:
    """Where one has no axes of its own: what it stores at the places of the other."""
    first, second, axes = (lhs, rhs, roles) if not free[1] else (rhs, lhs, roles[::-1])
    order = np.argsort(axes[1])
    wanted = first.indices[:, [axes[0][k] for k in order]]
    wanted = jnp.where(inside(first)[:, None], wanted, jnp.asarray(second.sparse_shape))
    met = elements(jnp.where(inside(second), data_of(second), 0), second.indices, wanted)
    data = jnp.where(inside(first), data_of(first) * met, 0)
    kept = [*axes[0][:n_batch], *(free[0] if first is lhs else free[1])]
    if not kept:
        return jnp.sum(data)
    places = jnp.where(inside(first)[:, None], first.indices[:, kept], jnp.asarray(shape))
    return _placed(data, places, shape, lhs)
