"""Values of other kinds in a state: the arrays they are made of, which a solver adds and scales.

A named array becomes its array, a diagonal matrix its diagonal. That is the same only for values
whose sum is the sum of their parts; of a low-rank matrix's factors, say, it is not.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import UnitPolymorphic, Unsettled, common_type, convert_to, is_value, quaxify
from sciquax.core.internal import Literal, open_jaxpr
from sciquax.named import NamedArray
from sciquax.units import Quantity


class Storage(eqx.Module):
    """The structure of a value other than a quantity. Static and hashable.

    **Attributes**: `tree`, its structure; `shapes`, shape and dtype of each of its arrays.
    """

    tree: Any = eqx.field(static=True)
    shapes: tuple[Any, ...] = eqx.field(static=True)

    @property
    def kind(self) -> str:
        """The kind of these values, for error messages."""
        return kind_of(self.tree.unflatten(self.shapes))

    @classmethod
    def of(cls, value: Any) -> "Storage | None":
        """None for an array."""
        if not is_value(value):
            return None
        leaves, tree = jtu.tree_flatten(value.unclaimed())
        return cls(tree, tuple((x.shape, jnp.dtype(x.dtype)) for x in leaves))

    def parts(self, value: Any) -> list[Any] | None:
        """The arrays of a value that has this form; None for any other."""
        if not is_value(value):
            return None
        value = value.unclaimed()
        if jtu.tree_structure(value) != self.tree:
            example = self.tree.unflatten([jnp.zeros(*shape) for shape in self.shapes])
            try:
                kept = example.sums_by_parts or type(common_type(example, value)) is type(example)
                if not kept:
                    return None  # it has more entries, say
                value = convert_to(value, example).unclaimed()
            except Unsettled:
                return None
            if jtu.tree_structure(value) != self.tree:
                return None
        return jtu.tree_leaves(value)

    def adds_by_parts(self) -> bool:
        """Whether the arrays of a sum of two such values are the sums of their arrays."""
        structs = [jax.ShapeDtypeStruct(*shape) for shape in self.shapes]
        if not all(jnp.issubdtype(x.dtype, jnp.inexact) for x in structs):
            return False
        if self.tree.unflatten(self.shapes).sums_by_parts:
            return True

        def total(lhs: Any, rhs: Any) -> Any:
            out = quaxify(jnp.add)(self.tree.unflatten(lhs), self.tree.unflatten(rhs))
            return self.parts(out) if type(out) is type(self.tree.unflatten(lhs)) else []

        try:
            with jax.disable_jit():
                jaxpr, _ = open_jaxpr(jax.make_jaxpr(total)(structs, structs))
        except TypeError:  # it cannot be added
            return False
        count = len(structs)
        sums = _sums(jaxpr)
        due = [frozenset(pair) for pair in zip(range(count), range(count, 2 * count), strict=True)]
        return [sums.get(id(var)) for var in jaxpr.outvars] == due


def _sums(jaxpr: Any) -> dict[int, frozenset[int]]:
    """An additive program: maps a variable's id to the inputs that it is the sum of."""
    sums = {id(var): frozenset([i]) for i, var in enumerate(jaxpr.invars)}
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "broadcast_in_dim" and _is_zero(eqn.invars[0]):
            sums[id(eqn.outvars[0])] = frozenset()
        elif eqn.primitive.name == "add":
            lhs, rhs = (sums.get(id(x)) for x in eqn.invars)
            if lhs is not None and rhs is not None and not lhs & rhs:
                sums[id(eqn.outvars[0])] = lhs | rhs
    return sums


def _is_zero(x: Any) -> bool:
    return isinstance(x, Literal) and not np.any(x.val)


def kind_of(value: Any) -> str:
    """A value's class, and for a banded matrix its numbers of diagonals."""
    name = type(value).__name__
    if not value.sums_by_parts:
        return name
    static = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    sizes = ", ".join(f"{k}={x}" for k, x in static.items() if type(x) is int)
    return f"{name}({sizes})"


class Packed(eqx.Module):
    """A value as a pytree that is the same whatever axes its arrays gain: to be saved into."""

    arrays: list[Any]
    tree: Any = eqx.field(static=True)


def pack(tree: Any) -> Any:
    """A tree with its values `Packed`, except quantities of arrays."""

    def pack_leaf(x: Any) -> Any:
        if not is_value(x) or isinstance(x, Quantity) and not is_value(x.magnitude):
            return x
        return Packed(*jtu.tree_flatten(x))

    return jtu.tree_map(pack_leaf, tree, is_leaf=is_value)


def unpack(tree: Any) -> Any:
    """A tree with `Packed` values unpacked, with the axes that their arrays gained."""

    def unpack_leaf(x: Any) -> Any:
        return x.tree.unflatten(x.arrays) if isinstance(x, Packed) else x

    return jtu.tree_map(unpack_leaf, tree, is_leaf=lambda x: isinstance(x, Packed))


def is_stored(x: Any) -> bool:
    """Whether `x` is one leaf of a state: a value with at most a unit; not one with names."""
    return type(x) is UnitPolymorphic or is_value(x) and not isinstance(x, NamedArray)


def aligned(tree: Any, due: Any) -> Any:
    """A tree whose named arrays have their axes in the order of those in `due`."""
    places = jtu.tree_leaves(due, is_leaf=_is_named)
    leaves, structure = jtu.tree_flatten(tree, is_leaf=_is_named)
    if len(leaves) != len(places):
        return tree
    for i, (x, place) in enumerate(zip(leaves, places, strict=True)):
        if _is_named(x) and _is_named(place) and x.dims != place.dims:
            if set(x.dims) == set(place.dims) and None not in x.dims:
                leaves[i] = x.transpose(*place.dims)
    return structure.unflatten(leaves)


def _is_named(x: Any) -> bool:
    return isinstance(x, NamedArray)
