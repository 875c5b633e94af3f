"""Array methods and `.at` of quantities, where they differ from those of other values."""

from typing import Any

from sciquax.core import ArrayValue

from .arithmetic import filled_with
from .base import QuantityBase


class ArrayMethods(QuantityBase):
    """Array methods of [`sciquax.units.Quantity`][] that differ from those of other values."""

    def tolist(self) -> Any:
        """Nested lists of scalar quantities."""
        x: Any = self
        return x if x.ndim == 0 else [row.tolist() for row in x]

    def take(self, indices: Any, *args: Any, **kwargs: Any) -> Any:
        """`jax.Array.take`; the fill value may be a quantity."""
        if isinstance(kwargs.get("fill_value"), QuantityBase):
            fill_value = kwargs.pop("fill_value")
            pick = lambda x, fill: x.take(indices, *args, fill_value=fill, **kwargs)  # noqa: E731
            return filled_with("take", self, fill_value, pick)
        return ArrayValue.take(self, indices, *args, **kwargs)  # pyright: ignore

    def _update(self, index: Any, op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`.at[index].what(...)`; the fill value of `get` may be a quantity."""
        x: Any = self
        if op == "get" and isinstance(kwargs.get("fill_value"), QuantityBase):
            fill_value = kwargs.pop("fill_value")
            pick = lambda x, fill: x.at[index].get(fill_value=fill, **kwargs)  # noqa: E731
            return filled_with("at[...].get", x, fill_value, pick)
        return ArrayValue._update(x, index, op, args, kwargs)
