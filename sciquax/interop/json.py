"""Values in JSON: `json.dumps(tree, default=encode)`, `json.loads(text, object_hook=decode)`.

A quantity of an array is `{"__quantity__": unit, "dtype": ..., "magnitude": numbers}`, nested lists
by shape; complex numbers are pairs. Any other value is `{"__value__": class, "version": 1,
"shape": ..., "static": ..., "fields": ...}`, its arrays `{"__array__": dtype, "shape": ...,
"numbers": ...}`: its whole type, as in files of `sciquax.interop.equinox` and in checkpoints. Every
digit is kept; nan and infinities are as Python's `json` has them.
"""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax._files.building import assembled
from sciquax._files.descriptions import class_name, parts
from sciquax._files.static_parts import dtype_text, read, written
from sciquax.core import ArrayValue, aval_of, from_foreign, is_value
from sciquax.core.internal import quoted
from sciquax.units import Quantity

_QUANTITY, _VALUE, _ARRAY = "__quantity__", "__value__", "__array__"
_VERSION = 1


def encode(x: Any) -> dict[str, Any]:
    """A value as what `json` can write.

    **Raises** TypeError for anything else, as `json` wants it; and for a value with a static field
    that no text can tell, such as a function.

    ```python
    >>> import json
    >>> from sciquax.interop.json import decode, encode
    >>> from sciquax.units import Quantity
    >>> text = json.dumps({"v": Quantity(3.0, "km/hour")}, default=encode)
    >>> json.loads(text, object_hook=decode)
    {'v': Quantity(3.0, 'km/h')}

    ```
    """
    x = from_foreign(x)
    if not is_value(x):
        raise TypeError(f"Object of type {type(x).__name__} is not JSON serializable")
    if type(x) is Quantity and not is_value(x.magnitude):
        array = _array(x.magnitude)
        shape = {"shape": array["shape"]} if 0 in array["shape"] else {}
        unit = {_QUANTITY: str(x.units), "dtype": array[_ARRAY]}
        return {**unit, "magnitude": array["numbers"], **shape}
    own = parts(x)
    return {
        _VALUE: class_name(type(x)),
        "version": _VERSION,
        "shape": _shape(x),
        "static": {name: _static(x, name, field) for name, field in own.static.items()},
        "fields": {name: _field(x, name, field) for name, field in own.fields.items()},
    }


def _static(x: Any, name: str, field: Any) -> Any:
    found = written(field)
    try:
        read(found)
    except ValueError as error:
        raise TypeError(f"`{name}` of a {type(x).__name__} cannot be in JSON: {error}") from None
    return found


def _field(x: Any, name: str, field: Any) -> Any:
    if field is None or is_value(field):
        return field
    if isinstance(field, (jax.Array, np.ndarray, np.generic)):
        return _array(field)
    raise TypeError(
        f"`{name}` of a {type(x).__name__} cannot be in JSON: a {type(field).__name__} is neither "
        "an array nor a value."
    )


def _array(x: Any) -> dict[str, Any]:
    """An array by its dtype, its shape and its numbers."""
    array = np.asarray(x)
    dtype, numbers = dtype_text(array.dtype), array
    if jnp.iscomplexobj(array):
        numbers = np.stack([np.real(array), np.imag(array)], axis=-1)
    elif array.dtype.kind in "mM":
        numbers = array.view(np.int64)
    elif jnp.issubdtype(array.dtype, jnp.floating):
        numbers = array.astype(np.float64)  # exact: bfloat16 and its kind are no JSON numbers
    elif jnp.issubdtype(array.dtype, jnp.integer) and array.dtype.kind == "V":
        numbers = array.astype(np.int64)
    found = {_ARRAY: dtype, "shape": list(array.shape), "numbers": numbers.tolist()}
    if isinstance(x, np.ndarray):
        found["host"] = True
    return found


def decode(item: dict[str, Any]) -> Any:
    """An `object_hook` of `json.loads`: values that `encode` wrote; others as they are.

    Only classes that are imported already are made; nothing that the text says is executed.

    **Raises** ValueError where the text is not what `encode` writes: a missing unit, numbers that
    the dtype does not hold.
    """
    if _QUANTITY in item:
        unit = item[_QUANTITY]
        if not isinstance(unit, str):
            raise ValueError(f"A quantity in JSON has the unit {quoted(unit)}, which is not text.")
        return Quantity(_numbers("quantity", item, "magnitude", item.get("dtype")), unit)
    if _ARRAY in item:
        return _numbers("array", item, "numbers", item[_ARRAY])
    return _value(item) if _VALUE in item else item


