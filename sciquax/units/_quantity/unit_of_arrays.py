"""`unit("km")`: a unit whose products with arrays are quantities of ours."""

import weakref
from typing import Any

import jax.numpy as jnp
import pint

from sciquax.core import is_value

from .._unit.parsing import as_unit
from .base import bare
from .quantity import Quantity

_classes: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def unit(spec: Any) -> pint.Unit:
    """A `pint.Unit` of the registry in use, whose products with arrays are quantities.

    **Arguments**: `spec`, a string in pint's grammar, a unit of pint's or of Astropy's.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.units import unit
    >>> str(unit("m/s"))
    'meter / second'
    >>> jnp.array([1.0, 2.0]) * unit("km") / (2.0 * unit("s"))
    Quantity([0.5, 1. ], 'km/s')

    ```

    **Raises** `UndefinedUnitError`, with near names, for a unit the registry does not know.
    """
    interned = as_unit(spec)
    registry = interned.registry
    kind = _classes.get(registry)
    if kind is None:
        made: Any = type("Unit", (_OfArrays, registry.Unit), {})
        kind = _classes[registry] = made
    return kind(interned.container)


class _OfArrays:
    """Products of a unit with arrays and numbers; those with other units are pint's."""

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, (pint.Unit, pint.Quantity)):
            return super().__mul__(other)  # pyright: ignore[reportAttributeAccessIssue]
        if is_value(other):
            return other * bare(jnp.asarray(1), as_unit(self))
        return Quantity(other, self)

    __rmul__ = __mul__
    __array_ufunc__ = None  # so that NumPy's arrays leave it to us

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, (pint.Unit, pint.Quantity)):
            return super().__truediv__(other)  # pyright: ignore[reportAttributeAccessIssue]
        return bare(jnp.asarray(1), as_unit(self)) / other

    def __rtruediv__(self, other: Any) -> Any:
        if isinstance(other, (pint.Unit, pint.Quantity)):
            return super().__rtruediv__(other)  # pyright: ignore[reportAttributeAccessIssue]
        return Quantity(other) / bare(jnp.asarray(1), as_unit(self))

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, pint.Unit) and other._REGISTRY is self._REGISTRY:  # pyright: ignore
            return self._units == other._units  # pyright: ignore[reportAttributeAccessIssue]
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()
