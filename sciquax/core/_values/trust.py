"""Numbers that the program states and that take the type of their partner where a type allows it.

Literal 0, inf and nan belong to every unit, always (`unit_polymorphic.py`). Others are numbers, and
refused beside a length, unless somebody trusts them: `TRUST` holds who. A type's rules then ask for
the `literal_numbers` of an operand that they would refuse; conditionals and loops, for those of a
result or a start that does not join. Only literals count, the program's own small arrays
(`folding.number_of_constant`), and what is made of nothing else, picked by data or not.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from .._compat import jaxprs
from .._errors import code_line
from .folding import Parts, combined, foldable, number_of_literal, only
from .kinds import VALUE_TYPES
from .mode import MODE
from .stated import AboutProgram, Numbers, Source, Stated, operand_at_hand, whole
from .unit_polymorphic import UnitPolymorphic, is_polymorphic_literal

TRUST = jax.make_user_context(None)
"""Who trusts, or None: part of the key of what JAX and we compile and keep."""


class LiteralNumber(NamedTuple):
    """A number, and the line of the user's or a library's that states it.

    A place that is `called` is the line that calls a function of JAX's, or names an array, which
    states it.
    """

    value: Any
    place: str

    @property
    def called(self) -> bool:
        return getattr(self.place, "called", False)


Literals = Sequence[LiteralNumber]


@runtime_checkable
class Truster(Protocol):
    """A judge that decides whether numbers take the type of `example`, and notes those that do.

    One that has a method `read(primitive, operands)` is asked for the operands of every operation
    on data or values, those that `literal_numbers` are known of made values, perhaps.
    """

    def takes(self, numbers: Literals, example: Any) -> bool: ...


def literal_numbers(x: Any, in_value: bool = False) -> Literals:
    """The numbers of which literals of the program make an operand of a rule, if they do.

    None for constants of every unit: those take any anyway. With `in_value`, also those of a value
    to which a rule gave a type of its own accord: `full_like(q, 2.0)`.
    """
    if isinstance(x, (int, float, complex, np.generic)):
        here = MODE.numbers
        return _readable({only(x): _place(None if here is None else here.place)})
    if type(x) in VALUE_TYPES and not in_value or (source := operand_at_hand(x)) is None:
        return ()
    return literals_of(source)


def literals_of(source: Source | None) -> Literals:
    """The same of what a source says."""
    return () if source is None else source.ask(_literals, False) or ()


def _of_variable(numbers: Numbers, var: Any) -> Literals:
    """The literals of which a program makes a variable; no recursion, for it may be long."""
    known: dict[Any, Parts] = {}
    here = _place(numbers.place)
    named = Place(here)
    named.called = True

    def read(var: Any, eqn: Any = None) -> Parts | None:
        if type(var) is not jaxprs.Literal:
            return known.get(var)
        return {only(number_of_literal(var)): here if eqn is None else place_of(eqn, here) or here}

    waiting = [var]
    while waiting and type(waiting[-1]) is not jaxprs.Literal:
        made = numbers.made.get(waiting[-1], numbers.picked.get(waiting[-1]))
        if waiting[-1] in known:
            waiting.pop()
        elif isinstance(made, Source):
            dtype = waiting[-1].aval.dtype
            given = literals_of(made)
            known[waiting[-1]] = {only(np.asarray(x.value, dtype)): x.place for x in given}
        elif isinstance(made, np.ndarray):
            known[waiting[-1]] = dict.fromkeys(np.asarray(made).flat, named)
        elif made is None or isinstance(made, jax.Array):
            known[waiting[-1]] = {}
        elif missing := [v for v in made.invars if read(v) is None]:
            waiting += missing
        else:
            parts = combined(made, [read(v, made) or {} for v in made.invars])
            parts = [{x: place or here for x, place in part.items()} for part in parts]
            known.update(zip(made.outvars, parts, strict=True))
    return _readable(read(var) or {})


_literals = AboutProgram(_of_variable)


def _readable(parts: Parts) -> Literals:
    """Numbers as they are written: 1e-3 in single precision is 0.001, not 0.0010000000474974513."""
    found: list[LiteralNumber] = []
    for number, place in parts.items():
        if number.dtype.kind not in "iufcV":
            return ()
        value = float(str(number)) if number.dtype.kind in "fV" else number.item()
        if not is_polymorphic_literal(value):
            found.append(LiteralNumber(value, place))
    return tuple(found)


class Place(str):
    """The line that states a number; if `called`, calls a function or names an array that does."""

    called = False


def place_of(eqn: Any, outer: str | None) -> Place | None:
    """The place of an equation's literals: its own line, or that of the call that it is within."""
    own = code_line(eqn)
    if own is None and outer is None:
        return None  # the Python stack knows
    place = Place(own or outer)
    place.called = own is None
    return place


