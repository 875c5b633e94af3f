"""Helpers of rules and operators: read units, unify them, convert, wrap results."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sciquax.core import (
    VALUE_TYPES,
    UnitPolymorphic,
    describe,
    facts_of,
    is_polymorphic_literal,
    quaxify,
    stated_number,
    strip,
)
from sciquax.core.internal import Tracer, whole

from .._unit.convert import _inexact, affine, convert, convert_all, promote
from .._unit.errors import DimensionalityError, OffsetUnitCalculusError
from .._unit.logarithmic import add_levels
from .._unit.parsing import as_unit
from .._unit.unit import InternedUnit, difference_unit, dimensionless
from .._unit.whole_numbers import Multiple, comparable, whole_multiple
from .bare_numbers import check_bare_numbers
from .base import QuantityBase, bare, magnitude_of, own_unit, wrap
from .trusted_literals import beside

ANY = None
"""The unit of a polymorphic constant: whatever it meets."""


def unit_of(x: Any) -> Any:
    """An operand's unit: dimensionless for plain arrays, `ANY` for polymorphic constants."""
    if type(x) is UnitPolymorphic or type(x) in (int, float) and is_polymorphic_literal(x):
        return ANY
    if type(x) in VALUE_TYPES and x.of_every_unit:
        return ANY
    return x._unit if isinstance(x, QuantityBase) else dimensionless()


def wrap_all(primitive: Any, out: Any, unit: InternedUnit) -> Any:
    return [wrap(x, unit) for x in out] if primitive.multiple_results else wrap(out, unit)


def unify(
    name: str, operands: Sequence[Any], finest: bool = False
) -> tuple[list[Any], InternedUnit]:
    """The magnitudes of operands that must measure the same thing, and their common unit.

    The first quantity's unit is taken; or, if `finest`, the smallest: 12 km and 12000 m compare
    equal in metres, not in float32 kilometres. Polymorphic constants take it too; a plain number
    meets only quantities that are numbers themselves, which are then reduced (`km/m` by 1000).

    **Raises** `DimensionalityError` naming the operation.
    """
    operands = beside(operands)
    units = [unit_of(x) for x in operands]
    known = [u for u in units if u is not ANY]
    if not known:
        common = next((own_unit(x) for x in operands if not own_unit(x).unitless), dimensionless())
        return [magnitude_of(x) for x in operands], common
    common = known[0]
    if all(u is common for u in known):
        if common.offset and len(known) < len(units):
            check_literals(name, literals_in(operands, units), common)
        return [magnitude_of(x) for x in operands], common
    for other in known[1:]:
        if not common.compatible(other):
            raise mismatch(name, operands)
        if name in _ORDERED and common.descends is not other.descends:
            raise OffsetUnitCalculusError(
                f"`{name}` of '{common}' and '{other}' is ambiguous: the larger the number in one, "
                "the smaller in the other.",
                common.pint,
                other.pint,
                "Convert one to the unit of the other, with `.to(...)`.",
            )
    if any(u.unitless for u in known):
        check_bare_numbers(name, operands, units)
        common = dimensionless()
    elif finest and not any(u.offset for u in known):
        common = min(known, key=lambda u: u.conversion(known[0])[0])
    if common.offset and len(known) < len(units):
        check_literals(name, literals_in(operands, units), common)
    return convert_all([*map(magnitude_of, operands)], units, common), common


def whole_numbers(name: str, operands: Sequence[Any]) -> Multiple | None:
    """How the units of two integers count, for what is exact of integers."""
    if len(operands) != 2 or getattr(magnitude_of(operands[0]), "dtype", None) in _FLOATS:
        return None
    units = [*map(unit_of, operands)]
    multiple = whole_multiple([*map(magnitude_of, operands)], units)
    if multiple is not None:
        check_bare_numbers(name, operands, units)
    return multiple


def compared(name: str, operands: Sequence[Any]) -> list[Any]:
    """Numbers that compare as two operands do: in the finer unit, and integers exactly.

    **Arguments**: the comparison, `lt` or one of its like, and what it compares.
    """
    if name in _COMPARISONS and (multiple := whole_numbers(name, operands)) is not None:
        x, y = map(magnitude_of, operands)
        return list(comparable(name, x, y, multiple))
    return unify(name, operands, finest=True)[0]


