"""Tridiagonal, banded and Toeplitz matrices against LAPACK, `lax`, Lineax and bare kernels."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import scipy.linalg
from jax import lax

from sciquax import quaxify
from sciquax.structured import BandedMatrix, ToeplitzMatrix, TridiagonalMatrix
from sciquax.structured._matrices.toeplitz import fast_length

from ._timing import Ratio, compare

_rng = np.random.default_rng(0)
_solve = jax.jit(quaxify(jnp.linalg.solve))
_matvec = jax.jit(quaxify(lambda A, x: A @ x))


def _normal(*shape: int) -> jax.Array:
    return jnp.asarray(_rng.normal(size=shape), jnp.float32)


def _tridiagonal(*shape: int, **options: Any) -> TridiagonalMatrix:
    *batch, n = shape
    return TridiagonalMatrix(
        _normal(*batch, n - 1), _normal(*shape) + 10, _normal(*batch, n - 1), **options
    )


def _padded(A: TridiagonalMatrix) -> tuple[Any, Any, Any]:
    """The diagonals as `lax.linalg.tridiagonal_solve` takes them."""
    rest = [(0, 0)] * (A.main_diag.ndim - 1)
    lower = jnp.pad(A.lower_diag, [*rest, (1, 0)])
    return lower, A.main_diag, jnp.pad(A.upper_diag, [*rest, (0, 1)])


@jax.jit
def _gtsv(lower: Any, main: Any, upper: Any, b: Any) -> Any:
    return lax.linalg.tridiagonal_solve(lower, main, upper, b[..., None])[..., 0]


@jax.jit
def _lineax(A: TridiagonalMatrix, b: Any) -> Any:
    operator = lx.TridiagonalLinearOperator(A.main_diag, A.lower_diag, A.upper_diag)
    return lx.linear_solve(operator, b, lx.Tridiagonal()).value


def _gradient(solve: Callable) -> Callable:
    return jax.jit(jax.grad(lambda A, b: jnp.sum(jnp.sin(solve(A, b))), argnums=(0, 1)))


def _timed(function: Callable, *args: Any) -> Callable:
    return lambda: jax.block_until_ready(function(*args))


def _tridiagonals(n: int) -> list[Ratio]:
    A, b = _tridiagonal(n), _normal(n)
    dominant = A.rebuild(A.arrays(), properties=frozenset({"diagonally_dominant"}))
    diagonals = _padded(A)
    bands, side = np.stack([np.asarray(x) for x in reversed(diagonals)]), np.asarray(b)
    bands[0], bands[2] = np.roll(bands[0], 1), np.roll(bands[2], -1)
    same_bytes = jax.jit(lambda lower, main, upper, x: lower + main * x + upper)
    number = max(1, 10_000 // n)

    def row(name: str, plain: Callable, ours: Callable, limit: float | None) -> Ratio:
        return compare(f"{name}, n = {n:.0e}", plain, ours, number=number, rounds=15, limit=limit)

    ours, fast = _timed(_solve, A, b), _timed(_solve, dominant, b)
    scipys = lambda: scipy.linalg.solve_banded((1, 1), bands, side, check_finite=False)  # noqa: E731
    gtsv = _timed(_gtsv, *diagonals, b)
    of_lax = _gradient(lambda A, b: _gtsv(*_padded(A), b))
    of_ours = _gradient(lambda A, b: quaxify(jnp.linalg.solve)(A, b))
    return [
        row(
            "tridiagonal A @ x, a kernel of the same bytes",
            _timed(same_bytes, *diagonals, b),
            _timed(_matvec, A, b),
            1.2,
        ),
        row("tridiagonal solve, lax", gtsv, ours, 1),
        row("tridiagonal solve, SciPy", scipys, ours, 1),
        row("tridiagonal solve, Lineax", _timed(_lineax, A, b), ours, 1),
        row("dominant tridiagonal solve, lax", gtsv, fast, 1 / 1.3),
        row("dominant tridiagonal solve, SciPy", scipys, fast, 1 / 1.3),
        row("tridiagonal solve's gradient, lax", _timed(of_lax, A, b), _timed(of_ours, A, b), 1),
        row(
            "dominant tridiagonal solve's gradient, lax",
            _timed(of_lax, A, b),
            _timed(of_ours, dominant, b),
            1,
        ),
        row(
            "tridiagonal solve's gradient, Lineax",
            _timed(_gradient(_lineax), A, b),
            _timed(of_ours, A, b),
            1,
        ),
    ]


def _batch() -> Ratio:
    A = _tridiagonal(1000, 1000, properties={"diagonally_dominant"})
    b = _normal(1000, 1000)
    ours = jax.jit(quaxify(lambda A, b: jnp.linalg.solve(A, b[..., None])[..., 0]))
    return compare(
        "1000 dominant tridiagonal systems of 1000, lax",
        _timed(_gtsv, *_padded(A), b),
        _timed(ours, A, b),
        rounds=15,
        limit=1 / 3,
    )


def _pentadiagonal(n: int) -> list[Ratio]:
    bands, b = _normal(5, n).at[2].add(10), _normal(n)
    stored, side = np.asarray(bands), np.asarray(b)
    ratios = []
    for name, properties in (("", set()), (", dominant", {"diagonally_dominant"})):
        A = BandedMatrix(bands, lower=2, upper=2, properties=properties)
        ratios.append(
            compare(
                f"pentadiagonal solve{name}, SciPy, n = {n:.0e}",
                lambda: scipy.linalg.solve_banded((2, 2), stored, side, check_finite=False),
                _timed(_solve, A, b),
                number=max(1, 10_000 // n),
                rounds=11,
                limit=1,
            )
        )
    return ratios


def _toeplitz(n: int) -> Ratio:
    size = fast_length(2 * n - 1)
    A, x, column = ToeplitzMatrix(_normal(n), _normal(n)), _normal(n), _normal(size)
    bare = jax.jit(lambda c, x: jnp.fft.irfft(jnp.fft.rfft(c) * jnp.fft.rfft(x, size), size)[:n])
    return compare(
        f"Toeplitz A @ x, bare FFTs, n = {n:.0e}",
        _timed(bare, column, x),
        _timed(_matvec, A, x),
        number=max(1, 10_000 // n),
        rounds=15,
        limit=1.1,
    )


def run() -> list[Ratio]:
    ratios = []
    for n in (1000, 1_000_000):
        ratios += [*_tridiagonals(n), *_pentadiagonal(n), _toeplitz(n)]
    return [*ratios, _batch()]
