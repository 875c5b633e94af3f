"""Array methods, attributes and `.at` of every array type: the functions of `jnp` on the value."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from .indexed_update import At, indexed_update
from .mode import bound_methods
from .operators import CALLER, Operators

if TYPE_CHECKING:
    V = TypeVar("V", bound="ArrayMethods")
    Plain: TypeAlias = jax.Array
else:
    V = TypeVar("V")
    Plain = Any


def _of_array(name: str) -> Callable[..., Any]:
    """A method of `jax.Array` as a function, where the arguments of `jnp`'s differ."""

    def function(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, name)(*args, **kwargs)

    function.__name__ = name
    return function


def _attribute(name: str) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        return getattr(x, name)

    function.__name__ = name
    return function


METHODS: dict[str, Callable[..., Any]] = {
    **{name: getattr(jnp, name) for name in (
        "all", "any", "argmax", "argmin", "argpartition", "argsort", "clip", "conj", "conjugate",
        "copy", "cumprod", "cumsum", "diagonal", "dot", "max", "mean", "min", "nonzero", "prod",
        "ptp", "ravel", "repeat", "round", "searchsorted", "sort", "squeeze", "std", "sum",
        "swapaxes", "take", "trace", "var",
    )},
    **{name: _of_array(name) for name in (
        "astype", "compress", "flatten", "reshape", "transpose", "view",
    )},
    **{name: _attribute(name) for name in ("T", "mT", "real", "imag")},
}  # fmt: skip
"""The functions that array methods are. The methods' arguments follow the array."""

REDUCTIONS = (
    "all",
    "any",
    "argmax",
    "argmin",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
    "ptp",
)
"""Functions of `jnp` that JAX does not compile as a whole, but what they call."""

_COMPILED = {
    *(f for f in METHODS.values() if hasattr(f, "lower")),
    *(METHODS[name] for name in REDUCTIONS),
    *(METHODS[name] for name in ("astype", "flatten", "reshape", "transpose", "round", "copy")),
    *(METHODS[name] for name in ("T", "mT", "real", "imag", "ravel", "swapaxes")),
}
"""What may be compiled as a whole: the others have results or arguments that must be known."""


class _Property:
    """An attribute that is computed. A field of the same name comes before it."""

    def __init__(self, name: str):
        self.name = name
        self.__doc__ = f"`jax.Array.{name}`, by the rules of the type."

    def __get__(self, value: V, owner: Any = None) -> V:
        return self if value is None else value._method(self.name, (), {})


class _AtProperty:
    """`.at`. A field of the same name comes before it."""

    __doc__ = "Indexed updates, as `jax.Array.at`: `x.at[i].set(v)`."

    def __get__(self, value: V, owner: Any = None) -> "At[V]":
        return self if value is None else At(value)  # pyright: ignore[reportReturnType]


