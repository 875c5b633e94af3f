"""Types of values: a tree structure and its leaves' abstract values."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import lax

from .._compat import jaxprs
from .._compat.jaxprs import typeof
from .._errors import RuleError, Unsettled
from .common_type import common_type, convert_to
from .kinds import VALUE_TYPES, aval_of, describe, short_aval
from .stated import Stated
from .trust import taking
from .unit_polymorphic import UnitPolymorphic, strip


class Type(NamedTuple):
    """The hashable type of an operand: its tree structure and its leaves' abstract values.

    The operand of a body may have a `source`, which knows its number; see `stated.py`.
    """

    tree: Any
    avals: tuple[Any, ...]
    source: Any = None

    def asking(self, source: Any) -> "Type":
        """This type, its number known to that source or to none."""
        return self if self.source is source else self._replace(source=source)

    def leaves(self) -> list[jax.ShapeDtypeStruct]:
        return [*map(jaxprs.struct_of, self.avals)]

    def is_counter(self) -> bool:
        """Whether this is of whole numbers."""
        return all(jnp.issubdtype(a.dtype, jnp.integer) for a in self.avals)

    def example(self) -> Any:
        """A value of this type whose leaves are only shapes."""
        return jtu.tree_unflatten(self.tree, self.leaves())


_ARRAY = jtu.tree_structure(0)


def type_of(x: Any) -> Type:
    if type(x) is Stated:
        return type_of(x.inner)._replace(source=x.source)
    if type(x) not in VALUE_TYPES:
        return Type(_ARRAY, (_aval(x),))
    leaves, tree = jtu.tree_flatten(x)
    return Type(tree, tuple(map(_aval, leaves)))


def _aval(x: Any) -> Any:
    if isinstance(x, jax.ShapeDtypeStruct):
        return jaxprs.aval_of_struct(x)
    return jaxprs.placed(typeof(x))


def sliceable(x: Any) -> Any:
    """`x` such that slices of its leaves along their leading axes make slices of it.

    A scale that rows share, or a factor that has no axis for them, has nothing to slice.
    """
    if type(x) not in VALUE_TYPES:
        return x
    shape = x.aval().shape
    leaves = jtu.tree_leaves(x)
    if all(_aval(leaf).shape[:1] == shape[:1] for leaf in leaves):
        element = x.as_element(element_leaves(x))
        try:
            if tuple(element.aval().shape) == tuple(shape[1:]):
                return x
        except (RuleError, TypeError, ValueError, IndexError):  # what no value of its type has
            pass
    return x.as_sliceable()


def element_leaves(x: Any) -> list[jax.ShapeDtypeStruct]:
    whole = type_of(x)
    return Type(whole.tree, tuple(jaxprs.without_leading_axis(a) for a in whole.avals)).leaves()


def element_type(x: Any) -> Type:
    """The type of one step's slice of a scanned operand."""
    whole = type_of(x)
    sliced = Type(whole.tree, tuple(jaxprs.without_leading_axis(a) for a in whole.avals))
    if type(x) not in VALUE_TYPES:
        return sliced
    return type_of(x.as_element(sliced.leaves()))


class LeadingAxis(NamedTuple):
    """The leading axis of scanned operands as their type describes it, and that type."""

    owner: Any
    axis: Any


def leading_axis(values: Sequence[Any]) -> LeadingAxis | None:
    """The leading axis as the outermost type among scanned operands describes it, if it does."""
    values = [x for x in map(strip, values) if type(x) in VALUE_TYPES]
    owner = max(map(type, values), key=lambda t: t.layer, default=None)
    axis = None if owner is None else owner.scanned_axis(values)
    return None if axis is None else LeadingAxis(owner, axis)


def stacked_type(t: Type, length: int, along: LeadingAxis | None = None) -> Type:
    """The type of `length` values of type `t` along a new leading axis."""
    whole = Type(t.tree, tuple(jaxprs.with_leading_axis(a, length) for a in t.avals))
    example = t.example()
    if along is None:
        if type(example) not in VALUE_TYPES:
            return whole
        return type_of(example.as_stacked(whole.leaves()))
    stacked = along.owner.stacked_along(strip(example), whole.leaves(), along.axis)
    return type_of(UnitPolymorphic(stacked) if type(example) is UnitPolymorphic else stacked)


