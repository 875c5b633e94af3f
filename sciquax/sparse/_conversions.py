"""Other libraries' sparse arrays."""

from typing import Any

import numpy as np
from jax.experimental import sparse as jsparse


def to_scipy_coo(mat: Any) -> Any:
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
