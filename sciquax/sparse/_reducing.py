"""Reductions of sparse arrays: what is not stored takes part."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import sparse as jsparse

from sciquax.core import bind, register_rule

from ._array import BCOO, wrap
from ._background import Surrounded
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
    results; `outside`, what each result has where nothing is stored.
    """

    def __init__(self, mat: BCOO, axes: Sequence[int], outside: Any):
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
        outside = jnp.squeeze(jnp.asarray(outside, self.data.dtype), tuple(axes))
        self.outside = jnp.broadcast_to(outside, self.shape).reshape(-1)

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
        """A mask of the results that include elements which are not stored."""
        if self.across > jnp.iinfo(jnp.int32).max:
            return jnp.ones(self.count, bool)
        return self.stored() < self.across

    def extremum(self, largest: bool) -> Any:
        reduce, choose = (
            (jax.ops.segment_max, jnp.maximum) if largest else (jax.ops.segment_min, jnp.minimum)
        )
        out = reduce(self.data, self.segments, self.count)
        out = jnp.where(self.missing(), choose(out, self.outside), out)
        return jnp.where(self.stored() == 0, self.outside, out)

    def sum(self) -> Any:
        out = jax.ops.segment_sum(self.data, self.segments, self.count)
        others = np.asarray(self.across).astype(out.dtype) - self.stored().astype(out.dtype)
        return out + jnp.where(self.missing(), others * self.outside, 0)

    def product(self) -> Any:
        out = jax.ops.segment_prod(self.data, self.segments, self.count)
        others = np.asarray(self.across).astype(np.float32) - self.stored()
        beside = jnp.where(self.outside == 0, out * 0, out * self.outside**others)
        return jnp.where(self.missing(), beside, out).astype(self.data.dtype)


def _grouped(operands: Operands, params: Params) -> Any:
    """The groups, or None where several sparse axes would be left, whose results may be many."""
    (x,) = operands
    shape = x.aval().shape
    if isinstance(x, Surrounded):
        mat, outside = x.inside, x.outside
    else:
        mat, outside = x, np.zeros((1,) * len(shape), x.dtype)
    axes = tuple(sorted(map(int, params["axes"])))
    left = [d for d in range(mat.n_batch, len(shape)) if d not in axes]
    if not axes or sum(shape[d] > 1 for d in left) > 1:
        return None
    if any(outside.shape[d] > 1 for d in axes):
        return None
    groups = _Grouped(mat, axes, outside)
    return groups if groups.across else None


def _reduce(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    varying = [d for d in params["axes"] if isinstance(x, Surrounded) and x.outside.shape[d] > 1]
    if varying and len(varying) < len(params["axes"]):  # the other axes first
        first = tuple(d for d in params["axes"] if d not in varying)
        partial = bind(primitive, x, **{**params, "axes": first})
        then = tuple(d - sum(e < d for e in first) for d in varying)
        return bind(primitive, partial, **{**params, "axes": then})
    groups = _grouped(operands, params)
    if groups is None:
        return NotImplemented
    if primitive.name == "reduce_prod":
        out = groups.product()
    elif primitive.name == "reduce_sum":
        out = groups.sum()
    elif primitive.name in ("reduce_or", "reduce_and"):
        groups.data = groups.data.astype(jnp.int32)
        groups.outside = groups.outside.astype(jnp.int32)
        out = groups.extremum(primitive.name == "reduce_or") > 0
    else:
        out = groups.extremum(primitive.name == "reduce_max")
    return out.reshape(groups.shape)


def _arg(primitive: Any, operands: Operands, params: Params) -> Any:
    """The first place of the extremum, or of a nan."""
    groups = _grouped(operands, params)
    if groups is None or groups.across > jnp.iinfo(jnp.int32).max:
        return NotImplemented
    data, segments, count = groups.data, groups.segments, groups.count
    best = groups.extremum(primitive.name == "argmax")
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
    of_others = groups.missing() & (best == groups.outside)
    out = jnp.where(of_others, jnp.minimum(first, hole), first)
    return out.astype(params["index_dtype"]).reshape(groups.shape)


register_rule(BCOO, "reduce_sum", _sum)
register_rule(BCOO, "reduce_max reduce_min reduce_prod reduce_or reduce_and".split(), _reduce)
register_rule(BCOO, "argmax argmin".split(), _arg)
register_rule(
    Surrounded,
    "reduce_sum reduce_max reduce_min reduce_prod reduce_or reduce_and".split(),
    _reduce,
)
register_rule(Surrounded, "argmax argmin".split(), _arg)
