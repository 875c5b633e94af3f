"""Moving quantities out of the static fields of modules.

JAX tells programs apart by the static fields of what they are called on, and compares those by `==`
while it traces. Two quantities it cannot compare then. So the modules that a solve is given have
them in fields that are not static: what is compiled does not depend on their numbers.
"""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax.tree_util as jtu

from sciquax.core import is_value

from .edited import edited


def without_static_quantities(tree: Any) -> Any:
    """A tree whose modules hold their values in fields that are not static."""
    leaves, structure = jtu.tree_flatten(tree, is_leaf=_is_leaf)
    changed = [_changed(x) if _is_module(x) else x for x in leaves]
    if all(x is y for x, y in zip(leaves, changed, strict=True)):
        return tree
    return structure.unflatten(changed)


def _is_leaf(x: Any) -> bool:
    return isinstance(x, eqx.Module) or is_value(x)


def _is_module(x: Any) -> bool:
    return isinstance(x, eqx.Module) and not is_value(x)


def _changed(module: Any) -> Any:
    held, static = vars(module), []
    new = {}
    for name, is_static in _fields(type(module)):
        value = held.get(name)
        if is_static:
            if is_value(value):
                static.append(name)
        elif value is not None:
            found = without_static_quantities(value)
            if found is not value:
                new[name] = found
    if not static and not new:
        return module
    return edited(module, _with_fields(type(module), tuple(static)) if static else None, **new)


@functools.cache
def _fields(cls: type) -> tuple[tuple[str, bool], ...]:
    fields = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    return tuple((field.name, bool(field.metadata.get("static"))) for field in fields)


@functools.cache
def _with_fields(cls: type, names: tuple[str, ...]) -> type:
    """The class with some of its static fields not static."""
    body = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(cls)(cls.__name__, (cls,), body | {"__annotations__": dict.fromkeys(names, Any)})
