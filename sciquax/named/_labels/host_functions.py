"""Functions of coordinates: NumPy's where they stay exact, JAX's elsewhere."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import lax

from sciquax.core import is_value
from sciquax.core.internal import Tracer, taken_apart

from .._array.host import check_numbers, host_leaf

_KEEPING: dict[Any, Callable[..., Any]] = {
    getattr(jnp, name): getattr(np, name)
    for name in (
        "abs negative min max mean median nanmin nanmax nanmean nanmedian sort take flip roll "
        "transpose expand_dims squeeze reshape broadcast_to moveaxis"
    ).split()
}
"""Functions whose result is in the unit of their argument, whatever that is."""

_PLAIN: dict[Any, Callable[..., Any]] = {
    getattr(jnp, name): getattr(np, name)
    for name in (
        "any all count_nonzero argmin argmax argsort diff concatenate stack isin "
        "logical_not logical_and logical_or logical_xor where"
    ).split()
}

_OF_SPANS: dict[Any, Callable[..., Any]] = {
    jnp.sum: np.sum, jnp.cumsum: np.cumsum, jnp.nansum: np.nansum, jnp.nancumsum: np.nancumsum
}  # fmt: skip
"""Further functions of spans of time."""

_MIDDLES = {jnp.mean: np.mean, jnp.median: np.median} | {
    jnp.nanmean: np.nanmean, jnp.nanmedian: np.nanmedian
}  # fmt: skip


def dates_of(a: Any) -> np.ndarray | None:
    """The dates or spans of time that a named array holds on the host, or None."""
    leaf = host_leaf(a.array)
    return leaf if leaf is not None and leaf.dtype.kind in "mM" else None


def middle(function: Callable[..., Any], dates: np.ndarray, **kwargs: Any) -> np.ndarray:
    """A mean or median of dates or spans of time: of what they are apart from the first."""
    known = dates[~np.isnat(dates)]
    if not known.size:
        return np.asarray(np.max(dates, **kwargs))
    first = known.flat[0]
    ticks = dates - first
    numbers = np.where(np.isnat(ticks), np.nan, ticks.astype(np.int64).astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing there is none
        out = np.asarray(function(numbers, **kwargs))
    whole = np.where(np.isnan(out), 0, np.rint(out)).astype(np.int64).astype(ticks.dtype)
    return np.where(np.isnan(out), np.array("NaT", dates.dtype), first + whole)


def on_host(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """The result by NumPy, if it holds all arrays and has the function; else NotImplemented."""
    try:
        counterpart = _KEEPING.get(function)
        plain = counterpart or _PLAIN.get(function) or _OF_SPANS.get(function)
    except TypeError:
        return NotImplemented
    if plain is None or not args:
        return NotImplemented
    first, *rest = args
    if any(isinstance(x, jax.Array) for x in (*rest, *kwargs.values())):
        return NotImplemented
    if function is jnp.where and not any(_unknown_to_jax(x) for x in rest):
        return NotImplemented
    if type(first) is list:
        held = first and all(type(x) is np.ndarray for x in first)
        return np.asarray(plain(first, *rest, **kwargs)) if held else NotImplemented
    leaf = host_leaf(first)
    if leaf is None or any(is_value(x) for x in rest):
        return NotImplemented
    if leaf.dtype.kind != "m" and function in _OF_SPANS:
        return NotImplemented
    if leaf.dtype.kind in "mM" and function in _MIDDLES:
        return middle(_MIDDLES[function], leaf, **kwargs)
    if not is_value(first):
        try:
            return np.asarray(plain(leaf, *rest, **kwargs))
        except TypeError:  # the largest string, the mean of strings
            check_numbers(leaf.dtype, f"`{function.__name__}`")
            raise
    tree = taken_apart(first)[1]
    if function is jnp.diff:
        example = jtu.tree_unflatten(tree, [np.float32(1.0)])
        tree = taken_apart(example - example)[1]
    elif counterpart is None:
        return NotImplemented
    return jtu.tree_unflatten(tree, [np.asarray(plain(leaf, *rest, **kwargs))])


def _unknown_to_jax(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype.kind in "mMOUS"


def picked(held: Any, index: Any) -> Any:
    """`held[index]`, on the host if it is there and the index is known."""
    leaf = host_leaf(held)
    parts = index if isinstance(index, tuple) else (index,)
    if leaf is None or any(isinstance(x, jax.Array) for x in parts):
        return _cut_out(held, parts)
    out = np.asarray(leaf[index])
    return jtu.tree_unflatten(taken_apart(held)[1], [out]) if is_value(held) else out


def _cut_out(held: Any, index: tuple[Any, ...]) -> Any:
    """`held[index]`, in one call of a compiled function where JAX would make several calls.

    Of places and of neighbouring places along every axis of an array on one device; places and the
    beginnings of slices are no reason to compile anew.
    """
    leaves, tree = taken_apart(held)
    x: Any = leaves[0] if len(leaves) == 1 else None
    whole = isinstance(x, jax.Array) and not isinstance(x, Tracer) and x.shape == held.shape
    if not whole or len(index) != x.ndim or x.size == 0 or len(x.sharding.device_set) > 1:
        return held[index]
    starts, sizes, gone = [], [], []
    for axis, (part, n) in enumerate(zip(index, x.shape, strict=True)):
        if isinstance(part, int):
            starts.append(part)
            sizes.append(1)
            gone.append(axis)
        elif isinstance(part, slice) and part.step in (None, 1):
            start, stop, _ = part.indices(n)
            starts.append(start)
            sizes.append(max(stop - start, 0))
        else:
            return held[index]
    if max(x.shape) > np.iinfo(np.int32).max:
        return held[index]
    out = _slice(x, np.array(starts, np.int32), tuple(sizes), tuple(gone))
    return jtu.tree_unflatten(tree, [out])


@partial(jax.jit, static_argnums=(2, 3))
def _slice(x: Any, starts: Any, sizes: tuple[int, ...], gone: tuple[int, ...]) -> Any:
    return lax.squeeze(lax.dynamic_slice(x, list(starts), sizes), gone)
