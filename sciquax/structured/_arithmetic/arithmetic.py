"""Sums, products and elementwise products of two matrices: what holds of all types.

Rules for some are in the types' own files. The closure table in `docs/structured.md` is made from
these functions.
"""

from typing import Any

import jax.numpy as jnp

from .._composite.lazy import ProductMatrix, SumMatrix
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .layouts import elementwise


@operations.add.register(StructuredMatrix, StructuredMatrix)
def _sum(lhs: Any, rhs: Any, subtract: bool = False) -> Any:
    """In one layout; else a `SumMatrix`."""
    made = elementwise([lhs, rhs], jnp.subtract if subtract else jnp.add, True)
    if made is not NotImplemented:
        properties = surviving("sub" if subtract else "add", lhs.known(), rhs.known())
        return made.rebuild(made.arrays(), properties=properties)
    if lhs.shape[-2:] != rhs.shape[-2:]:
        return NotImplemented
    rhs = rhs.negate() if subtract else rhs
    return NotImplemented if rhs is NotImplemented else SumMatrix.of(lhs, rhs)


operations.matmul.register(StructuredMatrix, StructuredMatrix)(ProductMatrix.of)


@operations.hadamard.register(StructuredMatrix, StructuredMatrix)
def _hadamard(lhs: Any, rhs: Any) -> Any:
    """In one layout."""
    made = elementwise([lhs, rhs], jnp.multiply, True)
    if made is NotImplemented:
        return NotImplemented
    properties = surviving("hadamard", lhs.known(), rhs.known())
    return made.rebuild(made.arrays(), properties=properties)
