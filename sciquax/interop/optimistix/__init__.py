"""Optimistix on quantities: `from sciquax.interop import optimistix as optx`.

Every public name of Optimistix is here. The four entry points take and return quantities; solvers,
adjoints and the rest are Optimistix's own. A solve runs on bare magnitudes in the units of `y0`, as
if the user had stripped them: the same numbers, the same compiled program. The user's function sees
quantities, and units are checked while JAX traces.
"""

from typing import Any as _Any

import optimistix

from ._solve import (
    fixed_point as fixed_point,
    least_squares as least_squares,
    minimise as minimise,
    root_find as root_find,
)


def __getattr__(name: str) -> _Any:
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return getattr(optimistix, name)
    except AttributeError:
        raise AttributeError(f"module 'optimistix' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*dir(optimistix), *globals()})
