"""Primitives that move, add, merge and join the axes of a matrix."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax._storage.formulas import Filled, Transient
from sciquax._storage.splitting import barrier
from sciquax.core import VALUE_TYPES, Structure, register_rule, vanishes

from .._arithmetic import layouts
from .._arithmetic.products import transpose
from .._blocks.assembling import joined, padded
from .._blocks.zeros import zeros_like
from .._matrices.bands import BandMatrix
from .._matrices.narrowest import from_bands
from .._matrices.permutation import PermutationMatrix
from .._matrix import operations
from .._matrix.base import allow_both
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import Operands, Params, _guarded, _is, static_number
from .raveled import Raveled

register_rule(StructuredMatrix, "optimization_barrier", barrier)


# -- moving axes ----------------------------------------------------------------------------------


def _transpose(primitive: Any, operands: Operands, params: Params) -> Any:
    return transpose(operands[0], list(map(int, params["permutation"])))


def _broadcast(primitive: Any, operands: Operands, params: Params) -> Any:
    """New batch axes."""
    x, *dynamic = operands
    shape, axes = tuple(params["shape"]), tuple(map(int, params["broadcast_dimensions"]))
    ndim = len(shape)
    if dynamic or axes[-2:] != (ndim - 2, ndim - 1) or shape[-2:] != x.shape[-2:]:
        return NotImplemented

    def extend(y: Any, count: int) -> Any:
        core = y.shape[count:]
        inner = range(ndim - 2, ndim - 2 + len(core))
        return lax.broadcast_in_dim(y, (*shape[:-2], *core), (*axes[:-2], *inner))

    return x.map_batch(extend)


def _reshape(primitive: Any, operands: Operands, params: Params) -> Any:
    """Of the batch axes; or flat, which a product or sum of all elements may follow."""
    x = operands[0]
    shape = _new_shape(primitive.name, x.shape, params)
    if shape == (x.size,) and len(x.shape) == 2:
        return Raveled.of(x)
    if shape is None or len(shape) < 2 or shape[-2:] != x.shape[-2:]:
        if min(x.shape[-2:]) > 1:
            return NotImplemented
        return primitive.bind(x.materialise(), **params)  # one row or column
    return x.map_batch(lambda y, count: jnp.reshape(y, (*shape[:-2], *y.shape[count:])))


def _new_shape(name: str, shape: tuple[int, ...], params: Params) -> tuple[int, ...] | None:
    if name == "reshape":
        return None if params.get("dimensions") is not None else tuple(params["new_sizes"])
    axes = {int(a) % len(shape) for a in params["dimensions"]}
    if name == "squeeze":
        if axes & {len(shape) - 1, len(shape) - 2}:
            return None
        return tuple(s for a, s in enumerate(shape) if a not in axes)
    return None


def _concatenate(primitive: Any, operands: Operands, params: Params) -> Any:
    """Along a batch axis; or blocks along the matrix's."""
    axis, ndim = int(params["dimension"]), len(operands[0].shape)
    if axis >= ndim - 2:
        return _blocks(operands, axis == ndim - 2)
    if not all(map(_is, operands)):
        return NotImplemented
    fitted = layouts.common(operands)
    if fitted is None:
        if len({type(x) for x in operands}) > 1:
            return NotImplemented
        fitted = list(operands)
    if isinstance(fitted[0], BandMatrix):
        offsets = sorted({k for m in fitted for k in m.diagonals()})
        n = fitted[0].shape[-1]
        each = [m.diagonals() for m in fitted]
        bands = {
            k: jnp.concatenate(
                [
                    d[k] if k in d else jnp.zeros((*m.batch_shape(), n - abs(k)), m.dtype)
                    for d, m in zip(each, fitted, strict=True)
                ],
                axis,
            )
            for k in offsets
        }
        return from_bands(bands, n, allow_materialise=allow_both(*fitted))
    first = layouts.layout(fitted[0])
    if any(layouts.layout(m) != first for m in fitted):
        return NotImplemented
    arrays = []
    for xs in zip(*[m.arrays() for m in fitted], strict=True):
        if len({_is(x) for x in xs}) > 1:
            return NotImplemented
        whole = _concatenate(primitive, xs, params) if _is(xs[0]) else jnp.concatenate(xs, axis)
        if whole is NotImplemented:
            return NotImplemented
        arrays.append(whole)
    return fitted[0].rebuild(arrays, allow_materialise=allow_both(*fitted))


def _blocks(operands: Operands, rows: bool) -> Any:
    """Above each other or side by side, with zeros as what they are."""
    parts = [x for x in map(_zeros_or_array, operands) if 0 not in x.shape[-2:]]
    if any(type(x) in VALUE_TYPES and not _is(x) for x in parts):
        return NotImplemented
    return joined(parts, rows)


def _zeros_or_array(x: Any) -> Any:
    if not isinstance(x, Transient):
        return x
    if not isinstance(x, Filled) or min(x.shape[-2:]) == 1 or static_number(x.array) != 0:
        return x.materialise()
    rows, columns = x.shape[-2:]
    return zeros_like(x.array, rows, columns).over_batch(tuple(x.shape[:-2]))


def _pad(primitive: Any, operands: Operands, params: Params) -> Any:
    """With zeros before and after the rows and columns."""
    x, filler = operands
    *batch, rows, columns = (tuple(map(int, c)) for c in params["padding_config"])
    plain = all(c == (0, 0, 0) for c in batch)
    if not _is(x) or not plain or static_number(filler, vanishes) is not True:
        return NotImplemented
    if any(low < 0 or high < 0 or inner for low, high, inner in (rows, columns)):
        return NotImplemented
    return padded(x, (rows[0], columns[0]), (rows[1], columns[1]))


def _rev(primitive: Any, operands: Operands, params: Params) -> Any:
    """Rows or columns in reverse order: a permutation of them; of both in a band matrix, bands."""
    (x,) = operands
    ndim = len(x.shape)
    axes = {int(axis) for axis in params["dimensions"]}
    if not axes <= {ndim - 2, ndim - 1} or x.batch_shape():
        return NotImplemented
    if len(axes) == 2 and isinstance(x, BandMatrix):
        return x.like({-k: jnp.flip(y, -1) for k, y in x.diagonals().items()}, x.known())
    turn = [
        PermutationMatrix(np.arange(n)[::-1].copy(), x.dtype, allow_materialise=True)
        for n in x.shape[-2:]
    ]
    made = operations.matmul(turn[0], x) if ndim - 2 in axes else x
    return operations.matmul(made, turn[1]) if ndim - 1 in axes else made


def _stack(primitive: Any, operands: Operands, params: Params) -> Any:
    """Along a new batch axis."""
    axis = int(params["axis"])
    if not all(map(_is, operands)) or axis > len(operands[0].shape) - 2:
        return NotImplemented
    grown = [x.map_batch(lambda y, _: jnp.expand_dims(y, axis)) for x in operands]
    if any(x is NotImplemented for x in grown):
        return NotImplemented
    return _concatenate(primitive, grown, {"dimension": axis})


register_rule(StructuredMatrix, Structure.PERMUTE, _guarded(_transpose))
register_rule(StructuredMatrix, "broadcast_in_dim", _guarded(_broadcast))
register_rule(StructuredMatrix, ("reshape", "squeeze"), _guarded(_reshape))
register_rule(StructuredMatrix, "concatenate", _guarded(_concatenate))
register_rule(StructuredMatrix, "pad", _guarded(_pad))
register_rule(StructuredMatrix, "rev", _guarded(_rev))
register_rule(StructuredMatrix, "stack", _guarded(_stack))
