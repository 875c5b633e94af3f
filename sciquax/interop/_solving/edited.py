"""Copies of parts of a solve with other contents and of the same class."""

from typing import Any, TypeVar

P = TypeVar("P")


def edited(part: P, cls: type | None = None, **fields: Any) -> P:
    """A copy of a module with other fields.

    It is of the same class: what a subclass of the user's overrides stays overridden, and fields
    that another release has added are kept. `__init__`, which may convert once more, is not asked.

    **Arguments**: the module; a class to make of it, if not its own; and the new fields.
    """
    copy = object.__new__(cls or type(part))
    for name, value in {**vars(part), **fields}.items():
        object.__setattr__(copy, name, value)
    return copy  # pyright: ignore[reportReturnType]