_FLOATS = (np.dtype("float32"), np.dtype("float64"))
_ORDERED = ("lt", "le", "gt", "ge", "max", "min", "clamp")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


def as_number(name: str, x: Any, what: str = "numbers") -> Any:
    """An operand as a plain number: `km/m` is reduced, an angle becomes radians.

    **Raises** `DimensionalityError` for what is not a number.
    """
    unit = unit_of(x)
    if unit is ANY or unit.unitless:
        return magnitude_of(x)
    if not unit.require_dimensionless():
        raise DimensionalityError(
            f"`{name}` takes {what}, and got {describe(x)} in '{unit}'.",
            unit.pint,
            dimensionless().pint,
            "Divide by a reference scale first, or convert with `.to(...)`.",
        )
    return convert(x.magnitude, unit, dimensionless())


def as_plain(name: str, x: Any, role: str) -> Any:
    """An operand that only steers: an index, a mask, a key. Quantities are refused."""
    x = strip(x)
    if isinstance(x, QuantityBase):
        raise DimensionalityError(
            f"`{name}` got {describe(x)} in '{x._unit}' as its {role}, which must be plain.",
            x._unit.pint,
            dimensionless().pint,
            "Use `.magnitude`, or divide by a reference scale first.",
        )
    return x


def mismatch(name: str, operands: Sequence[Any]) -> DimensionalityError:
    """The error for operands that measure different things."""
    units = [unit_of(x) for x in operands]
    known = [(u, x) for u, x in zip(units, operands, strict=True) if u is not ANY]
    first, first_operand = known[0]
    second, second_operand = next((u, x) for u, x in known if not first.compatible(u))
    shown = [_show(u, x) for u, x in ((first, first_operand), (second, second_operand))]
    if first.unitless or second.unitless:
        number, unit = (first_operand, second) if first.unitless else (second_operand, first)
        error = DimensionalityError(
            f"`{name}` got operands in {shown[0]} and {shown[1]}; a bare number has no unit.",
            first.pint,
            second.pint,
            f"Give it one, `Quantity(x, '{unit}')`, or divide the quantity by a reference scale. "
            "Only literal 0, inf and nan belong to every unit." + _hint(name),
        )
        error.in_library = trust_hint(unit)
        return error
    return DimensionalityError(
        f"`{name}` got operands in {shown[0]} and {shown[1]}, which measure different things.",
        first.pint,
        second.pint,
        "Convert one with `.to(...)`, or divide by a reference scale first.",
    )


def trust_hint(unit: InternedUnit) -> str:
    """The hint for a library's line with a bare number beside a unit."""
    return (
        "If the number is a literal that is meant in "
        f"'{unit}', call it within `with sciquax.units.trust_literals() as trusted:`, and "
        "look at what `trusted` then lists."
    )


def _hint(name: str) -> str:
    """The hint for `where(d == 0, 1, d)`, the one common idiom with another number."""
    if name not in ("select_n", "select", "scatter", "clamp"):
        return ""
    return (
        " If it only keeps masked elements harmless, as 1 does in `where(d == 0, 1, d)`, say so: "
        "`sciquax.units.any_unit(1)`, or use `sciquax.units.safe_divide`."
    )


def _show(unit: InternedUnit, operand: Any) -> str:
    return f"plain numbers ({describe(operand)})" if unit.unitless else f"'{unit}'"


def literals_in(operands: Sequence[Any], units: Sequence[Any]) -> list[Any]:
    """The numbers that constants of every unit are, None for what is none that is known."""
    return [stated_number(x, whole) for x, u in zip(operands, units, strict=True) if u is ANY]


def check_literals(name: str, numbers: Sequence[Any], unit: InternedUnit) -> None:
    """**Raises** `OffsetUnitCalculusError` for literals that are not the same on every scale.

    On a scale with an offset zero is not; nan is on any, and infinity on one of temperatures.
    """
    same = np.isnan if unit.logarithmic else lambda x: ~np.isfinite(x)
    if unit.gain or all(x is not None and np.all(same(np.asarray(x, float))) for x in numbers):
        return
    known = [x for n in numbers if n is not None for x in np.ravel(n)]
    other = next((f"{x:.6g}" for x in known if not is_polymorphic_literal(x)), "")
    what = f"bare {other}" if other else "literal 0, inf or nan"
    raise OffsetUnitCalculusError(
        f"`{name}` got a {what} and a quantity in '{unit}', whose zero is not zero.",
        unit.pint,
        dimensionless().pint,
        f"Write the literal with its unit, `Quantity({other or '0.0'}, '{unit}')`.",
    )


