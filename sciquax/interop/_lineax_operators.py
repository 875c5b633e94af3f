"""Lineax operators between quantities: a bare operator, and units of what it takes and gives.

An operator between trees of quantities has one unit for each leaf that goes in and each that comes
out: the block that leads from one to the other is in their quotient. Lineax's own operators whose
arrays are quantities are brought into this form by `labelled`.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import lineax as lx

from sciquax.core import MODE, LocatedError, RuleError
from sciquax.units import DimensionalityError
from sciquax.units._algebra import magnitude_of, multiplicative, own_unit, unify, wrap
from sciquax.units._unit import InternedUnit, difference_unit, dimensionless

from ._deferred import without_captured_tracers
from ._places import at_function, at_stack, call, place_of
from ._units import TreeUnits, has_quantity, is_quantity, without_units

TAKES, GIVES = "x", "vector"


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
        return _times(lx.MulLinearOperator(self, _scalar(other)))

    def __truediv__(self, other: Any) -> "UnitLinearOperator":
        return _divided(lx.DivLinearOperator(self, _scalar(other)))

    def in_structure(self) -> Any:
        return self.operator.in_structure()

    def out_structure(self) -> Any:
        return self.operator.out_structure()


def _scalar(x: Any) -> Any:
    if jnp.shape(magnitude_of(x)) != ():
        raise ValueError("An operator is multiplied by a scalar.")
    return x


for _check in (
    lx.is_symmetric, lx.is_diagonal, lx.is_tridiagonal, lx.is_lower_triangular,
    lx.is_upper_triangular, lx.is_positive_semidefinite, lx.is_negative_semidefinite,
    lx.has_unit_diagonal,
):  # fmt: skip
    _check.register(UnitLinearOperator)(lambda operator, _check=_check: _check(operator.operator))  # type: ignore[attr-defined]


def linear(owner: str, unit: InternedUnit) -> InternedUnit:
    """`unit`, refused with the user's line if its scale has an offset."""
    try:
        return multiplicative(owner, unit)
    except LocatedError as error:
        raise at_stack(error) from None


def unit_of_all(operator: UnitLinearOperator) -> InternedUnit:
    """The unit of the whole matrix. **Raises** `RuleError` if its blocks have several."""
    units = {give / take for give in operator.gives.units for take in operator.takes.units}
    if len(units) > 1:
        raise at_stack(
            RuleError(
                "The blocks of this operator have several units: there is no one matrix.",
                "`operator.operator` is the bare operator.",
            )
        )
    return next(iter(units), dimensionless())


# -- vectors ---------------------------------------------------------------------------------------


def to_units_up_to_a_factor(vector: Any, due: TreeUnits, owner: str) -> tuple[Any, InternedUnit]:
    """A tree's magnitudes in the units due times one common factor; and that factor.

    **Raises** `DimensionalityError` where no one factor fits all leaves.
    """
    leaves, structure = jtu.tree_flatten(vector, is_leaf=is_quantity)
    if structure != due.tree:
        raise at_stack(
            RuleError(
                f"`{owner}` got a tree {structure}, and the operator has {due.tree} there.",
                "Give it the structure of the operator.",
            )
        )
    given = TreeUnits(structure, tuple(linear(owner, own_unit(x)) for x in leaves), due.name)
    factor, factors = ratio(given, due, lambda a, b: _uneven(owner, a, b))
    scaled = [
        magnitude_of(x) if f == 1.0 else magnitude_of(x) * f
        for x, f in zip(leaves, factors, strict=True)
    ]
    return structure.unflatten(scaled), factor


def tidied(vector: Any, factor: InternedUnit, units: TreeUnits) -> tuple[Any, InternedUnit]:
    """Where the common factor is a number, take it into the numbers: `units` come out as they are.

    Not where these are dimensionless: what an operator in kN gives N for is in N/kN.
    """
    if units.plain or not factor.pure or factor.plain:
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
            raise at_stack(complain((names[0], given.units[0]), (names[i], have, want)))
        numbers.append(have.conversion(want)[0])
    return factor, numbers


