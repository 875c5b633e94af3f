"""Kronecker sums: differences in several directions of a grid."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.factor import dense, entries, linalg, square, swap, times
from .._matrix.fields import leaf
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .bands import BandMatrix
from .diagonal import AnyDiagonal
from .identity import MULTIPLES, ScalarMatrix
from .kronecker import KroneckerMatrix
from .permutation import UNITARY, ascending


class KroneckerSumMatrix(StructuredMatrix):
    """The Kronecker sum of two square matrices: kron(a, I) + kron(I, b).

    **Arguments**

    - `a`: (..., p, p); `b`: (..., r, r), arrays or matrices. The sum is (..., p * r, p * r).
    - `allow_materialise`, `properties`: as for [`sciquax.structured.TridiagonalMatrix`][].

    What acts on the rows of a grid, plus what acts on its columns: the Laplacian in two dimensions,
    and in three where `b` is a Kronecker sum itself. A multiple of the identity may be added.
    Systems, determinants and eigenvalues come from those of `a` and `b`, so that they cost
    O(p^3 + r^3 + p r (p + r)): by eigenvectors where both are Hermitian (Golub and Van Loan,
    section 12.3), else by Schur's form (Bartels and Stewart, Comm. ACM 15 (1972), algorithm 432).
    `a` and `b` become dense for that.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import KroneckerSumMatrix, SymmetricTridiagonalMatrix
    >>> second = SymmetricTridiagonalMatrix(-2 * jnp.ones(3), jnp.ones(2))
    >>> laplacian = KroneckerSumMatrix(second, second)
    >>> u = jnp.zeros(9).at[4].set(1.0)
    >>> step = quaxify(lambda A, u: jnp.linalg.solve(jnp.eye(9) - 0.5 * A, u))
    >>> step(laplacian, u)[:5].round(3)
    Array([0.024, 0.071, 0.024, 0.071, 0.381], dtype=float32)

    ```
    """

    a: Any = leaf(core_ndim=2)
    b: Any = leaf(core_ndim=2)

    def check(self) -> None:
        if not (square(self.a) and square(self.b)):
            raise ValueError(
                "A `KroneckerSumMatrix` is made of square matrices; got shapes "
                f"{self.a.shape} and {self.b.shape}."
            )

    def known(self) -> frozenset[str]:
        own = StructuredMatrix.known(self)
        if all(isinstance(x, StructuredMatrix) for x in self.arrays()):
            own |= surviving("add", self.a.known(), self.b.known())
        return own

    def sizes(self) -> tuple[int, int]:
        """The numbers of rows of `a` and of `b`."""
        return self.a.shape[-1], self.b.shape[-1]

    def aval(self) -> Any:
        (*batch, p, _), (*other, r, _) = self.a.shape, self.b.shape
        return self.matrix_aval((*np.broadcast_shapes(tuple(batch), tuple(other)), p * r, p * r))

    def _apart(self, x: Any) -> Any:
        """(..., p r, k) as (..., p, r, k)."""
        return x.reshape(*x.shape[:-2], *self.sizes(), x.shape[-1])

    def _on_rows(self, factor: Any, x: Any) -> Any:
        """A factor of the size of `a` times x (..., p, r, k)."""
        *lead, p, r, k = x.shape
        out = times(factor, x.reshape(*lead, p, r * k))
        return out.reshape(*out.shape[:-1], r, k)

    def _on_columns(self, factor: Any, x: Any) -> Any:
        """A factor of the size of `b` times x (..., p, r, k)."""
        *_, p, r, k = x.shape
        x = jnp.swapaxes(x, -3, -2)
        out = times(factor, x.reshape(*x.shape[:-3], r, p * k))
        return jnp.swapaxes(out.reshape(*out.shape[:-1], p, k), -3, -2)

    def matmat(self, x: Any) -> Any:
        x = self._apart(x)
        out = self._on_rows(self.a, x) + self._on_columns(self.b, x)
        *lead, p, r, k = out.shape
        return out.reshape(*lead, p * r, k)

    def transpose(self) -> Any:
        return self.rebuild([swap(self.a), swap(self.b)], properties=self.properties)

    def map_factors(self, function: Callable[..., Any], properties: Any = frozenset()) -> Any:
        """A matrix of `function` of each factor."""
        return self.rebuild([linalg(function, x) for x in self.arrays()], properties=properties)

    def conj(self) -> Any:
        return self.map_factors(jnp.conj, self.properties)

    def convert(self, dtype: Any) -> Any:
        kept = surviving("convert", self.known())
        return self.map_factors(lambda x: lax.convert_element_type(x, dtype), kept)

    def scale(
        self, s: Any, function: Callable[..., Any] = jnp.multiply, properties: str = "scale"
    ) -> Any:
        s = s if jnp.ndim(s) == 0 else s[..., None, None]
        scaled = [linalg(lambda x, s: function(x, s), x, s) for x in self.arrays()]
        return self.rebuild(scaled, properties=surviving(properties, self.known()))

    def diagonal(self) -> Any:
        return _outer_sum(*(linalg(lambda x: jnp.diagonal(x, 0, -2, -1), x) for x in self.arrays()))

    def sum_rows(self) -> Any:
        return _outer_sum(*(linalg(lambda x: jnp.sum(x, -1), x) for x in self.arrays()))

    def entries(self, i: Any, j: Any) -> Any:
        r = self.b.shape[-1]
        i, j = jnp.asarray(i), jnp.asarray(j)
        found = [entries(self.a, i // r, j // r), entries(self.b, i % r, j % r)]
        if any(x is NotImplemented for x in found):
            return NotImplemented
        return jnp.where(i % r == j % r, found[0], 0) + jnp.where(i // r == j // r, found[1], 0)

    # -- spectra ----------------------------------------------------------------------------------

    def _either(self, hermitian: Callable[[], Any], general: Callable[[], Any]) -> Any:
        """One result for Hermitian factors, and another for others, as the numbers say."""
        if self.is_hermitian():
            return hermitian()
        skew = [
            linalg(lambda x: jnp.max(jnp.abs(x - jnp.conj(jnp.swapaxes(x, -1, -2)))), dense(x))
            for x in self.arrays()
        ]
        size = jnp.maximum(*(jnp.max(jnp.abs(dense(x))) for x in self.arrays()))
        holds = jnp.maximum(*skew) <= 8 * float(jnp.finfo(self.dtype).eps) * size
        return lax.cond(holds, hermitian, general)

    def solve(self, b: Any) -> Any:
        batch = np.broadcast_shapes(self.batch_shape(), b.shape[:-2])
        sides = self._apart(jnp.broadcast_to(b, (*batch, *b.shape[-2:])))

        def hermitian() -> Any:
            values, vectors = zip(*map(_eigh, self.arrays()), strict=True)
            inverse = [linalg(lambda x: jnp.conj(jnp.swapaxes(x, -1, -2)), x) for x in vectors]
            modes = self._on_columns(inverse[1], self._on_rows(inverse[0], sides))
            total = values[0][..., :, None] + values[1][..., None, :]
            modes = modes / total[..., None].astype(modes.dtype)
            return self._on_columns(vectors[1], self._on_rows(vectors[0], modes)).astype(b.dtype)

        def general() -> Any:
            p, r = self.sizes()
            rows = jnp.broadcast_to(dense(self.a), (*batch, p, p)).reshape(-1, p, p)
            columns = jnp.broadcast_to(dense(swap(self.b)), (*batch, r, r)).reshape(-1, r, r)
            each = jnp.moveaxis(sides, -1, -3).reshape(rows.shape[0], -1, p, r)
            one = jax.vmap(jax.scipy.linalg.solve_sylvester, (None, None, 0))
            found = lax.map(lambda x: one(*x), (rows, columns, each))
            found = found.reshape(*batch, -1, p, r)
            found = found if jnp.iscomplexobj(b) else jnp.real(found)
            return jnp.moveaxis(found, -3, -1).astype(b.dtype)

        out = self._either(hermitian, general)
        return out.reshape(*batch, -1, b.shape[-1])

    def slogdet(self) -> Any:
        def of_values(values: Any) -> tuple[Any, Any]:
            size = jnp.abs(values)
            sign = jnp.prod(jnp.where(size == 0, 0, values / jnp.where(size == 0, 1, size)), -1)
            sign = sign if jnp.iscomplexobj(jnp.zeros((), self.dtype)) else jnp.round(sign.real)
            return sign.astype(self.dtype), jnp.sum(jnp.log(size), -1)

        def hermitian() -> Any:
            return of_values(_outer_sum(*(_eigh(x)[0] for x in self.arrays())))

        def general() -> Any:
            return of_values(_outer_sum(*(jnp.linalg.eigvals(dense(x)) for x in self.arrays())))

        return self._either(hermitian, general)


def _outer_sum(x: Any, y: Any) -> Any:
    total = x[..., :, None] + y[..., None, :]
    return total.reshape(*total.shape[:-2], -1)


def _eigh(factor: Any) -> tuple[Any, Any]:
    """Eigenvalues and eigenvectors, structured if those of the factor are in closed form."""
    band = isinstance(factor, BandMatrix) and not isinstance(factor, AnyDiagonal)
    if isinstance(factor, StructuredMatrix) and not band:
        half = operations.symmetrised(factor)
        found = NotImplemented if half is NotImplemented else operations.eigh(half)
        if found is not NotImplemented:
            return found
    values, vectors = jnp.linalg.eigh(dense(factor))
    return values, vectors


@operations.eigvalsh.register(KroneckerSumMatrix)
def _eigvalsh(a: KroneckerSumMatrix) -> Any:
    return jnp.sort(_outer_sum(*(_eigh(x)[0] for x in a.arrays())), -1)


@operations.eigh.register(KroneckerSumMatrix)
def _eigh_of_sum(a: KroneckerSumMatrix) -> tuple[Any, Any]:
    values, vectors = zip(*map(_eigh, a.arrays()), strict=True)
    product = KroneckerMatrix.build(
        vectors, allow_materialise=a.allow_materialise, properties=UNITARY
    )
    return ascending(_outer_sum(*values), product)


@operations.eigvals.register(KroneckerSumMatrix)
def _eigvals(a: KroneckerSumMatrix) -> Any:
    return _outer_sum(*(linalg(jnp.linalg.eigvals, x) for x in a.arrays()))


@operations.expm.register(KroneckerSumMatrix)
def _expm(a: KroneckerSumMatrix, max_squarings: int) -> KroneckerMatrix:
    """The Kronecker product of the exponentials."""
    each = [jax.scipy.linalg.expm(dense(x), max_squarings=max_squarings) for x in a.arrays()]
    return KroneckerMatrix.build(each, allow_materialise=a.allow_materialise)


@operations.norm_bound.register(KroneckerSumMatrix)
def _norm_bound(a: KroneckerSumMatrix) -> Any:
    first, second = (linalg(lambda x: jnp.linalg.norm(x, 1, (-2, -1)), x) for x in a.arrays())
    return first + second


@operations.add.register(KroneckerSumMatrix, KroneckerSumMatrix)
def _sum(lhs: KroneckerSumMatrix, rhs: KroneckerSumMatrix, subtract: bool = False) -> Any:
    if lhs.sizes() != rhs.sizes():
        return NotImplemented
    function = jnp.subtract if subtract else jnp.add
    pairs = zip(lhs.arrays(), rhs.arrays(), strict=True)
    return lhs.rebuild(
        [linalg(function, x, y) for x, y in pairs],
        allow_materialise=allow_both(lhs, rhs),
        properties=surviving("sub" if subtract else "add", lhs.known(), rhs.known()),
    )


def _shifted(lhs: Any, rhs: Any, subtract: bool = False) -> Any:
    """Plus a multiple of the identity, which `b` takes."""
    properties = surviving("sub" if subtract else "add", lhs.known(), rhs.known())
    allow, rhs = allow_both(lhs, rhs), rhs.negate() if subtract else rhs
    a, multiple = (lhs, rhs) if isinstance(lhs, KroneckerSumMatrix) else (rhs, lhs)
    number = multiple.scalar if isinstance(multiple, ScalarMatrix) else jnp.ones_like(multiple.one)
    eye = number[..., None, None] * jnp.eye(a.b.shape[-1], dtype=a.dtype)
    if isinstance(a.b, StructuredMatrix):
        eye = ScalarMatrix.build([number], n=a.b.shape[-1], allow_materialise=True)
        b = operations.add(a.b, eye)
    else:
        b = a.b + eye
    return a.rebuild([a.a, b], allow_materialise=allow, properties=properties)


for _cls in MULTIPLES:
    operations.add.register(KroneckerSumMatrix, _cls)(_shifted)
    operations.add.register(_cls, KroneckerSumMatrix)(_shifted)


@operations.add.register(KroneckerMatrix, KroneckerMatrix)
def _sum_of_products(lhs: KroneckerMatrix, rhs: KroneckerMatrix, subtract: bool = False) -> Any:
    """kron(a, I) + kron(I, b), in either order."""
    for first, second, sign in ((lhs, rhs, 1), (rhs, lhs, -1)):
        if not (isinstance(first.b, MULTIPLES) and isinstance(second.a, MULTIPLES)):
            continue
        if first.a.shape[-2:] != second.a.shape[-2:] or first.b.shape[-2:] != second.b.shape[-2:]:
            continue
        a = _times_multiple(first.a, first.b)
        b = _times_multiple(second.b, second.a)
        if subtract:
            a, b = (a, linalg(jnp.negative, b)) if sign == 1 else (linalg(jnp.negative, a), b)
        return KroneckerSumMatrix.build([a, b], allow_materialise=allow_both(lhs, rhs))
    return NotImplemented


def _times_multiple(factor: Any, multiple: Any) -> Any:
    if not isinstance(multiple, ScalarMatrix):
        return factor
    return linalg(lambda x, s: x * s[..., None, None], factor, multiple.scalar)
