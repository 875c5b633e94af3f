"""`split`, `unstack` and `optimization_barrier`, which work the same for every type."""

from collections.abc import Sequence
from typing import Any

import jax.tree_util as jtu
from jax import lax

from sciquax.core import Value, aval_of, bind, register_rule, strip


def _piece(x: Any, axis: int, start: int, stop: int) -> Any:
    shape = aval_of(x).shape
    starts, limits = [0] * len(shape), list(shape)
    starts[axis], limits[axis] = start, stop
    return bind(
        lax.slice_p, x, start_indices=tuple(starts), limit_indices=tuple(limits), strides=None
    )


def split(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    (x,) = map(strip, operands)
    out, start = [], 0
    for size in map(int, params["sizes"]):
        out.append(_piece(x, params["axis"], start, start + size))
        start += size
    return out


def unstack(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    (x,) = map(strip, operands)
    axis = params["axis"]
    rows = [_piece(x, axis, i, i + 1) for i in range(aval_of(x).shape[axis])]
    return [bind(lax.squeeze_p, row, dimensions=(axis,)) for row in rows]


def barrier(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Every array of every operand passes; none is changed."""
    operands = [*map(strip, operands)]
    leaves, structure = jtu.tree_flatten(operands)
    return jtu.tree_unflatten(structure, bind(primitive, *leaves, **params))


def register_splitting(cls: type[Value]) -> None:
    """Enrol these rules for a type."""
    for name, rule in (("split", split), ("unstack", unstack), ("optimization_barrier", barrier)):
        register_rule(cls, name, rule)
