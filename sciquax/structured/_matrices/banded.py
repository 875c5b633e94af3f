"""Banded matrices."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp

from .._kernels.bands import Bands, pad
from .._matrix.fields import leaf, size, static
from .bands import BandMatrix
from .narrowest import Layout, from_bands, narrowest


class BandedMatrix(BandMatrix):
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

    sums_by_parts: ClassVar[bool] = True  # but for the corners, which are no elements

    bands: Any = leaf(core_ndim=2)
    lower: int = static(converter=size)
    upper: int = static(converter=size)

    def check(self) -> None:
        rows, n = self.bands.shape[-2:]
        if rows != self.lower + self.upper + 1 or self.lower < 0 or self.upper < 0:
            raise ValueError(
                f"A `BandedMatrix` with lower={self.lower} and upper={self.upper} has "
                f"{self.lower + self.upper + 1} rows of bands; got shape {self.bands.shape}."
            )
        if max(self.lower, self.upper) >= max(n, 1):
            raise ValueError(
                f"A `BandedMatrix` of size {n} has at most {n - 1} diagonals on each side; got "
                f"lower={self.lower} and upper={self.upper}."
            )

    def aval(self) -> Any:
        n = self.bands.shape[-1]
        return self.matrix_aval((*self.bands.shape[:-2], n, n))

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
