"""Coordinates on the host, as NumPy arrays alone or in a quantity, and their form in JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import taken_apart

from .errors import CoordinateError

NO_NUMBERS = "mMOUS"
"""The kinds of dtypes of dates, spans of time, objects and strings, which JAX does not hold."""


def host_leaf(held: Any) -> np.ndarray | None:
    """The NumPy array that this is, or that a quantity has; else None."""
    if type(held) is np.ndarray:
        return held
    leaf = getattr(held, "magnitude", None)
    return leaf if type(leaf) is np.ndarray else None


def check_numbers(dtype: Any, op: str, dims: Any = ()) -> None:
    """**Raises** `CoordinateError` for dates, spans of time and strings, which are no numbers."""
    kind = np.dtype(dtype).kind
    if kind in NO_NUMBERS:
        first = next((d for d in dims if d is not None), "time")
        raise CoordinateError(
            f"{op} needs numbers, and got an array of {dtype}.",
            "For dates `t`, use the seconds since the first: "
            f"`(t - t.isel({first}=0)).dt.total_seconds()`."
            if kind in "mM"
            else "Select by it, or group by it.",
        ).at(user_line())


def for_jax(x: Any) -> Any:
    """An array of NumPy's as JAX can hold it: integers beyond its own in floating point."""
    leaf = host_leaf(x)
    if leaf is None or leaf.dtype.kind not in "iu" or leaf.dtype.itemsize < 8:
        return x
    if jax.config.jax_enable_x64 or not leaf.size:  # pyright: ignore[reportAttributeAccessIssue]
        return x
    limits = np.iinfo(np.int32)
    if limits.min <= leaf.min() and leaf.max() <= limits.max:
        return x
    leaf = leaf.astype(np.float64)
    return jtu.tree_unflatten(taken_apart(x)[1], [leaf]) if is_value(x) else leaf


def on_device(x: Any) -> Any:
    """The same as JAX's array, if NumPy holds it."""
    return x if host_leaf(x) is None else jtu.tree_map(jnp.asarray, for_jax(x))
