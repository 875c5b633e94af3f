"""The bare numbers of a program that may have units: constants of its modules, and literals."""

import functools
import math
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import VALUE_TYPES, is_value, strip
from sciquax.core.internal import LiteralNumber, Literals, Tracer, literal_numbers

from .._quantity.base import bare
from .._quantity.trusted_literals import TrustedLiterals
from .._unit.unit import InternedUnit
from .unknown_units import System

_LIBRARIES = frozenset(
    "jax jaxlib numpy math cmath builtins functools operator scipy sciquax equinox diffrax optax "
    "optimistix lineax jaxtyping typing".split()
)
"""Packages whose constants are of no unit, or are not used by name."""

_DENOMINATORS = (1, 2, 3, 4, 6, 8, 12, 16, 24)


def is_count(x: Any) -> bool:
    """Whether a number counts: a small whole number, a simple fraction, a multiple of pi."""
    if isinstance(x, (bool, int, str)):
        return True
    if isinstance(x, complex):
        return all(map(is_count, (x.real, x.imag)))
    return not math.isfinite(x) or any(
        abs(x / unit * n) <= 24 and math.isclose(x / unit * n, round(x / unit * n), rel_tol=1e-6)
        for unit in (1.0, math.pi, math.pi**2, math.sqrt(math.pi))
        for n in _DENOMINATORS
    )


class UnknownLiterals(TrustedLiterals):
    """Literals as unknowns of a linear system, as `infer` reads them; counts may take a unit.

    **Attributes**: `units`, of each unknown literal; `taken`, of each count that took one.
    """

    def __init__(self, system: System):
        super().__init__()
        self.system = system
        self.units: dict[LiteralNumber, InternedUnit] = {}
        self.taken: dict[tuple[LiteralNumber, int], InternedUnit] = {}

    def read(self, primitive: Any, operands: Sequence[Any]) -> list[Any]:
        """Replace the literals among an operation's data by quantities, before its rule."""
        found = [() if type(strip(x)) in VALUE_TYPES else literal_numbers(x) for x in operands]
        if primitive.name == "pow":
            for number in found[1]:
                if number in self.units:  # which an exponent cannot have
                    self.units[number].require_dimensionless()
            found[1] = ()
        return [
            bare(x, self._unit(numbers)) if numbers and not any(map(_is_known, numbers)) else x
            for x, numbers in zip(operands, found, strict=True)
        ]

    def _unit(self, numbers: Literals) -> InternedUnit:
        first, *others = numbers
        for number in numbers:
            if number not in self.units:
                place = number.place.replace("\\", "/").rpartition("/")[2]
                self.units[number] = self.system.unknown(f"{number.value} at {place}")
        for number in others:  # of which an array has elements
            self.units[number].compatible(self.units[first])
        return self.units[first]

    def note(self, number: LiteralNumber, unit: InternedUnit) -> None:
        self.taken.setdefault((number, id(unit)), unit)  # which may not be known yet


def _is_known(number: LiteralNumber) -> bool:
    """Whether a number counts, or is one of JAX's own."""
    return number.called or is_count(number.value)


def constants_of_modules(function: Callable[..., Any]) -> dict[str, Any]:
    """The numbers and arrays in modules that a function names, or functions that it calls do.

    By full name. Counts are left out, and so are those of JAX and its like.
    """
    found: dict[str, Any] = {}
    known: set[int] = set()
    for module, name in _names(function):
        x = vars(module)[name]
        if id(x) not in known and _may_have_a_unit(x):
            known.add(id(x))
            found[f"{module.__name__}.{name}"] = x
    return found


def _may_have_a_unit(x: Any) -> bool:
    if isinstance(x, (float, complex)):
        return not is_count(complex(x) if isinstance(x, complex) else float(x))
    if isinstance(x, Tracer) or not isinstance(x, (jax.Array, np.ndarray, np.generic)):
        return False
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return False
    return x.size > 1 or x.size == 1 and not is_count(np.asarray(x).item())


def _names(function: Any) -> Iterator[tuple[types.ModuleType, str]]:
    """The modules' attributes that a function names, and those that functions it names do."""
    seen: set[int] = set()
    todo = [function]
    while todo:
        x = todo.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, types.FunctionType):
            home = sys.modules.get(x.__globals__.get("__name__", ""))
            held = [*map(_held, x.__closure__ or ())]
            todo += held
            if home is None or vars(home) is not x.__globals__ or _is_library(home.__name__):
                continue
            owners = [home, *(m for m in held if _is_module(m))]
            names = _named_by(x.__code__)
            for owner, name in ((m, name) for m in owners for name in names if name in vars(m)):
                item = vars(owner)[name]
                if not isinstance(item, types.ModuleType):
                    yield owner, name
                    todo.append(item)
                elif _is_module(item) and item not in owners:
                    owners.append(item)
        elif isinstance(x, type):
            if not _is_library(x.__module__):
                todo += vars(x).values()
        elif isinstance(x, functools.partial):
            todo.append(x.func)
        elif isinstance(x, types.MethodType):
            todo.append(x.__func__)
        elif isinstance(x, (property, staticmethod, classmethod)):
            todo.append(getattr(x, "fget", None) or getattr(x, "__func__", None))
        elif callable(x) and not is_value(x):
            wrapped = getattr(x, "__wrapped__", None) or getattr(x, "fn", None)
            todo += [wrapped, vars(type(x)).get("__call__")]
            if isinstance(x, (jax.custom_jvp, jax.custom_vjp)):
                todo += [getattr(x, name, None) for name in ("fun", "jvp", "fwd", "bwd")]


def _is_module(x: Any) -> bool:
    """Whether `x` is a module whose constants may have units."""
    return isinstance(x, types.ModuleType) and not _is_library(x.__name__)


def _held(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _named_by(code: types.CodeType) -> dict[str, None]:
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _named_by(constant)
    return names


def _is_library(name: str) -> bool:
    return name.partition(".")[0] in _LIBRARIES


def of_unknown_unit(x: Any, unit: InternedUnit) -> Any:
    """A constant with the unit of an unknown."""
    return jtu.tree_map(lambda leaf: bare(jnp.asarray(leaf), unit), x)
