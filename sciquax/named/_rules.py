"""Names through positional code: what each structure of primitive does to the names of axes.

Names follow the axes; a new axis has none. A named axis that meets one without a name keeps its
name; two different names on one axis, or one name on two axes, are refused. Only names are inferred
here: what is inside goes on through `core.bind`, and the compiled program is as it was.

Structures are facts of the primitives, kept in `sciquax/core/_families.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sciquax.core import (
    Polymorphic,
    RuleError,
    Structure,
    aval_of,
    bind,
    describe,
    is_value,
    register_family,
    strip,
)

from ._array import NamedArray
from ._axes import Dims, axes
from ._base import bare
from ._coordinates import merge
from ._errors import AxisError, AxisSizeError, show_dims
from ._nesting import _parts

Params = dict[str, Any]


class Call:
    """A primitive on operands of given dims: what a rule for names looks at.

    **Attributes**: the primitive's `name` and `params`; the `dims` and `shapes` of the operands;
    and `moved`, names along which elements are no longer at their coordinates.
    """

    __slots__ = ("dims", "dtypes", "moved", "name", "params", "shapes")

    def __init__(self, name: str, dims: list[Dims], held: Sequence[Any], params: Params):
        avals = [aval_of(x) for x in held]
        self.name, self.dims, self.params = name, dims, params
        self.shapes, self.dtypes = [tuple(a.shape) for a in avals], [a.dtype for a in avals]
        self.moved: set[str] = set()

    def unify(self, *names: str | None) -> str | None:
        """The one name among these, None being a wildcard. **Raises** `AxisError` for two."""
        known = list(dict.fromkeys(n for n in names if n is not None))
        if len(known) > 1:
            raise AxisError(
                f"`{self.name}` got {known[0]!r} and {known[1]!r} on one axis: "
                f"{' and '.join(show_dims(d) for d in self.dims if any(d))}.",
                "Under `quaxify` axes meet by position: transpose or `rename` one operand first. "
                "Operators of named arrays align by name.",
            )
        return known[0] if known else None

    def same(self, positions: Sequence[int]) -> Dims:
        """The dims of operands whose axes correspond one to one. Numbers have none."""
        dims = [self.dims[i] for i in positions]
        ndim = max(map(len, dims), default=0)
        rows = [d for d in dims if len(d) == ndim]
        if len(rows) == 1 or all(d == rows[0] for d in rows):
            return rows[0] if rows else ()
        return tuple(self.unify(*column) for column in zip(*rows, strict=True))

    def broadcast(self) -> Dims:
        """The dims of elementwise operands, in which an axis of size 1 may be repeated."""
        shapes = [s for s in self.shapes if s]
        if any(s != shapes[0] for s in shapes):
            sizes = tuple(map(max, zip(*shapes, strict=True)))
            for dims, shape in zip(self.dims, self.shapes, strict=True):
                for name, own, size in zip(dims, shape, sizes[: len(dims)], strict=True):
                    self.repeat(name, own, size)
        return self.same(range(len(self.dims)))

    def repeat(self, name: str | None, own: int, size: int) -> str | None:
        """`name`, of an axis that is repeated. **Raises** `AxisSizeError` if it has one."""
        if name is not None and own != size:
            raise AxisSizeError(
                f"`{self.name}` would repeat the axis {name!r} of size {own} to size {size}.",
                "A size of 1 is a size: select the place (`a[0]`, `squeeze`), or keep an axis "
                "without a name (`keepdims=True`) to be broadcast.",
            )
        return name

    def move(self, name: str | None) -> str | None:
        if name is not None:
            self.moved.add(name)
        return name

    def move_all(self, dims: Dims, places: Any) -> Dims:
        for i in places:
            self.move(dims[i])
        return dims


Infer = Callable[[Call], Any]
"""From a call to the dims of its output; a list of dims, if the primitive has several."""


def _rule(infer: Infer) -> Callable:
    def rule(primitive: Any, operands: Sequence[Any], params: Params) -> Any:
        try:
            return _label(infer, primitive, operands, params)
        except AxisError as error:  # its place is the equation's, which the interpreter knows
            error.location, error._sciquax_located = None, False  # pyright: ignore[reportAttributeAccessIssue]
            raise

    return rule


def _label(infer: Infer, primitive: Any, operands: Sequence[Any], params: Params) -> Any:
    held, dims, coords = zip(*map(_operand, operands), strict=True)
    call = Call(primitive.name, list(dims), held, params)
    inferred = infer(call)
    if not primitive.multiple_results and type(inferred) is list:
        (inferred,) = inferred  # a primitive that has several results on other releases of JAX
    if not any(is_value(strip(x)) for x in held):
        held = map(strip, held)
    out = bind(primitive, *held, **params)
    known = _coordinates(call, coords) if any(coords) else {}
    if not primitive.multiple_results:
        return _wrap(call, strip(out), inferred, known)
    # Zeros of any unit among several outputs stay so: `device_put` of a state and its zero start.
    named = [_wrap(call, strip(x), d, known) for x, d in zip(out, inferred, strict=True)]
    return [
        Polymorphic(y) if type(x) is Polymorphic else y for x, y in zip(out, named, strict=True)
    ]


def _operand(x: Any) -> tuple[Any, Dims, dict]:
    inner = strip(x)
    if is_value(inner) or hasattr(inner, "shape"):
        return _parts(x)
    return x, (), {}


def _wrap(call: Call, x: Any, dims: Dims, known: dict) -> NamedArray:
    named = [d for d in dims if d is not None]
    if len(set(named)) != len(named):
        name = next(d for d in named if named.count(d) > 1)
        raise AxisError(
            f"`{call.name}` would put the name {name!r} on two axes: {show_dims(dims)}.",
            f"Rename one operand's axis first: `.rename({name}='{name}2')`.",
        )
    if not known:
        return bare(x, axes(tuple(dims)))
    coords = {n: known[n] for n in named if n in known and n not in call.moved}
    sizes = dict(zip(dims, aval_of(x).shape, strict=True))
    return bare(x, axes(tuple(dims), {n: c for n, c in coords.items() if len(c) == sizes[n]}))


def _coordinates(call: Call, coords: Sequence[dict]) -> dict:
    known: dict = {}
    for own in coords:
        for name, c in own.items():
            if name in call.moved:
                continue
            known[name] = merge(call.name, name, known[name], c) if name in known else c
    return known


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


def _dynamic_slice(call: Call) -> Dims:
    sizes = call.params["slice_sizes"]
    places = [i for i, n in enumerate(call.shapes[0]) if sizes[i] != n]
    return call.move_all(call.dims[0], places)


def _dynamic_update_slice(call: Call) -> Dims:
    return call.same((0, 1))


def _split(call: Call) -> list[Dims]:
    dims = call.move_all(call.dims[0], [call.params["axis"]])
    return [dims] * len(call.params["sizes"])


def _unstack(call: Call) -> list[Dims]:
    axis = call.params["axis"]
    dims = tuple(d for i, d in enumerate(call.dims[0]) if i != axis)
    return [dims] * call.shapes[0][axis]


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
    rest = [u for u in range(len(updates)) if u not in numbers.update_window_dims]
    free = [k for k in range(len(places)) if k not in index_batching]
    picked = [i for i in numbers.inserted_window_dims if i in numbers.scatter_dims_to_operand_dims]
    for k, u in enumerate(rest):
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


# -- reducing, accumulating, contracting ----------------------------------------------------------


def _reduce(call: Call) -> Dims:
    gone = call.params.get("axes")
    gone = range(len(call.dims[0])) if gone is None else gone
    return tuple(d for i, d in enumerate(call.dims[0]) if i not in gone)


def _general_reduce(call: Call) -> list[Dims]:
    half = len(call.dims) // 2
    dims = call.same(range(half))
    gone = call.params["dimensions"]
    return [tuple(d for i, d in enumerate(dims) if i not in gone)] * half


def _first(call: Call) -> Dims:
    return call.dims[0]


def _window(call: Call) -> Dims:
    """Windows slide along axes, which keep their names; a window of one place moves nothing."""
    window = call.params.get("window_dimensions", ())
    dims = call.same([i for i, d in enumerate(call.dims) if d])
    return call.move_all(dims, [i for i, n in enumerate(window) if n != 1])


def _general_window(call: Call) -> list[Dims]:
    return [_window(call)] * (len(call.dims) // 2)


def _select_and_scatter(call: Call) -> Dims:
    """The source's axes are the operand's, windowed."""
    return call.same((0, 1))


def _dot_general(call: Call) -> Dims:
    """Each contracted pair and each batched pair is of one name."""
    return _contracted(call, *call.params["dimension_numbers"])


def _contracted(call: Call, contract: Any, batch: Any) -> Dims:
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = contract, batch
    lhs, rhs = call.dims[:2]
    for i, j in zip(lhs_contract, rhs_contract, strict=True):
        call.unify(lhs[i], rhs[j])
    out = [call.unify(lhs[i], rhs[j]) for i, j in zip(lhs_batch, rhs_batch, strict=True)]
    out += [d for i, d in enumerate(lhs) if i not in lhs_contract and i not in lhs_batch]
    out += [d for j, d in enumerate(rhs) if j not in rhs_contract and j not in rhs_batch]
    return tuple(out)


def _ragged_dot(call: Call) -> Dims:
    """As `dot_general`; the right operand's group axis goes."""
    numbers = call.params["ragged_dot_dimension_numbers"]
    contract, batch = numbers.dot_dimension_numbers
    groups = tuple(numbers.rhs_group_dimensions)
    ragged = tuple(numbers.lhs_ragged_dimensions)
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = contract, batch
    lhs, rhs = call.dims[:2]
    for i, j in zip(lhs_contract, rhs_contract, strict=True):
        call.unify(lhs[i], rhs[j])
    out = [call.unify(lhs[i], rhs[j]) for i, j in zip(lhs_batch, rhs_batch, strict=True)]
    out += [d for i, d in enumerate(lhs) if i not in lhs_contract and i not in lhs_batch]
    out += [d for j, d in enumerate(rhs) if j not in (*rhs_contract, *rhs_batch, *groups)]
    if any(i in lhs_contract for i in ragged):  # a sum over each group: a leading axis of groups
        out = [None, *out]
    return tuple(out)


