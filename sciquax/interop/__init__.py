"""Adapters to other libraries, one module each. Import the one you need."""

import importlib
from types import ModuleType

# Which extra brings the library that a module adapts.
_EXTRAS = {
    "astropy": "astropy",
    "blackjax": "bayes",
    "diffrax": "diffrax",
    "hypothesis": "test",
    "lineax": "diffrax",
    "matplotlib": "plot",
    "optax": "optax",
    "optimistix": "diffrax",
    "orbax": "checkpoint",
    "pandas": "coordinates",
    "uncertainties": "uncertainties",
    "xarray": "xarray",
}


def __getattr__(name: str) -> ModuleType:
    if name not in _EXTRAS:
        raise AttributeError(f"module 'sciquax.interop' has no attribute {name!r}")
    try:
        return importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sciquax"):
            raise
        raise ModuleNotFoundError(
            f"`sciquax.interop.{name}` needs {error.name}, which is not installed. "
            f'Install it with `pip install "sciquax[{_EXTRAS[name]}]"`.',
            name=error.name,
        ) from None
