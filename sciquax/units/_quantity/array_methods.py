"""What array methods and `.at` of quantities do that those of other arrays do not."""

from typing import Any

import jax.numpy as jnp

from sciquax.core import ArrayValue

from .arithmetic import filled_with
from .base import QuantityBase, bare


class ArrayMethods(QuantityBase):
    """What is particular to the methods of [`sciquax.units.Quantity`][]."""

    def tolist(self) -> Any:
        """Nested lists of scalar quantities."""
        x: Any = self
        return x if x.ndim == 0 else [row.tolist() for row in x]

    def take(self, indices: Any, *args: Any, **kwargs: Any) -> Any:
        """`jax.Array.take`; the fill value may be a quantity."""
        if isinstance(kwargs.get("fill_value"), QuantityBase):
            fill, unit = filled_with("take", self, kwargs["fill_value"])
            kwargs["fill_value"] = fill
            return bare(self.magnitude.take(indices, *args, **kwargs), unit)
        return ArrayValue.take(self, indices, *args, **kwargs)  # pyright: ignore

    def _update(self, index: Any, what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An update is converted to the quantity's unit; integers are, where that would cut off."""
        x: Any = self
        if what == "get" and isinstance(kwargs.get("fill_value"), QuantityBase):
            fill, unit = filled_with("at[...].get", x, kwargs["fill_value"])
            return bare(x.magnitude.at[index].get(**{**kwargs, "fill_value": fill}), unit)
        if what in ("set", "add", "subtract", "min", "max"):
            values = args[0]
            if (
                jnp.issubdtype(x.dtype, jnp.integer)
                and isinstance(values, QuantityBase)
                and values.units != self.units
            ):
                x = x.astype(jnp.result_type(float))
        return ArrayValue._update(x, index, what, args, kwargs)