def _conv(call: Call) -> Dims:
    """Batch and space from the image, features from the kernel; input features are contracted."""
    numbers = call.params["dimension_numbers"]
    image, kernel = call.dims[:2]
    out: list[str | None] = [None] * len(image)
    if call.params["batch_group_count"] == 1:
        out[numbers.out_spec[0]] = image[numbers.lhs_spec[0]]
    out[numbers.out_spec[1]] = kernel[numbers.rhs_spec[0]]
    if call.params["feature_group_count"] == 1:
        call.unify(image[numbers.lhs_spec[1]], kernel[numbers.rhs_spec[1]])
    for o, i in zip(numbers.out_spec[2:], numbers.lhs_spec[2:], strict=True):
        out[o] = call.move(image[i])
    return tuple(out)


def _fft(call: Call) -> Dims:
    n = len(call.params["fft_lengths"])
    return call.move_all(call.dims[0], range(-n, 0))


# -- matrices -------------------------------------------------------------------------------------


def _factors(*outputs: str) -> Infer:
    """A factorisation: for each output, which of the matrix' axes its last axes are.

    "r" is the row axis, "c" the column axis, "-" a new one.
    """

    def infer(call: Call) -> Any:
        *batch, row, column = call.dims[0]
        letters = {"r": row, "c": column, "-": None}
        return [(*batch, *(letters[x] for x in output)) for output in outputs]

    return infer


