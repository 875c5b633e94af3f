"""Solving banded systems by elimination: `lax.scan`s whose step is written out in scalars.

Arrays of bands hold rows: `rows[k][i]` is `A[i, i + k]`, zero where that is outside of the matrix.
The time axis of each scan is the matrix's; batch dimensions ride along, so that a batch of systems
is eliminated side by side.
"""

from collections.abc import Sequence
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


def _divide(x: Any, pivot: Any) -> Any:
    """A multiplier; zero below a zero pivot, as in LAPACK, so that only the solution overflows.

    Of real numbers by one selection: two keep XLA from compiling a step into one loop (20 times the
    time).
    """
    if jnp.iscomplexobj(pivot):
        return jnp.where(pivot == 0, 0, x / jnp.where(pivot == 0, 1, pivot))
    return x / jnp.where(pivot == 0, jnp.inf, pivot)


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
    if pivot:
        u, y, sign = _with_exchanges(rows, b, lower, upper)
        return [u[:, c] for c in range(u.shape[1])], y, sign
    example = rows[0]
    zero = jnp.zeros(example.shape[1:], example.dtype)
    offsets = range(-lower, upper + 1)

    def entry(r: int, c: int) -> Any:
        known = c - r in rows and r < example.shape[0]
        return rows[c - r][r] if known else zero

    window = [[entry(r, c) for c in range(lower + upper + 1)] for r in range(lower + 1)]
    sides = _first_sides(b, lower)
    ahead = [_shift(rows[k], lower + 1) if k in rows else None for k in offsets]
    b_ahead = [_shift(x, lower + 1) for x in b]

    def step(carry: Any, x: Any) -> Any:
        window, sides = jax.tree.map(lambda y: y, carry)
        new_row, new_sides = x
        top, side = window[0], sides[0]
        for i in range(1, lower + 1):
            factor = window[i][0] / top[0]
            window[i] = [y - factor * t for y, t in zip(window[i][1:], top[1:], strict=True)]
            sides[i] = [y - factor * t for y, t in zip(sides[i], side, strict=True)]
            window[i] = [*window[i], zero]
        arriving = [zero if y is None else y for y in new_row]
        after = [*window[1:], arriving], [*sides[1:], list(new_sides)]
        return after, (top[: upper + 1], side)

    _, (u, y) = lax.scan(step, (window, sides), (ahead, b_ahead), unroll=_UNROLL)
    return list(u), list(y), jnp.ones(example.shape[1:], jnp.int32)


def _first_sides(b: Sequence[Any], lower: int) -> list[list[Any]]:
    return [[x[r] if r < x.shape[0] else jnp.zeros_like(x[0]) for x in b] for r in range(lower + 1)]


def _with_exchanges(
    rows: Rows, b: Sequence[Any], lower: int, upper: int
) -> tuple[Any, list[Any], Any]:
    """With partial pivoting. A row is one array: 48 times faster than a step in scalars.

    The largest element of the column comes to the top by exchanges with each row in turn.
    """
    example = rows[0]
    width = lower + upper + 1
    zero = jnp.zeros(example.shape, example.dtype)
    stacked = jnp.stack([rows.get(k, zero) for k in range(-lower, upper + 1)], 1)
    window = []  # each row from the first column on; in `stacked`, from its own first
    for r in range(lower + 1):
        row = stacked[r] if r < example.shape[0] else jnp.zeros_like(stacked[0])
        row = row[max(lower - r, 0) :]
        window.append(jnp.pad(row, [(0, width - row.shape[0]), *[(0, 0)] * (row.ndim - 1)]))
    sides = _first_sides(b, lower)

    def step(carry: Any, x: Any) -> Any:
        window, sides, sign = carry
        new_row, new_sides = x
        top, side = window[0], sides[0]
        others, other_sides = [], []
        for i in range(1, lower + 1):
            own, own_sides = window[i], sides[i]
            larger = jnp.abs(own[0]) > jnp.abs(top[0])
            sign = jnp.where(larger, -sign, sign)
            top, own = jnp.where(larger, own, top), jnp.where(larger, top, own)
            others.append(own)
            other_sides.append(
                [jnp.where(larger, s, y) for s, y in zip(side, own_sides, strict=True)]
            )
            side = [jnp.where(larger, y, s) for s, y in zip(side, own_sides, strict=True)]
        for i, own in enumerate(others):
            factor = _divide(own[0], top[0])
            own = own[1:] - factor * top[1:]
            others[i] = jnp.concatenate([own, jnp.zeros_like(top[:1])])
            other_sides[i] = [y - factor * s for y, s in zip(other_sides[i], side, strict=True)]
        after = [*others, new_row], [*other_sides, list(new_sides)], sign
        return after, (top, side)

    sign = jnp.ones(example.shape[1:], jnp.int32)
    given = _shift(stacked, lower + 1), [_shift(x, lower + 1) for x in b]
    (_, _, sign), (u, y) = lax.scan(step, (window, sides, sign), given)
    return u, list(y), sign


def back_substitute(u: Any, y: Sequence[Any]) -> list[Any]:
    """The solution of `U x = y` for the rows of U, as `eliminate` gives them or in one array."""
    stacked = not isinstance(u, list)  # (n, width, ...)
    behind = (u.shape[1] if stacked else len(u)) - 1

    def step(carry: Any, row: Any) -> Any:
        own, sides = row
        new, out = [], []
        for previous, side in zip(carry, sides, strict=True):
            for c, x in enumerate(previous, 1):
                side = side - own[c] * x
            x = side / own[0]
            new.append([x, *previous[:-1]] if behind else [])
            out.append(x)
        return new, out

    start = [[jnp.zeros_like(x[0])] * behind for x in y]
    _, x = lax.scan(step, start, (u, list(y)), reverse=True, unroll=_UNROLL)
    return list(x)


def solve(rows: Rows, b: Sequence[Any], lower: int, upper: int, pivot: bool) -> list[Any]:
    found = _with_exchanges(rows, b, lower, upper) if pivot else None
    u, y, _ = found or eliminate(rows, b, lower, upper, False)
    return back_substitute(u, y)


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
