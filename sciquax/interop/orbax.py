"""Orbax checkpoints that keep the whole type of every value.

Orbax stores the arrays of a tree by their paths and knows no static parts: units, names and
structure would come from whatever tree the checkpoint is restored into. Here they are stored beside
the arrays, by path. Restoring compares, converts units, and refuses everything else.
"""

import shutil
import uuid
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import orbax.checkpoint as ocp

from sciquax._files.comparison import StoredTypeError as StoredTypeError, check
from sciquax._files.descriptions import array_nodes
from sciquax._files.filling import converted, fill, placed, places, plain
from sciquax._files.static_parts import written
from sciquax._files.streams import header, tree_of
from sciquax.core import is_value, user_line
from sciquax.core.internal import adopt_all
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import as_unit


def save(path: Any, tree: Any, *, force: bool = False) -> None:
    """Write a tree of arrays and values as an Orbax checkpoint.

    Leaves that are no arrays and no numbers are not stored.

    **Arguments**: an absolute path, the tree, and whether to overwrite: once all is written, where
    there is one process.
    """
    said, arrays = header(adopt_all(tree))
    items: dict[str, Any] = {"type": ocp.args.JsonSave(said)}  # pyright: ignore[reportCallIssue]
    stored = [_storable(plain(x)) for x in arrays]
    if stored := [x for x in stored if x.size]:  # Orbax refuses arrays without elements
        items["arrays"] = ocp.args.StandardSave(stored)  # pyright: ignore[reportCallIssue]
    target = Path(path)
    replaced = force and target.exists() and jax.process_count() == 1
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}") if replaced else target
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(beside, args=ocp.args.Composite(**items), force=force)
        if replaced:
            shutil.rmtree(target)
            beside.rename(target)
    finally:
        if replaced:  # Orbax leaves what it could not finish
            for rest in target.parent.glob(f"{beside.name}*"):
                shutil.rmtree(rest)


def restore(path: Any, like: Any) -> Any:
    """Read a checkpoint that `save` wrote, into the structure and the units of `like`.

    Each array goes to the devices of its place in `like`. Leaves that are no arrays and no numbers
    are taken from `like`.

    **Raises** `DimensionalityError` where the checkpoint measures something else; `StoredTypeError`
    (a ValueError) where places, classes, names, coordinates, properties, shapes or dtypes differ,
    or numbers cannot be converted.
    """
    like = adopt_all(like)
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        if not (Path(path) / "type").exists():
            return _restore_before(checkpointer, Path(path), like)
        said = _items(checkpointer, path, type=ocp.args.JsonRestore())["type"]  # pyright: ignore[reportCallIssue]
        node = tree_of(said, "checkpoint")
        check(node, like, "checkpoint")
        arrays = [_place(x) for x in places(node, like)]
        if due := {i: x for i, x in enumerate(arrays) if x.size}:
            args = ocp.args.StandardRestore([*due.values()])  # pyright: ignore[reportCallIssue]
            found = _items(checkpointer, path, arrays=args)["arrays"]
            due = dict(zip(due, found, strict=True))
    full = [due[i] if x.size else np.zeros(x.shape, x.dtype) for i, x in enumerate(arrays)]
    stored = [_as_stored(x, kind) for x, kind in zip(full, array_nodes(node), strict=True)]
    return fill(node, like, stored, "checkpoint")


def _items(checkpointer: Any, path: Any, **args: Any) -> Any:
    return checkpointer.restore(Path(path), args=ocp.args.Composite(**args))


_WIDER = {"uint4": jnp.uint8, "uint2": jnp.uint8, "int2": jnp.int8}


def _storable(x: Any) -> Any:
    """Dates, strings and short integers as integers that Orbax holds."""
    if x.dtype.name in _WIDER:
        return x.astype(_WIDER[x.dtype.name])
    if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind not in "mMU":
        return x
    x = np.ascontiguousarray(x)
    return x.view(np.int64) if x.dtype.kind in "mM" else _letters(x)


def _letters(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1).view(np.uint32).reshape(*x.shape, -1)


def _as_stored(x: Any, node: dict[str, Any]) -> Any:
    """The inverse of `_storable`."""
    if "dtype" not in node:
        return x
    dtype = jnp.dtype(node["dtype"])
    if dtype.name in _WIDER:
        return x.astype(dtype)
    if dtype.kind not in "mMU":
        return x
    return np.ascontiguousarray(x).view(dtype).reshape(node["shape"])


def _place(x: Any) -> Any:
    """The shape and the devices of an array to restore, for Orbax."""
    if isinstance(x, (jax.Array, jax.ShapeDtypeStruct)):
        stored = jax.eval_shape(lambda x: _storable(plain(x)), x)
        return jax.ShapeDtypeStruct(
            stored.shape, stored.dtype, sharding=getattr(x, "sharding", None)
        )
    x = _storable(plain(x))
    return np.empty(x.shape, x.dtype)


# -- checkpoints of before: the units of quantities of arrays -------------------------------------


def _restore_before(checkpointer: Any, path: Path, like: Any) -> Any:
    warnings.warn(
        "The checkpoint holds arrays in order and units of quantities, as earlier releases wrote "
        "it. Keys, names, structure and units within values are taken from `like`. Save it again.",
        stacklevel=3,
    )
    leaves, tree = jtu.tree_flatten(like)
    arrays = ocp.args.StandardRestore(list(map(_place, leaves)))  # pyright: ignore[reportCallIssue]
    found = _items(checkpointer, path, arrays=arrays, units=ocp.args.JsonRestore())  # pyright: ignore[reportCallIssue]
    stored, wanted = dict(found["units"]), _units(like)
    for place in sorted({*stored, *wanted}):
        _compare_units(place, stored.get(place), wanted.get(place))
    read = tree.unflatten([placed(x, y) for x, y in zip(found["arrays"], leaves, strict=True)])

    def relabelled(path: Any, x: Any) -> Any:
        if not isinstance(x, Quantity):
            return x
        unit = as_unit(stored[jtu.keystr(path)], x._unit.registry)
        return converted(x, {"_unit": written(unit)}, jtu.keystr(path), "checkpoint")

    return jtu.tree_map_with_path(relabelled, read, is_leaf=is_value)


def _units(tree: Any) -> dict[str, Any]:
    """The unit of each quantity that is a leaf of a tree, by its path."""
    leaves = jtu.tree_leaves_with_path(tree, is_leaf=is_value)
    return {jtu.keystr(path): x._unit for path, x in leaves if isinstance(x, Quantity)}


def _compare_units(place: str, stored: str | None, wanted: Any) -> None:
    if stored is None or wanted is None:
        has, lacks = ("like", "the checkpoint") if stored is None else ("the checkpoint", "`like`")
        raise StoredTypeError(
            f"At {place} there is a quantity in {has}, and bare numbers in {lacks}."
        ).at(user_line())
    source = as_unit(stored, wanted.registry)
    if not source.compatible(wanted):
        raise DimensionalityError(
            f"At {place} the checkpoint has a quantity in '{source}', `like` one in '{wanted}'.",
            source.pint,
            wanted.pint,
        ).at(user_line())
