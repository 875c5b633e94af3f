"""Interned units: one object per unit, so that equality is identity and algebra is a lookup.

A quantity's unit is a static part of its tree: JAX compares and hashes it at every jitted call.
pint is asked once for each product, quotient, power and conversion factor.
"""

import copyreg
import math
import weakref
from fractions import Fraction
from typing import Any, NamedTuple

import pint

from sciquax.core import locate_stack

from ._errors import (
    DimensionalityError,
    MixedRegistriesError,
    OffsetUnitCalculusError,
    undefined,
)
from ._registry import PINT, get_registry

_tables: weakref.WeakKeyDictionary[Any, dict[Any, "InternedUnit"]] = weakref.WeakKeyDictionary()
_parsed: weakref.WeakKeyDictionary[Any, dict[Any, "InternedUnit"]] = weakref.WeakKeyDictionary()


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

    **Attributes**: `pint`, the `pint.Unit`; `dimensionality`, hashable; `plain`, whether it is
    exactly dimensionless; `pure`, whether it is a number up to a factor (radian, percent, km/m);
    `offset`, whether its scale has an offset or is logarithmic; `logarithmic`, whether it is.
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
        "offset",
        "pint",
        "plain",
        "pure",
        "registry",
    )

    def __init__(self, registry: Any, container: Any):
        self.registry: Any = registry
        self.container: Any = container
        self.pint: Any = registry.Unit(container)
        self.dimensionality: Any = self.pint.dimensionality
        self.plain: bool = not container
        self.pure: bool = not self.dimensionality
        definitions = [registry._units[name] for name in container if name in registry._units]
        logarithmic = any(getattr(d, "is_logarithmic", False) for d in definitions)
        self.logarithmic: bool = logarithmic
        self.offset: bool = logarithmic or any(not d.is_multiplicative for d in definitions)
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
                name: _exact(power) * Fraction(exponent) for name, power in self.container.items()
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
        return self is other or self.dimensionality == other.dimensionality

    def must_be_pure(self) -> bool:
        """Whether this is a number up to a factor, where it has to be."""
        return self.pure

    def conversion(self, target: "InternedUnit") -> tuple[float, float]:
        """`(factor, offset)` such that `x * factor + offset` is in `target`.

        Both units must be compatible. **Raises** `OffsetUnitCalculusError` where one of them is
        logarithmic and the other is not; `convert` of `_algebra.py` knows how.
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
            if list(self.container.values()) != [1]:
                raise _logarithm_in_product(str(self))
            (name,) = self.container
            definition = self.registry._units[name]
            converter = definition.converter
            reference = intern(self.registry, _normal(self.registry, definition.reference))
            self._logarithm = Logarithm(
                reference, float(converter.scale), float(converter.logbase), converter.logfactor
            )
        return self._logarithm

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


def _size(unit: InternedUnit) -> tuple[str, float]:
    """A unit in root units, and how large it is there: what tells definitions apart."""
    registry = unit.registry
    with PINT:
        root = registry.get_root_units(unit.pint, check_nonmult=False)[1]
        span = unit if not unit.offset else difference_unit(unit) if not unit.logarithmic else None
        factor = 1.0 if span is None else float(registry.convert(1.0, span.pint, root))
    return str(root), factor


def _restore(text: str, root: str, factor: float) -> InternedUnit:
    """A unit that was pickled, perhaps by a program with other definitions.

    **Raises** ValueError where it is defined otherwise here.
    """
    unit = as_unit(text)
    if (here := _size(unit)) != (root, factor) and not (
        here[0] == root and math.isclose(here[1], factor, rel_tol=1e-12)
    ):
        raise ValueError(
            f"'{text}' was pickled as {factor!r} {root}, and is {here[1]!r} {here[0]} in the unit "
            "registry in use."
        )
    return unit


def _reduced(unit: InternedUnit) -> Any:
    return _restore, (str(unit.pint), *_size(unit))


copyreg.pickle(InternedUnit, _reduced)


def _exact(power: Any) -> Fraction:
    """An exponent as pint holds it (1/3 as a float) as the fraction that was meant."""
    return power if isinstance(power, Fraction) else Fraction(power).limit_denominator(10_000)


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


def as_unit(spec: Any, registry: Any = None) -> InternedUnit:
    """The unit that `spec` names: a string, a `pint.Unit`, or a unit of ours.

    **Arguments**: and the registry that strings are read in, by default the one in use.

    **Raises** `UndefinedUnitError` with near names; ValueError for a string that is not a unit.
    """
    if isinstance(spec, InternedUnit):
        return spec
    registry = get_registry() if registry is None else registry
    if isinstance(spec, str):
        table = _parsed.get(registry)
        found = None if table is None else table.get(spec)
        if found is None:
            with PINT:
                found = _parse(registry, spec)
                _parsed.setdefault(registry, {})[spec] = found
        return found
    if isinstance(spec, pint.Unit):
        return from_pint(spec, registry)
    if spec is None:
        return as_unit("", registry)
    text = type(spec).__name__
    raise TypeError(
        f"A unit is a string, a `pint.Unit` or another quantity's `.units`, not {text}."
    )


def _parse(registry: Any, text: str) -> InternedUnit:
    try:
        parsed = registry.parse_units(text)
        return intern(registry, _normal(registry, parsed._units))
    except pint.UndefinedUnitError as error:
        if _names_logarithm(error, registry):
            raise locate_stack(_logarithm_in_product(text)) from None
        raise locate_stack(undefined(error, registry)) from None
    except Exception as error:
        raise ValueError(f"'{text}' is not a unit: {error}") from None


def _names_logarithm(error: pint.UndefinedUnitError, registry: Any) -> bool:
    """Whether pint looked for the difference unit of a logarithmic one, as it does in a product."""
    names = error.unit_names
    names = [names] if isinstance(names, str) else list(names)
    known = [registry._units.get(name.removeprefix("delta_")) for name in names]
    return any(getattr(d, "is_logarithmic", False) for d in known)


def _logarithm_in_product(text: str) -> DimensionalityError:
    return DimensionalityError(
        f"'{text}' has a logarithmic unit in a product, which has no meaning.",
        remedy="Convert to a linear unit first, then divide or multiply.",
    )


def from_pint(unit: pint.Unit, registry: Any) -> InternedUnit:
    """Intern a `pint.Unit`. One of another registry is accepted if both define it alike."""
    own = unit._REGISTRY
    if own is registry:
        return intern(registry, _normal(registry, unit._units))
    with PINT:
        found = as_unit(str(unit), registry)
        # In root units, which do not depend on either's default system.
        base, our_base = (
            r.get_root_units(u, check_nonmult=False)[1]
            for r, u in ((own, unit), (registry, found.pint))
        )
        # By `convert`: the factor that `get_root_units` gives is stale after a redefinition.
        theirs, ours = own.convert(1.0, unit, base), registry.convert(1.0, found.pint, our_base)
    if not math.isclose(theirs, ours, rel_tol=1e-12) or str(base) != str(our_base):
        raise ValueError(
            f"'{unit}' is defined differently in its own pint registry and in sciquax's. "
            "Call `sciquax.units.set_registry` with the registry you use."
        )
    return found


def _normal(registry: Any, container: Any) -> Any:
    return registry.UnitsContainer({k: _number(_exact(v)) for k, v in container.items()})


def difference_unit(unit: InternedUnit) -> InternedUnit:
    """The unit of differences on an offset scale: delta_degC for degC.

    **Raises** `OffsetUnitCalculusError` for a logarithmic unit, whose differences are ratios.
    """
    if unit.delta is None:
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


def base_unit(unit: InternedUnit, system: str | None = None) -> InternedUnit:
    """The base unit of a unit's dimension, in a unit system.

    **Raises** ValueError for a system that the registry does not have.
    """
    registry = unit.registry
    with PINT:
        if system is not None and system not in registry._systems:
            known = ", ".join(sorted(map(str, registry._systems)))
            raise locate_stack(
                ValueError(f"'{system}' is not a unit system of the registry, which has: {known}.")
            )
        base = registry.get_base_units(unit.pint, check_nonmult=False, system=system)[1]
    return from_pint(base, registry)


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
        raise locate_stack(MixedRegistriesError(str(lhs), str(rhs)))


def refuse_pint_context(registry: Any) -> None:
    """**Raises** RuntimeError within `registry.context(...)`: what it changes would be kept."""
    if registry._active_ctx:
        raise locate_stack(
            RuntimeError(
                "A context is active on the pint registry itself, which compiled functions cannot "
                "see. Use `with sciquax.units.context(...)` or `.to(unit, context)` instead."
            )
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


def unit(spec: Any) -> pint.Unit:
    """A `pint.Unit` of the registry in use, from a string in pint's grammar.

    ```python
    >>> from sciquax.units import unit
    >>> str(unit("m/s"))
    'meter / second'

    ```

    **Raises** `UndefinedUnitError`, with near names, for a unit the registry does not know.
    """
    return as_unit(spec).pint


def dimensionless() -> InternedUnit:
    registry = get_registry()
    return intern(registry, registry.UnitsContainer())
