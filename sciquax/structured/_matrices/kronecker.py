"""Kronecker products."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import VALUE_TYPES, quaxify

from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .triangular import TriangularMatrix


class KroneckerMatrix(StructuredMatrix):
    """The Kronecker product of two matrices, which may be structured themselves.

    **Arguments**

    - `a`: (..., p, q); `b`: (..., r, s). The product is (..., p * r, q * s).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    Everything is done factor by factor (Golub and Van Loan, section 12.3).

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import KroneckerMatrix
    >>> a = KroneckerMatrix(jnp.array([[1.0, 2.0], [3.0, 4.0]]), 2 * jnp.eye(3))
    >>> quaxify(jnp.trace)(a)
    Array(30., dtype=float32)

    ```
    """

    scaled_leaves: ClassVar[tuple[str, ...] | None] = ("a",)
    scaling: ClassVar[str] = "product"

    a: Any = leaf(core_ndim=2)
    b: Any = leaf(core_ndim=2)

    def known(self) -> frozenset[str]:
        own = StructuredMatrix.known(self)
        if all(isinstance(x, StructuredMatrix) for x in (self.a, self.b)):
            own |= surviving("kron", self.a.known(), self.b.known())
        return own

    def aval(self) -> Any:
        *batch, p, q = self.a.shape
        *other, r, s = self.b.shape
        return self.matrix_aval((*np.broadcast_shapes(tuple(batch), tuple(other)), p * r, q * s))

    def materialise(self) -> Any:
        a, b = dense(self.a), dense(self.b)
        full = a[..., :, None, :, None] * b[..., None, :, None, :]
        return full.reshape(*full.shape[:-4], *self.shape[-2:])

    def matmat(self, x: Any) -> Any:
        return self._each(lambda factor, y: times(factor, y), x)

    def _each(self, apply: Callable, x: Any) -> Any:
        """`apply(b, .)` to the inner axis of x (..., columns, k) and `apply(a, .)` to the outer."""
        q, k = self.a.shape[-1], x.shape[-1]
        s = self.b.shape[-1]
        lead = x.shape[:-2]
        x = jnp.moveaxis(x.reshape(*lead, q, s, k), -3, -2)  # (..., s, q, k)
        x = apply(self.b, x.reshape(*lead, s, q * k))
        lead, r = x.shape[:-2], x.shape[-2]
        x = jnp.moveaxis(x.reshape(*lead, r, q, k), -3, -2)  # (..., q, r, k)
        x = apply(self.a, x.reshape(*lead, q, r * k))
        return x.reshape(*x.shape[:-2], x.shape[-2] * r, k)

    def can_solve(self) -> bool:
        return all(
            x.can_solve() if isinstance(x, StructuredMatrix) else square(x) for x in self.arrays()
        )

    def solve(self, b: Any) -> Any:
        return self._each(lambda factor, y: solve(factor, y), b)

    def transpose(self) -> Any:
        return self.rebuild([_swap(self.a), _swap(self.b)], properties=self.properties)

    def conj(self) -> Any:
        return self.rebuild([linalg(jnp.conj, self.a), linalg(jnp.conj, self.b)])

    def convert(self, dtype: Any) -> Any:
        return self.rebuild(
            [linalg(lambda x: lax.convert_element_type(x, dtype), x) for x in self.arrays()],
            properties=surviving("convert", self.known()),
        )

    def scale(
        self, s: Any, function: Callable[..., Any] = jnp.multiply, properties: str = "scale"
    ) -> Any:
        s = s if jnp.ndim(s) == 0 else s[..., None, None]
        return self.rebuild(
            [linalg(lambda x, s: function(x, s), self.a, s), self.b],
            properties=surviving(properties, self.known()),
        )

    def diagonal(self) -> Any:
        if not (square(self.a) and square(self.b)):
            return StructuredMatrix.diagonal(self)
        a, b = (linalg(lambda x: jnp.diagonal(x, 0, -2, -1), x) for x in self.arrays())
        return outer(a, b)

    def sum_rows(self) -> Any:
        return outer(*(linalg(lambda x: jnp.sum(x, -1), x) for x in self.arrays()))

    def entries(self, i: Any, j: Any) -> Any:
        r, s = self.b.shape[-2:]
        i, j = jnp.asarray(i), jnp.asarray(j)
        return entries(self.a, i // r, j // s) * entries(self.b, i % r, j % s)

    def symmetrised(self) -> "KroneckerMatrix":
        """(self + self^H) / 2, if that is a Kronecker product; otherwise not a number.

        With a = s + k and b = t + l, Hermitian and skew parts, it is s (x) t + k (x) l. So the
        product of the Hermitian parts is right where k or l is nothing but rounding errors.
        """
        if all(isinstance(x, StructuredMatrix) and x.is_hermitian() for x in self.arrays()):
            return self
        if not (square(self.a) and square(self.b)):
            return self
        halves = [
            linalg(lambda x, sign=sign: (x + sign * jnp.conj(jnp.swapaxes(x, -1, -2))) / 2, x)
            for x in self.arrays()
            for sign in (1, -1)
        ]
        sizes = [linalg(lambda x: jnp.sum(jnp.abs(x) ** 2, (-2, -1)), x) for x in halves]
        rounding = float(jnp.finfo(self.dtype).eps) ** 2
        holds = sizes[1] * sizes[3] <= rounding * sizes[0] * sizes[2]
        ok = jnp.where(holds, 1, jnp.nan).astype(self.dtype)[..., None, None]
        hermitian = self.properties | {"hermitian"}
        return self.rebuild(
            [linalg(lambda x, y: x * y, halves[0], ok), halves[2]], properties=hermitian
        )

    def map_factors(self, function: Callable[..., Any]) -> Any:
        """A function that takes products to products, of every element."""
        return self.rebuild([linalg(function, x) for x in self.arrays()])

    def slogdet(self) -> Any:
        if not square(self.a) or not square(self.b):
            return NotImplemented
        p, r = self.a.shape[-1], self.b.shape[-1]
        (sign_a, log_a), (sign_b, log_b) = (linalg(jnp.linalg.slogdet, x) for x in self.arrays())
        return sign_a**r * sign_b**p, r * log_a + p * log_b

    def det(self) -> Any:
        if not square(self.a) or not square(self.b):
            return NotImplemented
        det_a, det_b = (linalg(jnp.linalg.det, x) for x in self.arrays())
        return det_a ** self.b.shape[-1] * det_b ** self.a.shape[-1]

    def inverse(self) -> Any:
        if not square(self.a) or not square(self.b):
            return NotImplemented
        return self.rebuild(
            [linalg(jnp.linalg.inv, x) for x in self.arrays()],
            properties=surviving("inverse", self.known()),
        )

    def cholesky(self) -> Any:
        """Of each factor; both may be negative definite, which their product does not show."""
        corner = np.zeros(1, int)
        sign = jnp.sign(entries(self.a, corner, corner)[..., 0].real)
        sign = sign.astype(self.dtype)[..., None, None]
        halves = self.symmetrised().arrays()
        factors = [linalg(lambda x, s: jnp.linalg.cholesky(x * s), x, sign) for x in halves]
        return self.rebuild(
            [x if isinstance(x, StructuredMatrix) else TriangularMatrix(x) for x in factors]
        )

    def extreme(self, largest: bool) -> Any:
        """The largest or smallest element: one of four products."""
        ends = [
            linalg(lambda x, f=f: f(x, (-2, -1)), x)
            for x in self.arrays()
            for f in (jnp.min, jnp.max)
        ]
        products = jnp.stack([x * y for x in ends[:2] for y in ends[2:]], -1)
        return jnp.max(products, -1) if largest else jnp.min(products, -1)

    def eigenvalues(self) -> Any:
        if not square(self.a) or not square(self.b):
            return NotImplemented
        halves = self.symmetrised().arrays()
        return jnp.sort(outer(*(linalg(jnp.linalg.eigvalsh, x) for x in halves)), -1)

    def singular_values(self) -> Any:
        if not square(self.a) or not square(self.b):
            return NotImplemented
        values = outer(*(linalg(jnp.linalg.svdvals, x) for x in self.arrays()))
        return jnp.sort(values, -1)[..., ::-1]

    def frobenius(self) -> Any:
        """The square of the Frobenius norm."""
        a, b = (linalg(lambda x: jnp.sum(jnp.abs(x) ** 2, (-2, -1)), x) for x in self.arrays())
        return a * b

    def times(self, other: "KroneckerMatrix") -> Any:
        if self.a.shape[-1] != other.a.shape[-2] or self.b.shape[-1] != other.b.shape[-2]:
            return NotImplemented
        return self.rebuild(
            [linalg(jnp.matmul, self.a, other.a), linalg(jnp.matmul, self.b, other.b)],
            properties=surviving("matmul", self.known(), other.known()),
            allow_materialise=self.allow_materialise and other.allow_materialise,
        )


def linalg(function: Callable[..., Any], *operands: Any) -> Any:
    """A function of factors that are arrays or values."""
    if any(type(x) in VALUE_TYPES for x in operands):
        return quaxify(function)(*operands)
    return function(*operands)


def dense(x: Any) -> Any:
    return x.materialise() if type(x) in VALUE_TYPES else x


def times(factor: Any, x: Any) -> Any:
    if isinstance(factor, StructuredMatrix):
        return factor.matmat(x)
    return linalg(lambda f, x: jnp.matmul(f, x, precision=lax.Precision.HIGHEST), factor, x)


def solve(factor: Any, b: Any) -> Any:
    if isinstance(factor, StructuredMatrix):
        return factor.solve(b)

    def direct(factor: Any, b: Any) -> Any:
        batch = jnp.broadcast_shapes(factor.shape[:-2], b.shape[:-2])
        factor = jnp.broadcast_to(factor, (*batch, *factor.shape[-2:]))
        return jnp.linalg.solve(factor, jnp.broadcast_to(b, (*batch, *b.shape[-2:])))

    return linalg(direct, factor, b)


def entries(factor: Any, i: Any, j: Any) -> Any:
    if isinstance(factor, StructuredMatrix):
        return factor.entries(i, j)
    return linalg(lambda x: x[..., i, j], factor)


def square(x: Any) -> bool:
    return x.shape[-1] == x.shape[-2]


def _swap(x: Any) -> Any:
    return (
        x.transpose()
        if isinstance(x, StructuredMatrix)
        else linalg(lambda x: jnp.swapaxes(x, -1, -2), x)
    )


def outer(x: Any, y: Any) -> Any:
    product = x[..., :, None] * y[..., None, :]
    return product.reshape(*product.shape[:-2], -1)


operations.matmul.register(KroneckerMatrix, KroneckerMatrix)(KroneckerMatrix.times)


@operations.hadamard.register(KroneckerMatrix, KroneckerMatrix)
def _hadamard(lhs: KroneckerMatrix, rhs: KroneckerMatrix) -> Any:
    if lhs.a.shape[-2:] != rhs.a.shape[-2:] or lhs.b.shape[-2:] != rhs.b.shape[-2:]:
        return NotImplemented
    arrays = [linalg(jnp.multiply, lhs.a, rhs.a), linalg(jnp.multiply, lhs.b, rhs.b)]
    return lhs.rebuild(arrays, allow_materialise=allow_both(lhs, rhs))


@operations.band_part.register(KroneckerMatrix)
def _part(matrix: KroneckerMatrix, low: int | None, high: int | None) -> Any:
    """Itself, of triangular factors."""
    if (low, high) not in ((None, 0), (0, None)):
        return NotImplemented
    halves = [isinstance(x, TriangularMatrix) and x.lower == (high == 0) for x in matrix.arrays()]
    return matrix if all(halves) else NotImplemented
