"""Preconditioners of iterations: incomplete LU factors, on the host."""

import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from sciquax._storage.origin import Origin
from sciquax.core import RuleError, describe, register_rule

from ._array import BCOO
from ._host.factor_cache import Incomplete
from ._implicit import OfMatrix


class ApproximateInverse(OfMatrix, leaves=("matrix",), static=("function", "origin", "incomplete")):
    """As the inverse, and may be passed on: to loops, from function to function."""

    transient: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"<an approximate inverse of {describe(self.matrix)}>"

    __short__ = __repr__


@functools.partial(jax.jit, static_argnames=("drop_tol", "fill_factor"))
def incomplete_inverse(a: Any, *, drop_tol: float = 1e-4, fill_factor: float = 10.0) -> Any:
    """An approximate inverse, `M` of `cg`, `gmres` and `bicgstab`: by incomplete LU factors.

    To be called within a quaxified function, or itself quaxified. SciPy's `spilu` computes the
    factors on the host, once for all steps; of a matrix whose places are symmetric, nearly
    symmetric ones. The result is kept as the matrix, and has products alone.

    **Arguments**: a square sparse matrix; smaller elements of the factors than `drop_tol` times
    their column's size are left out, and all but `fill_factor` times as many as the matrix has. Of
    a dense array it is the inverse.

    Nothing is differentiated by the elements: a preconditioner changes no solution.

    ```python
    >>> import jax.numpy as jnp
    >>> from jax.scipy.sparse.linalg import cg
    >>> from sciquax import quaxify
    >>> from sciquax.sparse import BCOO, incomplete_inverse
    >>> A = BCOO.from_dense(jnp.array([[2.0, 1.0], [1.0, 3.0]]))
    >>> x, _ = quaxify(lambda A: cg(A, jnp.ones(2), M=incomplete_inverse(A)))(A)
    >>> x.round(3)
    Array([0.4, 0.2], dtype=float32)

    ```
    """
    return jnp.linalg.inv(a)


def _incomplete_inverse(a: Any, *, drop_tol: float = 1e-4, fill_factor: float = 10.0) -> Any:
    shape = a.aval().shape
    if len(shape) != 2 or shape[0] != shape[1]:
        raise RuleError(f"`incomplete_inverse` takes a square matrix, not {describe(a)}.")
    incomplete = Incomplete(float(drop_tol), float(fill_factor))
    return ApproximateInverse(a, "inverse", Origin.here("incomplete_inverse"), incomplete)


register_rule(BCOO, incomplete_inverse, _incomplete_inverse)