def _uneven(owner: str, first: Any, other: Any) -> DimensionalityError:
    return DimensionalityError(
        f"`{owner}` got {first[0]} in '{first[1]}' and {other[0]} in '{other[1]}'; beside the "
        f"first, the operator makes the second '{other[2]}'.",
        other[1].pint,
        other[2].pint,
        "An operator's units are right up to one factor, common to all leaves.",
    )


# -- operators -------------------------------------------------------------------------------------


def labelled(operator: Any) -> UnitLinearOperator:
    """Any operator of Lineax's, whose arrays may be quantities, with its units apart.

    **Raises** `RuleError` for a class of operators that holds quantities and is not known.
    """
    if not isinstance(operator, lx.AbstractLinearOperator):
        raise at_stack(
            RuleError(
                f"`linear_solve` got a `{type(operator).__name__}` as its operator.",
                "Make it one: `MatrixLinearOperator(matrix)`, or `to_lineax(matrix)`.",
            )
        )
    for kind, rule in _RULES.items():
        if isinstance(operator, kind):
            return rule(operator)
    if has_quantity(operator):
        raise at_stack(
            RuleError(
                f"`{type(operator).__name__}` holds quantities, and what they are is not known.",
                "Wrap the bare one: `UnitLinearOperator(operator, takes, gives)`.",
            )
        )
    return with_unit(operator, dimensionless())


def with_unit(operator: lx.AbstractLinearOperator, unit: InternedUnit) -> UnitLinearOperator:
    """A bare operator, all of which is in one unit."""
    unit = linear(type(operator).__name__, unit)
    takes = _units_like(operator.in_structure(), dimensionless(), TAKES)
    gives = _units_like(operator.out_structure(), unit, GIVES)
    return UnitLinearOperator(operator, takes, gives)


def _units_like(structure: Any, unit: InternedUnit, name: str) -> TreeUnits:
    tree = jtu.tree_structure(structure)
    return TreeUnits(tree, (unit,) * tree.num_leaves, name)


def _matrix(operator: lx.MatrixLinearOperator) -> UnitLinearOperator:
    bare = lx.MatrixLinearOperator(magnitude_of(operator.matrix), operator.tags)
    return with_unit(bare, own_unit(operator.matrix))


def _diagonal(operator: lx.DiagonalLinearOperator) -> UnitLinearOperator:
    gives = TreeUnits.of(operator.diagonal, GIVES)
    takes = _units_like(gives.tree.unflatten(gives.units), dimensionless(), TAKES)
    gives = gives.map(lambda unit: linear("DiagonalLinearOperator", unit))
    bare = lx.DiagonalLinearOperator(without_units(operator.diagonal))
    return UnitLinearOperator(bare, takes, gives)


def _pytree(operator: lx.PyTreeLinearOperator) -> UnitLinearOperator:
    if not has_quantity(operator.pytree):
        return with_unit(operator, dimensionless())
    given = operator.pytree, operator.out_structure(), operator.tags
    return PyTreeLinearOperator(*given)  # pyright: ignore[reportReturnType]


def _tridiagonal(operator: lx.TridiagonalLinearOperator) -> UnitLinearOperator:
    given = (operator.diagonal, operator.lower_diagonal, operator.upper_diagonal)
    given, unit = _in_one_unit(given, "TridiagonalLinearOperator")
    return with_unit(lx.TridiagonalLinearOperator(*given), unit)


def _in_one_unit(arrays: tuple, owner: str) -> tuple[list[Any], InternedUnit]:
    try:
        return unify(owner, arrays)
    except LocatedError as error:
        raise at_stack(error) from None


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
    return TreeUnits.of(eqx.filter_eval_shape(lambda *xs: _call(fn, *xs), *given), GIVES)


def _function(operator: lx.FunctionLinearOperator) -> UnitLinearOperator:
    structure = operator.in_structure()
    takes = TreeUnits.of(structure, TAKES).map(difference_unit)
    gives = _units_given(operator.fn, takes.label(without_units(structure)))
    if any(unit.offset for unit in gives.units):
        error = RuleError("A linear function returned a quantity whose scale has an offset.")
        raise at_function(error, operator.fn)
    bare = lx.FunctionLinearOperator(
        _BareLinear(operator.fn, takes, gives), without_units(structure), operator.tags
    )
    return UnitLinearOperator(bare, takes, gives)


