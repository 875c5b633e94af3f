"""The type that two matrices become in loops and conditionals."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import Unsettled, aval_of, materialised

from .._matrices.banded import BandedMatrix
from .._matrices.bands import BandMatrix, from_bands
from .._matrices.identity import DIAGONAL
from .._matrices.low_rank import LowRankPlusDiagonalMatrix
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.matrix import StructuredMatrix
from .layouts import elementwise

# -- loops and conditionals -----------------------------------------------------------------------


@operations.common_type.register(object, object)
def common_type(lhs: Any, rhs: Any) -> Any:
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
    if isinstance(m, DIAGONAL):
        return 0
    raise Unsettled


def _of_rank(m: Any, rank: int) -> Any:
    """What is diagonal or of a lower rank, with zeros for the rest. Raises `Unsettled`."""
    missing = rank - _rank(m)
    if missing < 0:
        raise Unsettled
    if isinstance(m, DIAGONAL):
        d = m.diagonal()
        u = jnp.zeros((*d.shape, rank), d.dtype)
        return LowRankPlusDiagonalMatrix.build_equal(m, [d, u, jnp.swapaxes(u, -1, -2)])
    batch = [(0, 0)] * (m.u.ndim - 2)
    u = jnp.pad(m.u, [*batch, (0, 0), (0, missing)])
    v = jnp.pad(m.v, [*batch, (0, missing), (0, 0)])
    return m.rebuild([m.diag, u, v], properties=m.properties)


def _zeros(*matrices: Any) -> list[Any]:
    return [jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), m) for m in matrices]


@operations.convert_to.register(object, object)
def convert_to(value: Any, example: Any) -> Any:
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
