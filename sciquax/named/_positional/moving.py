"""Names of axes that are kept, moved, repeated, cut, joined or sorted."""

import numpy as np

from sciquax.core import Structure

from .._array.axes import Dims
from .._array.errors import AxisError, show_dims
from .call import Call, _enrol

# -- elementwise, broadcasting, moving ------------------------------------------------------------


def _elementwise(call: Call) -> Dims:
    return call.broadcast()


def _each(call: Call) -> list[Dims]:
    return list(call.dims)


def _broadcast_in_dim(call: Call) -> Dims:
    shape, places = call.params["shape"], call.params["broadcast_dimensions"]
    out: list[str | None] = [None] * len(shape)
    for axis, place in enumerate(places):
        out[place] = _widened(call, axis, shape[place])
    return tuple(out)


def _widened(call: Call, axis: int, size: int) -> str | None:
    return call.repeat(call.dims[0][axis], call.shapes[0][axis], size)


def _broadcast_to(call: Call) -> Dims:
    shape = call.params.get("shape") or call.params.get("sizes") or ()
    more = len(shape) - len(call.dims[0])
    return (None,) * more + tuple(
        _widened(call, i, shape[more + i]) for i in range(len(call.dims[0]))
    )


def _tile(call: Call) -> Dims:
    reps = call.params.get("reps") or next(v for v in call.params.values() if isinstance(v, tuple))
    more = len(reps) - len(call.dims[0])
    dims = call.dims[0]
    call.move_all(dims, [i for i in range(len(dims)) if reps[more + i] != 1])
    return (None,) * more + dims


def _reshape(call: Call) -> Dims:
    """A name stays where one axis corresponds to one axis, axes of size 1 left aside."""
    old, new = call.shapes[0], tuple(call.params["new_sizes"])
    dims, order = call.dims[0], call.params.get("dimensions")
    if order is not None:  # another order of reading, as `order="F"`
        dims, old = tuple(dims[i] for i in order), tuple(old[i] for i in order)
    return reshaped(dims, old, new)


def reshaped(dims: Dims, old: tuple[int, ...], new: tuple[int, ...]) -> Dims:
    """Dims after a reshape from one shape to another, in row-major order."""
    if old == new:
        return dims
    out: list[str | None] = [None] * len(new)
    if 0 in old:
        return tuple(out)
    olds = [i for i, n in enumerate(old) if n != 1]
    news = [i for i, n in enumerate(new) if n != 1]
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(olds) and j < len(news):
        a, b, first, second = old[olds[i]], new[news[j]], i, j
        while a != b:
            if a < b:
                i += 1
                a *= old[olds[i]]
            else:
                j += 1
                b *= new[news[j]]
        if i == first and j == second:
            pairs.append((olds[i], news[j]))
        else:  # several axes became several: a wall that axes of size 1 are not matched across
            pairs.append((-1, -1))
        i, j = i + 1, j + 1
    for a, b in pairs:
        if a >= 0:
            out[b] = dims[a]
    _match_unit_axes(dims, old, new, out)
    return tuple(out)


def _match_unit_axes(
    dims: Dims, old: tuple[int, ...], new: tuple[int, ...], out: list[str | None]
) -> None:
    """Axes of size 1 keep their names where as many stand at the same end."""
    for step in (1, -1):
        a, b = list(range(len(old)))[::step], list(range(len(new)))[::step]
        runs = []
        for places, shape in ((a, old), (b, new)):
            run = []
            for i in places:
                if shape[i] != 1:
                    break
                run.append(i)
            runs.append(run)
        if len(runs[0]) == len(runs[1]) < min(len(old), len(new)):
            for i, j in zip(*runs, strict=True):
                out[j] = dims[i]


def _squeeze(call: Call) -> Dims:
    gone = call.params["dimensions"]
    return tuple(d for i, d in enumerate(call.dims[0]) if i not in gone)


def _expand_dims(call: Call) -> Dims:
    out = list(call.dims[0])
    for place in sorted(call.params["dimensions"]):
        out.insert(place, None)
    return tuple(out)


