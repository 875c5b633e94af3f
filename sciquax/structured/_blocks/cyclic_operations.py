"""Operations of cyclic banded matrices."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._kernels.bands import Bands
from .._matrices.bands import BandMatrix, rows_of
from .._matrices.narrowest import from_bands
from .._matrices.permutation import PermutationMatrix
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.properties import surviving
from .block_operations import bordered_cholesky
from .cyclic import CyclicBandedMatrix, around, rolled


def rows_around(a: Any) -> Bands:
    """The diagonals by rows of a matrix on a circle, or of a band matrix."""
    return a.rows() if isinstance(a, CyclicBandedMatrix) else rows_of(a)


def cyclic(a: BandMatrix) -> CyclicBandedMatrix:
    """The same matrix, whose diagonals go around and are zero there."""
    return around(a, rows_of(a), a.shape[-1], a.known() - {"unit_diagonal"})


def _sum(lhs: Any, rhs: Any, subtract: bool = False) -> Any:
    mine, theirs = rows_around(lhs), rows_around(rhs)
    if subtract:
        theirs = {k: -x for k, x in theirs.items()}
    rows = {
        k: mine[k] + theirs[k] if k in mine and k in theirs else mine.get(k, theirs.get(k))
        for k in {**mine, **theirs}
    }
    properties = surviving("sub" if subtract else "add", lhs.known(), rhs.known())
    return around(lhs, rows, lhs.shape[-1], properties, allow_both(lhs, rhs))


def _product(lhs: Any, rhs: Any) -> Any:
    rows: Bands = {}
    for p, x in rows_around(lhs).items():
        for q, y in rows_around(rhs).items():
            part = x * rolled(y, p, -1)
            rows[p + q] = rows[p + q] + part if p + q in rows else part
    properties = surviving("matmul", lhs.known(), rhs.known())
    return around(lhs, rows, lhs.shape[-1], properties, allow_both(lhs, rhs))


for _operation, _rule in ((operations.add, _sum), (operations.matmul, _product)):
    _operation.register(CyclicBandedMatrix, CyclicBandedMatrix)(_rule)
    _operation.register(CyclicBandedMatrix, BandMatrix)(_rule)
    _operation.register(BandMatrix, CyclicBandedMatrix)(_rule)


@operations.fitted.register(CyclicBandedMatrix, CyclicBandedMatrix)
@operations.fitted.register(BandMatrix, CyclicBandedMatrix)
def _fitted(a: Any, example: CyclicBandedMatrix) -> Any:
    n, rows = a.shape[-1], rows_around(a)
    wanted = range(-example.lower, example.upper + 1)
    some = rows[next(iter(rows))]
    found = {k: jnp.zeros_like(some) for k in wanted}
    for k, row in rows.items():
        place = _met(k, wanted, n)
        if place is None:
            return NotImplemented
        found[place] = row
    return around(a, found, n, a.known() - {"unit_diagonal"})


def _met(k: int, wanted: Any, n: int) -> int | None:
    """The one of some offsets that is k on a circle."""
    return next((p for p in wanted if (p - k) % max(n, 1) == 0), None)


@operations.hadamard.register(CyclicBandedMatrix, CyclicBandedMatrix)
def _hadamard(a: CyclicBandedMatrix, b: CyclicBandedMatrix) -> Any:
    n, mine, theirs = a.shape[-1], a.rows(), b.rows()
    rows = {k: x * theirs[p] for k, x in mine.items() if (p := _met(k, theirs, n)) is not None}
    properties = surviving("hadamard", a.known(), b.known())
    return around(a, rows, n, properties, allow_both(a, b))


@operations.band_part.register(CyclicBandedMatrix)
def _part(a: CyclicBandedMatrix, low: int | None, high: int | None) -> Any:
    n = a.shape[-1]
    i = np.arange(n)

    def kept(k: int, row: Any) -> Any:
        offset = (i + k) % max(n, 1) - i
        inside = np.ones(n, bool) if low is None else offset >= low
        return jnp.where(inside if high is None else inside & (offset <= high), row, 0)

    return around(a, {k: kept(k, row) for k, row in a.rows().items()}, n)


@operations.cholesky.register(CyclicBandedMatrix)
def _cholesky(a: CyclicBandedMatrix) -> Any:
    """With the last rows of the factor dense, as many as the band is wide."""
    n, m = a.shape[-1], max(a.lower, a.upper)
    if m == 0 or n < 3 * m:
        return operations.cholesky(
            from_bands(_every_band(a), n, allow_materialise=a.allow_materialise)
        )
    return bordered_cholesky(a.cut())


def _every_band(a: Any) -> Bands:
    """All diagonals of a small matrix."""
    n = a.shape[-1]
    every = {}
    for k in range(1 - n, n):
        i = np.arange(n - abs(k))
        every[k] = a.entries(i + max(0, -k), i + max(0, k))
    return every


operations.eigvalsh.register(CyclicBandedMatrix)(lambda a: operations.eigvalsh(a.folded()))


@operations.eigh.register(CyclicBandedMatrix)
def _eigh(a: CyclicBandedMatrix) -> tuple[Any, Any]:
    """Of the band matrix of the rows and columns in another order."""
    values, vectors = operations.eigh(a.folded())
    back = PermutationMatrix(np.argsort(a.order()), a.dtype, allow_materialise=True)
    return values, operations.kept_product(back, vectors)


@operations.svdvals.register(CyclicBandedMatrix)
def _svdvals(a: CyclicBandedMatrix) -> Any:
    return NotImplemented if a.is_hermitian() else operations.svdvals(a.folded())
