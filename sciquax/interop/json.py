"""Quantities in JSON: `json.dumps(tree, default=encode)`, `json.loads(text, object_hook=decode)`.

A quantity is `{"__quantity__": unit, "dtype": ..., "magnitude": numbers}`, nested lists by shape;
complex numbers are pairs. Every digit is kept; nan and infinities are as Python's `json` has them.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.units import Quantity

_KEY = "__quantity__"


def encode(x: Any) -> dict[str, Any]:
    """A quantity as what `json` can write.

    **Raises** TypeError for anything else, as `json` wants it.

    ```python
    >>> import json
    >>> from sciquax.interop.json import decode, encode
    >>> from sciquax.units import Quantity
    >>> text = json.dumps({"v": Quantity(3.0, "km/hour")}, default=encode)
    >>> json.loads(text, object_hook=decode)
    {'v': Quantity(3.0, 'km/h')}

    ```
    """
    if not isinstance(x, Quantity):
        raise TypeError(f"Object of type {type(x).__name__} is not JSON serializable")
    array = np.asarray(x.magnitude)
    numbers = array
    if jnp.iscomplexobj(array):
        numbers = np.stack([np.real(array), np.imag(array)], axis=-1)
    if array.dtype.kind == "V" or jnp.issubdtype(array.dtype, jnp.floating):
        numbers = numbers.astype(np.float64)  # exact: bfloat16 and its kind are no JSON numbers
    found = {_KEY: str(x.units), "dtype": array.dtype.name, "magnitude": numbers.tolist()}
    if 0 in array.shape:
        found["shape"] = list(array.shape)
    return found


def decode(item: dict[str, Any]) -> Any:
    """An `object_hook` of `json.loads`: quantities that `encode` wrote; others as they are."""
    if _KEY not in item:
        return item
    dtype = jnp.dtype(item["dtype"])
    if jnp.issubdtype(dtype, jnp.complexfloating):
        pairs = np.asarray(item["magnitude"], np.float64).reshape(*item.get("shape", ()), -1, 2)
        numbers = pairs[..., 0] + 1j * pairs[..., 1]
        shape = np.shape(item["magnitude"])[:-1] if "shape" not in item else item["shape"]
        numbers = numbers.reshape(shape)
    else:
        numbers = np.asarray(item["magnitude"])
        numbers = numbers.reshape(item["shape"]) if "shape" in item else numbers
    if not jax.config.jax_enable_x64 and dtype.itemsize > (8 if dtype.kind == "c" else 4):  # pyright: ignore[reportAttributeAccessIssue]
        # As JAX has it: a double without x64 is a float.
        dtype = jax.dtypes.canonicalize_dtype(dtype)
    return Quantity(jnp.asarray(numbers.astype(dtype)), item[_KEY])