def _jacobian(operator: lx.JacobianLinearOperator) -> UnitLinearOperator:
    takes = TreeUnits.of(operator.x, TAKES)
    gives = _units_given(operator.fn, operator.x, operator.args)
    bare = lx.JacobianLinearOperator(
        _BareLinear(operator.fn, takes, gives),
        without_units(operator.x), operator.args, operator.tags, operator.jac,
    )  # fmt: skip
    return UnitLinearOperator(bare, takes.map(difference_unit), gives.map(difference_unit))


def _composed(operator: lx.ComposedLinearOperator) -> UnitLinearOperator:
    outer, inner = labelled(operator.operator1), labelled(operator.operator2)
    factor, numbers = ratio(inner.gives, outer.takes, lambda a, b: _uneven("@", a, b))
    bare = outer.operator @ _scaled(inner.operator, numbers)
    return UnitLinearOperator(bare, inner.takes, outer.gives.map(lambda unit: unit * factor))


def _sum(operator: lx.AddLinearOperator) -> UnitLinearOperator:
    lhs, rhs = labelled(operator.operator1), labelled(operator.operator2)
    complain = lambda a, b: _uneven("+", a, b)  # noqa: E731
    out, of_outputs = ratio(rhs.gives, lhs.gives, complain)
    into, of_inputs = ratio(rhs.takes, lhs.takes, complain)
    if not (out / into).pure:
        unit, other = (
            lhs.gives.units[0] / lhs.takes.units[0],
            rhs.gives.units[0] / rhs.takes.units[0],
        )
        raise at_stack(
            DimensionalityError(
                f"The sum of linear operators in '{unit}' and '{other}', which measure different "
                "things.",
                unit.pint,
                other.pint,
                "Multiply one by a quantity: `MulLinearOperator(operator, quantity)`.",
            )
        )
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
    inner, unit = labelled(operator.operator), linear("*", own_unit(operator.scalar))
    bare = lx.MulLinearOperator(inner.operator, magnitude_of(operator.scalar))
    return UnitLinearOperator(bare, inner.takes, inner.gives.map(lambda u: u * unit))


def _divided(operator: lx.DivLinearOperator) -> UnitLinearOperator:
    inner, unit = labelled(operator.operator), linear("/", own_unit(operator.scalar))
    bare = lx.DivLinearOperator(inner.operator, magnitude_of(operator.scalar))
    return UnitLinearOperator(bare, inner.takes, inner.gives.map(lambda u: u / unit))


def _negated(operator: lx.NegLinearOperator) -> UnitLinearOperator:
    inner = labelled(operator.operator)
    return UnitLinearOperator(-inner.operator, inner.takes, inner.gives)


def _tagged(operator: lx.TaggedLinearOperator) -> UnitLinearOperator:
    inner = labelled(operator.operator)
    bare = lx.TaggedLinearOperator(inner.operator, operator.tags)
    return UnitLinearOperator(bare, inner.takes, inner.gives)


