"""Functions that make arrays: like another one, or from ends and steps."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sciquax.core import UnitPolymorphic, aval_of, stated_number, vanishes

from .._quantity.arithmetic import ANY, mismatch, multiplicative, unify, unit_of
from .._quantity.bare_numbers import check_bare_numbers
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.trusted_literals import beside, is_trusting
from .._unit.convert import changes, convert, convert_all
from .._unit.logarithmic import span_unit
from .._unit.unit import difference_unit, dimensionless
from .signature import call, enrol, rule

enrol("jax.numpy", "geomspace", "start:a, stop:a -> a")
enrol("jax.numpy", "logspace", "start:1, stop:1, base:1 ->")


@rule("jax.numpy.arange")
def _arange(start: Any, stop: Any = None, step: Any = None, *args: Any, **kwargs: Any) -> Any:
    """In start's unit; the step is a difference."""
    ends = [x for x in (start, stop) if x is not None]
    if not any(own_unit(x).offset for x in ends):
        given = [x for x in (start, stop, step) if x is not None]
        magnitudes, unit = unify("arange", given)
        rest = iter(magnitudes)
        values = [None if x is None else next(rest) for x in (start, stop, step)]
        return wrap(call(jnp.arange, *values, *args, **kwargs), multiplicative("arange", unit))
    magnitudes, unit = unify("arange", ends)
    if step is not None:
        spans = unify("arange", (wrap(jnp.zeros(()), span_unit(unit)), step))[0]
        step = spans[1]
    stop = magnitudes[1] if stop is not None else None
    return wrap(call(jnp.arange, magnitudes[0], stop, step, *args, **kwargs), unit)


@rule("jax.numpy.linspace")
def _linspace(start: Any, stop: Any, *args: Any, **kwargs: Any) -> Any:
    """From start to stop in start's unit; the step is a difference."""
    (x, y), unit = unify("linspace", (start, stop))
    if unit.level:
        multiplicative("linspace", unit)
    out = call(jnp.linspace, x, y, *args, **kwargs)
    if isinstance(out, tuple):
        return wrap(out[0], unit), wrap(out[1], difference_unit(unit))
    return wrap(out, unit)


def _like(name: str, any_unit: bool) -> None:
    """`zeros_like(q)` is in q's unit, or in whatever it meets; `ones_like(q)` is in q's unit.

    Beside a number the one is a number, as in `full_like(q, 1.0)`: of m/km, 1000 of these. Where
    literals are trusted it is the literal 1: a count, a factor, or of whatever unit it meets.
    """

    def like(a: Any, *args: Any, **kwargs: Any) -> Any:
        function: Callable = getattr(jnp, name)
        unit = own_unit(a)
        if not any_unit and is_trusting() and not unit.dimensionless:
            return NotImplemented
        out = call(function, magnitude_of(a), *args, **kwargs)
        if any_unit:
            out = wrap(out, unit)
            return out if unit.offset else UnitPolymorphic(out)
        if unit.dimensionless and not unit.offset:
            out = convert(out, dimensionless(), unit)
        return wrap(out, unit)

    rule(f"jax.numpy.{name}")(like)


_like("zeros_like", True)
_like("empty_like", True)
_like("ones_like", False)


def _is_data(x: Any) -> bool:
    """Whether an array is none that the program states."""
    return isinstance(x, jax.Array) and stated_number(x, vanishes, data=True) is None


@rule("jax.numpy.full_like")
def _full_like(a: Any, fill_value: Any, *args: Any, **kwargs: Any) -> Any:
    """In a's unit, to which the fill value is converted; in the fill value's where a has none.

    Data without a unit are plain as ever: `full_like(t, impact)`. A literal is refused: of what?
    """
    a, fill_value = beside((a, fill_value))
    unit, own = own_unit(a), unit_of(fill_value)
    like = magnitude_of(a)
    if own is ANY:
        out = wrap(call(jnp.full_like, like, magnitude_of(fill_value), *args, **kwargs), unit)
        return UnitPolymorphic(out)
    check_bare_numbers("full_like", (a, fill_value), (unit, own))
    if unit.unitless or own.unitless and not unit.dimensionless and _is_data(fill_value):
        unit = own
    if not own.compatible(unit):
        raise mismatch("full_like", (a, fill_value))
    (_, fill) = convert_all((like, magnitude_of(fill_value)), (None, own), unit)
    dtype = args[0] if args else kwargs.get("dtype")
    if dtype is None and changes(own, unit) and not jnp.issubdtype(like.dtype, jnp.inexact):
        args, kwargs = (
            (),
            {**kwargs, "dtype": aval_of(fill).dtype},
        )  # a fraction of an integer's unit
    return wrap(call(jnp.full_like, like, fill, *args, **kwargs), unit)
