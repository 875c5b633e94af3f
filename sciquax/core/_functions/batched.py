"""Rules for whole functions, used under the caller's `vmap`.

`vmap(jnp.linalg.det)` is still one `jit` equation, whose body is the one that JAX's batching makes
of `det`'s: JAX keeps it, so its identity tells, as it does for the function itself. The rule is
then mapped over the operands' leading axes.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.extend.core import primitives

from .._compat import jaxprs
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
from .._values.unit_polymorphic import Polymorphic, strip

MAX_DEPTH = 2  # `vmap` in `vmap`


class Batch(NamedTuple):
    """One `vmap`: its size, and the axis of each operand and output that it maps (or None)."""

    size: int
    dims: tuple[int | None, ...]
    out_dims: tuple[int | None, ...]


def unbatchings(
    avals: Sequence[Any],
) -> Iterator[tuple[int, tuple[int | None, ...], list[jax.ShapeDtypeStruct]]]:
    """What a `vmap` may have mapped: the size, each operand's axis, and what the function saw."""
    choices = [(None, *range(len(a.shape))) for a in avals]
    patterns = sorted(
        itertools.islice(itertools.product(*choices), 500),
        key=lambda dims: sum(d is not None and d > 0 for d in dims) - sum(d == 0 for d in dims) / 9,
    )
    for dims in patterns:
        sizes = {a.shape[d] for a, d in zip(avals, dims, strict=True) if d is not None}
        if len(sizes) == 1:
            yield sizes.pop(), dims, [_without(a, d) for a, d in zip(avals, dims, strict=True)]


def _without(aval: Any, dim: int | None) -> jax.ShapeDtypeStruct:
    shape = aval.shape if dim is None else (*aval.shape[:dim], *aval.shape[dim + 1 :])
    return jax.ShapeDtypeStruct(shape, aval.dtype, weak_type=getattr(aval, "weak_type", False))


def batch_body(body: Any, size: int, dims: Sequence[int | None]) -> tuple[Any, Any] | None:
    """The body that `vmap` makes of a function's, and where its outputs are mapped; or None."""
    try:
        return jaxprs.batched_jaxpr(body, size, dims)
    except Exception:  # a body that cannot be mapped over these axes
        return None


class _Declined(Exception):
    """A rule returned NotImplemented within `vmap`."""


def mapped(rule: Callable[[Sequence[Any]], Any], batch: Batch) -> Callable[..., Any]:
    """A rule on the operands of a function, as one on those of the function under `vmap`."""

    def apply(operands: Sequence[Any]) -> Any:
        operands = [
            strip(x) if d is None else sliceable(_to_front(strip(x), d))
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
                raise _Declined
            polymorphic[:] = [type(x) is Polymorphic for x in results]
            outs = [strip(x) for x in results]
            out_types[:] = map(type_of, outs)
            return flatten(outs)

        try:
            leaves = jax.vmap(one, in_axes=axes, axis_size=batch.size)(*flatten(operands))
        except _Declined:
            return NotImplemented
        along = leading_axis(
            [x for x, d in zip(operands, batch.dims, strict=True) if d is not None]
        )
        outs = unflatten([stacked_type(t, batch.size, along) for t in out_types], leaves)
        outs = [_from_front(x, d) for x, d in zip(outs, batch.out_dims, strict=True)]
        return [Polymorphic(x) if p else x for x, p in zip(outs, polymorphic, strict=True)]

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
