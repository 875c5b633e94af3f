"""What NumPy holds, a coordinate, in functions: those that keep it exact, and the rest for JAX."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value

from .._array.base import NamedBase, bare


def host_leaf(held: Any) -> np.ndarray | None:
    """The NumPy array that this is, or that a quantity has; else None."""
    if type(held) is np.ndarray:
        return held
    leaf = getattr(held, "magnitude", None)
    return leaf if type(leaf) is np.ndarray else None


_KEEPING: dict[Any, Callable[..., Any]] = {
    getattr(jnp, name): getattr(np, name)
    for name in (
        "abs negative min max mean median nanmin nanmax nanmean sort take flip transpose "
        "expand_dims squeeze reshape broadcast_to moveaxis"
    ).split()
}
"""Functions whose result is in the unit of their argument, whatever that is."""

_PLAIN: dict[Any, Callable[..., Any]] = {
    getattr(jnp, name): getattr(np, name)
    for name in (
        "any all count_nonzero argmin argmax argsort diff concatenate stack isin "
        "logical_not logical_and logical_or logical_xor"
    ).split()
}


def on_host(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """The result by NumPy, if it holds all arrays and has the function; else NotImplemented."""
    try:
        counterpart = _KEEPING.get(function)
        plain = counterpart or _PLAIN.get(function)
    except TypeError:
        return NotImplemented
    if plain is None or not args:
        return NotImplemented
    first, *rest = args
    if any(isinstance(x, jax.Array) for x in (*rest, *kwargs.values())):
        return NotImplemented
    if type(first) is list:
        held = first and all(type(x) is np.ndarray for x in first)
        return np.asarray(plain(first, *rest, **kwargs)) if held else NotImplemented
    leaf = host_leaf(first)
    if leaf is None or any(is_value(x) for x in rest):
        return NotImplemented
    if not is_value(first):
        return np.asarray(plain(leaf, *rest, **kwargs))
    tree = jtu.tree_structure(first)
    if function is jnp.diff:
        example = jtu.tree_unflatten(tree, [np.float32(1.0)])
        tree = jtu.tree_structure(example - example)
    elif counterpart is None:
        return NotImplemented
    return jtu.tree_unflatten(tree, [np.asarray(plain(leaf, *rest, **kwargs))])


def for_jax(x: Any) -> Any:
    """An array of NumPy's as JAX can hold it: integers beyond its own in floating point."""
    if isinstance(x, NamedBase):
        return bare(for_jax(x.array), x._axes)
    leaf = host_leaf(x)
    if leaf is None or leaf.dtype.kind not in "iu" or leaf.dtype.itemsize < 8:
        return x
    if jax.config.jax_enable_x64 or not leaf.size:  # pyright: ignore[reportAttributeAccessIssue]
        return x
    limits = np.iinfo(np.int32)
    if limits.min <= leaf.min() and leaf.max() <= limits.max:
        return x
    leaf = leaf.astype(np.float64)
    return jtu.tree_unflatten(jtu.tree_structure(x), [leaf]) if is_value(x) else leaf


def picked(held: Any, index: Any) -> Any:
    """`held[index]`, on the host if it is there and the index is known."""
    leaf = host_leaf(held)
    parts = index if isinstance(index, tuple) else (index,)
    if leaf is None or any(isinstance(x, jax.Array) for x in parts):
        return held[index]
    out = np.asarray(leaf[index])
    return jtu.tree_unflatten(jtu.tree_structure(held), [out]) if is_value(held) else out
