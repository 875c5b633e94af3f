"""A Kronecker product plus a multiple of the identity: kernels on a grid, with noise.

By eigenvectors of both factors where they are Hermitian; else by the Schur form of the first: with
A^T = U T U^H, the columns of Y = X U solve (T_jj B + s I) y_j = c_j - B sum_(i<j) T_ij y_i, one
after the other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._matrices.kronecker import KroneckerMatrix
from .._matrix.factor import dense, linalg, outer


class ShiftedKronecker(NamedTuple):
    """The product, its factors square, and the number `shift`, of shape (...)."""

    product: KroneckerMatrix
    shift: Any

    def _either(self, hermitian: Callable[[], Any], general: Callable[[], Any]) -> Any:
        """One result for Hermitian factors, and another for others, as the numbers say."""
        if self.product.is_hermitian():
            return hermitian()
        eps = 8 * float(jnp.finfo(self.product.dtype).eps)
        holds = jnp.ones((), bool)
        for x in map(dense, self.product.arrays()):
            skew = jnp.max(jnp.abs(x - jnp.conj(jnp.swapaxes(x, -1, -2))), initial=0)
            holds &= skew <= eps * jnp.max(jnp.abs(x), initial=0)
        return lax.cond(holds, hermitian, general)

    def _spectrum(self) -> tuple[Any, KroneckerMatrix]:
        values, vectors = zip(
            *(linalg(lambda x: tuple(jnp.linalg.eigh(x)), dense(x)) for x in self.product.arrays()),
            strict=True,
        )
        return outer(*values) + jnp.real(self.shift)[..., None], self.product.rebuild(vectors)

    def solve(self, b: Any) -> Any:
        batch = np.broadcast_shapes(self.product.shape[:-2], jnp.shape(self.shift), b.shape[:-2])
        b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))

        def hermitian() -> Any:
            values, vectors = self._spectrum()
            modes = vectors.adjoint().matmat(b) / values[..., None].astype(b.dtype)
            return vectors.matmat(modes).astype(b.dtype)

        def general() -> Any:
            first, second = map(dense, self.product.arrays())
            operands = (first, second, self.shift, b)
            core = (2, 2, 0, 2)
            function = _substituted
            for _ in batch:
                function = jax.vmap(function)
            grown = [
                jnp.broadcast_to(x, (*batch, *jnp.shape(x)[jnp.ndim(x) - n :]))
                for x, n in zip(operands, core, strict=True)
            ]
            return function(*grown).astype(b.dtype)

        if not jnp.iscomplexobj(self.shift):
            return self._either(hermitian, general)
        return general()

    def eigenvalues(self) -> Any:
        """In no order, complex."""
        each = (jnp.linalg.eigvals(dense(x)) for x in self.product.arrays())
        return outer(*each) + self.shift[..., None]

    def slogdet(self) -> tuple[Any, Any]:
        dtype = self.product.dtype

        def of(values: Any) -> tuple[Any, Any]:
            size = jnp.abs(values)
            sign = jnp.prod(jnp.where(size == 0, 0, values / jnp.where(size == 0, 1, size)), -1)
            if not jnp.issubdtype(dtype, jnp.complexfloating):
                sign = jnp.round(sign.real)
            return sign.astype(dtype), jnp.sum(jnp.log(size), -1)

        if jnp.iscomplexobj(self.shift):
            return of(self.eigenvalues())
        return self._either(lambda: of(self._spectrum()[0]), lambda: of(self.eigenvalues()))

    def inverse_diagonal(self) -> Any:
        """Of Hermitian factors; else n systems in turn."""
        n = self.product.shape[-1]

        def hermitian() -> Any:
            values, vectors = self._spectrum()
            squares = vectors.rebuild([jnp.abs(x) ** 2 for x in vectors.arrays()])
            return squares.matvec(1 / values).astype(self.product.dtype)

        def general() -> Any:
            def one(j: Any) -> Any:
                unit = (jnp.arange(n) == j).astype(self.product.dtype)
                return self.solve(unit[:, None])[..., j, 0]

            return jnp.moveaxis(lax.map(one, jnp.arange(n)), 0, -1)

        return general() if jnp.iscomplexobj(self.shift) else self._either(hermitian, general)


def _substituted(first: Any, second: Any, shift: Any, b: Any) -> Any:
    """The solution for factors (p, p) and (r, r), and right-hand sides (p r, k)."""
    p, r, k = first.shape[0], second.shape[0], b.shape[-1]
    complex_ = jnp.promote_types(b.dtype, jnp.complex64)
    upper, u = jax.scipy.linalg.schur(first.T.astype(complex_), output="complex")
    second, eye = second.astype(complex_), jnp.eye(r, dtype=complex_)
    sides = jnp.einsum("irk,ij->jrk", b.reshape(p, r, k).astype(complex_), u)

    def step(y: Any, j: Any) -> tuple[Any, None]:
        before = jnp.einsum("i,irk->rk", jnp.where(jnp.arange(p) < j, upper[:, j], 0), y)
        x = jnp.linalg.solve(upper[j, j] * second + shift * eye, sides[j] - second @ before)
        return y.at[j].set(x), None

    y = lax.scan(step, jnp.zeros_like(sides), jnp.arange(p))[0]
    x = jnp.einsum("jrk,ij->irk", y, jnp.conj(u)).reshape(p * r, k)
    return x if jnp.iscomplexobj(b) else x.real
