"""Magnitudes in other units, and of one dtype."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import SingleDeviceSharding

from sciquax.core import VALUE_TYPES, aval_of, bind, quaxify
from sciquax.core.internal import Tracer, nothing_is_traced

from .contexts import redefinitions
from .logarithmic import from_linear, to_linear
from .unit import InternedUnit


def convert(magnitude: Any, source: InternedUnit, target: InternedUnit) -> Any:
    """A magnitude in other units. An integer is promoted to floating point first.

    **Raises** OverflowError where the factor is beyond what the dtype can hold.
    """
    if source is target:
        return magnitude
    if source.logarithmic is not target.logarithmic:
        return _convert_logarithmic(magnitude, source, target)
    if (redefined := redefinitions(source)) is not None:
        return affine(_inexact(magnitude), *redefined.conversion(source, target))
    factor, offset = source.conversion(target)
    if factor == 1.0 and offset == 0.0:
        return magnitude
    magnitude = _inexact(magnitude)
    if not 1e-4 < abs(factor) < 1e4:
        _check_range(factor, source, target, _dtype(magnitude))
    return affine(magnitude, factor, offset)


def affine(magnitude: Any, factor: float, offset: float) -> Any:
    """`magnitude * factor + offset`."""
    if type(magnitude) in VALUE_TYPES:
        return quaxify(affine)(magnitude, factor, offset)
    if factor != 1.0:
        # 1500 m / 1000 is 1.5 km exactly, 1500 m * 0.001 is not.
        inverse = 1.0 / factor
        exact = abs(factor) < 1.0 and inverse.is_integer()
        scaled = _scaled(magnitude, inverse if exact else factor, exact)
        # NumPy's bfloat16, of a constant of the program, becomes float32 beside a Python number.
        magnitude = _as(scaled, magnitude)
    return _as(magnitude + offset, magnitude) if offset else magnitude


_times, _over = jax.jit(lambda x, c: x * c), jax.jit(lambda x, c: x / c)
_numbers: dict[tuple[float, Any], Any] = {}


def _scaled(x: Any, number: float, over: bool) -> Any:
    """`x * number`, or `x / number`. JAX takes longer to read a Python number than to multiply."""
    concrete = isinstance(x, jax.Array) and not isinstance(x, Tracer) and nothing_is_traced()
    if not concrete or x.weak_type or type(x.sharding) is not SingleDeviceSharding:
        return x / number if over else x * number
    if (kind := x.dtype) not in _READ:
        return x / number if over else x * number
    if (known := _numbers.get((number, kind))) is None:
        known = _numbers[number, kind] = jnp.asarray(number, kind)
    return (_over if over else _times)(x, known)


_READ = (np.dtype("float32"), np.dtype("float64"))  # rounded once, as the Python number is


def _as(x: Any, other: Any) -> Any:
    own = isinstance(other, np.ndarray) and x.dtype != other.dtype
    return x.astype(other.dtype) if own else x


def _convert_logarithmic(magnitude: Any, source: InternedUnit, target: InternedUnit) -> Any:
    magnitude = _inexact(magnitude)
    if source.logarithmic:
        linear, unit = to_linear(magnitude, source)
        return convert(linear, unit, target)
    return from_linear(convert(magnitude, source, target.logarithm().reference), target)


def _inexact(magnitude: Any) -> Any:
    """An integer as what JAX makes of it beside a Python float: a float of weak type."""
    dtype = _dtype(magnitude)
    if dtype.kind in "fc" or jnp.issubdtype(dtype, jnp.inexact):
        return magnitude
    return _astype(magnitude, jnp.result_type(float), weak=True)


def _check_range(factor: float, source: InternedUnit, target: InternedUnit, dtype: Any) -> None:
    limits = jnp.finfo(dtype)
    if not float(limits.tiny) <= abs(factor) <= float(limits.max):
        raise OverflowError(
            f"'{source}' to '{target}' is a factor of {factor:.6g}, which is beyond "
            f"{np.dtype(dtype).name}. Choose a nearer unit, or a wider dtype "
            '(`jax.config.update("jax_enable_x64", True)`).'
        )


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else jnp.result_type(x)


def _astype(x: Any, dtype: Any, weak: bool = False) -> Any:
    return bind(lax.convert_element_type_p, x, new_dtype=dtype, weak_type=weak, sharding=None)


def changes(source: InternedUnit, target: InternedUnit) -> bool:
    """Whether magnitudes in `source` are other numbers in `target`."""
    if source is target:
        return False
    if source.logarithmic is not target.logarithmic or redefinitions(source) is not None:
        return True
    return source.conversion(target) != (1.0, 0.0)


def convert_all(
    magnitudes: Sequence[Any], sources: Sequence[InternedUnit | None], target: InternedUnit
) -> list[Any]:
    """Magnitudes in one unit, and of the dtype that JAX promotes them to. None is any unit."""
    if not _are_floats(magnitudes):
        scaled = [source is not None and changes(source, target) for source in sources]
        magnitudes = promote(magnitudes, scaled)
    return [
        x if source is None else convert(x, source, target)
        for x, source in zip(magnitudes, sources, strict=True)
    ]


def _are_floats(magnitudes: Sequence[Any]) -> bool:
    """Whether all are of one dtype, which JAX promotes to itself and no factor changes."""
    first = getattr(magnitudes[0], "dtype", None)
    if first is None or first.kind not in "fc":
        return False
    return all(getattr(x, "dtype", None) == first for x in magnitudes[1:])


_WEAK: dict[str, Any] = {"b": False, "i": 0, "u": 0, "f": 0.0, "V": 0.0, "c": 0j}
"""For each kind of dtype a Python number, which JAX promotes as it does arrays of weak type."""


def promote(magnitudes: Sequence[Any], scaled: Sequence[bool] = ()) -> list[Any]:
    """Magnitudes of one dtype, the one that JAX promotes them to.

    **Arguments**: and which of them are scaled: an integer is then multiplied by a Python float.
    """
    if _are_floats(magnitudes):
        return list(magnitudes)
    avals = [aval_of(x) for x in magnitudes]
    if any(scaled):
        whole = [not jnp.issubdtype(a.dtype, jnp.inexact) for a in avals]
        becomes_inexact = any(w and s for w, s in zip(whole, scaled, strict=True))
    else:
        becomes_inexact = False
    if not becomes_inexact and len({a.dtype for a in avals}) == 1:
        return list(magnitudes)
    weak = [bool(getattr(a, "weak_type", False)) for a in avals]
    parts = [
        _WEAK[np.dtype(a.dtype).kind] if w else a.dtype for a, w in zip(avals, weak, strict=True)
    ]
    with jax.numpy_dtype_promotion("standard"):  # the mixture is ours, not the user's
        dtype = jnp.result_type(*parts, *([0.0] if becomes_inexact else []))
    kind = jnp.inexact if jnp.issubdtype(dtype, jnp.inexact) else jnp.generic
    stays_weak = all(w for a, w in zip(avals, weak, strict=True) if jnp.issubdtype(a.dtype, kind))
    return [
        x if a.dtype == dtype else _astype(x, dtype, stays_weak)
        for x, a in zip(magnitudes, avals, strict=True)
    ]
