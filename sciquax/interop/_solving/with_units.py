"""Lineax's own operators, whose arrays may be quantities, split into numbers and units."""

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
    difference_unit,
    dimensionless,
    magnitude_of,
    own_unit,
    unify,
)

from .tree_units import TreeUnits, has_quantity, without_units
from .unit_operator import INPUT, OUTPUT, UnitLinearOperator, linear, ratio, uneven
from .user_functions import call, caller_line, definition_of


def labelled(operator: Any) -> UnitLinearOperator:
    """Split any operator of Lineax's, whose arrays may be quantities, into numbers and units.

    **Raises** `RuleError` for a class of operators that holds quantities and is not known.
    """
    if not isinstance(operator, lx.AbstractLinearOperator):
        raise RuleError(
            f"`linear_solve` got a `{type(operator).__name__}` as its operator.",
            "Make it one: `MatrixLinearOperator(matrix)`, or `to_lineax(matrix)`.",
        ).at(caller_line())
    if isinstance(operator, UnitLinearOperator):
        return operator
    rule = _RULES.get(kind_of_operator(operator))
    if rule is not None:
        return rule(operator)
    if has_quantity(operator):
        raise RuleError(
            f"`{type(operator).__name__}` has quantity fields that this adapter cannot convert.",
            "Wrap the bare one: `UnitLinearOperator(operator, takes, gives)`.",
        ).at(caller_line())
    return with_unit(operator, dimensionless())


def kind_of_operator(operator: Any) -> type:
    """Lineax's class of an operator; of a subclass of the user's that, as it may override a lot."""
    kind = type(operator)
    return kind.__bases__[0] if kind.__module__.startswith(_HOUSE) else kind


def with_unit(operator: lx.AbstractLinearOperator, unit: InternedUnit) -> UnitLinearOperator:
    """An operator made of a bare one whose elements all have one unit."""
    unit = linear(type(operator).__name__, unit)
    takes = _units_like(operator.in_structure(), dimensionless(), INPUT)
    gives = _units_like(operator.out_structure(), unit, OUTPUT)
    return UnitLinearOperator(operator, takes, gives)


def fitted(operator: UnitLinearOperator, gives: TreeUnits) -> UnitLinearOperator:
    """An operator converted to other units of its outputs.

    A diagonal operator takes each leaf on its own: its units need no common factor.
    """
    diagonal = isinstance(operator.operator, lx.DiagonalLinearOperator | lx.IdentityLinearOperator)
    if not diagonal or not gives.tree == operator.gives.tree == operator.takes.tree:
        return operator
    triples = zip(gives.units, operator.gives.units, operator.takes.units, strict=True)
    takes = dataclasses.replace(
        operator.takes, units=tuple(due * take / give for due, give, take in triples)
    )
    return UnitLinearOperator(operator.operator, takes, gives)


def between(
    operator: UnitLinearOperator,
    takes: TreeUnits,
    gives: TreeUnits,
    complain: Callable[[str, InternedUnit, InternedUnit], LocatedError],
) -> lx.AbstractLinearOperator:
    """The operator on bare magnitudes, from what is in the units `takes` to the units `gives`.

    **Raises** what `complain` makes of a leaf's name, of the unit that it gets and of the one due.
    """
    factor, into = ratio(takes, operator.takes, lambda a, b: uneven("mv", a, b))
    out = []
    for name, have, due in zip(gives.names(), operator.gives.units, gives.units, strict=True):
        have = have * factor
        if not have.compatible(due):
            raise complain(name, have, due)
        out.append(have.conversion(due)[0])
    return _scaled(_scaled(operator.operator, into, inputs=True), out)


def weighed_alike(operator: UnitLinearOperator) -> UnitLinearOperator:
    """Bring leaves that measure one thing to one unit, for least squares or a least norm.

    0.5 s and 500 ms would else weigh differently.
    """
    bare = operator.operator
    if bare.in_size() == bare.out_size():
        return operator
    takes, gives = _alike(operator.takes), _alike(operator.gives)
    if takes == operator.takes and gives == operator.gives:
        return operator

    def complain(name: str, unit: InternedUnit, due: InternedUnit) -> LocatedError:
        raise AssertionError(f"{name} in {unit} is {due}")

    return UnitLinearOperator(between(operator, takes, gives, complain), takes, gives)


def _alike(units: TreeUnits) -> TreeUnits:
    """Units in which leaves of one dimension have the unit of the first of them."""
    return units.map(lambda unit: next(u for u in units.units if u.compatible(unit)))


