"""Powers and exponentials of matrices."""

from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp

from .._composite.exponential import ExponentialMatrix
from .._matrices.bands import BandMatrix
from .._matrices.block_diagonal import BlockDiagonalMatrix
from .._matrices.circulant import CirculantMatrix
from .._matrices.identity import DIAGONAL, IdentityMatrix
from .._matrices.triangular import TriangularMatrix
from .._matrix import operations
from .function_rule import _inexact, _rule

_SPECTRAL = (*DIAGONAL, CirculantMatrix)


# -- functions of matrices ------------------------------------------------------------------------


@_rule(jnp.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    if not a.is_square():
        return NotImplemented
    if n == 0:
        one = IdentityMatrix(a.shape[-1], a.dtype, allow_materialise=a.allow_materialise)
        if not a.batch_shape():
            return one
        return one.rebuild([jnp.ones(a.batch_shape(), a.dtype)])
    if n < 0:
        a, n = _inexact(a).inverse(), -n
        if a is NotImplemented:
            return NotImplemented
    if isinstance(a, DIAGONAL):
        return a.apply_spectrum(lambda d: d**n)
    power = None
    while True:
        if n & 1:
            power = a if power is None else operations.matmul(power, a)
        n >>= 1
        if not n:
            return power
        a = operations.matmul(a, a)


@_rule(jsp.linalg.expm)
def _expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    a = _inexact(A)
    if not a.is_square() or upper_triangular and not _is_upper(a):
        return NotImplemented
    if isinstance(a, _SPECTRAL):
        return a.apply_spectrum(jnp.exp)
    if isinstance(a, BlockDiagonalMatrix):
        return a.each(lambda x: jsp.linalg.expm(x, max_squarings=max_squarings))
    if isinstance(a, TriangularMatrix):
        return a.rebuild([jsp.linalg.expm(a.materialise(), max_squarings=max_squarings)])
    return ExponentialMatrix.of(a)


def _is_upper(a: Any) -> bool:
    if isinstance(a, TriangularMatrix):
        return not a.lower
    return isinstance(a, BandMatrix) and a.widths()[0] == 0
