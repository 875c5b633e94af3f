"""Blocks joined to one matrix: above each other, side by side, with zeros around."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._kernels.bands import Bands
from .._matrices.bands import BandMatrix
from .._matrices.narrowest import from_bands
from .._matrix.matrix import StructuredMatrix
from .block_matrix import BlockMatrix
from .zeros import ZeroMatrix, zeros_like


def joined(parts: Sequence[Any], rows: bool) -> Any:
    """Matrices and arrays of one batch shape above each other, or (not `rows`) side by side."""
    if not rows:
        return _turned(joined([_turned(x) for x in parts], True))
    lines = [_cells(x) for x in parts]
    ends = {tuple(_ends(line)) for line in lines if any(not _splits(x) for x in line)}
    wanted = sorted({end for line in ends for end in line})
    cut = [_cut(line, wanted) for line in lines]
    return _grid([[x] for x in parts] if any(line is None for line in cut) else cut)


def _turned(x: Any) -> Any:
    return x.transpose() if isinstance(x, StructuredMatrix) else jnp.swapaxes(x, -1, -2)


def _cells(x: Any) -> list[Any]:
    """The blocks of one row of blocks."""
    if isinstance(x, BlockMatrix) and x.d.shape[-2] == 0:
        return [*_cells(x.a), *_cells(x.b)]
    return [x] if x.shape[-1] else []


def _ends(line: Sequence[Any]) -> list[int]:
    return [int(end) for end in np.cumsum([x.shape[-1] for x in line])]


def _splits(x: Any) -> bool:
    return isinstance(x, ZeroMatrix) or not isinstance(x, StructuredMatrix)


def _cut(line: Sequence[Any], wanted: Sequence[int]) -> Any:
    """Blocks that end where they are wanted to; None if a matrix would have to be cut."""
    found, start = [], 0
    for x, end in zip(line, _ends(line), strict=True):
        inner = [k for k in wanted if start < k < end]
        if inner and not _splits(x):
            return None
        for first, last in zip([start, *inner], [*inner, end], strict=True):
            if isinstance(x, ZeroMatrix):
                found.append(zeros_like(x, x.shape[-2], last - first))
            elif inner:
                found.append(x[..., first - start : last - start])
            else:
                found.append(x)
        start = end
    return found


def _grid(cells: Any) -> Any:
    """One matrix, or array, of rows of blocks."""
    every = [x for line in cells for x in line]
    if not any(isinstance(x, StructuredMatrix) for x in every):
        return jnp.concatenate([jnp.concatenate(line, -1) for line in cells], -2)
    if len(every) == 1:
        return every[0]
    if all(isinstance(x, ZeroMatrix) for x in every):
        rows, columns = sum(line[0].shape[-2] for line in cells), _ends(cells[0])[-1]
        return zeros_like(every[0], rows, columns)
    first = cells[0][0]
    below = _grid([line[:1] for line in cells[1:]]) if len(cells) > 1 else _empty(first, True)
    beside = _grid([cells[0][1:]]) if len(cells[0]) > 1 else _empty(first, False)
    if len(cells) > 1 and len(cells[0]) > 1:
        rest = _grid([line[1:] for line in cells[1:]])
    else:
        rest = _empty(beside, True) if len(cells) == 1 else _empty(below, False)
    allow = all(x.allow_materialise for x in every if isinstance(x, StructuredMatrix))
    return BlockMatrix.build([first, beside, below, rest], allow_materialise=allow)


def _empty(x: Any, rows: bool) -> Any:
    """No rows above or below x, or no columns beside it."""
    shape = (0, x.shape[-1]) if rows else (x.shape[-2], 0)
    return jnp.zeros((*x.shape[:-2], *shape), x.dtype)


def padded(x: Any, low: Sequence[int], high: Sequence[int]) -> Any:
    """With rows and columns of zeros before and after: a band matrix if they are as many."""
    if isinstance(x, BandMatrix) and low[0] == low[1] and high[0] == high[1]:
        sizes = [(0, 0)] * (len(x.shape) - 2)
        bands: Bands = {
            k: jnp.pad(y, [*sizes, (low[0], high[0])]) for k, y in x.diagonals().items()
        }
        return from_bands(
            bands, x.shape[-1] + low[0] + high[0], allow_materialise=x.allow_materialise
        )
    for axis in (1, 0):
        zeros = [
            zeros_like(x, *((x.shape[-2], n) if axis else (n, x.shape[-1])))
            for n in (low[axis], high[axis])
        ]
        parts = [y for y in (zeros[0], x, zeros[1]) if 0 not in y.shape[-2:]]
        x = joined(parts, axis == 0)
    return x
