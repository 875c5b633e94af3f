"""The pint registry in use: pint's application registry until `set_registry` names another."""

import threading
from typing import TYPE_CHECKING, Any

import pint as _pint

if TYPE_CHECKING:  # as a runtime type checker cannot evaluate pint's generic registry
    import pint

PINT = threading.RLock()
"""Held while pint is asked anything: its registries' caches and contexts are not thread-safe."""

_registry: Any = None


def get_registry() -> "pint.UnitRegistry[Any]":
    """The registry that unit strings are looked up in. Loaded at the first call.

    ```python
    >>> from sciquax.units import get_registry
    >>> get_registry().Unit("km").dimensionality == {"[length]": 1}
    True

    ```
    """
    global _registry
    if _registry is None:
        with PINT:
            if _registry is None:
                registry = _pint.get_application_registry().get()
                _ = registry.UnitsContainer  # pint's is lazy: load it before others can see it
                _registry = registry
    return _registry


def set_registry(registry: "pint.UnitRegistry[Any]") -> None:
    """Use another pint registry from now on, with a user's own definitions.

    Quantities made before keep theirs, and strings handed to their methods are read in it; an
    operation that mixes two registries raises `MixedRegistriesError`. A unit equals only units of
    its own registry, so that compiled functions are kept apart too.

    Definitions come before use: once a unit has been used, defining it anew in the same registry
    changes nothing here, as in pint.

    **Arguments**: `registry`, a `pint.UnitRegistry`. **Raises** TypeError for anything else.
    """
    global _registry
    get = getattr(registry, "get", None)  # pint.ApplicationRegistry wraps the real one
    registry = get() if get is not None and hasattr(registry, "set") else registry
    if not isinstance(registry, (_pint.UnitRegistry, _pint.registry.LazyRegistry)):
        raise TypeError(f"A registry is a `pint.UnitRegistry`, not {type(registry).__name__}.")
    with PINT:
        _ = registry.UnitsContainer
        _registry = registry
