"""Kronecker products."""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core.internal import Tracer

from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.factor import dense, entries, linalg, outer, solve, square, swap, times
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .permutation import UNITARY, ascending, descending
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

    def is_triangular(self, lower: bool) -> bool:
        each = self.arrays()
        return all(isinstance(x, StructuredMatrix) and x.is_triangular(lower) for x in each)

    def solve(self, b: Any) -> Any:
        return self._each(lambda factor, y: solve(factor, y), b)

    def transpose(self) -> Any:
        return self.rebuild([swap(self.a), swap(self.b)], properties=self.properties)

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
        found = [entries(self.a, i // r, j // s), entries(self.b, i % r, j % s)]
        return NotImplemented if any(x is NotImplemented for x in found) else found[0] * found[1]

    def symmetrised(self) -> "KroneckerMatrix":
        """(self + self^H) / 2, if that is a Kronecker product; otherwise not a number.

        With a = s + k and b = t + l, Hermitian and skew parts, it is s (x) t + k (x) l. So the
        product of the Hermitian parts is right where k or l is nothing but rounding errors.
        """
        if all(isinstance(x, StructuredMatrix) and x.is_hermitian() for x in self.arrays()):
            return self
        if not (square(self.a) and square(self.b)):
            return self
        halves, holds = self._halves()
        ok = jnp.where(holds, 1, jnp.nan).astype(self.dtype)[..., None, None]
        hermitian = self.properties | {"hermitian"}
        return self.rebuild(
            [linalg(lambda x, y: x * y, halves[0], ok), halves[2]], properties=hermitian
        )

    def _halves(self) -> tuple[list[Any], Any]:
        """Hermitian and skew parts of both factors; whether the skew ones do not matter."""
        halves = [
            linalg(lambda x, sign=sign: (x + sign * jnp.conj(jnp.swapaxes(x, -1, -2))) / 2, x)
            for x in self.arrays()
            for sign in (1, -1)
        ]
        sizes = [linalg(lambda x: jnp.sum(jnp.abs(x) ** 2, (-2, -1)), x) for x in halves]
        rounding = float(jnp.finfo(self.dtype).eps) ** 2
        return halves, sizes[1] * sizes[3] <= rounding * sizes[0] * sizes[2]

    def hermitian_part(self) -> Any:
        """As `symmetrised`, but NotImplemented where the numbers show that it is none.

        Or may show it once they are there, if it may be dense.
        """
        if not self.is_hermitian() and square(self.a) and square(self.b):
            holds = self._halves()[1]
            if self.allow_materialise if isinstance(holds, Tracer) else not jnp.all(holds):
                return NotImplemented
        return self.symmetrised()

    def map_multiplicative(self, function: Callable[..., Any], zero: bool) -> Any:
        return self.map_factors(function)

    def map_factors(self, function: Callable[..., Any]) -> Any:
        """A matrix of `function` of each factor."""
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

    def extreme(self, largest: bool) -> Any:
        """The largest or smallest element: one of four products."""
        ends = [
            linalg(lambda x, f=f: f(x, (-2, -1)), x)
            for x in self.arrays()
            for f in (jnp.min, jnp.max)
        ]
        products = jnp.stack([x * y for x in ends[:2] for y in ends[2:]], -1)
        return jnp.max(products, -1) if largest else jnp.min(products, -1)

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
    return matrix if matrix.is_triangular(lower=high == 0) else NotImplemented


operations.symmetrised.register(KroneckerMatrix)(KroneckerMatrix.hermitian_part)


@operations.pinv.register(KroneckerMatrix)
def _pinv(a: KroneckerMatrix, rtol: Any) -> Any:
    return NotImplemented if rtol is not None else a.map_factors(jnp.linalg.pinv)


@operations.cholesky.register(KroneckerMatrix)
def _cholesky(a: KroneckerMatrix) -> KroneckerMatrix:
    """Of each factor; both may be negative definite, which their product does not show."""
    corner = np.zeros(1, int)
    sign = jnp.sign(entries(a.a, corner, corner)[..., 0].real)
    sign = sign.astype(a.dtype)[..., None, None]
    halves = a.symmetrised().arrays()
    factors = [linalg(lambda x, s: jnp.linalg.cholesky(x * s), x, sign) for x in halves]
    return a.rebuild(
        [x if isinstance(x, StructuredMatrix) else TriangularMatrix(x) for x in factors]
    )


@operations.eigvalsh.register(KroneckerMatrix)
def _eigvalsh(a: KroneckerMatrix) -> Any:
    if not (square(a.a) and square(a.b)):
        return NotImplemented
    halves = a.symmetrised().arrays()
    return jnp.sort(outer(*(linalg(jnp.linalg.eigvalsh, x) for x in halves)), -1)


def _by_factors(operation: operations.Operation, function: Callable[..., Any]) -> Callable:
    """Decorator: a rule for square factors, given each output of `function` for both of them."""

    def decorator(rule: Callable) -> Callable:
        def by_factors(a: KroneckerMatrix, *_: Any) -> Any:
            if not (square(a.a) and square(a.b)):
                return NotImplemented
            each = [linalg(lambda x: tuple(function(x)), x) for x in a.arrays()]
            return rule(a, *zip(*each, strict=True))

        operation.register(KroneckerMatrix)(by_factors)
        return rule

    return decorator


@_by_factors(operations.inverse, lambda x: [jnp.linalg.inv(x)])
def _inverse(a: KroneckerMatrix, inverses: Any) -> KroneckerMatrix:
    return a.rebuild(inverses, properties=surviving("inverse", a.known()))


@_by_factors(operations.eigh, jnp.linalg.eigh)
def _eigh(a: KroneckerMatrix, values: Any, vectors: Any) -> tuple[Any, Any]:
    return ascending(outer(*values), a.rebuild(vectors, properties=UNITARY))


@_by_factors(operations.eigvals, lambda x: [jnp.linalg.eigvals(x)])
def _eigvals(a: KroneckerMatrix, values: Any) -> Any:
    return outer(*values)


@_by_factors(operations.eig, jnp.linalg.eig)
def _eig(a: KroneckerMatrix, values: Any, vectors: Any) -> tuple[Any, Any]:
    return outer(*values), a.rebuild(vectors)


@_by_factors(operations.svdvals, lambda x: [jnp.linalg.svdvals(x)])
def _svdvals(a: KroneckerMatrix, values: Any) -> Any:
    return jnp.sort(outer(*values), -1)[..., ::-1]


@_by_factors(operations.svd, jnp.linalg.svd)
def _svd(a: KroneckerMatrix, u: Any, values: Any, vh: Any) -> tuple[Any, Any, Any]:
    left, right = (a.rebuild(x, properties=UNITARY) for x in (u, vh))
    return descending(left, outer(*values), right)


@_by_factors(operations.qr, jnp.linalg.qr)
def _qr(a: KroneckerMatrix, q: Any, r: Any) -> tuple[Any, Any]:
    return a.rebuild(q, properties=UNITARY), a.rebuild(r)


@_by_factors(operations.lu, jax.scipy.linalg.lu)
def _lu(a: KroneckerMatrix, *factors: Any) -> list[Any]:
    return [a.rebuild(x) for x in factors]


@operations.sqrtm.register(KroneckerMatrix)
def _sqrtm(a: KroneckerMatrix) -> Any:
    """Of each factor; not a number where the product of their principal roots is another root.

    It is another where the arguments of two eigenvalues make more than half a turn. Both factors
    may be negative definite.
    """
    if not (square(a.a) and square(a.b)) or a.batch_shape():
        return NotImplemented
    if a.is_hermitian():  # by the eigenvectors
        return NotImplemented
    sign = jnp.where(jnp.trace(dense(a.a)).real < 0, -1, 1).astype(a.dtype)
    roots = [jax.scipy.linalg.sqrtm(dense(x) * sign) for x in a.arrays()]
    first, second = map(jnp.linalg.eigvals, roots)
    size = jnp.abs(outer(first, second))
    turn = (jnp.angle(first)[:, None] + jnp.angle(second)).reshape(-1)
    half = np.pi / 2 * (1 + 1e-4)
    eps = float(jnp.finfo(a.dtype).eps)
    principal = jnp.abs(turn) <= half
    principal |= size <= np.sqrt(eps) * jnp.max(size, initial=0)
    return a.rebuild([roots[0] * jnp.where(jnp.all(principal), 1, jnp.nan), roots[1]])


@operations.norm_bound.register(KroneckerMatrix)
def _norm_bound(a: KroneckerMatrix) -> Any:
    first, second = (linalg(lambda x: jnp.linalg.norm(x, 1, (-2, -1)), x) for x in a.arrays())
    return first * second
