"""Alignment of operands by name, computed once for each pair of `Axes` and kept."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.axes import Axes, axes
from .._array.base import N, NamedBase, plain_operand
from .._array.coordinates import meet, met_beside
from .._array.errors import (
    AxisError,
    AxisSizeError,
    PositionalError,
    show_dims,
)
from .call_jax import apply

_LIMIT = 4096  # entries of a cache of pairs


class Step(NamedTuple):
    """How one operand gets the axes of a result: transposed, then with axes of size 1."""

    order: tuple[int, ...] | None
    new: tuple[int, ...]

    def __call__(self, x: Any) -> Any:
        if type(x) is np.ndarray:  # what is known stays known while a program is traced
            x = x if self.order is None else x.transpose(self.order)
            return np.expand_dims(x, self.new)
        if self.order is not None:
            x = apply(jnp.transpose, x, self.order)
        return apply(jnp.expand_dims, x, self.new) if self.new else x


class Alignment(NamedTuple):
    """How operands of given layouts align.

    **Attributes**: the layout of the result; a step for each operand; and for each name that
    several operands have, the places where it is: (operand, axis).
    """

    axes: Axes
    steps: tuple[Step, ...]
    shared: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]

    def check(self, op: str, shapes: Sequence[tuple[int, ...]]) -> None:
        """**Raises** `AxisSizeError` where a name has two sizes; a size of 1 is a size."""
        for name, places in self.shared:
            sizes = [shapes[operand][axis] for operand, axis in places]
            if sizes.count(sizes[0]) != len(sizes):
                raise size_mismatch(op, name, sizes).at(user_line())


def size_mismatch(op: str, name: str | None, sizes: Sequence[int]) -> AxisSizeError:
    shown = " and ".join(map(str, dict.fromkeys(sizes)))
    return AxisSizeError(
        f"`{op}` got the axis {name!r} with the sizes {shown}.",
        "Select the same places of both first (`isel`); an axis of size 1 goes with `squeeze`.",
    )


_alignments: dict[tuple[Any, ...], Alignment] = {}


def alignment(op: str, layouts: tuple[Axes, ...]) -> Alignment:
    """How operands of these layouts align. **Raises** where an axis without a name would."""
    found = _alignments.get(layouts)
    if found is None:
        found = _align(op, layouts)
        if len(_alignments) >= _LIMIT:
            _alignments.clear()
        _alignments[layouts] = found
    return found


def _align(op: str, layouts: tuple[Axes, ...]) -> Alignment:
    with_axes = [x for x in layouts if x.dims]
    if len(with_axes) > 1:
        for layout in with_axes:
            if not layout.named:
                raise unnamed(op, layout).at(user_line())
    dims = tuple(dict.fromkeys(name for layout in layouts for name in layout.dims))
    if len(with_axes) == 1:
        dims = with_axes[0].dims
    steps, places = [], {}
    for i, layout in enumerate(layouts):
        if layout.dims == dims or not layout.dims:
            order, new = None, ()
        else:
            order = tuple(layout.place[n] for n in dims if n in layout.place)
            order = None if order == tuple(range(len(order))) else order
            new = tuple(k for k, n in enumerate(dims) if n not in layout.place)
        steps.append(Step(order, new))
        for name, axis in layout.place.items():
            places.setdefault(name, []).append((i, axis))
    coords = meet(op, *[layout.coords for layout in layouts])
    shared = tuple((n, tuple(p)) for n, p in places.items() if len(p) > 1)
    beside = met_beside(*[layout.beside for layout in layouts])
    return Alignment(axes(dims, coords, beside=beside), tuple(steps), shared)


def unnamed(op: str, layout: Axes) -> AxisError:
    return AxisError(
        f"`{op}` aligns by name, and one operand has the dims {show_dims(layout.dims)}.",
        "Name the axes that have none with `.tag(...)`; or run positional code with `cmap` or "
        "under `quaxify`.",
    )


def _operands(op: str, operands: Sequence[N | Any]) -> list[N]:
    out = []
    for x in operands:
        if not isinstance(x, NamedBase):
            x = x.canonical() if hasattr(x, "canonical") else x
        if not isinstance(x, NamedBase):
            if getattr(x, "shape", None) is not None and x.shape != ():
                raise plain_operand(op, x)
            raise PositionalError(
                f"`{op}` takes named arrays, and got {type(x).__name__}.",
                "Multiply by numbers with `*`.",
            ).at(user_line())
        if not x._axes.named:
            raise unnamed(op, x._axes).at(user_line())
        out.append(x)
    return out
