"""Making quantities from text and arrays, and converting them to other units."""

import contextlib
import re
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import pint

from sciquax.core import LocatedError, from_foreign, user_line

from .._unit.contexts import active, cannot_convert, combine, context
from .._unit.convert import convert
from .._unit.errors import DimensionalityError
from .._unit.parsing import as_unit, base_unit, from_pint, read
from .._unit.registry import PINT, get_registry
from .._unit.spelling import no_unit
from .._unit.unit import InternedUnit, refuse_pint_context
from .annotations import dimension_of
from .base import QuantityBase, bare


def _parse(text: str) -> Any:
    with PINT:
        return read(text, get_registry(), _by_pint)


def _by_pint(registry: Any, text: str) -> Any:
    try:
        return from_pint_quantity(registry.Quantity(text))
    except (pint.UndefinedUnitError, LocatedError):
        raise
    except pint.OffsetUnitCalculusError as error:  # pint before 0.26 multiplies, also in "20 degC"
        if (found := _NUMBER_AND_UNIT.fullmatch(text)) is None:
            raise no_unit(text, error) from None
        number = int(found[1]) if found[1].lstrip("+-").isdigit() else float(found[1])
        return from_pint_quantity(registry.Quantity(number, found[2]))
    except Exception as error:  # pint has no error of its own for most that is no quantity
        raise no_unit(text, error) from None


def from_pint_quantity(value: Any) -> Any:
    """The quantity that a `pint.Quantity` is."""
    return bare(_as_array(value.magnitude), from_pint(value.units, get_registry()))


_NUMBER_AND_UNIT = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\W\d]\w*)\s*")


def _as_array(value: Any) -> Any:
    if isinstance(value, jax.Array):
        return value
    return jnp.asarray(value)


_NO_CONTEXT = contextlib.nullcontext()


C = TypeVar("C", bound="Conversions")


class Conversions(QuantityBase):
    """To other units: a quantity's methods `to`, `m_as`, `to_base_units` and their like."""

    def check(self, dimension: Any) -> bool:
        """Whether this has a dimension, `"[length]/[time]"` or that of a unit."""
        return bool(self._unit.dimensionality == dimension_of(dimension, self._unit.registry))

    def is_compatible_with(self, other: Any, *contexts: Any, **parameters: Any) -> bool:
        """Whether this can be converted to `other`: a unit, a unit's name or a quantity.

        **Arguments**: `other`, and contexts with their parameters as for `to`.
        """
        target = self._target(other)
        if self._unit.compatible(target):
            return True
        found = combine(active(), self._unit.registry, contexts, parameters)
        if found is None:
            return False
        try:
            jax.eval_shape(
                lambda x: found.convert(x, self._unit, target),
                jax.ShapeDtypeStruct((), jnp.result_type(float)),
            )
        except DimensionalityError:
            return False
        return True

    def _target(self, unit: Any) -> InternedUnit:
        """The unit that a quantity, a `pint.Unit` or a string, read in our registry, names."""
        unit = from_foreign(unit)
        if isinstance(unit, QuantityBase):
            return unit._unit
        return as_unit(unit, self._unit.registry)

    def _converted(
        self,
        target: InternedUnit,
        contexts: tuple[Any, ...] = (),
        parameters: dict[str, Any] | None = None,
    ) -> Any:
        unit = self._unit
        if unit.compatible(target):
            # A context may redefine units, so it matters for one dimension too.
            block = context(*contexts, **(parameters or {})) if contexts else _NO_CONTEXT
            try:
                with block:
                    return bare(convert(self.magnitude, unit, target), target)
            except LocatedError as error:
                raise (error.at(user_line()) if error.location is None else error) from None
        found = combine(active(), unit.registry, contexts, parameters or {})
        if found is None:
            refuse_pint_context(unit.registry)
            raise cannot_convert(unit, target, None).at(user_line())
        return bare(found.convert(self.magnitude, unit, target), target)

    def to(self: C, unit: Any, *contexts: Any, **parameters: Any) -> C:
        """The same quantity in another unit. Integers become floating point.

        **Arguments**

        - `unit`: a unit of the same dimension; or of another one that the contexts lead to.
        - `contexts`: names of pint contexts, or `pint.Context` objects; `parameters` are theirs.

        **Raises** `DimensionalityError` for a unit of another dimension; OverflowError where the
        factor is beyond what the dtype can hold.

        ```python
        >>> from sciquax.units import Quantity
        >>> print(f"{Quantity(2.0, 'eV').to('nm', 'spectroscopy'):.1f}")
        619.9 nanometer

        ```
        """
        return self._converted(self._target(unit), contexts, parameters)

    def m_as(self, unit: Any, *contexts: Any, **parameters: Any) -> Any:
        """The magnitude in another unit: a plain array. Arguments as for `to`."""
        return self.to(unit, *contexts, **parameters).magnitude

    def to_base_units(self: C, system: str | None = None) -> C:
        """In the base units of a unit system.

        **Arguments**: `system`, a name such as "SI", "mks", "cgs", "imperial", "US", "Planck" or
        "atomic"; by default the registry's own (`registry.default_system`, SI).

        **Raises** ValueError for a system that the registry does not have.
        """
        return self._converted(base_unit(self._unit, system))

    def to_root_units(self: C) -> C:
        """In the units that the registry is defined in, whatever its default system."""
        registry = self._unit.registry
        with PINT:
            root = registry.get_root_units(self._unit.pint, check_nonmult=False)[1]
        return self._converted(from_pint(root, registry))

    def to_reduced_units(self: C) -> C:
        """With every dimension in one unit: km/m is a number, and km*m becomes km**2."""
        return self._like_pint(lambda q: q.to_reduced_units())

    def to_preferred(self: C, preferred_units: Any = None) -> C:
        """In the simplest product of preferred units, found by pint (which needs SciPy for it).

        **Arguments**: `preferred_units`, a sequence of units; by default the registry's.
        """
        units = None if preferred_units is None else [self._target(u).pint for u in preferred_units]
        return self._like_pint(lambda q: q.to_preferred(units))

    def _like_pint(self: C, change: Any) -> C:
        """Converted to the unit that pint chooses for one of this unit."""
        registry = self._unit.registry
        with PINT:
            chosen = change(registry.Quantity(1.0, self._unit.pint)).units
        return self._converted(from_pint(chosen, registry))

    def to_compact(self: C, unit: Any = None) -> C:
        """With the prefix that makes the largest magnitude readable. Reads the array's contents.

        **Raises** JAX's `ConcretizationTypeError` under `jit`, where there are none.
        """
        q = self if unit is None else self.to(unit)
        # By its shortest decimal: float32's 1e-6 is a little less, and would come as 1000 nm.
        largest = float(str(np.max(np.abs(np.asarray(q.magnitude)), initial=0)))
        registry = q._unit.registry
        with PINT:
            compact = registry.Quantity(largest, q._unit.pint).to_compact()
        return q._converted(from_pint(compact.units, registry))

    def to_pint(self) -> Any:
        """A `pint.Quantity` of the same registry, its magnitude a NumPy array or number."""
        magnitude = np.asarray(self.magnitude)
        registry = self._unit.registry
        return registry.Quantity(magnitude[()] if magnitude.ndim == 0 else magnitude, self.units)
