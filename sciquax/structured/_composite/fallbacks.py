"""Operations of one matrix for types without a rule of their own."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from .._matrices.diagonal import DiagonalMatrix
from .._matrix import operations
from .._matrix.matrix import StructuredMatrix
from .._matrix.properties import surviving
from .exponential import ExponentialMatrix
from .lazy import InverseMatrix, ProductMatrix, SumMatrix

operations.kept_product.register(StructuredMatrix, StructuredMatrix)(ProductMatrix.of)
operations.expm.register(StructuredMatrix)(lambda a, _: ExponentialMatrix.of(a))


@operations.inverse.register(StructuredMatrix)
def _kept_inverse(matrix: Any) -> Any:
    return InverseMatrix.of(matrix) if matrix.can_solve() else NotImplemented


@operations.pinv.register(StructuredMatrix)
def _inverse_as_pinv(a: Any, rtol: Any) -> Any:
    """Infinite, or not a number, where the matrix is singular."""
    return operations.inverse(a) if a.is_square() else NotImplemented


@operations.symmetrised.register(StructuredMatrix)
def _symmetrised(a: Any) -> Any:
    if a.is_hermitian():
        return a
    total = operations.add(a, a.adjoint())
    if total is NotImplemented or isinstance(total, SumMatrix):
        return NotImplemented
    total = total.scale(jnp.asarray(0.5, a.dtype))
    return total.rebuild(total.arrays(), properties=surviving("add", a.properties) | {"hermitian"})


@operations.eigvals.register(StructuredMatrix)
def _eigvals_of_triangle(a: Any) -> Any:
    if not (a.is_triangular(lower=True) or a.is_triangular(lower=False)):
        return NotImplemented
    d = a.diagonal()
    return d.astype(jnp.promote_types(d.dtype, jnp.complex64))


@operations.funm.register(StructuredMatrix)
def _funm(a: Any, function: Callable[..., Any]) -> Any:
    """V f(D) V^H, for the eigenvectors V."""
    found = operations.eigh(a) if a.is_hermitian() else NotImplemented
    if found is NotImplemented:
        return NotImplemented
    values, vectors = found
    dtype = jnp.promote_types(a.dtype, jnp.complex64)
    middle = DiagonalMatrix(function(values.astype(dtype)), allow_materialise=a.allow_materialise)
    vectors = vectors.convert(dtype)
    left = operations.kept_product(vectors, middle)
    return operations.kept_product(left, vectors.adjoint())


@operations.sqrtm.register(StructuredMatrix)
def _sqrtm(a: Any) -> Any:
    return operations.funm(a, jnp.sqrt)


@operations.svdvals.register(StructuredMatrix)
def _svdvals_of_hermitian(a: Any) -> Any:
    values = operations.eigvalsh(a) if a.is_hermitian() else NotImplemented
    return values if values is NotImplemented else jnp.sort(jnp.abs(values), -1)[..., ::-1]


@operations.norm_bound.register(StructuredMatrix)
def _norm(a: Any) -> Any:
    absolute = a.map_entries(jnp.abs, True)
    if absolute is not NotImplemented:
        return jnp.max(absolute.sum_columns(), -1)
    return jnp.max(a.each_column(lambda column: jnp.sum(jnp.abs(column), -1)), -1)


@operations.matrix_power.register(StructuredMatrix)
def _matrix_power(a: Any, n: int) -> Any:
    power = None
    while True:
        if n & 1:
            power = a if power is None else operations.matmul(power, a)
        n >>= 1
        if not n:
            return power
        a = operations.matmul(a, a)
