"""`jax.numpy`: comparing, interpolating, rounding off, sets, polynomials."""

from typing import Any

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import MODE, aval_of, is_value, quaxify, register_rule, strip
from sciquax.core.internal import Tracer, add_hook

from .._quantity.arithmetic import (
    ANY,
    as_number,
    filled_with,
    mismatch,
    multiplicative,
    unify,
    unit_of,
)
from .._quantity.bare_numbers import check_bare_numbers
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity
from .._quantity.trusted_literals import beside
from .._unit.convert import convert
from .._unit.errors import DimensionalityError
from .._unit.logarithmic import span_unit
from .._unit.unit import InternedUnit, dimensionless
from .signature import call, enrol, rule

NUMPY = "jax.numpy"

# -- thresholds and tables that only one unit makes sense of --------------------------------------
enrol(NUMPY, "hypot", "x1:a, x2:a -> a")
enrol(NUMPY, "interp", "x:a, xp:a, fp:b, left:b, right:b, period:a -> b", affine=True,
      averaged="b")  # fmt: skip
enrol(NUMPY, "clip", "arr:a, min:a, max:a -> a", affine=True)  # in the array's unit
enrol(NUMPY, "searchsorted", "a:a, v:a ->", affine=True)
enrol(NUMPY, "digitize", "x:a, bins:a ->", affine=True)

# -- the parts of a floating-point number ---------------------------------------------------------
enrol(NUMPY, "spacing", "x:a -> a")
enrol(NUMPY, "signbit", "x:a ->")
enrol(NUMPY, "copysign", "x1:a, x2:b -> a")
enrol(NUMPY, "heaviside", "x1:a, x2:1 ->")
enrol(NUMPY, "ldexp", "x1:a, x2:1 -> a")
enrol(NUMPY, "frexp", "x:1 ->")
enrol(NUMPY, "sinc", "x:1 ->")
enrol(NUMPY, "packbits unpackbits", "->")
enrol(NUMPY, "bitwise_count", "->")

# -- means and spreads on scales with an offset ---------------------------------------------------
enrol(NUMPY, "mean nanmean median nanmedian", "a:a -> a", only_affine=True, averaged="a")
enrol(NUMPY, "quantile nanquantile", "a:a, q:1 -> a", affine=True, averaged="a")
enrol(NUMPY, "percentile nanpercentile", "a:a, q:% -> a", affine=True, averaged="a")
enrol(NUMPY, "std nanstd", "a:a, mean:a -> A", only_affine=True)
enrol(NUMPY, "ptp", "a:a -> A", only_affine=True, moved=True)
enrol(NUMPY, "var nanvar", "a:a, mean:a -> A^2", only_affine=True)
enrol(NUMPY, "average", "a:a, weights:b -> a, b", only_affine=True,
      averaged="a")  # fmt: skip
enrol(NUMPY, "diff", "a:a, prepend:a, append:a -> A", only_affine=True, moved=True)
enrol(NUMPY, "cov", "m:a, y:a, fweights:*, aweights:* -> A^2", only_affine=True)


@rule("jax.numpy.corrcoef")
def _corrcoef(x: Any, y: Any = None, *args: Any, **options: Any) -> Any:
    """How two things vary together is a number, whatever they measure."""
    for unit in (own_unit(z) for z in (x, y) if z is not None):
        if unit.level:
            multiplicative("corrcoef", unit)
    return call(
        jnp.corrcoef, *(z if z is None else magnitude_of(z) for z in (x, y)), *args, **options
    )


@rule("jax.numpy.nansum")
def _nansum(a: Any, *args: Any, **kwargs: Any) -> Any:
    """Of no elements the sum is 0 in the unit; all else is left to the primitives."""
    if aval_of(a).size:
        return NotImplemented
    return wrap(call(jnp.nansum, magnitude_of(a), *args, **kwargs), own_unit(a))


# -- what only moves, picks or rounds elements, on scales with an offset --------------------------
enrol(NUMPY, "round around", "a:a -> a", only_affine=True, moved=True)
enrol(NUMPY, "trunc fix", "x:a -> a", only_affine=True, moved=True)
enrol(NUMPY, "partition", "a:a -> a", only_affine=True, moved=True)
enrol(NUMPY, "argpartition", "a:a ->", only_affine=True, moved=True)
enrol(NUMPY, "nanmax nanmin", "a:a, initial:a -> a", only_affine=True, moved=True)

