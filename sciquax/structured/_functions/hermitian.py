"""The Hermitian matrix that one triangle of a matrix says, as LAPACK reads it."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._composite.lazy import SumMatrix
from .._matrices.diagonal import DiagonalMatrix
from .._matrices.triangular import TriangularMatrix
from .._matrix import operations

_HERMITIAN = frozenset({"hermitian"})


def from_triangle(a: Any, lower: bool) -> Any:
    """The Hermitian matrix whose lower (or upper) triangle is that of a matrix, or NotImplemented.

    An array, for a `TriangularMatrix` that stores this triangle.
    """
    if a.is_hermitian():
        return a
    if isinstance(a, TriangularMatrix) and a.is_triangular(lower):
        half = jnp.tril(a.materialise(), -1) if lower else jnp.triu(a.materialise(), 1)
        i = np.arange(a.shape[-1])
        whole = half + jnp.conj(jnp.swapaxes(half, -1, -2))
        return whole.at[..., i, i].set(jnp.real(a.diagonal()).astype(a.dtype))
    half = operations.band_part(a, *((None, -1) if lower else (1, None)))
    if half is NotImplemented:
        return NotImplemented
    main = DiagonalMatrix(
        jnp.real(a.diagonal()).astype(a.dtype), allow_materialise=a.allow_materialise
    )
    both = operations.add(half, half.adjoint())
    whole = both if both is NotImplemented else operations.add(both, main)
    if whole is NotImplemented or isinstance(whole, SumMatrix):
        return NotImplemented
    return whole.rebuild(
        whole.arrays(), properties=a.properties & {"positive_definite"} | _HERMITIAN
    )


def assumed_hermitian(a: Any) -> Any:
    """A matrix taken as Hermitian, where no triangle of it has a structure with eigenvalues.

    Not a number if it is not: its product with a vector, and its adjoint's, differ.
    """
    x = jnp.cos(1.0 + np.arange(a.shape[-1]) ** 2 % 97).astype(a.dtype)
    own, other = a.matvec(x), a.adjoint().matvec(x)
    size = jnp.max(jnp.abs(own) + jnp.abs(other), -1, initial=0)
    differ = jnp.max(jnp.abs(own - other), -1, initial=0)
    holds = differ <= 64 * float(jnp.finfo(a.dtype).eps) * a.shape[-1] * size
    made = a.scale(jnp.where(holds, 1, jnp.nan).astype(a.dtype))
    return made.rebuild(made.arrays(), properties=made.properties | _HERMITIAN)
