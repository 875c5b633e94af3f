"""Where a result that has no array of its own came from, for the refusal."""

from typing import Any

from sciquax.core import current_location


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
