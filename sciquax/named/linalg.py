"""Linear algebra by name. A matrix has a row axis and a column axis among its names.

Other names are batched over. A matrix `a[row, column]` takes arrays along `column` to arrays along
`row`, so that `solve` and `inv` go the other way.
"""

from typing import Any

import jax
import jax.numpy as jnp

from sciquax.core import user_line

from ._array.axes import axes, check_distinct, name_of
from ._array.base import bare
from ._array.coordinates import meet
from ._array.errors import AxisError, AxisSizeError, show_dims
from ._by_name.alignment import _operands, alignment, size_mismatch
from ._by_name.call_jax import apply
from ._by_name.shapes import permuted
from ._labels.distances import inexact
from ._named_array import NamedArray


def _matrix(op: str, a: Any, row: Any, column: Any, square: bool) -> NamedArray:
    """`a` with its row and column axes last."""
    (a,) = _operands(op, [a])
    places = a._axes.positions(op, (row, column), a)
    if square and a.shape[places[0]] != a.shape[places[1]]:
        raise AxisSizeError(
            f"`{op}` needs a square matrix, and {name_of(row)!r} has size "
            f"{a.shape[places[0]]}, {name_of(column)!r} {a.shape[places[1]]}."
        ).at(user_line())
    rest = tuple(i for i in range(a.ndim) if i not in places)
    return permuted(a, (*rest, *places))


def _made(array: Any, *dims: Any, like: NamedArray) -> NamedArray:
    check_distinct("linalg", dims)
    kept = {n: c for n, c in like._axes.coords.items() if n in dims}
    return bare(array, axes(tuple(dims), kept))


def solve(a: Any, b: Any, row: Any, column: Any) -> NamedArray:
    """The `u` with `dot(a, u, column) == b`: b has `row`, u has `column` in its place.

    **Raises** `AxisError` where a name is absent, or b has `column`.
    """
    matrix = _matrix("solve", a, row, column, True)
    (rhs,) = _operands("solve", [b])
    i = rhs._axes.position("solve", row, rhs)
    col = name_of(column)
    if col in rhs._axes.place:
        raise AxisError(
            f"`solve` got a right-hand side with the dims {show_dims(rhs.dims)}, which has the "
            f"column axis {col!r}.",
            "Rename it.",
        ).at(user_line())
    if rhs.shape[i] != matrix.shape[-2]:
        raise size_mismatch("solve", name_of(row), [matrix.shape[-2], rhs.shape[i]]).at(user_line())
    batch = matrix._axes.keep(range(matrix.ndim - 2))
    others = [k for k in range(rhs.ndim) if k != i]
    shared = [k for k in others if rhs.dims[k] in batch.place]
    own = [k for k in others if k not in shared]
    # The names that b has alone are columns of the right-hand side.
    moved = permuted(rhs, (*shared, i, *own))
    columns = 1
    for k in own:
        columns *= rhs.shape[k]
    lead = len(shared)
    flat = apply(jnp.reshape, moved.array, (*moved.shape[: lead + 1], columns))
    plan = alignment("solve", (batch, axes(moved.dims[:lead])))
    plan.check("solve", [matrix.shape[:-2], moved.shape[:lead]])
    order = [moved.dims[:lead].index(n) for n in batch.dims if n in moved.dims[:lead]]
    flat = apply(jnp.transpose, flat, (*order, lead, lead + 1))
    new = tuple(k for k, n in enumerate(batch.dims) if n not in moved.dims[:lead])
    flat = apply(jnp.expand_dims, flat, new) if new else flat
    shape = (*matrix.shape[:-2], *flat.shape[-2:])
    flat = apply(jnp.broadcast_to, flat, shape)
    out = apply(jnp.linalg.solve, matrix.array, flat)
    sizes = [rhs.shape[k] for k in own]
    out = apply(jnp.reshape, out, (*out.shape[:-1], *sizes))
    dims = (*batch.dims, col, *(rhs.dims[k] for k in own))
    coords = meet("solve", matrix._axes.coords, rhs._axes.coords, keep=dims)
    return bare(out, axes(dims, coords))


def inv(a: Any, row: Any, column: Any) -> NamedArray:
    """The inverse, which takes arrays along `row` to arrays along `column`."""
    matrix = _matrix("inv", a, row, column, True)
    out = apply(jnp.linalg.inv, matrix.array)
    return _made(out, *matrix.dims[:-2], name_of(column), name_of(row), like=matrix)


def pinv(a: Any, row: Any, column: Any) -> NamedArray:
    """The Moore-Penrose inverse, which takes arrays along `row` to arrays along `column`."""
    matrix = _matrix("pinv", a, row, column, False)
    out = apply(jnp.linalg.pinv, matrix.array)
    return _made(out, *matrix.dims[:-2], name_of(column), name_of(row), like=matrix)


