"""Rules for whole functions, where a function's meaning is lost in its primitives.

`hypot` compares with thresholds, `isclose` adds 1e-8, `nan_to_num` writes the largest float.
What JAX computes is left to JAX: a rule unifies the units, calls the function on magnitudes, and
labels the result.
"""

from collections.abc import Callable
from typing import Any

import equinox.internal as eqxi
import jax.numpy as jnp

from sciquax.core import is_value, quaxify, register_function

from ._algebra import ANY, convert, magnitude_of, mismatch, own_unit, unify, unit_of, wrap
from ._errors import DimensionalityError
from ._quantity import Quantity
from ._unit import InternedUnit, dimensionless


def call(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """A JAX function on magnitudes, which may be values themselves."""
    return (quaxify(function) if any(map(is_value, args)) else function)(*args, **kwargs)


def _keeps_unit(function: Callable) -> None:
    """The operands in one unit, which the result has too."""

    def rule(*operands: Any, **statics: Any) -> Any:
        magnitudes, unit = unify(function.__name__, operands)
        return wrap(call(function, *magnitudes, **statics), unit)

    rule.__name__ = rule.__qualname__ = f"_{function.__name__}"
    register_function(Quantity, function, rule)


_keeps_unit(jnp.hypot)
# The next float is as far away in any unit: Equinox's substitute for it at zero is `finfo.tiny`.
_keeps_unit(eqxi.nextafter)
_keeps_unit(eqxi.prevbefore)


def _isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """`atol` measures what a and b do. The default 1e-8, which has no unit, counts as zero."""
    (x, y), unit = unify("isclose", (a, b))
    return call(jnp.isclose, x, y, rtol, _tolerance("isclose", atol, unit), equal_nan=equal_nan)


def _allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    (x, y), unit = unify("allclose", (a, b))
    return call(jnp.allclose, x, y, rtol, _tolerance("allclose", atol, unit), equal_nan=equal_nan)


def _tolerance(name: str, atol: Any, unit: InternedUnit) -> Any:
    own = unit_of(atol)
    if own is ANY or unit.plain and own.plain:
        return magnitude_of(atol)
    if own.plain and not unit.pure and isinstance(atol, float) and atol == 1e-08:
        return 0.0
    if not own.compatible(unit):
        raise mismatch(name, (Quantity(0.0, unit), atol))
    return convert(magnitude_of(atol), own, unit)


register_function(Quantity, jnp.isclose, _isclose)
register_function(Quantity, jnp.allclose, _allclose)


def _nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """Replacements are in x's unit; without them infinities become the largest float."""
    given = [v for v in (nan, posinf, neginf) if v is not None]
    magnitudes, unit = unify("nan_to_num", (x, *given))
    replacements = iter(magnitudes[1:])
    nan, posinf, neginf = (None if v is None else next(replacements) for v in (nan, posinf, neginf))
    return wrap(call(jnp.nan_to_num, magnitudes[0], nan=nan, posinf=posinf, neginf=neginf), unit)


register_function(Quantity, jnp.nan_to_num, _nan_to_num)


def _interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """x, xp and period measure one thing; fp, left and right another, which the result has."""
    points = [v for v in (x, xp, period) if v is not None]
    values = [v for v in (fp, left, right) if v is not None and not isinstance(v, str)]
    points, _ = unify("interp", points)
    values, unit = unify("interp", values)
    rest = iter(values[1:])
    left, right = (v if v is None or isinstance(v, str) else next(rest) for v in (left, right))
    period = points[2] if period is not None else None
    out = call(jnp.interp, points[0], points[1], values[0], left=left, right=right, period=period)
    return wrap(out, unit)


register_function(Quantity, jnp.interp, _interp)


def _searchsorted(
    a: Any, v: Any, side: str = "left", sorter: Any = None, *, method: str = "scan"
) -> Any:
    """Both measure one thing; places are plain."""
    (x, y), _ = unify("searchsorted", (a, v))
    return call(jnp.searchsorted, x, y, side=side, sorter=sorter, method=method)


register_function(Quantity, jnp.searchsorted, _searchsorted)


def _det(a: Any) -> Any:
    return wrap(call(jnp.linalg.det, magnitude_of(a)), own_unit(a) ** a.shape[-1])


def _slogdet(a: Any, *, method: str | None = None) -> Any:
    """The logarithm of a dimensional determinant is not a number."""
    unit = own_unit(a)
    if not unit.pure:
        raise DimensionalityError(
            f"`slogdet` takes a matrix of numbers, and got one in '{unit}'.",
            unit.pint,
            dimensionless().pint,
            "Divide by a reference scale first, or use `det`.",
        )
    magnitude = convert(magnitude_of(a), unit, dimensionless())
    return call(jnp.linalg.slogdet, magnitude, method=method)


register_function(Quantity, jnp.linalg.det, _det)
register_function(Quantity, jnp.linalg.slogdet, _slogdet)


def _solve(a: Any, b: Any) -> Any:
    """The solution has b's unit over a's."""
    denominator = own_unit(a)
    unit = own_unit(b) if denominator.plain else own_unit(b) / denominator
    return wrap(call(jnp.linalg.solve, magnitude_of(a), magnitude_of(b)), unit)


def _inv(a: Any) -> Any:
    return wrap(call(jnp.linalg.inv, magnitude_of(a)), own_unit(a) ** -1)


register_function(Quantity, jnp.linalg.solve, _solve)
register_function(Quantity, jnp.linalg.inv, _inv)
