"""The type that two matrices become in loops and conditionals."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import Unsettled, aval_of, materialised

from .._matrices.bands import BandMatrix
from .._matrices.narrowest import from_bands
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
        return _array_of(lhs, rhs)
    try:
        made = jax.eval_shape(_joined_zeros, lhs, rhs)
    except Unsettled:
        if not _is_small(lhs):
            raise
        return _array_of(lhs, rhs)
    return made.rebuild(
        made.arrays(),
        allow_materialise=allow_both(lhs, rhs),
        properties=lhs.known() & rhs.known() - {"unit_diagonal"},
    )


def _is_small(matrix: Any) -> bool:
    """Whether it has one row or column, or none: as an array it is as small."""
    return min(matrix.shape[-2:]) < 2


def _array_of(lhs: Any, rhs: Any) -> Any:
    """The array that both become. Raises `Unsettled`."""
    matrices = [x for x in (lhs, rhs) if isinstance(x, StructuredMatrix)]
    if not all(x.allow_materialise or _is_small(x) for x in matrices):
        raise Unsettled
    aval = aval_of(lhs)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def _shapes(x: Any) -> list[Any]:
    return [jnp.shape(leaf) for leaf in jtu.tree_leaves(x)]


def _zeros(matrix: Any) -> Any:
    return jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), matrix)


def _joined_zeros(lhs: Any, rhs: Any) -> Any:
    """A matrix of the layout that holds both. Raises `Unsettled`."""
    made = operations.joined(_zeros(lhs), _zeros(rhs))
    if made is NotImplemented:
        raise Unsettled
    return made


@operations.joined.register(StructuredMatrix, StructuredMatrix)
def _joined(lhs: Any, rhs: Any) -> Any:
    return elementwise([lhs, rhs], jnp.add, True)


@operations.convert_to.register(object, object)
def convert_to(value: Any, example: Any) -> Any:
    """A matrix as the array that an example is. Raises `Unsettled`."""
    if isinstance(example, StructuredMatrix) or not isinstance(value, StructuredMatrix):
        raise Unsettled
    if _is_small(value):
        return value.materialise()
    if not value.allow_materialise:
        raise Unsettled
    return materialised(value, "join")


@operations.convert_to.register(StructuredMatrix, StructuredMatrix)
def _convert_matrix(value: Any, example: Any) -> Any:
    made = elementwise([value, _zeros(example)], jnp.add, True)
    return made.in_type_of(example) if type(made) is type(example) else NotImplemented


@operations.convert_to.register(BandMatrix, BandMatrix)
def _convert_bands(value: BandMatrix, example: BandMatrix) -> Any:
    """With all the diagonals of the example. Raises `Unsettled`."""
    zeros = _zeros(example)
    own, wanted = value.diagonals(), zeros.diagonals()
    own = {k: x for k, x in own.items() if abs(k) < value.shape[-1]}
    if not own.keys() <= wanted.keys():
        raise Unsettled  # it has more diagonals
    bands = {k: own[k] if k in own else x for k, x in wanted.items()}
    if 1 in bands and bands[1] is bands.get(-1):
        bands[1] = bands[1] + 0  # not taken for symmetric
    for made in (
        elementwise([value, zeros], jnp.add, True),
        from_bands(bands, value.shape[-1]),
        from_bands(bands, value.shape[-1], banded=True),
    ):
        if type(made) is type(example):
            return made.in_type_of(example)
    return NotImplemented
