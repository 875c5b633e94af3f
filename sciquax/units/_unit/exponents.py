"""Exponents of units: exact rationals, of floats too."""

from fractions import Fraction
from typing import Any

import numpy as np

_SIMPLE, _USUAL = 64, 10_000  # denominators


def written(number: Any) -> Fraction:
    """The rational that an exponent in a text stands for: pint writes six digits of 1/3."""
    number = number.item() if isinstance(number, np.generic) else number
    simple = Fraction(number).limit_denominator(_SIMPLE)
    if simple and abs(simple - Fraction(number)) <= 5e-7 * max(1.0, abs(number)):
        return simple
    return rational(number)


def rational(number: Any) -> Fraction:
    """The rational that a finite number stands for, in the precision of its dtype.

    A simple fraction that the number is to its last digit, which rounding may have moved (1/3, and
    1/3 - 1); or one that rounds to the number; or what the number's shortest decimals say.
    """
    if isinstance(number, (int, Fraction)):
        return Fraction(number)
    x = np.asarray(number)
    if x.dtype.kind in "iub":
        return Fraction(int(x))
    if x.dtype.kind != "f":  # bfloat16 and its like
        x = x.astype(np.float32)
    exact = Fraction(float(x))
    digit = float(np.finfo(x.dtype).eps) * max(1.0, abs(float(x)))
    simple = exact.limit_denominator(_SIMPLE)
    if abs(simple - exact) <= digit and (simple or not exact):
        return simple
    usual = exact.limit_denominator(_USUAL)
    if x.dtype.type(float(usual)) == x[()]:
        return usual
    return Fraction(str(x[()]))