def _single(infer: Infer) -> Infer:
    return lambda call: infer(call)[0]


def _eig(call: Call) -> list[Dims]:
    *batch, row, _ = call.dims[0]
    vectors = [call.params.get(f"compute_{side}_eigenvectors", True) for side in ("left", "right")]
    return [(*batch, None), *[(*batch, row, None)] * sum(vectors)]


def _svd(call: Call) -> list[Dims]:
    *batch, row, column = call.dims[0]
    outs: list[Dims] = [(*batch, None)]
    if call.params.get("compute_uv", True):
        outs += [(*batch, row, None), (*batch, None, column)]
    return outs


def _triangular_solve(call: Call) -> Dims:
    *batch_a, row, column = call.dims[0]
    *batch_b, first, second = call.dims[1]
    batch = [call.unify(*pair) for pair in zip(batch_a, batch_b, strict=True)]
    if call.params["transpose_a"]:
        row, column = column, row
    if call.params["left_side"]:
        call.unify(row, first)
        return (*batch, column, second)
    call.unify(column, second)
    return (*batch, first, row)


def _tridiagonal_solve(call: Call) -> Any:
    *diagonals, rhs = call.dims
    dims = call.same(range(len(diagonals)))
    along = [call.unify(*pair) for pair in zip(dims, rhs[: len(dims)], strict=True)]
    return (*along, *rhs[len(dims) :])