def _transpose(call: Call) -> Dims:
    return tuple(call.dims[0][i] for i in call.params["permutation"])


# -- picking and writing --------------------------------------------------------------------------


def _rev(call: Call) -> Dims:
    return call.move_all(call.dims[0], call.params["dimensions"])


def _slice(call: Call) -> Dims:
    start, stop = call.params["start_indices"], call.params["limit_indices"]
    strides = call.params["strides"] or (1,) * len(start)
    whole = zip(start, stop, strides, call.shapes[0], strict=True)
    places = [i for i, (a, b, s, n) in enumerate(whole) if (a, b, s) != (0, n, 1)]
    return call.move_all(call.dims[0], places)


def _split(call: Call) -> list[Dims]:
    dims = call.move_all(call.dims[0], [call.params["axis"]])
    return [dims] * len(call.params["sizes"])


def _unstack(call: Call) -> list[Dims]:
    axis = call.params["axis"]
    dims = tuple(d for i, d in enumerate(call.dims[0]) if i != axis)
    return [dims] * call.shapes[0][axis]


def _concatenate(call: Call) -> Dims:
    dims = call.same(range(len(call.dims)))
    return call.move_all(dims, [call.params["dimension"]])


def _stack(call: Call) -> Dims:
    dims = list(call.same(range(len(call.dims))))
    dims.insert(call.params["axis"], None)
    return tuple(dims)


def _pad(call: Call) -> Dims:
    config = call.params["padding_config"]
    return call.move_all(call.dims[0], [i for i, c in enumerate(config) if tuple(c) != (0, 0, 0)])


def _sort(call: Call) -> list[Dims]:
    dims = call.move_all(call.same(range(len(call.dims))), [call.params["dimension"]])
    return [dims] * len(call.dims)


def _top_k(call: Call) -> list[Dims]:
    axis = call.params.get("axis", call.params.get("reduction_dimension", -1))
    dims = call.move_all(call.dims[0], [axis])
    return [dims, dims]


def _all_gather(call: Call) -> list[Dims] | Dims:
    if call.params.get("tiled", False):
        return list(call.dims)
    outs = []
    for dims in call.dims:
        out = list(dims)
        out.insert(call.params["all_gather_dimension"], None)
        outs.append(tuple(out))
    return outs


def _rearranged(call: Call) -> list[Dims]:
    if not call.params.get("tiled", True):
        raise AxisError(
            f"`{call.name}` with `tiled=False` would take a named axis: {show_dims(call.dims[0])}.",
            "Use `tiled=True`.",
        )
    return list(call.dims)


def _bitcast(call: Call) -> Dims:
    """To a wider dtype the last axis goes, to a narrower one a new axis comes."""
    old, new = np.dtype(call.dtypes[0]).itemsize, np.dtype(call.params["new_dtype"]).itemsize
    dims = call.dims[0]
    return dims if old == new else dims[:-1] if old < new else (*dims, None)


_enrol(Structure.ELEMENTWISE, _elementwise)
_enrol(("device_put", "optimization_barrier"), _each)
_enrol("broadcast_in_dim", _broadcast_in_dim)
_enrol("broadcast_to", _broadcast_to)
_enrol("tile", _tile)
_enrol("reshape", _reshape)
_enrol("squeeze", _squeeze)
_enrol("expand_dims", _expand_dims)
_enrol(Structure.PERMUTE, _transpose)
_enrol("rev", _rev)
_enrol("slice", _slice)

_enrol("split", _split)
_enrol("unstack", _unstack)

_enrol("concatenate", _concatenate)
_enrol("stack", _stack)
_enrol(Structure.PAD, _pad)
_enrol("sort", _sort)
_enrol(("top_k", "approx_top_k"), _top_k)

_enrol(Structure.COLLECTIVE, _each)
_enrol("all_gather", _all_gather)
_enrol(("all_to_all", "reduce_scatter"), _rearranged)
_enrol("bitcast_convert_type", _bitcast)
_enrol("random_gamma", lambda call: call.same((0, 1)))
