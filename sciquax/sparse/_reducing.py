"""Reductions of sparse arrays: the zeros that are not stored take part."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import sparse as jsparse

from sciquax._storage.promotion import leniently
from sciquax.core import register_rule

from ._array import BCOO, wrap
from ._indices import data_of, inside, unique, without_batch

Params = dict[str, Any]
Operands = Sequence[Any]


def _sum(primitive: Any, operands: Operands, params: Params) -> Any:
    """Vectors of sums are dense; a sum that leaves a matrix is sparse."""
    (mat,) = operands
    out = jsparse.bcoo_reduce_sum(mat.to_jax(), axes=params["axes"])
    return out.todense() if out.ndim <= 1 else wrap(out, mat)


class _Grouped:
    """The elements by where their results go.

    **Attributes**: `data`; `segments`, the number of the result that each belongs to, `count` for
    padding; `places`, which of the elements that are reduced it is, of `across`; `shape`, of the
    results.
    """

    def __init__(self, mat: BCOO, axes: Sequence[int]):
        mat = without_batch(unique(mat))
        shape = mat.sparse_shape
        kept = [d for d in range(len(shape)) if d not in axes]
        self.shape = tuple(shape[d] for d in kept)
        self.count, self.across = math.prod(self.shape), math.prod(shape[d] for d in axes)
        self.data = data_of(mat)
        self.inside = inside(mat)
        segments = self._raveled(mat.indices, kept, shape)
        self.segments = jnp.where(self.inside, segments, self.count)
        self.mat, self.axes = mat, tuple(axes)

    @staticmethod
    def _raveled(indices: Any, axes: Sequence[int], shape: Sequence[int]) -> Any:
        out = jnp.zeros(indices.shape[0], jnp.int32)
        for d in axes:
            out = out * shape[d] + indices[:, d].astype(jnp.int32)
        return out

    @property
    def places(self) -> Any:
        return self._raveled(self.mat.indices, self.axes, self.mat.sparse_shape)

    def stored(self) -> Any:
        """How many elements each result has of those that are stored."""
        return jax.ops.segment_sum(self.inside.astype(jnp.int32), self.segments, self.count)

    def missing(self) -> Any:
        """Which results have zeros that are not stored."""
        if self.across > jnp.iinfo(jnp.int32).max:
            return jnp.ones(self.count, bool)
        return self.stored() < self.across

    def extremum(self, largest: bool, data: Any) -> Any:
        reduce, choose = (
            (jax.ops.segment_max, jnp.maximum) if largest else (jax.ops.segment_min, jnp.minimum)
        )
        out = reduce(data, self.segments, self.count)
        zero = jnp.zeros_like(out)
        out = jnp.where(self.missing(), choose(out, zero), out)
        return jnp.where(self.stored() == 0, zero, out)


def _grouped(operands: Operands, params: Params) -> Any:
    """The groups, or None where several sparse axes would be left, whose results may be many."""
    (mat,) = operands
    axes = tuple(sorted(params["axes"]))
    left = [d for d in range(mat.n_batch, len(mat.aval().shape)) if d not in axes]
    if not axes or sum(mat.aval().shape[d] > 1 for d in left) > 1:
        return None
    groups = _Grouped(mat, axes)
    return groups if groups.across else None


def _reduce(primitive: Any, operands: Operands, params: Params) -> Any:
    groups = _grouped(operands, params)
    if groups is None:
        return NotImplemented
    data = groups.data
    if primitive.name == "reduce_prod":
        out = jax.ops.segment_prod(data, groups.segments, groups.count)
        out = jnp.where(groups.missing(), out * 0, out)
    elif primitive.name in ("reduce_or", "reduce_and"):
        counts = groups.extremum(primitive.name == "reduce_or", data.astype(jnp.int32))
        out = counts > 0
    else:
        out = groups.extremum(primitive.name == "reduce_max", data)
    return out.reshape(groups.shape)


def _arg(primitive: Any, operands: Operands, params: Params) -> Any:
    """The first place of the extremum, or of a nan."""
    groups = _grouped(operands, params)
    if groups is None or groups.across > jnp.iinfo(jnp.int32).max:
        return NotImplemented
    data, segments, count = groups.data, groups.segments, groups.count
    best = groups.extremum(primitive.name == "argmax", data)
    own = best.at[segments].get(mode="clip")
    reached = groups.inside & ((data == own) | ((data != data) & (own != own)))
    places = groups.places
    last = jnp.asarray(groups.across, jnp.int32)
    first = jax.ops.segment_min(jnp.where(reached, places, last), segments, count)
    # The first place that nothing is stored at: where the sorted places first skip a number.
    order = jnp.lexsort((places, segments))
    ordered, number = segments[order], jnp.arange(len(places), dtype=jnp.int32)
    start = jax.ops.segment_min(number, ordered, count)
    rank = number - start.at[ordered].get(mode="clip")
    skipped = jnp.where(places[order] != rank, rank, last)
    hole = jax.ops.segment_min(skipped, ordered, count)
    hole = jnp.minimum(hole, groups.stored())
    at_zero = groups.missing() & (best == 0)
    out = jnp.where(at_zero, jnp.minimum(first, hole), first)
    return out.astype(params["index_dtype"]).reshape(groups.shape)


register_rule(BCOO, "reduce_sum", leniently(_sum))
register_rule(
    BCOO, "reduce_max reduce_min reduce_prod reduce_or reduce_and".split(), leniently(_reduce)
)
register_rule(BCOO, "argmax argmin".split(), leniently(_arg))
