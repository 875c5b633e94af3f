"""Products of thin factors, kept as the factors until somebody needs the elements.

`jnp.outer(u, v)`, `u[:, None] * v` and `U @ V` with few columns in U are as many numbers as the
factors to a matrix that takes them as a correction of low rank.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import (
    VALUE_TYPES,
    Structure,
    bind,
    register_deferred,
    register_rule,
    strip,
)
from sciquax.core.internal import ShapedArray

from .formulas import Filled, Transient


class ThinProduct(Transient):
    """`left @ right` for left (..., m, k) and right (..., k, n), with k less than half m and n."""

    left: Any
    right: Any
    precision: Any = eqx.field(static=True, default=None)

    def aval(self) -> Any:
        shape = (*self.left.shape[:-1], self.right.shape[-1])
        return ShapedArray(shape, jnp.result_type(self.left.dtype, self.right.dtype))

    def materialise(self) -> Any:
        if self.left.shape[-1] == 1:
            return self.left * self.right
        return jnp.matmul(self.left, self.right, precision=self.precision)

    def of(self, left: Any, right: Any) -> "ThinProduct":
        return ThinProduct(left, right, self.precision)


def _thin(left: Any, right: Any, precision: Any = None) -> Any:
    (m, k), n = left.shape[-2:], right.shape[-1]
    floats = jnp.issubdtype(left.dtype, jnp.inexact) and left.dtype == right.dtype
    return ThinProduct(left, right, precision) if 2 * k < min(m, n) and k and floats else None


def _arrays(operands: Sequence[Any]) -> bool:
    return all(type(x) not in VALUE_TYPES and hasattr(x, "shape") for x in operands)


def _of_columns(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A column times a row."""
    x, y = operands
    if not _arrays(operands) or np.ndim(x) < 2 or np.ndim(x) != np.ndim(y):
        return None
    lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = (jnp.broadcast_to(z, (*lead, *z.shape[-2:])) for z in (x, y))
    if x.shape[-1] == 1 and y.shape[-2] == 1:
        return _thin(x, y)
    return _thin(y, x) if x.shape[-2] == 1 and y.shape[-1] == 1 else None


def _of_factors(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A matrix product of two, perhaps batched; or the outer product of vectors."""
    x, y = operands
    if not _arrays(operands) or params.get("preferred_element_type") not in (None, x.dtype):
        return None
    dims = tuple(tuple(tuple(map(int, axes)) for axes in d) for d in params["dimension_numbers"])
    if dims == (((), ()), ((), ())) and np.ndim(x) == np.ndim(y) == 1:
        return _thin(x[:, None], y[None, :])
    batch = np.ndim(x) - 2
    lead = tuple(range(batch))
    if batch < 0 or np.ndim(y) != np.ndim(x) or dims != (((batch + 1,), (batch,)), (lead, lead)):
        return None
    return _thin(x, y, params.get("precision"))


register_deferred("mul", _of_columns)
register_deferred("dot_general", _of_factors)


def _scaled(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """By numbers, rows or columns."""
    places = [i for i, x in enumerate(operands) if isinstance(strip(x), ThinProduct)]
    if len(places) != 1 or primitive.name == "div" and places != [0]:
        return NotImplemented
    thin, other = strip(operands[places[0]]), strip(operands[1 - places[0]])
    other = other.array if isinstance(other, Filled) else other
    if type(other) in VALUE_TYPES:
        return NotImplemented
    given = lambda x: [x, other] if places == [0] else [other, x]  # noqa: E731
    if np.shape(other)[-1:] in ((), (1,)):  # numbers, or one for each row
        return thin.of(bind(primitive, *given(thin.left), **params), thin.right)
    if np.shape(other)[-2] == 1:
        return thin.of(thin.left, bind(primitive, *given(thin.right), **params))
    return NotImplemented


def _negated(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (x,) = operands
    return x.of(-x.left, x.right)


def _turned(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (x,) = operands
    *batch, i, j = map(int, params["permutation"])
    if batch != [*range(len(batch))] or i < j:
        return NotImplemented
    return x.of(jnp.swapaxes(x.right, -1, -2), jnp.swapaxes(x.left, -1, -2))


def _times_array(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A product with an array, one factor after the other."""
    lhs, rhs = map(strip, operands)
    (contract, other), batch = params["dimension_numbers"]
    precision = params.get("precision")
    if any(map(len, batch)) or len(contract) != 1:
        return NotImplemented
    dot = lambda x, y, a, b: lax.dot_general(x, y, (((a,), (b,)), ((), ())), precision)  # noqa: E731
    a, b = int(contract[0]), int(other[0])
    if isinstance(lhs, ThinProduct) and type(rhs) not in VALUE_TYPES and lhs.left.ndim == 2:
        first, last = (lhs.right, lhs.left) if a == 1 else (lhs.left, lhs.right)
        inner = dot(first, rhs, a, b)  # (k, ...)
        return dot(last, inner, 1 if a == 1 else 0, 0)
    if isinstance(rhs, ThinProduct) and type(lhs) not in VALUE_TYPES and rhs.left.ndim == 2:
        first, last = (rhs.left, rhs.right) if b == 0 else (rhs.right, rhs.left)
        inner = dot(lhs, first, a, b)  # (..., k)
        return dot(inner, last, inner.ndim - 1, 0 if b == 0 else 1)
    return NotImplemented


register_rule(ThinProduct, ("mul", "div"), _scaled)
register_rule(ThinProduct, "neg", _negated)
register_rule(ThinProduct, Structure.PERMUTE, _turned)
register_rule(ThinProduct, "dot_general", _times_array)