# -- picking and choosing; these work on concrete arrays, too -------------------------------------
enrol(NUMPY, "nonzero flatnonzero argwhere", "a:a ->")
enrol(NUMPY, "insert", "arr:a, obj:*, values:a -> a", affine=True)
enrol(NUMPY, "compress", "condition:*, a:a, fill_value:a -> a", affine=True)
enrol(NUMPY, "extract", "condition:*, arr:a, fill_value:a -> a", affine=True)
enrol(NUMPY, "choose", "choices:a -> a", affine=True)
enrol(NUMPY, "trim_zeros", "filt:a -> a")
enrol(NUMPY, "bincount", "weights:a -> a")
enrol(NUMPY, "unique", "ar:a, fill_value:a -> a, , ,", affine=True)
enrol(NUMPY, "unique_values unique_all unique_counts unique_inverse", "x:a, fill_value:a -> a, , ,",
      affine=True)  # fmt: skip
enrol(NUMPY, "intersect1d setdiff1d setxor1d union1d", "ar1:a, ar2:a, fill_value:a -> a, ,",
      affine=True)  # fmt: skip
enrol(NUMPY, "isin", "element:a, test_elements:a ->", affine=True)

# -- polynomials: the coefficients share one unit, and the argument is a number -------------------
enrol(NUMPY, "polyval", "p:a, x:1 -> a")
enrol(NUMPY, "polyadd polysub", "a1:a, a2:a -> a")
enrol(NUMPY, "polymul", "a1:a, a2:b -> a*b")
enrol(NUMPY, "polydiv", "u:a, v:b -> a/b, a")
enrol(NUMPY, "polyder", "p:a -> a")
enrol(NUMPY, "polyint", "p:a, k:a -> a")
enrol(NUMPY, "roots", "p:a ->")
enrol(NUMPY, "poly", "seq_of_zeros:1 ->")
enrol(NUMPY, "vander", "x:1 ->")


@rule("jax.numpy.polyfit")
def _polyfit(
    x: Any,
    y: Any,
    deg: int,
    rcond: Any = None,
    full: bool = False,
    w: Any = None,
    cov: Any = False,
) -> Any:
    """Coefficients in y's unit, their covariance in its square.

    Residuals are of what is weighed; a covariance not scaled by them knows the weights only.
    """
    unit, weight = (multiplicative("polyfit", own_unit(z)) for z in (y, w))
    number = own_unit(x)
    if not number.require_dimensionless():
        raise DimensionalityError(
            f"`polyfit` takes x as numbers, and got '{number}': its coefficients would have a unit "
            "each.",
            number.pint,
            dimensionless().pint,
            "Divide x by a reference scale first.",
        )
    x = convert(magnitude_of(x), number, dimensionless())
    rest = (rcond, full, None if w is None else magnitude_of(w), cov)
    out = call(jnp.polyfit, x, magnitude_of(y), deg, *rest)
    if full:
        coefficients, residuals, *others = out
        return (wrap(coefficients, unit), wrap(residuals, (unit * weight) ** 2), *others)
    if cov:
        return wrap(out[0], unit), wrap(out[1], weight**-2 if cov == "unscaled" else unit**2)
    return wrap(out, unit)


# -- what stands for nan --------------------------------------------------------------------------


@rule("jax.numpy.nan_to_num")
def _nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """In x's dtype, whatever stands for nan and infinities."""
    given = [y for y in (nan, posinf, neginf) if y is not None]
    (array, *others), unit = unify("nan_to_num", (x, *given))
    dtype = aval_of(x).dtype
    if not jnp.issubdtype(dtype, jnp.inexact):
        return x
    array = array if array.dtype == dtype else quaxify(jax.lax.convert_element_type)(array, dtype)
    rest = (quaxify(jnp.real)(y) for y in others)  # also beside complex numbers
    nan, posinf, neginf = [None if y is None else next(rest) for y in (nan, posinf, neginf)]
    return wrap(call(jnp.nan_to_num, array, copy, nan, posinf, neginf), unit)


# -- closeness ------------------------------------------------------------------------------------


@rule("jax.numpy.isclose")
def _isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """`atol` measures what a and b do. The default 1e-8, which has no unit, counts as zero."""
    (x, y), unit = unify("isclose", (a, b))
    rtol, atol = as_number("isclose", rtol), _tolerance("isclose", atol, unit)
    return call(jnp.isclose, x, y, rtol, atol, equal_nan=equal_nan)


