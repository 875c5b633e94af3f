"""Permutation matrices."""

from collections.abc import Iterable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES
from sciquax.core.internal import ShapedArray, Tracer

from .._matrix import operations
from .._matrix.base import allow_both, real_dtype
from .._matrix.fields import leaf, static
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import checked, surviving
from .diagonal import AnyDiagonal, DiagonalMatrix
from .identity import IdentityMatrix, identity_like
from .triangular import TriangularMatrix, hadamard_half


class PermutationMatrix(StructuredMatrix):
    """A permutation matrix: `(A @ x)[i] == x[perm[i]]`.

    **Arguments**

    - `perm`: integers, (..., n), each of 0 to n - 1 once (not checked of a traced array).
    - `dtype`: that of the matrix's zeros and ones (JAX's default float).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.structured import PermutationMatrix
    >>> PermutationMatrix(jnp.array([2, 0, 1])) @ jnp.array([5.0, 6.0, 7.0])
    Array([7., 5., 6.], dtype=float32)

    ```
    """

    claims: ClassVar[frozenset[str]] = frozenset({"orthogonal"})

    perm: Any = leaf(core_ndim=1)
    kind: str = static()

    def __init__(
        self,
        perm: Any,
        dtype: Any = None,
        *,
        allow_materialise: bool = False,
        properties: Iterable[str] = (),
    ):
        self.perm = perm
        self.kind = np.dtype(jnp.ones((), dtype).dtype).name
        self.allow_materialise, self.properties = allow_materialise, checked(properties)

    def check(self) -> None:
        if not jnp.issubdtype(self.perm.dtype, jnp.integer):
            raise ValueError(f"`perm` holds integers; got {self.perm.dtype}.")
        if isinstance(self.perm, Tracer) or type(self.perm) in VALUE_TYPES:
            return
        n = self.perm.shape[-1]
        if np.any(np.sort(np.asarray(self.perm), -1) != np.arange(n)):
            raise ValueError(f"`perm` holds each of 0 to {n - 1} once; got {self.perm}.")

    @classmethod
    def index_leaves(cls) -> tuple[str, ...]:
        return ("perm",)

    def aval(self) -> Any:
        return ShapedArray((*self.perm.shape, self.perm.shape[-1]), jnp.dtype(self.kind))

    def materialise(self) -> Any:
        n = self.shape[-1]
        return (self.perm[..., None] == np.arange(n, dtype=self.perm.dtype)).astype(self.kind)

    def matmat(self, x: Any) -> Any:
        batch = np.broadcast_shapes(self.batch_shape(), x.shape[:-2])
        x = jnp.broadcast_to(x, (*batch, *x.shape[-2:]))
        if self.perm.ndim == 1:
            out = jnp.take(x, self.perm, axis=-2)
        else:
            out = jnp.take_along_axis(x, jnp.broadcast_to(self.perm, x.shape[:-1])[..., None], -2)
        return out.astype(jnp.promote_types(x.dtype, self.dtype))

    def convert(self, dtype: Any) -> Any:
        return self.rebuild(self.arrays(), kind=np.dtype(dtype).name, properties=self.properties)

    def map_entries(self, function: Any, zero: bool) -> Any:
        """Its elements are zeros and ones: the result is a multiple of it."""
        if not zero:
            return NotImplemented
        with jax.ensure_compile_time_eval():
            one = function(jnp.ones((1,), self.dtype))[0]
            static = None if isinstance(one, Tracer) else np.asarray(one)
        if static is not None and static == 0:
            zeros = jnp.zeros(self.shape[:-1], one.dtype)
            return DiagonalMatrix(zeros, allow_materialise=self.allow_materialise)
        if static is not None and static == 1:
            return self.convert(one.dtype)
        return self.convert(one.dtype).scale(one)

    def map_together(self, matrices: Any, function: Any, zero: bool) -> Any:
        if not zero:
            return NotImplemented
        return self.map_entries(
            lambda _: function(*[jnp.ones((1,), m.dtype) for m in matrices]), True
        )

    def scale(self, s: Any, function: Any = jnp.multiply, properties: str = "scale") -> Any:
        one = identity_like(self, self.dtype, allow=True)
        return operations.kept_product(one.scale(s, function), self)

    def conj(self) -> Any:
        return self

    def transpose(self) -> Any:
        return self.rebuild([jnp.argsort(self.perm, -1)], properties=self.properties)

    def solve(self, b: Any) -> Any:
        return self.transpose().matmat(b)

    def diagonal(self) -> Any:
        n = self.shape[-1]
        return (self.perm == np.arange(n, dtype=self.perm.dtype)).astype(self.kind)

    def entries(self, i: Any, j: Any) -> Any:
        return (jnp.take(self.perm, jnp.asarray(i), axis=-1) == j).astype(self.kind)

    def det(self) -> Any:
        """The parity, from the number of cycles, found by doubling: O(n log n)."""
        n = self.shape[-1]
        ahead, least = self.perm, jnp.minimum(self.perm, np.arange(n, dtype=self.perm.dtype))
        for _ in range(max(1, n.bit_length())):
            least = jnp.minimum(least, jnp.take_along_axis(least, ahead, -1))
            ahead = jnp.take_along_axis(ahead, ahead, -1)
        cycles = jnp.sum(least == np.arange(n, dtype=self.perm.dtype), -1)
        return (1 - 2 * ((n - cycles) % 2)).astype(self.kind)

    def slogdet(self) -> Any:
        sign = self.det()
        return sign, jnp.zeros_like(sign.real)

    def sum_rows(self) -> Any:
        return jnp.ones(self.shape[:-1], self.dtype)

    def stored(self, beside: Any = 0) -> Any:
        return jnp.ones((*self.batch_shape(), 1), self.dtype)  # it may stand for all of them

    def masked(self, low: int | None, high: int | None) -> Any:
        """The part on the diagonals from `low` to `high`: some rows of it."""
        offset = self.perm - np.arange(self.shape[-1], dtype=self.perm.dtype)
        keep = jnp.ones(offset.shape, bool)
        if low is not None:
            keep &= offset >= low
        if high is not None:
            keep &= offset <= high
        return self.rows_times(keep.astype(self.dtype))

    def rows_times(self, d: Any) -> Any:
        """`diag(d) @ self`."""
        scale = DiagonalMatrix(d, allow_materialise=True)
        return operations.kept_product(scale, self.convert(jnp.promote_types(self.dtype, d.dtype)))

    def times(self, other: "PermutationMatrix") -> Any:
        shape = np.broadcast_shapes(self.perm.shape, other.perm.shape)
        own, inner = jnp.broadcast_to(self.perm, shape), jnp.broadcast_to(other.perm, shape)
        return self.rebuild(
            [jnp.take_along_axis(inner, own, -1)],
            allow_materialise=self.allow_materialise and other.allow_materialise,
        )