def _value(item: dict[str, Any]) -> Any:
    name, version = item[_VALUE], item.get("version")
    if version != _VERSION:
        raise ValueError(f"A value in JSON is of format {quoted(version)}; this reads {_VERSION}.")
    try:
        value = assembled(name, item["static"], item["fields"])
        getattr(
            value, "__check_init__", bool
        )()  # Equinox's name for what looks at a value's fields
        shape = _shape(value.canonical())
    except Exception as error:
        raise ValueError(f"The text has no {quoted(name)}: {error}") from error
    if shape != item.get("shape"):
        raise ValueError(
            f"The text has no {quoted(name)} of shape {quoted(item.get('shape'))}: its arrays make "
            f"one of shape {shape}."
        )
    return value


def _shape(x: Any) -> list[int]:
    return list(x.shape if isinstance(x, ArrayValue) else aval_of(x).shape)


def _numbers(what: str, item: dict[str, Any], key: str, dtype: Any) -> Any:
    """An array, as JAX has it: a double without x64 is a float.

    **Raises** ValueError for numbers that are none of the dtype.
    """
    try:
        kind, numbers = jnp.dtype(str(dtype)), item[key]
    except (KeyError, TypeError):
        raise ValueError(
            f"A{'n' * (what == 'array')} {what} in JSON has `{key}` and the name of a dtype, not "
            f"{quoted({k: x for k, x in item.items() if k != key})}."
        ) from None
    host = item.get("host") is True
    if not host and kind.kind in "mMUSO":
        raise ValueError(f"JAX has no arrays of {quoted(kind.name)}.")
    if not host:
        kind = jax.dtypes.canonicalize_dtype(kind)
    array = _of_dtype(numbers, kind)
    try:
        shape = tuple(map(operator.index, item.get("shape", array.shape)))
    except TypeError:
        shape = None
    if shape is None or array.shape != shape and (array.size or np.prod(shape)):
        raise ValueError(
            f"Numbers in JSON have the shape {quoted(item['shape'])}, by their lists "
            f"{list(array.shape)}."
        )
    array = array.reshape(shape)
    return array if host else jnp.asarray(array)


def _of_dtype(numbers: Any, dtype: Any) -> np.ndarray:
    """Nested lists as an array, with each number checked. **Raises** ValueError."""
    flat = np.array(numbers, dtype=object)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        if flat.size and flat.shape[-1:] != (2,):
            raise ValueError("A complex number in JSON is a pair.")
        part = np.float64 if dtype.itemsize == 16 else np.float32
        both = _of_dtype(numbers, np.dtype(part))
        if not both.size:
            return np.zeros(0, dtype)
        array = np.zeros(both.shape[:-1], dtype)
        array.real, array.imag = both[..., 0], both[..., 1]  # 1j * inf has a nan
        return array
    if dtype.kind in "mM":
        return _of_dtype(numbers, np.dtype(np.int64)).view(dtype)
    if not flat.size:
        return np.zeros(flat.shape, dtype)
    fits = _test_of(dtype)
    wrong = next((x for x in flat.flat if not fits(x)), None)
    if wrong is not None or any(x is None for x in flat.flat):
        raise ValueError(f"A number in JSON is {quoted(wrong)}, which is no {dtype.name}.")
    return (flat.astype(np.float64) if dtype.isbuiltin == 2 else flat).astype(dtype)


def _test_of(dtype: Any) -> Any:
    """A test whether a number of JSON fits a dtype."""
    if dtype.kind == "b":
        return lambda x: type(x) is bool
    if dtype.kind == "U":
        return lambda x: type(x) is str
    if jnp.issubdtype(dtype, jnp.integer):
        limits = jnp.iinfo(dtype)
        return lambda x: type(x) is int and limits.min <= x <= limits.max
    if jnp.issubdtype(dtype, jnp.floating):
        most = float(jnp.finfo(dtype).max)
        return lambda x: type(x) in (int, float) and (not -1e400 < x < 1e400 or abs(x) <= most)
    raise ValueError(f"JSON cannot hold arrays of {dtype}.")
