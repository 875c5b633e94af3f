"""Elements at other places along names: reversed, rolled, shifted, padded, in order of labels."""

from collections.abc import Mapping
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.axes import Axes
from .._array.base import NamedBase, bare
from .._array.coordinates import Beside, Coordinate
from .._array.errors import AxisError, AxisSizeError
from .._labels.distances import with_leaf
from .call_jax import apply
from .reductions import only_name
from .shapes import _pairs, known_integer, scalar

M = TypeVar("M", bound="Moving")


class Moving(NamedBase):
    """Methods of [`sciquax.named.NamedArray`][] that move elements along names."""

    def flip(self: M, names: Any = None) -> M:
        """Reverse the order of elements along one or more names."""
        names = only_name(self, "flip", names)
        positions = self._axes.positions("flip", names, self)
        at = {self.dims[i]: slice(None, None, -1) for i in positions}
        out = apply(jnp.flip, self.array, axis=positions)
        return bare(out, self._axes.plain.taken(at))

    def roll(
        self: M, shifts: Mapping[Any, Any] | None = None, /, roll_coords: bool = False, **more: Any
    ) -> M:
        """Roll elements along names: `roll(x=2)`. Their coordinates stay where they are.

        With `roll_coords` they are rolled along, which needs known shifts.
        """
        pairs = {k: scalar("roll", v) for k, v in _pairs("roll", shifts, more).items()}
        if not pairs:
            return self
        positions = self._axes.positions("roll", list(pairs), self)
        out = apply(jnp.roll, self.array, tuple(pairs.values()), axis=positions)
        layout = self._axes.plain
        for i, by in zip(positions if roll_coords else (), pairs.values(), strict=False):
            name, n = self.dims[i], self.shape[i]
            if layout.coords or layout.beside:
                order = (np.arange(n) - known_integer("roll", by)) % max(n, 1)
                layout = layout.taken({name: order})
        return bare(out, layout)

    def diff(self: M, name: Any = None, n: int = 1, label: str = "upper") -> M:
        """Subtract neighbours along a name, which becomes `n` shorter.

        Its coordinates are the later ones, or with `label="lower"` the earlier.
        """
        place = self._axes.position("diff", only_name(self, "diff", name), self)
        if not 0 <= n <= self.shape[place]:
            raise AxisSizeError(
                f"`diff` of order {n} along an axis of size {self.shape[place]}."
            ).at(user_line())
        if label not in ("upper", "lower"):
            raise AxisError(f"`diff` got label={label!r}.", "It is 'upper' or 'lower'.").at(
                user_line()
            )
        kept = slice(n, None) if label == "upper" else slice(0, self.shape[place] - n)
        out = apply(jnp.diff, self.array, n=n, axis=place) if n else self.array
        return bare(out, self._axes.plain.taken({self.dims[place]: kept}))

    def pad(
        self: M, widths: Mapping[Any, Any] | None = None, /, mode: str = "constant",
        constant_values: Any = None, **more: Any,
    ) -> M:  # fmt: skip
        """Pad names: `pad(x=(1, 2))`, or one width for both ends; as `jnp.pad`.

        Pads with zeros in the array's own unit unless `constant_values` is given. Labels repeat
        where the elements do; new ones are nan. Labels that are strings, which have no nan, are
        dropped.
        """
        pairs = _pairs("pad", widths, more)
        positions = self._axes.positions("pad", list(pairs), self)
        full = [(0, 0)] * self.ndim
        for i, width in zip(positions, pairs.values(), strict=True):
            both = width if isinstance(width, (tuple, list)) else (width, width)
            before, after = (known_integer("pad", scalar("pad", x)) for x in both)
            full[i] = (before, after)
        if mode == "constant" and constant_values is not None:
            value = scalar("pad", constant_values)
            out = apply(jnp.pad, self.array, tuple(full), mode, constant_values=value)
        else:
            out = with_leaf(self, lambda x: apply(jnp.pad, x, tuple(full), mode))
        layout = self._axes.plain
        for i in positions if layout.coords or layout.beside else ():
            layout = _padded(layout, str(self.dims[i]), self.shape[i], full[i], mode)
        return bare(out, layout)


_REPEATING = ("edge", "reflect", "symmetric", "wrap")


def _padded(layout: Axes, name: str, n: int, widths: tuple[int, int], mode: str) -> Axes:
    """The axes of an array that is longer along a name."""
    if mode in _REPEATING or widths == (0, 0):
        known: Any = mode
        return layout.taken({name: np.pad(np.arange(n), widths, known if n else "constant")})
    own = layout.coords.get(name)
    made = layout.without(name)
    if own is not None:
        made = made.with_coord(name, _with_missing(own, 0, widths))
    beside = {
        key: Beside(c.dims, held)
        for key, c in layout.beside.items()
        if name in c.dims and (held := _with_missing(c.held, c.dims.index(name), widths))
    }
    return made.with_beside(**beside)


def _with_missing(known: Coordinate, axis: int, widths: tuple[int, int]) -> Coordinate | None:
    values = known.values
    if values.dtype.kind not in "iufmM":
        return None
    missing: Any = np.array("NaT", values.dtype) if values.dtype.kind in "mM" else np.nan
    values = values if values.dtype.kind in "fmM" else values.astype(np.float64)
    full = [widths if i == axis else (0, 0) for i in range(values.ndim)]
    return Coordinate(np.pad(values, full, constant_values=missing), known.tree)
