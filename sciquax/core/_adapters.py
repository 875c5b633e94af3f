"""The one look upstairs: adapters to other libraries, found by name."""

import importlib
from typing import Any


def adapter(name: str) -> Any:
    """The module `sciquax.interop.<name>`, for methods of values that hand on to another library.

    The values stand below the adapters, and may not import them.

    **Raises** ImportError if the library that the module is named after is not installed.
    """
    return importlib.import_module(f"sciquax.interop.{name}")
