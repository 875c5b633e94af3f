"""Eigenvectors of Hermitian band matrices, by LAPACK on the host."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax._storage.host_primitive import host_primitive
from sciquax.core.internal import ShapedArray

from .bands import _product


def _on_host(bands: np.ndarray) -> list[np.ndarray]:
    """In double precision: single precision loses the orthogonality of close vectors."""
    count, _, n = bands.shape
    values = np.full((count, n), np.nan, np.finfo(bands.dtype).dtype)
    vectors = np.full((count, n, n), np.nan, bands.dtype)
    for i, of_one in enumerate(bands):
        if np.isfinite(of_one).all():
            values[i], vectors[i] = _of_one(of_one)
    return [values, vectors]


def _of_one(bands: Any) -> Any:
    from scipy.linalg import eig_banded, eigh_tridiagonal

    width, n = bands.shape
    if n == 0:
        return np.zeros(0), np.zeros((0, 0))
    if not np.iscomplexobj(bands) or not bands.imag.any():
        bands = bands.real.astype(np.float64)
        if width == 2:
            return eigh_tridiagonal(bands[0], bands[1, :-1])
    else:
        bands = np.conj(bands).astype(np.complex128)
    return eig_banded(bands, lower=True)


def _avals(bands: Any) -> list[Any]:
    count, _, n = bands.shape
    real = np.finfo(bands.dtype).dtype
    return [ShapedArray((count, n), real), ShapedArray((count, n, n), bands.dtype)]


_eigh_p = host_primitive("band_eigenvectors", _avals, _on_host)


@jax.custom_jvp
def eigh(bands: Any) -> Any:
    """The eigenvalues, ascending, and the eigenvectors, as `jnp.linalg.eigh` gives them.

    **Arguments**: the diagonals on and above the main one, (..., w + 1, n), in rows; after the
    last element of each come zeros. At most n of them.
    """
    *batch, _, n = bands.shape
    values, vectors = _eigh_p.bind(bands.reshape(-1, *bands.shape[-2:]))
    return values.reshape(*batch, n), vectors.reshape(*batch, n, n)


@eigh.defjvp
def _eigh_jvp(primals: Any, tangents: Any) -> Any:
    """As that of `jnp.linalg.eigh`: infinite or not a number where eigenvalues are equal."""
    (bands,), (slopes,) = primals, tangents
    values, vectors = eigh(bands)
    n = values.shape[-1]
    rows = {}
    for k in range(slopes.shape[-2]):
        band = slopes[..., k, : n - k, None]
        rows[k] = band.real.astype(band.dtype) if k == 0 else band
        if k:
            rows[-k] = jnp.conj(band)
    adjoint = jnp.conj(jnp.swapaxes(vectors, -1, -2))
    change = jnp.matmul(adjoint, _product(rows, vectors, vectors.ndim - 2), precision="highest")
    same = jnp.eye(n, dtype=bool)
    gaps = values[..., None, :] - values[..., :, None]
    turn = jnp.where(same, 0, change / jnp.where(same, 1, gaps).astype(change.dtype))
    moved = jnp.matmul(vectors, turn, precision="highest")
    return (values, vectors), (jnp.diagonal(change.real, 0, -2, -1), moved)