def _ormqr(call: Call) -> Dims:
    """Q C, C Q, or the same of Q's transpose; Q has the reflectors' rows and new columns."""
    *batch, rows, _ = call.dims[0]
    *batch_c, first, second = call.dims[2]
    batch = tuple(call.unify(*pair) for pair in zip(batch, batch_c, strict=True))
    taken, given = (rows, None) if call.params["transpose"] else (None, rows)
    if call.params["left"]:
        call.unify(taken, first)
        return (*batch, given, second)
    call.unify(given, second)
    return (*batch, first, taken)


def _symmetric_product(call: Call) -> Dims:
    """A A^T + C: A's row axis twice, which a name allows only if it is not there."""
    *batch, row, _ = call.dims[0]
    *batch_c, first, second = call.dims[1]
    both = zip((*batch, row, row), (*batch_c, first, second), strict=True)
    return tuple(call.unify(*pair) for pair in both)


def _schur(call: Call) -> list[Dims]:
    outs = _factors("--", "r-")(call)
    return outs if call.params.get("compute_schur_vectors", True) else outs[:1]


def _permutation(call: Call) -> Dims:
    return (*call.dims[0][:-1], None)


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


# -- enrolment ------------------------------------------------------------------------------------


def _enrol(keys: Any, infer: Infer) -> None:
    register_family(NamedArray, keys, _rule(infer))


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
_enrol("dynamic_slice", _dynamic_slice)
_enrol("dynamic_update_slice", _dynamic_update_slice)
_enrol("split", _split)
_enrol("unstack", _unstack)
_enrol(Structure.GATHER, _gather)
_enrol(Structure.SCATTER, _scatter)
_enrol("maybe_set", _maybe_set)
_enrol("concatenate", _concatenate)
_enrol("stack", _stack)
_enrol(Structure.PAD, _pad)
_enrol("sort", _sort)
_enrol(("top_k", "approx_top_k"), _top_k)
_enrol(Structure.REDUCE, _reduce)
_enrol("reduce", _general_reduce)
_enrol(Structure.CUMULATE, _first)
_enrol(Structure.WINDOW, _window)
_enrol("reduce_window", _general_window)
_enrol(("select_and_scatter", "select_and_scatter_add"), _select_and_scatter)
_enrol("dot_general", _dot_general)
_enrol("ragged_dot_general", _ragged_dot)
_enrol("conv_general_dilated", _conv)
_enrol(Structure.TRANSFORM, _fft)
_enrol("cholesky", _single(_factors("r-")))
_enrol("lu", _factors("--", "-", "-"))
_enrol("qr", _factors("r-", "-c"))
_enrol("geqrf", _factors("--", "-"))
_enrol("householder_product", _single(_factors("r-")))
_enrol("ormqr", _ormqr)
_enrol("symmetric_product", _symmetric_product)
_enrol("eigh", _factors("r-", "-"))
_enrol("eig", _eig)
_enrol("svd", _svd)
_enrol("schur", _schur)
_enrol("hessenberg", _factors("--", "-"))
_enrol("tridiagonal", _factors("--", "-", "-", "-"))
_enrol("triangular_solve", _triangular_solve)
_enrol("tridiagonal_solve", _tridiagonal_solve)
_enrol("lu_pivots_to_permutation", _permutation)
_enrol(Structure.COLLECTIVE, _each)
_enrol("all_gather", _all_gather)
_enrol(("all_to_all", "reduce_scatter"), _rearranged)
_enrol("bitcast_convert_type", _bitcast)
_enrol("random_gamma", lambda call: call.same((0, 1)))


def _refuse(primitive: Any, operands: Sequence[Any], params: Params) -> Any:
    """For want of a rule a name is never dropped."""
    shown = ", ".join(describe(x) for x in operands)
    raise RuleError(
        f"`{primitive.name}` has no rule for names, and got ({shown}).",
        "Take `.array` and name the result, or register a rule: "
        f"`sciquax.core.register_family(NamedArray, '{primitive.name}', rule)`.",
    )


NamedArray.default = staticmethod(_refuse)  # type: ignore[method-assign]
