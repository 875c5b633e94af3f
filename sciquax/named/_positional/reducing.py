"""Names of axes through reductions, windows, products, convolutions and Fourier transforms."""

from typing import Any

from sciquax.core import Structure

from .._array.axes import Dims
from .call import Call, _enrol

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
