"""The labels of places that a reduction found."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line
from sciquax.core.internal import Tracer

from .._array.base import bare
from .._array.errors import AxisError
from .._labels.distances import inexact, with_leaf
from .call_jax import apply


def label_at(a: Any, op: str, name: str, places: Any) -> Any:
    """The coordinates along a name at places, nan at those below zero.

    **Raises** `AxisError` for coordinates that JAX cannot hold, where the places are traced.
    """
    coordinate = a.coord(name)
    if coordinate.dtype.kind not in "iufb" and isinstance(places.array, Tracer):
        raise AxisError(
            f"`{op}` needs coordinates that are numbers where its places are only known when the "
            f"program runs, and those of {name!r} are {coordinate.dtype}.",
            "Use `argmax` or `argmin`, and look the places up.",
        ).at(user_line())
    found = coordinate.drop_coords().isel({name: places})
    if not jnp.issubdtype(a.dtype, jnp.inexact):
        return found
    return _without(found, places.array < 0, op)


def _without(labels: Any, missing: Any, op: str) -> Any:
    """Labels, nan where all elements are nan."""
    if isinstance(missing, Tracer):
        floats = bare(apply(jnp.asarray, labels.array), labels._axes)
        return bare(
            with_leaf(inexact(floats), lambda x: jnp.where(missing, jnp.nan, x)), labels._axes
        )
    missing = np.asarray(missing)
    if not missing.any():
        return labels
    if labels.dtype.kind not in "iufbmM":
        raise AxisError(f"`{op}` of nans alone has no label.").at(user_line())

    def blank(x: Any) -> Any:
        x = np.asarray(x)
        nothing = np.array("NaT", x.dtype) if x.dtype.kind in "mM" else np.nan
        return np.where(missing, nothing, x if x.dtype.kind in "fmM" else x.astype(np.float64))

    return bare(with_leaf(labels, blank), labels._axes)
