"""Eigenvalues of a pair of matrices, `jax.scipy.linalg.eigh(K, M)`: K x = value M x."""

from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp

from sciquax.core import materialised

from .._blocks.cyclic import CyclicBandedMatrix
from .._blocks.cyclic_operations import cyclic
from .._kernels import spectra
from .._matrices.bands import BandMatrix
from .._matrices.diagonal import AnyDiagonal, DiagonalMatrix
from .._matrix import operations
from .._matrix.factor import linalg
from .._matrix.operands import _is
from .eigen import eigh_of_triangle, eigvalsh, hermitian_part
from .function_rule import _inexact, _rule
from .uncomputed import Withheld


@_rule(jsp.linalg.eigh)
def _eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: Any = None,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """As SciPy's, of one triangle of each matrix; the vectors v have v^H M v = 1."""
    if eigvals is not None or type != 1 or not _is(a) or not a.is_square():
        return NotImplemented
    if b is None:
        if eigvals_only:
            return eigvalsh(hermitian_part(a, lower, False))
        return eigh_of_triangle(a, lower)
    if b.shape[-2:] != a.shape[-2:]:
        return NotImplemented
    found = _of_bands(a, b, lower, eigvals_only) if _is(b) else NotImplemented
    allowed = found is NotImplemented or isinstance(found, tuple) and isinstance(found[1], Withheld)
    if not allowed or not (a.allow_materialise and getattr(b, "allow_materialise", True)):
        return found
    dense = [materialised(x, "eigh") if _is(x) else x for x in (a, b)]
    found = linalg(lambda k, m: _of_arrays(k, m, lower), *dense)
    return found[0] if eigvals_only else found


def _of_bands(a: Any, b: Any, lower: bool, eigvals_only: bool) -> Any:
    dtype = jnp.promote_types(_inexact(a).dtype, _inexact(b).dtype)
    halves = [hermitian_part(x.convert(dtype), lower, False) for x in (a, b)]
    if any(not _is(x) for x in halves):
        return NotImplemented
    stiffness, mass = halves
    if isinstance(mass, AnyDiagonal):
        return _by_scaling(a, stiffness, mass, eigvals_only)
    values = _values(stiffness, mass)
    if values is NotImplemented or eigvals_only:
        return values
    return values, Withheld.of("eigh", a.shape, dtype)


def _values(stiffness: Any, mass: Any) -> Any:
    both = [stiffness, mass]
    if any(isinstance(x, CyclicBandedMatrix) for x in both):
        both = [cyclic(x) if isinstance(x, BandMatrix) else x for x in both]
        both = [x.folded() if isinstance(x, CyclicBandedMatrix) else x for x in both]
    if not all(isinstance(x, BandMatrix) for x in both):
        return NotImplemented
    upper = [{k: x for k, x in m.diagonals().items() if k >= 0} for m in both]
    return spectra.generalised_eigenvalues(*upper)


def _by_scaling(a: Any, stiffness: Any, mass: Any, eigvals_only: bool) -> Any:
    """Of M^(-1/2) K M^(-1/2), where M is diagonal; not a number unless it is positive."""
    scale = 1 / jnp.sqrt(mass.diagonal().real).astype(stiffness.dtype)
    whole = stiffness.scale_rows(scale)
    whole = whole if whole is NotImplemented else whole.scale_columns(scale)
    if whole is NotImplemented:
        return NotImplemented
    whole = whole.rebuild(whole.arrays(), properties=stiffness.known() & {"hermitian", "symmetric"})
    values = operations.eigvalsh(whole)
    if values is NotImplemented or eigvals_only:
        return values
    found = operations.eigh(whole)
    if found is NotImplemented:
        return values, Withheld.of("eigh", a.shape, whole.dtype)
    return found[0], operations.matmul(DiagonalMatrix(scale, allow_materialise=True), found[1])


def _of_arrays(a: Any, b: Any, lower: bool) -> Any:
    """By the Cholesky factor of the mass (Golub and Van Loan, section 8.7.2)."""
    a, b = (x if lower else jnp.conj(jnp.swapaxes(x, -1, -2)) for x in (a, b))
    a = jnp.tril(a) + jnp.conj(jnp.swapaxes(jnp.tril(a, -1), -1, -2))
    factor = jnp.linalg.cholesky(b, symmetrize_input=False)
    half = jsp.linalg.solve_triangular(factor, a, lower=True)
    whole = jsp.linalg.solve_triangular(factor, jnp.conj(jnp.swapaxes(half, -1, -2)), lower=True)
    values, vectors = jnp.linalg.eigh(whole)
    return values, jsp.linalg.solve_triangular(factor, vectors, trans="C", lower=True)
