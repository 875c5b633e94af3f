"""Matrices of zeros: the blocks that a block matrix does not have."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp

from .._matrix import operations
from .._matrix.fields import leaf, size, static
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import checked


class ZeroMatrix(StructuredMatrix):
    """A matrix of zeros.

    **Arguments**: its numbers of `rows` and `columns`, its `dtype` (JAX's default float),
    `allow_materialise`. Its one array, `zero`, counts batches; its number is never read.

    ```python
    >>> from sciquax.structured import ZeroMatrix
    >>> ZeroMatrix(2, 3).materialise()
    Array([[0., 0., 0.],
           [0., 0., 0.]], dtype=float32)

    ```
    """

    zero: Any = leaf(core_ndim=0)
    rows: int = static(converter=size)
    columns: int = static(converter=size)

    def __init__(
        self,
        rows: int,
        columns: int,
        dtype: Any = None,
        *,
        allow_materialise: bool = False,
        properties: Iterable[str] = (),
    ):
        self.zero, self.rows, self.columns = jnp.zeros((), dtype), size(rows), size(columns)
        self.allow_materialise, self.properties = allow_materialise, checked(properties)

    def aval(self) -> Any:
        return self.matrix_aval((*self.zero.shape, self.rows, self.columns))

    def matmat(self, x: Any) -> Any:
        batch = jnp.broadcast_shapes(self.batch_shape(), x.shape[:-2])
        shape = (*batch, self.rows, x.shape[-1])
        return jnp.zeros(shape, jnp.promote_types(self.dtype, x.dtype))

    def transpose(self) -> Any:
        return self.rebuild(self.arrays(), rows=self.columns, columns=self.rows)

    def entries(self, i: Any, j: Any) -> Any:
        shape = jnp.broadcast_shapes(jnp.shape(i), jnp.shape(j))
        return jnp.zeros((*self.batch_shape(), *shape), self.dtype)

    def map_entries(self, function: Callable[..., Any], zero: bool) -> Any:
        if not zero:
            return NotImplemented
        return self.rebuild([jnp.zeros_like(function(jnp.zeros_like(self.zero)))])

    def map_together(
        self, matrices: Sequence[Any], function: Callable[..., Any], zero: bool
    ) -> Any:
        if not zero:
            return NotImplemented
        return self.rebuild([jnp.zeros_like(function(*[m.zero for m in matrices]))])

    def scale(
        self, s: Any, function: Callable[..., Any] = jnp.multiply, properties: str = "scale"
    ) -> Any:
        return self.rebuild([jnp.zeros_like(function(self.zero, s))])

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        return self.rebuild([jnp.zeros_like(self.zero, jnp.promote_types(self.dtype, d.dtype))])

    def times_dense(self, x: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        return self

    def add_dense(self, x: Any) -> Any:
        return x

    def stored(self, beside: Any = 0) -> Any:
        return jnp.zeros((*self.batch_shape(), 0), self.dtype)

    def pivots(self) -> Any:
        return jnp.zeros(self.shape[:-1], self.dtype)


def zeros_like(x: Any, rows: int, columns: int) -> ZeroMatrix:
    """A matrix of zeros of the batch shape and dtype of another matrix, or of an array."""
    return ZeroMatrix.build(
        [jnp.zeros(x.shape[:-2], x.dtype)],
        rows=rows,
        columns=columns,
        allow_materialise=getattr(x, "allow_materialise", True),
    )


def _other(a: ZeroMatrix, b: Any, subtract: bool = False) -> Any:
    if a.shape[-2:] != b.shape[-2:]:
        return NotImplemented
    return b.over_batch(jnp.broadcast_shapes(a.batch_shape(), b.batch_shape()))


@operations.add.register(ZeroMatrix, StructuredMatrix)
def _zero_plus(a: ZeroMatrix, b: Any, subtract: bool = False) -> Any:
    found = _other(a, b)
    return found.negate() if subtract and found is not NotImplemented else found


@operations.add.register(StructuredMatrix, ZeroMatrix)
def _plus_zero(b: Any, a: ZeroMatrix, subtract: bool = False) -> Any:
    return _other(a, b)


@operations.matmul.register(ZeroMatrix, StructuredMatrix)
@operations.matmul.register(StructuredMatrix, ZeroMatrix)
def _product(a: Any, b: Any) -> ZeroMatrix:
    batch = jnp.broadcast_shapes(a.batch_shape(), b.batch_shape())
    one = a if isinstance(a, ZeroMatrix) else b
    dtype = jnp.promote_types(a.dtype, b.dtype)
    return one.rebuild(
        [jnp.zeros(batch, dtype)],
        rows=a.shape[-2],
        columns=b.shape[-1],
        allow_materialise=a.allow_materialise and b.allow_materialise,
    )


@operations.both_orders(operations.hadamard, ZeroMatrix, StructuredMatrix)
def _hadamard(a: ZeroMatrix, b: Any) -> ZeroMatrix:
    return a


@operations.band_part.register(ZeroMatrix)
def _part(a: ZeroMatrix, low: int | None, high: int | None) -> ZeroMatrix:
    return a


@operations.submatrix.register(ZeroMatrix)
def _submatrix(a: ZeroMatrix, starts: Sequence[int], sizes: Sequence[int]) -> ZeroMatrix:
    return a.rebuild(a.arrays(), rows=sizes[0], columns=sizes[1])
