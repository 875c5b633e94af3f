"""Names of axes through gathers, scatters and slices at places known when a program runs."""

from sciquax.core import Structure

from .._array.axes import Dims
from .call import Call, _enrol


def _dynamic_slice(call: Call) -> Dims:
    sizes = call.params["slice_sizes"]
    places = [i for i, n in enumerate(call.shapes[0]) if sizes[i] != n]
    return call.move_all(call.dims[0], places)


def _dynamic_update_slice(call: Call) -> Dims:
    _write_part(call, 1, dict(enumerate(range(len(call.dims[0])))))
    return call.same((0, 1))


def _write_part(call: Call, operand: int, axes: dict[int, int]) -> None:
    """Note the axes of what is written that are shorter than those it is written to."""
    call.written.add((operand, None))
    for u, i in axes.items():
        name = call.dims[operand][u]
        if name is not None and call.shapes[operand][u] != call.shapes[0][i]:
            call.written.add((operand, name))


def _gather(call: Call) -> Dims:
    """Window axes keep their names, index axes bring theirs.

    A single plain list of places along one axis keeps that axis' name, as a slice does.
    """
    numbers = call.params["dimension_numbers"]
    operand, places = call.dims[0], call.dims[1][:-1]
    sizes = call.params["slice_sizes"]
    batching = tuple(numbers.operand_batching_dims)
    index_batching = tuple(numbers.start_indices_batching_dims)
    window = [
        i for i in range(len(operand))
        if i not in numbers.collapsed_slice_dims and i not in batching
    ]  # fmt: skip
    out: list[str | None] = [None] * (len(numbers.offset_dims) + len(places))
    for place, i in zip(numbers.offset_dims, window, strict=True):
        out[place] = operand[i] if sizes[i] == call.shapes[0][i] else call.move(operand[i])
        if sizes[i] == 1 != call.shapes[0][i] and operand[i] in places:
            out[place] = None  # one element per place: the places' axis has the name
        elif 1 < sizes[i] < call.shapes[0][i] and len(places) > len(index_batching):
            out[place] = None  # windows of an axis: where in a window is no place along the axis
    # Where single elements are picked, their labels are the indices', or none.
    call.picked.update(
        (0, name) for i, name in enumerate(operand)
        if i not in batching and sizes[i] != call.shapes[0][i]
    )  # fmt: skip
    rest = [i for i in range(len(out)) if i not in numbers.offset_dims]
    free = [k for k in range(len(places)) if k not in index_batching]
    picked = [i for i in numbers.collapsed_slice_dims if i in numbers.start_index_map]
    for k, place in enumerate(rest):
        name = places[k]
        if k in index_batching:
            name = call.unify(name, operand[batching[index_batching.index(k)]])
        elif name is None and len(free) == 1 and len(picked) == 1:
            name = call.move(operand[picked[0]])
        out[place] = name
    return tuple(out)


def _scatter(call: Call) -> Dims:
    """The operand's axes; what is written has their names, or the indices', where it has any."""
    numbers = call.params["dimension_numbers"]
    operand, places, updates = call.dims[0], call.dims[1][:-1], call.dims[2]
    batching = tuple(numbers.operand_batching_dims)
    index_batching = tuple(numbers.scatter_indices_batching_dims)
    out = list(operand)
    window = [
        i for i in range(len(operand))
        if i not in numbers.inserted_window_dims and i not in batching
    ]  # fmt: skip
    for u, i in zip(numbers.update_window_dims, window, strict=True):
        name = call.unify(operand[i], updates[u])
        if call.shapes[2][u] == call.shapes[0][i]:
            out[i] = name
    _write_part(call, 2, dict(zip(numbers.update_window_dims, window, strict=True)))
    rest = [u for u in range(len(updates)) if u not in numbers.update_window_dims]
    free = [k for k in range(len(places)) if k not in index_batching]
    call.written.update((1, name) for name in (None, *places))  # they say where, and are no labels
    picked = [i for i in numbers.inserted_window_dims if i in numbers.scatter_dims_to_operand_dims]
    for k, u in enumerate(rest):
        written = updates[u]
        if k not in index_batching and written is not None:
            call.written.add((2, written))  # where its elements go, the indices say
        if k in index_batching:
            i = batching[index_batching.index(k)]
            out[i] = call.unify(operand[i], places[k], updates[u])
        elif places[k] is None and len(free) == 1 and len(picked) == 1:
            call.unify(operand[picked[0]], updates[u])
        else:
            call.unify(places[k], updates[u])
    return tuple(out)


def _maybe_set(call: Call) -> Dims:
    """Equinox's write of a slice in a loop: the buffer's axes after the first are the slice's."""
    buffer, written = call.dims[1], call.dims[2]
    n = len(buffer) - len(written)
    rest = tuple(call.unify(*pair) for pair in zip(buffer[n:], written, strict=True))
    return (*buffer[:n], *rest)


_enrol("dynamic_slice", _dynamic_slice)
_enrol("dynamic_update_slice", _dynamic_update_slice)

_enrol(Structure.GATHER, _gather)
_enrol(Structure.SCATTER, _scatter)
_enrol("maybe_set", _maybe_set)
