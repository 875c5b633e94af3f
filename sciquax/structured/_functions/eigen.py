"""Eigenvalues and eigenvectors."""

from typing import Any

import jax.numpy as jnp

from .._matrix import operations
from .._matrix.operands import _is
from .function_rule import _inexact, _rule
from .hermitian import assumed_hermitian, from_triangle
from .uncomputed import Withheld


def hermitian_part(a: Any, lower: bool, symmetrize: bool) -> Any:
    """The Hermitian part, or what one triangle says; or NotImplemented."""
    if not a.is_square():
        return NotImplemented
    a = _inexact(a)
    return operations.symmetrised(a) if symmetrize else from_triangle(a, lower)


def eigvalsh(half: Any) -> Any:
    """The eigenvalues of a Hermitian matrix or array, in ascending order, or NotImplemented."""
    if half is NotImplemented:
        return NotImplemented
    return operations.eigvalsh(half) if _is(half) else jnp.linalg.eigvalsh(half)


def eigh(a: Any, half: Any) -> Any:
    """The eigenvalues, and the eigenvectors, which are withheld if they have no structure.

    **Arguments**: the matrix that was given, and its Hermitian part.
    """
    if half is NotImplemented:
        return NotImplemented
    found = operations.eigh(half) if _is(half) else tuple(jnp.linalg.eigh(half))
    if found is not NotImplemented or a.allow_materialise:
        return found
    values = operations.eigvalsh(half)
    return (
        values if values is NotImplemented else (values, Withheld.of("eigh", a.shape, half.dtype))
    )


def eigh_of_triangle(a: Any, lower: bool) -> Any:
    """As `eigh`, for LAPACK's: of one triangle, or of the whole where that is Hermitian."""
    found = eigh(a, hermitian_part(a, lower, False))
    if found is not NotImplemented or not a.is_square():
        return found
    return eigh(a, assumed_hermitian(_inexact(a)))


def eigvals(a: Any) -> Any:
    """The eigenvalues in no order, or NotImplemented."""
    return operations.eigvals(_inexact(a)) if a.is_square() else NotImplemented


def eig(a: Any) -> Any:
    """The eigenvalues, and the right eigenvectors, which are withheld if they have no structure."""
    if not a.is_square():
        return NotImplemented
    found = operations.eig(_inexact(a))
    if found is not NotImplemented or a.allow_materialise:
        return found
    values = eigvals(a)
    return (
        values if values is NotImplemented else (values, Withheld.of("eig", a.shape, values.dtype))
    )


@_rule(jnp.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    return eigvalsh(hermitian_part(a, UPLO != "U", symmetrize_input))


@_rule(jnp.linalg.eigh)
def _eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> Any:
    return eigh(a, hermitian_part(a, UPLO != "U", symmetrize_input))


_rule(jnp.linalg.eigvals)(eigvals)