def _units_like(structure: Any, unit: InternedUnit, name: str) -> TreeUnits:
    tree = jtu.tree_structure(structure)
    return TreeUnits(tree, (unit,) * tree.num_leaves, name)


def _matrix(operator: lx.MatrixLinearOperator) -> UnitLinearOperator:
    bare = lx.MatrixLinearOperator(magnitude_of(operator.matrix), operator.tags)
    return with_unit(bare, own_unit(operator.matrix))


def _diagonal(operator: lx.DiagonalLinearOperator) -> UnitLinearOperator:
    gives = TreeUnits.of(operator.diagonal, OUTPUT)
    takes = _units_like(gives.tree.unflatten(gives.units), dimensionless(), INPUT)
    gives = gives.map(lambda unit: linear("DiagonalLinearOperator", unit))
    bare = lx.DiagonalLinearOperator(without_units(operator.diagonal))
    return UnitLinearOperator(bare, takes, gives)


def _pytree(operator: lx.PyTreeLinearOperator) -> UnitLinearOperator:
    if not has_quantity(operator.pytree):
        return with_unit(operator, dimensionless())
    return of_blocks(operator.pytree, operator.out_structure(), operator.tags)


def of_blocks(pytree: Any, structure: Any, tags: Any) -> UnitLinearOperator:
    """An operator of blocks of quantities; the structure of what it gives is without units.

    **Raises** `DimensionalityError` where rows of blocks differ otherwise than by one factor.
    """
    rows = jtu.tree_structure(structure).flatten_up_to(pytree)
    units = [TreeUnits.of(row, "row") for row in rows]
    first = units[0]
    # The first column's units for what comes out; then what goes in follows from the first row.
    out = tuple(linear("PyTreeLinearOperator", row.units[0]) for row in units)
    into = tuple(out[0] / unit for unit in first.units)
    blocks = []
    for i, (row, own) in enumerate(zip(rows, units, strict=True)):
        due = TreeUnits(own.tree, tuple(out[i] / unit for unit in into), f"row {i}")
        factor, numbers = ratio(own, due, lambda a, b: uneven("PyTreeLinearOperator", a, b))
        assert factor.unitless
        leaves = map(magnitude_of, own.tree.flatten_up_to(row))
        scaled = [x if n == 1.0 else x * n for x, n in zip(leaves, numbers, strict=True)]
        blocks.append(own.tree.unflatten(scaled))
    bare = lx.PyTreeLinearOperator(jtu.tree_structure(structure).unflatten(blocks), structure, tags)
    return UnitLinearOperator(
        bare,
        TreeUnits(first.tree, into, INPUT),
        TreeUnits(jtu.tree_structure(structure), out, OUTPUT),
    )


def _tridiagonal(operator: lx.TridiagonalLinearOperator) -> UnitLinearOperator:
    given = (operator.diagonal, operator.lower_diagonal, operator.upper_diagonal)
    given, unit = in_one_unit(given, "TridiagonalLinearOperator")
    return with_unit(lx.TridiagonalLinearOperator(*given), unit)


def in_one_unit(arrays: tuple, owner: str) -> tuple[list[Any], InternedUnit]:
    try:
        return unify(owner, arrays)
    except LocatedError as error:
        raise error.at(caller_line()) from None


class _BareLinear(eqx.Module):
    """A function of quantities on magnitudes; of `x` and `args` if it is to be differentiated."""

    fn: Callable
    takes: TreeUnits = eqx.field(static=True)
    gives: TreeUnits = eqx.field(static=True)

    def __call__(self, x: Any, *args: Any) -> Any:
        return self.gives.strip(_call(self.fn, self.takes.label(x), *args))


def _call(fn: Callable, *args: Any) -> Any:
    # Lineax may have converted it already to a jaxpr, of quantities.
    struct = getattr(fn, "in_dynamic_struct", None)
    if struct is not None and has_quantity(jtu.tree_unflatten(struct[1], struct[0])):
        return fn(*args)
    return call(fn, *args)


def _units_given(fn: Callable, *given: Any) -> TreeUnits:
    return TreeUnits.of(eqx.filter_eval_shape(lambda *xs: _call(fn, *xs), *given), OUTPUT)


def _function(operator: lx.FunctionLinearOperator) -> UnitLinearOperator:
    structure = operator.in_structure()
    takes = TreeUnits.of(structure, INPUT).map(difference_unit)
    gives = _units_given(operator.fn, takes.label(takes.strip(structure)))
    if any(unit.offset for unit in gives.units):
        error = RuleError("A linear function returned a quantity whose scale has an offset.")
        raise error.at(definition_of(operator.fn))
    bare = lx.FunctionLinearOperator(
        _BareLinear(operator.fn, takes, gives), takes.strip(structure), operator.tags
    )
    return UnitLinearOperator(bare, takes, gives)


