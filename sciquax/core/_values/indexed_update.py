"""`x.at[index]`: indexed updates."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

A = TypeVar("A")


def indexed_update(x: Any, index: Any, op: str, args: Any, kwargs: Any) -> Any:
    """`x.at[index].what(*args, **kwargs)`, as a function."""
    return getattr(x.at[index], op)(*args, **kwargs)


class At(Generic[A]):
    """`x.at`: index it to get an [`IndexedUpdate`][]."""

    __slots__ = ("_value",)

    def __init__(self, value: A):
        self._value = value

    def __getitem__(self, index: Any) -> "IndexedUpdate[A]":
        return IndexedUpdate(self._value, index)


class IndexedUpdate(Generic[A]):
    """`x.at[index]`: its methods update or read elements. Keywords (`mode=` etc.) are JAX's."""

    __slots__ = ("_index", "_value")

    def __init__(self, value: A, index: Any):
        self._value, self._index = value, index

    def _update(self, op: str, *args: Any, **kwargs: Any) -> Any:
        value: Any = self._value
        return value._update(self._index, op, args, kwargs)

    def set(self, values: Any, **kwargs: Any) -> A:
        return self._update("set", values, **kwargs)

    def add(self, values: Any, **kwargs: Any) -> A:
        return self._update("add", values, **kwargs)

    def subtract(self, values: Any, **kwargs: Any) -> A:
        return self._update("subtract", values, **kwargs)

    def multiply(self, values: Any, **kwargs: Any) -> A:
        return self._update("multiply", values, **kwargs)

    mul = multiply

    def divide(self, values: Any, **kwargs: Any) -> A:
        return self._update("divide", values, **kwargs)

    def power(self, values: Any, **kwargs: Any) -> A:
        return self._update("power", values, **kwargs)

    def min(self, values: Any, **kwargs: Any) -> A:
        return self._update("min", values, **kwargs)

    def max(self, values: Any, **kwargs: Any) -> A:
        return self._update("max", values, **kwargs)

    def apply(self, function: Callable[..., Any], **kwargs: Any) -> A:
        """Apply `function`, which must be elementwise, to the elements there."""
        return self._update("apply", function, **kwargs)

    def get(self, **kwargs: Any) -> A:
        return self._update("get", **kwargs)
