"""Results of no elements: `x[zeros(0, int)]`, `x[mask]` of a mask that is false, `resize(x, 0)`.

Of no elements JAX makes a literal zero, which has lost its unit and its names. So one element is
picked (an array without elements is given one first), and none of it is kept. And where JAX leaves
out an update by no elements, the array takes the unit that the update has.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._compat.indexing import rewriting_take, scatter_update
from .._compat.jaxprs import Tracer
from .._functions.intercept import add_hook
from .._values.mode import MODE


def _take(original: Callable[..., Any]) -> Callable[..., Any]:
    def take(x: Any, index: Any, *args: Any, **kwargs: Any) -> Any:
        out = original(x, index, *args, **kwargs)
        if not MODE.staging or out.size:
            return out
        if not (whole := np.size(x)):
            if np.shape(x) == out.shape:
                return x
            x = _filled(x)
        parts = index if isinstance(index, tuple) else (index,)
        found = [_one(part) for part in parts]
        if all(f is None for f in found) and whole:
            return out  # by a slice, which is no literal
        places = [p for f, part in zip(found, parts, strict=True) for p in (f or (part,))]
        one = original(x, places[0] if len(places) == 1 else tuple(places), *args, **kwargs)
        return lax.slice(one, (0,) * out.ndim, out.shape)

    return take


def _one(part: Any) -> Sequence[Any] | None:
    """Places of one element, for a part of an index that picks none; else None."""
    dtype, shape = getattr(part, "dtype", None), np.shape(part)
    if dtype is None or not shape:
        return None
    if dtype != np.bool_:
        return None if 0 not in shape else [np.zeros([n or 1 for n in shape], int)]
    return None if np.asarray(part).any() else [np.zeros(1, int)] * len(shape)


def _filled(x: Any) -> Any:
    """An array with one element along the axes that have none: its axes keep their names."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, int(n == 0), 0) for n in np.shape(x)])


def _take_along(original: Callable[..., Any]) -> Callable[..., Any]:
    def take_along_axis(x: Any, indices: Any, *args: Any, **kwargs: Any) -> Any:
        out = original(x, indices, *args, **kwargs)
        if not MODE.staging or out.size:
            return out
        places = np.zeros([n or 1 for n in np.shape(indices)], int)
        return lax.slice(original(_filled(x), places, *args, **kwargs), (0,) * out.ndim, out.shape)

    return take_along_axis


def _resize(original: Callable[..., Any]) -> Callable[..., Any]:
    def resize(a: Any, new_shape: Any) -> Any:
        out = original(a, new_shape)
        if not MODE.staging or out.size:
            return out
        return lax.reshape(jnp.ravel(a)[:0], out.shape)

    return resize


def _repeat(original: Callable[..., Any]) -> Callable[..., Any]:
    def repeat(a: Any, repeats: Any, axis: Any = None, **kwargs: Any) -> Any:
        out = original(a, repeats, axis, **kwargs)
        if not MODE.staging or out.size or not np.size(a):
            return out
        whole, axis = (jnp.ravel(a), 0) if axis is None else (a, axis)
        return lax.slice_in_dim(whole, 0, 0, axis=axis)

    return repeat


def _update(original: Callable[..., Any]) -> Callable[..., Any]:
    def update(x: Any, index: Any, y: Any, scatter_op: Any, *args: Any, **kwargs: Any) -> Any:
        out = original(x, index, y, scatter_op, *args, **kwargs)
        if not MODE.staging or not isinstance(y, Tracer) or y.size or scatter_op not in _KEEP:
            return out
        reduce = lax.reduce_sum if jnp.iscomplexobj(y) else lax.reduce_max
        none = reduce(y, tuple(range(y.ndim))).astype(out.dtype)
        return lax.select(jnp.zeros(out.shape, bool), jnp.broadcast_to(none, out.shape), out)

    return update


_KEEP = (lax.scatter, lax.scatter_add, lax.scatter_sub, lax.scatter_min, lax.scatter_max)

add_hook(rewriting_take, _take)
add_hook(jnp.take, _take)
add_hook(jnp.take_along_axis, _take_along)
add_hook(jnp.resize, _resize)
add_hook(jnp.repeat, _repeat)
add_hook(scatter_update, _update)
