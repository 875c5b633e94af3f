"""Files of adapters: their factors, and what they are to be multiplied with and added to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax._files.streams import replacing
from sciquax._storage.weights import is_weight, name_of
from sciquax.core import aval_of, is_value

from ._adapters import checked
from ._array import build
from ._dora import DoraArray
from ._models import is_adapted, lora_of
from ._safetensors import from_bytes, to_bytes

_FORMAT = "sciquax.lora"


class Entry(NamedTuple):
    """One adapter as files have it: its factors, and the kind of each axis of the weight."""

    kind: str
    init: str
    axes: tuple[str, ...]
    scaling: float
    dropout: float
    a: Any
    b: Any
    magnitude: Any = None

    @property
    def rank(self) -> int:
        return self.a.shape[-1]


def save_adapters(file: Any, model: Any) -> None:
    """Write the adapters of a model, and nothing else of it, as a safetensors file.

    **Arguments**: a path or a binary file; the model. Beside the factors, which are named after the
    layers, the file says of each layer its rank, its scaling (alpha over rank), its kind (LoRA or
    DoRA), how it was initialised, its dropout, and which axes are rows and columns.
    """
    entries = entries_of(model)
    arrays, targets = {}, {}
    for name, entry in entries.items():
        arrays |= {f"{name}.a": entry.a, f"{name}.b": entry.b}
        if entry.magnitude is not None:
            arrays[f"{name}.magnitude"] = entry.magnitude
        targets[name] = {
            "kind": entry.kind,
            "init": entry.init,
            "rank": entry.rank,
            "alpha": entry.scaling * entry.rank,
            "scaling": entry.scaling,
            "dropout": entry.dropout,
            "axes": list(entry.axes),
        }
    text = json.dumps({"version": 1, "targets": targets})
    write(file, to_bytes(arrays, {"format": _FORMAT, "config": text}))


def read_adapters(file: Any, model: Any) -> Any:
    """The model with the adapters that `save_adapters` wrote.

    **Arguments**

    - `file`: a path or a binary file.
    - `model`: the base model; or one with adapters of the same layers, kinds and ranks, whose
      factors and scalings are then the file's.

    **Raises** ValueError where file and model disagree, or the file is of another kind.
    """
    arrays, metadata = from_bytes(read(file))
    if metadata.get("format") != _FORMAT:
        raise ValueError(
            "The file was not written by `save_adapters`; adapters of PEFT are read by `read_peft`."
        )
    config = json.loads(metadata["config"])
    if config["version"] != 1:
        raise ValueError(f"Version {config['version']} of adapter files is not known here.")
    entries = {}
    for name, target in config["targets"].items():
        entries[name] = Entry(
            target["kind"],
            target["init"],
            tuple(target["axes"]),
            target["scaling"],
            target["dropout"],
            arrays[f"{name}.a"],
            arrays[f"{name}.b"],
            arrays.get(f"{name}.magnitude"),
        )
    return with_entries(model, entries)


def entries_of(model: Any) -> dict[str, Entry]:
    """The adapters of a model by the names of their layers."""
    entries = {}
    for path, x in jtu.tree_flatten_with_path(model, is_leaf=is_adapted)[0]:
        if is_adapted(x):
            lora, magnitude = lora_of(x), x.magnitude if type(x) is DoraArray else None
            kind = "lora" if magnitude is None else "dora"
            static = (lora.init, lora.kinds, lora.scaling, lora.dropout)
            entries[name_of(path)] = Entry(kind, *static, lora.a, lora.b, magnitude)
    if not entries:
        raise ValueError("The model has no adapters to write.")
    return entries


def with_entries(model: Any, entries: Mapping[str, Entry]) -> Any:
    """The model with these adapters, on its weights or in the place of the ones that it has."""
    left = dict(entries)

    def put_on(path: Any, leaf: Any) -> Any:
        name = name_of(path)
        entry = left.pop(name, None)
        if entry is None:
            if is_adapted(leaf):
                raise ValueError(
                    f"The model has an adapter of `{name}`, the file has none. Read the file into "
                    "`base_model(model)`."
                )
            return leaf
        return _adapted(name, leaf, entry)

    out = jtu.tree_map_with_path(put_on, model, is_leaf=is_value)
    if left:
        raise ValueError(
            f"The file has an adapter of `{next(iter(left))}`, which the model has not."
        )
    return out


def _adapted(name: str, leaf: Any, entry: Entry) -> Any:
    options = {"stop_gradient": True, "allow_materialise": False}
    if is_adapted(leaf):
        lora = lora_of(leaf)
        kind = "dora" if type(leaf) is DoraArray else "lora"
        own = (kind, lora.init, lora.rank, lora.kinds)
        given = (entry.kind, entry.init, entry.rank, entry.axes)
        for what, x, y in zip(("kind", "init", "rank", "axes"), own, given, strict=True):
            if x != y:
                raise ValueError(
                    f"The adapter of `{name}` has {what} {x!r} in the model and {y!r} in the file."
                )
        weight = lora.weight
        options = {name: getattr(lora, name) for name in options}
    else:
        weight = leaf
        if not is_weight(leaf):
            raise ValueError(f"`{name}` is no weight that the file's adapter could be added to.")
        if entry.init != "zero":
            raise ValueError(
                f"The adapter of `{name}` started from the weight's principal components, which "
                f"the model still has: read it into `loraify(model, init={entry.init!r}, "
                f"rank={entry.rank}, ...)`."
            )
    if len(entry.axes) != len(aval_of(weight).shape):
        raise ValueError(
            f"The adapter of `{name}` is for a weight of {len(entry.axes)} axes, not of shape "
            f"{aval_of(weight).shape}."
        )
    n_batch = next((i for i, k in enumerate(entry.axes) if k != "batch"), 0)
    value: Any = build(
        weight=weight,
        a=jnp.asarray(entry.a),
        b=jnp.asarray(entry.b),
        axes=entry.axes[n_batch:],
        scaling=entry.scaling,
        dropout=entry.dropout,
        init=entry.init,
        **options,
    )
    checked(name, weight, value)
    if entry.kind == "lora":
        return value
    wanted = [n for n, k in zip(value.shape, value.kinds, strict=True) if k != "column"]
    magnitude = jnp.asarray(entry.magnitude)
    if magnitude.shape != tuple(wanted):
        raise ValueError(f"The magnitudes of `{name}` have shape {magnitude.shape}, not {wanted}.")
    return DoraArray(value, magnitude)


def write(file: Any, content: bytes) -> None:
    """To a path or an open file."""
    if hasattr(file, "write"):
        file.write(content)
    else:
        with replacing(Path(file)) as opened:
            opened.write(content)


def read(file: Any) -> bytes:
    return file.read() if hasattr(file, "read") else Path(file).read_bytes()
