"""JAX's registries of array types and pytrees."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax.tree_util as jtu
import numpy as np
from jax._src import (
    core as _jax_core,  # private: typeof (0.10 to 0.12)
    dtypes,  # private: 0.10 to 0.12
)

is_weakly_typed = dtypes.is_weakly_typed


def admit_operand(cls: type, aval: Callable[[Any], Any], convert: Callable[[Any], Any]) -> None:
    """Make `primitive.bind` and `lax` functions accept instances of `cls` as they are.

    These do not ask for `__jax_array__`; they look types up in two tables (0.10 to 0.12), which
    say what the type's abstract value is and what array or tracer stands for it. `convert` may
    raise: `bind` makes a `TypeError` its own, so that ours is raised a step later.
    """

    def converted(x: Any) -> Any:
        try:
            return convert(x)
        except TypeError as error:
            return _Refused(error)

    _jax_core.pytype_aval_mappings[cls] = aval
    dtypes.register_canonicalize_value_handler(cls, converted)


class _Refused(_jax_core.Tracer):
    """A placeholder that raises an operand's error when `bind` checks its trace."""

    __slots__ = ("error",)

    def __init__(self, error: TypeError):
        self.error = error
        self._trace: Any = self
        self.aval: Any = _jax_core.ShapedArray((), np.dtype(np.float32))

    def is_valid(self) -> bool:
        raise self.error


_jax_core.pytype_aval_mappings[_Refused] = lambda x: x.aval


def guard_array_type(kind: type, check: Callable[[Any], None]) -> None:
    """Call `check(x)` on every `kind`, a subclass of NumPy's array, that JAX receives.

    JAX looks a class up by its bases (`pytype_aval_mappings`, private, 0.10 to 0.12): what is not
    its own counts as an array of bare numbers.
    """
    mappings = _jax_core.pytype_aval_mappings
    base = mappings[np.ndarray]

    def aval_of(x: Any) -> Any:
        check(x)
        return base(x)

    mappings[kind] = aval_of


def add_property_of_tracers(name: str, get: Callable[[Any], Any]) -> None:
    """Give every tracer a property; a tracer for which `get` raises AttributeError has none.

    JAX asks the abstract value's class for what a tracer lacks (0.10 to 0.12).
    """
    setattr(_jax_core.ShapedArray, name, _jax_core.aval_property(get))


# -- Equinox: fast flattening ---------------------------------------------------------------------

_registration = threading.Lock()


@contextlib.contextmanager
def pytree_registration(
    flatten: Callable[..., Any],
    flatten_with_keys: Callable[..., Any],
    unflatten: Callable[..., Any],
) -> Iterator[None]:
    """While active, the `eqx.Module` being defined registers these pytree functions.

    Equinox 0.13 generates flattening code that checks for missing and wrapper fields; for a type
    that a jitted call may hold twenty of, that check is most of the call. There is no public way
    to give a module other functions, and JAX refuses a second registration.
    """

    def register(cls: Any) -> None:
        _register_pytree(
            cls,
            flatten_with_keys=flatten_with_keys,
            flatten_func=flatten,
            unflatten_func=lambda aux, children: unflatten(cls, aux, children),
        )

    with _registered_by(register):
        yield


@contextlib.contextmanager
def dataclass_registration(leaves: Sequence[str], static: Sequence[str]) -> Iterator[None]:
    """While active, the `eqx.Module` being defined is registered as a dataclass of these fields.

    JAX flattens it in C++, and unflattens it by calling the class with the fields as keywords.
    `==` of JAX's tree structures ignores the class of a dataclass (JAX 0.10 to 0.12).
    """

    def register(cls: Any) -> None:
        jtu.register_dataclass(cls, data_fields=[*leaves], meta_fields=[*static])

    with _registered_by(register):
        yield


_register_pytree = jtu.register_pytree_with_keys


@contextlib.contextmanager
def _registered_by(register: Callable[[Any], None]) -> Iterator[None]:
    with _registration:
        jtu.register_pytree_with_keys = lambda cls, **_: register(cls)
        try:
            yield
        finally:
            jtu.register_pytree_with_keys = _register_pytree
