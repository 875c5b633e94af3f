"""The exponential of a structured matrix whose elements would be dense: products of it."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax._storage.exponential import exponential_times

from .._matrix import operations
from .._matrix.fields import leaf
from .implicit import OfMatrices


class ExponentialMatrix(OfMatrices):
    """The exponential of a structured matrix that is kept: products and systems cost products.

    What `jax.scipy.linalg.expm` gives where the exponential is dense; see `exponential_times`. The
    inverse is the exponential of -A, the determinant that of the trace.
    """

    matrix: Any = leaf(core_ndim=2)

    @staticmethod
    def of(matrix: Any) -> Any:
        known = matrix.known() & {"symmetric", "hermitian"}
        known |= {"positive_definite"} if "hermitian" in known else set()
        return ExponentialMatrix.build(
            [matrix], allow_materialise=matrix.allow_materialise, properties=known
        )

    def aval(self):
        return self.matrix_aval(self.matrix.shape)

    def matmat(self, x: Any) -> Any:
        a = self.matrix
        dtype = jnp.promote_types(a.dtype, x.dtype)
        batch = np.broadcast_shapes(a.batch_shape(), x.shape[:-2])
        x = jnp.broadcast_to(x, (*batch, *x.shape[-2:])).astype(dtype)
        found = a.diagonal()
        mean = jnp.zeros(batch) if found is NotImplemented else jnp.mean(found, -1)
        mean = mean.astype(a.dtype)
        return exponential_times(a.matmat, x, operations.norm_bound(a), mean)

    def solves_directly(self) -> bool:
        return True

    def solve(self, b: Any) -> Any:
        return operations.inverse(self).matmat(b)

    def transpose(self) -> Any:
        return ExponentialMatrix.of(self.matrix.transpose())

    def slogdet(self) -> Any:
        found = self.matrix.diagonal()
        if found is NotImplemented:
            return NotImplemented
        trace = jnp.sum(found, -1)
        log = jnp.real(trace)
        sign = jnp.ones_like(trace)
        if jnp.iscomplexobj(trace):
            sign = jnp.exp(1j * jnp.imag(trace)).astype(trace.dtype)
        return sign, log


@operations.inverse.register(ExponentialMatrix)
def _inverse(a: ExponentialMatrix) -> Any:
    return ExponentialMatrix.of(a.matrix.negate())
