"""Masks, index grids and constants by formula: what `jnp.eye`, `jnp.tril`, `jnp.where` make.

Transient values, see `core/_values/formulas.py`: they exist only between the making of an array and
its meeting with a structured matrix. Everything that they do not know makes them plain arrays.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import (
    VALUE_TYPES,
    ArrayValue,
    Structure,
    aval_of,
    bind,
    register_deferred,
    register_rule,
    stated_number,
    strip,
)
from sciquax.core.internal import ShapedArray


class Transient(ArrayValue):
    """A plain array known by a formula."""

    layer: ClassVar[int] = 50
    transient: ClassVar[bool] = True
    wants_deferred: ClassVar[bool] = True

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        aval = aval_of(lhs)
        return jnp.zeros(aval.shape, aval.dtype)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        return value.materialise()


class IndexGrid(Transient):
    """`iota` along one of the last two axes, plus a number."""

    extent: tuple[int, ...] = eqx.field(static=True)
    axis: int = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    offset: int = eqx.field(static=True, default=0)

    def aval(self) -> Any:
        return ShapedArray(self.extent, jnp.dtype(self.kind))

    def materialise(self) -> Any:
        grid = lax.broadcasted_iota(jnp.dtype(self.kind), self.extent, self.axis)
        return grid + jnp.asarray(self.offset, self.kind) if self.offset else grid


class BandMask(Transient):
    """True at (..., i, j) where `low <= j - i <= high`; None is no limit."""

    extent: tuple[int, ...] = eqx.field(static=True)
    low: int | None = eqx.field(static=True)
    high: int | None = eqx.field(static=True)

    def aval(self) -> Any:
        return ShapedArray(self.extent, np.dtype(bool))

    def materialise(self) -> Any:
        i = np.arange(self.extent[-2])[:, None]
        offset = np.arange(self.extent[-1])[None, :] - i
        mask = np.ones(offset.shape, bool)
        if self.low is not None:
            mask &= offset >= self.low
        if self.high is not None:
            mask &= offset <= self.high
        return jnp.broadcast_to(mask, self.extent)

    def finite(self) -> bool:
        return self.low is not None and self.high is not None


class Filled(Transient):
    """An array broadcast to a shape: of the same number of axes, some of size 1."""

    array: Any
    extent: tuple[int, ...] = eqx.field(static=True)

    def aval(self) -> Any:
        own = aval_of(self.array)
        return ShapedArray(self.extent, own.dtype, weak_type=getattr(own, "weak_type", False))

    def materialise(self) -> Any:
        return jnp.broadcast_to(self.array, self.extent)


# -- making ---------------------------------------------------------------------------------------


def _large(shape: Sequence[int]) -> bool:
    return len(shape) >= 2 and shape[-1] > 1 and shape[-2] > 1


def _iota(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    shape, axis, dtype = params["shape"], params["dimension"], np.dtype(params["dtype"])
    if operands or not _large(shape) or axis < len(shape) - 2 or dtype.kind not in "iu":
        return None
    return IndexGrid(tuple(shape), axis, dtype.name)


def _broadcast(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (x, *dynamic) = operands
    shape, axes = tuple(params["shape"]), params["broadcast_dimensions"]
    if dynamic or not _large(shape) or type(x) in VALUE_TYPES:
        return None
    given = np.shape(x)
    sizes = [1] * len(shape)
    for axis, size in zip(axes, given, strict=True):
        sizes[axis] = size
    if sizes[-2:] == list(shape[-2:]):
        return None
    if given == () and isinstance(x, (int, float, complex, np.generic, np.ndarray)):
        # what stands in the program stays a number that rules can read
        return Filled(np.full(sizes, x, aval_of(x).dtype), shape)
    return Filled(lax.broadcast_in_dim(x, tuple(sizes), tuple(axes)), shape)


def _number(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A number that stands in the program stays one in another dtype: the 0 of `where(m, A, 0)`."""
    (x,) = operands
    number = isinstance(x, (int, float, complex, np.generic)) or isinstance(x, np.ndarray)
    if not number or np.ndim(x) or params.get("weak_type") or params.get("sharding") is not None:
        return None
    return np.asarray(x).astype(params["new_dtype"])


register_deferred("iota", _iota)
register_deferred("convert_element_type", _number)
register_deferred("broadcast_in_dim", _broadcast)


# -- meeting each other and numbers ---------------------------------------------------------------


def _static_int(x: Any) -> int | None:
    if type(x) in VALUE_TYPES or np.ndim(x):
        return None
    number = stated_number(x)
    return int(number) if number is not None and np.issubdtype(number.dtype, np.integer) else None


