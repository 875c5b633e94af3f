"""Sharding by name: which axis of a device mesh a name is split over."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.tree_util as jtu
from jax.sharding import NamedSharding, PartitionSpec

from sciquax.core import is_value, user_line
from sciquax.core.internal import Tracer, wanted

from ._array.axes import name_of
from ._array.base import bare
from ._array.errors import AxisError, AxisSizeError, absent, suggestion
from ._named_array import NamedArray


def partition_spec(a: NamedArray, names: Mapping[Any, Any]) -> PartitionSpec:
    """The `PartitionSpec` of an array for `{name: mesh axis or axes}`; other axes are whole."""
    wanted("partition_spec", a, NamedArray, "a named array")
    wanted("partition_spec", names, Mapping, "mesh axes by name")
    known = {name_of(k): v for k, v in names.items()}
    return PartitionSpec(*[known.get(d) if d is not None else None for d in a.dims])


def shard(tree: Any, mesh: Any, names: Mapping[Any, Any]) -> Any:
    """The named arrays of a tree, split over a mesh by name: `shard(a, mesh, {"batch": "data"})`.

    Known arrays are put on the devices; within `jax.jit` the layout is a constraint. Names that an
    array lacks do not matter to it; a name that no array has is refused.

    **Raises** `AxisError` for a name that no array has or a mesh axis that does not exist,
    `AxisSizeError` where a size is not divisible by the number of devices.
    """
    leaves, treedef = jtu.tree_flatten(tree, is_leaf=is_value)
    wanted("shard", names, Mapping, "mesh axes by name")
    known = {name_of(k): _mesh_axes(mesh, v) for k, v in names.items()}
    arrays = [x for x in leaves if isinstance(x, NamedArray)]
    every = tuple(dict.fromkeys(d for a in arrays for d in a.dims))
    for name in known:
        if name not in every:
            raise absent("shard", name, every).at(user_line())
    return jtu.tree_unflatten(
        treedef, [_shard(x, mesh, known) if isinstance(x, NamedArray) else x for x in leaves]
    )


def _mesh_axes(mesh: Any, given: Any) -> tuple[str, ...]:
    found = () if given is None else (given,) if isinstance(given, str) else tuple(given)
    for axis in found:
        if axis not in mesh.shape:
            raise AxisError(
                f"`shard` got the mesh axis {axis!r}, and the mesh has {dict(mesh.shape)}.",
                suggestion(axis, mesh.shape),
            ).at(user_line())
    return found


def _shard(a: NamedArray, mesh: Any, names: dict[str, tuple[str, ...]]) -> NamedArray:
    used: dict[str, str] = {}
    for name, size in a.sizes.items():
        parts = 1
        for axis in names.get(name, ()):
            if axis in used:
                raise AxisError(
                    f"`shard` would split both {used[axis]!r} and {name!r} over the mesh axis "
                    f"{axis!r}.",
                    "A mesh axis splits one axis of an array.",
                ).at(user_line())
            used[axis] = name
            parts *= mesh.shape[axis]
        if size % parts:
            raise AxisSizeError(
                f"`shard` cannot split {name!r} of size {size} in {parts} equal parts."
            ).at(user_line())
    spec = PartitionSpec(*[names.get(d) or None if d is not None else None for d in a.dims])
    sharding = NamedSharding(mesh, spec)

    def place(x: Any) -> Any:
        if isinstance(x, Tracer):
            return jax.lax.with_sharding_constraint(x, sharding)
        return jax.device_put(x, sharding)

    leaves = jtu.tree_leaves(a.array)
    if any(getattr(x, "shape", None) != a.shape for x in leaves):
        raise AxisError(f"`shard` cannot split a {type(a.array).__name__} by its axes.").at(
            user_line()
        )
    return bare(jtu.tree_map(place, a.array), a._axes)
