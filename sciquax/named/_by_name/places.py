"""Places along axes given by name, and the elements there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from sciquax.core import is_value, user_line
from sciquax.core.internal import Tracer

from .._array.axes import Axes, axes, check_distinct
from .._array.base import NamedBase, bare
from .._array.coordinates import Beside, Coordinate, meet
from .._array.errors import AxisError, AxisIndexError, PositionalError, show_dims
from .._array.host import host_leaf, on_device
from .._labels.host_functions import picked
from .alignment import alignment, size_mismatch, unnamed
from .call_jax import apply
from .shapes import permuted


class Places(NamedTuple):
    """Indices by position: static integers and slices, and named arrays of integers."""

    basic: dict[int, int | slice]
    arrays: dict[int, NamedBase]


def _places(a: NamedBase, op: str, indexers: dict[Any, Any]) -> Places:
    basic: dict[int, int | slice] = {}
    arrays: dict[int, NamedBase] = {}
    for axis, index in indexers.items():
        i = a._axes.position(op, axis, a)
        if i in basic or i in arrays:
            raise AxisError(f"`{op}` got {a.dims[i]!r} twice.").at(user_line())
        name, size = a.dims[i], a.shape[i]
        assert name is not None
        if isinstance(index, slice):
            basic[i] = _checked_slice(op, name, index)
            continue
        if isinstance(index, (bool, np.bool_)):
            raise PositionalError(
                f"`{op}` got {index!r} as a place along {name!r}; places are integers."
            ).at(user_line())
        if isinstance(index, (int, np.integer)):
            basic[i] = _checked_place(op, name, int(index), size)
            continue
        if isinstance(index, NamedBase) and np.dtype(index.dtype) == np.bool_:
            meet(op, a._axes.coords, index._axes.coords)
        array = _as_places(op, name, index, size)
        if array.ndim == 0 and not isinstance(array.array, Tracer):
            basic[i] = int(array.array)
        else:
            arrays[i] = array
    return Places(basic, arrays)


def _checked_slice(op: str, name: str, index: slice) -> slice:
    for part in (index.start, index.stop, index.step):
        if part is not None and not isinstance(part, (int, np.integer)):
            raise PositionalError(
                f"`{op}` got {index} along {name!r}; places are integers.",
                "`sel` takes values of coordinates.",
            ).at(user_line())
    if index.step == 0:
        raise AxisIndexError(f"`{op}` got a slice along {name!r} with the step 0.").at(user_line())
    return index


def _checked_place(op: str, name: str, place: int, size: int) -> int:
    if not -size <= place < size:
        raise AxisIndexError(
            f"`{op}` got the place {place} along {name!r}, whose size is {size}."
        ).at(user_line())
    return place + size if place < 0 else place


def _as_places(op: str, name: str, index: Any, size: int) -> NamedBase:
    """Integers, checked if they are known; a mask becomes the places where it is true."""
    layout = None
    if isinstance(index, NamedBase):
        layout, index = index._axes, index.array
    if is_value(index):
        raise PositionalError(
            f"`{op}` got a {type(index).__name__} as places along {name!r}.",
            "Places are integers; `sel` takes values of coordinates.",
        ).at(user_line())
    if not isinstance(index, Tracer):
        index = np.asarray(index)
        if index.size == 0 and index.dtype == float:
            index = index.astype(int)
    kind = np.dtype(index.dtype).kind
    if kind in "iu" and index.dtype.itemsize < 4:  # a size need not fit the dtype of places
        index = index.astype(np.int32)
    if kind == "b":
        return _masked(op, name, index, layout, size)
    if kind not in "iu":
        raise PositionalError(
            f"`{op}` got an array of {index.dtype} as places along {name!r}.",
            "Places are integers; `sel` takes values of coordinates.",
        ).at(user_line())
    if layout is None:
        if index.ndim > 1:
            raise PositionalError(
                f"`{op}` got places along {name!r} of shape {index.shape} without names.",
                "Name their axes: `NamedArray(places, ('u', 'v'))`.",
            ).at(user_line())
        layout = axes((name,) if index.ndim else ())
    elif not layout.named:
        raise unnamed(op, layout).at(user_line())
    if isinstance(index, np.ndarray):
        outside = index[(index < -size) | (index >= size)]
        if outside.size:
            raise AxisIndexError(
                f"`{op}` got the place {outside.flat[0]} along {name!r}, whose size is {size}."
            ).at(user_line())
        index = np.where(index < 0, index + size, index)
    return bare(index, layout)


def _masked(op: str, name: str, mask: Any, layout: Axes | None, size: int) -> Any:
    if mask.ndim != 1 or layout is not None and layout.dims != (name,):
        dims = () if layout is None else layout.dims
        raise AxisError(
            f"`{op}` got a mask of shape {mask.shape} with the dims {show_dims(dims)} for "
            f"{name!r}.",
            f"A mask for {name!r} has that axis alone; or use `named.where(mask, a, fill)`.",
        ).at(user_line())
    if mask.shape[0] != size:
        raise size_mismatch(op, name, [size, mask.shape[0]]).at(user_line())
    if isinstance(mask, Tracer):
        raise PositionalError(
            f"`{op}` got a mask along {name!r} that is only known when the program runs, so "
            "that the result's size is not known.",
            "Use `named.where(mask, a, fill)`.",
        ).at(user_line())
    return bare(np.flatnonzero(mask), axes((name,)))


class Pointwise(NamedTuple):
    """Arrays of places brought to common axes.

    **Attributes**: their layout; the positions of the axes that are indexed; an index for each.
    """

    layout: Axes
    positions: tuple[int, ...]
    places: tuple[Any, ...]


def _pointwise(a: NamedBase, op: str, arrays: dict[int, NamedBase]) -> Pointwise:
    indexed = {a.dims[i] for i in arrays}
    given = dict(arrays)
    names = dict.fromkeys(n for x in arrays.values() for n in x.dims)
    for name in names:
        if name is not None and name in a._axes.place and name not in indexed:  # walked along with
            i = a._axes.place[name]
            size = next(x.sizes[name] for x in arrays.values() if name in x.dims)
            if size != a.shape[i]:
                raise size_mismatch(op, name, [a.shape[i], size]).at(user_line())
            known: dict[Any, Coordinate] = (
                {name: a._axes.coords[name]} if name in a._axes.coords else {}
            )
            given[i] = bare(np.arange(size), axes((name,), known))
    positions = tuple(sorted(given))
    plan = alignment(op, tuple(given[i]._axes for i in positions))
    plan.check(op, [given[i].shape for i in positions])
    index = [step(given[i].array) for i, step in zip(positions, plan.steps, strict=True)]
    ndim = len(plan.axes.dims)
    index = [x if x.ndim == ndim else x.reshape((1,) * ndim) for x in index]
    return Pointwise(plan.axes, positions, tuple(index))


def _labels_at(a: NamedBase, points: Pointwise) -> dict[str, Beside]:
    """The indexed axes' coordinates at known places, along the places' own axes."""
    at = {a.dims[i]: np.asarray(x) for i, x in zip(points.positions, points.places, strict=True)}
    held = {n: ((n,), c) for n, c in a._axes.coords.items() if n in at}
    held |= {n: c for n, c in a._axes.beside.items() if c.dims and set(c.dims) <= set(at)}
    shape = np.broadcast_shapes(*[x.shape for x in at.values()])
    made = {}
    for name, (dims, known) in held.items():
        values = np.broadcast_to(known.values[tuple(at[d] for d in dims)], shape)
        made[str(name)] = Beside(points.layout.dims, Coordinate(values, known.tree))  # pyright: ignore
    return made


def _is_known(index: Sequence[Any]) -> bool:
    return not any(isinstance(x, Tracer) for x in index)


def isel(a: NamedBase, op: str, indexers: dict[Any, Any]) -> Any:
    """Implement `NamedArray.isel`."""
    places = _places(a, op, indexers)
    if places.basic:
        a = _basic(a, places.basic)
        kept = [
            i for i in range(a.ndim + sum(isinstance(p, int) for p in places.basic.values()))
            if not isinstance(places.basic.get(i), int)
        ]  # fmt: skip
        arrays = {kept.index(i): x for i, x in places.arrays.items()}
    else:
        arrays = places.arrays
    if not arrays:
        return a
    if all(x.dims in ((), (a.dims[i],)) for i, x in arrays.items()):
        return _orthogonal(a, arrays)
    return _vectorised(a, op, arrays)


def _basic(a: NamedBase, basic: dict[int, int | slice]) -> Any:
    index = tuple(basic.get(i, slice(None)) for i in range(a.ndim))
    coords, dims = {}, []
    at: dict[str, Any] = {str(a.dims[i]): x for i, x in basic.items()}
    beside = {n: c.taken(at) for n, c in a._axes.beside.items()}
    for i, name in enumerate(a.dims):
        own = a._axes.coords.get(name)  # pyright: ignore[reportArgumentType]
        if isinstance(index[i], int):
            if own is not None:  # what is left of an axis is where it was
                beside[str(name)] = Beside((), own.take(index[i]))
            continue
        dims.append(name)
        if own is not None:
            coords[name] = own if index[i] == slice(None) else own.take(index[i])
    return bare(picked(a.array, index), axes(tuple(dims), coords, a._axes.attrs, beside))


def _orthogonal(a: NamedBase, arrays: dict[int, NamedBase]) -> Any:
    """Lists of places, each along its own axis."""
    out, dims, coords = a.array, list(a.dims), dict(a._axes.coords)
    beside = a._axes.beside
    for i in sorted(arrays, reverse=True):
        index = arrays[i].array
        out = apply(jnp.take, out, index, axis=i)
        name = dims[i]
        own = coords.pop(name, None)
        if isinstance(index, np.ndarray):
            beside = {n: c.taken({str(name): index}) for n, c in beside.items()}
        else:
            beside = {n: c for n, c in beside.items() if name not in c.dims}
        if arrays[i].ndim == 0:
            del dims[i]
        elif own is not None and isinstance(index, np.ndarray):
            coords[name] = own.take(index)
        coords = meet("isel", coords, arrays[i]._axes.coords)
    return bare(out, axes(tuple(dims), coords, a._axes.attrs, beside))


def _vectorised(a: NamedBase, op: str, arrays: dict[int, NamedBase]) -> Any:
    points = _pointwise(a, op, arrays)
    rest = [i for i in range(a.ndim) if i not in points.positions]
    moved = permuted(a, (*points.positions, *rest)).array
    if host_leaf(moved) is not None and _is_known(points.places):
        out = picked(moved, tuple(map(np.asarray, points.places)))
    elif _is_known(points.places):
        out = moved[tuple(map(jnp.asarray, points.places))]
    else:
        out = on_device(moved).at[tuple(map(jnp.asarray, points.places))].get(mode="fill")
    first = points.positions[0]
    before = [i for i in rest if i < first]
    dims = (*points.layout.dims, *(a.dims[i] for i in rest))
    kept = {a.dims[i] for i in rest}
    coords = {n: c for n, c in a._axes.coords.items() if n in kept} | points.layout.coords
    n = len(points.layout.dims)
    check_distinct(op, dims)
    beside = {k: c for k, c in a._axes.beside.items() if set(c.dims) <= kept}
    if _is_known(points.places):
        beside = {**_labels_at(a, points), **beside}
    made = bare(out, axes(dims, coords, beside=beside))
    order = (*range(n, n + len(before)), *range(n), *range(n + len(before), len(dims)))
    return permuted(made, order)
