"""The exponential of a structured matrix whose elements would be dense: products of it."""

from typing import Any

import equinox.internal as eqxi
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._matrix import operations
from .._matrix.fields import leaf
from .implicit import OfMatrices

_DEGREE = 20
_RADIUS = {24: 3.5, 53: 1.4}
"""Norms for which the Taylor polynomial of that degree has a backward error of one unit roundoff,
by the bits of the mantissa."""
_CHECKPOINTS = 32
"""How many states between steps a gradient keeps; it computes the others again."""


class ExponentialMatrix(OfMatrices):
    """The exponential of a structured matrix that is kept: products and systems cost products.

    What `jax.scipy.linalg.expm` gives where the exponential is dense. `expm(A) @ b` takes steps of
    Taylor's polynomial (Al-Mohy and Higham, Computing the Action of the Matrix Exponential, SIAM J.
    Sci. Comput. 33 (2011), algorithm 3.2 with one degree): about 6 norm(A, 1) products with A, or
    15 in 64 bits. The inverse is the exponential of -A, the determinant that of the trace.

    Derivatives are by reverse mode alone: how many steps are taken depends on the numbers.
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
        # the diagonal's mean is taken out: its exponential is a number, and the norm is least
        found = a.diagonal()
        mean = jnp.zeros(batch) if found is NotImplemented else jnp.mean(found, -1)
        mean = mean.astype(a.dtype)
        norm = lax.stop_gradient(operations.norm_bound(a) + jnp.abs(mean))
        bits = jnp.finfo(dtype).nmant + 1
        steps = jnp.maximum(jnp.ceil(norm / _RADIUS[53 if bits > 24 else 24]), 1)
        steps = jnp.where(jnp.isfinite(steps), steps, 1)
        count = jnp.max(steps).astype(jnp.int32)
        width = 1 / count.astype(jnp.finfo(dtype).dtype)
        factor = jnp.exp(mean * width)[..., None, None]

        def term(carry: Any, k: Any) -> Any:
            y, total = carry
            y = ((a.matmat(y) - mean[..., None, None] * y) * (width / k)).astype(dtype)
            return (y, total + y), None

        def taylor(y: Any) -> Any:
            orders = jnp.arange(1, _DEGREE + 1, dtype=width.dtype)
            return lax.scan(term, (y, y), orders)[0][1] * factor

        state = jnp.zeros((), jnp.int32), x
        _, out = eqxi.while_loop(
            lambda state: state[0] < count,
            lambda state: (state[0] + 1, taylor(state[1]).astype(dtype)),
            state,
            kind="checkpointed",
            checkpoints=_CHECKPOINTS,
        )
        return out

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
