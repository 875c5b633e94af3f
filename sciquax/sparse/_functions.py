"""Whole functions of a sparse matrix: its diagonal, its trace."""

from typing import Any

import jax.numpy as jnp

from sciquax.core import RuleError, describe, register_rule

from ._array import BCOO
from ._indices import data_of


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements on a diagonal, added up by place."""
    if not isinstance(a, BCOO) or not all(hasattr(x, "__index__") for x in (offset, axis1, axis2)):
        raise RuleError(
            "The diagonal of a sparse matrix takes one, and places that are integers, not "
            f"{', '.join(map(describe, (a, offset, axis1, axis2)))}."
        )
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
        return diagonal(v, k)
    raise RuleError(f"`diag` of a vector takes a dense one, not {describe(v)}.")


def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    del out
    total = jnp.sum(diagonal(a, offset, axis1, axis2))
    return total if dtype is None else total.astype(dtype)


register_rule(BCOO, jnp.diagonal, diagonal)
register_rule(BCOO, jnp.diag, _diag)
register_rule(BCOO, jnp.trace, _trace)
