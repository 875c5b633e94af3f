"""A named array as a pytree, and its axes where a transformation put in another leaf."""

from typing import Any

import jax
import jax.tree_util as jtu

from sciquax.core import user_line
from sciquax.core.internal import Tracer, axes_of_outputs, mapped_axis, within_filter_vmap

from .axes import Axes, axes
from .errors import AxisError, show_dims
from .host import for_jax, host_leaf

_set = object.__setattr__
_new = object.__new__


class StaleAxes:
    """The axes of a named array whose leaf a JAX transformation changed: any use says so.

    `jax.vmap` over a named axis, `jax.tree.map(jnp.mean, a)`: the leaf no longer has the axes that
    the names are about.
    """

    __slots__ = ("_axes", "_got", "_shape")

    def __init__(self, axes: Axes, shape: tuple[int, ...], got: tuple[int, ...]):
        self._axes, self._shape, self._got = axes, shape, got

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        first = next((d for d in self._axes.dims if d is not None), "x")
        raise AxisError(
            f"A named array with the dims {show_dims(self._axes.dims)} and the shape "
            f"{self._shape} had its array replaced by one of shape {self._got}, as `jax.vmap` "
            "over a named axis, or with several `out_axes`, or `jax.tree.map` does.",
            f"Untag first: `jax.vmap` and `jax.lax.scan` take the leading axis of "
            f"`a.untag({first!r})`, which has no name; or use `named_vmap`, `cmap` or "
            "`named.scan`, which take names.",
        ).at(user_line())


def _flatten(a: Any) -> tuple[tuple[Any], Any]:
    array = a.array
    if type(array) is not jax.Array and host_leaf(array) is not None:
        array = for_jax(array)  # JAX would wrap large integers
    kept = a.__dict__.get("_kept")
    if kept is not None:
        return (array,), kept
    return (array,), (a._axes.traced, array.shape)


def _shape_of(array: Any) -> Any:
    """The shape of a leaf, or None for what is no array, or holds none: a placeholder."""
    try:
        return array.shape
    except Exception:  # a quantity of a placeholder raises what its parts raise
        return None


def _flatten_with_keys(a: Any) -> tuple[tuple[Any], Any]:
    (array,), aux = _flatten(a)
    return ((_KEY, array),), aux


_KEY = jtu.GetAttrKey("array")


def _unflatten(cls: type, aux: tuple[Axes, tuple[int, ...]], children: Any) -> Any:
    """With another leaf than was flattened, an axis that it gained or lost is unnamed.

    In front, or where `jax.vmap` was told to take and put it.
    """
    (array,) = children
    a = _new(cls)
    _set(a, "array", array)
    known, shape = aux
    got = _shape_of(array)
    if got == shape:
        _set(a, "_axes", known)
    elif type(got) is not tuple:  # a leaf that is no array: a placeholder, a sharding, a flag
        _set(a, "_axes", known)
        _set(a, "_kept", aux)
    else:
        fitted = _fitted(known, shape, got, array)
        if fitted is None:
            _set(a, "_axes", StaleAxes(known, shape, got))
            _set(a, "_kept", aux)
        else:
            _set(a, "_axes", fitted)
            if within_filter_vmap():
                _set(a, "_kept", aux)
    return a


def _mapped(array: Any) -> int:
    """The axis that `jax.vmap` took, or else the first, which loops take."""
    leaves = [array] if isinstance(array, Tracer) else jtu.tree_leaves(array)
    return next((i for i in map(mapped_axis, leaves) if i is not None), 0)


def _fitted(known: Axes, shape: tuple[int, ...], got: tuple[int, ...], array: Any) -> Axes | None:
    """The axes of an array of shape `got` put where one of shape `shape` was; None: unknown."""
    more = len(got) - len(shape)
    if more == 0:
        if sorted(got) == sorted(shape) and got != shape:
            return None  # transposed
        dims = known.dims
        sizes = dict(zip(dims, got, strict=True))
        coords = {n: c for n, c in known.coords.items() if len(c) == sizes[n]}
        return axes(dims, coords, known.attrs)
    if more > 0:
        place = 0
        if more == 1 and shape and (got[1:] != shape or got[0] == got[1]):
            place = _new_axis(shape, got)
            if place is None:
                return None
        if got[:place] + got[place + more :] != shape:
            return None
        return known.with_dims((*known.dims[:place], *(None,) * more, *known.dims[place:]))
    gone = 0 if more < -1 else _mapped(array)
    dims, left = list(known.dims), list(shape)
    if any(d is not None for d in dims[gone : gone - more]):
        return None
    del dims[gone : gone - more], left[gone : gone - more]
    return known.with_dims(tuple(dims)) if tuple(left) == got else None


def _new_axis(shape: tuple[int, ...], got: tuple[int, ...]) -> int | None:
    """Where an axis came in: in front, or where `jax.vmap` was told to put it; None: unknown."""
    told = axes_of_outputs()
    if told is None:
        return 0
    told = list(dict.fromkeys(i % len(got) for i in told))
    fitting = [i for i in told if got[:i] + got[i + 1 :] == shape]
    return fitting[0] if len(fitting) == 1 else None
