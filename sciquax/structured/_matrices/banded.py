"""Banded matrices."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax.numpy as jnp

from .._kernels.bands import Bands, pad
from .bands import BandMatrix, Layout, from_bands, narrowest


class BandedMatrix(
    BandMatrix,
    leaves=("bands",),
    static=("lower", "upper", "allow_materialise", "properties"),
):
    """A square matrix with `lower` diagonals below the main one and `upper` above it.

    **Arguments**

    - `bands`: the diagonals in the diagonal ordered form of `scipy.linalg.solve_banded`, of shape
      (..., lower + upper + 1, n): element (i, j) of the matrix is `bands[upper + i - j, j]`. The
      corners that correspond to no element are ignored.
    - `lower`, `upper`: the numbers of diagonals on each side.
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.structured import BandedMatrix
    >>> bands = jnp.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    >>> BandedMatrix(bands, lower=0, upper=1).materialise()
    Array([[3., 1., 0.],
           [0., 4., 2.],
           [0., 0., 5.]], dtype=float32)

    ```
    """

    LEAVES: ClassVar[tuple[str, ...]] = ("bands",)
    CORE: ClassVar[tuple[int, ...]] = (2,)
    STATIC: ClassVar[tuple[str, ...]] = ("lower", "upper", "allow_materialise", "properties")
    sums_by_parts: ClassVar[bool] = True  # but for the corners, which are no elements

    bands: Any
    lower: int
    upper: int

    def __init__(
        self,
        bands: Any,
        lower: int,
        upper: int,
        *,
        allow_materialise: bool = False,
        properties: Iterable[str] = (),
    ):
        self.bands, self.lower, self.upper = bands, int(lower), int(upper)
        self._finish(allow_materialise, properties)

    def check(self) -> None:
        rows, n = self.bands.shape[-2:]
        if rows != self.lower + self.upper + 1 or self.lower < 0 or self.upper < 0:
            raise ValueError(
                f"A `BandedMatrix` with lower={self.lower} and upper={self.upper} has "
                f"{self.lower + self.upper + 1} rows of bands; got shape {self.bands.shape}."
            )
        if max(self.lower, self.upper) >= n:
            raise ValueError(
                f"A `BandedMatrix` of size {n} has at most {n - 1} diagonals on each side; got "
                f"lower={self.lower} and upper={self.upper}."
            )

    def aval(self) -> Any:
        n = self.bands.shape[-1]
        return self._aval((*self.bands.shape[:-2], n, n))

    def unclaimed(self) -> Any:
        """Without properties, and with zeros in the corners, which then do not count in a norm."""
        allow = self.allow_materialise
        return from_bands(self.diagonals(), self.shape[-1], allow_materialise=allow, banded=True)

    def diagonals(self) -> Bands:
        n = self.bands.shape[-1]
        found = {}
        for k in range(-self.lower, self.upper + 1):
            row = self.bands[..., self.upper - k, :]
            found[k] = row[..., k:] if k >= 0 else row[..., : n + k]
        return found


def _layout(band: Callable[[int], Any], low: int, high: int) -> Layout:
    """SciPy's form, where element (i, j) is in column j."""
    rows = [pad(band(k), -k, -1) for k in range(high, low - 1, -1)]
    return BandedMatrix, [jnp.stack(rows, -2)], {"lower": -low, "upper": high}


narrowest[None] = _layout
