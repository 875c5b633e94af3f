"""Lineax operators between quantities: a bare operator with units of its inputs and outputs.

An operator between trees of quantities has one unit for each leaf that goes in and each that comes
out: the block that leads from one to the other is in their quotient. Lineax's own operators whose
arrays are quantities are brought into this form by `_lineax_labelled.labelled`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import lineax as lx

from sciquax.core import LocatedError, RuleError
from sciquax.units import DimensionalityError
from sciquax.units.internal import (
    InternedUnit,
    dimensionless,
    magnitude_of,
    multiplicative,
    own_unit,
    wrap,
)

from .tree_units import TreeUnits, is_literal_of_every_unit
from .user_functions import caller_line

INPUT, OUTPUT = "x", "vector"


class UnitLinearOperator(lx.AbstractLinearOperator):
    """A linear operator between quantities.

    **Arguments**: the `operator` on bare magnitudes, and the units, leaf by leaf, of what it takes
    and gives. A common factor of both does not matter: an operator from m to N also leads from m/s
    to W/m, which is N/s.
    """

    operator: lx.AbstractLinearOperator
    takes: TreeUnits = eqx.field(static=True)
    gives: TreeUnits = eqx.field(static=True)

    def mv(self, vector: Any) -> Any:
        """The product with a tree of quantities. **Raises** `DimensionalityError`."""
        bare, factor = to_units_up_to_a_factor(vector, self.takes, "mv")
        bare, factor = tidied(bare, factor, self.gives)
        return self.gives.map(lambda unit: unit * factor).label(self.operator.mv(bare))

    def as_matrix(self) -> Any:
        """The matrix, if one unit serves all of it. **Raises** `RuleError`."""
        return wrap(self.operator.as_matrix(), unit_of_all(self))

    def transpose(self) -> "UnitLinearOperator":
        invert = lambda unit: dimensionless() / unit  # noqa: E731
        return UnitLinearOperator(
            self.operator.transpose(), self.gives.map(invert), self.takes.map(invert)
        )

    def __mul__(self, other: Any) -> "UnitLinearOperator":
        number, unit = _scalar("*", other)
        bare = lx.MulLinearOperator(self.operator, number)
        return UnitLinearOperator(bare, self.takes, self.gives.map(lambda u: u * unit))

    def __truediv__(self, other: Any) -> "UnitLinearOperator":
        number, unit = _scalar("/", other)
        bare = lx.DivLinearOperator(self.operator, number)
        return UnitLinearOperator(bare, self.takes, self.gives.map(lambda u: u / unit))

    def in_structure(self) -> Any:
        return self.operator.in_structure()

    def out_structure(self) -> Any:
        return self.operator.out_structure()


def _scalar(name: str, x: Any) -> tuple[Any, InternedUnit]:
    number = magnitude_of(x)
    if jnp.shape(number) != ():
        raise ValueError("An operator is multiplied and divided by scalars.")
    return number, linear(name, own_unit(x))


for _check in (
    lx.is_symmetric, lx.is_diagonal, lx.is_tridiagonal, lx.is_lower_triangular,
    lx.is_upper_triangular, lx.is_positive_semidefinite, lx.is_negative_semidefinite,
    lx.has_unit_diagonal,
):  # fmt: skip
    _check.register(UnitLinearOperator)(lambda operator, _check=_check: _check(operator.operator))  # type: ignore[attr-defined]


def _same_units(change: Callable) -> Callable:
    def changed(operator: UnitLinearOperator) -> UnitLinearOperator:
        return UnitLinearOperator(change(operator.operator), operator.takes, operator.gives)

    return changed


for _change in (lx.linearise, lx.materialise, lx.conj):
    _change.register(UnitLinearOperator)(_same_units(_change))  # type: ignore[attr-defined]


@lx.diagonal.register(UnitLinearOperator)  # type: ignore[attr-defined]
def _diagonal(operator: UnitLinearOperator) -> Any:
    return wrap(lx.diagonal(operator.operator), unit_of_all(operator))


@lx.tridiagonal.register(UnitLinearOperator)  # type: ignore[attr-defined]
def _tridiagonal(operator: UnitLinearOperator) -> tuple[Any, ...]:
    unit = unit_of_all(operator)
    return tuple(wrap(x, unit) for x in lx.tridiagonal(operator.operator))


def linear(owner: str, unit: InternedUnit) -> InternedUnit:
    """`unit`, refused with the user's line if its scale has an offset."""
    try:
        return multiplicative(owner, unit)
    except LocatedError as error:
        raise error.at(caller_line()) from None


