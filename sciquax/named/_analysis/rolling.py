"""Windows along names: rolling means and their kind.

Medians along one name are found by ranks, those along several names from the windows themselves, a
block of them at a time; other reductions combine windows of half the size.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import lax

from sciquax.core import is_value, user_line
from sciquax.core.internal import taken_apart

from .._array.axes import Axis, axes, name_of
from .._array.base import N, NamedBase, bare
from .._array.errors import AxisError, AxisSizeError
from .._by_name.call_jax import reduced_tree
from .._by_name.shapes import _pairs
from .._labels.distances import inexact, with_leaf
from .order_in_windows import median
from .sliding import counted, sliding, whole

_BLOCK = 2**22  # elements of windows at a time


def pairs_of_windows(windows: Mapping[Any, int] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Window sizes by name, and the options among the keywords."""
    options = {k: more.pop(k) for k in ("center", "valid", "min_periods") if k in more}
    return {"windows": _pairs("rolling", windows, more), **options}


class Rolling(Generic[N]):
    """`a.rolling(time=3)`: windows of three places, each ending at its own; reduce them.

    `center=True` centres them. Where a window would begin before the array or go beyond it, or has
    a nan, the result is nan; with `min_periods` a window needs only as many elements that are no
    nan. With `valid=True` places without a whole window are left out. Integers become floating
    point. Coordinates are kept.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray
    >>> a = NamedArray(jnp.array([1.0, 2.0, 6.0]), ("time",))
    >>> a.rolling(time=2).mean().array.tolist()
    [nan, 1.5, 4.0]

    ```
    """

    def __init__(self, a: N, options: dict[str, Any]):
        self._array = a
        self._center, self._valid = options.get("center", False), options.get("valid", False)
        self._least: int | None = options.get("min_periods")
        if self._least is not None and self._least < 1:
            raise AxisSizeError(f"`rolling` got min_periods={self._least}.", "At least 1.").at(
                user_line()
            )
        self._windows: dict[str, int] = {}
        if not options["windows"]:
            raise AxisError("`rolling` needs a name and a size.", "`.rolling(time=3)`.").at(
                user_line()
            )
        for axis, size in options["windows"].items():
            i = a._axes.position("rolling", axis, a)
            name = name_of(axis)
            if name in self._windows:
                raise AxisError(f"`rolling` got {name!r} twice.").at(user_line())
            size = size.__index__()
            if not 1 <= size <= a.shape[i]:
                raise AxisSizeError(
                    f"`rolling` got a window of {size} along {name!r}, whose size is {a.shape[i]}."
                ).at(user_line())
            self._windows[name] = size

    def construct(
        self, names: Any = None, /, stride: Any = 1, fill_value: Any = None, **more: Any
    ) -> N:
        """The windows themselves, along new axes: `a.rolling(time=3).construct(time="lag")`.

        Only whole windows: the result is shorter by the window's size less one. With a `fill_value`
        for what is beyond the array, such as nan, the windows of all places, as in xarray. With a
        `stride`, one for all names or a dictionary, every so many of them.
        """
        one: Any = names
        if isinstance(one, (str, Axis)) and len(self._windows) == 1:
            more[next(iter(self._windows))], names = one, None
        pairs = {name_of(k): name_of(v) for k, v in _pairs("construct", names, more).items()}
        if set(pairs) != set(self._windows):
            raise AxisError(
                f"`construct` needs a new name for each of {list(self._windows)}.",
                "Write `.construct(time='lag')`.",
            ).at(user_line())
        out: Any = self._array
        for name, size in self._windows.items():
            new = pairs[name]
            if new in out._axes.place:
                raise AxisError(f"`construct` got {new!r}, which the array has.").at(user_line())
            by = stride.get(name, 1) if isinstance(stride, Mapping) else stride
            if by < 1:
                raise AxisSizeError(f"`construct` got the stride {by} along {name!r}.").at(
                    user_line()
                )
            known = out._axes.coords.get(name)
            kept = self._kept(name)
            out = out.drop_coords(name)
            if fill_value is not None:
                kept, before = slice(None), self._before(name)
                out = _filled(out, name, (before, size - 1 - before), fill_value)
            index = np.arange(0, out.sizes[name] - size + 1, by)[:, None] + np.arange(size)
            dims = (name, new)
            out = out.isel({name: bare(index, axes(dims))})
            if known is not None:
                kept = known.take(kept).take(slice(None, None, by))
                out = bare(out.array, out._axes.with_coord(name, kept))
        return out

    def _kept(self, name: str) -> slice:
        """The places that have a whole window."""
        before, size = self._before(name), self._windows[name]
        return slice(before, before + self._array.sizes[name] - size + 1)

    def _before(self, name: str) -> int:
        """How many places of a window come before its own."""
        size = self._windows[name]
        # An even window cannot be centred: it reaches one place further back, as in xarray.
        return size // 2 if self._center else size - 1

    def reduce(self, function: Callable[[Any, list[str]], Any]) -> N:
        """`function(windows, names)` reduces the windows over the names."""
        a = self._array
        lags = {n: _fresh(n, a) for n in self._windows}
        out = function(self.construct(lags), list(lags.values()))
        out = out.transpose(*a.dims)
        if self._valid:
            return out
        for name in self._windows:
            kept = self._kept(name)
            n = a.sizes[name]
            # Places without a whole window repeat the nearest, and are then masked.
            index = np.clip(np.arange(n) - kept.start, 0, out.sizes[name] - 1)
            inside = np.zeros(n, bool)
            inside[kept] = True
            out = inexact(out.drop_coords(name).isel({name: index}))
            mask = bare(inside, axes((name,))).broadcast_like(out).transpose(*a.dims).array
            out = bare(with_leaf(out, lambda x, mask=mask: jnp.where(mask, x, jnp.nan)), out._axes)
        return bare(out.array, a._axes.plain)

    def _reduced(
        self, kind: str, of_windows: Callable[[Any], Any] | None = None, **options: Any
    ) -> N:
        """JAX's function of this name for each window, where there are enough elements."""
        a: Any = inexact(self._array)
        leaves, tree = taken_apart(a.array)
        if len(leaves) != 1 or leaves[0].shape != a.shape:
            raise AxisError(f"`rolling` cannot take a {type(a.array).__name__} in windows.").at(
                user_line()
            )
        x = jnp.asarray(leaves[0])
        if is_value(a.array) and kind not in ("argmax", "argmin"):
            function = getattr(jnp, kind if self._least is None else f"nan{kind}")
            count = math.prod(self._windows.values())
            tree = reduced_tree(function, a.array, count, f"`{kind}` of windows")
        if of_windows is None:
            out = sliding(x, kind, self._places(), self._least, **options)
        else:
            enough = whole(x.shape, self._places())
            if self._least is not None:
                enough = counted(_valid(x), self._places()) >= self._least
            out = jnp.where(enough, of_windows(x), jnp.nan)
        if kind in ("argmax", "argmin"):
            return self._made(out)
        return self._made(jtu.tree_unflatten(tree, [out]))

    def _made(self, out: Any) -> N:
        made: Any = bare(out, self._array._axes.plain)
        return made.isel({n: self._kept(n) for n in self._windows}) if self._valid else made

    def _places(self) -> tuple[tuple[int, int, int], ...]:
        """The axis, the size and the places before its own of each window."""
        place = self._array._axes.place
        return tuple((place[n], size, self._before(n)) for n, size in self._windows.items())

    def mean(self) -> N:
        return self._reduced("mean")

    def sum(self) -> N:
        return self._reduced("sum")

    def count(self) -> N:
        """The number of elements in each window that are not nan, as floating point.

        As of other reductions it is nan where there are fewer than `min_periods`.
        """
        known = _valid(taken_apart(self._array.array)[0][0])
        least = math.prod(self._windows.values()) if self._least is None else self._least
        total = counted(known, self._places())
        return self._made(jnp.where(total >= least, total.astype(jnp.result_type(float)), jnp.nan))

    def max(self) -> N:
        return self._reduced("max")

    def min(self) -> N:
        return self._reduced("min")

    def prod(self) -> N:
        return self._reduced("prod")

    def median(self) -> N:
        (axis, size, before), *more = places = self._places()
        skip = self._least is not None
        if more:
            function = jnp.nanmedian if skip else jnp.median
            return self._reduced(
                "median",
                lambda x: _over_windows(x, places, lambda w, over: function(w, axis=over)),
            )
        return self._reduced("median", lambda x: median(x, axis, size, before, skip))

    def argmax(self) -> N:
        """The place within each window of its largest element, as floating point."""
        return self._placed("argmax")

    def argmin(self) -> N:
        """The place within each window of its smallest element, as floating point."""
        return self._placed("argmin")

    def _placed(self, kind: str) -> N:
        if len(self._windows) > 1:
            raise AxisError("The places within windows are along one name.").at(user_line())
        return self._reduced(kind)

    def std(self, ddof: int = 0) -> N:
        return self._reduced("std", ddof=ddof)

    def var(self, ddof: int = 0) -> N:
        return self._reduced("var", ddof=ddof)


