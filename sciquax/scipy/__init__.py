"""`jax.scipy`, quaxified.

To type checkers and editors, what `tools/make_stubs.py` wrote beside this file.
"""

import importlib.util
import sys

import jax.scipy as _source

from sciquax.core import Namespace

_SUBMODULES = (
    "cluster", "fft", "integrate", "interpolate", "linalg", "ndimage", "signal", "sparse",
    "spatial", "special", "stats",
)  # fmt: skip
for _name in _SUBMODULES:
    if importlib.util.find_spec(f"jax.scipy.{_name}"):
        importlib.import_module(f"jax.scipy.{_name}")
sys.modules[__name__] = Namespace(__name__, _source)
