"""Adapters to other libraries, found by name: the only import from a higher floor."""

import importlib
from typing import Any


def adapter(name: str) -> Any:
    """The module `sciquax.interop.<name>`, for methods of values that call another library.

    The values stand below the adapters, and may not import them.

    **Raises** ImportError if the library that the module is named after is not installed.
    """
    return importlib.import_module(f"sciquax.interop.{name}")
