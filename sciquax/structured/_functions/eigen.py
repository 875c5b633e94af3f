"""Eigenvalues and eigenvectors."""

from typing import Any

import jax.numpy as jnp

from .._matrix import operations
from .function_rule import _inexact, _rule
from .uncomputed import Withheld


def eigvalsh(a: Any) -> Any:
    """The eigenvalues of the Hermitian part, in ascending order, or NotImplemented."""
    half = operations.symmetrised(_inexact(a)) if a.is_square() else NotImplemented
    return half if half is NotImplemented else operations.eigvalsh(half)


def eigh(a: Any) -> Any:
    """Those, and the eigenvectors, which are withheld if they have no structure."""
    half = operations.symmetrised(_inexact(a)) if a.is_square() else NotImplemented
    if half is NotImplemented:
        return NotImplemented
    found = operations.eigh(half)
    if found is not NotImplemented or a.allow_materialise:
        return found
    values = operations.eigvalsh(half)
    return (
        values if values is NotImplemented else (values, Withheld.of("eigh", a.shape, half.dtype))
    )


def eigvals(a: Any) -> Any:
    """The eigenvalues in no order, or NotImplemented."""
    return operations.eigvals(_inexact(a)) if a.is_square() else NotImplemented


def eig(a: Any) -> Any:
    """Those, and right eigenvectors, which are withheld if they have no structure."""
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
    return eigvalsh(a)


@_rule(jnp.linalg.eigh)
def _eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> Any:
    return eigh(a)


_rule(jnp.linalg.eigvals)(eigvals)