@rule("jax.numpy.allclose")
def _allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    (x, y), unit = unify("allclose", (a, b))
    rtol, atol = as_number("allclose", rtol), _tolerance("allclose", atol, unit)
    return call(jnp.allclose, x, y, rtol, atol, equal_nan=equal_nan)


def _tolerance(name: str, atol: Any, unit: InternedUnit) -> Any:
    unit = span_unit(unit)
    _, atol = beside((wrap(0.0, unit), atol))
    own = unit_of(atol)
    if own is ANY or unit.unitless and own.unitless:
        return magnitude_of(atol)
    if own.unitless and isinstance(atol, float) and atol == 1e-08:
        if unit.offset or not unit.dimensionless:
            return 0.0
    else:
        check_bare_numbers(name, (wrap(0.0, unit), atol), (unit, own))
    if not own.compatible(unit):
        raise mismatch(name, (Quantity(0.0, unit), atol))
    return convert(magnitude_of(atol), own, unit)


# The next float is as far away in any unit: Equinox's substitute for it at zero is `finfo.tiny`.
def _next(function: Any) -> Any:
    def rule(*operands: Any, **statics: Any) -> Any:
        magnitudes, unit = unify(function.__name__, operands)
        return wrap(call(function, *magnitudes, **statics), unit)

    return rule


register_rule(Quantity, eqxi.nextafter, _next(eqxi.nextafter))
register_rule(Quantity, eqxi.prevbefore, _next(eqxi.prevbefore))


# -- differences on scales with an offset ---------------------------------------------------------


@rule("jax.numpy.gradient")
def _gradient(f: Any, *spacings: Any, **options: Any) -> Any:
    """Of degC it is in delta_degC, of dBm in dB. Each axis has a spacing of its own."""
    unit = own_unit(f)
    if not unit.offset or unit.gain:
        return NotImplemented
    differences = wrap(magnitude_of(f), span_unit(unit))
    return quaxify(jnp.gradient)(differences, *spacings, **options)


# -- powers ---------------------------------------------------------------------------------------


@rule("jax.numpy.power", "jax.numpy.pow", "jax.numpy.float_power", direct_only=True)
def _power(x1: Any, x2: Any, /) -> Any:
    """A concrete scalar exponent stands in the program, as a Python number does."""
    exponent = strip(x2)
    if not own_unit(x1).dimensionless and hasattr(exponent, "shape") and exponent.shape == ():
        exponent = as_number("power", exponent, "an exponent that is a number")
        if isinstance(exponent, (jax.Array, np.ndarray, np.generic)) and not isinstance(
            exponent, Tracer
        ):
            return quaxify(lambda base: jnp.power(base, exponent.item()))(x1)
    return NotImplemented


# -- what stands for elements outside -------------------------------------------------------------


@rule("jax.numpy.take", direct_only=True)
def _take(a: Any, indices: Any, *args: Any, fill_value: Any = None, **kwargs: Any) -> Any:
    """The fill value is a number to JAX: a quantity is converted."""
    if not isinstance(strip(fill_value), Quantity):
        return NotImplemented
    pick = lambda x, fill: call(jnp.take, x, indices, *args, fill_value=fill, **kwargs)  # noqa: E731
    return filled_with("take", a, fill_value, pick)


def _filling(original: Any) -> Any:
    """Staged, what stands for elements outside is put in place by `where`, by whose rule it is."""

    def filling(operand: Any, *args: Any, fill_value: Any = None, **kwargs: Any) -> Any:
        if not MODE.staging or not (is_value(fill_value) or isinstance(fill_value, Tracer)):
            return original(operand, *args, fill_value=fill_value, **kwargs)
        outside = original(jnp.zeros(operand.shape, bool), *args, fill_value=True, **kwargs)
        return jnp.where(outside, fill_value, original(operand, *args, **kwargs))

    return filling


add_hook(lax.gather, _filling)
add_hook(jnp.take, _filling)
add_hook(jnp.take_along_axis, _filling)


# -- where ----------------------------------------------------------------------------------------


@rule("jax.numpy.where", direct_only=True)
def _where(condition: Any, x: Any = None, y: Any = None, **options: Any) -> Any:
    """With one argument, the places that are not zero; all else is left to the primitives."""
    if x is not None or y is not None or not isinstance(strip(condition), Quantity):
        return NotImplemented
    multiplicative("where", own_unit(condition))
    options.pop("fill_value", None) if options.get("fill_value", 0) is None else None
    return call(jnp.where, magnitude_of(condition), **options)
