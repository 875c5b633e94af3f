"""Primitives that move, add, merge and join the axes of a matrix."""

from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax._storage.splitting import barrier
from sciquax.core import Structure, register_rule

from .._arithmetic import layouts
from .._arithmetic.products import transpose
from .._matrices.bands import BandMatrix
from .._matrices.narrowest import from_bands
from .._matrix.base import allow_both
from .._matrix.matrix import StructuredMatrix
from .._matrix.operands import Operands, Params, _guarded, _is
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
    """Along a batch axis."""
    if not all(map(_is, operands)):
        return NotImplemented
    axis = int(params["dimension"])
    if axis >= len(operands[0].shape) - 2:
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
    if any(_is(x) for m in fitted for x in m.arrays()):
        return NotImplemented
    columns = zip(*[m.arrays() for m in fitted], strict=True)
    return fitted[0].rebuild(
        [jnp.concatenate(xs, axis) for xs in columns], allow_materialise=allow_both(*fitted)
    )


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
register_rule(StructuredMatrix, "stack", _guarded(_stack))
