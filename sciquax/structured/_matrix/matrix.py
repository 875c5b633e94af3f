"""`StructuredMatrix`: what each structure says of itself, and what follows from that.

A structure says how to multiply, transpose, look up, solve. The rules for primitives
(`_primitives/`), for whole functions (`_functions/`) and for two structures (`_arithmetic/`) are
written once on these methods.

All methods take leading batch dimensions, which broadcast as in `jnp.matmul`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .base import allow_both
from .properties import surviving
from .solve import solve
from .value_contract import ValueContract


class StructuredMatrix(ValueContract):
    """The base of all structured matrices.

    **Fields of subclasses**: [`sciquax.structured.leaf`][] makes one for each defining array,
    [`sciquax.structured.static`][] for what else defines the matrix. All have `allow_materialise`
    and `properties`, by keyword.

    **Attributes for subclasses**: `scaled_leaves`, the names of the arrays that a scalar factor
    multiplies (all, if None); `scaling`, how the matrix scales with its arrays: `join` (all have
    one unit) or `product`; `claims`, properties that the structure implies; `arrays_are_entries`,
    whether the arrays hold elements of the matrix, each in its place, and nothing else, so that
    functions of the elements are functions of the arrays; `covers_all`, whether every element is in
    one of them.
    """

    # Equinox makes each method looked up a module of its own, which flattens the matrix: ours are
    # looked up dozens of times in a rule.
    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__

    # -- what each structure says -----------------------------------------------------------------

    def matmat(self, x: Any) -> Any:
        """`self @ x` for an array `x` of shape (..., columns, k): by default column by column."""
        if type(self).matvec is StructuredMatrix.matvec:
            raise NotImplementedError(f"`{type(self).__name__}` has neither `matvec` nor `matmat`.")
        return jax.vmap(self.matvec, -1, -1)(x)

    def transpose(self) -> "StructuredMatrix":
        raise NotImplementedError

    def entries(self, i: Any, j: Any) -> Any:
        """The elements at index arrays `i` and `j` of one shape: (..., *shape)."""
        return NotImplemented

    def matvec(self, x: Any) -> Any:
        """`self @ x` for an array `x` of shape (..., columns)."""
        return self.matmat(x[..., None])[..., 0]

    def solve(self, b: Any) -> Any:
        """The solution of `self @ x = b` for `b` of shape (..., rows, k), or NotImplemented."""
        return NotImplemented

    def linear_solve(self, b: Any) -> Any:
        """As `solve`, for `b` of any dtype and batch axes, differentiated implicitly."""
        return solve(self, b)

    def is_triangular(self, lower: bool) -> bool:
        """Whether by its structure all elements are zero on the other side of the diagonal."""
        return False

    def solves_directly(self) -> bool:
        """Whether `solve` is differentiated as it is, since products cannot be transposed."""
        return False

    def can_solve(self) -> bool:
        """Whether `solve` is implemented for these operands."""
        return self.is_square() and type(self).solve is not StructuredMatrix.solve

    def diagonal(self) -> Any:
        """The main diagonal, (..., n)."""
        index = np.arange(min(self.shape[-2:]))
        return self.entries(index, index)

    def pivots(self) -> Any:
        """Numbers whose product is the determinant, (..., k), or NotImplemented."""
        return NotImplemented

    def slogdet(self) -> Any:
        """Sign and logarithm of the absolute determinant, or NotImplemented."""
        pivots = self.pivots()
        if pivots is NotImplemented:
            return NotImplemented
        size = jnp.abs(pivots)
        sign = jnp.where(size == 0, pivots, pivots / jnp.where(size == 0, 1, size))
        return jnp.prod(sign, -1), jnp.sum(jnp.log(size), -1)

    def det(self) -> Any:
        """The determinant, or NotImplemented."""
        pivots = self.pivots()
        if pivots is not NotImplemented:
            return jnp.prod(pivots, -1)
        found = self.slogdet()
        if found is NotImplemented:
            return NotImplemented
        sign, log = found
        return sign * jnp.exp(log).astype(sign.dtype)

    def inverse_diagonal(self) -> Any:
        """The diagonal of the inverse in linear time, or NotImplemented."""
        return NotImplemented

    def map_entries(self, function: Callable[..., Any], zero: bool) -> Any:
        """`function` of every element, or NotImplemented.

        `zero` says that it takes zero to zero, so that elements outside of the structure stay.
        """
        if not self.arrays_are_entries or not (zero or self.covers_all):
            return NotImplemented
        return self.rebuild([function(x) for x in self.arrays()])

    def map_multiplicative(self, function: Callable[..., Any], zero: bool) -> Any:
        """`map_entries` for a function that takes products to products, as `abs` does."""
        return self.map_entries(function, zero)

    def map_together(
        self, matrices: Sequence[Any], function: Callable[..., Any], zero: bool
    ) -> Any:
        """`function` of the elements of matrices in this one's layout, itself among them."""
        if not self.arrays_are_entries or not (zero or self.covers_all):
            return NotImplemented
        return self.rebuild(
            [function(*xs) for xs in zip(*[m.arrays() for m in matrices], strict=True)],
            allow_materialise=allow_both(*matrices),
            properties=surviving("elementwise", *[m.known() for m in matrices]),
        )

    def add_dense(self, x: Any) -> Any:
        """The sum with an array of the same shape."""
        return x + self.materialise()

    def times_dense(self, x: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        """The product element by element with an array of the same shape.

        Or another `function` of both elements, which is zero where the matrix is.
        """
        return function(self.materialise(), x)  # as dense as the array that is there already

    def frobenius(self) -> Any:
        """The square of the Frobenius norm, or NotImplemented where it has no short form."""
        return NotImplemented

    def stored(self, beside: Any = 0) -> Any:
        """The elements that are stored, each once, in one row (..., count), or NotImplemented.

        If they are fewer than the elements of the matrix, the others are zero; unless `covers_all`.
        What an array holds beside elements becomes `beside`, a number or one for each of a batch.
        """
        if not self.arrays_are_entries:
            return NotImplemented
        rows = [x.reshape(*self.batch_shape(), -1) for x in self.arrays()]
        return jnp.concatenate(rows, -1)

    def extreme(self, largest: bool) -> Any:
        """The largest or smallest element, or NotImplemented where it has no short form."""
        return NotImplemented

    def each_row(self, function: Callable[..., Any]) -> Any:
        """`function` of each row (..., columns), one at a time, for results (..., rows)."""
        columns = np.arange(self.shape[-1])
        if self.entries(np.zeros_like(columns), columns) is NotImplemented:
            return NotImplemented

        def one(i: Any) -> Any:
            return function(self.entries(jnp.full(columns.shape, i), columns))

        return jnp.moveaxis(jax.lax.map(one, jnp.arange(self.shape[-2])), 0, -1)

    def each_column(self, function: Callable[..., Any]) -> Any:
        """`function` of each column (..., rows), one at a time, for results (..., columns)."""
        n = self.shape[-1]

        def one(j: Any) -> Any:
            return function(self.matvec((jnp.arange(n) == j).astype(self.dtype)))

        return jnp.moveaxis(jax.lax.map(one, jnp.arange(n)), 0, -1)

    def diagonals_at(self, offsets: Sequence[int]) -> dict[int, Any]:
        """Some diagonals of a square matrix: its elements, or those of one column at a time."""
        n, out = self.shape[-1], {}
        if [*offsets] == [0]:
            return {0: self.diagonal()}
        for k in offsets:
            i = np.arange(n - abs(k))
            out[k] = self.entries(i + max(0, -k), i + max(0, k))
        if all(x is not NotImplemented for x in out.values()):
            return out

        def one(j: Any) -> Any:
            column = self.matvec((jnp.arange(n) == j).astype(self.dtype))
            return jnp.take(column, jnp.clip(j - np.asarray(offsets), 0, n - 1), axis=-1)

        found = jnp.moveaxis(jax.lax.map(one, jnp.arange(n)), 0, -1)  # (..., offset, column)
        each = {k: found[..., place, :] for place, k in enumerate(offsets)}
        return {k: x[..., max(0, k) : n + min(0, k)] for k, x in each.items()}

    def scale_rows(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        """`diag(d) @ self` for `d` of shape (..., rows), or NotImplemented."""
        return NotImplemented

    def scale_columns(self, d: Any, function: Callable[..., Any] = jnp.multiply) -> Any:
        """`self @ diag(d)` for `d` of shape (..., columns), or NotImplemented."""
        other = self.transpose().scale_rows(d, function)
        return NotImplemented if other is NotImplemented else other.transpose()

    # -- what follows -----------------------------------------------------------------------------

    def materialise(self) -> Any:
        """The dense array."""
        if self.dtype == bool:  # which are no numbers to multiply
            return self.convert(np.int8).materialise().astype(bool)
        columns = self.shape[-1]
        return self.matmat(jnp.eye(columns, dtype=self.dtype))

    def scale(
        self, s: Any, function: Callable[..., Any] = jnp.multiply, properties: str = "scale"
    ) -> Any:
        """`function(self, s)` for a number per matrix, `s` of the batch shape."""

        def apply(name: str, x: Any) -> Any:
            if self.scaled_leaves is not None and name not in self.scaled_leaves:
                return x
            extra = jnp.ndim(x) - (len(self.shape) - 2)
            return function(x, s if jnp.ndim(s) == 0 else jnp.reshape(s, (*s.shape, *(1,) * extra)))

        arrays = [apply(name, getattr(self, name)) for name in self.LEAF_NAMES]
        return self.rebuild(arrays, properties=surviving(properties, self.known()))

    def map_batch(self, function: Callable[..., Any]) -> Any:
        """`function(array, batch axes)` of every defining array, which acts on leading axes."""
        count = len(self.shape) - 2
        arrays = []
        for name, x in zip(self.LEAF_NAMES, self.arrays(), strict=True):
            if isinstance(x, StructuredMatrix):
                if len(x.shape) - 2 != count:
                    return NotImplemented
                x = x.map_batch(function)
            elif jnp.ndim(x) - self.CORE_NDIMS[self.LEAF_NAMES.index(name)] != count:
                return NotImplemented
            else:
                x = function(x, count)
            if x is NotImplemented:
                return NotImplemented
            arrays.append(x)
        return self.rebuild(arrays, properties=self.properties)

    def over_batch(self, batch: tuple[int, ...]) -> Any:
        """The same matrix for each of a batch, to whose shape its own batch axes broadcast."""
        if self.batch_shape() == batch:
            return self
        return self.map_batch(lambda x, count: jnp.broadcast_to(x, (*batch, *x.shape[count:])))

    def negate(self) -> Any:
        return self.scale(-1, lambda x, _: -x, "neg")

    def conj(self) -> "StructuredMatrix":
        """The complex conjugate."""
        if not jnp.issubdtype(self.dtype, jnp.complexfloating):
            return self
        return self.rebuild([jnp.conj(x) for x in self.arrays()], properties=self.properties)

    def adjoint(self) -> "StructuredMatrix":
        """The conjugate transpose."""
        return self.transpose().conj()

    def astype(self, dtype: Any) -> Any:
        return self.convert(dtype)

    def convert(self, dtype: Any) -> Any:
        """Every element converted."""
        arrays = [
            x
            if np.issubdtype(x.dtype, np.integer) and name in self.index_leaves()
            else jax.lax.convert_element_type(x, dtype)
            for name, x in zip(self.LEAF_NAMES, self.arrays(), strict=True)
        ]
        return self.rebuild(arrays, properties=surviving("convert", self.known()))

    def sum_rows(self) -> Any:
        """The sum of each row, (..., rows)."""
        return self.matvec(jnp.ones(self.shape[-1], self.dtype))

    def sum_columns(self) -> Any:
        return self.transpose().sum_rows()

    def is_hermitian(self) -> bool:
        return "hermitian" in self.known()

    def batch_shape(self) -> tuple[int, ...]:
        return self.shape[:-2]

    def is_square(self) -> bool:
        return self.shape[-1] == self.shape[-2]


def aligned(left: Any, right: Any) -> tuple[Any, Any]:
    """Both with all batch axes, so that a mapped axis is an axis of every array."""
    batch = jnp.broadcast_shapes(left.batch_shape(), right.batch_shape())
    grown = [m.over_batch(batch) for m in (left, right)]
    return tuple(m if x is NotImplemented else x for m, x in zip((left, right), grown, strict=True))