def _shifted(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    grid, other = operands
    sign = 1
    if not isinstance(grid, IndexGrid):
        if primitive.name == "sub":
            return NotImplemented
        grid, other = other, grid
    elif primitive.name == "sub":
        sign = -1
    if not isinstance(grid, IndexGrid) or (number := _static_int(strip(other))) is None:
        return _filled(primitive, operands, params)
    if np.dtype(grid.kind).kind == "u" and grid.offset + sign * number < 0:
        return NotImplemented
    return IndexGrid(grid.extent, grid.axis, grid.kind, grid.offset + sign * number)


_RELATIONS = {"eq": (0, 0), "ge": (None, 0), "gt": (None, -1), "le": (0, None), "lt": (1, None)}


def _compared(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Of the grid of rows i and the grid of columns j: a mask by j - i."""
    lhs, rhs = operands
    if not (isinstance(lhs, IndexGrid) and isinstance(rhs, IndexGrid)):
        return NotImplemented
    name, ndim = primitive.name, len(lhs.extent)
    if {lhs.axis, rhs.axis} != {ndim - 2, ndim - 1} or lhs.extent != rhs.extent:
        return NotImplemented
    if lhs.axis == ndim - 1:
        lhs, rhs = rhs, lhs
        name: Any = {"ge": "le", "gt": "lt", "le": "ge", "lt": "gt"}.get(name, name)
    low, high = _RELATIONS[name]
    shift = lhs.offset - rhs.offset  # i + a <= j + b is j - i >= a - b
    move = lambda x: None if x is None else x + shift  # noqa: E731
    return BandMask(lhs.extent, move(low), move(high))


def _filled(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Functions of constants, and of constants with arrays that they broadcast against."""
    operands = [strip(x) for x in operands]
    fills = [x for x in operands if isinstance(x, Filled)]
    others = [x for x in operands if not isinstance(x, Filled) and np.ndim(x) > 0]
    if any(type(x) in VALUE_TYPES for x in others) or primitive.multiple_results or not fills:
        return NotImplemented
    if primitive.name in ("select_n", "clamp", "complex"):
        return NotImplemented  # take operands of one shape only
    if primitive.name == "add_any":
        primitive = lax.add_p  # as here, but for operands of one shape only
    arrays = [x.array if isinstance(x, Filled) else x for x in operands]
    if primitive.name == "convert_element_type" and isinstance(arrays[0], np.ndarray):
        return Filled(arrays[0].astype(params["new_dtype"]), fills[0].extent)
    if others:
        whole = np.broadcast_shapes(*map(np.shape, arrays)) == fills[0].extent
        return bind(primitive, *arrays, **params) if whole else NotImplemented
    return Filled(bind(primitive, *arrays, **params), fills[0].extent)


def _rebroadcast(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    x, *dynamic = operands
    shape, axes = tuple(params["shape"]), tuple(params["broadcast_dimensions"])
    if dynamic:
        return NotImplemented
    if isinstance(x, BandMask) and axes[-2:] == (len(shape) - 2, len(shape) - 1):
        return BandMask(shape, x.low, x.high) if shape[-2:] == x.extent[-2:] else NotImplemented
    if isinstance(x, Filled):
        sizes = [1] * len(shape)
        for axis, own in zip(axes, x.array.shape, strict=True):
            sizes[axis] = own
        if isinstance(x.array, np.ndarray):
            return Filled(x.array.reshape(sizes), shape)
        return Filled(lax.broadcast_in_dim(x.array, tuple(sizes), axes), shape)
    return NotImplemented


def _logic(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    if primitive.name == "not":
        (x,) = operands
        if isinstance(x, BandMask) and (x.low is None) != (x.high is None):
            if x.low is None and x.high is not None:
                return BandMask(x.extent, x.high + 1, None)
            assert x.low is not None
            return BandMask(x.extent, None, x.low - 1)
    if primitive.name == "and" and all(isinstance(x, BandMask) for x in operands):
        a, b = operands
        low = max((x for x in (a.low, b.low) if x is not None), default=None)
        high = min((x for x in (a.high, b.high) if x is not None), default=None)
        return BandMask(a.extent, low, high)
    return NotImplemented


register_rule(Transient, Structure.ELEMENTWISE, _filled)
register_rule(Transient, Structure.BROADCAST, _rebroadcast)
register_rule(Transient, ("add", "sub"), _shifted)
register_rule(Transient, tuple(_RELATIONS), _compared)

register_rule(Transient, ("and", "not"), _logic)
