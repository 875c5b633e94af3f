"""Blocks of neighbouring places: `a.coarsen(x=4).mean()`."""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.base import bare
from .._array.coordinates import Coordinate
from .._array.errors import AxisError, AxisSizeError
from .._by_name.shapes import _pairs
from .._labels.distances import from_first, inexact, with_leaf
from .groups import GroupReductions, Partition, reduced

_COORDINATES: dict[str, Callable[..., Any]] = {
    "mean": np.mean, "min": np.min, "max": np.max, "median": np.median,
    "first": lambda x, axis: np.take(x, 0, axis), "last": lambda x, axis: np.take(x, -1, axis),
}  # fmt: skip


class Coarsen(GroupReductions):
    """`a.coarsen(x=4)`: blocks of four places, to reduce; coordinates become the blocks' means.

    **Arguments**: `boundary` says what to do where a size is no multiple: "exact" refuses, "trim"
    leaves the rest out, "pad" adds nans; `side`, on which side, "left" or "right", blocks begin;
    `coord_func`, what blocks' coordinates are: "mean", "min", "max", "median", "first" or "last".

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray
    >>> a = NamedArray(jnp.array([1.0, 2.0, 6.0, 8.0]), ("x",), coords={"x": [0.0, 1.0, 2.0, 3.0]})
    >>> a.coarsen(x=2).mean().coord("x").array.tolist()
    [0.5, 2.5]

    ```
    """

    def __init__(
        self, a: Any, windows: Mapping[Any, int], boundary: str, side: Any, coord_func: Any
    ):
        if boundary not in ("exact", "trim", "pad"):
            raise AxisError(
                f"`coarsen` got boundary={boundary!r}.", "It is 'exact', 'trim' or 'pad'."
            ).at(user_line())
        self._parts: list[tuple[Partition, Coordinate | None]] = []
        for axis, size in windows.items():
            i = a._axes.position("coarsen", axis, a)
            name = a.dims[i]
            from_left = (side.get(name, "left") if isinstance(side, Mapping) else side) == "left"
            kind = coord_func.get(name, "mean") if isinstance(coord_func, Mapping) else coord_func
            a, codes, labels = _blocks(a, i, name, int(size), boundary, from_left, kind)
            part = Partition(
                name, i, codes, labels or Coordinate(np.arange(codes.max(initial=-1) + 1)), name
            )
            self._parts.append((part, labels))
        self._array = a

    def _reduced(self, kind: str, names: Any, skipna: bool | None, **options: Any) -> Any:
        if len(self._parts) == 1:
            part, labels = self._parts[0]
            out = reduced(self._array, part, kind, names, skipna, **options)
            return out if labels is not None else out.drop_coords(part.name)
        return self._several(kind, names, skipna, options)

    def construct(self, names: Mapping[Any, Any] | None = None, /, **more: Any) -> Any:
        """The blocks themselves: `a.coarsen(time=12).construct(time=("year", "month"))`.

        Each name becomes two, the blocks and the places in them; its coordinates go.
        """
        out = self._array
        pairs = _pairs("construct", names, more)
        for part, _ in self._parts:
            if part.name not in pairs or len(pairs) != len(self._parts):
                raise AxisError(
                    f"`construct` needs two names for each of {[p.name for p, _ in self._parts]}.",
                    "Write `.construct(time=('year', 'month'))`.",
                ).at(user_line())
            blocks = int(part.codes.max(initial=-1)) + 1
            sizes = (blocks, len(part.codes) // max(blocks, 1))
            out = out.unflatten(part.name, dict(zip(pairs[part.name], sizes, strict=True)))
        return out

    def _several(self, kind: str, names: Any, skipna: bool | None, options: Any) -> Any:
        """Over blocks along several names: blocks side by side, then one reduction of each."""
        a, lags = self._array, []
        for part, labels in self._parts:
            blocks = int(part.codes.max(initial=-1)) + 1
            lag = f"{part.name}_block"
            a = a.unflatten(part.name, {part.name: blocks, lag: len(part.codes) // max(blocks, 1)})
            if labels is not None:
                a = bare(a.array, a._axes.with_coord(part.name, labels))
            lags.append(lag)
        one = a.flatten(lags, "_block")
        place = one._axes.place["_block"]
        codes = np.zeros(one.sizes["_block"], int)
        whole = Partition("_block", place, codes, Coordinate(np.zeros(1, int)), "_block")
        out = reduced(one, whole, kind, names, skipna, **options).isel(_block=0)
        out = out.drop_coords("_block")
        return out.transpose(*[d for d in self._array.dims if d in out.dims], ...)


def _blocks(
    a: Any, i: int, name: str, size: int, boundary: str, from_left: bool, kind: Any
) -> tuple[Any, np.ndarray, Coordinate | None]:
    """The array with a whole number of blocks, the block of each place, and the blocks' labels."""
    n, known = a.shape[i], a._axes.coords.get(name)
    if size < 1:
        raise AxisSizeError(f"`coarsen` got blocks of {size} along {name!r}.").at(user_line())
    rest = n % size
    if rest and boundary == "exact":
        raise AxisSizeError(
            f"`coarsen` cannot cut {name!r} of size {n} in blocks of {size}.",
            "Give boundary='trim' or 'pad'.",
        ).at(user_line())
    lacking = (-n) % size if boundary == "pad" else 0
    if rest and boundary == "trim":
        kept = slice(0, n - rest) if from_left else slice(rest, n)
        a = a.isel({name: kept})
        known = None if known is None else known.take(kept)
    elif lacking:
        ends = (0, lacking) if from_left else (lacking, 0)
        widths = [ends if k == i else (0, 0) for k in range(a.ndim)]
        a = inexact(a)
        padded = with_leaf(a, lambda x: jnp.pad(x, widths, constant_values=jnp.nan))
        a = bare(padded, a._axes.without(name))
    blocks = (n + lacking) // size
    codes = np.repeat(np.arange(blocks), size)
    if known is None:
        return a, codes, None
    return a, codes, _labels(known, size, blocks, kind, from_left)


def _labels(known: Coordinate, size: int, blocks: int, kind: Any, from_left: bool) -> Coordinate:
    """The blocks' coordinates, in double precision relative to the first."""
    values, n = known.values, len(known)
    function = kind if callable(kind) else _COORDINATES.get(kind)
    if function is None:
        raise AxisError(f"`coarsen` got coord_func={kind!r}.").at(user_line())
    if values.dtype.kind not in "iufbmM" and known.calendar is None:
        function = _COORDINATES["first"]
    starts = [size * b - (0 if from_left else size * blocks - n) for b in range(blocks)]
    parts = [values[max(0, s) : min(n, s + size)] for s in starts]
    if known.calendar is not None and n:
        since, tick = from_first(known), datetime.timedelta(microseconds=1)
        means = [
            float(np.asarray(function(since[max(0, s) : min(n, s + size)], axis=0))) for s in starts
        ]
        return Coordinate(np.array([values[0] + round(m) * tick for m in means], object))
    if values.dtype.kind in "mM" or values.dtype.kind in "iuf" and n:
        first = values[0]
        ticks = [p - first for p in parts]
        if values.dtype.kind in "mM":
            made: Any = [function(t.astype(np.int64), axis=0) for t in ticks]
            whole: list[Any] = [int(x) for x in made]
            steps = np.array(whole).astype(ticks[0].dtype)
            return Coordinate(first + steps, known.tree)
        made = np.array([function(t.astype(np.float64), axis=0) for t in ticks]) + np.float64(first)
        exact = kind in ("min", "max", "first", "last")
        return Coordinate(made.astype(values.dtype) if exact else made, known.tree)
    return Coordinate(np.array([function(p, axis=0) for p in parts]), known.tree)
