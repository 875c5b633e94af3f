"""Solving banded systems by elimination: `lax.scan`s whose step is written out in scalars.

Arrays of bands hold rows: `rows[k][i]` is `A[i, i + k]`, zero where that is outside of the matrix.
The time axis of each scan is the matrix's; batch dimensions ride along, so that a batch of systems
is eliminated side by side.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Rows = dict[int, Any]
_UNROLL = 1


def _shift(x: Any, by: int) -> Any:
    """`x[i + by]` along the first axis, zero beyond the ends."""
    if by == 0:
        return x
    low, high = (0, by) if by > 0 else (-by, 0)
    x = x[by:] if by > 0 else x[:by]
    return jnp.pad(x, [(low, high), *[(0, 0)] * (x.ndim - 1)])


def _swap(rows: list[list[Any]], i: int, where: Any) -> None:
    """Rows 0 and i changed places where a mask says so."""
    for c, (x, y) in enumerate(zip(rows[0], rows[i], strict=True)):
        rows[0][c], rows[i][c] = jnp.where(where, y, x), jnp.where(where, x, y)


def _divide(x: Any, pivot: Any) -> Any:
    """A multiplier; zero below a zero pivot, as in LAPACK, so that only the solution overflows."""
    return jnp.where(pivot == 0, 0, x / jnp.where(pivot == 0, 1, pivot))


def eliminate(
    rows: Rows, b: Sequence[Any], lower: int, upper: int, pivot: bool
) -> tuple[list[Any], list[Any], Any]:
    """Gaussian elimination, by partial pivoting or without.

    Golub and Van Loan, Matrix Computations, 4th ed., sections 4.3.1 (band LU) and 4.3.3 (with
    pivoting, after which U has `lower + upper` superdiagonals). Backward stable with pivoting;
    without, for matrices that are diagonally dominant (by rows or columns) or positive definite.

    **Arguments**: the bands by rows, each (n, ...); right-hand sides, each (n, ...).

    **Returns** U's rows, `lower + upper + 1` arrays with the pivots first (`upper + 1` without
    pivoting); the right-hand sides after the elimination; and the sign of the permutation.
    """
    width = lower + upper + 1 if pivot else upper + 1
    example = rows[0]
    zero = jnp.zeros(example.shape[1:], example.dtype)
    offsets = range(-lower, upper + 1)

    def entry(r: int, c: int) -> Any:
        known = c - r in rows and r < example.shape[0]
        return rows[c - r][r] if known else zero

    if pivot:
        window = [[entry(r, c) for c in range(width)] for r in range(lower + 1)]
    else:
        window = [[entry(r, c) for c in range(lower + upper + 1)] for r in range(lower + 1)]
    sides = [
        [x[r] if r < x.shape[0] else jnp.zeros_like(x[0]) for x in b] for r in range(lower + 1)
    ]
    ahead = [_shift(rows[k], lower + 1) if k in rows else None for k in offsets]
    b_ahead = [_shift(x, lower + 1) for x in b]

    def step(carry: Any, x: Any) -> Any:
        window, sides, sign = jax.tree.map(lambda y: y, carry)
        new_row, new_sides = x
        if pivot:
            for i in range(1, lower + 1):
                larger = jnp.abs(window[i][0]) > jnp.abs(window[0][0])
                _swap(window, i, larger)
                _swap(sides, i, larger)
                sign = jnp.where(larger, -sign, sign)
        top, side = window[0], sides[0]
        for i in range(1, lower + 1):
            factor = _divide(window[i][0], top[0]) if pivot else window[i][0] / top[0]
            window[i] = [y - factor * t for y, t in zip(window[i][1:], top[1:], strict=True)]
            sides[i] = [y - factor * t for y, t in zip(sides[i], side, strict=True)]
            window[i] = [*window[i], zero]
        arriving = [zero if y is None else y for y in new_row]
        after = [*window[1:], arriving], [*sides[1:], list(new_sides)], sign
        return after, (top[: upper + 1] if not pivot else top, side)

    sign = jnp.ones(example.shape[1:], jnp.int32)
    (_, _, sign), (u, y) = lax.scan(step, (window, sides, sign), (ahead, b_ahead), unroll=_UNROLL)
    return list(u), list(y), sign


def back_substitute(u: Sequence[Any], y: Sequence[Any]) -> list[Any]:
    """The solution of `U x = y` for the rows of U as `eliminate` gives them."""
    behind = len(u) - 1

    def step(carry: Any, row: Any) -> Any:
        own, sides = row
        new, out = [], []
        for previous, side in zip(carry, sides, strict=True):
            for coefficient, x in zip(own[1:], previous, strict=True):
                side = side - coefficient * x
            x = side / own[0]
            new.append([x, *previous[:-1]] if behind else [])
            out.append(x)
        return new, out

    start = [[jnp.zeros_like(x[0])] * behind for x in y]
    _, x = lax.scan(step, start, (list(u), list(y)), reverse=True, unroll=_UNROLL)
    return list(x)


def solve(rows: Rows, b: Sequence[Any], lower: int, upper: int, pivot: bool) -> list[Any]:
    u, y, _ = eliminate(rows, b, lower, upper, pivot)
    return back_substitute(u, y)


__all__ = ["Callable", "back_substitute", "eliminate", "solve"]


def cholesky(rows: Rows, lower: int) -> Rows:
    """The lower Cholesky factor's bands by rows, of a positive definite matrix's lower bands.

    Golub and Van Loan, section 4.3.5 (band Cholesky), by rows; not a number where the matrix is
    not positive definite, as `jnp.linalg.cholesky` gives.
    """
    offsets = range(-lower, 1)

    def step(carry: Any, row: Any) -> Any:
        # carry[r][c]: the factor's row i - lower + r, columns i - lower + c (c <= r)
        new: list[Any] = []
        for c in range(lower):
            total = row[c]
            for m in range(c):
                total = total - new[m] * jnp.conj(carry[c][m])
            new.append(total / carry[c][c])
        total = row[lower]
        for m in range(lower):
            total = total - new[m] * jnp.conj(new[m])
        root = jnp.sqrt(total.real).astype(total.dtype)
        root = jnp.where(total.real > 0, root, jnp.nan)
        new.append(root)
        after = [*[[*line[1:], zero] for line in carry[1:]], new[1:]] if lower else []
        return after, new

    example = rows[0]
    zero = jnp.zeros(example.shape[1:], example.dtype)
    one = jnp.ones_like(zero)
    start = [[one if r == c else zero for c in range(lower)] for r in range(lower)]
    given = [rows[k] if k in rows else jnp.zeros_like(example) for k in offsets]
    _, factor = lax.scan(step, start, given)
    return dict(zip(offsets, factor, strict=True))
