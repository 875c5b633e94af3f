"""Equinox modules, built without most of Equinox's checks."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax.core
from equinox._module._module import (
    _currently_initialising as _initialising,  # private: 0.13
    is_abstract_module,  # private: 0.13
)

if TYPE_CHECKING:  # a class to type checkers, which need to know that values are data classes
    from equinox._module._module import _ModuleMeta as ModuleMeta
else:
    ModuleMeta = type(eqx.Module)


class _Construction(NamedTuple):
    """A step that is carried out after a module's `__init__`."""

    fields: tuple[str, ...]
    static: tuple[str, ...]
    converters: tuple[tuple[str, Callable], ...]
    checks: tuple[Callable, ...]


_constructions: dict[type, _Construction | None] = {}


def construct(cls: Any, slow: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """`cls(*args, **kwargs)` for an Equinox module, without most of Equinox's checks of it.

    Rules build values all the time, and checks take nine tenths of that time. They also flatten the
    arguments, of which a static one need not be a pytree. Kept: abstract classes, missing fields,
    converters, `__check_init__`, and the warning about arrays in static fields. Private: Equinox
    0.13's set of the instances that may assign their fields.
    """
    try:
        plan = _constructions[cls]
    except KeyError:
        plan = _constructions[cls] = _plan(cls)
    if plan is None:
        return slow(*args, **kwargs)
    self = cls.__new__(cls, *args, **kwargs)
    try:
        if not isinstance(self, cls):
            return self
        cls.__init__(self, *args, **kwargs)
    finally:
        if self in _initialising:
            _initialising.remove(self)
    missing = [name for name in plan.fields if not hasattr(self, name)]
    if missing:
        raise TypeError(f"`{cls.__name__}.__init__` did not set {', '.join(missing)}.")
    for name, converter in plan.converters:
        object.__setattr__(self, name, converter(getattr(self, name)))
    for name in plan.static:
        if isinstance(getattr(self, name), jax.Array):
            warnings.warn(
                f"A JAX array is set as the static field `{name}` of `{cls.__name__}`.",
                stacklevel=3,
            )
    for check in plan.checks:
        check(self)
    return self


def _plan(cls: Any) -> _Construction | None:
    if cls.__abstractmethods__ or is_abstract_module(cls):
        return None
    fields = dataclasses.fields(cls)
    return _Construction(
        tuple(f.name for f in fields),
        tuple(f.name for f in fields if f.metadata.get("static", False)),
        tuple((f.name, c) for f in fields if (c := f.metadata.get("converter")) is not None),
        tuple(c.__dict__["__check_init__"] for c in cls.__mro__ if "__check_init__" in c.__dict__),
    )
