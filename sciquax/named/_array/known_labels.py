"""The known numbers, dates or strings that labels are given as."""

from typing import Any

import numpy as np

from sciquax.core import from_foreign, is_value, user_line
from sciquax.core.internal import Tracer, known_value, taken_apart

from .coordinates import Coordinate
from .errors import CoordinateError


def _several(values: Any) -> tuple[np.ndarray | None, Any]:
    """The labels of a list of quantities, in the unit of the first."""
    parts = [labels_of(x) for x in values]
    if any(leaf is None for leaf, _ in parts):
        return None, None
    known = [Coordinate(np.reshape(leaf, 1), tree) for leaf, tree in parts if leaf is not None]
    return np.concatenate([c.converted(known[0]) for c in known]), parts[0][1]


def labels_of(value: Any) -> tuple[np.ndarray | None, Any]:
    """The known numbers, dates or strings of an array, and the structure of the value around them.

    **Returns** None in place of the array, if it is only known when the program runs. **Raises**
    `CoordinateError` for a value of several arrays.
    """
    leaf, tree = value, None
    if isinstance(value, (list, tuple)) and any(map(is_value, value)):
        return _several(value)
    module = type(value).__module__.partition(".")[0]
    if not is_value(value) and hasattr(value, "dtype") and module not in ("pandas", "numpy"):
        foreign: Any = value
        taken = from_foreign(foreign[:1] if getattr(foreign, "ndim", 0) else foreign)
        if is_value(taken):  # another library's quantity: its numbers as they are
            numbers = foreign.magnitude if hasattr(foreign, "magnitude") else foreign.value
            return np.asarray(numbers), taken_apart(taken)[1]
    if is_value(value):
        leaves, tree = taken_apart(value)
        if len(leaves) != 1:
            raise CoordinateError(f"A {type(value).__name__} cannot be a coordinate.").at(
                user_line()
            )
        leaf = leaves[0]
    if isinstance(leaf, Tracer):
        return known_value(leaf), tree
    if isinstance(leaf, (list, tuple)) and any(isinstance(x, Tracer) for x in leaf):
        leaf = [known_value(x) for x in leaf]
        if any(x is None for x in leaf):
            return None, None
    return np.asarray(leaf), tree
