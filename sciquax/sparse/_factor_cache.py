"""LU factors of sparse matrices, by SciPy's SuperLU on the host; the newest ones are kept.

A factorisation costs much more than a solution by it. Whoever solves with the same numbers at the
same places again, from the next step of a loop, another right-hand side or the backward pass of a
gradient, gets the factors that are there. Numbers are compared, not objects.
"""

import threading
from typing import Any, NamedTuple

import numpy as np

_MOST = 8
_MOST_ELEMENTS = 1 << 26
"""Of all factors that are kept, but for the newest: half a GiB to a GiB."""


class Factors(NamedTuple):
    """A matrix, and SuperLU's object; None if it is singular."""

    n: int
    places: np.ndarray
    data: np.ndarray
    superlu: Any

    def are_of(self, n: int, places: np.ndarray, data: np.ndarray) -> bool:
        return self.n == n and _same(self.data, data) and _same(self.places, places)

    def solve(self, b: np.ndarray, transposed: bool) -> np.ndarray:
        if self.superlu is None:
            return np.full_like(b, np.nan)
        return self.superlu.solve(np.asfortranarray(b), "T" if transposed else "N")


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return np.array_equal(a.view(np.uint8), np.ascontiguousarray(b).view(np.uint8))


_kept: list[Factors] = []
_lock = threading.Lock()


def factors(n: int, places: np.ndarray, data: np.ndarray) -> Factors:
    """Those of an n x n matrix of such elements; duplicates add up, padding is left out."""
    with _lock:
        for i, found in enumerate(_kept):
            if found.are_of(n, places, data):
                _kept.insert(0, _kept.pop(i))
                return found
        made = Factors(n, places.copy(), data.copy(), _factorised(n, places, data))
        _kept.insert(0, made)
        del _kept[_MOST:]
        sizes = np.cumsum([0 if f.superlu is None else f.superlu.nnz for f in _kept])
        del _kept[max(1, int(np.searchsorted(sizes, _MOST_ELEMENTS))) :]
        return made


def _factorised(n: int, places: np.ndarray, data: np.ndarray) -> Any:
    import scipy.sparse
    import scipy.sparse.linalg

    rows, columns = places.T
    if len(places) and (rows.max() >= n or columns.max() >= n):
        real = (rows < n) & (columns < n)
        rows, columns, data = rows[real], columns[real], data[real]
    mat = scipy.sparse.csc_matrix((data, (rows, columns)), shape=(n, n))
    triangular = bool((rows >= columns).all() or (rows <= columns).all())
    order = "NATURAL" if triangular else _order(mat)
    try:
        return scipy.sparse.linalg.splu(mat, permc_spec=order)
    except RuntimeError:  # exactly singular
        return None


def _order(mat: Any) -> str:
    """By minimum degree of A + A' where the places are symmetric, which fills in less."""
    transposed = mat.T.tocsc()
    symmetric = np.array_equal(mat.indptr, transposed.indptr) and np.array_equal(
        mat.indices, transposed.indices
    )
    return "MMD_AT_PLUS_A" if symmetric else "COLAMD"
