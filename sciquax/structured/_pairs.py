"""Two structures meeting: sums, products, elementwise products, and what they both fit in.

The closure table in `docs/structured.md` is made from these functions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import Unsettled, aval_of, materialised

from . import _operations as operations
from ._banded import BandedMatrix
from ._bands import BandMatrix, from_bands
from ._block_diagonal import BlockDiagonalMatrix
from ._circulant import CirculantMatrix, _reflected
from ._diagonal import DiagonalMatrix
from ._identity import IdentityMatrix, ScalarMatrix
from ._kronecker import KroneckerMatrix
from ._lazy import ProductMatrix, SumMatrix
from ._low_rank import LowRankPlusDiagonalMatrix
from ._matrix import StructuredMatrix, allow_both
from ._permutation import PermutationMatrix
from ._properties import surviving
from ._toeplitz import ToeplitzMatrix
from ._triangular import TriangularMatrix

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


def _made(cls: type, arrays: Sequence[Any], like: Any, **static: Any) -> Any:
    """A matrix of `cls` that equals `like`, of which it knows what `like` knew."""
    made = object.__new__(cls)
    for name, x in zip(cls.LEAVES, arrays, strict=True):
        object.__setattr__(made, name, x)
    static |= {
        "allow_materialise": like.allow_materialise,
        "properties": like.known() - {"unit_diagonal"},
    }
    for name in cls.STATIC:
        object.__setattr__(made, name, static[name])
    return made


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
            from ._kronecker import linalg

            arrays = [linalg(jnp.multiply, lhs.a, rhs.a), linalg(jnp.multiply, lhs.b, rhs.b)]
            return lhs.rebuild(arrays, allow_materialise=allow)
    return NotImplemented


# -- loops and conditionals -----------------------------------------------------------------------


@operations.common_type.register()
def join(lhs: Any, rhs: Any) -> Any:
    """An example of the type that both become, for carries and branches. Raises `Unsettled`."""
    if jtu.tree_structure(lhs) == jtu.tree_structure(rhs) and _shapes(lhs) == _shapes(rhs):
        return lhs
    if not (isinstance(lhs, StructuredMatrix) and isinstance(rhs, StructuredMatrix)):
        matrices = [x for x in (lhs, rhs) if isinstance(x, StructuredMatrix)]
        if not allow_both(*matrices):
            raise Unsettled
        aval = aval_of(lhs)
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype)
    made = jax.eval_shape(_joined_zeros, lhs, rhs)
    return made.rebuild(
        made.arrays(),
        allow_materialise=allow_both(lhs, rhs),
        properties=lhs.known() & rhs.known() - {"unit_diagonal"},
    )


def _shapes(x: Any) -> list[Any]:
    return [jnp.shape(leaf) for leaf in jtu.tree_leaves(x)]


def _joined_zeros(lhs: Any, rhs: Any) -> Any:
    """A matrix of the layout that holds both. Raises `Unsettled`."""
    lhs, rhs = _zeros(lhs, rhs)
    for a, b in ((lhs, rhs), (rhs, lhs)):
        if isinstance(a, LowRankPlusDiagonalMatrix):
            rank = max(_rank(a), _rank(b))
            return _of_rank(a, rank)
    made = elementwise([lhs, rhs], jnp.add, True)
    if made is NotImplemented:
        raise Unsettled
    return made


def _rank(m: Any) -> int:
    """The rank that `_of_rank` needs for a matrix. Raises `Unsettled`."""
    if isinstance(m, LowRankPlusDiagonalMatrix):
        return m.u.shape[-1]
    if isinstance(m, _DIAGONAL):
        return 0
    raise Unsettled


def _of_rank(m: Any, rank: int) -> Any:
    """What is diagonal or of a lower rank, with zeros for the rest. Raises `Unsettled`."""
    missing = rank - _rank(m)
    if missing < 0:
        raise Unsettled
    if isinstance(m, _DIAGONAL):
        d = m.diagonal()
        u = jnp.zeros((*d.shape, rank), d.dtype)
        return _made(LowRankPlusDiagonalMatrix, [d, u, jnp.swapaxes(u, -1, -2)], m)
    batch = [(0, 0)] * (m.u.ndim - 2)
    u = jnp.pad(m.u, [*batch, (0, 0), (0, missing)])
    v = jnp.pad(m.v, [*batch, (0, missing), (0, 0)])
    return m.rebuild([m.diag, u, v], properties=m.properties)


def _zeros(*matrices: Any) -> list[Any]:
    return [jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), m) for m in matrices]


@operations.convert_to.register()
def coerce(value: Any, example: Any) -> Any:
    """`value` in the type of `example`. Raises `Unsettled`."""
    if not isinstance(value, StructuredMatrix):
        raise Unsettled
    if not isinstance(example, StructuredMatrix):
        if not value.allow_materialise:
            raise Unsettled
        return materialised(value, "join")
    if isinstance(example, LowRankPlusDiagonalMatrix):
        made = _of_rank(value, _rank(example))
        return made.rebuild(
            made.arrays(), **{name: getattr(example, name) for name in type(example).STATIC}
        )
    (zeros,) = _zeros(example)
    made = elementwise([value, zeros], jnp.add, True)
    if made is NotImplemented or type(made) is not type(example):
        if isinstance(value, BandMatrix) and isinstance(example, BandMatrix):
            made = _widened(value, zeros)
        if made is NotImplemented or type(made) is not type(example):
            raise Unsettled
    if isinstance(value, BandMatrix) and isinstance(example, BandMatrix):
        if not value.diagonals().keys() <= example.diagonals().keys():
            raise Unsettled  # it has more diagonals
    return made.rebuild(
        made.arrays(), **{name: getattr(example, name) for name in type(example).STATIC}
    )


def _widened(value: Any, zeros: Any) -> Any:
    """A band matrix with all the diagonals of another, not taken for symmetric."""
    own = value.diagonals()
    bands = {k: own[k] if k in own else x for k, x in zeros.diagonals().items()}
    if 1 in bands and bands[1] is bands.get(-1):
        bands[1] = bands[1] + 0
    return from_bands(bands, value.shape[-1], banded=type(zeros) is BandedMatrix)