def _jacobian(operator: lx.JacobianLinearOperator) -> UnitLinearOperator:
    takes = TreeUnits.of(operator.x, INPUT)
    gives = _units_given(operator.fn, operator.x, operator.args)
    bare = lx.JacobianLinearOperator(
        _BareLinear(operator.fn, takes, gives),
        takes.strip(operator.x), operator.args, operator.tags, operator.jac,
    )  # fmt: skip
    return UnitLinearOperator(bare, takes.map(difference_unit), gives.map(difference_unit))


def _composed(operator: lx.ComposedLinearOperator) -> UnitLinearOperator:
    outer, inner = labelled(operator.operator1), labelled(operator.operator2)
    factor, numbers = ratio(inner.gives, outer.takes, lambda a, b: uneven("@", a, b))
    bare = outer.operator @ _scaled(inner.operator, numbers)
    return UnitLinearOperator(bare, inner.takes, outer.gives.map(lambda unit: unit * factor))


def _sum(operator: lx.AddLinearOperator) -> UnitLinearOperator:
    lhs, rhs = labelled(operator.operator1), labelled(operator.operator2)
    complain = lambda a, b: uneven("+", a, b)  # noqa: E731
    out, of_outputs = ratio(rhs.gives, lhs.gives, complain)
    into, of_inputs = ratio(rhs.takes, lhs.takes, complain)
    if not (out / into).dimensionless:
        unit, other = (
            lhs.gives.units[0] / lhs.takes.units[0],
            rhs.gives.units[0] / rhs.takes.units[0],
        )
        raise DimensionalityError(
            f"The sum of linear operators in '{unit}' and '{other}', which measure different "
            "things.",
            unit.pint,
            other.pint,
            "Multiply one by a quantity: `MulLinearOperator(operator, quantity)`.",
        ).at(caller_line())
    number = (out / into).conversion(dimensionless())[0]
    inner = _scaled(rhs.operator, [1 / f for f in of_inputs], inputs=True)
    bare = lhs.operator + _scaled(inner, [number * f for f in of_outputs])
    return UnitLinearOperator(bare, lhs.takes, lhs.gives)


def _scaled(
    operator: lx.AbstractLinearOperator, numbers: list[float], inputs: bool = False
) -> lx.AbstractLinearOperator:
    """An operator whose outputs, or inputs, are multiplied by numbers, leaf by leaf."""
    if all(n == 1.0 for n in numbers):
        return operator
    if all(n == numbers[0] for n in numbers):
        return lx.MulLinearOperator(operator, numbers[0])  # pyright: ignore[reportArgumentType]
    structs, tree = jtu.tree_flatten(
        operator.in_structure() if inputs else operator.out_structure()
    )
    scale = [jnp.full(s.shape, n, s.dtype) for s, n in zip(structs, numbers, strict=True)]
    diagonal = lx.DiagonalLinearOperator(tree.unflatten(scale))
    return operator @ diagonal if inputs else diagonal @ operator


def _times(operator: lx.MulLinearOperator) -> UnitLinearOperator:
    return labelled(operator.operator) * operator.scalar


def _divided(operator: lx.DivLinearOperator) -> UnitLinearOperator:
    return labelled(operator.operator) / operator.scalar


def _negated(operator: lx.NegLinearOperator) -> UnitLinearOperator:
    inner = labelled(operator.operator)
    return UnitLinearOperator(-inner.operator, inner.takes, inner.gives)


def _tagged(operator: lx.TaggedLinearOperator) -> UnitLinearOperator:
    inner = labelled(operator.operator)
    bare = lx.TaggedLinearOperator(inner.operator, operator.tags)
    return UnitLinearOperator(bare, inner.takes, inner.gives)


_HOUSE = f"{__name__.partition('.')[0]}."

_RULES: dict[type, Callable[[Any], UnitLinearOperator]] = {
    lx.MatrixLinearOperator: _matrix,
    lx.PyTreeLinearOperator: _pytree,
    lx.DiagonalLinearOperator: _diagonal,
    lx.TridiagonalLinearOperator: _tridiagonal,
    lx.FunctionLinearOperator: _function,
    lx.JacobianLinearOperator: _jacobian,
    lx.ComposedLinearOperator: _composed,
    lx.AddLinearOperator: _sum,
    lx.MulLinearOperator: _times,
    lx.DivLinearOperator: _divided,
    lx.NegLinearOperator: _negated,
    lx.TaggedLinearOperator: _tagged,
}
