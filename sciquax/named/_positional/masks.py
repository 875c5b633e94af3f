"""Masks with names in positional code: `x[x > 0]`, `x.at[x > 0].set(v)`.

Numbers of a named array are not given to code that asks for them, for its names would go unseen.
Where JAX asks for those of a mask, it is known here what is masked: the names are checked against
each other, and where the mask holds goes on as known places. Those along one axis have its name and
its labels.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import MODE
from sciquax.core.internal import (
    StagingTracer,
    Tracer,
    add_hook,
    rewriting_take,
    scatter_update,
)

from .._array.axes import axes, met
from .._array.base import NamedBase, bare
from .call import Call


def _with_places(original: Callable[..., Any]) -> Callable[..., Any]:
    def hook(x: Any, index: Any, *args: Any, **kwargs: Any) -> Any:
        return original(x, _known(x, index) if MODE.staging else index, *args, **kwargs)

    return hook


def _known(x: Any, index: Any) -> Any:
    """The index with places that are known in place of masks with names."""
    parts = list(index) if isinstance(index, tuple) else [index]
    found = [k for k, part in enumerate(parts) if _is_mask(part)]
    if not found:
        return index
    taken = [_axes_of(part) for part in parts]
    for k in found:
        mask = _value_of(parts[k])
        if not isinstance(mask, NamedBase) or isinstance(mask.array, Tracer):
            continue
        before = sum(taken[:k])
        if any(part is Ellipsis for part in parts[:k]):
            before += np.ndim(x) - sum(taken)
        parts[k] = _places(_value_of(x), before, mask)
    return tuple(parts)


def _is_mask(part: Any) -> bool:
    return isinstance(part, StagingTracer) and part.dtype == np.bool_ and part.ndim > 0


def _axes_of(part: Any) -> int:
    """How many axes a part of an index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return np.ndim(part) if getattr(part, "dtype", None) == np.bool_ else 1


def _value_of(x: Any) -> Any:
    return x._trace.asked.value_of(x) if isinstance(x, StagingTracer) else x


def _places(x: Any, axis: int, mask: NamedBase) -> Any:
    """Where a mask over axes of an array from `axis` on holds. **Raises** for other names."""
    held = np.asarray(mask.array)
    layout = x._axes if isinstance(x, NamedBase) else axes((None,) * len(x.shape))
    masked = layout.dims[axis : axis + mask.ndim]
    call = Call("[]", [masked, mask.dims], [held, held], {})
    dims = call.same((0, 1))
    both = met("[]", dims, layout, mask._axes)
    if mask.ndim > 1 or dims[0] is None or held.shape[0] != x.shape[axis]:
        return held
    places = np.flatnonzero(held)
    return jnp.asarray(bare(jnp.asarray(places), both.taken({dims[0]: places})))


add_hook(rewriting_take, _with_places)
add_hook(scatter_update, _with_places)
