"""`jax.shard_map`: each device interprets the body on its shards of the values."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import PartitionSpec

from .._compat.jaxprs import aval_sharding, open_jaxpr
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
    structs = [
        jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=aval_sharding(a))
        for t in types
        for a in t.avals
    ]
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

    **Raises** `RuleError` for a leaf that is not of the value's shape, unless all is replicated.
    """
    if type(x) not in VALUE_TYPES:
        return [spec]
    shape = x.aval().shape
    if any(axis is not None for axis in spec) and any(a.shape != shape for a in t.avals):
        raise RuleError(
            f"`shard_map` cannot split {describe(x)} by {spec}: its parts are not of its shape.",
            "Replicate it, `PartitionSpec()`, or materialise it first.",
        )
    return [spec] * len(t.avals)
