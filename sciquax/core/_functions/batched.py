"""Rules for whole functions, used under the caller's `vmap`: mapped over the operands' axes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.extend.core import primitives

from .._dispatch.resolve import bind
from .._values.kinds import VALUE_TYPES, aval_of
from .._values.types import (
    element_type,
    flatten,
    leading_axis,
    sliceable,
    stacked_type,
    type_of,
    unflatten,
)
from .._values.unit_polymorphic import UnitPolymorphic, strip


class Batch(NamedTuple):
    """One `vmap`: its size, and the axis of each operand and output that it maps (or None)."""

    size: int
    dims: tuple[int | None, ...]
    out_dims: tuple[int | None, ...]


class Declined(Exception):
    """A rule returned NotImplemented within a transformation of JAX's."""


def mapped(rule: Callable[[Sequence[Any]], Any], batch: Batch) -> Callable[..., Any]:
    """Turn a rule for a function's operands into one for those of the function under `vmap`."""

    def apply(operands: Sequence[Any]) -> Any:
        operands = [
            x if d is None else sliceable(_to_front(x, d))
            for x, d in zip(operands, batch.dims, strict=True)
        ]
        types = [
            type_of(x) if d is None else element_type(x)
            for x, d in zip(operands, batch.dims, strict=True)
        ]
        axes = [
            None if d is None else 0
            for d, t in zip(batch.dims, types, strict=True)
            for _ in t.avals
        ]
        out_types: list[Any] = []
        polymorphic: list[bool] = []

        def one(*leaves: Any) -> list[Any]:
            results = rule(unflatten(types, leaves))
            if results is NotImplemented:
                raise Declined
            polymorphic[:] = [type(x) is UnitPolymorphic for x in results]
            outs = [strip(x) for x in results]
            out_types[:] = map(type_of, outs)
            return flatten(outs)

        try:
            leaves = jax.vmap(one, in_axes=axes, axis_size=batch.size)(*flatten(operands))
        except Declined:
            return NotImplemented
        along = leading_axis(
            [x for x, d in zip(operands, batch.dims, strict=True) if d is not None]
        )
        outs = unflatten([stacked_type(t, batch.size, along) for t in out_types], leaves)
        outs = [_from_front(x, d) for x, d in zip(outs, batch.out_dims, strict=True)]
        return [UnitPolymorphic(x) if p else x for x, p in zip(outs, polymorphic, strict=True)]

    return apply


def mapped_derivative(derivative: Callable[..., Any], batch: Batch) -> Callable[..., Any]:
    """Turn the derivative of a call, a program, into that of the call under `vmap`."""

    def apply(operands: Sequence[Any], given: dict[int, Any], transposed: bool) -> Any:
        axes = {i: (batch.out_dims if transposed else batch.dims)[i] for i in given}
        one = jax.vmap(
            lambda operands, given: derivative(operands, given, transposed),
            in_axes=([*batch.dims], axes),
            axis_size=batch.size,
        )
        found = one([*operands], given)
        if not transposed:
            return found
        return {
            i: jnp.sum(x, 0) if (d := batch.dims[i]) is None else jnp.moveaxis(x, 0, d)
            for i, x in found.items()
        }

    return apply


def _to_front(x: Any, dim: int) -> Any:
    return _moved(x, dim, 0)


def _from_front(x: Any, dim: int | None) -> Any:
    if dim is None:  # the same for every element
        leaves = [leaf[0] for leaf in jtu.tree_leaves(x)]
        return x.as_element(leaves) if type(x) in VALUE_TYPES else leaves[0]
    return _moved(x, 0, dim)


def _moved(x: Any, source: int, destination: int) -> Any:
    if source == destination:
        return x
    if type(x) not in VALUE_TYPES:
        return jnp.moveaxis(x, source, destination)
    order = list(range(len(aval_of(x).shape)))
    order.insert(destination, order.pop(source))
    return bind(primitives.transpose_p, x, permutation=tuple(order))
