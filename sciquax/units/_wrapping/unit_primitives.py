"""The primitives that take a unit off and put one on.

They stand in a program that is staged or differentiated before any unit is known. Where values have
arrived they are applied at once.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import ad, batching

from sciquax.core import (
    MODE,
    Facts,
    Scaling,
    Structure,
    UnitPolymorphic,
    bind,
    describe,
    inject,
    is_polymorphic_literal,
    is_value,
    register_facts,
    register_rule,
)
from sciquax.core.internal import Primitive

from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity
from .._quantity.trusted_literals import beside
from .._unit.convert import convert
from .._unit.errors import DimensionalityError
from .._unit.unit import InternedUnit, difference_unit, dimensionless

F = TypeVar("F", bound=Callable[..., Any])


class Role(NamedTuple):
    """The unit required of an argument or a result of a wrapped function. Hashable.

    **Attributes**: the function's and its own name, for errors; whether numbers are refused; the
    unit, times `powers` of the units of arguments referred to; and `defines`, whether it comes in
    any unit, which others refer to.
    """

    function: str
    name: str
    strict: bool
    unit: InternedUnit
    powers: tuple[Any, ...] = ()
    defines: bool = False

    def due(self, references: Sequence[Any]) -> InternedUnit:
        """The unit, by the arguments that it refers to."""
        unit = self.unit
        for x, power in zip(references, self.powers, strict=True):
            unit = unit * own_unit(x) ** power
        return unit


class UnitPrimitive(Primitive):
    """Applied at once, but while a program is staged. What it gives may be a quantity."""

    makes_values = True

    def bind(self, *operands: Any, **params: Any) -> Any:
        if MODE.staging:
            return super().bind(*[inject(x) if is_value(x) else x for x in operands], **params)
        if any(is_value(x) and not isinstance(x, (Quantity, UnitPolymorphic)) for x in operands):
            return bind(self, *operands, **params)
        return self.rule(operands, params)

    def __init__(self, name: str, rule: Callable[[Sequence[Any], dict[str, Any]], Any]):
        super().__init__(name)
        self.rule = rule
        self.def_abstract_eval(lambda x, *_, **__: x.update(weak_type=x.weak_type))
        register_facts(self, Facts(Structure.ELEMENTWISE, Scaling.SPECIAL))
        register_rule(Quantity, self, lambda _, operands, params: rule(operands, params))
        batching.primitive_batchers[self] = self._batch

    def _batch(self, operands: Sequence[Any], dims: Sequence[Any], **params: Any) -> Any:
        return self.bind(*operands, **params), dims[0]


def _is_of_every_unit(x: Any) -> bool:
    if isinstance(x, UnitPolymorphic):
        return True
    return isinstance(x, (int, float, complex, np.generic)) and is_polymorphic_literal(x)


def _unit_taken(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    x, *references = operands
    role: Role = params["role"]
    if role.defines:
        return magnitude_of(x)
    target = role.due(references)
    _, x = beside((wrap(jnp.zeros(()), target), x))
    if isinstance(x, Quantity):
        if not x._unit.compatible(target):
            raise DimensionalityError(
                f"`{role.function}` got `{role.name}` in '{x._unit}', and takes '{target}'.",
                x._unit.pint,
                target.pint,
                f"Give it in a unit that converts to '{target}'.",
            )
        return convert(x.magnitude, x._unit, target)
    if not role.strict or target.unitless or _is_of_every_unit(x) and not target.offset:
        return magnitude_of(x)
    if target.dimensionless:
        return convert(magnitude_of(x), dimensionless(), target)
    raise DimensionalityError(
        f"`{role.function}` got `{role.name}` as plain numbers ({describe(magnitude_of(x))}), and "
        f"takes '{target}'.",
        dimensionless().pint,
        target.pint,
        f"Give it its unit, `Quantity(x, '{target}')`; or wrap the function with `strict=False`, "
        "which takes plain numbers to be in that unit.",
    )


def _unit_given(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    x, *references = operands
    role: Role = params["role"]
    target = role.due(references)
    if not isinstance(x, Quantity):
        x = magnitude_of(x)
        return wrap(x if is_value(x) else jnp.asarray(x), target)
    if not x._unit.compatible(target):
        raise DimensionalityError(
            f"`{role.function}` returned '{x._unit}' for {role.name}, and is said to return "
            f"'{target}'.",
            x._unit.pint,
            target.pint,
            f"Correct `wraps('{target}', ...)`, or leave the unit to the function: `None`.",
        )
    return wrap(convert(x.magnitude, x._unit, target), target)


def _tangent(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A tangent, or a cotangent, of what had its unit taken off or put on: a rate of change."""
    t, x, *references = operands
    role: Role = params["role"]
    if isinstance(x, Quantity) is not params["taken"]:  # nothing happened to the unit
        return t
    unit = difference_unit(own_unit(x) if role.defines else role.due(references))
    found = own_unit(t) / unit if params["taken"] else own_unit(t) * unit
    magnitude = magnitude_of(t)
    if found.dimensionless:
        magnitude, found = convert(magnitude, found, dimensionless()), dimensionless()
    out = wrap(magnitude, found)
    return UnitPolymorphic(out) if isinstance(t, UnitPolymorphic) else out


unit_taken_p = UnitPrimitive("unit_taken", _unit_taken)
unit_given_p = UnitPrimitive("unit_given", _unit_given)
unit_tangent_p = UnitPrimitive("unit_tangent", _tangent)


def _differentiate(primitive: Any, taken: bool) -> None:
    def pushforward(primals: Any, tangents: Any, *, role: Role) -> Any:
        out = primitive.bind(*primals, role=role)
        if type(tangents[0]) is ad.Zero:
            return out, ad.Zero(jax.typeof(out).to_tangent_aval())
        return out, unit_tangent_p.bind(tangents[0], *primals, role=role, taken=taken)

    ad.primitive_jvps[primitive] = pushforward


_differentiate(unit_taken_p, True)
_differentiate(unit_given_p, False)


def _tangent_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    out = unit_tangent_p.bind(*primals, **params)
    if type(tangents[0]) is ad.Zero:
        return out, ad.Zero(jax.typeof(out).to_tangent_aval())
    return out, unit_tangent_p.bind(tangents[0], *primals[1:], **params)


def _tangent_transpose(ct: Any, t: Any, *primals: Any, **params: Any) -> list[Any]:
    pulled = ct if type(ct) is ad.Zero else unit_tangent_p.bind(ct, *primals, **params)
    return [pulled, *[None] * len(primals)]


ad.primitive_jvps[unit_tangent_p] = _tangent_jvp
ad.primitive_transposes[unit_tangent_p] = _tangent_transpose
