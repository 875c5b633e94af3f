"""Interned units: one object per unit, so that equality is identity and algebra is a lookup.

A quantity's unit is a static part of its tree: JAX compares and hashes it at every jitted call.
pint is asked once for each product, quotient, power and conversion factor.
"""

import math
import weakref
from fractions import Fraction
from typing import Any, NamedTuple

import pint

from sciquax.core import user_line

from .errors import DimensionalityError, MixedRegistriesError, OffsetUnitCalculusError
from .exponents import rational, written
from .registry import PINT, get_registry

_tables: weakref.WeakKeyDictionary[Any, dict[Any, "InternedUnit"]] = weakref.WeakKeyDictionary()


class Logarithm(NamedTuple):
    """How a logarithmic unit measures: `level = factor * log(linear / scale, base)`, as pint's
    definition `scale reference; logbase; logfactor` says. linear is in `reference`.
    """

    reference: "InternedUnit"
    scale: float
    base: float
    factor: float

    @property
    def rate(self) -> float:
        """`level = rate * ln(linear / scale)`."""
        return self.factor / math.log(self.base)


class InternedUnit:
    """A unit of one registry. Compare with `is`.

    **Attributes**: `pint`, the `pint.Unit`; `dimensionality`, hashable; `unitless`, whether it is
    exactly dimensionless; `dimensionless`, whether it is a number up to a factor (radian, percent,
    km/m); `offset`, whether its scale has an offset or is logarithmic; `logarithmic`, whether it
    is.
    """

    __slots__ = (
        "__weakref__",
        "_conversions",
        "_logarithm",
        "_powers",
        "_products",
        "_quotients",
        "_text",
        "container",
        "delta",
        "dimensionality",
        "logarithmic",
        "measure",
        "offset",
        "pint",
        "unitless",
        "dimensionless",
        "registry",
    )

    def __init__(self, registry: Any, container: Any):
        self.registry: Any = registry
        self.container: Any = container
        self.pint: Any = registry.Unit(container)
        self.dimensionality: Any = self.pint.dimensionality
        self.unitless: bool = not container
        self.dimensionless: bool = not self.dimensionality
        definitions = [registry._units[name] for name in container if name in registry._units]
        logarithmic = any(getattr(d, "is_logarithmic", False) for d in definitions)
        self.logarithmic: bool = logarithmic
        self.offset: bool = logarithmic or any(not d.is_multiplicative for d in definitions)
        self.measure: str | None = None  # see `_quantity/bare_numbers.py`
        self._logarithm: Logarithm | None = None
        self.delta: InternedUnit | None = None
        self._products: dict[InternedUnit, InternedUnit] = {}
        self._quotients: dict[InternedUnit, InternedUnit] = {}
        self._powers: dict[Any, InternedUnit] = {}
        self._conversions: dict[InternedUnit, tuple[float, float]] = {}
        self._text: str | None = None

    def __mul__(self, other: "InternedUnit") -> "InternedUnit":
        found = self._products.get(other)
        if found is None:
            check_same_registry(self, other)
            _check_multiplicative(self, other)
            found = self._products[other] = intern(self.registry, self.container * other.container)
        return found

    def __truediv__(self, other: "InternedUnit") -> "InternedUnit":
        found = self._quotients.get(other)
        if found is None:
            check_same_registry(self, other)
            _check_multiplicative(self, other)
            found = self._quotients[other] = intern(self.registry, self.container / other.container)
        return found

    def __pow__(self, exponent: Any) -> "InternedUnit":
        found = self._powers.get(exponent)
        if found is None:
            _check_multiplicative(self)
            items = {
                name: rational(power) * rational(exponent) for name, power in self.container.items()
            }
            found = self._powers[exponent] = intern(
                self.registry,
                self.registry.UnitsContainer({k: _number(v) for k, v in items.items() if v}),
            )
        return found

    def compatible(self, other: "InternedUnit") -> bool:
        """Whether both measure the same thing."""
        if type(other) is not InternedUnit:
            return other.compatible(self)
        if self is other or other in self._conversions:
            return True
        return self.dimensionality == other.dimensionality

    def require_dimensionless(self) -> bool:
        """Whether this is a number up to a factor, where it has to be."""
        return self.dimensionless

    def conversion(self, target: "InternedUnit") -> tuple[float, float]:
        """`(factor, offset)` such that `x * factor + offset` is in `target`.

        Both units must be compatible. **Raises** `OffsetUnitCalculusError` where one of them is
        logarithmic and the other is not; `convert` of `_quantity/arithmetic.py` knows how.
        """
        found = self._conversions.get(target)
        if found is None:
            if type(target) is not InternedUnit:
                return target.conversion(self)
            check_same_registry(self, target)
            with PINT:
                refuse_pint_context(self.registry)
                found = self._conversions[target] = self._conversion(target)
        return found

    def _conversion(self, target: "InternedUnit") -> tuple[float, float]:
        if self.logarithmic and target.logarithmic:
            ours, theirs = self.logarithm(), target.logarithm()
            ratio = ours.scale * ours.reference.conversion(theirs.reference)[0] / theirs.scale
            return theirs.rate / ours.rate, theirs.rate * math.log(ratio)
        if self.logarithmic or target.logarithmic:
            raise OffsetUnitCalculusError(
                f"'{self}' to '{target}' is between a logarithmic scale and a linear one.",
                self.pint,
                target.pint,
            )
        convert = self.registry.convert
        if not self.offset and not target.offset:
            return float(convert(1.0, self.pint, target.pint)), 0.0
        try:
            offset = convert(0.0, self.pint, target.pint)
            # Of a difference, so that the offset's rounding does not spoil the factor.
            factor = convert(1.0, self._span().pint, target._span().pint)
        except pint.DimensionalityError:  # a temperature to a difference, or in a product
            raise DimensionalityError(
                f"Cannot convert from '{self}' to '{target}': one is a scale with an offset, the "
                "other a difference or a product.",
                self.pint,
                target.pint,
            ) from None
        return float(factor), float(offset)

    def logarithm(self) -> Logarithm:
        """How this logarithmic unit measures.

        **Raises** `DimensionalityError` for a logarithmic unit in a product, such as dBm/Hz.
        """
        if self._logarithm is None:
            if not self.single:
                raise _logarithm_in_product(str(self))
            (name,) = self.container
            definition = self.registry._units[name]
            converter = definition.converter
            reference = intern(self.registry, _normal(self.registry, definition.reference))
            self._logarithm = Logarithm(
                reference, float(converter.scale), float(converter.logbase), converter.logfactor
            )
        return self._logarithm

    @property
    def single(self) -> bool:
        """Whether this is one name to the power one: km or percent, not km/m."""
        return list(self.container.values()) == [1]

    @property
    def gain(self) -> bool:
        """Whether this is logarithmic and of ratios: decibels, which are numbers of a kind."""
        if not (self.logarithmic and self.single):
            return False
        return self.logarithm().reference.unitless

    @property
    def descends(self) -> bool:
        """Whether larger numbers are of less, as magnitudes of stars are."""
        return self.logarithmic and self.single and self.logarithm().rate < 0

    @property
    def level(self) -> bool:
        """Whether this is logarithmic and of something with a unit: dBm."""
        return self.logarithmic and not self.gain

    def _span(self) -> "InternedUnit":
        return difference_unit(self) if self.offset else self

    def __str__(self) -> str:
        if self._text is None:
            self._text = f"{self.pint:~C}" or "dimensionless"
        return self._text

    def __repr__(self) -> str:
        return f"InternedUnit('{self}')"

    def __copy__(self) -> "InternedUnit":
        return self

    def __deepcopy__(self, memo: Any) -> "InternedUnit":
        return self


