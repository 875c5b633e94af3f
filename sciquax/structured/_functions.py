"""Rules for whole functions of linear algebra, where a matrix's meaning is lost in primitives.

Each says what the function is for a structure. Where it says NotImplemented the result would be
dense: it becomes so if the matrix allows it, and is refused by the function's name otherwise.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np

from sciquax.core import (
    VALUE_TYPES,
    aval_of,
    materialised,
    register_family,
    register_function,
    strip,
)
from sciquax.core._interpret import interpret

from . import _band_factors as band_factors, _pairs as pairs, _spectra as spectra
from ._bands import BandMatrix
from ._bidiagonal import BidiagonalMatrix
from ._block_diagonal import BlockDiagonalMatrix
from ._circulant import CirculantMatrix
from ._diagonal import DiagonalMatrix
from ._exponential import ExponentialMatrix
from ._identity import IdentityMatrix, ScalarMatrix
from ._kronecker import KroneckerMatrix, linalg, outer, square
from ._lazy import ProductMatrix
from ._lenient import lenient
from ._low_rank import LowRankPlusDiagonalMatrix
from ._matrix import StructuredMatrix, real_dtype, refuse_unless_allowed
from ._permutation import PermutationMatrix
from ._properties import surviving
from ._rules import _is, part, solve_sided, static_number
from ._solve import solve_any
from ._toeplitz import ToeplitzMatrix
from ._triangular import TriangularMatrix
from ._tridiagonal import SymmetricTridiagonalMatrix, TridiagonalMatrix
from ._withheld import Withheld

_DIAGONAL = (IdentityMatrix, ScalarMatrix, DiagonalMatrix)
_SPECTRAL = (*_DIAGONAL, CirculantMatrix)


def _rule(function: Callable, opened: Callable | None = None) -> Callable:
    """Decorator: a rule that falls back to the function on dense arrays, if they are allowed.

    Calls for which `opened(*args)` holds are left to the rules of the primitives in their bodies.
    """
    shown = function.__name__

    def decorator(rule: Callable) -> Callable:
        def whole(*args: Any, **kwargs: Any) -> Any:
            if opened is not None and opened(*args):
                return NotImplemented
            if any(_is(x) and len(x.shape) < 2 for x in args):  # mapped over rows
                return NotImplemented
            with lenient():
                out = rule(*args, **kwargs)
            if out is not NotImplemented:
                return out
            refuse_unless_allowed(shown, args)
            arrays = [materialised(x, shown) if _is(x) else x for x in args]
            return linalg(lambda *xs: function(*xs, **kwargs), *arrays)

        whole.__name__ = whole.__qualname__ = rule.__name__
        whole.__module__ = rule.__module__
        register_function(StructuredMatrix, function, whole)
        return whole

    return decorator


def _inexact(a: Any) -> Any:
    """As JAX's functions of linear algebra, which take integers as floats."""
    if jnp.issubdtype(a.dtype, jnp.inexact):
        return a
    return a.convert(jnp.promote_types(a.dtype, jnp.result_type(float)))


# -- systems and determinants ---------------------------------------------------------------------


