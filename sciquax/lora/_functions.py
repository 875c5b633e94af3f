"""Whole functions of a `LoraArray`: diagonals and traces."""

from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax.core import RuleError, describe, quaxify, register_rule

from ._array import BATCH, COLUMN, ROW, LoraArray, aligned
from ._factors import _add_arrays, _shape

# -- whole functions ------------------------------------------------------------------------------


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Of the weight, and of the update from one row and one column each."""
    if type(a) is not LoraArray:
        raise RuleError(f"The diagonal of {describe(a)} is not supported.")
    ndim, kinds = len(a.kinds), a.kinds
    places = [axis1 % ndim, axis2 % ndim]
    if {kinds[d] for d in places} != {ROW, COLUMN} or kinds.count(BATCH) != ndim - 2:
        raise RuleError(f"The diagonal of {describe(a)} along these axes is not supported.")
    m, n = (_shape(a)[d] for d in places)
    length = max(0, min(m, n - offset) if offset >= 0 else min(m + offset, n))
    starts = (max(0, -offset), max(0, offset))
    of_weight = quaxify(lambda w: jnp.diagonal(w, offset, axis1, axis2))(a.w)
    parts = []
    for factor, kind in zip(aligned(a), (ROW, COLUMN), strict=True):
        own = next(i for i, d in enumerate(places) if kinds[d] == kind)
        along = lax.slice_in_dim(factor, starts[own], starts[own] + length, axis=places[own])
        flat = jnp.squeeze(along, places[1 - own])
        # The axis that is left is where the other one was taken out.
        at = places[own] - (places[1 - own] < places[own])
        parts.append(jnp.moveaxis(flat, at, -2))
    delta = jnp.sum(parts[0] * parts[1], axis=-1) * a.scaling
    return _add_arrays(of_weight, delta)


def _diag(v: Any, k: int = 0) -> Any:
    return _diagonal(v, k)


def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    del out
    diagonal = _diagonal(a, offset, axis1, axis2)
    return quaxify(lambda d: jnp.sum(d, -1, dtype=dtype))(diagonal)


register_rule(LoraArray, jnp.diagonal, _diagonal)
register_rule(LoraArray, jnp.diag, _diag)
register_rule(LoraArray, jnp.trace, _trace)
