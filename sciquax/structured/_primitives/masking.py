"""Masks by formula beside matrices: bands of ones, and the diagonals that a mask keeps."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax._storage.formulas import BandMask, Filled, IndexGrid, Transient, _filled
from sciquax.core import register_rule, strip

from .._arithmetic.band_part import masked
from .._matrices.identity import IdentityMatrix
from .._matrices.narrowest import from_bands


def _converted(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (x,) = operands
    dtype = np.dtype(params["new_dtype"]) if "new_dtype" in params else None
    if isinstance(x, IndexGrid) and dtype is not None and dtype.kind == "i":
        return IndexGrid(x.extent, x.axis, dtype.name, x.offset)
    if isinstance(x, BandMask) and dtype is not None:
        made = _ones_on(x, dtype)
        if made is not None:
            return made
    return _filled(primitive, operands, params)


def _ones_on(mask: BandMask, dtype: Any) -> Any:
    """A band of ones as a matrix: `jnp.eye(n)`, `jnp.eye(n, k=1)`."""
    rows, columns = mask.extent[-2:]
    if not mask.finite() or rows != columns or len(mask.extent) > 2:
        return None
    n, low, high = columns, mask.low, mask.high
    assert low is not None and high is not None
    if low > high or max(-low, high) >= n or high - low >= n // 2 + 1:
        return None
    if (low, high) == (0, 0):
        return IdentityMatrix(n, dtype, allow_materialise=True)
    bands = {k: jnp.ones(n - abs(k), dtype) for k in range(low, high + 1)}
    return from_bands(bands, n, allow_materialise=True)


def _selected(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A few diagonals of an array, zero elsewhere: what `jnp.diag(v)` makes."""
    which, *cases = map(strip, operands)
    if not isinstance(which, BandMask) or len(cases) != 2 or not which.finite():
        return NotImplemented
    if not isinstance(cases[1], Filled):
        return NotImplemented
    return masked(which, *cases, allow=True)


register_rule(Transient, "select_n", _selected)

register_rule(Transient, "convert_element_type", _converted)
