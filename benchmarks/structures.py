"""Cyclic, block-tridiagonal and Toeplitz systems, and corrections of low rank, against peers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import lax

from sciquax import quaxify
from sciquax.structured import (
    BlockTridiagonalMatrix,
    CyclicTridiagonalMatrix,
    ToeplitzMatrix,
    TridiagonalMatrix,
)

from ._timing import Ratio, compare

_rng = np.random.default_rng(0)
_solve = jax.jit(quaxify(jnp.linalg.solve))


def _normal(*shape: int) -> jax.Array:
    return jnp.asarray(_rng.normal(size=shape), jnp.float32)


def _timed(function: Callable, *args: Any) -> Callable:
    return lambda: jax.block_until_ready(function(*args))


@jax.jit
def _woodbury(lower: Any, main: Any, upper: Any, b: Any) -> Any:
    """By hand: the corners as a matrix of rank one, and LAPACK's `gtsv` for the rest."""
    g = -main[0]
    u = jnp.zeros_like(main).at[0].set(g).at[-1].set(upper[-1])
    main = main.at[0].add(-g).at[-1].add(-upper[-1] * lower[0] / g)
    sides = jnp.stack([b, u], -1)
    y, q = lax.linalg.tridiagonal_solve(lower.at[0].set(0), main, upper.at[-1].set(0), sides).T
    inner = lambda x: x[0] + lower[0] / g * x[-1]  # noqa: E731
    return y - q * inner(y) / (1 + inner(q))


def _cyclic(n: int) -> list[Ratio]:
    diagonals, b = (_normal(n), _normal(n) + 10, _normal(n)), _normal(n)
    ratios = []
    for name, properties in (("", set()), (", dominant", {"diagonally_dominant"})):
        A = CyclicTridiagonalMatrix(*diagonals, properties=properties)
        ratios.append(
            compare(
                f"cyclic tridiagonal solve{name}, Woodbury by hand, n = {n:.0e}",
                _timed(_woodbury, *diagonals, b),
                _timed(_solve, A, b),
                number=max(1, 10_000 // n),
                rounds=11,
                limit=1.1,
            )
        )
    return ratios


def _blocks(k: int, m: int) -> list[Ratio]:
    off, main = _normal(2, k - 1, m, m), _normal(k, m, m) + 20 * jnp.eye(m)
    b = _normal(k * m)
    ratios = []
    for name, properties in (("", set()), (", dominant", {"diagonally_dominant"})):
        A = BlockTridiagonalMatrix(off[0], main, off[1], properties=properties)
        bands, width = A.as_bands(), 2 * m - 1
        rows = [
            np.pad(np.asarray(x), (max(0, k), max(0, -k)))
            for k, x in sorted(bands.diagonals().items(), reverse=True)
        ]
        stored, side = np.stack(rows), np.asarray(b)

        def of_scipy(stored: Any = stored, width: int = width, side: Any = side) -> Any:
            return scipy.linalg.solve_banded((width, width), stored, side, check_finite=False)

        ratios.append(
            compare(
                f"block-tridiagonal solve{name}, SciPy's banded, {k} blocks of {m}",
                of_scipy,
                _timed(_solve, A, b),
                rounds=11,
                limit=1.1,
            )
        )
    return ratios


def _toeplitz(n: int) -> list[Ratio]:
    column = jnp.exp(-0.5 * (jnp.arange(n) / 3.0) ** 2).at[0].add(0.1)
    b = _normal(n)
    stored, side = np.asarray(column), np.asarray(b)
    A = ToeplitzMatrix(column, properties={"positive_definite"})
    plain = ToeplitzMatrix(column)
    scipys = lambda: scipy.linalg.solve_toeplitz(stored, side, check_finite=False)  # noqa: E731
    row = f"Toeplitz solve, SciPy, n = {n:.0e}"
    return [
        compare(row, scipys, _timed(_solve, plain, b), rounds=7, limit=1.1),
        compare(f"positive definite {row}", scipys, _timed(_solve, A, b), rounds=11, limit=1.1),
    ]


def _low_rank(n: int) -> Ratio:
    A = TridiagonalMatrix(_normal(n - 1), _normal(n) + 10, _normal(n - 1))
    u, v, b = _normal(n), _normal(n), _normal(n)
    lower, upper = jnp.pad(A.lower_diag, (1, 0)), jnp.pad(A.upper_diag, (0, 1))

    @jax.jit
    def by_hand(lower: Any, main: Any, upper: Any, u: Any, v: Any, b: Any) -> Any:
        sides = jnp.stack([b, u], -1)
        y, q = lax.linalg.tridiagonal_solve(lower, main, upper, sides).T
        return y - q * (v @ y) / (1 + v @ q)

    ours = jax.jit(quaxify(lambda A, u, v, b: jnp.linalg.solve(A + jnp.outer(u, v), b)))
    return compare(
        f"solve with A + outer(u, v), tridiagonal A, Woodbury by hand, n = {n:.0e}",
        _timed(by_hand, lower, A.main_diag, upper, u, v, b),
        _timed(ours, A, u, v, b),
        number=max(1, 10_000 // n),
        rounds=11,
    )


def run() -> list[Ratio]:
    ratios = []
    for n in (1000, 100_000):
        ratios += [*_cyclic(n), _low_rank(n)]
    return [*ratios, *_blocks(1000, 4), *_blocks(1000, 8), *_toeplitz(1000)]
