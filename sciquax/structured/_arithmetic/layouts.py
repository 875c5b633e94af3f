"""One layout for several matrices, so that a function of their elements is one of their arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from .._matrices.bands import BandMatrix
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix


def common(matrices: Sequence[Any]) -> list[Any] | None:
    """The matrices in one layout, so that a function of their elements is one of their arrays.

    Bands fit into wider bands, others into the layout of one of them: what is diagonal into blocks
    and triangles; a multiple of the identity into circulant and Toeplitz matrices; circulant into
    Toeplitz. None if nothing holds all of them.
    """
    if len({m.shape[-2:] for m in matrices}) > 1:
        return None
    others = [m for m in matrices if not isinstance(m, BandMatrix)]
    if not others:
        return list(matrices)
    for example in others:
        fitted = _all_fit(matrices, example)
        if fitted is not None:
            return fitted
    return None


def _all_fit(matrices: Sequence[Any], example: Any) -> list[Any] | None:
    """All in the layout of `example`; bands, which may have to be made dense for that, at last."""
    found: dict[int, Any] = {}
    for i in sorted(range(len(matrices)), key=lambda i: isinstance(matrices[i], BandMatrix)):
        found[i] = operations.fitted(matrices[i], example)
        if found[i] is NotImplemented:
            return None
    return [found[i] for i in range(len(matrices))]


@operations.fitted.register(StructuredMatrix, StructuredMatrix)
def _same(m: Any, example: Any) -> Any:
    """Of one type, whose arrays hold elements, the sizes and the other static fields the same."""
    if type(m) is not type(example) or not m.arrays_are_entries:
        return NotImplemented
    return m if layout(m) == layout(example) else NotImplemented


def layout(m: Any) -> list[Any]:
    """What matrices of one type have in common where their arrays hold elements of the same places:
    the arrays' sizes, and the other static fields."""
    claimed = ("allow_materialise", "properties")
    sizes = [x.shape[len(x.shape) - k :] for x, k in zip(m.arrays(), m.CORE_NDIMS, strict=True)]
    return [*sizes, *(getattr(m, name) for name in m.STATIC if name not in claimed)]


def stored(matrices: Sequence[Any]) -> tuple[list[Any], bool] | None:
    """The stored elements in rows (..., count) of the same places, and whether others are zero.

    None if no layout holds all of them.
    """
    rows, columns = matrices[0].shape[-2:]
    fitted = common(matrices)
    if fitted is None:
        return None
    if all(isinstance(m, BandMatrix) for m in fitted):
        each = [m.diagonals() for m in fitted]
        offsets = sorted({k for bands in each for k in bands})
        found = []
        for m, bands in zip(fitted, each, strict=True):
            sizes = {k: (*m.batch_shape(), columns - abs(k)) for k in offsets}
            row = [bands[k] if k in bands else jnp.zeros(sizes[k], m.dtype) for k in offsets]
            found.append(jnp.concatenate(row, -1))
    else:
        found = [m.stored() for m in fitted]
    if any(x is NotImplemented for x in found):
        return None
    return found, not fitted[0].covers_all and found[0].shape[-1] < rows * columns


def elementwise(matrices: Sequence[Any], function: Callable[..., Any], zero: bool) -> Any:
    """`function` of the elements of matrices, or NotImplemented.

    `zero` says that zeros give zero; without it only layouts that store every element will do.
    """
    fitted = common(matrices)
    return NotImplemented if fitted is None else fitted[0].map_together(fitted, function, zero)
