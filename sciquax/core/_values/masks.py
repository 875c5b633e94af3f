"""Masks: values of nothing, as `eqx.partition` leaves them, and values of True and False.

A tree that is split, `diff, static = eqx.partition(model, eqx.is_inexact_array)`, has in each half
a value with None where the other half has its array; a `filter_spec`, made by `jax.tree.map`, has
one with a bool there. Neither is an array. To a function that is staged they are what they say,
None or the bool, since the value that they mask is one array to it.
"""

import functools
from typing import Any

import jax

from .._compat.jaxprs import struct_of
from .._compat.trees import taken_apart
from .kinds import VALUE_TYPES

_MARKS = (type(None), bool)


@functools.cache
def _fields(kind: type) -> tuple[str, ...] | None:
    """The fields that hold an array in every value of a type; None where that is not known."""
    leaves, payload = getattr(kind, "_leaf_names", None), getattr(kind, "payload", None)
    if leaves is None:
        return None if payload is None else (payload,)
    return tuple(name for name in leaves if name not in kind.optional_leaves)  # type: ignore[attr-defined]


def is_masked(value: Any) -> bool:
    """Whether a value has None or a bool in place of an array."""
    fields = _fields(type(value))
    if fields is None:  # a class of the user's, whose fields may be anything
        marks = _marks(value)
        return bool(marks) and all(type(x) in _MARKS for x in marks)
    for name in fields:
        held = getattr(value, name)
        kind = type(held)
        if kind in _MARKS or kind in VALUE_TYPES and is_masked(held):
            return True
    return False


def _marks(value: Any) -> list[Any]:
    return taken_apart(value, lambda x: x is None)[0]


def without_masks(leaves: list[Any], chosen: list[int]) -> list[int]:
    """The values among the leaves that are no masks. Masks are replaced in `leaves`.

    One that masks all of its value becomes what it says. One that masks a part, such as the places
    of a sparse matrix's numbers, stays a tree of arrays.
    """
    masked = [i for i in chosen if type(leaves[i]) in VALUE_TYPES and is_masked(leaves[i])]
    if not masked or len(masked) == len(chosen):
        return [] if masked else chosen
    for i in masked:
        leaves[i] = unmasked(leaves[i])
    return [i for i in chosen if i not in masked]


def is_of_shapes(value: Any) -> bool:
    """Whether a value has shapes in place of arrays, as `jax.eval_shape` returns them."""
    return any(isinstance(x, jax.ShapeDtypeStruct) for x in _marks(value))


def unmasked(mask: Any) -> Any:
    """The mask of a whole value, or the tree itself if it masks a part and leaves arrays.

    Of shapes, the shape of the array that the value stands for.
    """
    if is_of_shapes(mask):
        return struct_of(mask.aval())
    marks = [x for x in _marks(mask) if x is not None]
    if any(type(x) is not bool for x in marks):
        return mask
    return any(marks) if marks else None
