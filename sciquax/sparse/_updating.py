"""`A.at[...].set`, `.add` and `.multiply`: updates that store more elements, or change some."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import sparse as jsparse

from sciquax.core import bind, is_value, register_rule, stated_number, strip
from sciquax.core.internal import Tracer, whole

from ._array import BCOO, wrap
from ._indices import array_of, data_of, elements, foreign, number_of, without_batch


def _scatter(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Of elements, rows, columns or parts. What is set twice in an unknown order is refused."""
    mat, indices, updates = map(strip, operands)
    name, numbers = primitive.name, params["dimension_numbers"]
    if not isinstance(mat, BCOO) or is_value(indices) or foreign(updates):
        return NotImplemented
    if isinstance(updates, BCOO) or numbers.operand_batching_dims or mat.dtype == bool:
        return NotImplemented
    if name == "scatter" and params["update_jaxpr"] is not None:  # A.at[0].apply(f)
        return NotImplemented
    zeros = number_of(updates) == 0
    updates = jnp.asarray(array_of(updates), mat.dtype)
    mat = without_batch(mat)
    places, updates = _each(mat.aval().shape, indices, updates, params)
    if name in ("scatter-add", "scatter-sub"):
        return _plus(mat, places, updates if name == "scatter-add" else -updates)
    if not (params["unique_indices"] or _differ(indices)):
        return NotImplemented
    data = data_of(mat)
    met = elements(jnp.ones(len(places), jnp.int32), places, mat.indices) > 0
    if name == "scatter-mul":
        factors = elements(updates, places, mat.indices)
        return mat.with_payload(data * jnp.where(met, factors, 1))
    kept = mat.with_payload(jnp.where(met, 0, data))
    return kept if zeros else _plus(kept, places, updates)


def _each(
    shape: tuple[int, ...], indices: Any, updates: Any, params: dict[str, Any]
) -> tuple[Any, Any]:
    """The place of each number of the updates, outside of the array where it is to be dropped."""
    numbers = params["dimension_numbers"]
    window = tuple(numbers.update_window_dims)
    inner = [d for d in range(len(shape)) if d not in numbers.inserted_window_dims]
    updates = jnp.moveaxis(updates, window, range(updates.ndim - len(window), updates.ndim))
    sizes = [1] * len(shape)
    for d, n in zip(inner, updates.shape[updates.ndim - len(window) :], strict=True):
        sizes[d] = n
    indices = jnp.asarray(indices)
    last = np.asarray(shape) - sizes
    starts = jnp.zeros((*indices.shape[:-1], len(shape)), indices.dtype)
    starts = starts.at[..., list(numbers.scatter_dims_to_operand_dims)].set(indices)
    if lax.GatherScatterMode.from_any(params["mode"]) is lax.GatherScatterMode.CLIP:
        starts = jnp.clip(starts, 0, last)
    inside = ((starts >= 0) & (starts <= last)).all(-1, keepdims=True)
    starts = jnp.where(inside, starts, jnp.asarray(shape))
    steps = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij"), -1)
    places = starts.reshape(-1, 1, len(shape)) + steps.reshape(1, -1, len(shape))
    return places.reshape(-1, len(shape)), updates.reshape(-1)


def _plus(mat: BCOO, places: Any, updates: Any) -> Any:
    more = jsparse.BCOO((updates, places.astype(mat.indices.dtype)), shape=mat.aval().shape)
    return bind(lax.add_p, mat, wrap(more, mat))


def _differ(indices: Any) -> bool:
    """Whether it is known that no place is there twice."""
    if indices.size == indices.shape[-1]:  # one
        return True
    if isinstance(indices, Tracer):
        indices = stated_number(indices, whole, data=True)
    if indices is None:
        return False
    rows = np.asarray(indices).reshape(-1, np.shape(indices)[-1])
    return len(np.unique(rows, axis=0)) == len(rows)


register_rule(BCOO, "scatter scatter-add scatter-sub scatter-mul".split(), _scatter)
