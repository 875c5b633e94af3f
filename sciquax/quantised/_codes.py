"""Codes and scales: which there are, how numbers become codes, how codes become numbers.

An element is `scale * (code - zero_point)`, or `scale * level[code]` for NF4. Codes are small
integers or floats; one scale serves the whole array, a channel, or a block of elements.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

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

FRACTIONS = np.linspace(1.0, 0.3, 29)
"""Of the largest element: the ranges that are tried for the least squared error."""


def wide(dtype: Any) -> np.dtype:
    """The dtype, or float32 for one of fewer bits."""
    return np.dtype(np.float32) if np.dtype(dtype).itemsize < 4 else np.dtype(dtype)


def decode(codes: Any, format: str, dtype: Any) -> jax.Array:
    """Codes, or those of float8 as bytes, as numbers of a dtype, not scaled."""
    if format == "nf4":
        return jnp.asarray(NF4_LEVELS, dtype)[codes.astype(jnp.int32)]
    if format == "float8_e4m3fn":
        return _from_bits(as_bytes(codes)).astype(dtype)
    return codes.astype(dtype)


def as_bytes(codes: Any) -> Any:
    """Codes of float8 as bytes, which a loop's slices are made of four times as fast."""
    if codes.dtype != jnp.float8_e4m3fn:
        return codes
    return lax.bitcast_convert_type(lax.stop_gradient(codes), jnp.uint8)


def _from_bits(byte: Any) -> jax.Array:
    """A float32 with the sign, the 4 bits of exponent (bias 7) and the 3 of mantissa in a byte.

    Without an exponent the mantissa has no leading one: it gets one, which is taken away again.
    """
    bits = byte.astype(jnp.int32)
    size = bits & 0x7F
    bias = jnp.where(size < 8, 121 << 23, 120 << 23)
    value = lax.bitcast_convert_type((size << 20) + bias, jnp.float32)
    value = value - jnp.where(size < 8, jnp.float32(2.0**-6), jnp.float32(0))
    value = jnp.where(size == 0x7F, jnp.float32(jnp.nan), value)
    return jnp.where(bits < 128, value, -value)


def expand(scale: Any, shape: Sequence[int], block_size: int) -> Any:
    """A scale with one entry an element along the axis whose blocks share them."""
    for axis, (own, n) in enumerate(zip(scale.shape, shape, strict=True)):
        if own not in (1, n):
            scale = lax.slice_in_dim(jnp.repeat(scale, block_size, axis), 0, n, axis=axis)
    return scale


class Groups(NamedTuple):
    """Groups of elements that share a scale: the blocks of an array, and the scale's shape."""

    scale_shape: tuple[int, ...]
    block_axis: int | None
    block_size: int

    def reduce(self, x: Any, f: Callable[..., Any]) -> Any:
        """`f(x, axis=)` of every group, in the scale's shape."""
        if self.block_axis is None:
            axes = tuple(d for d, n in enumerate(self.scale_shape) if n == 1)
            return f(x, axis=axes).reshape(self.scale_shape)
        at, size = self.block_axis, self.block_size
        n, count = x.shape[at], self.scale_shape[at]
        if count * size != n:
            padding = [(0, 0)] * x.ndim
            padding[at] = (0, count * size - n)
            x = jnp.pad(x, padding, mode="edge")
        x = x.reshape(*x.shape[:at], count, size, *x.shape[at + 1 :])
        return f(x, axis=at + 1).reshape(self.scale_shape)


def group(shape: Sequence[int], kept: Sequence[int], block: tuple[int, int] | None) -> Groups:
    """A scale for each index of the axes `kept`, or for each block (its axis and its size)."""
    if block is None:
        return Groups(tuple(n if d in kept else 1 for d, n in enumerate(shape)), None, 0)
    axis, size = block
    count = -(-shape[axis] // size)
    return Groups((*shape[:axis], count, *shape[axis + 1 :]), axis, size)


def find_codes(
    x: Any,
    format: str,
    groups: Groups,
    *,
    symmetric: bool = True,
    clip: str | float | int | None = None,
    key: Any = None,
) -> tuple[Any, Any, Any]:
    """The codes, the scale and the zero point of an array."""
    spec = FORMATS[format]
    # Scales are of 32 bits at least: in 16, those of small numbers vanish, and all are coarse.
    x = x.astype(wide(x.dtype))
    if not symmetric:
        low = groups.reduce(x, lambda y, axis: jnp.min(y, axis=axis, initial=0))
        high = groups.reduce(x, lambda y, axis: jnp.max(y, axis=axis, initial=0))
        smallest = -spec.largest - 1
        scale = _normal((high - low) / (spec.largest - smallest))
        zero_point = jnp.round(smallest - low / scale)
        scaled = x / expand(scale, x.shape, groups.block_size)
        scaled = scaled + expand(zero_point, x.shape, groups.block_size)
        return encode(scaled, format, False, key), scale, zero_point.astype(jnp.int32)
    scale = find_scale(x, format, groups, clip)
    scaled = x / expand(scale, x.shape, groups.block_size)
    return encode(scaled, format, True, key), scale, None


def find_scale(x: Any, format: str, groups: Groups, clip: str | float | int | None = None) -> Any:
    """The symmetric scales of an array: from the largest elements, or some that clip them."""
    largest = FORMATS[format].largest
    size = jnp.abs(x)
    top = groups.reduce(size, lambda y, axis: jnp.max(y, axis=axis, initial=0))
    if clip is None:
        return _normal(top / largest)
    if not isinstance(clip, str):  # "mse"
        percentile = groups.reduce(size, lambda y, axis: jnp.percentile(y, clip, axis=axis))
        # Where that is zero, most elements are, and the others are all there is to tell.
        return _normal(jnp.where(percentile > 0, percentile, top) / largest)
    best = _normal(top / largest)
    least = jnp.full(groups.scale_shape, jnp.inf, x.dtype)
    for fraction in FRACTIONS:
        trial = _normal(top * x.dtype.type(fraction) / largest)
        each = expand(trial, x.shape, groups.block_size)
        back = decode(encode(x / each, format, True, None), format, x.dtype) * each
        error = groups.reduce(back - x, _sum_of_squares)
        best, least = jnp.where(error < least, trial, best), jnp.minimum(error, least)
    return best


def _sum_of_squares(x: Any, axis: Any) -> Any:
    return jnp.sum(x * x, axis=axis)


def _normal(scale: Any) -> Any:
    """Such that nothing is divided by what a processor flushes to zero."""
    return jnp.maximum(scale, jnp.finfo(scale.dtype).tiny)


def encode(scaled: Any, format: str, symmetric: bool, key: Any) -> Any:
    """Scaled numbers as codes: the nearest, or, with a key, right on average."""
    spec = FORMATS[format]
    if format == "nf4":
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
