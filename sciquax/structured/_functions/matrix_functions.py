"""Powers, exponentials, roots and other functions of matrices."""

from collections.abc import Callable
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


@_rule(jsp.linalg.sqrtm)
def _sqrtm(A: Any, blocksize: int = 1) -> Any:
    if not A.is_square() or blocksize > 1:
        return NotImplemented
    return operations.sqrtm(_inexact(A))


@_rule(jsp.linalg.funm)
def _funm(A: Any, func: Callable[..., Any], disp: bool = True) -> Any:
    if not A.is_square() or A.batch_shape() or not disp:
        return NotImplemented
    return operations.funm(_inexact(A), func)
