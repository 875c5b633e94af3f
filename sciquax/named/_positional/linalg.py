"""Names of axes through factorisations and solves."""

from typing import Any

from .._array.axes import Dims
from .call import Call, Infer, _enrol

# -- matrices -------------------------------------------------------------------------------------


def _factors(*outputs: str) -> Infer:
    """A factorisation: for each output, which of the matrix' axes its last axes are.

    "r" is the row axis, "c" the column axis, "-" a new one.
    """

    def infer(call: Call) -> Any:
        *batch, row, column = call.dims[0]
        letters = {"r": row, "c": column, "-": None}
        return [(*batch, *(letters[x] for x in output)) for output in outputs]

    return infer


def _single(infer: Infer) -> Infer:
    return lambda call: infer(call)[0]


def _eig(call: Call) -> list[Dims]:
    *batch, row, _ = call.dims[0]
    vectors = [call.params.get(f"compute_{side}_eigenvectors", True) for side in ("left", "right")]
    return [(*batch, None), *[(*batch, row, None)] * sum(vectors)]


def _svd(call: Call) -> list[Dims]:
    *batch, row, column = call.dims[0]
    outs: list[Dims] = [(*batch, None)]
    if call.params.get("compute_uv", True):
        outs += [(*batch, row, None), (*batch, None, column)]
    return outs


def _triangular_solve(call: Call) -> Dims:
    *batch_a, row, column = call.dims[0]
    *batch_b, first, second = call.dims[1]
    batch = [call.unify(*pair) for pair in zip(batch_a, batch_b, strict=True)]
    if call.params["transpose_a"]:
        row, column = column, row
    if call.params["left_side"]:
        call.unify(row, first)
        return (*batch, column, second)
    call.unify(column, second)
    return (*batch, first, row)


def _tridiagonal_solve(call: Call) -> Any:
    *diagonals, rhs = call.dims
    dims = call.same(range(len(diagonals)))
    along = [call.unify(*pair) for pair in zip(dims, rhs[: len(dims)], strict=True)]
    return (*along, *rhs[len(dims) :])


def _ormqr(call: Call) -> Dims:
    """Q C, C Q, or the same of Q's transpose; Q has the reflectors' rows and new columns."""
    *batch, rows, _ = call.dims[0]
    *batch_c, first, second = call.dims[2]
    batch = tuple(call.unify(*pair) for pair in zip(batch, batch_c, strict=True))
    taken, given = (rows, None) if call.params["transpose"] else (None, rows)
    if call.params["left"]:
        call.unify(taken, first)
        return (*batch, given, second)
    call.unify(given, second)
    return (*batch, first, taken)


def _symmetric_product(call: Call) -> Dims:
    """A A^T + C: A's row axis twice, which a name allows only if it is not there."""
    *batch, row, _ = call.dims[0]
    *batch_c, first, second = call.dims[1]
    both = zip((*batch, row, row), (*batch_c, first, second), strict=True)
    return tuple(call.unify(*pair) for pair in both)


def _schur(call: Call) -> list[Dims]:
    outs = _factors("--", "r-")(call)
    return outs if call.params.get("compute_schur_vectors", True) else outs[:1]


def _permutation(call: Call) -> Dims:
    return (*call.dims[0][:-1], None)


_enrol("cholesky", _single(_factors("r-")))
_enrol("lu", _factors("--", "-", "-"))
_enrol("qr", _factors("r-", "-c"))
_enrol("geqrf", _factors("--", "-"))
_enrol("householder_product", _single(_factors("r-")))
_enrol("ormqr", _ormqr)
_enrol("symmetric_product", _symmetric_product)
_enrol("eigh", _factors("r-", "-"))
_enrol("eig", _eig)
_enrol("svd", _svd)
_enrol("schur", _schur)
_enrol("hessenberg", _factors("--", "-"))
_enrol("tridiagonal", _factors("--", "-", "-", "-"))
_enrol("triangular_solve", _triangular_solve)
_enrol("tridiagonal_solve", _tridiagonal_solve)
_enrol("lu_pivots_to_permutation", _permutation)
