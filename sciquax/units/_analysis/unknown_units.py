"""Units that are not known yet, and the linear system that finds them.

A unit of unknown dimension is a product of unknowns and of dimensions to rational powers, kept as a
sparse vector of exponents: `{x: 2, "[length]": -1}` is x**2 / [length]. That two units are of one
dimension is one linear equation; equations are solved as they come, by exact elimination, so that
the first one that contradicts the others is found at the line that asks for it.

`SymbolicUnit` has the interface of `InternedUnit`, so that quantities, their rules and JAX's
transformations run on it as on any other unit: what is dimensionally right is said once.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from sciquax.core import Location, current_location

from .._unit.exponents import rational
from .._unit.parsing import as_unit, base_unit
from .._unit.unit import InternedUnit, _check_multiplicative, base_names, intern

Exponents = dict[Any, Fraction]
"""Of unknowns (`Variable`) and of pint's base dimensions (strings)."""


class Variable:
    """An unknown dimension, by name."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"unit({self.name})"


class Equation(NamedTuple):
    """A product of powers that has to be a plain number, and the user's line that asks for it.

    `news` is what it says beyond the equations before it.
    """

    exponents: Exponents
    news: Exponents
    location: Location | None


def _plus(lhs: Exponents, rhs: Exponents, times: Fraction) -> Exponents:
    out = dict(lhs)
    for key, power in rhs.items():
        out[key] = out.get(key, Fraction(0)) + times * power
    return {key: power for key, power in out.items() if power}


class System:
    """Unknowns and the equations between them, solved as far as they go.

    **Attributes**: `variables`, in order; `solution`, which gives some of them by the others (the
    free ones) and by dimensions; `equations` in the order they came; `contradiction`, the one that
    cannot be satisfied.
    """

    def __init__(self, registry: Any):
        self.registry = registry
        self.variables: list[Variable] = []
        self.solution: dict[Variable, Exponents] = {}
        self.equations: list[Equation] = []
        self.contradiction: Equation | None = None
        self._units: dict[Any, SymbolicUnit] = {}
        self._base = base_names(registry)

    def unknown(self, name: str) -> "InternedUnit":
        """The unit of a new unknown."""
        variable = Variable(name)
        self.variables.append(variable)
        return self.unit({variable: Fraction(1)})

    def unit(self, exponents: Exponents) -> InternedUnit:
        """The unit of a product of powers: a real one where no unknown is left."""
        exponents = self.reduce(exponents)
        if not any(type(key) is Variable for key in exponents):
            return self.real_unit(exponents)
        key = frozenset(exponents.items())
        if key not in self._units:
            self._units[key] = SymbolicUnit(self, exponents)
        return self._units[key]

    def real_unit(self, exponents: Exponents) -> InternedUnit:
        """The base unit of a product of dimensions; unknowns are left out."""
        unit = as_unit("", self.registry)
        for key, power in exponents.items():
            if type(key) is not Variable:
                base = intern(self.registry, self.registry.UnitsContainer({self._base[key]: 1}))
                unit = unit * base**power
        return base_unit(unit)

    def reduce(self, exponents: Exponents) -> Exponents:
        """The same product without the unknowns that have been found."""
        out: Exponents = {}
        for key, power in exponents.items():
            known = self.solution.get(key) if type(key) is Variable else None
            out = _plus(out, {key: Fraction(1)} if known is None else known, power)
        return out

    def require(self, exponents: Exponents) -> bool:
        """Add the equation that a product of powers is a number. False if it contradicts others."""
        reduced = self.reduce(exponents)
        if not reduced:
            return True
        equation = Equation(exponents, reduced, current_location())
        unknown = [v for v in self.variables if v in reduced]
        if not unknown:
            self.contradiction = equation
            return False
        self.equations.append(equation)
        pivot = unknown[-1]  # so that the first unknowns are those that stay free
        value = _plus({}, {k: p for k, p in reduced.items() if k is not pivot}, -1 / reduced[pivot])
        self.solution = {
            v: _plus({k: p for k, p in known.items() if k is not pivot}, value, known[pivot])
            if pivot in known
            else known
            for v, known in self.solution.items()
        }
        self.solution[pivot] = value
        return True

    def why(self, exponents: Exponents) -> list[Equation]:
        """The equations that have to do with a product, directly or through other unknowns."""
        concerned = {k for k in exponents if type(k) is Variable}
        found: list[Equation] = []
        grown = True
        while grown:
            grown = False
            for equation in self.equations:
                if equation not in found and concerned & equation.exponents.keys():
                    found.append(equation)
                    concerned |= {k for k in equation.exponents if type(k) is Variable}
                    grown = True
        return sorted(found, key=self.equations.index)

    def text(self, exponents: Exponents) -> str:
        """`unit(x)**2*m/s`."""
        return self._product(self.reduce(exponents))

    def equation(self, exponents: Exponents) -> str:
        """`unit(x)**2 = m/s`: the unknowns of an equation, and the rest."""
        unknown = {k: p for k, p in exponents.items() if type(k) is Variable}
        rest = {k: -p for k, p in exponents.items() if type(k) is not Variable}
        if all(p < 0 for p in unknown.values()):
            unknown, rest = ({k: -p for k, p in d.items()} for d in (unknown, rest))
        return f"{self._product(unknown)} = {self._product(rest)}"

    def _product(self, exponents: Exponents) -> str:
        parts = [
            f"{key!r}" if power == 1 else f"{key!r}**{_power(power)}"
            for key, power in exponents.items()
            if type(key) is Variable
        ]
        real = self.real_unit(exponents)
        if not real.unitless:
            parts.append(str(real))
        return "*".join(parts) or "dimensionless"


def _power(power: Fraction) -> str:
    return str(power) if power.denominator == 1 else f"({power})"


class SymbolicUnit(InternedUnit):
    """A unit with unknowns in it. Asking whether it is compatible with another one makes it so."""

    __slots__ = ("_exponents", "system")

    def __init__(self, system: System, exponents: Exponents):
        self.system = system
        self._exponents = exponents
        self.registry = system.registry
        self.container: Any = {}
        self.offset = self.logarithmic = False
        self.delta = self

    # What is known of it changes while equations come in, so these are asked and not kept.

    @property
    def unitless(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return not self.system.reduce(self._exponents)

    dimensionless = unitless  # pyright: ignore[reportAssignmentType]

    @property
    def pint(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.system.real_unit(self.system.reduce(self._exponents)).pint

    @property
    def dimensionality(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.pint.dimensionality

    def __mul__(self, other: InternedUnit) -> InternedUnit:
        return self._combined(other, lambda a, b: _plus(a, b, Fraction(1)))

    __rmul__ = __mul__

    def __truediv__(self, other: InternedUnit) -> InternedUnit:
        return self._combined(other, lambda a, b: _plus(a, b, Fraction(-1)))

    def __rtruediv__(self, other: InternedUnit) -> InternedUnit:
        return self._combined(other, lambda a, b: _plus(b, a, Fraction(-1)))

    def __pow__(self, exponent: Any) -> InternedUnit:
        return self.system.unit(_plus({}, self._exponents, Fraction(exponent)))

    def _combined(self, other: InternedUnit, how: Callable) -> InternedUnit:
        _check_multiplicative(other)
        return self.system.unit(how(self._exponents, exponents_of(other)))

    def compatible(self, other: InternedUnit) -> bool:
        return self.system.require(_plus(self._exponents, exponents_of(other), Fraction(-1)))

    def require_dimensionless(self) -> bool:
        return self.system.require(self._exponents)

    def conversion(self, target: InternedUnit) -> tuple[float, float]:
        """Of unknown units only the dimension is found; numbers are not looked at."""
        self.compatible(target)
        return 1.0, 0.0

    def __str__(self) -> str:
        return self.system.text(self._exponents)

    def __repr__(self) -> str:
        return f"SymbolicUnit('{self}')"

    def __reduce__(self):
        raise TypeError("A unit that is not known yet cannot be stored.")


def exponents_of(unit: InternedUnit) -> Exponents:
    """A unit's dimension as a vector."""
    if isinstance(unit, SymbolicUnit):
        return unit._exponents
    return {key: rational(power) for key, power in unit.dimensionality.items()}
