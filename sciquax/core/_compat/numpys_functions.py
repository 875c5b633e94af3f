"""NumPy's functions called on values and on variables of a program, and JAX's of the same name."""

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

_SHAPES = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj,
}  # fmt: skip

_METHODS_TAKE_LESS = {np.argsort, np.clip}
"""What hands JAX's method of the name an argument that it refuses, and goes on with numbers."""


class OfType:
    """A method of a type that its instances do not show.

    NumPy asks the type for `__array_function__`. xarray and others ask the instance, and would hold
    whatever has it as they hold NumPy's arrays, without knowing what it is.
    """

    def __init__(self, method: Callable[..., Any]):
        self._method, self._name = method, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        if instance is not None:
            raise AttributeError(self._name)
        return self._method


def counterpart(function: Callable[..., Any], namespace: Any) -> Callable[..., Any] | None:
    """The function of a namespace like `jax.numpy` that bears the name of one of NumPy's."""
    for part in function.__module__.split(".")[1:]:
        namespace = getattr(namespace, part, None)
    found = getattr(namespace, function.__name__, None)
    return None if found is function or isinstance(found, types.ModuleType) else found


def elementwise(ufunc: Any, method: str, kwargs: Any, namespace: Any) -> Callable[..., Any] | None:
    """The counterpart of an elementwise function or of its method, such as `np.add.reduce`."""
    like = getattr(namespace, ufunc.__name__, None)
    kwargs = {k: v for k, v in kwargs.items() if v is not None and not (k == "where" and v is True)}
    if method != "__call__":
        method_like = getattr(like, method, None)
        return None if method_like is None else functools.partial(method_like, **kwargs)
    dtype = kwargs.pop("dtype", None)
    if like is None or kwargs:
        return None
    return like if dtype is None else lambda *inputs: like(*inputs).astype(dtype)


def asks_for_numbers(function: Callable[..., Any]) -> bool:
    """Whether a function of NumPy's reads more than shapes and dtypes."""
    return function not in _SHAPES


def calls_a_method(function: Callable[..., Any]) -> bool:
    """Whether a function of NumPy's calls the method of its name, as `np.reshape` does."""
    code = getattr(by_conversion(function), "__code__", None)
    if function in _METHODS_TAKE_LESS:
        return False
    return code is not None and not {"_wrapfunc", "_wrapreduction"}.isdisjoint(code.co_names)


def by_conversion(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy's, which converts what it is given by `__array__`."""
    return getattr(function, "_implementation")  # noqa: B009  # private: NumPy 1.17 to 2.4
