"""Bare numbers beside angles and percentages: which of those that a program states are accepted.

To pint a bare number beside 30 degrees is radians, and beside 30 percent a fraction. That is right
for code written for radians (`angle % (2 * pi)`) and for `1 - albedo`; but `clip(angle, 0, 90)` and
`share > 50` are mistakes. So a number that the program *states* is judged: beside an angle that is
not in radians it is radians if it is 0, infinite or a simple multiple of pi, and beside a
percentage it is a fraction up to 1; any other is refused, and all are beside decibels, where they
would be ratios. What is computed, or is data, counts as in pint. The judgement only ever chooses
between pint's answer and a refusal.
"""

import contextlib
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES, stated_number, strip, user_line
from sciquax.core.internal import TRUST, whole, within_library_of_jax

from .._unit.errors import DimensionalityError
from .._unit.parsing import as_unit
from .._unit.registry import PINT
from .._unit.unit import InternedUnit, dimensionless
from .base import QuantityBase

BARE_ANGLES = jax.make_user_context("stated")
"""What counts as radians beside an angle: part of the key of what JAX and we compile and keep."""


def set_bare_angles(rule: str = "stated") -> None:
    """Say what a bare number is beside an angle in degrees, arcseconds or turns, from now on.

    **Arguments**: `rule`: "stated", the default: a number that the program states is radians if it
    is 0, infinite or a simple multiple of pi, and refused otherwise; above 1 it is refused beside
    percent and ppm, and beside dB always. "radians": any is radians, a fraction or a ratio, as in
    pint.

    Nothing that was compiled under the other rule is used. **Raises** ValueError for another rule.

    ```python
    >>> from sciquax.units import Quantity, set_bare_angles
    >>> set_bare_angles("radians")
    >>> bool(Quantity(90.0, "degree") > 45)
    False
    >>> set_bare_angles()

    ```
    """
    if rule not in ("stated", "radians"):
        raise ValueError(f"Bare angles are by the rule 'stated' or 'radians', not {rule!r}.")
    BARE_ANGLES.set_global(rule)


def measure_of(unit: Any) -> str:
    """What a unit of numbers is made of: "angle" of radians, "power" of an angle of about a degree,
    "fine power" of a smaller one, "fraction" (percent), "gain" (dB), or nothing of these.
    """
    if type(unit) is not InternedUnit or not unit.dimensionless or unit.unitless or unit.offset:
        return "gain" if type(unit) is InternedUnit and unit.gain else ""
    if unit.measure is None:
        unit.measure = _measure(unit)
    return unit.measure


def _measure(unit: InternedUnit) -> str:
    registry = unit.registry
    with PINT:
        factor, root = registry.get_root_units(unit.pint)
        if root == as_unit("radian", registry).pint:
            return "angle"
        if [*root._units] == ["radian"]:
            if factor == 1:  # steradians are numbers
                return ""
            step = float(factor) ** (1 / float(root._units["radian"]))
            return "power" if step > 0.017 else "fine power"
        small = float(registry.convert(1.0, unit.pint, registry.Unit(""))) < 1
    return "fraction" if unit.single and small and not root._units else ""


def has_angle(unit: Any) -> bool:
    """Whether a unit is made of angles among others: degrees, metres per radian."""
    if type(unit) is not InternedUnit or unit.unitless or unit.offset:
        return False
    return any(measure_of(as_unit(name, unit.registry)) == "angle" for name in unit.container)


def check_bare_numbers(name: str, operands: Sequence[Any], units: Sequence[Any]) -> None:
    """**Raises** `DimensionalityError` for a stated number that is a mistake beside its partner."""
    for unit in units:
        if _judge_beside(unit) is None:
            continue
        for x, own in zip(operands, units, strict=True):
            bare = own is not None and own.unitless and not isinstance(x, QuantityBase)
            if bare and is_mistake(x, unit):
                raise _mistake(name, x, unit)


def _judge_beside(unit: Any) -> Callable[[np.ndarray], bool] | None:
    """The judge of stated numbers beside this unit, if there is one."""
    measure = "" if BARE_ANGLES.value == "radians" else measure_of(unit)
    if not measure or measure == "angle" and unit is as_unit("radian", unit.registry):
        return None
    if measure == "power" and TRUST.value is None:  # as of series, `1 - angle**2 / 8`
        return None
    return {"fraction": _is_fraction, "gain": _is_limit}.get(measure, _is_radians)


def is_mistake(x: Any, unit: Any) -> bool:
    """Whether a bare operand is a number that the program states, and wrong beside this unit."""
    x = strip(x)
    if (judge := _judge_beside(unit)) is None or type(x) in VALUE_TYPES:
        return False
    good = stated_number(x, judge)
    if good is None and np.size(x) > 1:
        number = stated_number(x, whole)
        good = None if number is None else _are_good(number.ravel(), judge)
    # JAX's own libraries are written for numbers
    return not (good is None or good or within_library_of_jax())


def _are_good(numbers: np.ndarray, judge: Callable[[np.ndarray], bool]) -> bool:
    """Whether all of them are; or, of evenly spaced ones, the ends: `linspace(0, 2 * pi, 8)`."""
    if numbers.dtype.kind in "fV" and numbers.size > 2:
        x = numbers.astype(np.float64)
        grid, step = np.linspace(x[0], x[-1], x.size, retstep=True)
        rounding = 4 * float(jnp.finfo(numbers.dtype).eps) * np.abs(x).max()
        ends = [np.asarray(end, numbers.dtype) for end in (x[-1], x[-1] + step)]
        past = any(bool(end) and judge(end) for end in ends)
        if past and judge(numbers[:1]) and bool(np.all(np.abs(x - grid) <= rounding)):
            return True
    return all(judge(n) for n in np.split(numbers, numbers.size))


