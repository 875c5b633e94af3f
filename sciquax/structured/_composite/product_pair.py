"""The sum of two Kronecker products: stiffness and mass of finite elements on a grid.

kron(a, b) + kron(c, d) is kron(c, b) times the Kronecker sum of c^-1 a and b^-1 d. Where all are
Hermitian, and c and b are known to be positive definite, it is kron(l, m) times the Kronecker sum
of l^-1 a l^-H and m^-1 d m^-H, which are Hermitian, times kron(l, m)^H, for the Cholesky factors l
and m (R. E. Lynch, J. R. Rice and D. H. Thomas, Direct solution of partial difference equations by
tensor product methods, Numer. Math. 6 (1964)).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from .._matrices.kronecker import KroneckerMatrix
from .._matrices.kronecker_sum import KroneckerSumMatrix
from .._matrix.factor import dense, square
from .._matrix.matrix import StructuredMatrix


class ProductPair(NamedTuple):
    """Both products, of square factors of the same sizes, without batch axes."""

    first: KroneckerMatrix
    second: KroneckerMatrix

    @staticmethod
    def of(left: Any, right: Any) -> "ProductPair | None":
        """The pair, in the order in which `c` and `b` are to be inverted; None if it is none."""
        pair = left, right
        if not all(isinstance(x, KroneckerMatrix) and not x.batch_shape() for x in pair):
            return None
        if left.a.shape != right.a.shape or left.b.shape != right.b.shape:
            return None
        if not (square(left.a) and square(left.b)):
            return None
        turned = ProductPair(right, left)
        return turned if turned._definite() else ProductPair(left, right)

    def _definite(self) -> bool:
        """Whether it is known that all are Hermitian, and `c` and `b` positive definite."""
        definite = self.second.a, self.first.b
        return all(
            isinstance(x, StructuredMatrix)
            and x.is_hermitian()
            and (not any(x is y for y in definite) or "positive_definite" in x.known())
            for x in (*self.first.arrays(), *self.second.arrays())
        )

    def _ordered(self) -> tuple[Any, Any, Any, Any]:
        """Dense `a`, `b`, `c`, `d`; those are `c` and `b` that are better conditioned."""
        a, b = map(dense, self.first.arrays())
        c, d = map(dense, self.second.arrays())
        if self._definite():
            return a, b, c, d
        other = _condition(a) * _condition(d) < _condition(c) * _condition(b)
        pick = lambda x, y: jnp.where(other, y, x)  # noqa: E731
        return pick(a, c), pick(b, d), pick(c, a), pick(d, b)

    def _reduced(self) -> tuple[Any, Any, KroneckerSumMatrix]:
        """The factors of kron(c, b) or of its Cholesky factor, and the Kronecker sum."""
        a, b, c, d = self._ordered()
        if not self._definite():
            inner = [jnp.linalg.solve(c, a), jnp.linalg.solve(b, d)]
            return c, b, KroneckerSumMatrix.build(inner)
        lower = [jnp.linalg.cholesky(x) for x in (c, b)]
        inner = [_congruent(factor, x) for factor, x in zip(lower, (a, d), strict=True)]
        made = KroneckerSumMatrix.build(inner, properties=frozenset({"hermitian"}))
        return *lower, made

    def solve(self, b: Any) -> Any:
        first, second, inner = self._reduced()
        outer = KroneckerMatrix.build([first, second])
        if not self._definite():
            return inner.solve(outer.solve(b))
        x = inner.solve(outer.solve(b))
        return outer.adjoint().solve(x)

    def slogdet(self) -> tuple[Any, Any]:
        first, second, inner = self._reduced()
        sign, log = KroneckerMatrix.build([first, second]).slogdet()
        of_sum = inner.slogdet()
        if self._definite():
            return of_sum[0], 2 * log + of_sum[1]
        return sign * of_sum[0], log + of_sum[1]


def _condition(x: Any) -> Any:
    """Infinite for a singular matrix."""
    found = jnp.linalg.cond(x)
    return jnp.where(jnp.isnan(found), jnp.inf, found)


def _congruent(lower: Any, x: Any) -> Any:
    """lower^-1 x lower^-H."""
    half = solve_triangular(lower, x, lower=True)
    whole = jnp.conj(solve_triangular(lower, jnp.conj(half.T), lower=True).T)
    return (whole + jnp.conj(whole.T)) / 2
