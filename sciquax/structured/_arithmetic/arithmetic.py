"""Two structures meeting: sums, products, elementwise products, and what they both fit in.

The closure table in `docs/structured.md` is made from these functions.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._composite.lazy import ProductMatrix, SumMatrix
from .._matrices.bands import BandMatrix
from .._matrices.block_diagonal import BlockDiagonalMatrix
from .._matrices.circulant import CirculantMatrix
from .._matrices.identity import IdentityMatrix, ScalarMatrix
from .._matrices.kronecker import KroneckerMatrix, linalg
from .._matrices.low_rank import LowRankPlusDiagonalMatrix
from .._matrices.permutation import PermutationMatrix
from .._matrices.triangular import TriangularMatrix
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .layouts import _DIAGONAL, _MULTIPLE, _TRIANGLES, elementwise

# -- sums -----------------------------------------------------------------------------------------


def add(lhs: Any, rhs: Any, subtract: bool = False) -> Any:
    """`lhs + rhs` in the narrowest type that holds it; a `SumMatrix` where no other does."""
    properties = surviving("sub" if subtract else "add", lhs.known(), rhs.known())
    allow = allow_both(lhs, rhs)
    if isinstance(lhs, _MULTIPLE) and isinstance(rhs, _MULTIPLE):
        scalars = [m.diagonal()[..., 0] if m.shape[-1] else m.diagonal() for m in (lhs, rhs)]
        total = jnp.subtract(*scalars) if subtract else jnp.add(*scalars)
        return ScalarMatrix.of(total, lhs, properties).rebuild(
            [total], allow_materialise=allow, properties=properties
        )
    function = jnp.subtract if subtract else jnp.add
    made = elementwise([lhs, rhs], function, True)
    if made is not NotImplemented:
        return made.rebuild(made.arrays(), properties=properties)
    if subtract:
        rhs = rhs.negate()
    for a, b in ((lhs, rhs), (rhs, lhs)):
        if isinstance(a, LowRankPlusDiagonalMatrix):
            if isinstance(b, _DIAGONAL):
                return a.plus_diagonal(b.diagonal(), allow, properties)
            if isinstance(b, LowRankPlusDiagonalMatrix):
                u, v = _joined(a.u, b.u, -1), _joined(a.v, b.v, -2)
                diag = a.diag + b.diag
                return a.rebuild([diag, u, v], allow_materialise=allow, properties=properties)
    if lhs.shape[-2:] != rhs.shape[-2:]:
        return NotImplemented
    return SumMatrix.of(lhs, rhs)


operations.add.register(StructuredMatrix, StructuredMatrix)(add)


def _joined(x: Any, y: Any, axis: int) -> Any:
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = (jnp.broadcast_to(z, (*batch, *z.shape[-2:])) for z in (x, y))
    return jnp.concatenate([x, y], axis)


# -- products -------------------------------------------------------------------------------------


def matmul(lhs: Any, rhs: Any) -> Any:
    """`lhs @ rhs` in the narrowest type that holds it; a `ProductMatrix` where no other does."""
    if lhs.shape[-1] != rhs.shape[-2]:
        return NotImplemented
    for a, b in ((lhs, rhs), (rhs, lhs)):
        if isinstance(a, IdentityMatrix) and a.dtype == b.dtype and a.batch_shape() == ():
            return b
    for a, b in ((lhs, rhs), (rhs, lhs)):
        if isinstance(a, ScalarMatrix) and _same_batch(a, b):
            made = b.scale(a.scalar)
            return made.rebuild(made.arrays(), allow_materialise=allow_both(a, b))
    if isinstance(lhs, BandMatrix) and isinstance(rhs, BandMatrix):
        return lhs.times(rhs)
    for cls in (CirculantMatrix, PermutationMatrix, KroneckerMatrix):
        if isinstance(lhs, cls) and isinstance(rhs, cls):
            made = lhs.times(rhs)  # pyright: ignore[reportArgumentType]
            if made is not NotImplemented:
                return made
    scaled = NotImplemented
    if isinstance(lhs, _DIAGONAL) and _same_batch(lhs, rhs):
        scaled = rhs.scale_rows(lhs.diagonal())
    elif isinstance(rhs, _DIAGONAL) and _same_batch(lhs, rhs):
        scaled = lhs.scale_columns(rhs.diagonal())
    if scaled is not NotImplemented:
        return scaled.rebuild(scaled.arrays(), allow_materialise=allow_both(lhs, rhs))
    if isinstance(lhs, BlockDiagonalMatrix) and isinstance(rhs, BlockDiagonalMatrix):
        if lhs.sizes() == rhs.sizes():
            return lhs.rebuild(
                [jnp.matmul(lhs.blocks, rhs.blocks, precision=jax.lax.Precision.HIGHEST)],
                allow_materialise=allow_both(lhs, rhs),
                properties=surviving("matmul", lhs.known(), rhs.known()),
            )
    if isinstance(lhs, LowRankPlusDiagonalMatrix) and isinstance(rhs, LowRankPlusDiagonalMatrix):
        return _low_ranks(lhs, rhs)
    for fit in _TRIANGLES:
        if any(isinstance(m, TriangularMatrix) for m in (lhs, rhs)):
            a, b = fit(lhs), fit(rhs)
            if a is not None and b is not None:
                return a.rebuild(
                    [a.matmat(b.materialise())], allow_materialise=allow_both(lhs, rhs)
                )
    return ProductMatrix.of(lhs, rhs)


def _same_batch(lhs: Any, rhs: Any) -> bool:
    return lhs.batch_shape() in ((), rhs.batch_shape()) or rhs.batch_shape() == ()


def _low_ranks(a: Any, b: Any) -> Any:
    """(D + U V)(E + X Y) = D E + [D X, U] [Y; V E + V X Y]."""
    mm = lambda x, y: jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)  # noqa: E731
    u = _joined(a.diag[..., :, None] * b.u, a.u, -1)
    v = _joined(b.v, a.v * b.diag[..., None, :] + mm(mm(a.v, b.u), b.v), -2)
    return a.rebuild([a.diag * b.diag, u, v], allow_materialise=allow_both(a, b))


# -- elementwise products -------------------------------------------------------------------------


def hadamard(lhs: Any, rhs: Any) -> Any:
    """The product element by element, or NotImplemented."""
    properties = surviving("hadamard", lhs.known(), rhs.known())
    allow = allow_both(lhs, rhs)
    if isinstance(lhs, BandMatrix) and isinstance(rhs, BandMatrix):
        mine, theirs = lhs.diagonals(), rhs.diagonals()
        both = {k: mine[k] * theirs[k] for k in mine if k in theirs}
        if all(m.diagonals().get(1) is m.diagonals().get(-1) for m in (lhs, rhs)) and 1 in both:
            both[-1] = both[1]
        return lhs.like(both, properties, allow_materialise=allow)
    for a, b in ((lhs, rhs), (rhs, lhs)):
        if isinstance(a, BandMatrix):
            n = a.shape[-1]
            bands = {}
            for k, band in a.diagonals().items():
                i = np.arange(n - abs(k))
                found = b.entries(i + max(0, -k), i + max(0, k))
                if found is NotImplemented:
                    return NotImplemented
                bands[k] = band * found
            return a.like(bands, properties, allow_materialise=allow)
    made = elementwise([lhs, rhs], jnp.multiply, True)
    if made is not NotImplemented:
        return made.rebuild(made.arrays(), properties=properties)
    for a, b in ((lhs, rhs), (rhs, lhs)):
        if isinstance(a, BlockDiagonalMatrix):
            k, m = a.sizes()
            start = m * np.arange(k)[:, None, None]
            found = b.entries(
                start + np.arange(m)[:, None] + 0 * np.arange(m),
                start + np.arange(m)[None, :] + 0 * np.arange(m)[:, None],
            )
            if found is not NotImplemented:
                return a.rebuild([a.blocks * found], allow_materialise=allow)
        if isinstance(a, TriangularMatrix):
            array = a.full_array() * b.materialise()
            return a.rebuild([array], allow_materialise=allow)
    for a, b in ((lhs, rhs), (rhs, lhs)):
        if isinstance(a, PermutationMatrix) and not a.batch_shape():
            if isinstance(b, PermutationMatrix) and a.perm is b.perm and a.dtype == b.dtype:
                return a.rebuild(a.arrays(), allow_materialise=allow)
            found = b.entries(np.arange(a.shape[-1]), a.perm)
            if found is not NotImplemented:
                return a.rebuild(a.arrays(), allow_materialise=allow).rows_times(found)
    if isinstance(lhs, LowRankPlusDiagonalMatrix) and isinstance(rhs, LowRankPlusDiagonalMatrix):
        return lhs.rebuild(lhs.hadamard(rhs), allow_materialise=allow, properties=properties)
    if isinstance(lhs, KroneckerMatrix) and isinstance(rhs, KroneckerMatrix):
        if lhs.a.shape[-2:] == rhs.a.shape[-2:] and lhs.b.shape[-2:] == rhs.b.shape[-2:]:
            arrays = [linalg(jnp.multiply, lhs.a, rhs.a), linalg(jnp.multiply, lhs.b, rhs.b)]
            return lhs.rebuild(arrays, allow_materialise=allow)
    return NotImplemented
