"""The pint registry in use: pint's application registry until `set_registry` names another."""

import threading
import weakref
from typing import TYPE_CHECKING, Any

import jax
import pint as _pint

if TYPE_CHECKING:  # as a runtime type checker cannot evaluate pint's generic registry
    import pint

PINT = threading.RLock()
"""Held while pint is asked anything: its registries' caches and contexts are not thread-safe."""

_registry: Any = None

_first: Any = None
_IN_USE = jax.make_user_context(0)
"""The registry in use, by number: part of the key of what JAX and we compile and keep."""
_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def get_registry() -> "pint.UnitRegistry[Any]":
    """The registry that unit strings are looked up in. Loaded at the first call.

    ```python
    >>> from sciquax.units import get_registry
    >>> get_registry().Unit("km").dimensionality == {"[length]": 1}
    True

    ```
    """
    global _first, _registry
    if _registry is None:
        with PINT:
            if _registry is None:
                registry = _pint.get_application_registry().get()
                _ = registry.UnitsContainer  # pint's is lazy: load it before others can see it
                _first = _registry = registry
    return _registry


def set_registry(registry: "pint.UnitRegistry[Any]") -> None:
    """Use another pint registry from now on, with a user's own definitions.

    What was compiled or kept under the old one is not used again. Quantities made before keep
    theirs, and strings handed to their methods are read in it; an operation that mixes two
    registries raises `MixedRegistriesError`. A unit equals only units of its own registry.

    Definitions come before use: once a unit has been used, defining it anew in the same registry
    changes nothing here, as in pint.

    **Arguments**: `registry`, a `pint.UnitRegistry`. **Raises** TypeError for anything else.
    """
    global _registry
    get = getattr(registry, "get", None)  # pint.ApplicationRegistry wraps the real one
    registry = get() if get is not None and hasattr(registry, "set") else registry
    if not isinstance(registry, (_pint.UnitRegistry, _pint.registry.LazyRegistry)):
        raise TypeError(f"A registry is a `pint.UnitRegistry`, not {type(registry).__name__}.")
    get_registry()  # the first one, whose number is 0
    with PINT:
        _ = registry.UnitsContainer
        _registry = registry
        number = 0 if registry is _first else _numbers.setdefault(registry, len(_numbers) + 1)
        _IN_USE.set_global(number)
