"""Diffrax on quantities: `from sciquax.interop import diffrax as dfx`.

Every public name of Diffrax is here. Those that meet times and states take and return quantities;
the others, solvers and adjoints among them, are Diffrax's own. The solver's arithmetic runs on bare
magnitudes: units are checked where the user's functions are called, and while JAX traces.
"""

from typing import Any as _Any

import diffrax

from ._brownian import (
    UnsafeBrownianPath as UnsafeBrownianPath,
    VirtualBrownianTree as VirtualBrownianTree,
)
from ._controllers import (
    ClipStepSizeController as ClipStepSizeController,
    PIDController as PIDController,
    StepTo as StepTo,
)
from ._events import steady_state_event as steady_state_event
from ._interpolations import (
    CubicInterpolation as CubicInterpolation,
    DenseInterpolation as DenseInterpolation,
    LinearInterpolation as LinearInterpolation,
    backward_hermite_coefficients as backward_hermite_coefficients,
    linear_interpolation as linear_interpolation,
    rectilinear_interpolation as rectilinear_interpolation,
)
from ._saveat import SaveAt as SaveAt, SubSaveAt as SubSaveAt
from ._solve import diffeqsolve as diffeqsolve


def __getattr__(name: str) -> _Any:
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return getattr(diffrax, name)
    except AttributeError:
        raise AttributeError(f"module 'diffrax' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*dir(diffrax), *globals()})
