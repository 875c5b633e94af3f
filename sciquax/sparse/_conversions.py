"""Other libraries' sparse arrays."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import sparse as jsparse

from sciquax.core import RuleError, aval_of, short_aval
from sciquax.core.internal import Tracer


def distinct(indices: Any, shape: Sequence[int]) -> tuple[Any, Any]:
    """The index of each element among the distinct places, one more for padding; and the places."""
    if isinstance(indices, Tracer) or indices.ndim != 2:
        raise RuleError(
            "`sum_duplicates` takes places that are known before the program runs, without batch "
            f"axes, not {short_aval(aval_of(indices))}.",
            "Make the array where they are.",
        )
    places = np.asarray(indices)
    inside = (places < np.asarray(shape)).all(axis=1)
    flat = np.ravel_multi_index(tuple(places[inside].T), tuple(shape))
    flat, own = np.unique(flat, return_inverse=True)
    segments = np.full(len(places), len(flat), np.int32)
    segments[inside] = own
    ordered = np.stack(np.unravel_index(flat, tuple(shape)), axis=-1).astype(places.dtype)
    return segments, ordered


def dense(mat: jsparse.BCOO) -> jax.Array:
    if mat.data.dtype == bool:  # JAX's own kernel adds, which booleans do not
        counts = jsparse.BCOO((mat.data.astype(jnp.int32), mat.indices), shape=mat.shape)
        return counts.todense() > 0
    return mat.todense()


def in_slices(mat: jsparse.BCOO) -> jsparse.BCOO | None:
    """With the leading axis as a batch axis, and room in each slice for the fullest one's elements.

    None where that is not known before the program runs.
    """
    if mat.shape[0] == 1 and not mat.n_batch:
        return jsparse.bcoo_update_layout(mat, n_batch=1)
    if mat.n_batch or isinstance(mat.indices, Tracer):
        return None
    n = mat.shape[0]
    leading = np.minimum(np.asarray(mat.indices[:, 0]), n)
    counts = np.bincount(leading, minlength=n + 1)[:n]
    order = np.argsort(leading, kind="stable")[: counts.sum()]
    places = np.full((n, counts.max(initial=0)), mat.nse)  # beyond the last: padding
    places[np.arange(places.shape[1]) < counts[:, None]] = order
    data = mat.data.at[places].get(mode="fill", fill_value=0)
    outside = jnp.asarray(mat.shape, mat.indices.dtype)[None]
    indices = jnp.concatenate([mat.indices, outside])[places][..., 1:]
    return jsparse.BCOO((data, indices), shape=mat.shape, unique_indices=mat.unique_indices)


def in_order(mat: Any) -> Any:
    """A SciPy sparse matrix as a COO by rows and columns, its duplicates added up."""
    csr = mat.tocsr(copy=True)  # which formats add up on their own is SciPy's matter
    csr.sum_duplicates()
    return csr.tocoo()


def bcoo_of_jax(mat: Any) -> jsparse.BCOO:
    """A sparse array of JAX's as its BCOO, dense blocks as so many elements."""
    if isinstance(mat, jsparse.BCSR):
        mat = mat.to_bcoo()
    elif not isinstance(mat, jsparse.BCOO):
        mat = jsparse.BCOO.from_scipy_sparse(_scipy_coo(mat))
    return jsparse.bcoo_update_layout(mat, n_dense=0) if mat.n_dense else mat


def to_scipy(mat: jsparse.BCOO) -> Any:
    """A SciPy COO, duplicates added up and padding left out."""
    import scipy.sparse

    if mat.n_batch or mat.ndim != 2:
        raise ValueError("SciPy's sparse arrays are matrices without batch axes.")
    data, indices = np.asarray(mat.data), np.asarray(mat.indices)
    inside = (indices < np.asarray(mat.shape)).all(axis=1)
    rows, columns = indices[inside].T
    coo = scipy.sparse.coo_array((data[inside], (rows, columns)), shape=mat.shape)
    coo.sum_duplicates()
    return coo


def _scipy_coo(mat: Any) -> Any:
    """A COO, CSR or CSC array of JAX's as a SciPy one."""
    import scipy.sparse

    parts = {n: np.asarray(getattr(mat, n)) for n in ("data",)}
    if isinstance(mat, jsparse.COO):
        places = (np.asarray(mat.row), np.asarray(mat.col))
        return scipy.sparse.coo_matrix((parts["data"], places), shape=mat.shape)
    compressed = {jsparse.CSR: scipy.sparse.csr_matrix, jsparse.CSC: scipy.sparse.csc_matrix}
    make = compressed.get(type(mat))
    if make is None:
        raise TypeError(f"`from_jax` takes an array of `jax.experimental.sparse`, not {type(mat)}.")
    arrays = (parts["data"], np.asarray(mat.indices), np.asarray(mat.indptr))
    return make(arrays, shape=mat.shape).tocoo()


def check(data: Any, indices: Any, shape: tuple[int, ...]) -> None:
    """Refuse stored elements, places and a shape that do not fit."""
    shown = short_aval(aval_of(indices))
    n_batch, n_sparse = indices.ndim - 2, (0, *indices.shape)[-1]
    if n_batch < 0 or not jnp.issubdtype(indices.dtype, jnp.integer):
        raise ValueError(f"Indices are integers of shape (*batch, nse, ndim), not {shown}.")
    if len(shape) != n_batch + n_sparse or aval_of(data).shape != indices.shape[:-1]:
        raise ValueError(
            f"Data {short_aval(aval_of(data))} and indices {shown} do not make an array of shape "
            f"{shape}."
        )
