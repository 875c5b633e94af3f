"""The interpreter's questions to a matrix: units, loops, derivatives, refusals."""

import contextlib
from collections.abc import Iterable
from typing import Any, ClassVar

import jax.tree_util as jtu
import numpy as np

from sciquax.core import (
    VALUE_TYPES,
    ArrayValue,
    Facts,
    RuleError,
    Scaling,
    Structure,
    UnitPolymorphic,
    bind,
    describe,
    register_facts,
    strip,
)
from sciquax.core.internal import default_promotion

from . import operations
from .base import MatrixBase
from .printing import shown

REMEDY = (
    "Pass `allow_materialise=True` to the matrix's constructor, or write `.materialise()` where "
    "a dense array is meant."
)


class _Assembly:
    """Making a matrix of its arrays, as the rules of outer types see it: a primitive.

    Quantities in a matrix's arrays take their unit outside of it through their own rule for the
    scaling that the structure names.
    """

    multiple_results = False

    def __init__(self, like: MatrixBase):
        self.name = _name(type(like))
        self._like = like.rebuild([None] * len(like.LEAF_NAMES), properties=like.properties)

    def __eq__(self, other: Any) -> bool:  # to dispatch, all of one scaling are one
        return type(other) is _Assembly and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def bind(self, *arrays: Any, **_: Any) -> Any:
        made = self._like.rebuild(arrays, properties=self._like.properties)
        with default_promotion():
            made.normalise()
        return made


_FACTS = {
    "join": Facts(Structure.OTHER, Scaling.JOIN),
    "join_first_two": Facts(Structure.OTHER, Scaling.JOIN, data=(0, 1)),
    "product": Facts(Structure.OTHER, Scaling.PRODUCT),
}


def _name(kind: type[MatrixBase]) -> str:
    """The name in error messages for making a matrix: its class."""
    with contextlib.suppress(ValueError):  # another class of that name, of other facts
        register_facts(kind.__name__, _FACTS[kind.scaling])
        return kind.__name__
    name = f"{kind.__name__} ({kind.scaling})"
    register_facts(name, _FACTS[kind.scaling])
    return name


class ValueContract(MatrixBase):
    """The methods of `Value` for a matrix."""

    wants_deferred: ClassVar[bool] = True

    def canonical(self) -> Any:
        """This matrix with units (and names) outside of it and polymorphic constants as numbers."""
        arrays = self.arrays()
        if not any(type(x) in VALUE_TYPES for x in arrays) or self._holds_values():
            return self
        if all(type(strip(x)) not in VALUE_TYPES for x in arrays):
            return self.rebuild([strip(x) for x in arrays], properties=self.properties)
        return bind(_Assembly(self), *arrays)

    def _holds_values(self) -> bool:
        """Whether the values among the arrays belong inside (a Kronecker product's factors)."""
        return all(
            type(x) is not UnitPolymorphic and x.layer <= MatrixBase.layer
            for x in self.arrays()
            if type(x) in VALUE_TYPES
        )

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        return operations.common_type(lhs, rhs)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        return operations.convert_to(value, example)

    def unclaimed(self) -> Any:
        """The same matrix without properties."""
        return self.rebuild(jtu.tree_leaves(self))

    @classmethod
    def derivative(cls, out: Any, arg: Any, leaf: Any) -> Any:
        """A gradient has the structure of what it is by, and none of its properties."""
        return arg.rebuild(jtu.tree_leaves(leaf))

    @staticmethod
    def default(primitive: Any, values: Any, params: dict[str, Any]) -> Any:
        """Materialise what allows it; a matrix of matrices holds them."""
        if isinstance(primitive, _Assembly):
            return primitive.bind(*values, **params)
        refuse_unless_allowed(primitive.name, values)
        return ArrayValue.default(primitive, values, params)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """For NumPy, if `allow_materialise`."""
        refuse_unless_allowed("np.asarray", [self])
        return np.asarray(self.materialise(), dtype)

    def __repr__(self) -> str:
        return shown(self)


def refuse_unless_allowed(name: str, values: Iterable[Any]) -> None:
    """**Raises** `RuleError` naming the operation if a structured operand may not become dense.

    One row or column, or no element at all, may: the array is as small as the matrix.
    """
    refused = [
        x
        for x in values
        if isinstance(x, MatrixBase) and not x.allow_materialise and min(x.shape[-2:]) > 1
    ]
    if refused:
        operands = ", ".join(describe(x) for x in refused)
        raise RuleError(
            f"`{name}` of {operands} has no structured result, and making it dense is not allowed.",
            REMEDY,
        )
