"""Rows or columns moved around the circle."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import strip
from sciquax.core.internal import whole

from .._blocks.cyclic import CyclicBandedMatrix, around
from .._blocks.cyclic_operations import rows_around
from .._matrices.bands import BandMatrix
from .._matrices.circulant import CirculantMatrix
from .._matrices.permutation import PermutationMatrix
from .._matrix import operations
from .._matrix.operands import static_number
from .function_rule import _rule


@_rule(jnp.roll)
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Of bands, bands around the circle; of others, the product with a permutation."""
    shift, ndim = static_number_of(shift), len(a.shape)
    if axis is None or shift is None:
        return NotImplemented
    axes = np.atleast_1d(np.asarray(axis)) % ndim
    if axes.ndim > 1 or np.any(axes < ndim - 2):
        return NotImplemented
    down = along = 0
    for place, by in zip(axes, np.broadcast_to(shift, axes.shape), strict=True):
        down, along = (down + int(by), along) if place == ndim - 2 else (down, along + int(by))
    return rolled(a, down, along)


def static_number_of(x: Any) -> Any:
    """The integers that the program states, or None."""
    if isinstance(x, (list, tuple)):
        each = [static_number_of(y) for y in x]
        return None if any(y is None for y in each) else np.asarray(each)
    return static_number(strip(x), whole)


def rolled(a: Any, down: int, along: int) -> Any:
    """The rows moved down and the columns moved along by so many places, around the circle."""
    rows, columns = a.shape[-2:]
    down, along = down % max(rows, 1), along % max(columns, 1)
    if isinstance(a, CirculantMatrix):
        return a.rebuild([jnp.roll(a.column, down - along, -1)])
    if isinstance(a, BandMatrix | CyclicBandedMatrix):
        own = rows_around(a)
        by = (along - down + rows // 2) % rows - rows // 2
        moved = {k + by: jnp.roll(row, down, -1) for k, row in own.items()}
        if max(0, *moved) - min(0, *moved) < max(2 * (max(own) - min(own) + 1), 5):
            return around(a, moved, rows)
    for by, size, left in ((down, rows, True), (along, columns, False)):
        if by and a is not NotImplemented:
            order = np.roll(np.arange(size), by if left else -by)
            turn = PermutationMatrix(order, a.dtype, allow_materialise=True)
            a = operations.matmul(turn, a) if left else operations.matmul(a, turn)
    return a
