"""The pint registry in use: pint's application registry until `set_registry` names another."""

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pint

_lock = threading.Lock()
_registry: Any = None


def get_registry() -> "pint.UnitRegistry":
    """The registry that unit strings are looked up in. Loaded at the first call.

    ```python
    >>> from sciquax.units import get_registry
    >>> get_registry().Unit("km").dimensionality == {"[length]": 1}
    True

    ```
    """
    global _registry
    if _registry is None:
        with _lock:
            if _registry is None:
                import pint

                _registry = pint.get_application_registry().get()
    return _registry


def set_registry(registry: "pint.UnitRegistry") -> None:
    """Use another pint registry from now on, with a user's own definitions.

    Quantities made before keep theirs; an operation that mixes two registries raises.

    **Arguments**: `registry`, a `pint.UnitRegistry`.
    """
    global _registry
    get = getattr(registry, "get", None)  # pint.ApplicationRegistry wraps the real one
    _registry = get() if get is not None and hasattr(registry, "set") else registry
