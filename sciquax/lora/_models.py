"""LoRA for whole models: choose weights, train the factors alone, merge, save and load them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu

from sciquax._files.streams import has_description, read, reading, write, writing
from sciquax._storage.weights import chosen_weights
from sciquax.core import aval_of, is_value

from ._array import COLUMN, LoraArray


def _is_lora(x: Any) -> bool:
    return type(x) is LoraArray


def loraify(
    model: Any,
    *,
    rank: int,
    key: Any,
    where: Callable[[Any], Any] | None = None,
    scale: float | int = 0.01,
    alpha: float | int | None = None,
    rank_stabilised: bool = False,
    dropout: float | int = 0.0,
    stop_gradient: bool = True,
    allow_materialise: bool = False,
) -> Any:
    """A model with `LoraArray`s in the place of its weights. Call it as `quaxify(model)(x)`.

    **Arguments**

    - `model`: any pytree, such as an Equinox module.
    - `rank`, `scale`, `alpha`, `rank_stabilised`, `dropout`, `stop_gradient`,
      `allow_materialise`: as for `LoraArray`; a weight thinner than `rank` gets its own rank.
    - `key`: a JAX key.
    - `where`: what to adapt. Without it, the weights of every `eqx.nn.Linear`, convolution and
      `Embedding`, which includes those in `MultiheadAttention`. Either a selector as for
      `eqx.tree_at`, which returns some arrays or layers of the model; or a predicate on an array,
      which returns a boolean.

    **Raises** ValueError if there is nothing to adapt.

    ```python
    >>> import equinox as eqx, jax
    >>> from sciquax.lora import loraify
    >>> mlp = eqx.nn.MLP(2, 1, 8, 2, key=jax.random.key(0))
    >>> loraify(mlp, rank=2, key=jax.random.key(1)).layers[1].weight
    LoraArray(f32[8,8], rank=2)

    ```
    """
    chosen = chosen_weights(model, where)
    if not chosen:
        raise ValueError("`loraify` found no weights to adapt in the model; say which by `where`.")
    keys = iter(jr.split(key, len(chosen)))
    options = {
        "scale": scale,
        "alpha": alpha,
        "rank_stabilised": rank_stabilised,
        "dropout": dropout,
        "stop_gradient": stop_gradient,
        "allow_materialise": allow_materialise,
    }

    def adapt(path: Any, leaf: Any) -> Any:
        axes = chosen.get(jtu.keystr(path))
        if axes is None or _is_lora(leaf):
            return leaf
        shape = aval_of(leaf).shape
        rows, columns = axes
        rows = rows if rows is not None else (len(shape) - 2,)
        columns = columns if columns is not None else (len(shape) - 1,)
        n_rows = _product(shape[d] for d in rows)
        n_columns = _product(shape[d] for d in columns)
        return LoraArray(
            leaf,
            rank=max(1, min(rank, n_rows, n_columns)),
            row_axes=rows,
            column_axes=columns,
            key=next(keys),
            **options,
        )

    return jtu.tree_map_with_path(adapt, model, is_leaf=is_value)


def _product(sizes: Any) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total


# -- training -------------------------------------------------------------------------------------


def adapter_filter(model: Any) -> Any:
    """A tree of booleans, True at the factors `a` and `b` of every `LoraArray`.

    For `eqx.partition(model, adapter_filter(model))`: only the first part is trained.
    """

    def mark(x: Any) -> Any:
        marked = jtu.tree_map(lambda _: False, x)
        if not _is_lora(x):
            return marked
        return eqx.tree_at(lambda w: (w.a, w.b), marked, (True, True))

    return jtu.tree_map(mark, model, is_leaf=_is_lora)


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


def merge(model: Any) -> Any:
    """The model with every `LoraArray` multiplied out to a plain array."""
    return jtu.tree_map(lambda x: x.merged() if _is_lora(x) else x, model, is_leaf=_is_lora)


def unmerge(merged: Any, adapters: Any) -> Any:
    """What `merge` undid: the merged weights less their updates, and the updates beside them.

    **Arguments**: a merged model, and the model of `LoraArray`s (or its `extract_adapters`) that
    holds the updates. Exact up to rounding of the merged weights.
    """

    def split(lora: Any, weight: Any) -> Any:
        if not _is_lora(lora):
            return weight
        return eqx.tree_at(lambda w: w.weight, lora, weight - lora.update(), is_leaf=_is_none)

    return jtu.tree_map(split, adapters, merged, is_leaf=lambda x: _is_lora(x) or x is None)


def _is_none(x: Any) -> bool:
    return x is None


# -- saving and loading ---------------------------------------------------------------------------


def extract_adapters(model: Any) -> Any:
    """The factors of every `LoraArray` alone: the model with None for all other leaves."""
    return eqx.filter(model, adapter_filter(model))


def load_adapters(model: Any, adapters: Any) -> Any:
    """The model with these factors in the place of its own.

    **Arguments**: a model with `LoraArray`s, and what `extract_adapters` gave, of equal structure.
    """
    own, rest = eqx.partition(model, adapter_filter(model))
    if jtu.tree_structure(own) != jtu.tree_structure(adapters):
        raise ValueError("These adapters belong to a model of another structure.")
    shapes = [jnp.shape(x) for x in jtu.tree_leaves(own)]
    given = [jnp.shape(x) for x in jtu.tree_leaves(adapters)]
    if shapes != given:
        raise ValueError(f"These adapters have shapes {given}, the model's are {shapes}.")
    return eqx.combine(adapters, rest)


def save_adapters(file: Any, model: Any) -> None:
    """Write the factors alone to a path or a file, with their units, axes and scaling.

    A file at the path is replaced once all is written. A path without a suffix gets `.eqx`.
    """
    with writing(file) as f:
        write(f, extract_adapters(model))


def read_adapters(file: Any, model: Any) -> Any:
    """The model with the factors that `save_adapters` wrote, in the units of its own.

    **Raises** `ValueError` by path where shapes, axes, scaling or other properties differ.
    """
    own = extract_adapters(model)
    with reading(file) as f:
        told = has_description(f)
        return load_adapters(model, read(f, own) if told else eqx.tree_deserialise_leaves(f, own))
