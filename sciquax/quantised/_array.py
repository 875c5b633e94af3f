"""`QuantisedArray`: an array stored in few bits, with scales; `quantise` makes one."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import (
    ArrayValue,
    Unsettled,
    aval_of,
    bind,
    describe,
    is_value,
    materialised,
    short_aval,
    strip,
)
from sciquax.core.internal import ShapedArray, is_whole, quoted

from ._codes import FORMATS, Groups, decode, expand, find_codes


class QuantisedArray(
    ArrayValue,
    leaves=("codes", "scale", "zero_point", "master", "input_scale"),
    static=("format", "block_size", "_dtype", "_observer"),
):
    """An array of floating point numbers stored in 8 or 4 bits each. Made by `quantise`.

    Contractions use the codes themselves: two arrays of integer codes meet in integers, with 32-bit
    accumulation; a floating point operand meets codes converted tile by tile, and is scaled
    afterwards. Transposes, reshapes, slices and gathers move codes; a gathered row (embedding) is
    an array as soon as something is done with it. Any other operation sees the dequantised array.

    **Attributes**

    - `codes`: int8, int4, uint4 (NF4) or float8, of the array's shape.
    - `scale`: along each axis of length 1 (shared), of the array's (a channel each), or one for
      each block of `block_size` elements. In 32 bits at least.
    - `dtype`: the array's to programs.
    - `zero_point`: None, or the int32 codes of zero, of the scale's shape.
    - `master`: None, or the array that gradients pass straight through to.
    - `input_scale`: None, or the scale that `calibrate` found for what the array is contracted
      with; repeated along the axes that are contracted then, of length one along the others.
    - `nbytes`: the bytes that are resident, at 4 bits a code where a code has 4.
    """

    optional_leaves = ("zero_point", "master", "input_scale")

    codes: Any
    scale: Any
    zero_point: Any
    master: Any
    input_scale: Any
    format: str
    block_size: int
    _dtype: np.dtype
    _observer: Any

    layer: ClassVar[int] = 0
    # A hint for how to cut tiles, set by a transposition and lost with the next operation.
    was_transposed: ClassVar[bool] = False

    def __init__(
        self,
        codes: Any,
        scale: Any,
        zero_point: Any = None,
        *,
        format: str = "int8",
        block_size: int = 0,
        master: Any = None,
        input_scale: Any = None,
        dtype: Any = None,
    ):
        for what, x in (("codes", codes), ("scale", scale)):
            if not hasattr(x, "dtype"):
                raise TypeError(
                    f"`QuantisedArray` takes arrays, and `{what}` is {quoted(x)}. `quantise` makes "
                    "codes and scales of an array."
                )
        self.codes, self.scale, self.zero_point, self.master = codes, scale, zero_point, master
        self.input_scale = input_scale
        self.format, self.block_size = format, block_size
        self._dtype = np.dtype(scale.dtype if dtype is None else dtype)
        self._observer = None

    def replace(self, **fields: Any) -> "QuantisedArray":
        """The same array but for these fields."""
        value = object.__new__(QuantisedArray)
        for name in _FIELDS:
            object.__setattr__(value, name, fields.get(name, getattr(self, name)))
        return value

    def aval(self) -> Any:
        return ShapedArray(self.codes.shape, self._dtype)

    @property
    def nbytes(self) -> int:
        """Bytes resident: codes (int4's own `.nbytes` says a byte each), scales, zero points."""
        codes = math.ceil(self.size * FORMATS[self.format].bits / 8)
        extra = [x for x in (self.scale, self.zero_point) if x is not None]
        return codes + sum(math.prod(x.shape) * x.dtype.itemsize for x in extra)

    def dequantise(self) -> jax.Array:
        """The array of floating point numbers."""
        value = decode(self.codes, self.format, self.scale.dtype)
        shape = self.codes.shape
        scale = expand(self.scale, shape, self.block_size)
        if self.zero_point is not None:
            value = value - expand(self.zero_point, shape, self.block_size).astype(value.dtype)
        value = (value * scale).astype(self._dtype)
        return value if self.master is None else straight_through(value, self.master)

    def requantised(self, array: Any) -> "QuantisedArray":
        """An array of the same shape in this one's format, with scales of its own."""
        axis = _blocked(self)
        groups = Groups(self.scale.shape, axis, 0 if axis is None else self.block_size)
        codes, scale, zero_point = find_codes(
            array, self.format, groups, symmetric=self.zero_point is None
        )
        return self.replace(
            codes=codes, scale=scale.astype(self.scale.dtype), zero_point=zero_point, master=None
        )

    def materialise(self) -> jax.Array:
        """The dequantised array."""
        return self.dequantise()

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        """Two of one structure as they are, anything else dequantised."""
        if jtu.tree_structure(lhs) == jtu.tree_structure(rhs):
            shapes = [[x.shape for x in jtu.tree_leaves(v)] for v in (lhs, rhs)]
            if shapes[0] == shapes[1]:
                return lhs
        aval = aval_of(lhs)
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        if is_value(example):
            raise Unsettled
        return materialised(value, "join") if is_value(value) else value

    @classmethod
    def zeros_like(cls, example: Any) -> Any:
        """A value of this type, shape and structure that is zero."""
        return jtu.tree_map(lambda x: jnp.zeros(x.shape, x.dtype), example)

    def as_sliceable(self) -> Any:
        """With a scale for each index of the leading axis."""
        n = self.codes.shape[0]
        parts = {}
        for name in ("scale", "zero_point", "input_scale"):
            x = getattr(self, name)
            if x is not None and x.shape[0] != n:
                blocked = x.shape[0] != 1
                x = expand(x, (n, *x.shape[1:]), self.block_size) if blocked else x
                x = jnp.broadcast_to(x, (n, *x.shape[1:]))
            parts[name] = x
        return self.replace(**parts)

    def __short__(self) -> str:
        return f"QuantisedArray({self.format}, {short_aval(self.aval())})"

    def __repr__(self) -> str:
        if not is_whole(self):
            return describe(self)
        return f"{describe(self)[:-1]}, scale={short_aval(aval_of(self.scale))})"


_FIELDS = [field.name for field in dataclasses.fields(QuantisedArray)]


@jax.custom_jvp
def straight_through(value: Any, master: Any) -> Any:
    """`value`, with the derivative of `master` (Y. Bengio et al., 2013, arXiv:1308.3432)."""
    del master
    return value


@straight_through.defjvp
def _straight_through_jvp(primals, tangents):
    value, _ = primals
    _, tangent = tangents
    return value, tangent.astype(value.dtype)


Params = dict[str, Any]
Operands = Sequence[Any]


def _blocked(q: QuantisedArray) -> int | None:
    """The axis whose elements share scales in blocks, if there is one."""
    for axis, (own, n) in enumerate(zip(q.scale.shape, q.codes.shape, strict=True)):
        if own not in (1, n):
            return axis
    return None


def _read(primitive: Any, operands: Operands, params: Params) -> Any:
    """Beside a value of another type, which is not for us to materialise: dequantised."""
    stripped = [*map(strip, operands)]
    if not any(is_value(x) and type(x) is not QuantisedArray for x in stripped):
        return NotImplemented
    arrays = [x.dequantise() if type(x) is QuantisedArray else x for x in stripped]
    return bind(primitive, *arrays, **params)