def add_units(name: str, lhs: Any, rhs: Any, subtract: bool) -> tuple[list[Any], InternedUnit]:
    """Unify for a sum or difference, where scales with an offset have rules of their own.

    As pint has them: a difference of two temperatures is a difference (`delta_degC`), a temperature
    and a difference make a temperature, two temperatures cannot be added.
    """
    lhs, rhs = beside((lhs, rhs), name)
    a, b = unit_of(lhs), unit_of(rhs)
    if a is ANY or b is ANY or not (a.offset or b.offset):
        return unify(name, (lhs, rhs))
    x, y = magnitude_of(lhs), magnitude_of(rhs)
    if a.logarithmic or b.logarithmic:
        of_x, of_y, unit = add_levels(name, a, b, subtract)
        return promote([affine(_inexact(x), *of_x), affine(_inexact(y), *of_y)]), unit
    if not a.compatible(b):
        raise mismatch(name, (lhs, rhs))
    if subtract and not _is_difference(a) and not _is_difference(b):
        return convert_all((x, y), (a, b), a), difference_unit(a)
    if a.offset and _is_difference(b):
        return convert_all((x, y), (None, b), difference_unit(a)), a
    elif not subtract and b.offset and _is_difference(a):
        return convert_all((x, y), (a, None), difference_unit(b)), b
    raise OffsetUnitCalculusError(
        f"`{name}` of '{a}' and '{b}' is ambiguous: a scale has an offset.",
        a.pint,
        b.pint,
        "Convert to an absolute scale, `.to('kelvin')`, or use a difference, 'delta_degC'.",
    )


def _is_difference(unit: InternedUnit) -> bool:
    """Whether a unit is of differences: delta_degC, or K/min*h, which no temperature is in."""
    return any(name.startswith("delta_") for name in unit.container) or (
        len(unit.container) > 1 and not unit.offset
    )


def filled_with(name: str, x: Any, fill_value: Any, pick: Any) -> Any:
    """`pick(array, fill)` of a quantity, where a quantity stands for the elements outside.

    To JAX it is a number that is known; one that is not is put in place by `where`.
    """
    unit, own = own_unit(x), own_unit(fill_value)
    if not own.compatible(unit):
        raise mismatch(name, (x, fill_value))
    array = magnitude_of(x)
    fill = convert(magnitude_of(fill_value), own, unit)
    if not isinstance(fill, Tracer):
        return bare(pick(array, np.asarray(fill).item()), unit)
    if jnp.issubdtype(array.dtype, jnp.inexact):
        fill = fill.astype(array.dtype)
    outside = pick(jnp.zeros(array.shape, bool), True)
    return bare(quaxify(jnp.where)(outside, fill, pick(array, None)), unit)


def multiplicative(name: str, unit: InternedUnit) -> InternedUnit:
    """`unit`, refused if its scale has an offset and `name` is not meaningful on it."""
    if unit.offset:
        raise OffsetUnitCalculusError(
            f"`{name}` of a quantity in '{unit}' is ambiguous: its scale has an offset.",
            unit.pint,
            dimensionless().pint,
            "Convert to a linear unit first, such as `.to('mW')`."
            if unit.logarithmic
            else "Convert to an absolute scale first, `.to('kelvin')`.",
        )
    return unit


def linear(name: str, unit: InternedUnit) -> InternedUnit:
    """`unit`, refused if what is linear in its magnitude, as `name` is, is not meaningful on it."""
    return unit if unit.gain else multiplicative(name, unit)


def radian() -> InternedUnit:
    return as_unit("radian")


Params = dict[str, Any]
Operands = Sequence[Any]


def _unify_data(
    primitive: Any, operands: Operands, finest: bool = False
) -> tuple[list[Any], InternedUnit]:
    facts = facts_of(primitive)
    positions = [i for i in range(len(operands)) if facts.is_data(i)]
    data, unit = unify(primitive.name, [operands[i] for i in positions], finest)
    magnitudes = [
        None if i in positions else as_plain(primitive.name, x, "index or mask")
        for i, x in enumerate(operands)
    ]
    for i, x in zip(positions, data, strict=True):
        magnitudes[i] = x
    return magnitudes, unit