def _number(power: Fraction) -> int | float:
    return int(power) if power.denominator == 1 else float(power)


def intern(registry: Any, container: Any) -> InternedUnit:
    """The one object for a units container of a registry."""
    with PINT:
        table = _tables.setdefault(registry, {})
        found = table.get(container)
        if found is None:
            found = table[container] = InternedUnit(registry, container)
        return found


def _logarithm_in_product(text: str) -> DimensionalityError:
    return DimensionalityError(
        f"'{text}' has a logarithmic unit in a product, which has no meaning.",
        remedy="Convert to a linear unit first, then divide or multiply.",
    )


def _normal(registry: Any, container: Any) -> Any:
    return registry.UnitsContainer({k: _number(written(v)) for k, v in container.items()})


def difference_unit(unit: InternedUnit) -> InternedUnit:
    """The unit of differences on an offset scale: delta_degC for degC.

    A difference of gains is a gain. **Raises** `OffsetUnitCalculusError` for other logarithmic
    units, whose differences are ratios.
    """
    if unit.delta is None:
        if unit.gain:
            unit.delta = unit
            return unit
        if unit.logarithmic:
            raise OffsetUnitCalculusError(
                f"A difference in '{unit}' has no unit of its own: its scale is logarithmic.",
                unit.pint,
                unit.pint,
                "Convert to a linear unit first.",
            )
        items = dict(unit.container.items())
        registry = unit.registry
        renamed = {}
        for name, power in items.items():
            definition = registry._units.get(name)
            multiplicative = definition is None or definition.is_multiplicative
            renamed[name if multiplicative else f"delta_{name}"] = power
        unit.delta = intern(registry, registry.UnitsContainer(renamed))
    return unit.delta


def base_names(registry: Any) -> dict[str, str]:
    """For each base dimension the unit that the registry defines it by: `gram` for `[mass]`."""
    return {
        dimension: name
        for name, definition in registry._units.items()
        if getattr(definition, "is_base", False)
        for dimension in definition.reference
    }


def check_same_registry(lhs: InternedUnit, rhs: InternedUnit) -> None:
    """**Raises** `MixedRegistriesError`, as pint's ValueError, for units of two registries."""
    if lhs.registry is not rhs.registry:
        raise MixedRegistriesError(str(lhs), str(rhs)).at(user_line())


def refuse_pint_context(registry: Any) -> None:
    """**Raises** RuntimeError within `registry.context(...)`: what it changes would be kept."""
    if registry._active_ctx:
        raise RuntimeError(
            "A context is active on the pint registry itself, which compiled functions cannot "
            "see. Use `with sciquax.units.context(...)` or `.to(unit, context)` instead."
        )


def _check_multiplicative(*units: InternedUnit) -> None:
    for unit in units:
        if unit.offset:
            raise OffsetUnitCalculusError(
                f"Multiplying, dividing or raising '{unit}' is ambiguous: its scale has an offset.",
                units[0].pint,
                units[-1].pint,
                "Convert to a linear unit first, such as `.to('mW')`."
                if unit.logarithmic
                else "Convert to an absolute scale first, `.to('kelvin')`, or use a difference, "
                "'delta_degC'.",
            )


def dimensionless() -> InternedUnit:
    registry = get_registry()
    return intern(registry, registry.UnitsContainer())
