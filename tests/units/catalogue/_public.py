"""The public functions of JAX that may take arrays, by module."""

import importlib
import types
from typing import Any

import jax

MODULES = (
    "numpy", "numpy.linalg", "numpy.fft", "nn", "lax", "lax.linalg", "ops", "random",
    "scipy.cluster.vq", "scipy.fft", "scipy.integrate", "scipy.interpolate", "scipy.linalg",
    "scipy.ndimage", "scipy.optimize", "scipy.signal", "scipy.sparse.linalg",
    "scipy.spatial.transform", "scipy.special", "scipy.stats",
)  # fmt: skip


def public_functions() -> list[str]:
    """Their names below `jax`: callables that are not types, and `scipy`'s classes."""
    names = []
    for module_name in MODULES:
        module = importlib.import_module(f"jax.{module_name}")
        names += [f"{module_name}.{n}" for n in _functions(module)]
        if module_name == "scipy.stats":
            for name in sorted(dir(module)):
                inner = getattr(module, name)
                if isinstance(inner, types.ModuleType) and not name.startswith("_"):
                    names += [f"{module_name}.{name}.{n}" for n in _functions(inner)]
    return names


def _functions(module: Any) -> list[str]:
    return [name for name in sorted(dir(module)) if _is_function(name, getattr(module, name))]


def _is_function(name: str, value: Any) -> bool:
    if name.startswith("_") or not callable(value) or isinstance(value, types.ModuleType):
        return False
    if isinstance(value, type):
        return value.__module__.startswith("jax._src.scipy") and not name.endswith("Results")
    return type(value).__name__ != "_ScalarMeta" and value is not jax.Array
