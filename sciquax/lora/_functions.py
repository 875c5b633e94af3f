"""Whole functions of a `LoraArray`: diagonals, traces, norms and inner products."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax.core import RuleError, aval_of, bind, describe, quaxify, register_rule

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


def _contract_all(x: Any, y: Any, axes: Sequence[int]) -> Any:
    """The sum of the products over these axes, of arrays of one shape."""
    kept = [d for d in range(len(_shape(x))) if d not in axes]
    dtype = aval_of(x).dtype
    return bind(
        lax.dot_general_p,
        x,
        y,
        dimension_numbers=((tuple(axes), tuple(axes)), (tuple(kept), tuple(kept))),
        precision=lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32 if dtype.itemsize < 4 else dtype,
        out_sharding=None,
    )


def squared_norm(lora: LoraArray, axes: Sequence[int]) -> Any:
    """The sum of the squared magnitudes over these axes, of products with the factors alone."""
    conjugate = quaxify(jnp.conj)(lora) if jnp.issubdtype(lora.dtype, jnp.complexfloating) else lora
    squares = jnp.real(_contract_all(conjugate, lora, axes))
    return jnp.maximum(squares, jnp.zeros((), squares.dtype))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Euclidean and Frobenius norms; all others need every element."""
    if type(x) is not LoraArray:
        return NotImplemented
    ndim = len(x.kinds)
    axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(d % ndim for d in axes)
    of_matrices = len(axes) == 2
    if axis is None and ord is not None and ndim != 2:
        return NotImplemented
    if ord is not None and ord != ("fro" if of_matrices else 2):
        return NotImplemented
    out = jnp.sqrt(squared_norm(x, axes)).astype(jnp.finfo(x.dtype).dtype)
    return lax.expand_dims(out, sorted(axes)) if keepdims else out


def _vdot(
    a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None, **options: Any
) -> Any:
    """Over all axes, where both have the same."""
    if _shape(a) != _shape(b) or options:
        return NotImplemented
    if jnp.issubdtype(aval_of(a).dtype, jnp.complexfloating):
        a = quaxify(jnp.conj)(a)
    axes = len(_shape(a))
    return quaxify(
        lambda a, b: jnp.tensordot(
            a, b, axes, precision=precision, preferred_element_type=preferred_element_type
        )
    )(a, b)


register_rule(LoraArray, jnp.diagonal, _diagonal)
register_rule(LoraArray, jnp.diag, _diag)
register_rule(LoraArray, jnp.trace, _trace)
register_rule(LoraArray, jnp.linalg.norm, _norm)
register_rule(LoraArray, jnp.vdot, _vdot)
