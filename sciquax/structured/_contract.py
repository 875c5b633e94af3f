"""`dot_general` with structured operands: `@`, `dot`, `vdot`, `tensordot`, `einsum`, batched."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES

from . import _pairs as pairs
from ._matrix import StructuredMatrix


class _Side:
    """One operand of a contraction: its axes by role."""

    def __init__(self, x: Any, contract: Iterable[int], batch: Iterable[int]):
        self.x, self.contract, self.batch = x, tuple(contract), tuple(batch)
        self.ndim = len(x.shape)
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


def inner_product(lhs: Any, rhs: Any) -> Any:
    """The sum of the products of all elements of two matrices, or of a matrix and an array."""
    if isinstance(lhs, StructuredMatrix) and isinstance(rhs, StructuredMatrix):
        product = pairs.hadamard(lhs, rhs)
    elif isinstance(lhs, StructuredMatrix):
        product = times_array(lhs, rhs)
    else:
        product = times_array(rhs, lhs)
    if isinstance(product, StructuredMatrix):
        return product.sum_rows().sum(-1)
    return product if product is NotImplemented else jnp.sum(product, (-2, -1))


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
    leading = tuple(range(len(lhs.batch)))
    if lhs.batch != leading or rhs.batch != leading:
        return NotImplemented
    if len(leading) == lhs.ndim == rhs.ndim:
        return pairs.hadamard(lhs.x, rhs.x)
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
        product = pairs.hadamard(lhs.x, b)
        if product is NotImplemented:
            return NotImplemented
        return product.sum_rows().sum(-1)
    if len(lhs.contract) != 1:
        return NotImplemented
    if lhs.contract[0] < lhs.row or rhs.contract[0] < rhs.row:
        return NotImplemented
    a = lhs.x if lhs.contract[0] == lhs.column else lhs.x.transpose()
    b = rhs.x if rhs.contract[0] == rhs.row else rhs.x.transpose()
    return pairs.matmul(a, b)


# -- what other rules use too ---------------------------------------------------------------------


def reorder_batch(matrix: Any, order: Sequence[int]) -> Any:
    """The matrix with its batch axes in another order."""
    if list(order) == list(range(len(order))):
        return matrix
    return matrix.map_batch(lambda x, count: jnp.transpose(x, (*order, *range(count, x.ndim))))


def transpose(x: Any, order: Sequence[int]) -> Any:
    """`lax.transpose` of an array or a matrix whose matrix axes stay last, or NotImplemented."""
    if not isinstance(x, StructuredMatrix):
        return jnp.transpose(x, order)
    ndim = len(order)
    if set(order[-2:]) != {ndim - 2, ndim - 1}:
        return NotImplemented
    matrix = reorder_batch(x, order[:-2])
    if matrix is NotImplemented:
        return NotImplemented
    return matrix if order[-1] == ndim - 1 else matrix.transpose()


def times_array(matrix: Any, x: Any, divide: bool = False) -> Any:
    """`matrix * x` (or `/`) for an array that broadcasts against it, or NotImplemented."""
    function = jnp.divide if divide else jnp.multiply
    x = jnp.reshape(x, (*(1,) * (len(matrix.shape) - jnp.ndim(x)), *jnp.shape(x)))
    if any(s not in (1, t) for s, t in zip(x.shape[:-2], matrix.shape[:-2], strict=True)):
        return NotImplemented
    rows, columns = x.shape[-2] == 1, x.shape[-1] == 1
    batch = matrix.batch_shape()
    if rows and columns:
        s = x[..., 0, 0]
        s = s.reshape(()) if s.size == 1 else jnp.broadcast_to(s, batch)
        return matrix.scale(s, function)
    if columns:
        made = matrix.scale_rows(x[..., 0], function)
        return _scaled_by_product(matrix, x[..., 0], True, divide, made)
    if rows:
        made = matrix.scale_columns(x[..., 0, :], function)
        return _scaled_by_product(matrix, x[..., 0, :], False, divide, made)
    if divide:
        return NotImplemented  # zero by zero, outside of the structure
    return _times_dense(matrix, x)


def _scaled_by_product(matrix: Any, d: Any, left: bool, divide: bool, made: Any) -> Any:
    from ._diagonal import DiagonalMatrix
    from ._lazy import ProductMatrix

    if made is not NotImplemented:
        return made
    d = jnp.broadcast_to(1 / d if divide else d, (*matrix.batch_shape(), d.shape[-1]))
    scale = DiagonalMatrix(d, allow_materialise=True)
    return ProductMatrix.of(scale, matrix) if left else ProductMatrix.of(matrix, scale)


def _times_dense(matrix: Any, x: Any) -> Any:
    from ._bands import BandMatrix
    from ._block_diagonal import BlockDiagonalMatrix
    from ._triangular import TriangularMatrix

    if isinstance(matrix, BandMatrix):
        found = matrix.gather_dense(x)
        return matrix.like({k: y * found[k] for k, y in matrix.diagonals().items()})
    if isinstance(matrix, TriangularMatrix):
        return matrix.rebuild([matrix.full_array() * x])
    if isinstance(matrix, BlockDiagonalMatrix):
        k, m = matrix.sizes()
        x = x.reshape(*x.shape[:-2], k, m, k, m)
        blocks = jnp.moveaxis(jnp.diagonal(x, 0, -4, -2), -1, -3)
        return matrix.rebuild([matrix.blocks * blocks])
    # The product is as dense as the array that is there already.
    return x * matrix.materialise()


def reduce_sum(x: Any, axes: Sequence[int]) -> Any:
    """The sum over axes, or NotImplemented."""
    axes = sorted(a % len(x.shape) for a in axes)
    if not isinstance(x, StructuredMatrix):
        return jnp.sum(x, tuple(axes))
    if not axes:
        return x
    ndim = len(x.shape)
    batch = tuple(a for a in axes if a < ndim - 2)
    if ndim - 1 in axes:
        out = x.sum_rows()
        if ndim - 2 in axes:
            out = jnp.sum(out, -1)
        return jnp.sum(out, batch) if batch else out
    if ndim - 2 in axes:
        out = x.sum_columns()
        return jnp.sum(out, batch) if batch else out
    if type(x).scaled_leaves is not None or x.index_leaves() or not stores_elements(x):
        return NotImplemented
    return x.map_batch(lambda y, _: jnp.sum(y, batch))


def stores_elements(x: Any) -> bool:
    """Whether a type's arrays are elements, so that linear functions of batches act on them."""
    from ._bands import BandMatrix
    from ._block_diagonal import BlockDiagonalMatrix
    from ._circulant import CirculantMatrix
    from ._identity import IdentityMatrix
    from ._toeplitz import ToeplitzMatrix
    from ._triangular import TriangularMatrix

    if isinstance(x, IdentityMatrix):
        return False
    return isinstance(
        x, (BandMatrix, BlockDiagonalMatrix, CirculantMatrix, ToeplitzMatrix, TriangularMatrix)
    )
