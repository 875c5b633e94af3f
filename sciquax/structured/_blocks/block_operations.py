"""Operations of block matrices, and the joining of blocks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._matrices.diagonal import AnyDiagonal, DiagonalMatrix
from .._matrices.low_rank import mm
from .._matrices.permutation import UNITARY, ascending, descending
from .._matrices.triangular import TriangularMatrix
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.factor import linalg, solve, square
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .block_matrix import BlockMatrix, multiplied
from .zeros import zeros_like

# -- blocks apart ---------------------------------------------------------------------------------


def _of(operation: operations.Operation, plain: Callable[..., Any]) -> Callable[..., Any]:
    def apply(x: Any, *more: Any) -> Any:
        return operation(x, *more) if isinstance(x, StructuredMatrix) else plain(x)

    return apply


def _diagonal_of(a: BlockMatrix, blocks: Sequence[Any], **static: Any) -> BlockMatrix:
    return a.rebuild([blocks[0], a.b, a.c, blocks[1]], **static)


def _apart(operation: operations.Operation, plain: Callable[..., Any]) -> Callable:
    """Decorator: a rule for blocks apart, given what the operation gives for each of both."""
    apply = _of(operation, plain)

    def decorator(rule: Callable) -> Callable:
        def of_blocks(a: BlockMatrix, *more: Any) -> Any:
            if not a.apart():
                return NotImplemented
            found = [apply(x, *more) for x in (a.a, a.d)]
            return NotImplemented if any(x is NotImplemented for x in found) else rule(a, *found)

        operation.register(BlockMatrix)(of_blocks)
        return rule

    return decorator


@_apart(operations.inverse, jnp.linalg.inv)
def _inverse(a: BlockMatrix, *inverses: Any) -> BlockMatrix:
    return _diagonal_of(a, inverses, properties=surviving("inverse", a.known()))


@_apart(operations.expm, jax.scipy.linalg.expm)
def _expm(a: BlockMatrix, *each: Any) -> BlockMatrix:
    return _diagonal_of(a, each)


@operations.cholesky.register(BlockMatrix)
def bordered_cholesky(a: BlockMatrix) -> Any:
    """[[L, 0], [c L^-H, K]], K the factor of the Schur complement; of a thin border or none."""
    apart = a.apart()
    if not (square(a.a) and square(a.d)):
        return NotImplemented
    if not apart and any(isinstance(x, StructuredMatrix) for x in (a.b, a.c, a.d)):
        return NotImplemented
    factor = _of(operations.cholesky, jnp.linalg.cholesky)
    first = factor(a.a)
    if first is NotImplemented:
        return NotImplemented
    low, rest = a.c, a.d
    if not apart:
        adjoint = jnp.conj(jnp.swapaxes(low, -1, -2))
        low = jnp.conj(jnp.swapaxes(solve(first, adjoint), -1, -2))
        rest = rest - mm(low, jnp.conj(jnp.swapaxes(low, -1, -2)))
    second = factor(rest)
    if second is NotImplemented:
        return NotImplemented
    p, q = first.shape[-1], second.shape[-1]
    first, second = (_as_triangle(x) for x in (first, second))
    each = [jnp.sum(x.diagonal() * 0, -1) for x in (first, second)]
    failed = (each[0] + each[1])[..., None, None]
    mark = lambda x: linalg(lambda x, f: x * (1 + f), x, failed)  # noqa: E731
    blocks = [mark(first), zeros_like(a.a, p, q), mark(low), mark(second)]
    return a.rebuild(blocks)


def _as_triangle(x: Any) -> Any:
    return x if isinstance(x, StructuredMatrix) else TriangularMatrix(x, allow_materialise=True)


@_apart(operations.eigvalsh, jnp.linalg.eigvalsh)
def _eigvalsh(a: BlockMatrix, *values: Any) -> Any:
    return jnp.sort(jnp.concatenate(values, -1), -1)


@_apart(operations.svdvals, jnp.linalg.svdvals)
def _svdvals(a: BlockMatrix, *values: Any) -> Any:
    return jnp.sort(jnp.concatenate(values, -1), -1)[..., ::-1]


@_apart(operations.eigvals, jnp.linalg.eigvals)
def _eigvals(a: BlockMatrix, *values: Any) -> Any:
    return jnp.concatenate(values, -1)


@_apart(operations.eigh, jnp.linalg.eigh)
def _eigh(a: BlockMatrix, *pairs: Any) -> Any:
    values, vectors = zip(*map(tuple, pairs), strict=True)
    return ascending(jnp.concatenate(values, -1), _diagonal_of(a, vectors, properties=UNITARY))


@_apart(operations.svd, jnp.linalg.svd)
def _svd(a: BlockMatrix, *triples: Any) -> Any:
    u, s, vh = zip(*map(tuple, triples), strict=True)
    left, right = (_diagonal_of(a, x, properties=UNITARY) for x in (u, vh))
    return descending(left, jnp.concatenate(s, -1), right)


@_apart(operations.qr, jnp.linalg.qr)
def _qr(a: BlockMatrix, *pairs: Any) -> Any:
    q, r = zip(*map(tuple, pairs), strict=True)
    return _diagonal_of(a, q, properties=UNITARY), _diagonal_of(a, r)


@_apart(operations.lu, jax.scipy.linalg.lu)
def _lu(a: BlockMatrix, *triples: Any) -> Any:
    return [_diagonal_of(a, x) for x in zip(*triples, strict=True)]


# -- sums, products -------------------------------------------------------------------------------


def _alike(a: BlockMatrix, b: BlockMatrix) -> bool:
    pairs = zip(a.arrays(), b.arrays(), strict=True)
    return all(x.shape[-2:] == y.shape[-2:] for x, y in pairs)


@operations.add.register(BlockMatrix, BlockMatrix)
def _sum(a: BlockMatrix, b: BlockMatrix, subtract: bool = False) -> Any:
    if not _alike(a, b):
        return NotImplemented
    return a.each(
        jnp.subtract if subtract else jnp.add,
        b.arrays(),
        allow_materialise=allow_both(a, b),
        properties=surviving("sub" if subtract else "add", a.known(), b.known()),
    )


def _plus_diagonal(lhs: Any, rhs: Any, subtract: bool = False) -> Any:
    first = isinstance(lhs, BlockMatrix)
    a, other = (lhs, rhs) if first else (rhs, lhs)
    if not (square(a.a) and square(a.d)) or other.batch_shape() not in ((), a.batch_shape()):
        return NotImplemented
    p, main = a.split()[0], other.diagonal()
    main = -main if subtract and first else main
    a = a.negate() if subtract and not first else a

    def plus(x: Any, d: Any) -> Any:
        if isinstance(x, StructuredMatrix):
            return operations.add(x, DiagonalMatrix(d, allow_materialise=True))
        i = np.arange(x.shape[-1])
        return x.at[..., i, i].add(d)

    blocks = [plus(a.a, main[..., :p]), a.b, a.c, plus(a.d, main[..., p:])]
    properties = surviving("sub" if subtract else "add", lhs.known(), rhs.known())
    return a.rebuild(blocks, allow_materialise=allow_both(lhs, rhs), properties=properties)


operations.add.register(BlockMatrix, AnyDiagonal)(_plus_diagonal)
operations.add.register(AnyDiagonal, BlockMatrix)(_plus_diagonal)


@operations.hadamard.register(BlockMatrix, BlockMatrix)
def _hadamard(a: BlockMatrix, b: BlockMatrix) -> Any:
    if not _alike(a, b):
        return NotImplemented
    return a.each(
        jnp.multiply,
        b.arrays(),
        allow_materialise=allow_both(a, b),
        properties=surviving("hadamard", a.known(), b.known()),
    )


@operations.matmul.register(BlockMatrix, BlockMatrix)
def _product(a: BlockMatrix, b: BlockMatrix) -> Any:
    if a.split()[1] != b.split()[0]:
        return NotImplemented
    found = []
    for row in ((a.a, a.b), (a.c, a.d)):
        for column in ((b.a, b.c), (b.b, b.d)):
            terms = [multiplied(x, y) for x, y in zip(row, column, strict=True)]
            if any(x is NotImplemented for x in terms):
                return NotImplemented
            found.append(linalg(jnp.add, *terms))
    properties = surviving("matmul", a.known(), b.known())
    return a.rebuild(found, allow_materialise=allow_both(a, b), properties=properties)


@operations.fitted.register(BlockMatrix, BlockMatrix)
def _fitted(a: BlockMatrix, example: BlockMatrix) -> Any:
    if not _alike(a, example):
        return NotImplemented
    found = []
    for x, y in zip(a.arrays(), example.arrays(), strict=True):
        structured = isinstance(x, StructuredMatrix), isinstance(y, StructuredMatrix)
        if structured[0] != structured[1]:
            return NotImplemented
        found.append(operations.fitted(x, y) if structured[0] else x)
    return NotImplemented if any(x is NotImplemented for x in found) else a.rebuild(found)


@operations.band_part.register(BlockMatrix)
def _part(a: BlockMatrix, low: int | None, high: int | None) -> Any:
    p, q = a.split()
    found = []
    for x, down, right in zip(a.arrays(), (0, 0, p, p), (0, q, 0, q), strict=True):
        shift = right - down
        ends = [None if k is None else k - shift for k in (low, high)]
        found.append(_part_of_block(x, *ends))
    return NotImplemented if any(x is NotImplemented for x in found) else a.rebuild(found)


def _part_of_block(x: Any, low: int | None, high: int | None) -> Any:
    rows, columns = x.shape[-2:]
    if low is not None and low >= columns or high is not None and high <= -rows:
        return zeros_like(x, rows, columns)
    low = None if low is not None and low <= 1 - rows else low
    high = None if high is not None and high >= columns - 1 else high
    if low is None and high is None:
        return x
    if isinstance(x, StructuredMatrix):
        return operations.band_part(x, low, high)
    x = x if low is None else jnp.triu(x, low)
    return x if high is None else jnp.tril(x, high)


@operations.submatrix.register(BlockMatrix)
def _submatrix(a: BlockMatrix, starts: Sequence[int], sizes: Sequence[int]) -> Any:
    """One of the blocks."""
    p, q = a.split()
    for x, start in zip(a.arrays(), ((0, 0), (0, q), (p, 0), (p, q)), strict=True):
        if tuple(starts) == start and tuple(sizes) == tuple(x.shape[-2:]):
            return x
    return NotImplemented
