"""The array methods of quantities, and `.at`: `jax.Array`'s own, quaxified."""

import functools
from typing import Any

import jax.numpy as jnp

import sciquax.numpy as sqnp
from sciquax.core import quaxify


class _Method:
    """A method of `jax.Array`, quaxified."""

    def __init__(self, name: str):
        self.name = name
        self.__doc__ = f"`jax.Array.{name}`, with units."

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        name = self.name

        def method(*args: Any, **kwargs: Any) -> Any:
            return quaxify(lambda x, args, kwargs: getattr(x, name)(*args, **kwargs))(
                instance, args, kwargs
            )

        method.__name__, method.__doc__ = name, self.__doc__
        return method


class _AsFunction(_Method):
    """A method as the function of `sciquax.numpy`, whose rule is for the whole function."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        return functools.partial(getattr(sqnp, self.name), instance)


class _Property:
    """An attribute of `jax.Array` that is an array, quaxified."""

    def __init__(self, name: str):
        self.name = name
        self.__doc__ = f"`jax.Array.{name}`, with the unit."

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else quaxify(lambda x: getattr(x, self.name))(instance)


class ArrayMethods:
    """The methods that [`sciquax.units.Quantity`][] has from `jax.Array`."""

    all = _Method("all")
    any = _Method("any")
    argmax = _Method("argmax")
    argmin = _Method("argmin")
    argpartition = _Method("argpartition")
    argsort = _Method("argsort")
    astype = _Method("astype")
    clip = _AsFunction("clip")
    compress = _Method("compress")
    conj = _Method("conj")
    conjugate = _Method("conjugate")
    copy = _Method("copy")
    cumprod = _Method("cumprod")
    cumsum = _Method("cumsum")
    diagonal = _Method("diagonal")
    dot = _Method("dot")
    flatten = _Method("flatten")
    max = _Method("max")
    mean = _AsFunction("mean")
    min = _Method("min")
    prod = _Method("prod")
    ptp = _AsFunction("ptp")
    ravel = _Method("ravel")
    repeat = _Method("repeat")
    reshape = _Method("reshape")
    round = _Method("round")
    searchsorted = _Method("searchsorted")
    sort = _Method("sort")
    squeeze = _Method("squeeze")
    std = _AsFunction("std")
    sum = _Method("sum")
    swapaxes = _Method("swapaxes")
    take = _Method("take")
    trace = _Method("trace")
    transpose = _Method("transpose")
    var = _AsFunction("var")
    T = _Property("T")
    mT = _Property("mT")
    real = _Property("real")
    imag = _Property("imag")

    def nonzero(self, *, size: Any = None, fill_value: Any = None) -> Any:
        """The places of what is not zero: plain integers."""
        return sqnp.nonzero(self, size=size, fill_value=fill_value)

    def tolist(self) -> Any:
        """Nested lists of scalar quantities."""
        x: Any = self
        return x if x.ndim == 0 else [row.tolist() for row in x]

    @property
    def at(self) -> "At":
        """Indexed updates, as `jax.Array.at`: `q.at[i].set(Quantity(1.0, "m"))`.

        The update is converted to the quantity's unit. **Raises** `DimensionalityError` for an
        update that measures something else.
        """
        return At(self)


class At:
    """`quantity.at`: index it to get an [`IndexedUpdate`][]."""

    __slots__ = ("_quantity",)

    def __init__(self, quantity: Any):
        self._quantity = quantity

    def __getitem__(self, index: Any) -> "IndexedUpdate":
        return IndexedUpdate(self._quantity, index)


def _as_wide(quantity: Any, values: Any) -> Any:
    """An integer quantity in floating point, where an update in another unit would be cut off."""
    if (
        jnp.issubdtype(quantity.dtype, jnp.integer)
        and isinstance(values, type(quantity))
        and values.units != quantity.units
    ):
        return quantity.astype(jnp.result_type(float))
    return quantity


class IndexedUpdate:
    """`quantity.at[index]`: what to do there. Keywords (`mode=` and so on) are JAX's."""

    __slots__ = ("_index", "_quantity")

    def __init__(self, quantity: Any, index: Any):
        self._quantity, self._index = quantity, index

    def _update(self, method: str, *args: Any, **kwargs: Any) -> Any:
        quantity = self._quantity
        if method in ("set", "add", "subtract", "min", "max"):
            quantity = _as_wide(quantity, args[0])

        def update(x: Any, index: Any, args: Any) -> Any:
            return getattr(x.at[index], method)(*args, **kwargs)

        return quaxify(update)(quantity, self._index, args)

    def set(self, values: Any, **kwargs: Any) -> Any:
        return self._update("set", values, **kwargs)

    def add(self, values: Any, **kwargs: Any) -> Any:
        return self._update("add", values, **kwargs)

    def subtract(self, values: Any, **kwargs: Any) -> Any:
        return self._update("subtract", values, **kwargs)

    def multiply(self, values: Any, **kwargs: Any) -> Any:
        return self._update("multiply", values, **kwargs)

    mul = multiply

    def divide(self, values: Any, **kwargs: Any) -> Any:
        return self._update("divide", values, **kwargs)

    def power(self, values: Any, **kwargs: Any) -> Any:
        return self._update("power", values, **kwargs)

    def min(self, values: Any, **kwargs: Any) -> Any:
        return self._update("min", values, **kwargs)

    def max(self, values: Any, **kwargs: Any) -> Any:
        return self._update("max", values, **kwargs)

    def get(self, **kwargs: Any) -> Any:
        return self._update("get", **kwargs)

    def apply(self, function: Any, **kwargs: Any) -> Any:
        return self._update("apply", function, **kwargs)
