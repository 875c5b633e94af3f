"""Windows along names: rolling means and their kind."""

from collections.abc import Callable, Mapping
from typing import Any, Generic

import numpy as np

from sciquax.core import user_line

from .._array.axes import axes, name_of
from .._array.base import N, NamedBase, bare
from .._array.errors import AxisError, AxisSizeError
from .elementwise import where
from .shapes import _pairs


def pairs_of_windows(windows: Mapping[Any, int] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Window sizes by name, and the options among the keywords."""
    options = {k: more.pop(k) for k in ("center", "valid") if k in more}
    return {"windows": _pairs("rolling", windows, more), **options}


class Rolling(Generic[N]):
    """`a.rolling(time=3)`: windows of three places, each ending at its own; reduce them.

    `center=True` centres them. Where a window would begin before the array or go beyond it the
    result is nan; with `valid=True` those places are left out instead. Coordinates are kept.

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

    def construct(self, names: Mapping[Any, Any] | None = None, /, **more: Any) -> N:
        """The windows themselves, along new axes: `a.rolling(time=3).construct(time="lag")`.

        Only whole windows: the result is shorter by the window's size less one.
        """
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
            whole = out.sizes[name] - size + 1
            known = out._axes.coords.get(name)
            index = np.arange(whole)[:, None] + np.arange(size)
            dims = (name, new)
            out = out.drop_coords(name).isel({name: bare(index, axes(dims))})
            if known is not None:
                out = bare(out.array, out._axes.with_coord(name, known.take(self._kept(name))))
        return out

    def _kept(self, name: str) -> slice:
        """The places that have a whole window."""
        size, n = self._windows[name], self._array.sizes[name]
        first = (size - 1) // 2 if self._center else size - 1
        # An even window cannot be centred: it reaches one place further back, as in xarray.
        if self._center and size % 2 == 0:
            first = size // 2
        return slice(first, first + n - size + 1)

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
            inside = (np.arange(n) >= kept.start) & (np.arange(n) < kept.stop)
            out = out.drop_coords(name).isel({name: index})
            out = where(bare(inside, axes((name,))), out, float("nan")).transpose(*a.dims)
        return bare(out.array, a._axes.plain)

    def mean(self) -> N:
        return self.reduce(lambda w, names: w.mean(names))

    def sum(self) -> N:
        return self.reduce(lambda w, names: w.sum(names))

    def max(self) -> N:
        return self.reduce(lambda w, names: w.max(names))

    def min(self) -> N:
        return self.reduce(lambda w, names: w.min(names))

    def prod(self) -> N:
        return self.reduce(lambda w, names: w.prod(names))

    def median(self) -> N:
        return self.reduce(lambda w, names: w.median(names))

    def std(self, ddof: int = 0) -> N:
        return self.reduce(lambda w, names: w.std(names, ddof=ddof))

    def var(self, ddof: int = 0) -> N:
        return self.reduce(lambda w, names: w.var(names, ddof=ddof))


def _fresh(name: str, a: NamedBase) -> str:
    new = f"{name}_window"
    while new in a._axes.place:
        new += "_"
    return new
