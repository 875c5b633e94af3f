"""Adapters in the layout of PEFT: a directory with `adapter_config.json` and a safetensors file.

PEFT's `lora_B` of shape (outputs, rank) is our `a`, its `lora_A` of shape (rank, inputs) our `b`.
A convolution's `lora_B` has a window of one; an embedding's factors have names of their own.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.tree_util as jtu
import numpy as np

from sciquax._storage.weights import name_of
from sciquax.core import is_value

from ._files import Entry, entries_of, with_entries
from ._safetensors import from_bytes, to_bytes

_PREFIX = "base_model.model."
_CONFIG, _TENSORS = "adapter_config.json", "adapter_model.safetensors"
_LINEAR, _EMBEDDING = ("row", "column"), ("column", "row")
_SUFFIXES = {
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora_embedding_A": "embedding_A",
    ".lora_embedding_B": "embedding_B",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
}
_KNOWN_INIT = (True, False, None, "gaussian", "orthogonal", "eva")


def save_peft(
    directory: Any,
    model: Any,
    *,
    rename: Callable[[str], str] | None = None,
    base_model_name_or_path: str | None = None,
) -> None:
    """Write the adapters of a model as PEFT does, for `PeftModel.from_pretrained`.

    **Arguments**

    - `directory`: where `adapter_config.json` and `adapter_model.safetensors` go.
    - `model`: a model with adapters.
    - `rename`: what turns a layer's name here, as `blocks.0.attention.query_proj`, into PEFT's.
    - `base_model_name_or_path`: what the configuration says of the base.

    **Raises** ValueError for what that layout has no place for: stacked layers, LoRA beside DoRA,
    DoRA of embeddings, several rates of dropout, adapters with `init="pissa"`.
    """
    entries = {(rename or str)(name): e for name, e in entries_of(model).items()}
    arrays: dict[str, Any] = {}
    for name, entry in entries.items():
        arrays |= {f"{_PREFIX}{name}{suffix}": x for suffix, x in _to_peft(name, entry).items()}
    kinds, rates = ({getattr(e, f) for e in entries.values()} for f in ("kind", "dropout"))
    if len(kinds) > 1 or len(rates) > 1:
        raise ValueError("PEFT has one kind (LoRA or DoRA) and one rate of dropout for all layers.")
    ranks = {name: e.rank for name, e in entries.items()}
    alphas = {name: e.scaling * e.rank for name, e in entries.items()}
    (rank, _), (alpha, _) = (Counter(x.values()).most_common(1)[0] for x in (ranks, alphas))
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base_model_name_or_path,
        "inference_mode": True,
        "target_modules": sorted(entries),
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {re.escape(n): r for n, r in ranks.items() if r != rank},
        "alpha_pattern": {re.escape(n): a for n, a in alphas.items() if a != alpha},
        "lora_dropout": rates.pop(),
        "use_rslora": False,
        "use_dora": kinds == {"dora"},
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
    }
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True))
    (folder / _TENSORS).write_bytes(to_bytes(arrays, {"format": "pt"}))


def read_peft(directory: Any, model: Any, *, rename: Callable[[str], str] | None = None) -> Any:
    """The model with the adapters of a directory that PEFT, or `save_peft`, wrote.

    **Arguments**: the directory; the base model, or one with adapters of the same layers and ranks;
    and `rename`, which turns a layer's name here into PEFT's.

    **Raises** ValueError for another kind of adapter than LoRA or DoRA, trained biases or whole
    layers, adapters whose base PEFT has changed too (PiSSA, OLoRA, LoftQ), and where directory and
    model disagree.
    """
    folder = Path(directory)
    config = json.loads((folder / _CONFIG).read_text())
    arrays, _ = from_bytes((folder / _TENSORS).read_bytes())
    for field, fine in (
        ("peft_type", ("LORA",)),
        ("bias", (None, "none")),
        ("modules_to_save", (None, [])),
        ("lora_bias", (None, False)),
        ("init_lora_weights", _KNOWN_INIT),
    ):
        if config.get(field) not in fine:
            raise ValueError(f"`{field}` = {config[field]!r} of PEFT is not read here.")
    layers: dict[str, dict[str, np.ndarray]] = {}
    for key, x in arrays.items():
        suffix = next((s for s in _SUFFIXES if key.endswith(s)), None)
        if suffix is None or not key.startswith(_PREFIX):
            raise ValueError(f"`{key}` in the file belongs to no adapter of LoRA.")
        layer = layers.setdefault(key[len(_PREFIX) : -len(suffix)], {})
        layer[_SUFFIXES[suffix]] = x
    named = {name: _from_peft(name, layer, config) for name, layer in layers.items()}
    if rename is not None:
        paths = jtu.tree_flatten_with_path(model, is_leaf=is_value)[0]
        ours = {rename(own): own for own in (name_of(path) for path, _ in paths)}
        named = {ours.get(name, name): entry for name, entry in named.items()}
    return with_entries(model, named)


def _to_peft(name: str, entry: Entry) -> dict[str, Any]:
    """The arrays of one layer by PEFT's suffixes."""
    if entry.init != "zero":
        raise ValueError(f"The adapter of `{name}` has a base of its own (init={entry.init!r}).")
    a, b, axes = np.asarray(entry.a), np.asarray(entry.b), entry.axes
    if axes == _EMBEDDING and entry.kind == "lora":
        return {".lora_embedding_A": b, ".lora_embedding_B": a}
    if len(axes) < 2 or axes[0] != "row" or set(axes[1:]) != {"column"}:
        raise ValueError(f"PEFT has no layout for `{name}`, whose axes are {', '.join(axes)}.")
    window = (1,) * (len(axes) - 2)
    out = {".lora_A.weight": b, ".lora_B.weight": a.reshape(*a.shape, *window)}
    if entry.magnitude is not None:
        magnitude = np.asarray(entry.magnitude)
        shape = magnitude.shape if not window else (1, magnitude.size, *window)
        out[".lora_magnitude_vector"] = magnitude.reshape(shape)
    return out


def _from_peft(name: str, layer: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> Entry:
    embedding = "embedding_A" in layer
    b, a = (layer.get(f"embedding_{x}" if embedding else x) for x in "AB")
    if a is None or b is None:
        raise ValueError(f"The file lacks a factor of `{name}`.")
    axes = _EMBEDDING if embedding else ("row", *["column"] * (b.ndim - 1))
    magnitude = layer.get("magnitude")
    if (magnitude is not None) != bool(config.get("use_dora")) or (
        embedding and config["use_dora"]
    ):
        raise ValueError(f"The magnitudes of `{name}` are not as the configuration says.")
    rank = _of_pattern(config.get("rank_pattern"), name, config["r"])
    ranks = np.shape(a)[1], np.shape(b)[0]
    a = np.reshape(a, np.shape(a)[:2])
    if ranks != (rank, rank):
        raise ValueError(
            f"The factors of `{name}` have ranks {ranks[0]} and {ranks[1]}, the configuration "
            f"says {rank}."
        )
    alpha = _of_pattern(config.get("alpha_pattern"), name, config["lora_alpha"])
    scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    kind = "lora" if magnitude is None else "dora"
    flat = None if magnitude is None else magnitude.reshape(-1)
    return Entry(kind, "zero", axes, scaling, config.get("lora_dropout", 0.0), a, b, flat)


def _of_pattern(patterns: Mapping[str, Any] | None, name: str, default: Any) -> Any:
    """As PEFT looks a layer up: by a regular expression for the end of its name, from a dot on."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", name):
            return value
    return default