def _filled(a: Any, name: str, widths: tuple[int, int], value: Any) -> Any:
    if not isinstance(value, float) or not math.isnan(value):
        made = a.pad({name: widths}, constant_values=value)
        return bare(made.array, made._axes.without(name))
    a, full = inexact(a), [widths if d == name else (0, 0) for d in a.dims]
    held = with_leaf(a, lambda x: jnp.pad(x, full, constant_values=jnp.nan))
    return bare(held, a._axes.without(name))


def _valid(x: Any) -> Any:
    return ~jnp.isnan(x) if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.ones(x.shape, bool)


def _over_windows(
    x: Any,
    places: Sequence[tuple[int, int, int]],
    function: Callable[..., Any],
    reduced: tuple[int, ...] = (),
) -> Any:
    """`function(window, axes)` of the window of each place, nan beyond the array."""
    (axis, size, before), *rest = places
    n, padding = x.shape[axis], [(0, 0)] * x.ndim
    padding[axis] = (before, size - 1 - before)
    padded = jnp.pad(x, padding, constant_values=jnp.nan)

    def at(start: Any) -> Any:
        window = lax.dynamic_slice_in_dim(padded, start, size, axis)
        if not rest:
            return function(window, (axis,))
        inner = lambda w, over: function(w, (axis, *over))  # noqa: E731
        return _over_windows(window, rest, inner, (*reduced, axis))

    block = max(1, _BLOCK * n // max(1, x.size * math.prod(s for _, s, _ in places)))
    out = lax.map(at, jnp.arange(n), batch_size=min(block, n))
    return jnp.moveaxis(out, 0, axis - sum(i < axis for i in reduced))


def _fresh(name: str, a: NamedBase) -> str:
    new = f"{name}_window"
    while new in a._axes.place:
        new += "_"
    return new
