"""Moving arrays that belong to another one: scales of a quantised array, factors of a low-rank one.

A companion has the axes of its main array, each at full length or at length one (where it does not
vary), and possibly more axes after those. What moves the main array's elements moves the
companion's, with parameters of its own: here is how they follow from the main array's.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax.core import aval_of


def move(
    primitive: Any,
    params: dict[str, Any],
    main: Sequence[int],
    companion: Any,
    indices: Sequence[Any] = (),
) -> Any:
    """The companion of what `primitive` makes of the main array, or None if there is none.

    **Arguments**: the primitive and its parameters for the main array; the main array's shape; the
    companion; and the start indices of `dynamic_slice`.
    """
    main = tuple(main)
    own = companion.shape[: len(main)]
    extra = companion.shape[len(main) :]
    rest = tuple(range(len(main), companion.ndim))
    name = primitive.name
    if name == "transpose":
        return lax.transpose(companion, (*params["permutation"], *rest))
    if name == "squeeze":
        dimensions = [d % len(main) for d in params["dimensions"]]
        return lax.squeeze(companion, dimensions)
    if name == "expand_dims":
        return lax.expand_dims(companion, params["dimensions"])
    if name == "reshape":
        if params.get("dimensions") is not None:
            return None
        shape = reshaped(main, params["new_sizes"], own)
        return None if shape is None else lax.reshape(companion, (*shape, *extra))
    if name == "broadcast_in_dim":
        shape = [1] * len(params["shape"])
        for axis, target in enumerate(params["broadcast_dimensions"]):
            shape[target] = own[axis]
        dims = params["broadcast_dimensions"]
        more = tuple(range(len(shape), len(shape) + len(extra)))
        return lax.broadcast_in_dim(companion, (*shape, *extra), (*dims, *more))
    if name == "rev":
        return lax.rev(companion, [d for d in params["dimensions"] if own[d] != 1])
    if name == "slice":
        strides = params["strides"] or (1,) * len(main)
        full = [own[d] != 1 for d in range(len(main))]
        starts = [s if f else 0 for s, f in zip(params["start_indices"], full, strict=True)]
        limits = [s if f else 1 for s, f in zip(params["limit_indices"], full, strict=True)]
        strides = [s if f else 1 for s, f in zip(strides, full, strict=True)]
        return lax.slice(
            companion,
            (*starts, *[0] * len(extra)),
            (*limits, *extra),
            (*strides, *[1] * len(extra)),
        )
    if name == "dynamic_slice":
        zero = jnp.zeros((), aval_of(indices[0]).dtype) if indices else 0
        starts = [i if own[d] != 1 else zero for d, i in enumerate(indices)]
        sizes = [s if own[d] != 1 else 1 for d, s in enumerate(params["slice_sizes"])]
        return lax.dynamic_slice(companion, (*starts, *[zero] * len(extra)), (*sizes, *extra))
    return companion


def gathered_within(indices: Any, params: dict[str, Any], shape: Sequence[int], ndim: int) -> Any:
    """A mask of a gather's output, of so many axes: elements whose index is within the array.

    A mask with a length of one along the axes of windows.
    """
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    mask = jnp.ones(indices.shape[:-1], bool)
    for i, d in enumerate(numbers.start_index_map):
        at = indices[..., i]
        mask &= (at >= 0) & (at <= shape[d] - sizes[d])
    assert mask.ndim + len(numbers.offset_dims) == ndim
    return lax.expand_dims(mask, numbers.offset_dims)


def axis_groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Groups of consecutive axes that a reshape maps onto each other, of equal size.

    Axes of length one make groups of their own wherever they can.
    """
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and old[i] == 1 and (j >= len(new) or new[j] != 1):
            groups.append(([i], []))
            i += 1
            continue
        if j < len(new) and new[j] == 1 and (i >= len(old) or old[i] != 1):
            groups.append(([], [j]))
            j += 1
            continue
        left, right = [i], [j]
        a, b = old[i], new[j]
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                a, left, i = a * old[i], [*left, i], i + 1
            else:
                b, right, j = b * new[j], [*right, j], j + 1
        groups.append((left, right))
    return groups


def reshaped(old: Sequence[int], new: Sequence[int], own: Sequence[int]) -> list[int] | None:
    """The shape of a companion `own` after its main array goes from `old` to `new`.

    None where the companion varies along some but not all axes that are merged.
    """
    if math.prod(old) == 0:
        return None
    shape = [1] * len(new)
    for left, right in axis_groups(old, new):
        varies = [own[d] == old[d] for d in left if old[d] != 1]
        if any(varies) and not all(varies):
            return None
        for d in right:
            shape[d] = new[d] if varies and all(varies) else 1
    return shape