operations.matmul.register(PermutationMatrix, PermutationMatrix)(PermutationMatrix.times)
operations.band_part.register(PermutationMatrix)(lambda a, low, high: a.masked(low, high))
operations.inverse.register(PermutationMatrix)(PermutationMatrix.transpose)


@operations.cholesky.register(PermutationMatrix)
def _cholesky(a: PermutationMatrix) -> DiagonalMatrix:
    """Only the identity is positive definite: of any other, not a number."""
    places = np.arange(a.shape[-1], dtype=a.perm.dtype)
    identity = jnp.all(a.perm == places, -1, keepdims=True)
    one = jnp.where(identity, 1, jnp.nan).astype(a.dtype)
    diag = jnp.broadcast_to(one, a.shape[:-1])
    return DiagonalMatrix(diag, allow_materialise=a.allow_materialise)


@operations.lu.register(PermutationMatrix)
def _lu(a: PermutationMatrix) -> Any:
    if a.batch_shape():
        return NotImplemented
    one = identity_like(a, a.dtype)
    return a.convert(real_dtype(a.dtype)), one, one


@operations.norm_bound.register(PermutationMatrix)
def _norm_bound(a: PermutationMatrix) -> Any:
    return jnp.ones(a.batch_shape(), real_dtype(a.dtype))


UNITARY = frozenset({"orthogonal"})


def ascending(values: Any, vectors: Any) -> tuple[Any, Any]:
    """Eigenvalues in ascending order, and the vectors as a product with a permutation."""
    order = jnp.argsort(values, -1)
    permutation = PermutationMatrix(
        jnp.argsort(order, -1), vectors.dtype, allow_materialise=vectors.allow_materialise
    )
    values = jnp.take_along_axis(values, order, -1)
    if isinstance(vectors, IdentityMatrix):
        return values, permutation
    return values, operations.kept_product(vectors, permutation)


def descending(left: Any, values: Any, right: Any) -> tuple[Any, Any, Any]:
    """left @ diag(values) @ right with the values in descending order."""
    order = jnp.argsort(-values, -1)
    rows = PermutationMatrix(order, left.dtype, allow_materialise=left.allow_materialise)
    values = jnp.take_along_axis(values, order, -1)
    return operations.matmul(left, rows.transpose()), values, operations.matmul(rows, right)


@operations.eigh.register(AnyDiagonal)
def _eigh_of_diagonal(a: AnyDiagonal) -> tuple[Any, Any]:
    return ascending(a.diagonal().real, identity_like(a, a.dtype))


@operations.svd.register(AnyDiagonal)
def _svd_of_diagonal(a: AnyDiagonal) -> tuple[Any, Any, Any]:
    d = a.diagonal()
    size = jnp.abs(d)
    phase = jnp.where(size == 0, 1, d / jnp.where(size == 0, 1, size))
    left = DiagonalMatrix(phase, allow_materialise=a.allow_materialise, properties={"orthogonal"})
    return descending(left, size, identity_like(a, a.dtype))


@operations.fitted.register(PermutationMatrix, PermutationMatrix)
def _fitted(a: PermutationMatrix, example: PermutationMatrix) -> Any:
    return a if a.perm is example.perm else NotImplemented


@operations.hadamard.register(PermutationMatrix, PermutationMatrix)
def _hadamard(a: PermutationMatrix, b: PermutationMatrix) -> Any:
    """Of permutations that are one: zeros and ones in the same places."""
    if a.perm is not b.perm:
        return NotImplemented
    return a.convert(jnp.promote_types(a.dtype, b.dtype)).rebuild(
        [a.perm],
        allow_materialise=allow_both(a, b),
        properties=surviving("hadamard", a.known(), b.known()),
    )


@operations.both_orders(operations.hadamard, PermutationMatrix, StructuredMatrix)
def _hadamard_entries(a: PermutationMatrix, b: Any) -> Any:
    found = NotImplemented if a.batch_shape() else b.entries(np.arange(a.shape[-1]), a.perm)
    if found is NotImplemented:
        return NotImplemented
    return a.rebuild([a.perm], allow_materialise=allow_both(a, b)).rows_times(found)


operations.both_orders(operations.hadamard, TriangularMatrix, PermutationMatrix)(hadamard_half)
