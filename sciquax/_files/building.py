"""A value made from its description alone."""

import dataclasses
from typing import Any

from .descriptions import find_class
from .static_parts import read


def build(node: Any, arrays: list[Any]) -> Any:
    """The value that a description tells, of these arrays.

    **Raises** ValueError where it holds what only a value to be filled can tell.
    """
    supply = iter(arrays)

    def built(node: Any) -> Any:
        if node is None:
            return None
        if "fields" in node:
            fields = {name: built(x) for name, x in node["fields"].items()}
            return assembled(node["class"], node["static"], fields)
        if "tree" in node:
            raise ValueError("A tree within a value is made by that value's class alone.")
        return next(supply)

    return built(node)


def assembled(name: Any, static: dict[str, Any], fields: dict[str, Any]) -> Any:
    """A value by the name of its class, its static fields as they are written, and its others.

    **Raises** ValueError if there is no such class, or these are not its fields.
    """
    kind = find_class(name)
    value = object.__new__(kind)
    given = {**fields, **{k: read(x) for k, x in static.items()}}
    known: Any = kind
    if {f.name for f in dataclasses.fields(known)} != set(given):
        raise ValueError(f"`{name}` has different fields from {', '.join(sorted(given))}.")
    for field, x in given.items():
        object.__setattr__(value, field, x)
    return value
