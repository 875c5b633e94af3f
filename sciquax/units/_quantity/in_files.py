"""Quantities in files: their unit with its definition, and reading in another unit."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax._files.comparison import Difference, Reading, register_reading
from sciquax._files.static_parts import register_static, shown
from sciquax.core import is_value

from .._unit.convert import changes, convert
from .._unit.errors import DimensionalityError, OffsetUnitCalculusError
from .._unit.parsing import defined, definition
from .._unit.unit import InternedUnit
from .._unit.whole_numbers import whole_multiple
from .quantity import Quantity

register_static(InternedUnit, "unit", definition, lambda found: defined(*found))


def _unit(static: dict[str, Any], like: Any) -> InternedUnit:
    """The unit that a file has. **Raises** ValueError where it is none of the registry."""
    try:
        text, root, factor = static["_unit"]["unit"]["tuple"]
        return defined(str(text), root, float(factor), like._unit.registry)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the unit {shown(static.get('_unit'))}") from error


def _differences(static: dict[str, Any], like: Any, path: str) -> Iterator[Difference]:
    try:
        source = _unit(static, like)
    except Exception as error:  # undefined, or defined otherwise
        yield Difference(path, f"a unit that cannot be read ({error})", f"one in '{like._unit}'")
        return
    if not _convertible(source, like._unit):
        raises = partial(DimensionalityError, units1=source.pint, units2=like._unit.pint)
        yield Difference(path, f"a quantity in '{source}'", f"one in '{like._unit}'", raises)


def _convertible(source: InternedUnit, target: InternedUnit) -> bool:
    try:
        return source.compatible(target) and changes(source, target) in (True, False)
    except (DimensionalityError, OffsetUnitCalculusError):  # a temperature to a difference
        return False


def _converted(value: Any, static: dict[str, Any]) -> Any:
    source, target = _unit(static, value), value._unit
    if not changes(source, target):
        return value
    magnitude = value.magnitude
    where = f"a quantity in '{source}' that is to be in '{target}'"
    if is_value(magnitude):
        made = convert(magnitude, source, target)
        if jtu.tree_structure(made) != jtu.tree_structure(magnitude) or made.dtype != value.dtype:
            raise ValueError(f"{where}, and a {type(magnitude).__name__} would not be one then.")
        lost = any(map(_lost, jtu.tree_leaves(made), jtu.tree_leaves(magnitude)))
    elif jnp.issubdtype(magnitude.dtype, jnp.inexact):
        wide = jnp.finfo(magnitude.dtype).bits < 32
        made = convert(magnitude.astype(np.float32) if wide else magnitude, source, target)
        made = made.astype(magnitude.dtype)
        lost = _lost(made, magnitude)
    else:
        made = _whole(magnitude, source, target)
        lost = made is None
    if lost:
        raise ValueError(f"{where}, which {magnitude.dtype.name} cannot hold.")
    return value.with_payload(made)


def _lost(made: Any, magnitude: Any) -> bool:
    """Whether a number became infinite."""
    if not jnp.issubdtype(magnitude.dtype, jnp.inexact):
        return False
    return bool(jnp.any(jnp.isfinite(magnitude) & ~jnp.isfinite(made)))


def _whole(x: Any, source: InternedUnit, target: InternedUnit) -> Any:
    """Integers in another unit, or None if they are none there, or too large."""
    multiple = whole_multiple((x, x), (source, target))
    if multiple is None:
        return None
    limits = jnp.iinfo(x.dtype)
    if multiple.times > limits.max:
        return None if bool((x != 0).any()) else x
    k = np.asarray(multiple.times, x.dtype)
    if not multiple.swapped:
        return None if bool((x % k != 0).any()) else x // k
    most = limits.max // int(k)
    return None if bool(((x > most) | (x < -most if limits.min else False)).any()) else x * k


register_reading(Quantity, Reading(_differences, _converted))