def _place(known: str | None) -> str:
    return known or Place(code_line() or "?")


# -- what core does with them ---------------------------------------------------------------------


def read_literals(primitive: Any, operands: list[Any], has_value: bool) -> tuple[list[Any], bool]:
    """The operands of an equation as the truster reads them, and whether a value is among them.

    What the program makes of numbers that it states alone is such a number again.
    """
    read = getattr(TRUST.value, "read", None)
    if read is None or not has_value and all(map(MODE.numbers.is_stated, MODE.numbers.at[0])):
        return operands, has_value
    operands = read(primitive, operands)
    return operands, has_value or any(type(x) in VALUE_TYPES for x in operands)


def note_picked(numbers: Numbers, eqn: Any) -> None:
    """An equation was carried out that states no result, but may pick stated numbers."""
    known = [*map(numbers.is_stated, eqn.invars)]
    flags = zip(eqn.outvars, foldable(eqn, known, picks=True), strict=True)
    numbers.picked.update((var, eqn) for var, flag in flags if flag and var not in numbers.made)


def output_literals(numbers: Numbers, jaxpr: Any) -> list[Literals]:
    """The literals of which a jaxpr makes its outputs."""
    return [_of_variable(numbers, var) for var in jaxpr.outvars]


def output_numbers(numbers: Numbers, jaxpr: Any) -> list[Any]:
    """The number of each output of a jaxpr that is the same for every caller, else None."""
    return [numbers.own_number(var) for var in jaxpr.outvars]


def start_of(x: Any) -> Source | None:
    """The literals from which a loop starts, where literals are trusted."""
    return x.source if type(x) is Stated and is_trusted(x.inner, x.source) else None


def is_trusted(x: Any, source: Source | None) -> bool:
    """Whether an operand of a body is made of literals, and literals are trusted."""
    if TRUST.value is None or type(x) in VALUE_TYPES:
        return False
    return bool(literals_of(source))


def taking(x: Any, numbers: Literals, example: Any) -> Any:
    """Literals as a constant of every unit, if trusted to take the type of `example`."""
    if type(x) in VALUE_TYPES:
        return x
    return UnitPolymorphic(x) if are_trusted(numbers, example) else x


def are_trusted(numbers: Literals, example: Any) -> bool:
    """Whether literals are trusted to take the type of `example`."""
    return bool(numbers) and TRUST.value is not None and TRUST.value.takes(numbers, example)


def asked_at_once(operands: Sequence[Any]) -> list[Any]:
    """Operands of a body that may be staged later, asked now because they cannot be asked then."""
    for x in operands:
        if type(x) is Stated:
            x.source.ask(whole, False)
            x.source.ask(whole, True)
            if TRUST.value is not None:
                literals_of(x.source)
    return list(operands)


def zero_tangent(x: Any, source: Source | None) -> Any:
    """The tangent of an operand of a body: of a literal, a zero of every unit."""
    return UnitPolymorphic(x) if is_trusted(x, source) else x