def det(a: Any, row: Any, column: Any) -> NamedArray:
    """The determinant."""
    matrix = _matrix("det", a, row, column, True)
    return _made(apply(jnp.linalg.det, matrix.array), *matrix.dims[:-2], like=matrix)


def slogdet(a: Any, row: Any, column: Any) -> tuple[NamedArray, NamedArray]:
    """The sign and the logarithm of the determinant's absolute value."""
    matrix = _matrix("slogdet", a, row, column, True)
    sign, log = apply(jnp.linalg.slogdet, matrix.array)
    dims = matrix.dims[:-2]
    return _made(sign, *dims, like=matrix), _made(log, *dims, like=matrix)


def trace(a: Any, row: Any, column: Any) -> NamedArray:
    """The sum of the diagonal."""
    matrix = _matrix("trace", a, row, column, True)
    out = apply(jnp.trace, matrix.array, axis1=-2, axis2=-1)
    return _made(out, *matrix.dims[:-2], like=matrix)


def diagonal(a: Any, row: Any, column: Any, into: Any) -> NamedArray:
    """The diagonal, along the name `into`."""
    matrix = _matrix("diagonal", a, row, column, True)
    out = apply(jnp.diagonal, matrix.array, axis1=-2, axis2=-1)
    dims = (*matrix.dims[:-2], name_of(into))
    check_distinct("diagonal", dims)
    coords = {n: c for n, c in matrix._axes.coords.items() if n in dims}
    return bare(out, axes(dims, coords))


def cholesky(a: Any, row: Any, column: Any) -> NamedArray:
    """The lower triangular factor L[row, column], with a = L L^T."""
    matrix = _matrix("cholesky", a, row, column, True)
    return _made(apply(jnp.linalg.cholesky, matrix.array), *matrix.dims, like=matrix)


def eigh(a: Any, row: Any, column: Any, into: Any) -> tuple[NamedArray, NamedArray]:
    """Eigenvalues of a symmetric matrix, ascending along the name `into`; and its eigenvectors.

    The vectors have `row` and `into`.
    """
    matrix = _matrix("eigh", a, row, column, True)
    values, vectors = apply(jnp.linalg.eigh, matrix.array)
    batch, new = matrix.dims[:-2], name_of(into)
    return (
        _made(values, *batch, new, like=matrix),
        _made(vectors, *batch, matrix.dims[-2], new, like=matrix),
    )


def eigvalsh(a: Any, row: Any, column: Any, into: Any) -> NamedArray:
    """Eigenvalues of a symmetric matrix, ascending along the name `into`."""
    matrix = _matrix("eigvalsh", a, row, column, True)
    out = apply(jnp.linalg.eigvalsh, matrix.array)
    return _made(out, *matrix.dims[:-2], name_of(into), like=matrix)


def svd(a: Any, row: Any, column: Any, into: Any) -> tuple[NamedArray, NamedArray, NamedArray]:
    """Singular vectors U[row, into], values s[into], descending, and vectors Vh[into, column]."""
    matrix = _matrix("svd", a, row, column, False)
    u, s, vh = apply(jnp.linalg.svd, matrix.array, full_matrices=False)
    batch, new = matrix.dims[:-2], name_of(into)
    return (
        _made(u, *batch, matrix.dims[-2], new, like=matrix),
        _made(s, *batch, new, like=matrix),
        _made(vh, *batch, new, matrix.dims[-1], like=matrix),
    )


def qr(a: Any, row: Any, column: Any, into: Any) -> tuple[NamedArray, NamedArray]:
    """Q[row, into], orthonormal, and R[into, column], upper triangular."""
    matrix = _matrix("qr", a, row, column, False)
    q, r = apply(jnp.linalg.qr, matrix.array)
    batch, new = matrix.dims[:-2], name_of(into)
    return (
        _made(q, *batch, matrix.dims[-2], new, like=matrix),
        _made(r, *batch, new, matrix.dims[-1], like=matrix),
    )


def norm(a: Any, names: Any, ord: Any = 2) -> NamedArray:
    """The norm over a name or several: of order 1, 2 or inf, of all elements along them."""
    (a,) = _operands("norm", [a])
    size = abs(inexact(a))
    if ord == 2:
        total = (size * size).sum(names)
        return bare(apply(jnp.sqrt, total.array), total._axes)
    if ord == 1:
        return size.sum(names)
    if ord == float("inf"):
        return size.max(names)
    raise AxisError(f"`norm` got ord={ord!r}.", "It is 1, 2 or inf.").at(user_line())


def expm(a: Any, row: Any, column: Any) -> NamedArray:
    """The matrix exponential."""
    matrix = _matrix("expm", a, row, column, True)
    return _made(apply(jax.scipy.linalg.expm, matrix.array), *matrix.dims, like=matrix)
