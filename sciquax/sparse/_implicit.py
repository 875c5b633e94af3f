"""Functions of a sparse matrix that are dense, for what they are multiplied with: `inv(A) @ b`."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.scipy as jsp

from sciquax._storage.exponential import exponential_times
from sciquax._storage.origin import Origin
from sciquax.core import ArrayValue, RuleError, aval_of, describe, is_value, register_rule, strip
from sciquax.core.internal import ShapedArray

from ._array import BCOO
from ._dot_general import product
from ._functions import diagonal
from ._host.factor_cache import Incomplete
from ._indices import array_of, data_of, foreign
from ._systems import solution


class OfMatrix(ArrayValue, leaves=("matrix",), static=("function", "origin", "incomplete")):
    """The inverse or the exponential of a sparse matrix, which is kept: products alone.

    With `incomplete`, an approximate inverse.
    """

    layer: ClassVar[int] = BCOO.layer + 1
    transient: ClassVar[bool] = True
    wants_deferred: ClassVar[bool] = True

    matrix: BCOO
    function: str
    origin: Origin
    incomplete: Incomplete | None = None

    def aval(self) -> Any:
        return ShapedArray(self.matrix.aval().shape, jnp.promote_types(self.matrix.dtype, float))

    def times(self, x: Any) -> Any:
        """Its product with columns, in each of its batch."""
        if self.matrix.n_batch:
            one = lambda a, x: self._of(a).times(x)  # noqa: E731
            return jax.vmap(one, in_axes=(0, 0 if x.ndim > 2 else None))(self.matrix, x)
        if self.function == "inverse":
            return solution(self.matrix, x, "inv", incomplete=self.incomplete)
        dtype = jnp.promote_types(self.aval().dtype, x.dtype)
        a = self.matrix.with_payload(data_of(self.matrix).astype(dtype))
        sizes = _transpose(a.with_payload(jnp.abs(data_of(a))))
        norm = jnp.max(_times(sizes, jnp.ones((a.aval().shape[0], 1), sizes.dtype)), initial=0)
        mean = jnp.mean(diagonal(a))
        return exponential_times(lambda y: _times(a, y), x.astype(dtype), norm, mean)

    def as_tangent(self, leaves: Any) -> Any:
        raise RuleError(
            f"The {self.function} of a sparse matrix has a dense tangent.",
            "Differentiate in reverse mode (`jax.grad`), or an inverse outside of `quaxify`.",
        ).at(self.origin.location)

    def _of(self, matrix: BCOO) -> "OfMatrix":
        return type(self)(matrix, self.function, self.origin, self.incomplete)

    def materialise(self) -> Any:
        if not self.matrix.allow_materialise:
            raise RuleError(
                f"The {self.function} of {describe(self.matrix)} is dense.",
                "Solve for what it would be multiplied with."
                if self.function == "inverse"
                else "Multiply it with a vector, or call `todense()` before.",
            ).at(self.origin.location)
        return self.times(jnp.eye(self.shape[-1], dtype=self.dtype))


def _times(a: BCOO, x: Any) -> Any:
    return product(a, x, (((1,), (0,)), ((), ())), {})


def _transpose(a: BCOO) -> BCOO:
    *batch, rows, columns = a.aval().shape
    return BCOO(
        data_of(a),
        a.indices[..., ::-1],
        (*batch, columns, rows),
        unique_indices=a.unique_indices,
        allow_materialise=a.allow_materialise,
    )


def _function(name: str) -> Any:
    def rule(a: Any, *args: Any, **kwargs: Any) -> Any:
        shape = a.aval().shape
        if len(shape) != 2 or shape[0] != shape[1]:
            raise RuleError(f"The {name} is one of a square matrix, not of {describe(a)}.")
        return OfMatrix(a, name, Origin.here(name))

    return rule


def _dot_general(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    lhs, rhs = map(strip, operands)
    (contract, batch) = params["dimension_numbers"]
    first = isinstance(lhs, OfMatrix)
    mat, other, axes = (lhs, rhs, contract) if first else (rhs, lhs, contract[::-1])
    n_batch, shared = mat.matrix.n_batch, batch[0 if first else 1]
    if isinstance(other, (OfMatrix, BCOO)) or foreign(other) or len(axes[0]) != 1:
        return NotImplemented
    if tuple(shared) not in ((), tuple(range(n_batch))):
        return NotImplemented
    other = array_of(other)
    mat = mat if axes[0][0] == n_batch + 1 else mat._of(_transpose(mat.matrix))
    leading = (*batch[1 if first else 0], axes[1][0])
    front = jnp.moveaxis(other, leading, range(len(leading)))
    rows, columns = front.shape[: len(leading)], front.shape[len(leading) :]
    out = mat.times(front.reshape(*rows, math.prod(columns)))
    out = out.reshape(*out.shape[:-1], *columns)
    if not first:  # the matrix' own axes come last
        own = range(len(shared), n_batch + 1)
        out = jnp.moveaxis(out, own, range(-len(own), 0))
    preferred = params.get("preferred_element_type")
    return out if preferred is None else out.astype(preferred)


def _transposed(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (x,) = operands
    batch, permutation = range(x.matrix.n_batch), [*params["permutation"]]
    if permutation[: len(batch)] != [*batch]:
        return NotImplemented
    return x if permutation == sorted(permutation) else x._of(_transpose(x.matrix))


def _scaled(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A multiple of an inverse is the inverse of a multiple; times a dense one, it is dense."""
    x, y = map(strip, operands)
    of, number = (x, y) if isinstance(x, OfMatrix) else (y, x)
    if isinstance(of, OfMatrix) and not is_value(number) and aval_of(number).shape == of.shape:
        return of.times(jnp.eye(of.shape[-1], dtype=of.dtype)) * number
    if not isinstance(of, OfMatrix) or of.function != "inverse" or aval_of(number).shape != ():
        return NotImplemented
    multiple = of.matrix.with_payload(data_of(of.matrix) / number)
    return of._of(multiple)


register_rule(BCOO, jnp.linalg.inv, _function("inverse"))
register_rule(BCOO, jsp.linalg.expm, _function("exponential"))
register_rule(OfMatrix, "dot_general", _dot_general)
register_rule(OfMatrix, "transpose", _transposed)
register_rule(OfMatrix, "mul", _scaled)
