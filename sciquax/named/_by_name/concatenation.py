"""Joining arrays: along a name they have, or along a new one."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import user_line

from .._array.axes import axes, name_of, size_given
from .._array.base import N, NamedBase, bare
from .._array.coordinates import Beside, Coordinate, meet, met_beside
from .._array.errors import AxisError, AxisSizeError, CoordinateError, absent, show_dims
from .._labels.lookup import comparable
from .alignment import _operands, size_mismatch
from .call_jax import apply
from .shapes import permuted


def _arrays(op: str, arrays: Sequence[N | Any]) -> list[N]:
    if isinstance(arrays, NamedBase):
        raise AxisError(f"`{op}` takes a list of arrays.", f"Write `{op}([a, b], 'x')`.").at(
            user_line()
        )
    out = _operands(op, list(arrays))
    if not out:
        raise AxisError(f"`{op}` needs at least one array.").at(user_line())
    return out


def _like_first(op: str, arrays: Sequence[N], along: str | None) -> list[N]:
    """All arrays with the first one's order of axes; sizes checked, except along one name."""
    first = arrays[0]
    out = []
    for number, a in enumerate(arrays):
        if set(a.dims) != set(first.dims):
            raise AxisError(
                f"`{op}` got the dims {show_dims(first.dims)} and, in array {number}, "
                f"{show_dims(a.dims)}.",
                "All arrays have the same names, in any order.",
            ).at(user_line())
        for name, size in a.sizes.items():
            if name != along and size != first.sizes[name]:
                raise size_mismatch(op, name, [first.sizes[name], size]).at(user_line())
        out.append(permuted(a, tuple(a._axes.place[str(n)] for n in first.dims)))
    return out


def _merged(op: str, arrays: Sequence[NamedBase], without: str | None) -> dict[str, Coordinate]:
    return meet(op, *[{n: c for n, c in a._axes.coords.items() if n != without} for a in arrays])


def concatenate(arrays: Sequence[N | Any], name: Any) -> N:
    """Concatenate arrays along a name that all have; axes are matched by name.

    Coordinates along the name are joined. **Raises** `AxisError` if the name is absent or the
    names differ, `AxisSizeError` where other sizes differ, `CoordinateError` if only some arrays
    have coordinates along the name.
    """
    given = _arrays("concatenate", arrays)
    along = name_of(name)
    for a in given:
        if along not in a._axes.place:
            raise absent("concatenate", along, a.dims).at(user_line())
    given = _like_first("concatenate", given, along)
    coords = _merged("concatenate", given, along)
    own = [a._axes.coords.get(along) for a in given]
    if any(own):
        if not all(own):
            raise CoordinateError(
                f"`concatenate` got coordinates along {along!r} for some arrays and not for "
                "others.",
                f"Give them to all, or drop them: `.drop_coords({along!r})`.",
            ).at(user_line())
        coords[along] = _joined(along, [c for c in own if c is not None])
    axis = given[0]._axes.place[along]
    out = apply(jnp.concatenate, [a.array for a in given], axis=axis)
    made = bare(out, axes(given[0].dims, coords, beside=_beside(given, along)))
    made._axes.position("concatenate", name, made)
    return made


def _beside(given: Sequence[NamedBase], along: str | None) -> dict[str, Beside]:
    """The coordinates beside the axes that all arrays have: joined along a name, else the same."""
    every = [a._axes.beside for a in given]
    common = [n for n in every[0] if all(n in own for own in every)]
    apart = {n for n in common if along in every[0][n].dims}
    out = met_beside(*[{n: own[n] for n in common if n not in apart} for own in every])
    for n in apart:
        parts = [own[n] for own in every]
        if all(p.dims == parts[0].dims and p.held.like(parts[0].held) for p in parts):
            axis = parts[0].dims.index(str(along))
            if all(comparable(parts[0].held, p.held.values) for p in parts):
                values = np.concatenate([p.held.values for p in parts], axis)
                out[n] = Beside(parts[0].dims, Coordinate(values, parts[0].held.tree))
    return out


def _joined(name: str, parts: list[Coordinate]) -> Coordinate:
    try:
        values = [parts[0].values, *(p.converted(parts[0]) for p in parts[1:])]
    except CoordinateError:
        raise CoordinateError(
            f"`concatenate` got coordinates of different kinds along {name!r}."
        ).at(user_line()) from None
    if not all(comparable(parts[0], v) for v in values):
        shown = " and ".join(dict.fromkeys(str(v.dtype) for v in values))
        raise CoordinateError(f"`concatenate` got coordinates of {shown} along {name!r}.").at(
            user_line()
        )
    return Coordinate(np.concatenate(values), parts[0].tree)


def stack(arrays: Sequence[N | Any], name: Any) -> N:
    """Stack arrays along a new name, which leads; their axes are matched by name.

    **Raises** `AxisError` if the name is there already or the names differ.
    """
    given = _arrays("stack", arrays)
    new, size = name_of(name), size_given(name)
    if size is not None and size != len(given):
        raise AxisSizeError(f"`stack` got {name!r} for {len(given)} arrays.").at(user_line())
    given = _like_first("stack", given, None)
    if new in given[0]._axes.place:
        raise AxisError(
            f"`stack` got {new!r}, which the arrays have: {show_dims(given[0].dims)}.",
            "Use `concatenate` to join along it, or choose another name.",
        ).at(user_line())
    coords = _merged("stack", given, None)
    places = [a._axes.beside[new].held for a in given if new in a._axes.beside]
    if len(places) == len(given) and all(c.values.ndim == 0 for c in places):
        parts = [Coordinate(c.values.reshape(1), c.tree) for c in places]
        coords[new] = _joined(new, parts)  # where the arrays were is the axis' coordinate
    out = apply(jnp.stack, [a.array for a in given])
    beside = {**_stacked(given, new), **_beside(given, None)}
    return bare(out, axes((new, *given[0].dims), coords, beside=beside))


def _stacked(given: Sequence[NamedBase], new: str) -> dict[str, Beside]:
    """The coordinates beside the axes of all arrays, stacked along a new axis."""
    out = {}
    for n, (dims, held) in given[0]._axes.beside.items():
        parts = [a._axes.beside.get(n) for a in given]
        if all(p is not None and p.dims == dims and p.held.like(held) for p in parts):
            values = [p.held.values for p in parts if p is not None]
            if all(v.shape == held.values.shape and comparable(held, v) for v in values):
                out[n] = Beside((new, *dims), Coordinate(np.stack(values), held.tree))
    return out


def unstack(a: N | Any, name: Any) -> list[N]:
    """Return one array for each place along a name; the arrays lack the name."""
    own: Any = _operands("unstack", [a])[0]
    return own.unstack(name)


def split(a: N | Any, name: Any, parts: Any) -> list[N]:
    """Split along a name: see [`sciquax.named.NamedArray`][]`.split`."""
    own: Any = _operands("split", [a])[0]
    return own.split(name, parts)
