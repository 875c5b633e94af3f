"""Models with low-rank adapters: what is trained, and the weights with their updates added."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu

from sciquax.core import RuleError, is_value

from ._array import COLUMN, LoraArray
from ._dora import DoraArray

ADAPTED = (LoraArray, DoraArray)


def is_adapted(x: Any) -> bool:
    return type(x) in ADAPTED


def is_adapted_or_none(x: Any) -> bool:
    return x is None or is_adapted(x)


def _is_lora(x: Any) -> bool:
    return type(x) is LoraArray


def lora_of(x: Any) -> LoraArray:
    """The low-rank part of an adapted weight."""
    return x.direction if type(x) is DoraArray else x


# -- training -------------------------------------------------------------------------------------


def factor_labels(model: Any) -> Any:
    """Labels of the trained arrays of a model: `"a"`, `"b"` or `"magnitude"` in their places.

    None stands for all other leaves, as in `eqx.filter(model, adapter_filter(model))`. For
    `optax.multi_transform`: S. Hayou et al., *LoRA+: Efficient Low Rank Adaptation of Large Models*
    (2024), train `a`, the factor of the outputs, at a rate that is some 16 times that of `b`.

    ```python
    >>> import equinox as eqx, jax, optax
    >>> from sciquax.lora import factor_labels, loraify
    >>> model = loraify(eqx.nn.Linear(4, 3, key=jax.random.key(0)), rank=2, key=jax.random.key(1))
    >>> labels = factor_labels(model)
    >>> labels.weight.a, labels.weight.b, labels.bias
    ('a', 'b', None)
    >>> rates = {"a": optax.adam(16e-4), "b": optax.adam(1e-4), "magnitude": optax.adam(1e-4)}
    >>> optimiser = optax.multi_transform(rates, factor_labels)  # given what is trained

    ```
    """

    def label(x: Any) -> Any:
        if not is_adapted(x):
            return jtu.tree_map(lambda _: None, x)
        empty = jtu.tree_map(lambda _: None, x)
        lora = eqx.tree_at(lambda w: (w.a, w.b), lora_of(empty), ("a", "b"), is_leaf=_is_none)
        if type(x) is LoraArray:
            return lora
        return eqx.tree_at(
            lambda w: (w.direction, w.magnitude),
            empty,
            (lora, "magnitude"),
            is_leaf=lambda y: y is None or _is_lora(y),
        )

    return jtu.tree_map(label, model, is_leaf=is_adapted)


def adapter_filter(model: Any) -> Any:
    """A tree of booleans, True at the factors `a` and `b` of every `LoraArray`, and at magnitudes.

    For `eqx.partition(model, adapter_filter(model))`: only the first part is trained.
    """
    return jtu.tree_map(lambda x: x is not None, factor_labels(model), is_leaf=_is_none)


def lora_dropout(model: Any, *, key: Any) -> Any:
    """The model with the input features of every update dropped at its `dropout` rate.

    A dropped feature is a column of `b` set to zero, the others being scaled by `1 / (1 - rate)`;
    so one mask serves all rows of a batch. For a mask of its own for each example, call this under
    `vmap`, with a key for each. Call it in each training step; the model itself has no dropout.
    """
    loras = [x for x in jtu.tree_leaves(model, is_leaf=_is_lora) if _is_lora(x)]
    keys = iter(jr.split(key, max(len(loras), 1)))

    def drop(x: Any) -> Any:
        if not _is_lora(x):
            return x
        own = next(keys)
        if x.dropout == 0.0:
            return x
        n_columns = sum(k == COLUMN for k in x.axes)
        features = x.b.shape[x.b.ndim - n_columns :][:1]  # input channels, for a convolution
        kept = jr.bernoulli(own, 1.0 - x.dropout, features)
        mask = jnp.where(kept, 1.0 / (1.0 - x.dropout), 0.0).astype(x.b.dtype)
        mask = mask.reshape(*features, *[1] * (n_columns - 1))
        mask = mask.reshape(*[1] * (x.b.ndim - n_columns), *mask.shape)
        return eqx.tree_at(lambda w: w.b, x, x.b * mask)

    return jtu.tree_map(drop, model, is_leaf=_is_lora)


# -- merging --------------------------------------------------------------------------------------


def merge(model: Any, *, requantise: bool = False) -> Any:
    """The model with every adapted weight multiplied out to a plain array.

    With `requantise`, what adapted a `QuantisedArray` becomes one again, of the same format, with
    scales of its own: the update is rounded with the weight.
    """

    def multiply_out(x: Any) -> Any:
        if not is_adapted(x):
            return x
        base, merged = lora_of(x).weight, x.merged()
        like = getattr(type(base), "requantised", None)
        return like(base, merged) if requantise and like is not None else merged

    return jtu.tree_map(multiply_out, model, is_leaf=is_adapted)


def unmerge(merged: Any, adapters: Any) -> Any:
    """The inverse of `merge`: subtract the updates from the merged weights, and keep them beside.

    **Arguments**: a merged model, and the model of `LoraArray`s (or its `extract_adapters`) that
    holds the updates. Exact up to rounding of the merged weights.

    **Raises** `RuleError` for a `DoraArray`, whose norms the merged weight does not tell.
    """

    def split(adapter: Any, weight: Any) -> Any:
        if not is_adapted(adapter):
            return weight
        if type(adapter) is DoraArray or is_value(weight):
            raise RuleError(
                f"`unmerge` takes plain weights apart by `LoraArray`s, not {type(weight).__name__} "
                f"by {type(adapter).__name__}.",
                "Keep the model that was merged.",
            )
        update = adapter.update()
        return eqx.tree_at(lambda w: w.weight, adapter, weight - update, is_leaf=_is_none)

    return jtu.tree_map(split, adapters, merged, is_leaf=is_adapted_or_none)


def _is_none(x: Any) -> bool:
    return x is None
