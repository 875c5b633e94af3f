"""Literals that take their partner's unit, in code that one cannot edit, and the list of them."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, overload

import pint

from sciquax.core import VALUE_TYPES, UnitPolymorphic
from sciquax.core.internal import TRUST, LiteralNumber, Literals, literal_numbers

from .._unit.errors import OffsetUnitCalculusError
from .._unit.unit import InternedUnit, dimensionless
from .bare_numbers import is_mistake
from .base import QuantityBase, bare


@dataclasses.dataclass(frozen=True)
class TrustedLiteral:
    """A literal that took a unit. **Attributes**: `value`; `unit`; `place`, `file:line`."""

    value: Any
    unit: pint.Unit
    place: str


class TrustedLiterals(Sequence[TrustedLiteral]):
    """The literals that took a unit within a block of [`sciquax.units.trust_literals`][].

    A sequence of `TrustedLiteral`, in the order in which they were met. Printed, a table.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], TrustedLiteral] = {}
        self._outer: TrustedLiterals | None = None

    def takes(self, numbers: Literals, example: Any) -> bool:
        """The judge of trusted literals: numbers that become a quantity take its unit.

        Beside angles and percent only numbers that would be refused do.
        """
        while type(example) in VALUE_TYPES and not isinstance(example, QuantityBase):
            example = None if example.payload is None else getattr(example, example.payload)
        unit = _dimensional(example)
        if unit is None and isinstance(example, QuantityBase):
            mistaken = any(is_mistake(number.value, example._unit) for number in numbers)
            unit = example._unit if mistaken else None
        if unit is None:
            return False
        self.take(numbers, unit)
        return True

    def take(self, numbers: Literals, unit: InternedUnit) -> None:
        """Literals take a unit."""
        for number in numbers:
            self.note(number, unit)

    def note(self, number: LiteralNumber, unit: InternedUnit) -> None:
        """A literal takes a unit, in this block and those around it."""
        key = (repr(number.value), str(unit), number.place)
        self._found.setdefault(key, TrustedLiteral(number.value, unit.pint, number.place))
        if self._outer is not None:
            self._outer.note(number, unit)

    @overload
    def __getitem__(self, index: int) -> TrustedLiteral: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrustedLiteral]: ...
    def __getitem__(self, index: Any) -> Any:
        return list(self._found.values())[index]

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        if not self._found:
            return "no literal took a unit"
        rows = [("value", "unit", "place")]
        rows += [(repr(x.value), str(x.unit), x.place) for x in self]
        widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
        return "\n".join(f"{v:<{widths[0]}}  {u:<{widths[1]}}  {p}" for v, u, p in rows)


@contextlib.contextmanager
def trust_literals(trusted: TrustedLiterals | None = None) -> Iterator[TrustedLiterals]:
    """Within the block, a bare literal that meets a dimensional operand takes its unit.

    For code that one cannot edit: `where(d == 0, 1, d)`, `x + 1e-10`, `maximum(p, 1e-3)`, a bare
    `atol`, `full_like(q, 1.0)`. In sums, comparisons, selections and extremes the magnitudes are
    then exactly those of the program on plain numbers in the partners' units: whether 1e-10 makes
    sense in metres only a person can say, and `trusted` lists what there is to judge.

    **Arguments**: the list of an earlier block, to go on with it. Without, the block is a new one:
    what was compiled in another is compiled again, since otherwise its literals were not listed. So
    put a loop into the block, not the block into the loop.

    **Returns** a context manager that gives a [`sciquax.units.TrustedLiterals`][]: of each literal
    its value, its unit, and the line that states it, the user's or a library's.

    A literal is a Python or NumPy number, or what the program makes of such alone (`2 * 1e-10`,
    `jnp.full(3, 1e-3)`, `where(mask, 1e-3, 0.0)`), or an array of up to 16 numbers that it states,
    `jnp.array([1.0, 2.0])`: each is listed. A number that `quaxify` is handed is one too: it stands
    in the traced program. Other arrays are data, and refused as ever; so is a literal in a
    sum with a temperature in degC, where it is not known whether a difference is meant. In products
    and powers, and beside ratios, a literal is a number as ever; so it is beside percent and
    angles, unless it would be refused there, as 1e-6 beside arcseconds. `ones_like(q)` is the
    literal 1. Literal 0, inf and nan belong to every unit anyway, and are not listed.

    Belongs to the thread, and blocks nest: outer ones list what inner ones do. Part of the key of
    all that is compiled or kept.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.units import Quantity, trust_literals
    >>> def speed(x, t):  # somebody else's
    ...     return x / jnp.where(t == 0, 1.0, t)
    >>> with trust_literals() as trusted:
    ...     print(quaxify(speed)(Quantity(3.0, "m"), Quantity(jnp.array([0.0, 2.0]), "s")))
    [3.  1.5] meter / second
    >>> [(x.value, str(x.unit)) for x in trusted]
    [(1.0, 'second')]

    ```
    """
    trusted = TrustedLiterals() if trusted is None else trusted
    outer, before = TRUST.value, trusted._outer
    if outer is not None and not _holds(trusted, outer):
        trusted._outer = outer
    try:
        with TRUST(trusted):
            yield trusted
    finally:
        trusted._outer = before


