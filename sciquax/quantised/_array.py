"""`QuantisedArray`: an array stored in few bits, with scales; `quantise` makes one.

An element is `scale * (code - zero_point)`, or `scale * level[code]` for NF4. Codes are small
integers or floats; one scale serves the whole array, a channel, or a block of elements.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import lax

from sciquax.core import (
    ArrayValue,
    Unsettled,
    aval_of,
    bind,
    is_value,
    materialised,
    short_aval,
    strip,
)
from sciquax.core.internal import ShapedArray

# The quantiles of a normal distribution that T. Dettmers et al., *QLoRA: Efficient Finetuning of
# Quantized LLMs* (2023), give in appendix E.
NF4_LEVELS = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    np.float32,
)  # fmt: skip


class Format(NamedTuple):
    """How elements are coded: the codes' dtype, the largest code in magnitude, bits an element."""

    dtype: Any
    largest: float
    bits: int
    integer: bool


FORMATS = {
    "int8": Format(jnp.int8, 127, 8, True),
    "int4": Format(jnp.int4, 7, 4, True),
    "nf4": Format(jnp.uint4, 1.0, 4, False),
    "float8_e4m3fn": Format(jnp.float8_e4m3fn, 448.0, 8, False),
}


class QuantisedArray(
    ArrayValue,
    leaves=("codes", "scale", "zero_point", "master"),
    static=("format", "block_size"),
):
    """An array of floating point numbers stored in 8 or 4 bits each. Made by `quantise`.

    Contractions use the codes themselves: two arrays of integer codes meet in integers, with 32-bit
    accumulation; a floating point operand meets codes converted tile by tile, and is scaled
    afterwards. Transposes, reshapes, slices and gathers move codes; a gathered row (embedding) is
    an array as soon as something is done with it. Any other operation sees the dequantised array.

    **Attributes**

    - `codes`: int8, int4, uint4 (NF4) or float8, of the array's shape.
    - `scale`: along each axis of length 1 (shared), of the array's (a channel each), or one for
      each block of `block_size` elements. Its dtype is the array's to programs.
    - `zero_point`: None, or the int32 codes of zero, of the scale's shape.
    - `master`: None, or the array that gradients pass straight through to.
    - `nbytes`: the bytes that are resident, at 4 bits a code where a code has 4.
    """

    optional_leaves = ("zero_point", "master")

    codes: Any
    scale: Any
    zero_point: Any
    master: Any
    format: str
    block_size: int

    layer: ClassVar[int] = 0

    def __init__(
        self,
        codes: Any,
        scale: Any,
        zero_point: Any = None,
        *,
        format: str = "int8",
        block_size: int = 0,
        master: Any = None,
    ):
        self.codes, self.scale, self.zero_point, self.master = codes, scale, zero_point, master
        self.format, self.block_size = format, block_size

    def aval(self) -> Any:
        return ShapedArray(self.codes.shape, self.scale.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes resident: codes (int4's own `.nbytes` says a byte each), scales, zero points."""
        codes = math.ceil(self.size * FORMATS[self.format].bits / 8)
        extra = [x for x in (self.scale, self.zero_point) if x is not None]
        return codes + sum(math.prod(x.shape) * x.dtype.itemsize for x in extra)

    def dequantise(self) -> jax.Array:
        """The array of floating point numbers."""
        value = decode(self, self.codes)
        shape = self.codes.shape
        scale = expand(self.scale, shape, self.block_size)
        if self.zero_point is not None:
            value = value - expand(self.zero_point, shape, self.block_size).astype(value.dtype)
        value = value * scale
        return value if self.master is None else straight_through(value, self.master)

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
        parts = []
        for x in (self.scale, self.zero_point):
            if x is not None and x.shape[0] != n:
                blocked = x.shape[0] != 1
                x = expand(x, (n, *x.shape[1:]), self.block_size) if blocked else x
                x = jnp.broadcast_to(x, (n, *x.shape[1:]))
            parts.append(x)
        return QuantisedArray(
            self.codes, *parts, format=self.format, block_size=self.block_size, master=self.master
        )

    def __short__(self) -> str:
        return f"QuantisedArray({self.format}, {short_aval(self.aval())})"

    def __repr__(self) -> str:
        if not hasattr(self.codes, "shape") or not hasattr(self.scale, "shape"):
            return "QuantisedArray(...)"
        return f"{self.__short__()[:-1]}, scale={short_aval(aval_of(self.scale))})"


def decode(like: QuantisedArray, codes: Any) -> jax.Array:
    """Codes as numbers, not scaled, in the array's dtype."""
    dtype = like.scale.dtype
    if like.format == "nf4":
        return jnp.asarray(NF4_LEVELS, dtype)[codes.astype(jnp.int32)]
    if not FORMATS[like.format].integer:
        codes = lax.stop_gradient(codes)
    return codes.astype(dtype)


def expand(scale: Any, shape: Sequence[int], block_size: int) -> Any:
    """A scale with one entry an element along the axis whose blocks share them."""
    for axis, (own, n) in enumerate(zip(scale.shape, shape, strict=True)):
        if own not in (1, n):
            scale = lax.slice_in_dim(jnp.repeat(scale, block_size, axis), 0, n, axis=axis)
    return scale


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
