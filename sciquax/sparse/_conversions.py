"""Other libraries' sparse arrays."""

from collections.abc import Sequence
from typing import Any

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
