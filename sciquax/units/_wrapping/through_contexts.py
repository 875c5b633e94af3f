"""Conversions through pint's contexts inside a quaxified function, where no unit is known yet.

A primitive waits for the units of the array and of the parameters that are arguments, and stands
for partial derivatives too: conversions through contexts, such as c / wavelength, act by element.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad, batching

from sciquax.core import from_foreign, user_line
from sciquax.core.internal import Tracer

from .._quantity.base import magnitude_of, own_unit, wrap
from .._unit.contexts import Active, active, cannot_convert, combine, keyed
from .._unit.convert import convert
from .._unit.registry import get_registry
from .._unit.unit import InternedUnit, difference_unit
from .unit_primitives import UnitPrimitive


def convert_through(
    x: Any, target: InternedUnit, contexts: tuple[Any, ...], parameters: dict[str, Any]
) -> Any:
    """`x` in another unit by the contexts of the block and these; None if there are none."""
    registry = get_registry()
    parameters = {k: from_foreign(v) for k, v in parameters.items()}
    if combine(active(), registry, contexts, parameters) is None:
        return None
    given = {k: v for k, v in parameters.items() if isinstance(magnitude_of(v), Tracer)}
    known = {k: v for k, v in parameters.items() if k not in given}
    found = combine(active(), registry, contexts, known)
    assert found is not None
    return converted_p.bind(
        x,
        *given.values(),
        target=target,
        contexts=keyed(found),
        named=len(contexts),
        given=tuple(given),
        order=(0,) * (1 + len(given)),
    )


def _converted(operands: Sequence[Any], params: dict[str, Any]) -> Any:
    target, contexts, named = params["target"], params["contexts"], params["named"]
    units = [own_unit(x) for x in operands]

    def function(x: Any, *values: Any) -> Any:
        given = dict(zip(params["given"], map(wrap, values, units[1:]), strict=True))
        return _conversion(units[0], target, contexts.given(named, given))(x)

    for position, order in enumerate(params["order"]):
        for _ in range(order):
            function = _slope(function, position)
    out = function(*map(magnitude_of, operands))
    if not any(params["order"]):
        return wrap(out, target)
    unit = difference_unit(target)
    for own, order in zip(units, params["order"], strict=True):
        unit = unit / difference_unit(own) ** order
    return wrap(out, unit)


def _conversion(unit: InternedUnit, target: InternedUnit, contexts: Active) -> Callable[[Any], Any]:
    if type(unit) is not InternedUnit:
        raise TypeError(
            f"A conversion through a context ({contexts}) starts from several dimensions: `infer` "
            "cannot tell which. Give the argument's unit."
        )
    if unit.compatible(target):
        return lambda x: convert(x, unit, target)
    if contexts.registry is not unit.registry:
        raise cannot_convert(unit, target, contexts).at(user_line())
    return lambda x: contexts.convert(x, unit, target)


def _slope(function: Callable[..., Any], position: int) -> Callable[..., Any]:
    def slope(*operands: Any) -> Any:
        before, x, after = operands[:position], operands[position], operands[position + 1 :]
        along = lambda x: function(*before, x, *after)  # noqa: E731
        return jax.jvp(along, (x,), (jnp.ones_like(x),))[1]

    return slope


def _pushforward(primals: Any, tangents: Any, *, order: tuple[int, ...], **params: Any) -> Any:
    out = converted_p.bind(*primals, order=order, **params)
    found: Any = ad.Zero(jax.typeof(out).to_tangent_aval())
    for i, tangent in enumerate(tangents):
        if type(tangent) is not ad.Zero:
            higher = tuple(n + (i == j) for j, n in enumerate(order))
            part = tangent * converted_p.bind(*primals, order=higher, **params)
            found = part if type(found) is ad.Zero else found + part
    return out, found


def _batch(operands: Sequence[Any], dims: Sequence[Any], **params: Any) -> Any:
    if any(dim is not None for dim in dims[1:]):  # what JAX calls not mapped
        raise TypeError(
            "A context's parameter that `jax.vmap` maps over is not one number: map over "
            "conversions outside of `quaxify`."
        )
    return converted_p.bind(*operands, **params), dims[0]


converted_p = UnitPrimitive("unit_converted", _converted)
ad.primitive_jvps[converted_p] = _pushforward
batching.primitive_batchers[converted_p] = _batch