def _mistake(name: str, x: Any, unit: InternedUnit) -> DimensionalityError:
    number = stated_number(strip(x), whole)
    numbers = np.ravel(np.asarray(number).astype(float))
    shown = ", ".join(f"{n:.6g}" for n in numbers[:_SHOWN]) + ", ..." * (numbers.size > _SHOWN)
    kind = {"fraction": "a fraction", "gain": "a ratio"}.get(measure_of(unit), "radians")
    return DimensionalityError(
        f"`{name}` got a bare {shown} and a quantity in '{unit}', beside which it would be {kind}.",
        unit.pint,
        dimensionless().pint,
        f"Write it with its unit, `Quantity({shown.partition(',')[0]}, '{unit.pint}')`"
        + (
            ", or convert the angle with `.to('radian')`."
            if kind == "radians"
            else ", or convert with `.m_as('')`."
        ),
    ).at(user_line())


_SHOWN = 8

_PARTS = (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 24, 30, 32, 36, 60, 64, 90, 180, 360)
"""Of which parts of pi a simple multiple is made."""


def _is_radians(number: np.ndarray) -> bool:
    """Whether a number is meant in radians: 0, infinite, nan or a simple multiple of pi."""
    if np.iscomplexobj(number):
        return True
    x, digit = _with_precision(number)
    if x == 0 or not math.isfinite(x):
        return True
    parts = _PARTS if digit < 1e-5 else _PARTS[:4]
    turns = abs(x) / math.pi
    return any(round(turns * n) and math.isclose(turns * n, round(turns * n), rel_tol=digit)
               for n in parts)  # fmt: skip


def _is_fraction(number: np.ndarray) -> bool:
    if np.iscomplexobj(number):
        return True
    x, _ = _with_precision(number)
    return not abs(x) > 1 or not math.isfinite(x)


def _is_limit(number: np.ndarray) -> bool:
    """Whether a number is in any unit: 0, infinite or nan."""
    return not np.any(number) or not np.isfinite(np.asarray(number).astype(np.complex128))


def _with_precision(number: np.ndarray) -> tuple[float, float]:
    """A number, and how far it may be from the one that was meant."""
    x = np.asarray(number)
    if x.dtype.kind not in "fV":
        return float(x.reshape(()).astype(float)), 1e-12
    narrow = x.dtype.itemsize < 4
    return float(x.reshape(()).astype(np.float64)), 8e-3 if narrow else 4e-7


# -- factors that convert angles ------------------------------------------------------------------

_DEGREE = math.pi / 180
_FACTORS = tuple(
    factor
    for half in (0.5, 1.0, 2.0)
    for size in (1.0, 60.0, 3600.0, 3.6e6)
    for factor in (_DEGREE * half / size, size / (_DEGREE * half))
)
_STEPS = (math.pi, 2.0, 0.5, 60.0, 90.0, 180.0, 360.0, 3600.0, 648000.0)
"""What such a factor may be multiplied together from: `angle * pi / 180`."""

_so_far: dict[int, tuple[weakref.ref[Any], float]] = {}
"""By its magnitude, what an angle has been scaled by so far."""


def scaled_by(name: str, unit: Any, magnitude: Any, factor: Any, power: int = 1) -> float | None:
    """The factor of an angle so far times one more; None if it does not matter.

    **Arguments**: the operation, the angle's unit and magnitude, the factor and its power.

    **Raises** `DimensionalityError` if that is pi/180 or its like, stated by the program. It
    converts plain numbers; of a quantity it is not known whether a conversion is meant, which would
    make radians of what still says degrees.
    """
    if measure_of(unit) != "angle" or (number := stated_number(factor, _as_step)) is None:
        return None
    before = _so_far.get(id(magnitude))
    so_far = before[1] if before is not None and before[0]() is magnitude else 1.0
    total = so_far * number**power
    if not any(math.isclose(abs(total), factor, rel_tol=1e-6) for factor in _FACTORS):
        return total
    raise DimensionalityError(
        f"`{name}` got an angle in '{unit}' and the factor {total:.6g}, which converts angles.",
        unit.pint,
        dimensionless().pint,
        "A quantity knows its unit: leave the factor out, write `.to('radian')`, or use "
        "`jnp.deg2rad` and its like, which convert.",
    ).at(user_line())


def remember_scale(magnitude: Any, total: float | None) -> None:
    """Note what an angle has been scaled by, as long as its magnitude lives."""
    if total is not None:
        key = id(magnitude)
        with contextlib.suppress(TypeError):  # what cannot be referred to
            _so_far[key] = weakref.ref(magnitude, lambda _: _so_far.pop(key, None)), total


def _as_step(number: np.ndarray) -> float | None:
    """The number that is asked for, if a conversion of angles may be made of it."""
    if np.iscomplexobj(number):
        return None
    x = np.asarray(number).reshape(())
    value = float(x.astype(np.float64))
    narrow = x.dtype.kind in "fV" and x.dtype.itemsize < 4
    for step in (*_FACTORS, *_STEPS):
        if narrow and abs(value) == float(np.asarray(step).astype(x.dtype)):
            return math.copysign(step, value)
        if not narrow and math.isclose(abs(value), step, rel_tol=1e-6):
            return value
    return None