def is_trusting() -> bool:
    """Whether literals are trusted."""
    return TRUST.value is not None


def _holds(outer: TrustedLiterals, inner: TrustedLiterals | None) -> bool:
    """Whether what `inner` notes is noted by `outer` anyway."""
    while inner is not None and inner is not outer:
        inner = inner._outer
    return inner is outer


def beside(operands: Sequence[Any], summed: str = "") -> Sequence[Any]:
    """Operands that measure one thing: literals as quantities in the unit of their partner.

    As they are where literals are not trusted, or none of the others is dimensional.

    **Arguments**: the operands; and the operation's name, if it is a sum or a difference.

    **Raises** `OffsetUnitCalculusError` in a sum on a scale with an offset.
    """
    trusted = TRUST.value
    if trusted is None:
        return operands
    templates = _templates(operands)
    units = [None if i in templates else _dimensional(x) for i, x in enumerate(operands)]
    unit = next((u for u in units if u is not None), None)
    if unit is None:
        operands = [x.magnitude if i in templates else x for i, x in enumerate(operands)]
        return _beside_angles(operands, trusted)
    taken = []
    for i, x in enumerate(operands):
        if i in templates:
            trusted.take(templates[i], unit)
            x = bare(x.magnitude, unit)
        elif numbers := literal_numbers(x):
            if summed and unit.offset:
                raise _ambiguous(summed, unit)
            trusted.take(numbers, unit)
            x = bare(x, unit)
        taken.append(x)
    return taken


def _beside_angles(operands: Sequence[Any], trusted: TrustedLiterals) -> Sequence[Any]:
    """Beside an angle or a percentage, literals take its unit that would be refused as numbers."""
    unit = next((x._unit for x in operands if isinstance(x, QuantityBase)), None)
    if unit is None:
        return operands
    taken = []
    for x in operands:
        if not isinstance(x, QuantityBase) and is_mistake(x, unit) and (of := literal_numbers(x)):
            trusted.take(of, unit)
            x = bare(x, unit)
        taken.append(x)
    return taken


def as_factors(operands: Sequence[Any]) -> Sequence[Any]:
    """Factors, where literals are trusted: `full_like(q, 2.0)` is a literal, and so a number."""
    if not is_trusting():
        return operands
    return [
        x.magnitude if _dimensional(x) is not None and literal_numbers(x, True) else x
        for x in operands
    ]


def _templates(operands: Sequence[Any]) -> dict[int, Literals]:
    """Operands whose unit comes from a template alone, `full_like(q, 2.0)`, and does not fit.

    They are literals: `where(mask, weight, full_like(x, 2.0))` is where the program has a number.
    """
    units = [*map(_dimensional, operands)]
    known = [u for u in units if u is not None]
    if not known or len(known) == len(units) and all(map(known[0].compatible, known)):
        return {}
    found = {i: literal_numbers(x, True) for i, x in enumerate(operands) if units[i] is not None}
    found = {i: numbers for i, numbers in found.items() if numbers}
    fits = [
        type(x) is UnitPolymorphic or u is not None and known[0].compatible(u)
        for i, (x, u) in enumerate(zip(operands, units, strict=True))
        if i not in found and not literal_numbers(x)
    ]
    return {} if all(fits) and all(known[0].compatible(u) for u in known) else found


def _dimensional(x: Any) -> InternedUnit | None:
    """The unit of a quantity that is no number."""
    return x._unit if isinstance(x, QuantityBase) and not x._unit.dimensionless else None


def _ambiguous(name: str, unit: InternedUnit) -> OffsetUnitCalculusError:
    return OffsetUnitCalculusError(
        f"`{name}` got a literal and a quantity in '{unit}', and may mean a difference.",
        unit.pint,
        dimensionless().pint,
        "Convert to an absolute scale first, `.to('kelvin')`.",
    )