def flatten(values: Sequence[Any]) -> list[Any]:
    return jtu.tree_leaves(list(values))


def unflatten(types: Sequence[Type], leaves: Sequence[Any]) -> list[Any]:
    values, position = [], 0
    for t in types:
        n = len(t.avals)
        value = jtu.tree_unflatten(t.tree, leaves[position : position + n])
        values.append(value if t.source is None else Stated(value, t.source))
        position += n
    return values


def convert(value: Any, target: Type) -> Any:
    """`value` in exactly a type: its structure by `convert_to`, its leaves' dtypes too."""
    leaves, tree = jtu.tree_flatten(convert_to(value, target.example()))
    leaves = [
        x
        if (a := typeof(x)).dtype == t.dtype and getattr(a, "weak_type", False) == t.weak_type
        else lax.convert_element_type(x, t.dtype)
        for x, t in zip(leaves, target.avals, strict=True)
    ]
    return jtu.tree_unflatten(tree, leaves)


def join_types(lhs: Type, rhs: Type, literals: Sequence[Any] = ((), ())) -> Type:
    """The type that values of both become: structures by `common_type`, dtypes by promotion.

    `literals` are those of which each is made, if any: they take the other's type (`trust.py`).
    """
    if lhs == rhs:
        return lhs
    examples = a, b = lhs.example(), rhs.example()
    joined = common_type(taking(a, literals[0], b), taking(b, literals[1], a))
    leaves, tree = jtu.tree_flatten(joined)
    avals = list(map(_aval, leaves))
    if tree == _ARRAY:
        return Type(tree, (_join_avals(*map(aval_of, examples)),))
    # An output of another dtype (an integer converted to other units) or of weak type.
    shapes = [[a.shape for a in some] for some in (lhs.avals, rhs.avals, avals)]
    if shapes[0] == shapes[1] == shapes[2]:
        pairs = [_join_avals(a, b) for a, b in zip(lhs.avals, rhs.avals, strict=True)]
        avals = [_join_avals(a, b) for a, b in zip(pairs, avals, strict=True)]
    return Type(tree, tuple(avals))


def _join_avals(lhs: Any, rhs: Any) -> Any:
    if lhs.shape != rhs.shape or not jaxprs.placed_alike(lhs, rhs):
        raise Unsettled
    if lhs.sharding.mesh.empty:
        lhs, rhs = rhs, lhs
    if lhs.dtype == rhs.dtype and lhs.weak_type == rhs.weak_type:
        return lhs
    with jax.numpy_dtype_promotion("standard"):  # a rule made one of them another
        dtype = lhs.dtype if lhs.dtype == rhs.dtype else jnp.promote_types(lhs.dtype, rhs.dtype)
    return lhs.update(dtype=dtype, weak_type=False)


def describe_type(t: Type) -> str:
    return describe(strip(t.example()))


def describe_types(lhs: Type, rhs: Type) -> tuple[str, str]:
    """Descriptions of two types that show how they differ."""
    short = describe_type(lhs), describe_type(rhs)
    if short[0] != short[1]:
        return short
    return _in_full(lhs), _in_full(rhs)


def _in_full(t: Type) -> str:
    """A type with the static fields of its value."""
    value = strip(t.example())
    leaves, tree = jtu.tree_flatten(value)
    shown = jtu.tree_unflatten(tree, [_Text(short_aval(aval_of(x))) for x in leaves])
    return repr(shown)


class _Text(str):
    __repr__ = str.__str__


def regroup(types: Sequence[Type], leaves: Sequence[Any]) -> list[list[Any]]:
    """The leaves of each of several values of these types."""
    groups, position = [], 0
    for t in types:
        groups.append(list(leaves[position : position + len(t.avals)]))
        position += len(t.avals)
    return groups
