"""Bidiagonal matrices."""

from collections.abc import Callable
from typing import Any

from .._kernels.bands import Bands
from .._matrix.fields import leaf, static
from .bands import BandMatrix
from .narrowest import Layout, narrowest


class BidiagonalMatrix(BandMatrix):
    """A bidiagonal matrix.

    **Arguments**

    - `main_diag`: the diagonal, (..., n).
    - `off_diag`: the diagonal above it, or with `lower` below it, (..., n - 1).
    - `lower`: on which side `off_diag` is.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.DiagonalMatrix`][].

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.structured import BidiagonalMatrix
    >>> BidiagonalMatrix(jnp.ones(3), jnp.array([5.0, 6.0])) @ jnp.ones(3)
    Array([6., 7., 1.], dtype=float32)

    ```
    """

    main_diag: Any = leaf(core_ndim=1)
    off_diag: Any = leaf(core_ndim=1)
    lower: bool = static(converter=bool, default=False)

    def check(self) -> None:
        check_lengths(self, main_diag=0, off_diag=1)

    def aval(self) -> Any:
        return self.matrix_aval((*self.main_diag.shape, self.main_diag.shape[-1]))

    def diagonals(self) -> Bands:
        return {0: self.main_diag, -1 if self.lower else 1: self.off_diag}


def check_lengths(matrix: Any, **short_by: int) -> None:
    """**Raises** ValueError unless each diagonal is so much shorter than the main one."""
    n = matrix.main_diag.shape[-1]
    for name, by in short_by.items():
        length, wanted = getattr(matrix, name).shape[-1], max(n - by, 0)
        if length != wanted:
            raise ValueError(
                f"`{name}` of a `{type(matrix).__name__}` of size {n} has length {wanted}; "
                f"got {length}."
            )


def _layout(band: Callable[[int], Any], low: int, high: int) -> Layout:
    return BidiagonalMatrix, [band(0), band(low or high)], {"lower": low < 0}


narrowest[0, 1] = narrowest[-1, 0] = _layout
