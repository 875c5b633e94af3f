"""Interned units: one object per unit, so that equality is identity and algebra is a lookup.

A quantity's unit is a static part of its tree: JAX compares and hashes it at every jitted call.
pint is asked once for each product, quotient, power and conversion factor.
"""

import math
import threading
import weakref
from fractions import Fraction
from typing import Any

import pint

from sciquax.core import locate_stack

from ._errors import OffsetUnitCalculusError, undefined
from ._registry import get_registry

_lock = threading.RLock()
_tables: weakref.WeakKeyDictionary[Any, dict[Any, "InternedUnit"]] = weakref.WeakKeyDictionary()
_parsed: weakref.WeakKeyDictionary[Any, dict[Any, "InternedUnit"]] = weakref.WeakKeyDictionary()


class InternedUnit:
    """A unit of one registry. Compare with `is`.

    **Attributes**: `pint`, the `pint.Unit`; `dimensionality`, hashable; `plain`, whether it is
    exactly dimensionless; `pure`, whether it is a number up to a factor (radian, percent, km/m);
    `offset`, whether its scale has an offset or is logarithmic.
    """

    __slots__ = (
        "__weakref__",
        "_conversions",
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
        self.registry = registry
        self.container = container
        self.pint = registry.Unit(container)
        self.dimensionality = self.pint.dimensionality
        self.plain = not container
        self.pure = not self.dimensionality
        definitions = [registry._units[name] for name in container if name in registry._units]
        self.logarithmic = any(getattr(d, "is_logarithmic", False) for d in definitions)
        self.offset = self.logarithmic or any(not d.is_multiplicative for d in definitions)
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
        return self is other or self.dimensionality == other.dimensionality

    def conversion(self, target: "InternedUnit") -> tuple[float, float]:
        """`(factor, offset)` such that `x * factor + offset` is in `target`.

        Both units must be compatible and affine.
        """
        found = self._conversions.get(target)
        if found is None:
            check_same_registry(self, target)
            if self.logarithmic or target.logarithmic:
                raise OffsetUnitCalculusError(
                    f"'{self}' to '{target}' is a logarithmic conversion, which is not supported.",
                    self.pint,
                    target.pint,
                )
            convert = self.registry.convert
            if self.offset or target.offset:
                offset = convert(0.0, self.pint, target.pint)
                # Over a long stretch, so that the offset's rounding does not spoil the factor.
                factor = self._span().registry.convert(1.0, self._span().pint, target._span().pint)
            else:
                factor, offset = convert(1.0, self.pint, target.pint), 0.0
            found = self._conversions[target] = (float(factor), float(offset))
        return found

    def _span(self) -> "InternedUnit":
        return difference_unit(self) if self.offset else self

    def __str__(self) -> str:
        if self._text is None:
            self._text = f"{self.pint:~C}" or "dimensionless"
        return self._text

    def __repr__(self) -> str:
        return f"InternedUnit('{self}')"

    def __reduce__(self):
        return _restore, (str(self.pint),)

    def __copy__(self) -> "InternedUnit":
        return self

    def __deepcopy__(self, memo: Any) -> "InternedUnit":
        return self


def _exact(power: Any) -> Fraction:
    """An exponent as pint holds it (1/3 as a float) as the fraction that was meant."""
    return power if isinstance(power, Fraction) else Fraction(power).limit_denominator(10_000)


def _number(power: Fraction) -> int | float:
    return int(power) if power.denominator == 1 else float(power)


def _restore(text: str) -> InternedUnit:
    return as_unit(text)


def intern(registry: Any, container: Any) -> InternedUnit:
    """The one object for a units container of a registry."""
    with _lock:
        table = _tables.setdefault(registry, {})
        found = table.get(container)
        if found is None:
            found = table[container] = InternedUnit(registry, container)
        return found


def as_unit(spec: Any) -> InternedUnit:
    """The unit that `spec` names: a string, a `pint.Unit`, or a unit of ours.

    **Raises** `UndefinedUnitError` with near names; ValueError for a string that is not a unit.
    """
    if type(spec) is InternedUnit:
        return spec
    registry = get_registry()
    if isinstance(spec, str):
        table = _parsed.setdefault(registry, {})
        found = table.get(spec)
        if found is None:
            found = table[spec] = _parse(registry, spec)
        return found
    if isinstance(spec, pint.Unit):
        return from_pint(spec, registry)
    if spec is None:
        return as_unit("")
    text = type(spec).__name__
    raise TypeError(
        f"A unit is a string, a `pint.Unit` or another quantity's `.units`, not {text}."
    )


def _parse(registry: Any, text: str) -> InternedUnit:
    try:
        parsed = registry.parse_units(text)
    except pint.UndefinedUnitError as error:
        raise locate_stack(undefined(error, registry)) from None
    except Exception as error:
        raise ValueError(f"'{text}' is not a unit: {error}") from None
    return intern(registry, _normal(registry, parsed._units))


def from_pint(unit: pint.Unit, registry: Any) -> InternedUnit:
    """Intern a `pint.Unit`. One of another registry is accepted if both define it alike."""
    own = unit._REGISTRY
    if own is registry:
        return intern(registry, _normal(registry, unit._units))
    found = as_unit(str(unit))
    base, our_base = own.get_base_units(unit)[1], registry.get_base_units(found.pint)[1]
    # By `convert`: the factor that `get_base_units` gives is stale after a redefinition.
    theirs, ours = own.convert(1.0, unit, base), registry.convert(1.0, found.pint, our_base)
    if not math.isclose(_float(theirs), _float(ours), rel_tol=1e-12) or str(base) != str(our_base):
        raise ValueError(
            f"'{unit}' is defined differently in its own pint registry and in sciquax's. "
            "Call `sciquax.units.set_registry` with the registry you use."
        )
    return found


def _float(x: Any) -> float:
    return float(x)


def _normal(registry: Any, container: Any) -> Any:
    return registry.UnitsContainer({k: _number(_exact(v)) for k, v in container.items()})


def difference_unit(unit: InternedUnit) -> InternedUnit:
    """The unit of differences on an offset scale: delta_degC for degC."""
    if unit.delta is None:
        items = dict(unit.container.items())
        registry = unit.registry
        renamed = {}
        for name, power in items.items():
            definition = registry._units.get(name)
            multiplicative = definition is None or definition.is_multiplicative
            renamed[name if multiplicative else f"delta_{name}"] = power
        unit.delta = intern(registry, registry.UnitsContainer(renamed))
    return unit.delta


def check_same_registry(lhs: InternedUnit, rhs: InternedUnit) -> None:
    if lhs.registry is not rhs.registry:
        raise locate_stack(
            ValueError(
                f"'{lhs}' and '{rhs}' belong to two pint registries. Make all quantities after "
                "`sciquax.units.set_registry`, or convert through `.to_pint()`."
            )
        )


def _check_multiplicative(*units: InternedUnit) -> None:
    for unit in units:
        if unit.offset:
            raise OffsetUnitCalculusError(
                f"Multiplying, dividing or raising '{unit}' is ambiguous: its scale has an offset.",
                units[0].pint,
                units[-1].pint,
                "Convert to an absolute scale first, `.to('kelvin')`, or use a difference, "
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