def unit_of_all(operator: UnitLinearOperator) -> InternedUnit:
    """The unit of the whole matrix. **Raises** `RuleError` if its blocks have several."""
    units = {give / take for give in operator.gives.units for take in operator.takes.units}
    if len(units) > 1:
        raise RuleError(
            "The blocks of this operator have several units: there is no one matrix.",
            "`operator.operator` is the bare operator.",
        ).at(caller_line())
    return next(iter(units), dimensionless())


# -- vectors ---------------------------------------------------------------------------------------


def to_units_up_to_a_factor(vector: Any, due: TreeUnits, owner: str) -> tuple[Any, InternedUnit]:
    """A tree's magnitudes in the units due times one common factor; and that factor.

    **Raises** `DimensionalityError` where no one factor fits all leaves.
    """
    given = TreeUnits.of(vector, due.name)
    if given.tree != due.tree:
        raise RuleError(
            f"`{owner}` got a tree {given.tree}, and the operator has {due.tree} there.",
            "Give it the structure of the operator.",
        ).at(caller_line())
    leaves = due.tree.flatten_up_to(vector)
    given = _decided(given.map(lambda unit: linear(owner, unit)), due, leaves)
    factor, factors = ratio(given, due, lambda a, b: uneven(owner, a, b))
    bare = due.parts(list(map(magnitude_of, leaves)))
    if bare is None:
        raise RuleError(
            f"`{owner}` got a vector whose leaves are not of the kind that the operator has.",
            "Give it arrays where the operator was made with arrays.",
        ).at(caller_line())
    numbers = jtu.tree_leaves(due.spread(factors))
    scaled = [x if f == 1.0 else x * f for x, f in zip(bare, numbers, strict=True)]
    return due.bare.unflatten(scaled), factor


def _decided(given: TreeUnits, due: TreeUnits, leaves: list[Any]) -> TreeUnits:
    """Literal zeros, which belong to every unit, in the units due beside the other leaves.

    Least squares with damping solve for residuals and as many zeros as there are parameters.
    """
    free = [*map(is_literal_of_every_unit, leaves)]
    if not any(free) or all(free):
        return given
    first = free.index(False)
    factor = given.units[first] / due.units[first]
    trio = zip(given.units, due.units, free, strict=True)
    return dataclasses.replace(
        given, units=tuple(want * factor if is_free else have for have, want, is_free in trio)
    )


def tidied(vector: Any, factor: InternedUnit, units: TreeUnits) -> tuple[Any, InternedUnit]:
    """Where the common factor is a number, take it into the numbers: `units` come out as they are.

    Not where these are dimensionless: what an operator in kN gives N for is in N/kN.
    """
    if units.unitless or not factor.dimensionless or factor.unitless:
        return vector, factor
    number, _ = factor.conversion(dimensionless())
    return jtu.tree_map(lambda x: x * number, vector), dimensionless()


def ratio(
    given: TreeUnits, due: TreeUnits, complain: Callable[[Any, Any], LocatedError]
) -> tuple[InternedUnit, list[float]]:
    """`unit` and `numbers` such that the units given are those due times both."""
    if not due.units:
        return dimensionless(), []
    factor = given.units[0] / due.units[0]
    numbers = []
    for i, (have, want) in enumerate(zip(given.units, due.units, strict=True)):
        want = want * factor
        if not have.compatible(want):
            names = given.names()
            raise complain((names[0], given.units[0]), (names[i], have, want)).at(caller_line())
        numbers.append(have.conversion(want)[0])
    return factor, numbers


def uneven(owner: str, first: Any, other: Any) -> DimensionalityError:
    return DimensionalityError(
        f"`{owner}` got {first[0]} in '{first[1]}' and {other[0]} in '{other[1]}'; beside the "
        f"first, the operator makes the second '{other[2]}'.",
        other[1].pint,
        other[2].pint,
        "An operator's units are right up to one factor, common to all leaves.",
    )
