"""Whole functions of a sparse matrix: its diagonal, its trace, its direct solution."""

import functools
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.experimental import sparse as jsparse
from jax.experimental.sparse.linalg import spsolve

from sciquax._storage.promotion import leniently
from sciquax.core import RuleError, describe, register_rule

from ._array import BCOO
from ._indices import array_of, data_of, unique


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements on a diagonal, added up by place."""
    if a.n_batch or len(a.sparse_shape) != 2 or {axis1 % 2, axis2 % 2} != {0, 1}:
        raise RuleError(f"The diagonal of {describe(a)} along these axes is not supported.")
    rows, columns = a.indices[:, axis1 % 2], a.indices[:, axis2 % 2]
    n_rows, n_columns = a.sparse_shape[axis1 % 2], a.sparse_shape[axis2 % 2]
    length = max(
        0, min(n_rows, n_columns - offset) if offset >= 0 else min(n_rows + offset, n_columns)
    )
    start = rows if offset >= 0 else columns
    on = (columns - rows == offset) & (rows < n_rows) & (columns < n_columns)
    at = jnp.where(on, start, length)
    return jnp.zeros(length, a.dtype).at[at].add(data_of(a), mode="drop")


def _diag(v: Any, k: int = 0) -> Any:
    if len(v.aval().shape) == 2:
        return _diagonal(v, k)
    raise RuleError(f"`diag` of a vector takes a dense one, not {describe(v)}.")


def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    del out
    total = jnp.sum(_diagonal(a, offset, axis1, axis2))
    return total if dtype is None else total.astype(dtype)


def _solve(a: Any, b: Any) -> Any:
    """Direct, by JAX's `spsolve`: SuperLU on the CPU, cuSOLVER on a GPU."""
    if not isinstance(a, BCOO) or a.n_batch or isinstance(b, BCOO):
        raise RuleError(f"`solve` takes a sparse matrix and a dense array, not {describe(b)}.")
    mat = jsparse.BCSR.from_bcoo(jsparse.bcoo_sort_indices(unique(a).to_jax()))
    solve = functools.partial(spsolve, mat.data, mat.indices, mat.indptr)
    b = array_of(b)
    if b.ndim == 1:
        return solve(b)
    if b.ndim != 2:
        raise RuleError(
            f"`solve` with a sparse matrix takes vectors or a matrix, not {describe(b)}."
        )
    return lax.map(solve, b.T).T


def _refuse_inverse(a: Any) -> Any:
    raise RuleError(
        f"The inverse of {describe(a)} is dense.", "Solve for what it would be multiplied with."
    )


register_rule(BCOO, jnp.diagonal, leniently(_diagonal))
register_rule(BCOO, jnp.diag, leniently(_diag))
register_rule(BCOO, jnp.trace, leniently(_trace))
register_rule(BCOO, jnp.linalg.solve, leniently(_solve))
register_rule(BCOO, jnp.linalg.inv, leniently(_refuse_inverse))