@_rule(jnp.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    if not _is(a):
        return NotImplemented
    if _is(b):
        inverse = _inexact(a).inverse()
        return NotImplemented if inverse is NotImplemented else pairs.matmul(inverse, b)
    if type(b) in VALUE_TYPES:
        return NotImplemented
    return solve_any(a, b)


@_rule(jnp.linalg.inv)
def _inv(a: Any) -> Any:
    return _inexact(a).inverse() if a.is_square() else NotImplemented


@_rule(jnp.linalg.det)
def _det(a: Any) -> Any:
    return _inexact(a).det() if a.is_square() else NotImplemented


@_rule(jnp.linalg.slogdet)
def _slogdet(a: Any, *, method: str | None = None) -> Any:
    return _inexact(a).slogdet() if a.is_square() else NotImplemented


def _batched_vectors(a: Any, b: Any, *_: Any) -> bool:
    """Whether JAX takes `b` for vectors, one for each of a batch: its body says how."""
    return len(b.shape) > 1 and len(a.shape) == len(b.shape) + 1


@_rule(jsp.linalg.solve_triangular, _batched_vectors)
def _solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Any:
    if not _is(a) or type(b) in VALUE_TYPES:
        return NotImplemented
    half = part(_inexact(a), None, 0) if lower else part(_inexact(a), 0, None)
    if half is NotImplemented or isinstance(half, ProductMatrix):
        return NotImplemented
    if unit_diagonal:
        if isinstance(half, BandMatrix):
            half = half.like({**half.diagonals(), 0: jnp.ones_like(half.diagonal())})
        elif isinstance(half, TriangularMatrix):
            half = half.rebuild([half.array], properties=frozenset({"unit_diagonal"}))
        else:
            return NotImplemented
    params = {
        "transpose_a": trans in (1, "T", 2, "C"),
        "conjugate_a": trans in (2, "C"),
        "left_side": True,
    }
    b = jnp.asarray(b)
    vector = b.ndim == 1
    x = solve_sided(half, b[:, None] if vector else b, params)
    return x if x is NotImplemented or not vector else x[..., 0]


# -- elements -------------------------------------------------------------------------------------


def _offset_diagonal(a: Any, k: int) -> Any:
    m, n = a.shape[-2:]
    length = min(m, n - k) if k >= 0 else min(m + k, n)
    if k == 0:
        return a.diagonal()
    i = np.arange(max(length, 0))
    return a.entries(i + max(0, -k), i + max(0, k))


def _last_two(a: Any, axis1: int, axis2: int) -> tuple[bool, bool]:
    """Whether two axes are the matrix's, and whether in reverse order."""
    ndim = len(a.shape)
    axes = axis1 % ndim, axis2 % ndim
    return set(axes) == {ndim - 2, ndim - 1}, axes[0] > axes[1]


@_rule(jnp.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    matrix, reverse = _last_two(a, axis1, axis2)
    return _offset_diagonal(a, -offset if reverse else offset) if matrix else NotImplemented


@_rule(jnp.diag)
def _diag(v: Any, k: int = 0) -> Any:
    return _offset_diagonal(v, k) if len(v.shape) == 2 else NotImplemented


@_rule(jnp.trace)
def _trace(
    a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None
) -> Any:
    matrix, reverse = _last_two(a, axis1, axis2)
    static = static_number(strip(offset))  # an operand, in `jnp.linalg.trace`
    if not matrix or static is None:
        return NotImplemented
    offset = int(static)
    found = _offset_diagonal(a, -offset if reverse else offset)
    return found if found is NotImplemented else jnp.sum(found, -1, dtype=dtype)


@_rule(jnp.tril)
def _tril(m: Any, k: int = 0) -> Any:
    return part(m, None, k)


@_rule(jnp.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return part(m, k, None)


@_rule(jnp.kron)
def _kron(a: Any, b: Any) -> Any:
    if len(a.shape) != 2 or len(b.shape) != 2:
        return NotImplemented
    matrices = [x for x in (a, b) if _is(x)]
    dtype = jnp.promote_types(a.dtype, b.dtype)
    factors = [x.convert(dtype) if _is(x) else linalg(lambda y: y.astype(dtype), x) for x in (a, b)]
    return KroneckerMatrix(*factors, allow_materialise=all(x.allow_materialise for x in matrices))


def _isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Of diagonal matrices as of bidiagonal ones: with a number added they would be of rank one."""
    if not any(isinstance(x, _DIAGONAL) and x.shape[-1] > 1 for x in (a, b)):
        return NotImplemented
    operands = [_as_bidiagonal(x) if isinstance(x, _DIAGONAL) else strip(x) for x in (a, b)]
    program = jax.make_jaxpr(lambda a, b: jnp.isclose(a, b, rtol, atol, equal_nan))
    avals = map(aval_of, operands)
    closed = program(*[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in avals])
    with lenient():
        return interpret(closed.jaxpr, closed.consts, operands, deferring=True)[0]


def _as_bidiagonal(a: Any) -> Any:
    d = a.diagonal()
    zeros = jnp.zeros_like(d[..., 1:])
    return BidiagonalMatrix(d, zeros, allow_materialise=a.allow_materialise)


register_function(StructuredMatrix, jnp.isclose, _isclose)


# -- norms and singular values --------------------------------------------------------------------


def _singular_values(a: Any) -> Any:
    """In descending order, or NotImplemented."""
    a = _inexact(a)
    if "orthogonal" in a.known():
        return jnp.ones(a.shape[:-1], jnp.abs(jnp.zeros((), a.dtype)).dtype)
    if hasattr(a, "singular_values"):
        return a.singular_values()
    if isinstance(a, _DIAGONAL):
        return jnp.sort(jnp.abs(a.diagonal()), -1)[..., ::-1]
    if isinstance(a, BandMatrix) and a.is_hermitian():
        return jnp.sort(jnp.abs(_eigenvalues(a)), -1)[..., ::-1]
    if isinstance(a, BandMatrix):
        return spectra.singular_values(a.diagonals())
    if isinstance(a, TriangularMatrix):  # which stores n^2 numbers as it is
        return jnp.linalg.svdvals(a.materialise())
    return NotImplemented


def _absolute(a: Any) -> Any:
    if isinstance(a, KroneckerMatrix):
        return a.map_factors(jnp.abs)
    if isinstance(a, PermutationMatrix):
        return a.convert(real_dtype(a.dtype))
    return a.map_entries(jnp.abs, True)


def _absolute_sums(x: Any, rows: bool) -> Any:
    """The sum of the absolute values of each row or column, (..., n)."""
    absolute = _absolute(x)
    if absolute is NotImplemented:  # column by column, O(n) numbers at a time
        x = x.transpose() if rows else x
        return x.each_column(lambda column: jnp.sum(jnp.abs(column), -1))
    return absolute.sum_rows() if rows else absolute.sum_columns()


@_rule(jnp.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    ndim = len(x.shape)
    if axis is not None:
        axes = axis if isinstance(axis, tuple) else (axis,)
        if len(axes) == 1 and axes[0] % ndim >= ndim - 2:
            rows = axes[0] % ndim == ndim - 1
            out = _vector_norms(_inexact(x), ord, rows)
            return jnp.expand_dims(out, -1 if rows else -2) if keepdims else out
        if [a % ndim for a in axes] != [ndim - 2, ndim - 1]:
            return NotImplemented
    elif ndim != 2:
        return NotImplemented
    out = _matrix_norm(_inexact(x), ord)
    if out is not NotImplemented and keepdims:
        out = out[..., None, None]
    return out


def _vector_norms(x: Any, ord: Any, rows: bool) -> Any:
    """The norm of each row or column, (..., n): of the stored elements, or one at a time."""
    if ord == 1:
        return _absolute_sums(x, rows)
    if ord in (None, 2):
        squares = x.map_entries(lambda y: jnp.abs(y) ** 2, True)
        if squares is not NotImplemented:
            return jnp.sqrt(squares.sum_rows() if rows else squares.sum_columns())
    x = x.transpose() if rows else x
    return x.each_column(lambda column: jnp.linalg.norm(column, ord, -1))


def _matrix_norm(x: Any, ord: Any) -> Any:
    if ord is None or isinstance(ord, str) and ord == "fro":
        if hasattr(x, "frobenius"):
            return jnp.sqrt(x.frobenius())
        squares = x.map_entries(lambda y: jnp.abs(y) ** 2, True)
        if squares is NotImplemented:
            if "orthogonal" not in x.known():
                columns = x.each_column(lambda column: jnp.sum(jnp.abs(column) ** 2, -1))
                return jnp.sqrt(jnp.sum(columns, -1))
            real = jnp.abs(jnp.zeros((), x.dtype)).dtype
            return jnp.full(x.batch_shape(), np.sqrt(x.shape[-1]), real)
        return jnp.sqrt(squares.sum_rows().sum(-1))
    if isinstance(ord, str) and ord == "nuc" or ord in (2, -2):
        values = _singular_values(x)
        if values is NotImplemented:
            return NotImplemented
        if isinstance(ord, str):
            return jnp.sum(values, -1)
        return values[..., 0] if ord == 2 else values[..., -1]
    if ord in (1, -1, np.inf, -np.inf):
        sums = _absolute_sums(x, abs(ord) != 1)
        return jnp.max(sums, -1) if ord > 0 else jnp.min(sums, -1)
    return NotImplemented


@_rule(jnp.linalg.svd)
def _svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: Any = None,
) -> Any:
    if subset_by_index is not None or not a.is_square():
        return NotImplemented
    return _singular_vectors(a) if compute_uv else _singular_values(a)


def _singular_vectors(a: Any) -> Any:
    """U, the singular values and V^H, or NotImplemented; vectors without structure are withheld."""
    matrix = _inexact(a)
    allow, shape, dtype = a.allow_materialise, a.shape, matrix.dtype
    one = _identity(matrix, dtype)
    if "orthogonal" in matrix.known():
        return matrix, _singular_values(matrix), one
    if isinstance(matrix, _DIAGONAL):
        d = matrix.diagonal()
        size = jnp.abs(d)
        phase = jnp.where(size == 0, 1, d / jnp.where(size == 0, 1, size))
        left = DiagonalMatrix(phase, allow_materialise=allow, properties={"orthogonal"})
        return _descending(left, size, one, allow)
    if isinstance(matrix, BlockDiagonalMatrix):
        u, s, vh = jnp.linalg.svd(matrix.blocks)
        left, right = (matrix.rebuild([x], properties=_UNITARY) for x in (u, vh))
        return _descending(left, matrix.joined(s), right, allow)
    if isinstance(matrix, KroneckerMatrix) and all(map(square, matrix.arrays())):
        (u_a, s_a, vh_a), (u_b, s_b, vh_b) = (
            linalg(lambda x: tuple(jnp.linalg.svd(x)), x) for x in matrix.arrays()
        )
        left, right = (
            matrix.rebuild([x, y], properties=_UNITARY) for x, y in ((u_a, u_b), (vh_a, vh_b))
        )
        values = outer(s_a, s_b)
        return _descending(left, values, right, allow)
    values = NotImplemented if allow else _singular_values(a)
    if values is NotImplemented:
        return NotImplemented
    withheld = Withheld.of("svd", shape, dtype)
    return withheld, values, withheld


def _identity(a: Any, dtype: Any) -> IdentityMatrix:
    """One for each matrix of a batch."""
    one = IdentityMatrix(a.shape[-1], dtype, allow_materialise=a.allow_materialise)
    return one.rebuild([jnp.ones(a.batch_shape(), dtype)])


_UNITARY = frozenset({"orthogonal"})


def _descending(left: Any, values: Any, right: Any, allow: bool) -> tuple[Any, Any, Any]:
    """left @ diag(values) @ right with the values in descending order."""
    order = jnp.argsort(-values, -1)
    rows = PermutationMatrix(order, left.dtype, allow_materialise=allow)
    values = jnp.take_along_axis(values, order, -1)
    return pairs.matmul(left, rows.transpose()), values, pairs.matmul(rows, right)


@_rule(jnp.linalg.svdvals)
def _svdvals(x: Any, /) -> Any:
    return _singular_values(x) if x.is_square() else NotImplemented


@_rule(jnp.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    if p is None or p in (2, -2):
        values = _singular_values(x)
        if values is NotImplemented:
            return NotImplemented
        first, last = values[..., 0], values[..., -1]
        return last / first if p == -2 else first / last
    a = _inexact(x)
    inverse = a.inverse()
    if inverse is NotImplemented:
        return NotImplemented
    own, other = _matrix_norm(a, p), _matrix_norm(inverse, p)
    return NotImplemented if own is NotImplemented or other is NotImplemented else own * other


# -- eigenvalues and factors ----------------------------------------------------------------------


def symmetrised(a: Any) -> Any:
    """(a + a^H) / 2, as JAX makes of the arguments of `eigh` and `cholesky`; or NotImplemented."""
    a = _inexact(a)
    if isinstance(a, KroneckerMatrix):
        return a.symmetrised()
    if a.is_hermitian():
        return a
    if isinstance(a, BlockDiagonalMatrix):
        return a.each(lambda x: (x + jnp.conj(jnp.swapaxes(x, -1, -2))) / 2)
    if isinstance(a, TridiagonalMatrix) and not jnp.issubdtype(a.dtype, jnp.complexfloating):
        return SymmetricTridiagonalMatrix(
            a.main_diag,
            (a.lower_diag + a.upper_diag) / 2,
            allow_materialise=a.allow_materialise,
            properties=surviving("add", a.properties),
        )
    if isinstance(a, (BandMatrix, CirculantMatrix)):
        total = pairs.add(a, a.adjoint()).scale(jnp.asarray(0.5, a.dtype))
        return total.rebuild(
            total.arrays(), properties=surviving("add", a.properties) | {"hermitian"}
        )
    half = jnp.asarray(0.5, a.dtype)
    if isinstance(a, LowRankPlusDiagonalMatrix):
        adjoint: Any = a.adjoint()
        made = a.rebuild(
            [
                a.diag.real.astype(a.dtype),
                half * jnp.concatenate([a.u, adjoint.u], -1),
                jnp.concatenate([a.v, adjoint.v], -2),
            ]
        )
        return made.rebuild(
            made.arrays(), properties=surviving("add", a.properties) | {"hermitian"}
        )
    if isinstance(a, ToeplitzMatrix):
        column = half * (a.column + jnp.conj(a.row.at[..., 0].set(a.column[..., 0])))
        return a.rebuild(
            [column, jnp.conj(column)], properties=surviving("add", a.properties) | {"hermitian"}
        )
    return NotImplemented


def _eigenvalues(a: Any) -> Any:
    a = symmetrised(a)
    if a is NotImplemented:
        return NotImplemented
    if isinstance(a, _DIAGONAL):
        return jnp.sort(a.diagonal().real, -1)
    if isinstance(a, BandMatrix):
        return spectra.eigenvalues({k: x for k, x in a.diagonals().items() if k >= 0})
    return a.eigenvalues() if hasattr(a, "eigenvalues") else NotImplemented


@_rule(jnp.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    return _eigenvalues(a) if a.is_square() else NotImplemented


@_rule(jnp.linalg.eigvals)
def _eigvals(a: Any) -> Any:
    """Of what is triangular or diagonalised by the DFT; in no order."""
    a = _inexact(a)
    if isinstance(a, CirculantMatrix):
        return a.spectrum()
    one_sided = isinstance(a, TriangularMatrix) or (isinstance(a, BandMatrix) and 0 in a.widths())
    if one_sided:
        d = a.diagonal()
        return d.astype(jnp.promote_types(d.dtype, jnp.complex64))
    if isinstance(a, BlockDiagonalMatrix):
        return a.joined(jnp.linalg.eigvals(a.blocks))
    if isinstance(a, KroneckerMatrix) and all(map(square, a.arrays())):
        u, v = (linalg(jnp.linalg.eigvals, x) for x in a.arrays())
        return outer(u, v)
    return NotImplemented


def _eig(a: Any) -> Any:
    """Eigenvalues and right eigenvectors; those without structure are withheld."""
    a = _inexact(a)
    dtype = jnp.promote_types(a.dtype, jnp.complex64)
    if isinstance(a, _DIAGONAL):
        return a.diagonal().astype(dtype), _identity(a, dtype)
    if isinstance(a, BlockDiagonalMatrix):
        values, vectors = jnp.linalg.eig(a.blocks)
        return a.joined(values), a.rebuild([vectors])
    if isinstance(a, KroneckerMatrix) and all(map(square, a.arrays())):
        (w_a, v_a), (w_b, v_b) = (linalg(lambda x: tuple(jnp.linalg.eig(x)), x) for x in a.arrays())
        values = outer(w_a, w_b)
        return values, a.rebuild([v_a, v_b])
    values = NotImplemented if a.allow_materialise else _eigvals(a)
    if values is NotImplemented:
        return NotImplemented
    return values, Withheld.of("eig", a.shape, dtype)


def _sorting(values: Any, vectors: Any, allow: bool) -> tuple[Any, Any]:
    """Eigenvalues in ascending order, and the vectors as a product with a permutation."""
    order = jnp.argsort(values, -1)
    permutation = PermutationMatrix(jnp.argsort(order, -1), vectors.dtype, allow_materialise=allow)
    if isinstance(vectors, IdentityMatrix):
        return jnp.take_along_axis(values, order, -1), permutation
    return jnp.take_along_axis(values, order, -1), ProductMatrix.of(vectors, permutation)


@_rule(jnp.linalg.eigh)
def _eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> Any:
    """Where eigenvectors are structured: diagonal matrices, blocks and Kronecker products."""
    if not a.is_square():
        return NotImplemented
    found = _eigenvectors(a)
    if found is NotImplemented and not a.allow_materialise:
        values = _eigenvalues(a)
        if values is not NotImplemented:
            return values, Withheld.of("eigh", a.shape, _inexact(a).dtype)
    return found


def _eigenvectors(a: Any) -> Any:
    matrix = symmetrised(a)
    if matrix is NotImplemented:
        return NotImplemented
    allow = a.allow_materialise
    if isinstance(matrix, _DIAGONAL):
        one = IdentityMatrix(a.shape[-1], matrix.dtype, allow_materialise=allow)
        return _sorting(matrix.diagonal().real, one, allow)
    if isinstance(matrix, BlockDiagonalMatrix):
        values, vectors = jnp.linalg.eigh(matrix.blocks)
        return _sorting(
            matrix.joined(values),
            matrix.rebuild([vectors], properties=frozenset({"orthogonal"})),
            allow,
        )
    if isinstance(matrix, KroneckerMatrix):
        (w_a, v_a), (w_b, v_b) = (
            linalg(lambda x: tuple(jnp.linalg.eigh(x)), x) for x in matrix.arrays()
        )
        values = outer(w_a, w_b)
        vectors = matrix.rebuild([v_a, v_b], properties=frozenset({"orthogonal"}))
        return _sorting(values, vectors, allow)
    return NotImplemented


@_rule(jnp.linalg.cholesky)
def _cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    matrix = a if isinstance(a, PermutationMatrix) or not symmetrize_input else symmetrised(a)
    matrix = matrix if matrix is NotImplemented else _inexact(matrix)
    if matrix is NotImplemented:
        return NotImplemented
    factor = matrix.cholesky()
    return factor if factor is NotImplemented or not upper else factor.adjoint()


@_rule(jnp.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r") or not a.is_square():
        return NotImplemented
    found = qr_factors(_inexact(a))
    return found if found is NotImplemented or mode != "r" else found[1]


def qr_factors(a: Any) -> Any:
    """Q and R, where both are structured; or NotImplemented."""
    allow, n = a.allow_materialise, a.shape[-1]
    one = IdentityMatrix(n, a.dtype, allow_materialise=allow)
    upper = isinstance(a, TriangularMatrix) and not a.lower
    if a.batch_shape() == () and (upper or isinstance(a, BandMatrix) and a.widths()[0] == 0):
        q, r = one, a
    elif a.batch_shape() == () and "orthogonal" in a.known():
        q, r = a, one
    elif isinstance(a, BlockDiagonalMatrix):
        blocks_q, blocks_r = jnp.linalg.qr(a.blocks)
        q = a.rebuild([blocks_q], properties=frozenset({"orthogonal"}))
        r = a.rebuild([blocks_r])
    elif isinstance(a, KroneckerMatrix):
        (q_a, r_a), (q_b, r_b) = (linalg(lambda x: tuple(jnp.linalg.qr(x)), x) for x in a.arrays())
        q, r = a.rebuild([q_a, q_b], properties=frozenset({"orthogonal"})), a.rebuild([r_a, r_b])
    elif isinstance(a, BandMatrix):
        q, r = band_factors.qr(a)
    else:
        return NotImplemented
    return q, r


@_rule(jsp.linalg.lu)
def _lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """By blocks and factors; within bands; and of what is upper triangular already."""
    a = _inexact(a)
    upper = isinstance(a, TriangularMatrix) and not a.lower
    if isinstance(a, BlockDiagonalMatrix):
        flat = a.blocks.reshape(-1, *a.blocks.shape[-2:])
        parts = [x.reshape(a.blocks.shape) for x in jax.vmap(jsp.linalg.lu)(flat)]
        p, lower, u = (a.rebuild([x]) for x in parts)
        return (pairs.matmul(p, lower), u) if permute_l else (p, lower, u)
    if isinstance(a, KroneckerMatrix):
        parts = [linalg(lambda x: tuple(jsp.linalg.lu(x)), x) for x in a.arrays()]
        p, lower, u = (a.rebuild(list(factors)) for factors in zip(*parts, strict=True))
        return (pairs.matmul(p, lower), u) if permute_l else (p, lower, u)
    if isinstance(a, BandMatrix) and a.is_square() and a.widths()[0] > 0:
        p, lower, u = band_factors.lu(a)
        return (pairs.matmul(p, lower), u) if permute_l else (p, lower, u)
    permutes = isinstance(a, PermutationMatrix)
    upper = upper or isinstance(a, BandMatrix) and a.widths()[0] == 0
    if a.batch_shape() or not (upper or permutes):
        return NotImplemented
    one = IdentityMatrix(a.shape[-1], a.dtype, allow_materialise=a.allow_materialise)
    if permutes:
        return (a, one) if permute_l else (a.convert(real_dtype(a.dtype)), one, one)
    p = IdentityMatrix(a.shape[-1], real_dtype(a.dtype), allow_materialise=a.allow_materialise)
    return (one, a) if permute_l else (p, one, a)


# -- functions of matrices ------------------------------------------------------------------------


@_rule(jnp.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    if not a.is_square():
        return NotImplemented
    if n == 0:
        one = IdentityMatrix(a.shape[-1], a.dtype, allow_materialise=a.allow_materialise)
        if not a.batch_shape():
            return one
        return one.rebuild([jnp.ones(a.batch_shape(), a.dtype)])
    if n < 0:
        a, n = _inexact(a).inverse(), -n
        if a is NotImplemented:
            return NotImplemented
    if isinstance(a, _DIAGONAL):
        return a.apply_spectrum(lambda d: d**n)
    power = None
    while True:
        if n & 1:
            power = a if power is None else pairs.matmul(power, a)
        n >>= 1
        if not n:
            return power
        a = pairs.matmul(a, a)


@_rule(jsp.linalg.expm)
def _expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    a = _inexact(A)
    if not a.is_square() or upper_triangular and not _is_upper(a):
        return NotImplemented
    if isinstance(a, _SPECTRAL):
        return a.apply_spectrum(jnp.exp)
    if isinstance(a, BlockDiagonalMatrix):
        return a.each(lambda x: jsp.linalg.expm(x, max_squarings=max_squarings))
    if isinstance(a, TriangularMatrix):
        return a.rebuild([jsp.linalg.expm(a.materialise(), max_squarings=max_squarings)])
    return ExponentialMatrix.of(a)


def _is_upper(a: Any) -> bool:
    if isinstance(a, TriangularMatrix):
        return not a.lower
    return isinstance(a, BandMatrix) and a.widths()[0] == 0


def _cutoff(values: Any, rtol: Any, n: int) -> Any:
    """The largest singular value that counts as zero, as `jnp.linalg.pinv` has it."""
    if rtol is None:
        rtol = 10.0 * n * jnp.finfo(values.dtype).eps
    return jnp.asarray(rtol, values.dtype) * jnp.max(values, -1, keepdims=True)


@_rule(jnp.linalg.pinv)
def _pinv(a: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Any:
    return pinv(a, rcond if rtol is None else rtol)


def pinv(a: Any, rtol: Any = None) -> Any:
    """The pseudoinverse, or NotImplemented."""
    a = _inexact(a)
    if not a.is_square():
        return NotImplemented
    n = a.shape[-1]

    def reciprocal(values: Any) -> Any:
        size = jnp.abs(values)
        keep = size > _cutoff(size, rtol, n)
        return jnp.where(keep, 1 / jnp.where(keep, values, 1), 0)

    if isinstance(a, DiagonalMatrix):
        return a.rebuild([reciprocal(a.diag)], properties=surviving("inverse", a.known()))
    if isinstance(a, ScalarMatrix):
        return a.rebuild([jnp.where(a.scalar == 0, 0, 1 / jnp.where(a.scalar == 0, 1, a.scalar))])
    if isinstance(a, CirculantMatrix):
        return a.apply_spectrum(reciprocal)
    if isinstance(a, BlockDiagonalMatrix):
        u, s, vh = jnp.linalg.svd(a.blocks, full_matrices=False)
        inverse = reciprocal(a.joined(s)).reshape(s.shape)
        left = jnp.conj(jnp.swapaxes(vh, -1, -2)) * inverse[..., None, :]
        return a.rebuild([jnp.matmul(left, jnp.conj(jnp.swapaxes(u, -1, -2)), precision="highest")])
    if isinstance(a, KroneckerMatrix) and rtol is None:
        return a.rebuild([linalg(jnp.linalg.pinv, x) for x in a.arrays()])
    # The inverse: infinite, or not a number, where the matrix is singular.
    return a.inverse()


@_rule(jnp.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None, *, numpy_resid: bool = False) -> Any:
    if not _is(a) or type(b) in VALUE_TYPES or a.batch_shape() or rcond is not None:
        return NotImplemented
    inverse = pinv(a)
    values = _singular_values(a) if a.is_square() else NotImplemented
    if inverse is NotImplemented or not _is(inverse):
        return NotImplemented
    if values is NotImplemented and a.allow_materialise:
        return NotImplemented
    x = inverse.matvec(b) if b.ndim == 1 else inverse.matmat(b)
    residual = b - (a.matvec(x) if b.ndim == 1 else a.matmat(x))
    squares = jnp.sum(jnp.abs(residual) ** 2, 0, keepdims=b.ndim == 1)
    if numpy_resid:
        squares = jnp.asarray([], squares.dtype)
    if values is NotImplemented:
        real = jnp.finfo(_inexact(a).dtype).dtype
        rank = Withheld.of("lstsq", (), np.dtype(np.int32))
        return x, squares, rank, Withheld.of("lstsq", a.shape[-1:], real)
    rank = jnp.sum(values > jnp.finfo(values.dtype).eps * a.shape[-1] * values[0])
    return x, squares, rank, values


@_rule(jsp.linalg.solve, _batched_vectors)
def _scipy_solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Any:
    """What the caller assumes is a property of the matrix."""
    if _is(a) and assume_a == "pos":
        a = a.rebuild(a.arrays(), properties=a.properties | {"positive_definite", "hermitian"})
    return _solve(a, b)


def _eigh_primitive(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    """What `jnp.linalg.eigh` and `jax.scipy.linalg.eigh` come to under `vmap` and `grad`."""
    (a,) = operands
    if params.get("subset_by_index") is not None:
        return NotImplemented
    with lenient():
        found = _eigh(a)
    return NotImplemented if found is NotImplemented else [found[1], found[0]]


def _svd_primitive(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    (a,) = operands
    if params.get("subset_by_index") is not None or not a.is_square():
        return NotImplemented
    with lenient():
        if not params.get("compute_uv", True):
            values = _singular_values(a)
            return values if values is NotImplemented else [values]
        found = _singular_vectors(a)
    return NotImplemented if found is NotImplemented else [found[1], found[0], found[2]]


def _eig_primitive(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    """What `jnp.linalg.eig` is, and `eigvals` under `vmap` and `grad`."""
    (a,) = operands
    if params.get("compute_left_eigenvectors") or not a.is_square():
        return NotImplemented
    with lenient():
        if params.get("compute_right_eigenvectors"):
            found = _eig(a)
            return found if found is NotImplemented else list(found)
        values = _eigvals(a)
    return values if values is NotImplemented else [values]


def _qr_primitive(primitive: Any, operands: Any, params: dict[str, Any]) -> Any:
    """What `jnp.linalg.qr` comes to under `vmap` and `grad`, and for R alone."""
    (a,) = operands
    if params.get("pivoting") or not a.is_square():
        return NotImplemented
    with lenient():
        found = qr_factors(a)
    return NotImplemented if found is NotImplemented else list(found)


register_family(StructuredMatrix, "qr", _qr_primitive)
register_family(StructuredMatrix, "eig", _eig_primitive)
register_family(StructuredMatrix, "eigh", _eigh_primitive)
register_family(StructuredMatrix, "svd", _svd_primitive)
