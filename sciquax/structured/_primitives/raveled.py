"""A structured matrix as one row of elements: what `jnp.vdot` and `jnp.ravel` make of it."""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES, ArrayValue, Structure, bind, facts_of, register_rule, strip
from sciquax.core.internal import ShapedArray

from .._arithmetic.products import inner_product
from .._matrix.fields import unchecked
from .._matrix.matrix import StructuredMatrix
from .._matrix.value_contract import refuse_unless_allowed
from .reducing import EXTREMES


class Raveled(ArrayValue, leaves=("matrix",), static=("_static",)):
    """`matrix.reshape(-1)`, until it is summed, multiplied with another, or reshaped back."""

    layer: ClassVar[int] = 101
    transient: ClassVar[bool] = True
    wants_deferred: ClassVar[bool] = True

    matrix: Any
    _static: None

    @staticmethod
    def of(matrix: StructuredMatrix) -> "Raveled":
        return unchecked(Raveled, matrix=matrix, _static=None)

    def aval(self) -> Any:
        return ShapedArray((int(np.prod(self.matrix.shape)),), self.matrix.dtype)

    def materialise(self) -> Any:
        refuse_unless_allowed("reshape", [self.matrix])
        return self.matrix.materialise().reshape(-1)


def _dot(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    if params["dimension_numbers"] not in (_FLAT, _FLAT_LISTS):
        return NotImplemented
    shape = next(x.matrix.shape for x in operands if isinstance(x, Raveled))
    both = [
        x.matrix
        if isinstance(x, Raveled)
        else None
        if type(x) in VALUE_TYPES
        else jnp.reshape(x, shape)
        for x in map(strip, operands)
    ]
    if both[0] is None or both[1] is None or both[0].shape != both[1].shape:
        return NotImplemented
    out = inner_product(*both)
    dtype = params.get("preferred_element_type")
    return out if out is NotImplemented or dtype is None else out.astype(dtype)


_FLAT = (((0,), (0,)), ((), ()))
_FLAT_LISTS = (([0], [0]), ([], []))


def _reshape(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (x,) = operands
    sizes = params.get("new_sizes")
    return x.matrix if sizes is not None and tuple(sizes) == x.matrix.shape else NotImplemented


def _reduce(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (x,) = operands
    axes = (0, 1) if params["axes"] else ()
    out = bind(primitive, x.matrix, **{**params, "axes": axes})
    return out if axes else Raveled.of(out)


def _elementwise(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """With numbers: of the matrix."""
    if any(np.ndim(x) for x in operands if not isinstance(x, Raveled)):
        return NotImplemented
    if facts_of(primitive).structure is not Structure.ELEMENTWISE or primitive.multiple_results:
        return NotImplemented
    matrices = [x.matrix if isinstance(x, Raveled) else x for x in operands]
    if len({m.shape for m in matrices if isinstance(m, StructuredMatrix)}) != 1:
        return NotImplemented
    out = bind(primitive, *matrices, **params)
    return Raveled.of(out) if isinstance(out, StructuredMatrix) else NotImplemented


register_rule(Raveled, "dot_general", _dot)
register_rule(Raveled, "reshape", _reshape)
register_rule(Raveled, ("reduce_sum", *EXTREMES), _reduce)
register_rule(Raveled, Structure.ELEMENTWISE, _elementwise)
