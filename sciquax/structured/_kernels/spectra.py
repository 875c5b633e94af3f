"""Eigenvalues of Hermitian band matrices and singular values of any, in linear memory.

By bisection, all at once: how many eigenvalues lie below a number is how often the leading minors
of the matrix less that number change their sign. The minors come from elimination with row
interchanges (R. S. Martin and J. H. Wilkinson, Solution of symmetric and unsymmetric band
equations and the calculation of eigenvectors of band matrices, Numer. Math. 9 (1967)): each value
is found to a few units in the last place of the norm, in O(n^2 w^2) operations in all.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import elimination
from .bands import Bands, pad

_SEPARATE = 256
"""Eigenvalues closer than so many units in the last place of the norm have no derivative."""


def pseudo_reciprocal(values: Any, rtol: Any, n: int) -> Any:
    """1 / values, and 0 for those that `jnp.linalg.pinv` counts as zero beside the largest."""
    size = jnp.abs(values)
    if rtol is None:
        rtol = 10.0 * n * jnp.finfo(size.dtype).eps
    keep = size > jnp.asarray(rtol, size.dtype) * jnp.max(size, -1, keepdims=True)
    return jnp.where(keep, 1 / jnp.where(keep, values, 1), 0)


def eigenvalues(upper: Bands, first: int = 0) -> Any:
    """The eigenvalues, ascending, of a Hermitian matrix from its diagonals on and above the main.

    **Arguments**: the bands by offset, each (..., n - offset); the number of the first eigenvalue
    that is wanted.

    Their derivatives are v^H dA v, with eigenvectors v by inverse iteration, one at a time; not a
    number where an eigenvalue is not separate from its neighbours.
    """
    n = upper[0].shape[-1]
    width = max(k for k in upper if k < n)
    dtype = jnp.result_type(*upper.values())
    bands = []
    for k in range(width + 1):
        x = upper.get(k)
        shape = (*upper[0].shape[:-1], n - k)
        x = jnp.zeros(shape, dtype) if x is None else jnp.broadcast_to(x, shape)
        bands.append((x.real if k == 0 else x).astype(dtype))
    return _values(first, tuple(bands))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _values(first: int, bands: tuple[Any, ...]) -> Any:
    if len(bands) == 1:
        return jnp.sort(bands[0].real, -1)[..., first:]
    if len(bands) == 2 and not jnp.iscomplexobj(bands[1]):
        one = lambda d, e: jax.scipy.linalg.eigh_tridiagonal(d, e, eigvals_only=True)  # noqa: E731
        for _ in bands[0].shape[:-1]:
            one = jax.vmap(one)
        return one(*bands)[..., first:]
    return _bisected(first, bands)


@_values.defjvp
def _derivative(first: int, primals: Any, tangents: Any) -> Any:
    (bands,), (slopes,) = primals, tangents
    values = _values(first, bands)
    n = bands[0].shape[-1]
    radius = _radius(bands)[..., None]
    eps = jnp.finfo(values.dtype).eps
    fixed = tuple(map(lax.stop_gradient, bands))

    @jax.checkpoint
    def slope(value: Any, bands: Any, slopes: Any) -> Any:
        v = _eigenvector(value, bands)
        total = jnp.sum(jnp.abs(v) ** 2 * slopes[0].real, -1)
        for k, d in enumerate(slopes[1:], 1):
            total = total + 2 * jnp.sum((jnp.conj(v[..., : n - k]) * d * v[..., k:]).real, -1)
        return total

    each = lax.map(lambda value: slope(value, fixed, slopes), jnp.moveaxis(values, -1, 0))
    ends = jnp.full_like(values[..., :1], jnp.inf)
    gaps = jnp.concatenate([ends, jnp.diff(values, axis=-1), ends], -1)
    if first:  # the neighbour below the first
        gaps = gaps.at[..., 0].set(_gap_below(first, bands, values))
    apart = jnp.minimum(gaps[..., 1:], gaps[..., :-1]) > _SEPARATE * eps * radius
    return values, jnp.moveaxis(each, 0, -1) * jnp.where(apart, 1, jnp.nan)


def _gap_below(first: int, bands: Any, values: Any) -> Any:
    """Singular values come with their negatives, so the neighbour is that of the smallest."""
    return 2 * jnp.abs(values[..., 0])


def _radius(bands: Any) -> Any:
    """A bound of the absolute eigenvalues (Gershgorin)."""
    total = jnp.abs(bands[0])
    for k, x in enumerate(bands[1:], 1):
        size = jnp.abs(x)
        total = total + pad(size, k, -1) + pad(size, -k, -1)
    return lax.stop_gradient(jnp.max(total, -1))


def _bisected(first: int, bands: tuple[Any, ...]) -> Any:
    n = bands[0].shape[-1]
    real = jnp.finfo(bands[0].dtype).dtype
    # The ends are odd numbers, lest a midpoint be an eigenvalue of a leading submatrix.
    radius = (_radius(bands) * 1.0137 + jnp.finfo(real).tiny)[..., None]
    wanted = jnp.arange(first, n)
    high = jnp.broadcast_to(radius, (*radius.shape[:-1], n - first)).astype(real)
    low = -1.0071 * high

    def halve(_: Any, ends: Any) -> Any:
        low, high = ends
        middle = low + (high - low) / 2
        above = _count_below(middle, bands) > wanted
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    low, high = lax.fori_loop(0, jnp.finfo(real).nmant + 6, halve, (low, high))
    values = low + (high - low) / 2
    return jnp.where(jnp.isfinite(radius), values, jnp.nan)


def _count_below(shift: Any, bands: tuple[Any, ...]) -> Any:
    """How many eigenvalues are less than each of `shift` (..., k)."""
    w = len(bands) - 1
    dtype = bands[0].dtype
    size = shift.shape
    rows = [jnp.moveaxis(pad(jnp.conj(bands[k]), -k, -1), -1, 0) for k in range(w, 0, -1)]
    rows += [jnp.moveaxis(pad(x, k, -1), -1, 0) for k, x in enumerate(bands)]
    rows = jnp.stack([x[..., None] for x in rows], 1)  # (n, 2 w + 1, ..., 1)
    tiny = jnp.finfo(dtype).tiny
    # Rows before the first: of the identity, which eliminate nothing.
    unit = jnp.zeros((2 * w + 1, *size), dtype).at[0].set(1)

    def step(carry: Any, row: Any) -> Any:
        window, done, before, count = carry
        work = jnp.broadcast_to(row, (2 * w + 1, *size))
        work = work.at[w].add(-shift.astype(dtype))
        after = []
        for i, old in enumerate(window):
            # `work` starts at this row's first column
            own = old[: work.shape[0]]
            swap = jnp.abs(work[0]) > jnp.abs(own[0])
            done = jnp.where(swap, -done, done)
            top, rest = jnp.where(swap, work, own), jnp.where(swap, own, work)
            pivot = jnp.where(top[0] == 0, 1, top[0])
            work = (rest - (rest[0] / pivot) * top)[1:]
            after.append(jnp.concatenate([top, jnp.zeros((i, *size), dtype)]))
        work = work.at[0].set(jnp.where(work[0] == 0, tiny, work[0]))
        after.append(jnp.concatenate([work, jnp.zeros((w, *size), dtype)]))
        minor = done
        for x in after:
            minor = minor * jnp.sign(x[0])
        minor = jnp.sign(minor.real)
        count = count + (minor != before)
        done = done * jnp.sign(after[0][0])
        return (after[1:], done, minor, count), None

    start = (
        [unit] * w,
        jnp.ones(size, dtype),
        jnp.ones(size, jnp.finfo(dtype).dtype),
        jnp.zeros(size, jnp.int32),
    )
    return lax.scan(step, start, rows)[0][3]


def _eigenvector(value: Any, bands: tuple[Any, ...]) -> Any:
    """Of unit length, by inverse iteration (Golub and Van Loan, section 8.2.2)."""
    n, w = bands[0].shape[-1], len(bands) - 1
    dtype = bands[0].dtype
    if w == 0:
        return (bands[0] == value[..., None]).astype(dtype)
    eps = jnp.finfo(dtype).eps
    shifted = value + 2 * eps * _radius(bands)
    rows = {k: jnp.moveaxis(pad(x, k, -1), -1, 0) for k, x in enumerate(bands)}
    for k in range(1, w + 1):
        rows[-k] = jnp.moveaxis(pad(jnp.conj(bands[k]), -k, -1), -1, 0)
    rows[0] = rows[0] - shifted.astype(dtype)
    start = np.random.default_rng(0).normal(size=(n, *(1,) * (rows[0].ndim - 1)))
    v = jnp.broadcast_to(jnp.asarray(start, dtype), rows[0].shape)

    def iterate(_: Any, v: Any) -> Any:
        (x,) = elimination.solve(rows, [v], w, w, True)
        x = x / jnp.max(jnp.abs(x), 0)
        return x / jnp.sqrt(jnp.sum(jnp.abs(x) ** 2, 0))

    return jnp.moveaxis(lax.stop_gradient(lax.fori_loop(0, 3, iterate, v)), 0, -1)


def singular_values(bands: Bands) -> Any:
    """The singular values, descending, of a square matrix from its diagonals.

    They are the upper half of the eigenvalues of [[0, A], [A^H, 0]], whose rows in the order 0, n,
    1, n + 1, ... make it a band matrix (Golub and Van Loan, section 8.6.1).
    """
    n = bands[0].shape[-1] if 0 in bands else next(x.shape[-1] + abs(k) for k, x in bands.items())
    low, high = max(0, -min(bands)), max(0, max(bands))
    if low > high:
        bands = {-k: x for k, x in bands.items()}
    bands = {-k: x for k, x in bands.items()}  # the lower side is the cheaper one
    example = next(iter(bands.values()))
    upper: Bands = {0: jnp.zeros((*example.shape[:-1], 2 * n), example.dtype)}
    for k in range(n):
        even, odd = bands.get(k), bands.get(-k - 1)
        if even is None and odd is None:
            continue
        shape = example.shape[:-1]
        even = jnp.zeros((*shape, n - k), example.dtype) if even is None else even
        odd = jnp.zeros((*shape, n - k - 1), example.dtype) if odd is None else jnp.conj(odd)
        woven = jnp.stack([even, pad(odd, 1, -1)], -1)
        upper[2 * k + 1] = woven.reshape(*shape, -1)[..., :-1]
    return jnp.maximum(eigenvalues(upper, n), 0)[..., ::-1]
