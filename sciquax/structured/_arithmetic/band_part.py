"""The elements of a matrix on some diagonals: `tril`, `triu`, `where` by a band mask."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax._storage.formulas import BandMask, Filled, Transient
from sciquax.core import VALUE_TYPES

from .._matrices.bands import BandMatrix
from .._matrices.diagonal import DiagonalMatrix
from .._matrices.narrowest import from_bands
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import _is, static_number


def masked(mask: BandMask, off: Any, on: Any, allow: bool = True) -> Any:
    """Elements of `on` on the mask's diagonals, of `off` elsewhere."""
    if not mask.finite() and (_is(off) or not _is(on)):
        # the complement of a half is the other half
        if mask.low is None and mask.high is not None:
            return masked(BandMask(mask.extent, mask.high + 1, None), on, off)
        if mask.high is None and mask.low is not None:
            return masked(BandMask(mask.extent, None, mask.low - 1), on, off)
    if _is(on) and _is_zero(off):
        return operations.band_part(on, mask.low, mask.high)
    if mask.finite() and mask.extent[-1] == mask.extent[-2]:
        base: dict[int, Any] = {}
        if not _is_zero(off):
            if not isinstance(off, BandMatrix):
                return NotImplemented
            base = off.diagonals()
        n, bands = mask.extent[-1], dict(base)
        assert mask.low is not None and mask.high is not None
        for k in range(max(mask.low, 1 - n), min(mask.high, n - 1) + 1):
            found = _on_diagonal(on, k, n)
            if found is NotImplemented:
                return NotImplemented
            bands[k] = found
        allow = allow and all(x.allow_materialise for x in (off, on) if _is(x))
        return from_bands(bands, n, allow_materialise=allow)
    return NotImplemented


def _is_zero(x: Any) -> bool:
    return isinstance(x, Filled) and bool(static_number(x.array) == 0)


def _on_diagonal(x: Any, k: int, n: int) -> Any:
    """The diagonal k of a matrix, or of an array known by a formula."""
    if _is(x):
        return x.diagonals_at([k])[k]
    i = np.arange(n - abs(k))
    rows, columns = i + max(0, -k), i + max(0, k)
    if isinstance(x, Filled):
        x = x.array
        x = x if x.shape[-2] == 1 else x[..., rows, :]
        x = x if x.shape[-1] == 1 else x[..., :, columns]
        if x.shape[-2] != 1 and x.shape[-1] != 1:
            return NotImplemented
        return jnp.broadcast_to(x.reshape(*x.shape[:-2], -1), (*x.shape[:-2], n - abs(k)))
    if isinstance(x, Transient) or type(x) in VALUE_TYPES:
        return NotImplemented
    return jnp.diagonal(x, k, -2, -1)


@operations.band_part.register(StructuredMatrix)
def _part(matrix: Any, low: int | None, high: int | None) -> Any:
    """Half of what is triangular; a few diagonals of what has elements."""
    m, n = matrix.shape[-2:]
    if (low, high) in ((None, 0), (0, None)):
        if matrix.is_triangular(lower=high == 0):
            return matrix
        if matrix.is_triangular(lower=low == 0):
            return DiagonalMatrix(matrix.diagonal(), allow_materialise=matrix.allow_materialise)
    if low is not None and high is not None and m == n and high - low < 8:
        bands = matrix.diagonals_at([k for k in range(low, high + 1) if abs(k) < n])
        return from_bands(bands, n, allow_materialise=matrix.allow_materialise)
    return NotImplemented
