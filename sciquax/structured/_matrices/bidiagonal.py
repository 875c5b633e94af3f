"""Bidiagonal matrices."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from .._kernels.bands import Bands
from .bands import BandMatrix, Layout, narrowest


class BidiagonalMatrix(
    BandMatrix,
    leaves=("main_diag", "off_diag"),
    static=("lower", "allow_materialise", "properties"),
):
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

    LEAVES: ClassVar[tuple[str, ...]] = ("main_diag", "off_diag")
    CORE: ClassVar[tuple[int, ...]] = (1, 1)
    STATIC: ClassVar[tuple[str, ...]] = ("lower", "allow_materialise", "properties")

    main_diag: Any
    off_diag: Any
    lower: bool

    def __init__(
        self,
        main_diag: Any,
        off_diag: Any,
        lower: bool = False,
        *,
        allow_materialise: bool = False,
        properties: Iterable[str] = (),
    ):
        self.main_diag, self.off_diag, self.lower = main_diag, off_diag, bool(lower)
        self._finish(allow_materialise, properties)

    def check(self) -> None:
        check_lengths(self, main_diag=0, off_diag=1)

    def aval(self) -> Any:
        return self._aval((*self.main_diag.shape, self.main_diag.shape[-1]))

    def diagonals(self) -> Bands:
        return {0: self.main_diag, -1 if self.lower else 1: self.off_diag}


def check_lengths(matrix: Any, **short_by: int) -> None:
    """**Raises** ValueError unless each diagonal is so much shorter than the main one."""
    n = matrix.main_diag.shape[-1]
    for name, by in short_by.items():
        length = getattr(matrix, name).shape[-1]
        if length != n - by:
            raise ValueError(
                f"`{name}` of a `{type(matrix).__name__}` of size {n} has length {n - by}; "
                f"got {length}."
            )


def _layout(band: Callable[[int], Any], low: int, high: int) -> Layout:
    return BidiagonalMatrix, [band(0), band(low or high)], {"lower": low < 0}


narrowest[0, 1] = narrowest[-1, 0] = _layout
