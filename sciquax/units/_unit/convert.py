"""Magnitudes in other units, and of one dtype."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import VALUE_TYPES, quaxify

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
        magnitude = magnitude / inverse if exact else magnitude * factor
    return magnitude + offset if offset else magnitude


def _convert_logarithmic(magnitude: Any, source: InternedUnit, target: InternedUnit) -> Any:
    magnitude = _inexact(magnitude)
    if source.logarithmic:
        linear, unit = to_linear(magnitude, source)
        return convert(linear, unit, target)
    return from_linear(convert(magnitude, source, target.logarithm().reference), target)


def _inexact(magnitude: Any) -> Any:
    if jnp.issubdtype(_dtype(magnitude), jnp.inexact):
        return magnitude
    return _astype(magnitude, jnp.result_type(float))


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


def _astype(x: Any, dtype: Any) -> Any:
    if type(x) in VALUE_TYPES:
        return quaxify(lax.convert_element_type)(x, dtype)
    return lax.convert_element_type(x, dtype)


def promote(magnitudes: Sequence[Any]) -> list[Any]:
    """Magnitudes of one dtype, where a conversion made one of them floating point."""
    dtypes = {np.dtype(_dtype(x)) for x in magnitudes}
    if len(dtypes) == 1:
        return list(magnitudes)
    with jax.numpy_dtype_promotion("standard"):  # the mixture is ours, not the user's
        dtype = jnp.result_type(*dtypes)
    return [x if _dtype(x) == dtype else _astype(x, dtype) for x in magnitudes]
