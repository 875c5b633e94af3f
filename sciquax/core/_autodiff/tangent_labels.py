"""Labelling derivatives: JAX's derivatives for the leaves of a value, in the form of its type.

JAX differentiates a value as the tree of its leaves and hands back the same tree, so that a
gradient in J/m would be labelled m. Here each derivative is relabelled by `Value.derivative`, and
tangents are brought to the labels of what they belong to by `Value.align`.
"""

from typing import Any

import jax
import jax.tree_util as jtu

from .._functions.rules import labels
from .._values.kinds import VALUE_TYPES, is_value
from .._values.masks import is_masked
from .._values.unit_polymorphic import strip
from .._values.value import Value


def relabel(out: Any, arg: Any, grads: Any) -> Any:
    """A tree of derivatives of `out` with respect to the values in `arg`."""
    return jtu.tree_map(lambda x, g: derivative(out, x, g), arg, grads, is_leaf=is_value)


def derivative(out: Any, arg: Any, grad: Any) -> Any:
    """The derivative of `out` by `arg` whose bare array is `grad`, labelled by the outer type."""
    owner = owner_of(out, arg)
    if owner is None:
        return grad
    leaf = grad
    if type(arg) in VALUE_TYPES:
        leaves = jtu.tree_leaves(grad)
        if not leaves:  # a mask, beside what is differentiated
            return grad
        leaf = leaves[0] if len(leaves) == 1 and not is_masked(arg) else leaves
        if arg.payload is not None and type(getattr(arg, arg.payload)) in VALUE_TYPES:
            leaf = getattr(grad, arg.payload)
    return owner.derivative(out, arg, leaf)


def owner_of(*values: Any) -> type[Value] | None:
    """The outermost value type among `values`, which labels their derivatives."""
    types = [type(x) for x in map(strip, values) if type(x) in VALUE_TYPES]
    return max(types, key=lambda t: t.layer, default=None)


def align(primals: tuple, tangents: tuple, inverse: bool = False) -> tuple[tuple, Any]:
    """Tangents in the units of the primals, times one common rate; and that rate."""
    flat_primals, tree = jtu.tree_flatten(primals, is_leaf=is_value)
    flat_tangents = jtu.tree_leaves(tangents, is_leaf=is_value)
    owner = owner_of(*flat_primals, *flat_tangents)
    if owner is None:
        return tangents, None
    aligned, rate = owner.align(flat_primals, flat_tangents, inverse)
    return jtu.tree_unflatten(tree, aligned), rate


def label_tangent(out: Any, leaves: Any, rate: Any) -> Any:
    values, tree = jtu.tree_flatten(out, is_leaf=is_value)
    tangents, position = [], 0
    for value in values:
        n = len(jtu.tree_leaves(value))
        own = leaves[position : position + n]
        position += n
        if type(value) in VALUE_TYPES:
            own = _beside_integers(jtu.tree_leaves(value), own)
            tangent = value.as_tangent(own)
        else:
            tangent = own[0]
        tangents.append(scaled(tangent, rate))
    return jtu.tree_unflatten(tree, tangents)


def _beside_integers(leaves: list[Any], tangents: list[Any]) -> list[Any]:
    """The tangents of a value's leaves, with its own integers, such as places, as they are."""
    still = [x.dtype == jax.dtypes.float0 for x in tangents]
    if all(still):
        return tangents
    return [x if s else t for x, t, s in zip(leaves, tangents, still, strict=True)]


def scaled(value: Any, rate: Any) -> Any:
    """A derivative times the factor of its tangents, within names."""
    if rate is None:
        return value
    if type(value) in VALUE_TYPES and labels(type(value)):
        return value.with_payload(scaled(getattr(value, value.payload), rate))
    return rate(value)
