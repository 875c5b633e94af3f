"""The named tuples that JAX's functions return."""

from typing import Any

import jax.core
from jax._src.numpy import linalg  # private: 0.10 to 0.12 (the types are not exported)

_RESULTS = {
    "eig": "EigResult",
    "eigh": "EighResult",
    "qr": "QRResult",
    "slogdet": "SlogdetResult",
    "svd": "SVDResult",
}


def named_result(function: Any, out: Any) -> Any:
    """The tuple that a function gave in place of JAX's own, with JAX's names of its fields."""
    if type(out) is not tuple:
        return out
    name = getattr(function, "__name__", "")
    if name not in _RESULTS or function is not getattr(jax.numpy.linalg, name):
        return out
    return getattr(linalg, _RESULTS[name])(*out)
