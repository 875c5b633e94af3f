"""Powers and exponentials of matrices."""

from typing import Any

import jax.numpy as jnp
import jax.scipy as jsp

from .._matrices.identity import identity_like
from .._matrix import operations
from .function_rule import _inexact, _rule


@_rule(jnp.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    if not a.is_square():
        return NotImplemented
    if n == 0:
        return identity_like(a, a.dtype)
    if n < 0:
        a, n = operations.inverse(_inexact(a)), -n
    return a if a is NotImplemented else operations.matrix_power(a, n)


@_rule(jsp.linalg.expm)
def _expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    if not A.is_square() or upper_triangular and not A.is_triangular(lower=False):
        return NotImplemented
    return operations.expm(_inexact(A), max_squarings)
