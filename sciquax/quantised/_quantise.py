"""Arrays and models in few bits: scales from the largest elements, codes by rounding."""

import operator
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any, overload

import jax.numpy as jnp
import jax.tree_util as jtu
from jax import lax

from sciquax._storage.weights import chosen_weights
from sciquax.core import Value, is_value
from sciquax.core.internal import takes_foreign

from ._array import QuantisedArray
from ._codes import FORMATS, Groups, find_codes, group


@overload
def quantise(
    x: Value, dtype: str = "int8", *, axis: Any = None, block_size: Any = None,
    block_axis: Any = None, symmetric: bool = True, clip: Any = None,
    straight_through: bool = False, key: Any = None,
) -> Any: ...  # fmt: skip
@overload
def quantise(
    x: Any,
    dtype: str = "int8",
    *,
    axis: int | Sequence[int] | None = None,
    block_size: int | None = None,
    block_axis: int | None = None,
    symmetric: bool = True,
    clip: str | float | int | None = None,
    straight_through: bool = False,
    key: Any = None,
) -> QuantisedArray: ...
@takes_foreign
def quantise(
    x: Any,
    dtype: str = "int8",
    *,
    axis: int | Sequence[int] | None = None,
    block_size: int | None = None,
    block_axis: int | None = None,
    symmetric: bool = True,
    clip: str | float | int | None = None,
    straight_through: bool = False,
    key: Any = None,
) -> Any:
    """The array in few bits, rounded to the nearest code.

    **Arguments**

    - `x`: a floating point array, or a value that holds one: of a quantity or a named array its
      array is quantised, and it keeps its unit or its names.
    - `dtype`: `"int8"`, `"int4"`, `"nf4"` or `"float8_e4m3fn"`.
    - `axis`: the axis, or axes, with a scale for each index (the output channels of a weight).
      Without it and without `block_size`, one scale serves the whole array.
    - `block_size`: one scale for every so many consecutive elements along `block_axis`, by default
      the last; all other axes then have scales of their own.
    - `symmetric`: zero is code 0. Otherwise integer codes cover the range from the smallest to the
      largest element, with a zero point.
    - `clip`: what the largest code stands for. By default the largest element that shares the
      scale; `"mse"` finds the range of the least squared error, and a number such as `99.9` is the
      percentile of the magnitudes: elements beyond are clipped.
    - `straight_through`: whether gradients reach `x` as if it had not been rounded.
    - `key`: if given, integers are rounded up or down at random, right on average.

    **Returns** a `QuantisedArray`, in the unit and with the names of `x`. With scale s, no element
    of an integer array is off by more than s / 2 (s if rounded at random), none of NF4 by more than
    0.152 s, none of float8 by more than the larger of 1/16 of itself and 2**-10 s; elements that
    `clip` clips aside.

    **Raises** ValueError for an integer array, an unknown dtype, an axis that the array has not, or
    options that exclude each other.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.quantised import quantise
    >>> W = quantise(jnp.array([[1.0, -0.5], [20.0, 10.0]]), axis=1)
    >>> quaxify(lambda W, x: W @ x)(W, jnp.array([2.0, 1.0])).round(1)
    Array([ 1.4, 50. ], dtype=float32)

    ```
    """
    if is_value(x) and x.payload in ("magnitude", "array"):
        held = quantise(
            getattr(x, x.payload), dtype, axis=axis, block_size=block_size, block_axis=block_axis,
            symmetric=symmetric, clip=clip, straight_through=straight_through, key=key,
        )  # fmt: skip
        return x.with_payload(held)
    x = jnp.asarray(x)
    if dtype not in FORMATS:
        raise ValueError(f"`quantise` knows {', '.join(FORMATS)}, not {dtype!r}.")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"`quantise` takes floating point numbers, not {x.dtype}.")
    spec = FORMATS[dtype]
    if not spec.integer and (not symmetric or key is not None):
        raise ValueError(f"{dtype} is symmetric and is not rounded at random.")
    check_clip(clip, symmetric)
    master = x if straight_through else None
    x = lax.stop_gradient(x)
    groups = _groups(x, axis, block_axis, block_size)
    codes, scale, zero_point = find_codes(x, dtype, groups, symmetric=symmetric, clip=clip, key=key)
    return QuantisedArray(
        codes,
        scale,
        zero_point,
        format=dtype,
        block_size=groups.block_size,
        master=master,
        dtype=x.dtype,
    )


def check_clip(clip: Any, symmetric: bool) -> None:
    if clip is None or clip == "mse":
        known = True
    else:
        known = not isinstance(clip, (str, bool)) and 0 < clip <= 100
    if not known:
        raise ValueError(f"`clip` is None, 'mse' or a percentile up to 100, not {clip!r}.")
    if clip is not None and not symmetric:
        raise ValueError("`clip` is for symmetric codes.")


def _groups(x: Any, axis: Any, block_axis: Any, block_size: Any) -> Groups:
    """Groups of elements that share a scale."""
    if block_size is None:
        if block_axis is not None:
            raise ValueError("`block_axis` is for blocks: say `block_size` too.")
        given = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        kept = [_an_axis(d, x, "axis") for d in given]
        if len(set(kept)) != len(kept):
            raise ValueError(f"`axis={axis}` names an axis twice.")
        return group(x.shape, kept, None)
    if axis is not None:
        raise ValueError(
            "`axis` is for one scale a channel, `block_size` for one a block: give one of them. "
            "Blocks lie along the last axis, or along `block_axis`."
        )
    if block_size < 1 or x.ndim == 0:
        raise ValueError("A block has one element or more along one axis.")
    at = _an_axis(-1 if block_axis is None else block_axis, x, "block_axis")
    return group(x.shape, (), (at, block_size))


def _an_axis(axis: Any, x: Any, what: str) -> int:
    axis = operator.index(axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"`{what}={axis}` is no axis of an array of shape {x.shape}.")
    return axis % x.ndim


@takes_foreign
def quantise_model(
    model: Any,
    dtype: str = "int8",
    *,
    where: Callable[[Any], Any] | None = None,
    axis: int | Sequence[int] | EllipsisType | None = ...,
    block_size: int | None = None,
    **options: Any,
) -> Any:
    """A model with `QuantisedArray`s in the place of its weights. Call it as `quaxify(model)(x)`.

    **Arguments**

    - `model`: any pytree.
    - `dtype`: as for `quantise`.
    - `where`: what to quantise. Without it, the weights of every `eqx.nn.Linear`, convolution and
      `Embedding`. A selector as for `eqx.tree_at`, or a predicate on an array.
    - `axis`, `block_size` and other options: as for `quantise`; one scale for each index of the
      first axis (the output channels) by default.

    Weights that LoRA has adapted are quantised beneath it, which is QLoRA.
    """
    chosen = chosen_weights(model, where)
    if not chosen:
        raise ValueError("`quantise_model` found no weights; say which by `where`.")
    if axis is ...:
        axis = 0 if block_size is None else None
    options = {"axis": axis, "block_size": block_size, **options}

    def convert(path: Any, leaf: Any) -> Any:
        if jtu.keystr(path) not in chosen:
            return leaf
        if is_value(leaf):
            inner = None if leaf.payload is None else getattr(leaf, leaf.payload)
            if inner is None or is_value(inner):
                return leaf
            return leaf.with_payload(quantise(inner, dtype, **options))
        return quantise(leaf, dtype, **options)

    return jtu.tree_map_with_path(convert, model, is_leaf=is_value)
