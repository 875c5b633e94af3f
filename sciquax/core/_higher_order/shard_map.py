"""`jax.shard_map`: each device interprets the body on its shards of the values."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import PartitionSpec

from .._compat.jaxprs import open_jaxpr
from .._errors import RuleError
from .._interpret import interpret
from .._values.kinds import VALUE_TYPES, describe
from .._values.types import Type, flatten, type_of, unflatten
from .._values.unit_polymorphic import strip


class _Probed(BaseException):
    """Internal: the types of a body's outputs are known."""


def shard_map(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    operands = list(map(strip, operands))
    types = [type_of(x) for x in operands]
    in_specs = [
        spec
        for x, t, own in zip(operands, types, params["in_specs"], strict=True)
        for spec in _leaf_specs(x, t, own)
    ]
    jaxpr, consts = open_jaxpr(params["jaxpr"])
    outs: list[Type] = []

    def body(*leaves: Any) -> Any:
        values = [strip(x) for x in interpret(jaxpr, consts, unflatten(types, leaves))]
        outs[:] = map(type_of, values)
        return tuple(flatten(values))

    def probe(*leaves: Any) -> Any:
        body(*leaves)
        raise _Probed

    def mapped(fn: Any, out_specs: Any) -> Any:
        return jax.shard_map(
            fn,
            mesh=params["mesh"],
            in_specs=tuple(in_specs),
            out_specs=out_specs,
            axis_names=set(params["newly_manual_axes"]),
            check_vma=params["check_vma"],
        )

    leaves = flatten(operands)
    structs = [x for t in types for x in t.leaves()]
    try:
        jax.eval_shape(mapped(probe, PartitionSpec()), *structs)
    except _Probed:
        pass
    out_specs = tuple(
        spec
        for t, own in zip(outs, params["out_specs"], strict=True)
        for spec in _leaf_specs(t.example(), t, own)
    )
    return unflatten(outs, mapped(body, out_specs)(*leaves))


def _leaf_specs(x: Any, t: Type, spec: Any) -> list[Any]:
    """How the leaves of a value are sharded that is sharded like an array by `spec`.

    **Raises** `RuleError` where parts of the leaves are not the leaves of a part of the value, as
    the diagonals of a matrix are not: a batch of matrices is split, a matrix is not.
    """
    if type(x) not in VALUE_TYPES:
        return [spec]
    shape = x.aval().shape
    if all(a.shape == shape for a in t.avals):
        return [spec] * len(t.avals)
    count = max((i + 1 for i, axis in enumerate(spec) if axis is not None), default=0)
    leading = PartitionSpec(*spec[:count])
    if not _splits(x, t, shape, count):
        raise RuleError(
            f"`shard_map` cannot split {describe(x)} by {spec}: its parts are not of its shape.",
            "Replicate it, `PartitionSpec()`, or materialise it first.",
        )
    return [leading] * len(t.avals)


def _splits(x: Any, t: Type, shape: Sequence[int], count: int) -> bool:
    """Whether so many leading axes of a value are leading axes of all its leaves."""
    if any(a.shape[:count] != shape[:count] for a in t.avals):
        return False
    one = (1,) * count
    leaves = [jax.ShapeDtypeStruct((*one, *a.shape[count:]), a.dtype) for a in t.avals]
    return jax.tree.unflatten(t.tree, leaves).aval().shape == (*one, *shape[count:])
