"""`loraify`: low-rank factors beside the weights of a model."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax.random as jr
import jax.tree_util as jtu

from sciquax._storage.weights import chosen_weights, name_of
from sciquax.core import aval_of, is_value

from ._array import LoraArray
from ._dora import DoraArray
from ._models import is_adapted


def loraify(
    model: Any,
    *,
    rank: int,
    key: Any,
    where: Callable[[Any], Any] | None = None,
    rank_pattern: Mapping[str, int] | None = None,
    alpha_pattern: Mapping[str, float | int] | None = None,
    dora: bool = False,
    alpha: float | int | None = None,
    **options: Any,
) -> Any:
    """A model with `LoraArray`s in the place of its weights. Call it as `quaxify(model)(x)`.

    **Arguments**

    - `model`: any pytree, such as an Equinox module.
    - `rank`: as for `LoraArray`; a weight thinner than `rank` gets its own rank.
    - `key`: a JAX key.
    - `where`: what to adapt. Without it, the weights of every `eqx.nn.Linear`, convolution,
      `Embedding`, `GRUCell` and `LSTMCell`, which includes those in `MultiheadAttention`. Either a
      selector as for `eqx.tree_at`, which returns some arrays or layers of the model; or a
      predicate on an array, which returns a boolean.
    - `rank_pattern`, `alpha_pattern`: other ranks and alphas for some layers, by a regular
      expression for the end of a layer's name, from a dot on: `{"query_proj": 8}`, or
      `{"blocks[.]0[.].*": 16}`. The first that matches counts. A layer's name is its place in the
      model, as in `blocks.0.attention.query_proj`.
    - `dora`: whether every row gets a magnitude of its own, see `DoraArray`.
    - `alpha`, and as `options` `scale`, `rank_stabilised`, `dropout`, `init`, `stop_gradient`,
      `allow_materialise`: as for `LoraArray`.

    **Raises** ValueError if there is nothing to adapt, a rank is less than one, a pattern matches
    no layer, or some weight has an adapter already (see `base_model` and `with_adapters`).

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
    leaves = {
        jtu.keystr(path): (name_of(path), leaf)
        for path, leaf in jtu.tree_flatten_with_path(model, is_leaf=is_value)[0]
    }
    adapted = [leaves[at][0] for at in chosen if is_adapted(leaves[at][1])]
    if adapted:
        others = f" and {len(adapted) - 1} more" if len(adapted) > 1 else ""
        raise ValueError(
            f"`{adapted[0]}`{others} has an adapter already. `base_model(model)` takes adapters "
            "off, `with_adapters` puts several on one base, `merge` makes them part of the weights."
        )
    names = [leaves[at][0] for at in chosen]
    ranks = _by_pattern(names, rank, rank_pattern, "rank_pattern")
    alphas = _by_pattern(names, alpha, alpha_pattern, "alpha_pattern")
    for wanted in ranks.values():
        if isinstance(wanted, bool) or wanted < 1:
            raise ValueError(f"The rank of a LoraArray is at least 1, not {wanted}.")
    keys = iter(jr.split(key, len(chosen)))

    def adapt(path: Any, leaf: Any) -> Any:
        axes = chosen.get(jtu.keystr(path))
        if axes is None:
            return leaf
        name, shape = name_of(path), aval_of(leaf).shape
        rows, columns = axes
        rows = rows if rows is not None else (len(shape) - 2,)
        columns = columns if columns is not None else (len(shape) - 1,)
        n_rows, n_columns = (math.prod(shape[d] for d in axes) for axes in (rows, columns))
        lora = LoraArray(
            leaf,
            rank=min(ranks[name], max(n_rows, 1), max(n_columns, 1)),
            row_axes=rows,
            column_axes=columns,
            alpha=alphas[name],
            key=next(keys),
            **options,
        )
        return DoraArray(lora) if dora else lora

    return jtu.tree_map_with_path(adapt, model, is_leaf=is_value)


def _by_pattern(
    names: list[str], default: Any, patterns: Mapping[str, Any] | None, what: str
) -> dict[str, Any]:
    """The number for each layer: of the first pattern that matches its name, or the default."""
    found, used = {}, set()
    for name in names:
        matches = [p for p in patterns or () if re.fullmatch(rf"(?:.*\.)?(?:{p})", name)]
        used.update(matches)
        found[name] = (patterns or {})[matches[0]] if matches else default
    for pattern in patterns or ():
        if pattern not in used:
            raise ValueError(f"`{what}` {pattern!r} is the end of no layer's name: {names}.")
    return found
