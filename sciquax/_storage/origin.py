"""Which operation made a result that has no array, for the error where the array is needed."""

from collections.abc import Sequence
from typing import Any

from sciquax.core import RuleError, current_location, describe


class Origin:
    """The operation, and where it was: for the refusal. All are equal, since none is data."""

    __slots__ = ("location", "operation")

    def __init__(self, operation: str, location: Any):
        self.operation, self.location = operation, location

    @classmethod
    def here(cls, operation: str) -> "Origin":
        """Of an operation that is being interpreted."""
        return cls(operation, current_location())

    def __eq__(self, other: Any) -> bool:
        return type(other) is Origin

    def __hash__(self) -> int:
        return 0


def operation(primitive: Any, operands: Sequence[Any]) -> str:
    """How messages call it."""
    return f"`{primitive.name}` of ({', '.join(map(describe, operands))})"


def refusal(what: str) -> RuleError:
    """Of an operation on a sparse array."""
    return RuleError(
        f"{what} needs elements that are not stored.",
        "Pass `allow_materialise=True`, or call its `todense()`.",
    )
