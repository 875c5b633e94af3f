"""`dot_general` with structured operands: `@`, `dot`, `vdot`, `tensordot`, `einsum`, batched."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax._storage.thin import ThinProduct
from sciquax.core import VALUE_TYPES, register_rule

from .._arithmetic.products import inner_product, reorder_batch, times_array, transpose
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix, aligned
from .._matrix.operands import _guarded
from .reducing import reduce_sum


class _Side:
    """One operand of a contraction: its axes by role."""

    def __init__(self, x: Any, contract: Iterable[int], batch: Iterable[int]):
        self.x: Any = x if hasattr(x, "shape") else jnp.asarray(x)  # a number
        self.contract, self.batch = tuple(contract), tuple(batch)
        self.ndim = len(self.x.shape)
        self.free = tuple(
            a for a in range(self.ndim) if a not in self.contract and a not in self.batch
        )

    @property
    def row(self) -> int:
        return self.ndim - 2

    @property
    def column(self) -> int:
        return self.ndim - 1


def dot_general(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The rule of the primitive. Results: batch axes, then lhs' free axes, then rhs'."""
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = params["dimension_numbers"]
    lhs = _Side(operands[0], map(int, lhs_contract), map(int, lhs_batch))
    rhs = _Side(operands[1], map(int, rhs_contract), map(int, rhs_batch))
    structured = [isinstance(side.x, StructuredMatrix) for side in (lhs, rhs)]
    if all(structured):
        out = _two(lhs, rhs)
    else:
        other = rhs.x if structured[0] else lhs.x
        if type(other) in VALUE_TYPES:
            if not other.transient:
                return NotImplemented
            if isinstance(other, ThinProduct):
                found = _with_thin(lhs, rhs)
                if found is not NotImplemented:
                    return found
            other = other.materialise()
        if structured[0]:
            rhs.x = other
            out = _one(lhs, rhs, True)
        else:
            lhs.x = other
            out = _one(rhs, lhs, False)
    dtype = params.get("preferred_element_type")
    if out is NotImplemented or dtype is None or out.dtype == dtype:
        return out
    return out.convert(np.dtype(dtype)) if isinstance(out, StructuredMatrix) else out.astype(dtype)


def _one(a: _Side, b: _Side, first: bool) -> Any:
    """A structured matrix and an array; `first` says that the matrix is the left operand."""
    matrix_axes = {a.row, a.column}
    if matrix_axes & set(a.batch) or matrix_axes <= set(a.contract):
        return _paired(a, b)
    inner = [axis for axis in a.contract if axis in matrix_axes]
    if len(inner) != 1 or len(a.contract) != 1:
        return NotImplemented
    # The matrix's batch axes: those paired with b's lead, then the others.
    paired = list(a.batch)
    extra = [axis for axis in range(a.ndim - 2) if axis not in paired]
    matrix = reorder_batch(a.x, [*paired, *extra])
    if matrix is NotImplemented:
        return NotImplemented
    if inner[0] == a.row:
        matrix = matrix.transpose()
    sizes = [b.x.shape[axis] for axis in b.free]
    x = jnp.transpose(b.x, (*b.batch, *b.contract, *b.free))
    lead = x.shape[: len(b.batch)]
    if b.free:
        x = x.reshape(*lead, *(1,) * len(extra), x.shape[len(b.batch)], -1)
        out = matrix.matmat(x)
    else:
        x = x.reshape(*lead, *(1,) * len(extra), x.shape[-1])
        out = matrix.matvec(x)[..., None]
    rows = out.shape[-2]
    out = out.reshape(*out.shape[: len(paired) + len(extra)], rows, *sizes)
    if first:
        return out
    n_batch, n_own = len(paired), len(extra) + 1
    order = [
        *range(n_batch),
        *range(n_batch + n_own, out.ndim),
        *range(n_batch, n_batch + n_own),
    ]
    return jnp.transpose(out, order)


def _with_thin(lhs: _Side, rhs: _Side) -> Any:
    """With a product of thin factors: the factor beside the matrix is multiplied."""
    first = isinstance(lhs.x, StructuredMatrix)
    a, b = (lhs, rhs) if first else (rhs, lhs)
    if a.ndim != 2 or b.ndim != 2 or a.batch or len(a.contract) != 1:
        return NotImplemented
    matrix = a.x if a.contract[0] == a.column else a.x.transpose()
    left, right = b.x.left, b.x.right
    if b.contract[0] == b.column:
        left, right = jnp.swapaxes(right, -1, -2), jnp.swapaxes(left, -1, -2)
    near = matrix.matmat(left)
    if first:
        return b.x.of(near, right)
    return b.x.of(jnp.swapaxes(right, -1, -2), jnp.swapaxes(near, -1, -2))


def _paired(a: _Side, b: _Side) -> Any:
    """Every axis of the array has its partner in the matrix: an elementwise product, then sums.

    `einsum("ij,j->ij")`, `einsum("ij,ij->i")`, `vdot`.
    """
    if b.free:
        return NotImplemented
    partners = dict(zip((*a.batch, *a.contract), (*b.batch, *b.contract), strict=True))
    axes = sorted(partners)
    x = jnp.transpose(b.x, [partners[axis] for axis in axes])
    x = jnp.expand_dims(x, [axis for axis in range(a.ndim) if axis not in partners])
    product = times_array(a.x, x)
    if product is NotImplemented:
        return NotImplemented
    out = reduce_sum(product, a.contract)
    if out is NotImplemented:
        return NotImplemented
    kept = [axis for axis in range(a.ndim) if axis not in a.contract]
    order = [kept.index(axis) for axis in (*a.batch, *a.free)]
    return transpose(out, order)


def _two(lhs: _Side, rhs: _Side) -> Any:
    """Two structured matrices with the same batch axes in front."""
    if lhs.ndim == rhs.ndim == 2 and len(lhs.batch) == len(lhs.contract) == 1:
        same_order = lhs.batch == rhs.batch
        both = operations.hadamard(*aligned(lhs.x, rhs.x if same_order else rhs.x.transpose()))
        return both if both is NotImplemented else reduce_sum(both, lhs.contract)
    leading = tuple(range(len(lhs.batch)))
    if lhs.batch != leading or rhs.batch != leading:
        return NotImplemented
    if len(leading) == lhs.ndim == rhs.ndim:
        return operations.hadamard(*aligned(lhs.x, rhs.x))
    if len(leading) not in (lhs.ndim - 2, 0) or len(leading) not in (rhs.ndim - 2, 0):
        return NotImplemented
    if len(leading) == 0 and (lhs.ndim > 2 or rhs.ndim > 2):
        if lhs.ndim > 2 and rhs.ndim > 2:
            return NotImplemented
        if rhs.ndim > 2:  # (m, n) with (B, n, k) gives (m, B, k), no stack of matrices
            return NotImplemented
    if len(lhs.contract) == 2:
        swapped = lhs.contract[0] > lhs.contract[1]
        order = rhs.contract[::-1] if swapped else rhs.contract
        b = rhs.x if order[0] < order[1] else rhs.x.transpose()
        return inner_product(lhs.x, b)
    if len(lhs.contract) != 1:
        return NotImplemented
    if lhs.contract[0] < lhs.row or rhs.contract[0] < rhs.row:
        return NotImplemented
    a = lhs.x if lhs.contract[0] == lhs.column else lhs.x.transpose()
    b = rhs.x if rhs.contract[0] == rhs.row else rhs.x.transpose()
    return operations.matmul(a, b)


register_rule(StructuredMatrix, "dot_general", _guarded(dot_general))
