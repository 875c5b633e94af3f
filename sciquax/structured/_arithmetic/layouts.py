"""One layout for several matrices, so that a function of their elements is one of their arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._matrices.bands import BandMatrix
from .._matrices.block_diagonal import BlockDiagonalMatrix
from .._matrices.circulant import CirculantMatrix, _reflected
from .._matrices.diagonal import DiagonalMatrix
from .._matrices.identity import IdentityMatrix, ScalarMatrix
from .._matrices.permutation import PermutationMatrix
from .._matrices.toeplitz import ToeplitzMatrix
from .._matrices.triangular import TriangularMatrix
from .._matrix.base import allow_both
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving

_MULTIPLE = (IdentityMatrix, ScalarMatrix)
_DIAGONAL = (*_MULTIPLE, DiagonalMatrix)


# -- one layout for several -----------------------------------------------------------------------


def common(matrices: Sequence[Any]) -> list[Any] | None:
    """The matrices in one layout, so that a function of their elements is one of their arrays.

    Bands fit into wider bands; what is diagonal into blocks and triangles; a multiple of the
    identity into circulant and Toeplitz matrices; circulant into Toeplitz. None if nothing holds
    all of them.
    """
    if len({m.shape[-2:] for m in matrices}) > 1:
        return None
    if all(isinstance(m, BandMatrix) for m in matrices):
        return list(matrices)
    fits = [_as_circulant, _as_toeplitz, _blocks_of(matrices)]
    if any(isinstance(m, TriangularMatrix) for m in matrices):  # n^2 elements are there already
        fits += _TRIANGLES
    for fit in fits:
        fitted = _all_fit(fit, matrices)
        if fitted is not None:
            return fitted
    return None


def _all_fit(fit: Callable, matrices: Sequence[Any]) -> list[Any] | None:
    """`fit` of each, as far as they do: in types of their own first, which are quickly told."""
    fitted: dict[int, Any] = {}
    for i in sorted(range(len(matrices)), key=lambda i: isinstance(matrices[i], BandMatrix)):
        fitted[i] = fit(matrices[i])
        if fitted[i] is None:
            return None
    return [fitted[i] for i in range(len(matrices))]


def _as_circulant(m: Any) -> Any:
    if isinstance(m, CirculantMatrix):
        return m
    if isinstance(m, _MULTIPLE):
        first = np.arange(m.shape[-1]) == 0
        column = jnp.where(first, m.diagonal(), jnp.zeros((), m.dtype))
        return _made(CirculantMatrix, [column], m)
    return None


def _as_toeplitz(m: Any) -> Any:
    if isinstance(m, ToeplitzMatrix):
        return m
    m = _as_circulant(m)
    if m is None:
        return None
    return _made(ToeplitzMatrix, [m.column, _reflected(m.column)], m)


def _blocks_of(matrices: Sequence[Any]) -> Callable:
    sizes = {m.sizes() for m in matrices if isinstance(m, BlockDiagonalMatrix)}

    def fit(m: Any) -> Any:
        if len(sizes) != 1:
            return None
        if isinstance(m, BlockDiagonalMatrix):
            return m
        if not isinstance(m, _DIAGONAL):
            return None
        ((k, size),) = sizes
        d = m.diagonal()
        blocks = d.reshape(*d.shape[:-1], k, size, 1) * jnp.eye(size, dtype=d.dtype)
        return _made(BlockDiagonalMatrix, [blocks], m)

    return fit


def _triangle(lower: bool) -> Callable:
    def fit(m: Any) -> Any:
        if isinstance(m, TriangularMatrix):
            return m.rebuild([m.full_array()]) if m.lower == lower else None
        if isinstance(m, BandMatrix) and m.widths()[1 if lower else 0] == 0:
            return _made(TriangularMatrix, [m.materialise()], m, lower=lower)
        return None

    return fit


_TRIANGLES = (_triangle(True), _triangle(False))


def _made(cls: type[StructuredMatrix], arrays: Sequence[Any], like: Any, **static: Any) -> Any:
    """A matrix of `cls` that equals `like`, of which it knows what `like` knew."""
    return cls.build(
        arrays,
        allow_materialise=like.allow_materialise,
        properties=like.known() - {"unit_diagonal"},
        **static,
    )


def elementwise(matrices: Sequence[Any], function: Callable[..., Any], zero: bool) -> Any:
    """`function` of the elements of matrices, or NotImplemented.

    `zero` says that zeros give zero; without it only layouts that store every element will do.
    """
    fitted = common(matrices)
    if fitted is None:
        return _same_places(matrices, function) if zero else NotImplemented
    first = fitted[0]
    if isinstance(first, BandMatrix):
        return first.map_bands(fitted, function) if zero else NotImplemented
    if not zero and not isinstance(first, (ToeplitzMatrix, CirculantMatrix)):
        return NotImplemented
    arrays = [function(*xs) for xs in zip(*[m.arrays() for m in fitted], strict=True)]
    return first.rebuild(
        arrays,
        allow_materialise=allow_both(*fitted),
        properties=surviving("elementwise", *[m.known() for m in fitted]),
    )


def _same_places(matrices: Sequence[Any], function: Callable) -> Any:
    """Of permutations that are one: zeros and ones in the same places."""
    if not all(isinstance(m, PermutationMatrix) for m in matrices):
        return NotImplemented
    first = matrices[0]
    if any(m.perm is not first.perm for m in matrices):
        return NotImplemented
    return first.map_entries(lambda _: function(*[jnp.ones((1,), m.dtype) for m in matrices]), True)


def stores_elements(x: Any) -> bool:
    """Whether a type's arrays are elements, so that linear functions of batches act on them."""
    if isinstance(x, IdentityMatrix):
        return False
    return isinstance(
        x, (BandMatrix, BlockDiagonalMatrix, CirculantMatrix, ToeplitzMatrix, TriangularMatrix)
    )
