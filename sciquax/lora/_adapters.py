"""Adapters apart from their base: taken off, put on, and several of them added up."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax._storage.weights import name_of
from sciquax.core import aval_of, is_value

from ._array import LoraArray
from ._dora import DoraArray
from ._models import adapter_filter, is_adapted, is_adapted_or_none, lora_of


def extract_adapters(model: Any) -> Any:
    """The factors of every adapted weight alone: the model with None for all other leaves."""
    return eqx.filter(model, adapter_filter(model))


def load_adapters(model: Any, adapters: Any) -> Any:
    """The model with these factors in the place of its own.

    **Arguments**: a model with adapters, and what `extract_adapters` gave, of equal structure.
    """
    own, rest = eqx.partition(model, adapter_filter(model))
    if jtu.tree_structure(own) != jtu.tree_structure(adapters):
        raise ValueError("These adapters belong to a model of another structure.")
    shapes = [jnp.shape(x) for x in jtu.tree_leaves(own)]
    given = [jnp.shape(x) for x in jtu.tree_leaves(adapters)]
    if shapes != given:
        raise ValueError(f"These adapters have shapes {given}, the model's are {shapes}.")
    return eqx.combine(adapters, rest)


def base_model(model: Any) -> Any:
    """The model without its adapters.

    **Raises** ValueError for adapters that started as principal components (`init="pissa"`): their
    base is what is left of the weights without them.
    """

    def take_off(path: Any, x: Any) -> Any:
        if not is_adapted(x):
            return x
        lora = lora_of(x)
        if lora.init != "zero":
            raise ValueError(
                f"The base of `{name_of(path)}` lacks its principal components, which its adapter "
                "started from (`init='pissa'`): keep the model that was adapted, or `merge`."
            )
        return lora.weight

    return jtu.tree_map_with_path(take_off, model, is_leaf=is_adapted)


def with_adapters(model: Any, *adapters: Any, weights: Sequence[Any] | None = None) -> Any:
    """The base of a model with other adapters: one of them, or the weighted sum of several.

    The ranks of a sum add up, and its update is the sum of the updates. So a negative weight takes
    an adapter's effect away, and weights under `jit` or `vmap` mix or switch adapters as the
    program goes.

    **Arguments**

    - `model`: a model, with adapters of its own (which are taken off) or without.
    - `adapters`: adapted models of the same structure, or what `extract_adapters` gave of them.
    - `weights`: a number for each; 1 by default.

    **Raises** ValueError for adapters of other weights than the model's, several `DoraArray`s of
    one weight, or adapters with `init="pissa"`, whose bases differ.

    ```python
    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.lora import loraify, with_adapters
    >>> base = eqx.nn.Linear(4, 3, key=jax.random.key(0))
    >>> one, two = (loraify(base, rank=2, key=jax.random.key(i)) for i in (1, 2))
    >>> with_adapters(base, one, two, weights=[0.7, -0.3]).weight
    LoraArray(f32[3,4], rank=4)

    ```
    """
    if not adapters:
        raise ValueError("`with_adapters` needs an adapter; `base_model` takes them off.")
    if weights is not None and len(weights) != len(adapters):
        raise ValueError(f"There are {len(weights)} weights for {len(adapters)} adapters.")
    given = [1.0] * len(adapters) if weights is None else list(weights)
    found: dict[str, list[tuple[Any, Any]]] = {}
    for tree, weight in zip(adapters, given, strict=True):
        for path, x in jtu.tree_flatten_with_path(tree, is_leaf=is_adapted_or_none)[0]:
            if is_adapted(x):
                found.setdefault(jtu.keystr(path), []).append((x, weight))
    base = base_model(model)

    def put_on(path: Any, leaf: Any) -> Any:
        parts = found.pop(jtu.keystr(path), None)
        return leaf if parts is None else _sum(name_of(path), leaf, parts, weights is not None)

    out = jtu.tree_map_with_path(put_on, base, is_leaf=is_value)
    if found:
        raise ValueError(f"The model has no weight at `{next(iter(found))}`, which is adapted.")
    return out


def _sum(name: str, weight: Any, parts: Sequence[tuple[Any, Any]], weighted: bool) -> Any:
    """One weight with the sum of these adapters."""
    for x, _ in parts:
        if lora_of(x).init != "zero":
            raise ValueError(f"The adapter of `{name}` (`init='pissa'`) has a base of its own.")
    first = parts[0][0]
    shape = aval_of(weight).shape
    if len(parts) == 1 and not weighted:
        return eqx.tree_at(
            lambda w: lora_of(w).weight, first, checked(name, weight, first), is_leaf=_is_none
        )
    if any(type(x) is DoraArray for x, _ in parts):
        raise ValueError(
            f"`{name}` has magnitudes (DoRA), of which there is no weighted sum: give one adapter, "
            "without weights."
        )
    loras: list[LoraArray] = [x for x, _ in parts]
    if any(x.axes != loras[0].axes for x in loras):
        raise ValueError(f"The adapters of `{name}` have other axes as their rows and columns.")
    for x in loras:
        checked(name, weight, x)
    n_batch = len(shape) - len(loras[0].axes)
    rank_axis = n_batch + sum(k == "batch" for k in loras[0].axes)
    a = jnp.concatenate([x.a * jnp.asarray(w, x.a.dtype) for x, w in parts], -1)
    b = jnp.concatenate([x.b * jnp.asarray(x.scaling, x.b.dtype) for x in loras], rank_axis)
    value = eqx.tree_at(lambda w: (w.weight, w.a, w.b), loras[0], (weight, a, b), is_leaf=_is_none)
    object.__setattr__(value, "scaling", 1.0)  # of a value that was just made
    return value


def checked(name: str, weight: Any, adapter: Any) -> Any:
    """The weight, if the adapter's factors have its shape."""
    lora, shape = lora_of(adapter), aval_of(weight).shape
    kinds = lora.kinds
    fits = len(kinds) == len(shape)
    if fits:
        a = [n for n, k in zip(shape, kinds, strict=True) if k != "column"]
        batch, columns = (
            [n for n, k in zip(shape, kinds, strict=True) if k == kind]
            for kind in ("batch", "column")
        )
        fits = lora.a.shape == (*a, lora.rank)
        fits = fits and lora.b.shape == (*batch, lora.rank, *columns)
    if not fits:
        raise ValueError(
            f"The adapter of `{name}` has factors of shapes {lora.a.shape} and {lora.b.shape}, "
            f"which do not fit a weight of shape {shape}."
        )
    return weight


def _is_none(x: Any) -> bool:
    return x is None
