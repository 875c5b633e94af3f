"""Static fields of values, and what else is no array, in the words of JSON."""

import base64
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from sciquax.core.internal import quoted


class _Kind(NamedTuple):
    tag: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


_kinds: dict[type, _Kind] = {}


class Unreadable(ValueError):
    """Internal: a static field that can be compared, and not made again."""


def register_static(
    kind: type, tag: str, write: Callable[[Any], Any], read: Callable[[Any], Any]
) -> None:
    """Say how a type of static fields is written.

    **Arguments**: the type; a word that marks it in files; what makes something that `written`
    takes of an instance, and what makes an instance of that.
    """
    _kinds[kind] = _Kind(tag, write, read)


def written(x: Any) -> Any:
    """A static field as JSON. What is not known is told by its class and its text."""
    if x is None or type(x) in (bool, int, float, str):
        return x
    if isinstance(x, (np.bool_, np.integer)):
        return x.item()
    known = _kinds.get(type(x))
    if known is not None:
        return {known.tag: written(known.write(x))}
    if isinstance(x, (frozenset, set)):
        return {"set": sorted(map(written, x), key=text_of)}
    if isinstance(x, tuple):
        return {"tuple": [written(y) for y in x]}
    if isinstance(x, list):
        return [written(y) for y in x]
    if isinstance(x, dict):
        if all(type(k) is str for k in x):
            return {"names": {k: written(y) for k, y in x.items()}}
        return {"dict": [[written(k), written(y)] for k, y in x.items()]}
    if isinstance(x, complex):
        return {"complex": [x.real, x.imag]}
    if isinstance(x, np.dtype):
        return {"dtype": dtype_text(x)}
    if isinstance(x, (np.ndarray, np.generic)):
        return {"array": _written_array(np.asarray(x))}
    if callable(x) and hasattr(x, "__qualname__"):
        return {"function": f"{getattr(x, '__module__', None)}.{x.__qualname__}"}
    text = repr(x)
    return {"object": [type(x).__qualname__, text if " at 0x" not in text else None]}


def read(x: Any) -> Any:
    """The object from which `written` made this text.

    **Raises** `Unreadable` for functions and objects of types that nobody registered, ValueError
    for what `written` does not write.
    """
    if isinstance(x, list):
        return [read(y) for y in x]
    if not isinstance(x, dict):
        return x
    if len(x) != 1:
        raise ValueError(f"{quoted(x)} is no static field.")
    ((tag, y),) = x.items()
    try:
        return _read(tag, y)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{quoted(x)} is no static field: {error}") from None


def _read(tag: str, x: Any) -> Any:
    for known in _kinds.values():
        if tag == known.tag:
            return known.read(read(x))
    if tag == "set":
        return frozenset(map(read, x))
    if tag == "tuple":
        return tuple(map(read, x))
    if tag == "names":
        return {k: read(y) for k, y in x.items()}
    if tag == "dict":
        return {read(k): read(y) for k, y in x}
    if tag == "complex":
        return complex(*x)
    if tag == "dtype":
        return jnp.dtype(x)
    if tag == "array":
        return _read_array(x)
    if tag in ("function", "object"):
        raise Unreadable(f"{quoted(x)} cannot be made from a file.")
    raise ValueError(f"{quoted(tag)} is not a kind of static field that this release knows.")


def shown(x: Any) -> str:
    """The static part in an error message."""
    if isinstance(x, dict) and "set" in x:
        return f"{{{', '.join(map(shown, x['set']))}}}"
    try:
        return quoted(read(x))
    except ValueError:
        return quoted(x)


def text_of(x: Any) -> str:
    """The static part as the text by which it is compared."""
    return json.dumps(x, sort_keys=True)


def dtype_text(dtype: Any) -> str:
    """A dtype's name, from which `jnp.dtype` makes it."""
    dtype = np.dtype(dtype)
    if dtype.hasobject or dtype.names is not None:
        raise TypeError(f"A file cannot hold arrays of the dtype {quoted(str(dtype))}.")
    return dtype.str if dtype.kind in "US" else dtype.name


def _written_array(x: np.ndarray) -> dict[str, Any]:
    if x.dtype.kind in "OU":
        return {"shape": list(x.shape), "items": [written(y) for y in x.reshape(-1).tolist()]}
    data = base64.b64encode(np.ascontiguousarray(x).tobytes()).decode()
    return {"dtype": x.dtype.str, "shape": list(x.shape), "base64": data}


def _read_array(x: Any) -> Any:
    if "items" in x:
        items = [read(y) for y in x["items"]]
        array = np.empty(len(items), object)
        array[:] = items
        if items and all(isinstance(y, str) for y in items):
            array = array.astype(str)
        return array.reshape(x["shape"])
    data = base64.b64decode(x["base64"], validate=True)
    array = np.frombuffer(data, np.dtype(x["dtype"])).reshape(x["shape"])
    return array[()]
