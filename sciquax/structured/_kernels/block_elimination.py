"""Block-tridiagonal systems: `lax.scan`s whose step takes one row of blocks.

The axis of blocks comes first: `lower` and `upper` are (k - 1, ..., m, m), `main` is (k, ..., m, m)
and right-hand sides are (k, ..., m, c). Batch axes ride along.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

_FEW = 8
"""Rows of a block up to which its elimination is written out."""


def mm(x: Any, y: Any) -> Any:
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


def _adjoint(x: Any) -> Any:
    return jnp.conj(jnp.swapaxes(x, -1, -2))


def _substitute(triangle: Any, b: Any, lower: bool, unit: bool = False) -> Any:
    return lax.linalg.triangular_solve(triangle, b, left_side=True, lower=lower, unit_diagonal=unit)


def _few_times(x: Any, y: Any) -> Any:
    """x y for a step of a scan: of a few rows written out, which is fused with what is around."""
    if x.shape[-1] > _FEW:
        return mm(x, y)
    return jnp.sum(x[..., :, :, None] * y[..., None, :, :], -2)


def _divide(a: Any, b: Any) -> Any:
    """a^-1 b for a block that needs no pivoting: of a few rows, without a call of LAPACK.

    Gauss and Jordan's elimination, forward stable for blocks that are positive definite or
    diagonally dominant (Higham, Accuracy and Stability of Numerical Algorithms, section 14.4).
    """
    m = a.shape[-1]
    if m > _FEW:
        return jnp.linalg.solve(a, b)
    x = jnp.concatenate([a, b], -1)
    for i in range(m):
        row = x[..., i : i + 1, :] / x[..., i : i + 1, i : i + 1]
        other = (np.arange(m) != i)[:, None]
        x = jnp.where(other, x - x[..., i : i + 1] * row, row)
    return x[..., m:]


def thomas(lower: Any, main: Any, upper: Any, b: Any) -> Any:
    """Block elimination without exchanges between rows of blocks.

    Golub and Van Loan, Matrix Computations, 4th ed., section 4.5.1: stable for matrices that are
    positive definite, or block diagonally dominant.
    """
    m = main.shape[-1]
    none = jnp.zeros_like(main[:1])

    def forward(carry: Any, row: Any) -> Any:
        ratio, y = carry
        low, d, up, side = row
        sides = jnp.concatenate([up, side - _few_times(low, y)], -1)
        found = _divide(d - _few_times(low, ratio), sides)
        carry = found[..., :m], found[..., m:]
        return carry, carry

    def backward(x: Any, row: Any) -> Any:
        ratio, y = row
        x = y - _few_times(ratio, x)
        return x, x

    start = none[0], jnp.zeros_like(b[0])
    rows = jnp.concatenate([none, lower]), main, jnp.concatenate([upper, none]), b
    _, found = lax.scan(forward, start, rows)
    return lax.scan(backward, jnp.zeros_like(b[0]), found, reverse=True)[1]


def _panel(x: Any, m: int) -> tuple[Any, Any]:
    """The first m columns of 2 m rows eliminated with partial pivoting; and how many exchanges."""
    places = np.arange(2 * m)
    if m > _FEW:
        factors, pivots, order = lax.linalg.lu(x[..., :m])
        x = jnp.take_along_axis(x[..., m:], order[..., None], -2)
        done = _substitute(factors[..., :m, :], x[..., :m, :], True, True)
        below = x[..., m:, :] - mm(factors[..., m:, :], done)
        x = jnp.concatenate([factors, jnp.concatenate([done, below], -2)], -1)
        return x, jnp.sum(pivots != np.arange(m), -1)
    swaps = jnp.zeros(x.shape[:-2], jnp.int32)
    for i in range(m):
        size = jnp.where(places >= i, jnp.abs(x[..., i]), -1)
        pivot = jnp.argmax(size, -1)[..., None]
        swaps = swaps + (pivot[..., 0] != i)
        order = jnp.where(places == i, pivot, jnp.where(places == pivot, i, places))
        x = jnp.take_along_axis(x, order[..., None], -2)
        row = x[..., i : i + 1, :]
        top = row[..., i : i + 1]
        # nothing is below a column of zeros: divided by anything, it stays
        factor = x[..., i : i + 1] / jnp.where(top == 0, jnp.ones((), x.dtype), top)
        x = jnp.where((places > i)[:, None], x - factor * row, x)
    return x, swaps


def _back(triangle: Any, b: Any) -> Any:
    """The solution of an upper triangular system, of a few rows written out."""
    m = triangle.shape[-1]
    if m > _FEW:
        return _substitute(triangle, b, False)
    found = b
    for i in reversed(range(m)):
        own = found[..., i : i + 1, :] / triangle[..., i : i + 1, i : i + 1]
        rest = found - triangle[..., :, i : i + 1] * own
        place = np.arange(m)[:, None]
        found = jnp.where(place < i, rest, jnp.where(place == i, own, found))
    return found


def eliminate(lower: Any, main: Any, upper: Any, b: Any) -> tuple[Any, Any, Any]:
    """Gaussian elimination with partial pivoting: rows of two rows of blocks are exchanged.

    These are all rows that have elements in the columns of a block, so that it is the elimination
    of the whole (Golub and Van Loan, section 3.4). U has two more blocks to the right.

    **Returns** U's rows (k, ..., m, 3 m), what became of b, and the sign of the permutation.
    """
    m = main.shape[-1]
    none = jnp.zeros_like(main[:1])
    sign = jnp.ones(main.shape[1:-2], jnp.int32)

    def step(carry: Any, row: Any) -> Any:
        top, side, sign = carry  # (..., m, 2 m): columns of this block and of the next
        low, d, up, new = row
        rows = [
            jnp.concatenate([top, jnp.zeros_like(low), side], -1),
            jnp.concatenate([low, d, up, new], -1),
        ]
        done, swaps = _panel(jnp.concatenate(rows, -2), m)
        sign = jnp.where(swaps % 2 == 1, -sign, sign)
        own, below = done[..., :m, :], done[..., m:, m:]
        own = jnp.concatenate([jnp.triu(own[..., :m]), own[..., m:]], -1)
        carry = below[..., : 2 * m], below[..., 2 * m :], sign
        return carry, (own[..., : 3 * m], own[..., 3 * m :])

    top = jnp.concatenate([main[0], upper[0] if upper.shape[0] else none[0]], -1)
    # after the last row, one of the identity: its elimination exchanges nothing below it
    rows = (
        jnp.concatenate([lower, none]),
        jnp.concatenate([main[1:], none]),
        jnp.concatenate([upper[1:], none, none])[: main.shape[0]],
        jnp.concatenate([b[1:], jnp.zeros_like(b[:1])]),
    )
    (_, _, sign), (u, y) = lax.scan(step, (top, b[0], sign), rows)
    return u, y, sign


def pivoted(lower: Any, main: Any, upper: Any, b: Any) -> Any:
    """The solution by `eliminate`."""
    m = main.shape[-1]
    u, y, _ = eliminate(lower, main, upper, b)

    def backward(carry: Any, row: Any) -> Any:
        first, second = carry
        own, side = row
        side = side - _few_times(own[..., m : 2 * m], first)
        x = _back(own[..., :m], side - _few_times(own[..., 2 * m :], second))
        return (x, first), x

    none = jnp.zeros_like(b[0])
    return lax.scan(backward, (none, none), (u, y), reverse=True)[1]


def cholesky(lower: Any, main: Any) -> tuple[Any, Any]:
    """The blocks of the lower Cholesky factor, on the diagonal and below it."""

    def step(before: Any, row: Any) -> Any:
        low, d = row
        off = _adjoint(_substitute(before, _adjoint(low), True))
        own = lax.linalg.cholesky(d - mm(off, _adjoint(off)), symmetrize_input=False)
        return own, (own, off)

    eye = jnp.broadcast_to(jnp.eye(main.shape[-1], dtype=main.dtype), main.shape[1:])
    rows = jnp.concatenate([jnp.zeros_like(main[:1]), lower]), main
    _, (own, off) = lax.scan(step, eye, rows)
    return own, off[1:]


def substitute(main: Any, off: Any, b: Any, lower: bool) -> Any:
    """The solution of a block-bidiagonal system whose blocks on the diagonal are triangular."""

    def step(x: Any, row: Any) -> Any:
        own, beside, side = row
        x = _substitute(own, side - mm(beside, x), lower)
        return x, x

    none = jnp.zeros_like(main[:1])
    beside = jnp.concatenate([none, off] if lower else [off, none])
    return lax.scan(step, jnp.zeros_like(b[0]), (main, beside, b), reverse=not lower)[1]
