"""A cache whose entries live no longer than the objects that they describe."""

import weakref
from typing import Any


class WeakCache:
    """Maps `(owner, key)` to a result; an entry goes when its owner does.

    Owners are jaxprs and functions, told apart by identity.
    """

    def __init__(self):
        self._entries: dict[int, tuple[Any, dict[Any, Any]]] = {}

    def get(self, owner: Any, key: Any) -> Any:
        entry = self._entries.get(id(owner))
        return None if entry is None else entry[1].get(key)

    def put(self, owner: Any, key: Any, result: Any) -> None:
        number = id(owner)
        entry = self._entries.get(number)
        if entry is None:
            entries = self._entries
            reference = weakref.ref(owner, lambda _: entries.pop(number, None))
            entry = self._entries[number] = (reference, {})
        entry[1][key] = result

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return sum(len(results) for _, results in self._entries.values())
