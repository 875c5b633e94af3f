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


class Incomplete(NamedTuple):
    """How far factors are left incomplete, as SciPy's `spilu` has it."""

    drop_tol: float
    fill_factor: float


class Definite(NamedTuple):
    """Factors of a Hermitian matrix, which is singular to us unless it is positive definite."""


class Factors(NamedTuple):
    """A matrix, and SuperLU's object; None if it is singular."""

    n: int
    places: np.ndarray
    data: np.ndarray
    incomplete: Incomplete | Definite | None
    superlu: Any

    def are_of(self, n: int, places: np.ndarray, data: np.ndarray, incomplete: Any) -> bool:
        if self.n != n or self.incomplete != incomplete:
            return False
        return _same(self.data, data) and _same(self.places, places)

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


def factors(
    n: int, places: np.ndarray, data: np.ndarray, incomplete: Incomplete | Definite | None = None
) -> Factors:
    """The factors of an n x n matrix of these elements. Duplicates add up; padding is left out."""
    with _lock:
        for i, found in enumerate(_kept):
            if found.are_of(n, places, data, incomplete):
                _kept.insert(0, _kept.pop(i))
                return found
        superlu = _factorised(n, places, data, incomplete)
        made = Factors(n, places.copy(), data.copy(), incomplete, superlu)
        _kept.insert(0, made)
        del _kept[_MOST:]
        sizes = np.cumsum([0 if f.superlu is None else f.superlu.nnz for f in _kept])
        del _kept[max(1, int(np.searchsorted(sizes, _MOST_ELEMENTS))) :]
        return made


def matrix_of(n: int, places: np.ndarray, data: np.ndarray) -> Any:
    """SciPy's, by columns."""
    import scipy.sparse

    rows, columns = places.T
    if len(places) and (rows.max() >= n or columns.max() >= n):
        real = (rows < n) & (columns < n)
        rows, columns, data = rows[real], columns[real], data[real]
    return scipy.sparse.csc_matrix((data, (rows, columns)), shape=(n, n))


def _factorised(n: int, places: np.ndarray, data: np.ndarray, incomplete: Any) -> Any:
    from scipy.sparse.linalg import spilu, splu

    mat = matrix_of(n, places, data)
    order = _order(mat)
    try:
        if incomplete is None:
            return splu(mat, permc_spec=order)
        if isinstance(incomplete, Definite):
            return _if_definite(
                splu(
                    mat,
                    permc_spec="MMD_AT_PLUS_A",
                    diag_pivot_thresh=0.0,
                    options={"SymmetricMode": True},
                )
            )
        # of a symmetric matrix, nearly symmetric factors, as conjugate gradients want
        symmetric = {"diag_pivot_thresh": 0.0} if order == "MMD_AT_PLUS_A" else {}
        return spilu(mat, **incomplete._asdict(), permc_spec=order, **symmetric)
    except RuntimeError:  # exactly singular
        return None


def _if_definite(superlu: Any) -> Any:
    """Factors L and D L*, by pivots on the diagonal: D is positive only of such a matrix."""
    pivots = superlu.U.diagonal()
    symmetric = np.array_equal(superlu.perm_r, superlu.perm_c)
    return superlu if symmetric and (pivots.real > 0).all() else None


def _order(mat: Any) -> str:
    """None for a triangle; by minimum degree of A + A' where the places are symmetric, which fills
    in less."""
    columns = np.repeat(np.arange(mat.shape[1]), np.diff(mat.indptr))
    if (mat.indices >= columns).all() or (mat.indices <= columns).all():
        return "NATURAL"
    transposed = mat.T.tocsc()
    symmetric = np.array_equal(mat.indptr, transposed.indptr) and np.array_equal(
        mat.indices, transposed.indices
    )
    return "MMD_AT_PLUS_A" if symmetric else "COLAMD"
