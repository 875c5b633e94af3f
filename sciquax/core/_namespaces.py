"""JAX's namespaces, already quaxified: `import sciquax.numpy as jnp`."""

import sys
import types
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from ._stage.compiled import call_compiled, is_compiled_function
from ._stage.quaxify import _Quaxify, call
from ._values.mode import leaving


class Namespace(types.ModuleType):
    """A module whose functions are those of a JAX module, quaxified when first asked for.

    Sub-namespaces (`linalg`, `fft`) are namespaces too. Classes, dtypes and constants pass through.
    """

    def __init__(self, name: str, source: types.ModuleType):
        super().__init__(name, f"`{source.__name__}`, taking custom array-ish values.")
        self._source = source
        self.__path__: list[str] = []  # pyright: ignore[reportIncompatibleVariableOverride]
        for sub, module in public_names(source).items():
            if isinstance(module, types.ModuleType):
                inner = Namespace(f"{name}.{sub}", module)
                sys.modules[inner.__name__] = inner
                self.__dict__[sub] = inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = getattr(self._source, name)
        except AttributeError:
            raise AttributeError(
                f"`{self._source.__name__}` has no attribute {name!r}", name=name, obj=self
            ) from None
        if callable(found) and not isinstance(found, type) and not _is_dtype(found):
            found = _quaxified(found)
        self.__dict__[name] = found
        return found

    def __dir__(self) -> list[str]:
        return sorted({*public_names(self._source), "__doc__", "__name__"})


def public_names(source: types.ModuleType) -> dict[str, Any]:
    """The public names of a JAX namespace, and its own submodules."""
    named = {name: getattr(source, name) for name in dir(source) if not name.startswith("_")}
    return {
        name: x
        for name, x in named.items()
        if not isinstance(x, types.ModuleType) or x.__name__ == f"{source.__name__}.{name}"
    }


class _Function(_Quaxify):
    """A function of a JAX namespace, quaxified."""

    # Equinox's, written in Python, makes methods pytrees; it costs 0.3 us at each attribute.
    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fn = self.fn
        try:
            return (call_compiled if is_compiled_function(fn) else call)(fn, args, kwargs)
        except Exception as error:
            leaving(error)
            raise


class _Ufunc(_Function):
    """A ufunc of a JAX namespace, with its methods."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("fn", "filter_spec"):
            raise AttributeError(name)
        found = getattr(self.fn, name)
        return _quaxified(found) if callable(found) else found


class _FunctionMaker(_Function):
    """`jnp.vectorize` and its kind: the function that it returns is quaxified."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _quaxified(self.fn(*args, **kwargs))


_MAKERS = ("vectorize", "frompyfunc")


def _quaxified(function: Any) -> Any:
    if isinstance(function, jnp.ufunc):
        return _Ufunc(function, True)
    kind = _FunctionMaker if getattr(function, "__name__", "") in _MAKERS else _Function
    return kind.around(function)


def _is_dtype(x: Any) -> bool:
    """`jnp.float32` and its kind: callable, but scalar types rather than functions."""
    return hasattr(x, "dtype") and hasattr(x, "__name__") and type(x).__name__ == "_ScalarMeta"
