"""Matrices of diagonals beside sparse ones: their diagonals are stored elements too."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import bind, quaxify, register_rule, strip
from sciquax.structured import BandMatrix

from ._array import BCOO
from ._indices import in_batch


def as_sparse(matrix: BandMatrix) -> BCOO:
    """The diagonals as stored elements: n (lower + upper + 1) of them, none twice."""
    batch, n = matrix.shape[:-2], matrix.shape[-1]
    places, data = [], []
    for k, band in matrix.diagonals().items():
        i = np.arange(n - abs(k))
        places.append(np.stack([i + max(0, -k), i + max(0, k)], axis=-1))
        data.append(jnp.broadcast_to(band, (*batch, n - abs(k))))
    indices = np.concatenate(places).astype(np.int32)
    return BCOO(
        jnp.concatenate(data, axis=-1),
        jnp.asarray(np.broadcast_to(indices, (*batch, *indices.shape))),
        matrix.shape,
        unique_indices=True,
        allow_materialise=matrix.allow_materialise,
    )


def _beside_sparse(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    stripped = [*map(strip, operands)]
    if not any(isinstance(x, BCOO) for x in stripped):
        return NotImplemented
    both = [as_sparse(x) if isinstance(x, BandMatrix) else x for x in stripped]
    sparse = [x for x in both if isinstance(x, BCOO)]
    contracted = primitive.name == "dot_general"  # whose operands have axes of their own
    if not contracted and any(len(x.aval().shape) > 2 for x in sparse):
        batch = np.broadcast_shapes(*[x.aval().shape[:-2] for x in sparse])
        both = [in_batch(x, batch) if isinstance(x, BCOO) else x for x in both]
        if any(x is None for x in both):
            return NotImplemented
    return bind(primitive, *both, **params)


class _Kron:
    """`jnp.kron(A, jnp.eye(n))`: sparse, as both are."""

    def takes(self, operands: Sequence[Any]) -> bool:
        return any(isinstance(x, BCOO) for x in map(strip, operands))

    def __call__(self, a: Any, b: Any) -> Any:
        if not self.takes([a, b]):
            return NotImplemented
        a, b = (as_sparse(x) if isinstance(x, BandMatrix) else x for x in map(strip, (a, b)))
        return quaxify(jnp.kron)(a, b)


register_rule(BandMatrix, jnp.kron, _Kron())
register_rule(
    BandMatrix, "add sub add_any mul select_n dot_general concatenate".split(), _beside_sparse
)
