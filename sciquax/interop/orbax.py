"""Orbax checkpoints that keep units.

Orbax stores the arrays of a tree by their paths and knows no static parts: a quantity's unit would
come from whatever tree the checkpoint is restored into. Here the units are stored beside the
arrays, by path, and restoring converts, or refuses another dimension.
"""

from pathlib import Path
from typing import Any

import jax
import jax.tree_util as jtu
import orbax.checkpoint as ocp

from sciquax.core import is_value
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import as_unit


def units_of(tree: Any) -> dict[str, str]:
    """The unit of each quantity in a tree, by its path: what a checkpoint stores."""
    leaves = jtu.tree_leaves_with_path(tree, is_leaf=is_value)
    return {jtu.keystr(path): str(x.units) for path, x in leaves if isinstance(x, Quantity)}


def save(path: Any, tree: Any, *, force: bool = False) -> None:
    """Write a tree of arrays and quantities as an Orbax checkpoint.

    **Arguments**: an absolute path, the tree, and whether to overwrite.
    """
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        checkpointer.save(
            Path(path),
            args=ocp.args.Composite(
                arrays=ocp.args.StandardSave(_arrays(tree)),  # pyright: ignore[reportCallIssue]
                units=ocp.args.JsonSave(units_of(tree)),  # pyright: ignore[reportCallIssue]
            ),
            force=force,
        )


def _place(x: Any) -> jax.ShapeDtypeStruct:
    """What Orbax is told of an array to restore: its shape, and on which devices it is to be."""
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None))


def restore(path: Any, like: Any) -> Any:
    """Read a checkpoint that `save` wrote, into the structure and the units of `like`.

    Each array goes to the devices of its place in `like`.

    **Raises** `DimensionalityError` where the checkpoint measures something else; ValueError where
    only one of the two is a quantity.
    """
    shapes = jtu.tree_map(
        lambda x: _place(x) if hasattr(x, "shape") else x,
        _arrays(like),
    )
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        found = checkpointer.restore(
            Path(path),
            args=ocp.args.Composite(
                arrays=ocp.args.StandardRestore(shapes),  # pyright: ignore[reportCallIssue]
                units=ocp.args.JsonRestore(),  # pyright: ignore[reportCallIssue]
            ),
        )
    stored, wanted = dict(found["units"]), units_of(like)
    for place in sorted({*stored, *wanted}):
        _check(place, stored.get(place), wanted.get(place))
    arrays = jtu.tree_unflatten(
        jtu.tree_structure(like), jtu.tree_leaves(found["arrays"], is_leaf=lambda x: x is None)
    )

    def relabel(path: Any, x: Any) -> Any:
        if not isinstance(x, Quantity):
            return x
        return Quantity(x.magnitude, stored[jtu.keystr(path)]).to(x)

    return jtu.tree_map_with_path(relabel, arrays, is_leaf=is_value)


def _arrays(tree: Any) -> list[Any]:
    """The leaves in order: their paths are in `units_of`."""
    return jtu.tree_leaves(tree)


def _check(place: str, stored: str | None, wanted: str | None) -> None:
    if stored is None or wanted is None:
        has, lacks = ("like", "the checkpoint") if stored is None else ("the checkpoint", "`like`")
        raise ValueError(f"At {place} there is a quantity in {has}, and bare numbers in {lacks}.")
    source, target = as_unit(stored), as_unit(wanted)
    if not source.compatible(target):
        raise DimensionalityError(
            f"At {place} the checkpoint has a quantity in '{source}', `like` one in '{target}'.",
            source.pint,
            target.pint,
        )
