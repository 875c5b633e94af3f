"""Contractions of sparse arrays with dense ones: by SciPy, by rows, by JAX's kernels."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.experimental import sparse as jsparse

from sciquax.core import register_rule, strip

from ._array import BCOO
from ._host.rows import csr_of, is_there
from ._indices import array_of, data_of, foreign, inside, without_batch
from ._row_layout import matmul as by_rows
from ._sparse_sparse import sparse_sparse

Params = dict[str, Any]
Operands = Sequence[Any]


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
        return _preferred(sparse_sparse(lhs, rhs, dimensions), params)
    out: Any
    side = 0 if isinstance(lhs, BCOO) else 1
    mat: Any = lhs if side == 0 else rhs
    dense: Any = rhs if side == 0 else lhs
    if batch == ((), ()) and mat.n_batch == 0 and len(mat.sparse_shape) == 2:
        if len(contract[side]) == 1:
            x = jnp.moveaxis(dense, contract[1 - side][0], 0)
            out = matrix_times(mat, x, transposed=contract[side][0] == 0)
            return _preferred(out if side == 0 else jnp.moveaxis(out, 0, -1), params)
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


def matrix_times(mat: BCOO, x: Any, transposed: bool = False) -> Any:
    """A matrix, or its transpose, times an array along the first axis of that.

    By SciPy where both are there; compiled, by rows or element by element.
    """
    data = data_of(mat)
    if is_there(x) and data.dtype == x.dtype:
        csr = csr_of(data, mat.indices, mat.sparse_shape, now=False)
        if csr is not None:
            flat = np.asarray(x)
            if x.ndim > 1:
                flat = flat.reshape(x.shape[0], math.prod(x.shape[1:]))
            out = (csr.T if transposed else csr) @ flat
            return jax.device_put(out.reshape(len(out), *x.shape[1:]), x.sharding)
    rows = mat.sparse_shape[1 if transposed else 0]
    return _compiled(data, x, mat.indices, None if transposed else mat.layout, rows, transposed)


@functools.partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def _compiled(data: Any, x: Any, places: Any, layout: Any, rows: int, transposed: bool) -> Any:
    if layout is not None:
        return by_rows(layout, data, x, rows)
    return _added(data, x, places, rows, transposed)


def _added(data: Any, x: Any, places: Any, rows: int, transposed: bool) -> Any:
    """Each element times what it meets, added to its row: gathers in the derivatives by both."""
    to, met = (places[:, 1], places[:, 0]) if transposed else (places[:, 0], places[:, 1])
    terms = data.reshape(-1, *[1] * (x.ndim - 1)) * x.at[met].get(mode="fill", fill_value=0)
    return jnp.zeros((rows, *x.shape[1:]), terms.dtype).at[to].add(terms, mode="drop")


def _compiled_jvp(rows: int, transposed: bool, primals: Any, tangents: Any) -> Any:
    data, x, places, layout = primals
    d_data, d_x, *_ = tangents
    out = _compiled(data, x, places, layout, rows, transposed)
    terms = []
    if type(d_data) is not SymbolicZero:
        terms.append(_added(d_data, x, places, rows, transposed))
    if type(d_x) is not SymbolicZero:
        terms.append(_added(data, d_x, places, rows, transposed))
    return out, functools.reduce(jnp.add, terms) if terms else jnp.zeros_like(out)


_compiled.defjvp(_compiled_jvp, symbolic_zeros=True)


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


register_rule(BCOO, "dot_general", _dot_general)
