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
from .bands import Bands, _product, pad

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
    return _values(first, filled(upper), ())


def generalised_eigenvalues(stiffness: Bands, mass: Bands) -> Any:
    """The values L of det(K - L M) = 0, ascending, for Hermitian K and positive definite M.

    **Arguments**: the bands of both, as for `eigenvalues`.

    As those of one matrix: the minors are those of K - s M, which change their sign as often as
    values lie below s (Sylvester's law of inertia). The derivative is v^H (dK - L dM) v, with v of
    length 1 in the norm of M. Not a number where M is not positive definite.
    """
    dtype = jnp.result_type(*stiffness.values(), *mass.values())
    return _values(0, filled(stiffness, dtype), filled(mass, dtype))


def filled(upper: Bands, dtype: Any = None) -> tuple[Any, ...]:
    """Every diagonal from the main one on, of one dtype and batch shape."""
    n = upper[0].shape[-1]
    dtype = jnp.result_type(*upper.values()) if dtype is None else dtype
    bands = []
    for k in range(max(k for k in upper if k < n) + 1):
        x = upper.get(k)
        shape = (*upper[0].shape[:-1], n - k)
        x = jnp.zeros(shape, dtype) if x is None else jnp.broadcast_to(x, shape)
        bands.append((x.real if k == 0 else x).astype(dtype))
    return tuple(bands)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _values(first: int, bands: tuple[Any, ...], mass: tuple[Any, ...]) -> Any:
    if mass:
        return _bisected(first, bands, mass)
    if len(bands) == 1:
        return jnp.sort(bands[0].real, -1)[..., first:]
    if len(bands) == 2 and not jnp.iscomplexobj(bands[1]):
        one = lambda d, e: jax.scipy.linalg.eigh_tridiagonal(d, e, eigvals_only=True)  # noqa: E731
        for _ in bands[0].shape[:-1]:
            one = jax.vmap(one)
        return one(*bands)[..., first:]
    return _bisected(first, bands, mass)


@_values.defjvp
def _derivative(first: int, primals: Any, tangents: Any) -> Any:
    (bands, mass), (slopes, of_mass) = primals, tangents
    values = _values(first, bands, mass)
    radius = _reach(bands, mass)[..., None]
    eps = jnp.finfo(values.dtype).eps
    fixed = jax.tree.map(lax.stop_gradient, (bands, mass))

    @jax.checkpoint
    def slope(value: Any, fixed: Any, slopes: Any, of_mass: Any) -> Any:
        v = _eigenvector(value, *fixed)
        total = _quadratic(slopes, v)
        return total - value * _quadratic(of_mass, v) if of_mass else total

    each = lax.map(lambda x: slope(x, fixed, slopes, of_mass), jnp.moveaxis(values, -1, 0))
    ends = jnp.full_like(values[..., :1], jnp.inf)
    gaps = jnp.concatenate([ends, jnp.diff(values, axis=-1), ends], -1)
    if first:  # the neighbour below the first
        gaps = gaps.at[..., 0].set(_gap_below(first, bands, values))
    apart = jnp.minimum(gaps[..., 1:], gaps[..., :-1]) > _SEPARATE * eps * radius
    return values, jnp.moveaxis(each, 0, -1) * jnp.where(apart, 1, jnp.nan)


def _quadratic(bands: Any, v: Any) -> Any:
    """v^H A v, for the bands of a Hermitian A."""
    n = v.shape[-1]
    total = jnp.sum(jnp.abs(v) ** 2 * bands[0].real, -1)
    for k, d in enumerate(bands[1:], 1):
        total = total + 2 * jnp.sum((jnp.conj(v[..., : n - k]) * d * v[..., k:]).real, -1)
    return total


def _gap_below(first: int, bands: Any, values: Any) -> Any:
    """Singular values come with their negatives, so the neighbour is that of the smallest."""
    return 2 * jnp.abs(values[..., 0])


def _reach(bands: Any, mass: Any) -> Any:
    """A bound of the absolute eigenvalues; of a pair, found by trying."""
    if not mass:
        return _radius(bands)
    n = bands[0].shape[-1]
    bands, mass = lax.stop_gradient((bands, mass))
    start = jnp.maximum(_radius(bands) / _radius(mass), jnp.finfo(bands[0].dtype).tiny)

    def outside(radius: Any) -> Any:
        ends = jnp.stack([-1.0071 * radius, radius], -1)
        count = _count_below(ends, bands, mass)
        return (count[..., 0] > 0) | (count[..., 1] < n)

    def wider(radius: Any) -> Any:
        return jnp.where(outside(radius), 4 * radius, radius)

    return lax.while_loop(
        lambda radius: jnp.any(outside(radius) & jnp.isfinite(radius)), wider, 1.0137 * start
    )


def _positive_definite(bands: Any) -> Any:
    below = _count_below(jnp.zeros((*bands[0].shape[:-1], 1), bands[0].real.dtype), bands, ())
    return (below == 0) & jnp.isfinite(_radius(bands))[..., None]


