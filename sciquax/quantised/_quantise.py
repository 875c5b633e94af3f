"""Arrays and models in few bits: scales from the largest elements, codes by rounding."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
from jax import lax

from sciquax._storage.weights import chosen_weights
from sciquax.core import is_value
from sciquax.core.internal import takes_foreign

from ._array import FORMATS, NF4_LEVELS, QuantisedArray, expand


@takes_foreign
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
    >>> from sciquax.quantised import quantise
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


@takes_foreign
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
