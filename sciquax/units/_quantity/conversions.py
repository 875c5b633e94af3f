"""Quantities from text and from pint's."""

from typing import Any

import jax
import jax.numpy as jnp
import pint.compat

from sciquax.core import locate_stack

from .._unit.errors import undefined
from .._unit.parsing import from_pint
from .._unit.registry import PINT, get_registry
from .base import bare


def _parse(text: str) -> Any:
    registry = get_registry()
    with PINT:
        try:
            return from_pint_quantity(registry.Quantity(text))
        except pint.UndefinedUnitError as error:
            raise locate_stack(undefined(error, registry)) from None


def from_pint_quantity(value: Any) -> Any:
    """The quantity that a `pint.Quantity` is."""
    return bare(_as_array(value.magnitude), from_pint(value.units, get_registry()))


def _as_array(value: Any) -> Any:
    if isinstance(value, jax.Array):
        return value
    return jnp.asarray(value)