class ArrayMethods(Operators):
    """Array methods, attributes and `.at`, which each array type inherits.

    Each is the function of `jax.numpy` on the value, as `quaxify` calls it. What a type defines
    itself comes first, a field included.

    **Hooks for subclasses**

    - `_method(name, args, kwargs)`: an array method, or an attribute such as `T`.
    - `_update(index, what, args, kwargs)`: `.at[index].what(*args, **kwargs)`.
    """

    def _method(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        function = METHODS[name]
        call = CALLER.compiled if function in _COMPILED else CALLER.call
        return call(function, (self, *args), kwargs)

    def _update(self, index: Any, op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return CALLER.call(indexed_update, (self, index, op, args, kwargs), {})

    # -- array methods ----------------------------------------------------------------------------

    T = _Property("T")
    mT = _Property("mT")
    real = _Property("real")
    imag = _Property("imag")
    at = _AtProperty()

    def all(self, *args: Any, **kwargs: Any) -> Plain:
        """`jax.Array.all`, by the rules of the type."""
        return self._method("all", args, kwargs)

    def any(self, *args: Any, **kwargs: Any) -> Plain:
        """`jax.Array.any`, by the rules of the type."""
        return self._method("any", args, kwargs)

    def argmax(self, *args: Any, **kwargs: Any) -> Plain:
        """`jax.Array.argmax`, by the rules of the type."""
        return self._method("argmax", args, kwargs)

    def argmin(self, *args: Any, **kwargs: Any) -> Plain:
        """`jax.Array.argmin`, by the rules of the type."""
        return self._method("argmin", args, kwargs)

    def argpartition(self, *args: Any, **kwargs: Any) -> Plain:
        """`jax.Array.argpartition`, by the rules of the type."""
        return self._method("argpartition", args, kwargs)

    def argsort(self, *args: Any, **kwargs: Any) -> Plain:
        """`jax.Array.argsort`, by the rules of the type."""
        return self._method("argsort", args, kwargs)

    def astype(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.astype`, by the rules of the type."""
        return self._method("astype", args, kwargs)

    def clip(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.clip`, by the rules of the type."""
        return self._method("clip", args, kwargs)

    def compress(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.compress`, by the rules of the type."""
        return self._method("compress", args, kwargs)

    def conj(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.conj`, by the rules of the type."""
        return self._method("conj", args, kwargs)

    def conjugate(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.conjugate`, by the rules of the type."""
        return self._method("conjugate", args, kwargs)

    def copy(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.copy`, by the rules of the type."""
        return self._method("copy", args, kwargs)

    def cumprod(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.cumprod`, by the rules of the type."""
        return self._method("cumprod", args, kwargs)

    def cumsum(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.cumsum`, by the rules of the type."""
        return self._method("cumsum", args, kwargs)

    def diagonal(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.diagonal`, by the rules of the type."""
        return self._method("diagonal", args, kwargs)

    def dot(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.dot`, by the rules of the type."""
        return self._method("dot", args, kwargs)

    def flatten(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.flatten`, by the rules of the type."""
        return self._method("flatten", args, kwargs)

    def max(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.max`, by the rules of the type."""
        return self._method("max", args, kwargs)

    def mean(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.mean`, by the rules of the type."""
        return self._method("mean", args, kwargs)

    def min(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.min`, by the rules of the type."""
        return self._method("min", args, kwargs)

    def nonzero(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """`jax.Array.nonzero`, by the rules of the type."""
        return self._method("nonzero", args, kwargs)

    def prod(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.prod`, by the rules of the type."""
        return self._method("prod", args, kwargs)

    def ptp(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.ptp`, by the rules of the type."""
        return self._method("ptp", args, kwargs)

    def ravel(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.ravel`, by the rules of the type."""
        return self._method("ravel", args, kwargs)

    def repeat(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.repeat`, by the rules of the type."""
        return self._method("repeat", args, kwargs)

    def reshape(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.reshape`, by the rules of the type."""
        return self._method("reshape", args, kwargs)

    def round(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.round`, by the rules of the type."""
        return self._method("round", args, kwargs)

    def searchsorted(self, *args: Any, **kwargs: Any) -> Plain:
        """`jax.Array.searchsorted`, by the rules of the type."""
        return self._method("searchsorted", args, kwargs)

    def sort(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.sort`, by the rules of the type."""
        return self._method("sort", args, kwargs)

    def squeeze(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.squeeze`, by the rules of the type."""
        return self._method("squeeze", args, kwargs)

    def std(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.std`, by the rules of the type."""
        return self._method("std", args, kwargs)

    def sum(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.sum`, by the rules of the type."""
        return self._method("sum", args, kwargs)

    def swapaxes(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.swapaxes`, by the rules of the type."""
        return self._method("swapaxes", args, kwargs)

    def take(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.take`, by the rules of the type."""
        return self._method("take", args, kwargs)

    def trace(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.trace`, by the rules of the type."""
        return self._method("trace", args, kwargs)

    def transpose(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.transpose`, by the rules of the type."""
        return self._method("transpose", args, kwargs)

    def var(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.var`, by the rules of the type."""
        return self._method("var", args, kwargs)

    def view(self: V, *args: Any, **kwargs: Any) -> V:
        """`jax.Array.view`, by the rules of the type."""
        return self._method("view", args, kwargs)


bound_methods(Operators)
bound_methods(ArrayMethods)

NAMES = frozenset(name for name in vars(ArrayMethods) if not name.startswith("_"))
"""What a field of a type may be called as well."""
