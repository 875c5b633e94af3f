"""`QuantisedArray`: an array stored in few bits, with scales; `quantise` makes one.

An element is `scale * (code - zero_point)`, or `scale * level[code]` for NF4. Codes are small
integers or floats; one scale serves the whole array, a channel, or a block of elements.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
from jax import lax

from sciquax.core import ArrayValue, Unsettled, aval_of, is_value, materialised, short_aval
from sciquax.core._compat import ShapedArray

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
    def join(cls, lhs: Any, rhs: Any) -> Any:
        """Two of one structure as they are, anything else dequantised."""
        if jtu.tree_structure(lhs) == jtu.tree_structure(rhs):
            shapes = [[x.shape for x in jtu.tree_leaves(v)] for v in (lhs, rhs)]
            if shapes[0] == shapes[1]:
                return lhs
        aval = aval_of(lhs)
        return jax.ShapeDtypeStruct(aval.shape, aval.dtype)

    @classmethod
    def coerce(cls, value: Any, example: Any) -> Any:
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


def quantise(
    x: Any,
    dtype: str = "int8",
    *,
    axis: int | Sequence[int] | None = None,
    block_size: int | None = None,
    symmetric: bool = True,
    straight_through: bool = False,
    key: Any = None,
) -> QuantisedArray:
    """The array in few bits, rounded to the nearest code.

    **Arguments**

    - `x`: a floating point array.
    - `dtype`: `"int8"`, `"int4"`, `"nf4"` or `"float8_e4m3fn"`.
    - `axis`: the axis, or axes, with a scale for each index (the output channels of a weight).
      Without it and without `block_size`, one scale serves the whole array.
    - `block_size`: one scale for every so many consecutive elements along `axis`, by default the
      last; all other axes then have scales of their own.
    - `symmetric`: zero is code 0. Otherwise integer codes cover the range from the smallest to the
      largest element, with a zero point.
    - `straight_through`: whether gradients reach `x` as if it had not been rounded.
    - `key`: if given, integers are rounded up or down at random, right on average.

    **Returns** a `QuantisedArray`. With scale s, no element of an integer array is off by more than
    s / 2 (s if rounded at random), none of NF4 by more than 0.152 s, none of float8 by more than
    the larger of 1/16 of itself and 2**-10 s.

    **Raises** ValueError for an integer array, an unknown dtype, or an option it does not have.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.structured import quantise
    >>> W = quantise(jnp.array([[1.0, -0.5], [20.0, 10.0]]), axis=1)
    >>> quaxify(lambda W, x: W @ x)(W, jnp.array([2.0, 1.0])).round(1)
    Array([ 1.4, 50. ], dtype=float32)

    ```
    """
    x = jnp.asarray(x)
    if dtype not in FORMATS:
        raise ValueError(f"`quantise` knows {', '.join(FORMATS)}, not {dtype!r}.")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"`quantise` takes floating point numbers, not {x.dtype}.")
    spec = FORMATS[dtype]
    if not spec.integer and (not symmetric or key is not None):
        raise ValueError(f"{dtype} is symmetric and is not rounded at random.")
    master = x if straight_through else None
    x = lax.stop_gradient(x)
    reduce = _reducer(x, axis, block_size)
    block = 0 if block_size is None else block_size

    zero_point = None
    if symmetric:
        scale = _nonzero(reduce(jnp.abs(x), jnp.max)) / spec.largest
        scaled = x / expand(scale, x.shape, block)
    else:
        low, high = reduce(x, jnp.min), reduce(x, jnp.max)  # and 0
        smallest = -spec.largest - 1
        scale = _nonzero(high - low) / (spec.largest - smallest)
        zero_point = jnp.round(smallest - low / scale)
        scaled = x / expand(scale, x.shape, block) + expand(zero_point, x.shape, block)
        zero_point = zero_point.astype(jnp.int32)
    codes = _encode(scaled, dtype, symmetric, key)
    return QuantisedArray(codes, scale, zero_point, format=dtype, block_size=block, master=master)


def _nonzero(x: Any) -> Any:
    return jnp.where(x == 0, jnp.ones_like(x), x)


def _reducer(x: Any, axis: Any, block_size: int | None) -> Callable[[Any, Any], Any]:
    """What reduces an array to the scale's shape."""
    if block_size is None:
        axes = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        kept = {d % x.ndim for d in axes}
        others = tuple(d for d in range(x.ndim) if d not in kept)
        return lambda y, f: f(y, axis=others, keepdims=True, initial=0)
    if block_size < 1 or x.ndim == 0 or not (axis is None or isinstance(axis, int)):
        raise ValueError("A block has one element or more along one axis.")
    along = (-1 if axis is None else axis) % x.ndim
    n = x.shape[along]
    count = -(-n // block_size)

    def reduce(y: Any, f: Any) -> Any:
        padding = [(0, 0)] * y.ndim
        padding[along] = (0, count * block_size - n)
        y = jnp.pad(y, padding, mode="edge") if count * block_size != n else y
        shape = (*y.shape[:along], count, block_size, *y.shape[along + 1 :])
        return f(y.reshape(shape), axis=along + 1, initial=0)

    return reduce


def _encode(scaled: Any, dtype: str, symmetric: bool, key: Any) -> Any:
    spec = FORMATS[dtype]
    if dtype == "nf4":
        middles = (NF4_LEVELS[1:] + NF4_LEVELS[:-1]) / 2
        codes = jnp.searchsorted(jnp.asarray(middles, scaled.dtype), scaled.reshape(-1))
        return codes.reshape(scaled.shape).astype(spec.dtype)
    if not spec.integer:
        return jnp.clip(scaled, -spec.largest, spec.largest).astype(spec.dtype)
    if key is None:
        rounded = jnp.round(scaled)
    else:
        rounded = jnp.floor(scaled + jr.uniform(key, scaled.shape, scaled.dtype))
    low = -spec.largest if symmetric else -spec.largest - 1
    return jnp.clip(rounded, low, spec.largest).astype(jnp.int8).astype(spec.dtype)


def quantise_model(
    model: Any,
    dtype: str = "int8",
    *,
    where: Callable[[Any], Any] | None = None,
    axis: int | Sequence[int] | None = 0,
    block_size: int | None = None,
) -> Any:
    """A model with `QuantisedArray`s in the place of its weights. Call it as `quaxify(model)(x)`.

    **Arguments**

    - `model`: any pytree.
    - `dtype`: as for `quantise`.
    - `where`: what to quantise. Without it, the weights of every `eqx.nn.Linear`, convolution and
      `Embedding`. A selector as for `eqx.tree_at`, or a predicate on an array.
    - `axis`, `block_size`: as for `quantise`; one scale for each output channel by default, and
      blocks along the last axis if `block_size` is given.

    Weights that LoRA has adapted are quantised beneath it, which is QLoRA.
    """
    from ._loraify import chosen_weights

    chosen = chosen_weights(model, where)
    if not chosen:
        raise ValueError("`quantise_model` found no weights; say which by `where`.")
    axis = None if block_size is not None else axis

    def convert(path: Any, leaf: Any) -> Any:
        if jtu.keystr(path) not in chosen:
            return leaf
        if is_value(leaf):
            inner = None if leaf.payload is None else getattr(leaf, leaf.payload)
            if inner is None or is_value(inner):
                return leaf
            return leaf.with_payload(quantise(inner, dtype, axis=axis, block_size=block_size))
        return quantise(leaf, dtype, axis=axis, block_size=block_size)

    return jtu.tree_map_with_path(convert, model, is_leaf=is_value)
