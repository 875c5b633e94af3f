"""Contractions with sparse arrays: by rows, by JAX's kernels, element by element, sparse-sparse."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import sparse as jsparse

from sciquax._storage.promotion import leniently
from sciquax.core import RuleError, describe, register_rule, strip
from sciquax.core.internal import Tracer

from ._array import BCOO, wrap
from ._indices import array_of, data_of, foreign, inside, without_batch
from ._row_layout import matmul

Params = dict[str, Any]
Operands = Sequence[Any]

_MOST_PRODUCTS = 50_000_000


def _dot_general(primitive: Any, operands: Operands, params: Params) -> Any:
    if foreign(*map(strip, operands)):
        return NotImplemented
    lhs, rhs = (x if isinstance(x, BCOO) else array_of(x) for x in map(strip, operands))
    if lhs.dtype == rhs.dtype == bool:  # any of all
        counted = {**params, "preferred_element_type": None}
        lhs, rhs = (_converted(x, jnp.int32) for x in (lhs, rhs))
        out = product(lhs, rhs, params["dimension_numbers"], counted)
        return _converted(out, bool)
    if not isinstance(lhs, BCOO) or not isinstance(rhs, BCOO):  # so that derivatives fit too
        dtype = jnp.result_type(lhs.dtype, rhs.dtype)
        lhs, rhs = (x if x.dtype == dtype else _converted(x, dtype) for x in (lhs, rhs))
    return product(lhs, rhs, params["dimension_numbers"], params)


def _converted(x: Any, dtype: Any) -> Any:
    return x.with_payload(data_of(x).astype(dtype)) if isinstance(x, BCOO) else x.astype(dtype)


def product(lhs: Any, rhs: Any, dimensions: Any, params: Params) -> Any:
    """`dot_general` of a sparse array and another one, sparse or dense."""
    (contract, batch) = dimensions
    if isinstance(lhs, BCOO) and isinstance(rhs, BCOO):
        return _sparse_sparse(lhs, rhs, dimensions, params)
    out: Any
    side = 0 if isinstance(lhs, BCOO) else 1
    mat: Any = lhs if side == 0 else rhs
    dense: Any = rhs if side == 0 else lhs
    by_rows = (
        mat.layout is not None
        and batch == ((), ())
        and tuple(contract[side]) == (1,)
        and mat.n_batch == 0
    )
    if by_rows:
        x = jnp.moveaxis(dense, contract[1 - side][0], 0)
        layout: Any = mat.layout
        out = matmul(layout, data_of(mat), x, mat.sparse_shape[0])
        out = out if side == 0 else jnp.moveaxis(out, 0, -1)
        return _preferred(out, params)
    contract, batch = (contract, batch) if side == 0 else (contract[::-1], batch[::-1])
    if any(axis >= mat.n_batch for axis in batch[0]):
        out = _element_by_element(without_batch(mat), dense, contract, batch)
        out = _preferred(out, params)
    else:
        options = {
            k: params[k]
            for k in ("precision", "preferred_element_type")
            if params.get(k) is not None
        }
        numbers = (tuple(contract), tuple(batch))
        out = jsparse.bcoo_dot_general(mat.to_jax(), dense, dimension_numbers=numbers, **options)
    if side == 0:
        return out
    # Batch axes, the matrix's, the array's: the last two change places.
    n_batch = len(batch[0])
    n_mat = len(mat.aval().shape) - n_batch - len(contract[0])
    order = [*range(n_batch), *range(n_batch + n_mat, out.ndim), *range(n_batch, n_batch + n_mat)]
    return lax.transpose(out, order)


def _element_by_element(mat: BCOO, dense: Any, contract: Any, batch: Any) -> Any:
    """Each element times what it meets, added where it goes: for batch axes that are sparse."""
    roles = (*batch[0], *contract[0])
    free = [d for d in range(len(mat.sparse_shape)) if d not in roles]
    other = [d for d in range(dense.ndim) if d not in (*batch[1], *contract[1])]
    dense = lax.transpose(dense, (*batch[1], *contract[1], *other))
    met = dense.at[tuple(mat.indices[:, d] for d in roles)].get(mode="fill", fill_value=0)
    data = jnp.where(inside(mat), data_of(mat), 0)
    terms = data.reshape(-1, *[1] * len(other)) * met
    kept = (*batch[0], *free)
    shape = (*[mat.sparse_shape[d] for d in kept], *met.shape[1:])
    places = tuple(mat.indices[:, d] for d in kept)
    if not places:
        return terms.sum(0)
    return jnp.zeros(shape, terms.dtype).at[places].add(terms, mode="drop")


def _preferred(out: Any, params: Params) -> Any:
    dtype = params.get("preferred_element_type")
    return out if dtype is None else _converted(out, dtype)


# -- sparse times sparse --------------------------------------------------------------------------


def _sparse_sparse(lhs: BCOO, rhs: BCOO, dimensions: Any, params: Params) -> Any:
    """Sparse; exactly the products that occur, where the places are known."""
    (contract, batch) = dimensions
    single = batch == ((), ()) and not lhs.n_batch and not rhs.n_batch
    known = not any(isinstance(x.indices, Tracer) for x in (lhs, rhs))
    matrices = all(len(x.sparse_shape) <= 2 for x in (lhs, rhs))
    if single and known and matrices and len(contract[0]) == 1:
        return _preferred(_known_product(lhs, rhs, contract[0][0], contract[1][0]), params)
    if lhs.nse * rhs.nse > _MOST_PRODUCTS:
        raise RuleError(
            f"`dot_general` of {describe(lhs)} and {describe(rhs)}, whose places are only known "
            "when the program runs, would make room for the product of their numbers of elements.",
            "Multiply them outside of `jit`, or apply one after the other: `A @ (B @ x)`.",
        )
    if single:
        return _preferred(_every_pair(lhs, rhs, contract), params)
    try:
        out = jsparse.bcoo_dot_general(lhs.to_jax(), rhs.to_jax(), dimension_numbers=dimensions)
    except NotImplementedError as error:
        raise RuleError(f"`dot_general` of {describe(lhs)} and {describe(rhs)}: {error}") from None
    if not isinstance(out, jsparse.BCOO):
        return _preferred(out, params)
    return out.todense() if out.ndim <= 1 else _preferred(wrap(out, lhs), params)


def _every_pair(lhs: BCOO, rhs: BCOO, contract: Any) -> Any:
    """Room for every pair of elements, since which of them meet is not known yet."""
    left, right = lhs.indices, rhs.indices.astype(lhs.indices.dtype)
    meet = inside(lhs)[:, None] & inside(rhs)[None, :]
    for i, j in zip(*contract, strict=True):
        meet &= left[:, None, i] == right[None, :, j]
    data = jnp.where(meet, data_of(lhs)[:, None] * data_of(rhs)[None, :], 0).reshape(-1)
    free = [
        [d for d in range(len(x.sparse_shape)) if d not in axes]
        for x, axes in zip((lhs, rhs), contract, strict=True)
    ]
    shape = tuple(x.sparse_shape[d] for x, axes in zip((lhs, rhs), free, strict=True) for d in axes)
    if not shape:
        return data.sum()
    pairs = meet.shape
    columns = [jnp.broadcast_to(left[:, None, d], pairs) for d in free[0]]
    columns += [jnp.broadcast_to(right[None, :, d], pairs) for d in free[1]]
    places = jnp.stack(columns, axis=-1)
    places = jnp.where(meet[..., None], places, jnp.asarray(shape, places.dtype))
    places = places.reshape(-1, len(shape))
    if len(shape) == 1:
        return jnp.zeros(shape, data.dtype).at[places[:, 0]].add(data, mode="drop")
    made = jsparse.BCOO((data, places), shape=shape)
    if math.prod(shape) < made.nse:
        made = jsparse.bcoo_sum_duplicates(made, nse=math.prod(shape))
    return wrap(made, lhs)


def _known_product(lhs: BCOO, rhs: BCOO, lhs_axis: int, rhs_axis: int) -> Any:
    """Every pair of elements that meet, found on the host; their products, added up by place."""
    left, right = np.asarray(lhs.indices), np.asarray(rhs.indices)
    left_ok = np.flatnonzero((left < np.asarray(lhs.sparse_shape)).all(axis=1))
    right_ok = np.flatnonzero((right < np.asarray(rhs.sparse_shape)).all(axis=1))
    order = right_ok[np.argsort(right[right_ok, rhs_axis], kind="stable")]
    keys = right[order, rhs_axis]
    wanted = left[left_ok, lhs_axis]
    first, last = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
    counts = last - first
    pairs_left = np.repeat(left_ok, counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    pairs_right = order[np.repeat(first, counts) + offsets]
    columns = [np.delete(left, lhs_axis, 1)[pairs_left], np.delete(right, rhs_axis, 1)[pairs_right]]
    places = np.concatenate(columns, axis=1)
    shape = (*np.delete(lhs.sparse_shape, lhs_axis), *np.delete(rhs.sparse_shape, rhs_axis))
    shape = tuple(int(n) for n in shape)
    products = data_of(lhs)[pairs_left] * data_of(rhs)[pairs_right]
    if not shape:
        return jnp.sum(products)
    flat = np.ravel_multi_index(tuple(places.T), shape) if len(places) else np.zeros(0, np.int64)
    distinct, segment = np.unique(flat, return_inverse=True)
    data = jax.ops.segment_sum(products, jnp.asarray(segment), len(distinct))
    if len(shape) == 1:
        return jnp.zeros(shape, data.dtype).at[jnp.asarray(distinct)].set(data)
    indices = np.stack(np.unravel_index(distinct, shape), axis=-1).astype(np.int32)
    return BCOO(
        data,
        indices,
        shape,
        indices_sorted=True,
        unique_indices=True,
        allow_materialise=lhs.allow_materialise,
    )


register_rule(BCOO, "dot_general", leniently(_dot_general))
