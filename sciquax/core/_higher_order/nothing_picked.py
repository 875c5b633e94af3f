"""Indexes that pick no element: `x[jnp.zeros(0, int)]`, and `x[mask]` where the mask is false.

Of no elements JAX makes a literal zero, which has lost its unit and its names. So one element is
picked, and none of it is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._compat.indexing import rewriting_take
from .._functions.intercept import add_hook
from .._values.mode import MODE


def _take(original: Callable[..., Any]) -> Callable[..., Any]:
    def take(x: Any, index: Any, *args: Any, **kwargs: Any) -> Any:
        out = original(x, index, *args, **kwargs)
        if not MODE.staging or out.size or not np.size(x):
            return out
        parts = index if isinstance(index, tuple) else (index,)
        found = [_one(part) for part in parts]
        if all(f is None for f in found):
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


add_hook(rewriting_take, _take)
add_hook(jnp.take, _take)