def _radius(bands: Any) -> Any:
    """A bound of the absolute eigenvalues (Gershgorin)."""
    total = jnp.abs(bands[0])
    for k, x in enumerate(bands[1:], 1):
        size = jnp.abs(x)
        total = total + pad(size, k, -1) + pad(size, -k, -1)
    return lax.stop_gradient(jnp.max(total, -1))


def _bisected(first: int, bands: tuple[Any, ...], mass: tuple[Any, ...]) -> Any:
    n = bands[0].shape[-1]
    real = jnp.finfo(bands[0].dtype).dtype
    # The ends are odd numbers, lest a midpoint be an eigenvalue of a leading submatrix.
    radius = (_reach(bands, mass) * 1.0137 + jnp.finfo(real).tiny)[..., None]
    if mass:
        radius = jnp.where(_positive_definite(mass), radius, jnp.nan)
    wanted = jnp.arange(first, n)
    high = jnp.broadcast_to(radius, (*radius.shape[:-1], n - first)).astype(real)
    low = -1.0071 * high

    def halve(_: Any, ends: Any) -> Any:
        low, high = ends
        middle = low + (high - low) / 2
        above = _count_below(middle, bands, mass) > wanted
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    low, high = lax.fori_loop(0, jnp.finfo(real).nmant + 6, halve, (low, high))
    values = low + (high - low) / 2
    return jnp.where(jnp.isfinite(radius), values, jnp.nan)


def _whole_rows(bands: tuple[Any, ...], width: int) -> Any:
    """Every row from its first column on, (n, 2 width + 1, ..., 1)."""
    none = jnp.zeros_like(bands[0])
    each = [pad(bands[k], k, -1) if k < len(bands) else none for k in range(width + 1)]
    below = [pad(jnp.conj(bands[k]), -k, -1) if k < len(bands) else none for k in range(width + 1)]
    rows = [jnp.moveaxis(x, -1, 0) for x in (*below[:0:-1], *each)]
    return jnp.stack([x[..., None] for x in rows], 1)


def _count_below(shift: Any, bands: tuple[Any, ...], mass: tuple[Any, ...]) -> Any:
    """How many eigenvalues are less than each of `shift` (..., k)."""
    w = max(len(bands), len(mass)) - 1
    dtype = bands[0].dtype
    size = shift.shape
    rows = (_whole_rows(bands, w), _whole_rows(mass, w) if mass else None)
    tiny = jnp.finfo(dtype).tiny
    # Rows before the first: of the identity, which eliminate nothing.
    unit = jnp.zeros((2 * w + 1, *size), dtype).at[0].set(1)

    def step(carry: Any, row: Any) -> Any:
        window, done, before, count = carry
        work = jnp.broadcast_to(row[0], (2 * w + 1, *size))
        if row[1] is None:
            work = work.at[w].add(-shift.astype(dtype))
        else:
            work = work - shift.astype(dtype) * row[1]
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


def _eigenvector(value: Any, bands: tuple[Any, ...], mass: tuple[Any, ...]) -> Any:
    """Of unit length, by inverse iteration (Golub and Van Loan, section 8.2.2)."""
    n, w = bands[0].shape[-1], max(len(bands), len(mass)) - 1
    dtype = bands[0].dtype
    if w == 0 and not mass:
        return (bands[0] == value[..., None]).astype(dtype)
    eps = jnp.finfo(dtype).eps
    size = jnp.abs(value) if mass else _radius(bands)
    shifted = (value + 2 * eps * size).astype(dtype)
    rows = _by_offset(bands)
    if mass:
        of_mass = _by_offset(mass)
        rows = {
            k: rows.get(k, jnp.zeros_like(rows[0]))
            - shifted * of_mass.get(k, jnp.zeros_like(rows[0]))
            for k in range(-w, w + 1)
        }
        weights = {k: x for k, x in enumerate(mass)}
        weights |= {-k: jnp.conj(x) for k, x in enumerate(mass) if k}
    else:
        weights, rows[0] = {}, rows[0] - shifted
    start = np.random.default_rng(0).normal(size=(n, *(1,) * (rows[0].ndim - 1)))
    v = jnp.broadcast_to(jnp.asarray(start, dtype), rows[0].shape)

    def weighted(v: Any) -> Any:
        return jnp.moveaxis(_product(weights, jnp.moveaxis(v, 0, -1), -1), -1, 0) if mass else v

    def iterate(_: Any, v: Any) -> Any:
        (x,) = elimination.solve(rows, [weighted(v)], w, w, True)
        x = x / jnp.max(jnp.abs(x), 0)
        return x / jnp.sqrt(jnp.sum((jnp.conj(x) * weighted(x)).real, 0))

    return jnp.moveaxis(lax.stop_gradient(lax.fori_loop(0, 3, iterate, v)), 0, -1)


def _by_offset(bands: tuple[Any, ...]) -> Bands:
    """The diagonals by rows, (n, ...): element i of that of offset k is the element (i, i + k)."""
    rows = {k: jnp.moveaxis(pad(x, k, -1), -1, 0) for k, x in enumerate(bands)}
    for k in range(1, len(bands)):
        rows[-k] = jnp.moveaxis(pad(jnp.conj(bands[k]), -k, -1), -1, 0)
    return rows


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
