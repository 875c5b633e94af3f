"""Matrices given by rows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core.internal import Tracer

from ._array import BCOO


def CSR(
    data: Any, indices: Any, indptr: Any, shape: tuple[int, int], *, allow_materialise: bool = False
) -> BCOO:
    """A sparse matrix of compressed rows, as SciPy's `csr_array((data, indices, indptr), shape)`.

    It is a `BCOO`, which is multiplied by rows in any case.

    **Arguments**

    - `data`: the stored elements, row by row.
    - `indices`: their columns.
    - `indptr`: where each row starts among them, and where the last one ends: integers of shape
      `(rows + 1,)`. Elements beyond that are padding.
    - `shape`, `allow_materialise`: as of `BCOO`.

    **Raises** `ValueError` if shapes do not fit.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.sparse import CSR
    >>> A = CSR(jnp.array([2.0, 3.0]), jnp.array([1, 2]), jnp.array([0, 1, 2]), (2, 3))
    >>> quaxify(lambda A, x: A @ x)(A, jnp.array([1.0, 10.0, 100.0]))
    Array([ 20., 300.], dtype=float32)

    ```
    """
    if len(shape) != 2 or np.shape(indptr) != (shape[0] + 1,) or np.ndim(indices) != 1:
        raise ValueError(
            f"A matrix of shape {tuple(shape)} by rows has starts of shape ({shape[0] + 1},) and "
            f"columns of one axis, not {np.shape(indptr)} and {np.shape(indices)}."
        )
    if isinstance(indices, Tracer) or isinstance(indptr, Tracer):
        places = _places(indices, indptr, jnp.asarray(shape))
    else:
        with jax.ensure_compile_time_eval():
            places = _places(indices, indptr, jnp.asarray(shape))
    return BCOO(data, places, shape, allow_materialise=allow_materialise)


def _places(indices: Any, indptr: Any, shape: Any) -> Any:
    numbers = jnp.arange(np.shape(indices)[0], dtype=indptr.dtype)
    rows = jnp.searchsorted(jnp.asarray(indptr), numbers, side="right") - 1
    columns = jnp.asarray(indices, rows.dtype)
    places = jnp.stack([rows, columns], axis=-1)
    return jnp.where((numbers < indptr[-1])[:, None], places, shape.astype(rows.dtype))
