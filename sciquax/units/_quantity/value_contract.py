"""The interpreter's questions to a quantity: common types, tangents and derivatives."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from sciquax.core import UnitPolymorphic, Unsettled, common_type, convert_to, is_value, strip

from .._unit.convert import changes, convert
from .._unit.errors import DimensionalityError
from .._unit.unit import InternedUnit, difference_unit, dimensionless
from .arithmetic import check_literals, mismatch, trust_hint
from .bare_numbers import check_bare_numbers, measure_of
from .base import QuantityBase, bare, magnitude_of, own_unit, wrap
from .trusted_literals import beside


def _apart(lhs: InternedUnit, rhs: InternedUnit, message: str, remedy: str) -> DimensionalityError:
    """The error for two types that do not join; one of them may be of a bare number."""
    error = DimensionalityError(message, lhs.pint, rhs.pint, remedy)
    if lhs.unitless or rhs.unitless:
        error.in_library = trust_hint(rhs if lhs.unitless else lhs)
    return error


def _floating(example: Any) -> Any:
    """An example of a magnitude that is converted: of integers, the float that JAX makes them."""
    if jnp.issubdtype(example.dtype, jnp.inexact):
        return example
    leaves, tree = jax.tree_util.tree_flatten(example)
    dtype = jnp.result_type(float)
    structs = [
        jax.ShapeDtypeStruct(x.shape, dtype) if x.dtype == example.dtype else x for x in leaves
    ]
    return jax.tree_util.tree_unflatten(tree, structs)


class ValueContract(QuantityBase):
    """The common type of two quantities, and the units of tangents and derivatives."""

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        """In the first one's unit; what the magnitudes are is joined too."""
        joined = common_type(magnitude_of(lhs), magnitude_of(rhs))
        if type(rhs) is UnitPolymorphic or type(lhs) is UnitPolymorphic:
            decides = lhs if type(rhs) is UnitPolymorphic else rhs
            return bare(joined, decides._unit) if isinstance(decides, QuantityBase) else joined
        units = [x._unit if isinstance(x, QuantityBase) else dimensionless() for x in (lhs, rhs)]
        if not units[0].compatible(units[1]):
            raise Unsettled(functools.partial(_apart, *units))
        plain = units[0].unitless or units[1].unitless
        if any(changes(u, dimensionless() if plain else units[0]) for u in units):
            joined = _floating(joined)
        return joined if plain else bare(joined, lhs._unit)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        target = example._unit if isinstance(example, QuantityBase) else dimensionless()
        _, value = beside((example, value))
        if type(value) is UnitPolymorphic:
            inner = strip(value)
            magnitude = inner.magnitude if isinstance(inner, QuantityBase) else inner
        else:
            unit = value._unit if isinstance(value, QuantityBase) else dimensionless()
            if not unit.compatible(target):
                raise mismatch("convert", (value, example))
            magnitude = value.magnitude if isinstance(value, QuantityBase) else value
            magnitude = convert(magnitude, unit, target)
        if isinstance(example, QuantityBase):
            return bare(convert_to(magnitude, example.magnitude), target)
        return convert_to(magnitude, example)

    def is_array(self) -> bool:
        return self._unit.unitless and not is_value(self.magnitude)

    def minds_numbers(self) -> bool:
        unit = self._unit
        return type(unit) is InternedUnit and (unit.offset or bool(measure_of(unit)))

    def check_number(self, number: Any, op: str) -> None:
        if self._unit.offset:
            check_literals(op, [number], self._unit)
        check_bare_numbers(op, (self, number), (self._unit, dimensionless()))

    def as_tangent(self, leaves: Any) -> Any:
        tangent = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(self), leaves)
        return bare(tangent.magnitude, difference_unit(self._unit))

    def as_cotangent(self, leaves: Any) -> Any:
        cotangent = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(self), leaves)
        unit = difference_unit(self._unit) ** -1
        return cotangent.magnitude if unit.unitless else bare(cotangent.magnitude, unit)

    @classmethod
    def derivative(cls, out: Any, arg: Any, leaf: Any) -> Any:
        unit = dimensionless()
        if isinstance(arg, QuantityBase):
            unit = difference_unit(arg._unit) ** -1
        if isinstance(out, QuantityBase):
            unit = difference_unit(out._unit) * unit
        return leaf if unit.unitless else bare(leaf, unit)

    @classmethod
    def align(cls, primals: Sequence[Any], tangents: Sequence[Any], inverse: bool) -> Any:
        """In the units of the primals times one common rate, whose unit the results carry."""
        rate: InternedUnit | None = None
        pairs = []
        for primal, tangent in zip(primals, tangents, strict=True):
            if not isinstance(strip(tangent), QuantityBase) and not hasattr(tangent, "dtype"):
                tangent = tangent if type(tangent) is UnitPolymorphic else jnp.asarray(tangent)
            unit, given = difference_unit(own_unit(primal)), own_unit(tangent)
            pairs.append((unit, given))
            own = given * unit if inverse else given / unit
            if type(tangent) is UnitPolymorphic:  # a literal 0 is in any unit
                continue
            if rate is None or own.compatible(rate):
                rate = own if rate is None else rate
            else:
                raise DimensionalityError(
                    f"A tangent is in '{given}' for a value in '{unit}', while another's ratio to "
                    f"its value is in '{rate}'.",
                    given.pint,
                    unit.pint,
                    "Give all tangents in the units of their values, up to one common factor.",
                )
        common = dimensionless() if rate is None else rate
        aligned = []
        for primal, tangent, (unit, given) in zip(primals, tangents, pairs, strict=True):
            magnitude = magnitude_of(strip(tangent))
            if type(tangent) is not UnitPolymorphic:
                due = common / unit if inverse else common * unit
                magnitude = convert(magnitude, given, due)
            aligned.append(
                bare(magnitude, primal._unit) if isinstance(primal, QuantityBase) else magnitude
            )

        def scale(value: Any) -> Any:
            return wrap(magnitude_of(value), own_unit(value) * common)

        return aligned, scale