_RULES: dict[type, Callable[[Any], UnitLinearOperator]] = {
    UnitLinearOperator: lambda operator: operator,
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


# -- constructors that Lineax's own do not suffice for ---------------------------------------------


def FunctionLinearOperator(
    fn: Callable, input_structure: Any, tags: Any = ()
) -> lx.AbstractLinearOperator:
    """A linear function of quantities, as an operator.

    As `lineax.FunctionLinearOperator`; the function may be plain JAX code, and may have captured
    quantities. `input_structure` is a tree of arrays or quantities, or of their shapes.
    """
    structure = eqx.filter_eval_shape(lambda: input_structure)
    if MODE.staging:
        fn = without_captured_tracers(fn, structure, place=place_of(fn))
    return _plain_or_labelled(lx.FunctionLinearOperator(fn, structure, tags, closure_convert=False))


def JacobianLinearOperator(
    fn: Callable, x: Any, args: Any = None, tags: Any = (), jac: Any = None
) -> lx.AbstractLinearOperator:
    """The Jacobian of `fn(x, args)` at `x`: it takes what `x` measures, gives what `fn` returns.

    As `lineax.JacobianLinearOperator`; the function may be plain JAX code, and may have captured
    quantities.
    """
    if MODE.staging:
        fn = without_captured_tracers(fn, x, args, place=place_of(fn))
    return _plain_or_labelled(
        lx.JacobianLinearOperator(fn, x, args, tags, jac, closure_convert=False)
    )


def MatrixLinearOperator(matrix: Any, tags: Any = ()) -> lx.AbstractLinearOperator:
    """As `lineax.MatrixLinearOperator`, of an array or a quantity."""
    operator = lx.MatrixLinearOperator(matrix, tags)
    return labelled(operator) if has_quantity(matrix) else operator


def DiagonalLinearOperator(diagonal: Any) -> lx.AbstractLinearOperator:
    """As `lineax.DiagonalLinearOperator`, of a tree of quantities in any units.

    Lineax's own of a quantity has a structure with the unit in it, and does not compose.
    """
    operator = lx.DiagonalLinearOperator(diagonal)
    return labelled(operator) if has_quantity(diagonal) else operator


def TridiagonalLinearOperator(
    diagonal: Any, lower_diagonal: Any, upper_diagonal: Any
) -> lx.AbstractLinearOperator:
    """As `lineax.TridiagonalLinearOperator`, of quantities of one dimension."""
    given = diagonal, lower_diagonal, upper_diagonal
    if MODE.staging or not has_quantity(given):
        return lx.TridiagonalLinearOperator(*given)
    bare, unit = _in_one_unit(given, "TridiagonalLinearOperator")
    return with_unit(lx.TridiagonalLinearOperator(*bare), unit)


def PyTreeLinearOperator(
    pytree: Any, output_structure: Any, tags: Any = ()
) -> lx.AbstractLinearOperator:
    """As `lineax.PyTreeLinearOperator`, of blocks of quantities.

    **Arguments**: `output_structure`, a tree of arrays or quantities or of their shapes, whose
    leaves each stand for one row of blocks in `pytree`.

    **Raises** `DimensionalityError` for blocks in whose units no vector makes sense: those of
    each row must differ as those of the first do.
    """
    structure = without_units(eqx.filter_eval_shape(lambda: output_structure))
    rows = jtu.tree_structure(structure).flatten_up_to(pytree)
    units = [TreeUnits.of(row, "row") for row in rows]
    if not rows or not has_quantity(pytree):
        return lx.PyTreeLinearOperator(pytree, structure, tags)
    first = units[0]
    # The first column's units for what comes out; then what goes in follows from the first row.
    out = tuple(linear("PyTreeLinearOperator", row.units[0]) for row in units)
    into = tuple(out[0] / unit for unit in first.units)
    blocks = []
    for i, (row, own) in enumerate(zip(rows, units, strict=True)):
        due = TreeUnits(own.tree, tuple(out[i] / unit for unit in into), f"row {i}")
        factor, numbers = ratio(own, due, lambda a, b: _uneven("PyTreeLinearOperator", a, b))
        assert factor.plain
        leaves = map(magnitude_of, own.tree.flatten_up_to(row))
        scaled = [x if n == 1.0 else x * n for x, n in zip(leaves, numbers, strict=True)]
        blocks.append(own.tree.unflatten(scaled))
    bare = lx.PyTreeLinearOperator(jtu.tree_structure(structure).unflatten(blocks), structure, tags)
    return UnitLinearOperator(
        bare,
        TreeUnits(first.tree, into, TAKES),
        TreeUnits(jtu.tree_structure(structure), out, GIVES),
    )


def _plain_or_labelled(operator: lx.AbstractLinearOperator) -> lx.AbstractLinearOperator:
    if MODE.staging:
        return operator
    found = labelled(operator)
    return found.operator if found.takes.plain and found.gives.plain else found


def shapes_of(operator: lx.AbstractLinearOperator) -> Any:
    """Zeros like what an operator takes, without units."""
    structure = without_units(operator.in_structure())
    return jtu.tree_map(lambda s: jnp.zeros(s.shape, s.dtype), structure)


__all__ = [
    "DiagonalLinearOperator",
    "FunctionLinearOperator",
    "JacobianLinearOperator",
    "MatrixLinearOperator",
    "PyTreeLinearOperator",
    "TridiagonalLinearOperator",
    "UnitLinearOperator",
]
