"""Lineax's solve, called by somebody's program as it is: by the adapter, which knows units."""

from typing import Any

from sciquax.core.internal import adapter

from .signature import rule


@rule("lineax.linear_solve")
def _linear_solve(operator: Any, vector: Any, *args: Any, **kwargs: Any) -> Any:
    """As `sciquax.interop.lineax.linear_solve`, which computes its state itself."""
    if "state" in kwargs:
        return NotImplemented
    return adapter("lineax").linear_solve(operator, vector, *args, **kwargs)
