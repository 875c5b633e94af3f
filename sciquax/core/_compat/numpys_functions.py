"""NumPy's functions called on values and on variables of a program, and JAX's of the same name."""

import types
from collections.abc import Callable
from typing import Any

import numpy as np

_SHAPES = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj,
}  # fmt: skip


class OfType:
    """A method of a type that its instances do not show.

    NumPy asks the type for `__array_function__`. xarray and others ask the instance, and would hold
    whatever has it as they hold NumPy's arrays, without knowing what it is.
    """

    def __init__(self, method: Callable[..., Any]):
        self._method = method

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        if instance is not None:
            raise AttributeError("__array_function__")
        return self._method


def counterpart(function: Callable[..., Any], namespace: Any) -> Callable[..., Any] | None:
    """The function of a namespace like `jax.numpy` that bears the name of one of NumPy's."""
    for part in function.__module__.split(".")[1:]:
        namespace = getattr(namespace, part, None)
    found = getattr(namespace, function.__name__, None)
    return None if found is function or isinstance(found, types.ModuleType) else found


def asks_for_numbers(function: Callable[..., Any]) -> bool:
    """Whether a function of NumPy's looks at more than shapes and dtypes."""
    return function not in _SHAPES


def calls_a_method(function: Callable[..., Any]) -> bool:
    """Whether a function of NumPy's calls the method of its name, as `np.reshape` does."""
    code = getattr(by_conversion(function), "__code__", None)
    return code is not None and not {"_wrapfunc", "_wrapreduction"}.isdisjoint(code.co_names)


def by_conversion(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy's, which converts what it is given by `__array__`."""
    return getattr(function, "_implementation")  # noqa: B009  # private: NumPy 1.17 to 2.4
