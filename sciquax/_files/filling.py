"""A value filled with the arrays of a file."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import is_value, user_line

from .comparison import StoredTypeError, reading_of
from .descriptions import entries, parts


def places(node: Any, like: Any) -> list[Any]:
    """The arrays of `like`, which `check` has passed, in the order in which the file has them."""
    if node is None:
        return []
    if "fields" in node:
        own = parts(like).fields
        return [y for name, x in node["fields"].items() for y in places(x, own[name])]
    if "tree" in node:
        inside = entries(like)
        return [y for path, x in node["tree"] for y in places(x, inside[path])]
    return [like]


def fill(node: Any, like: Any, arrays: list[Any], source: str) -> Any:
    """`like`, which `check` has passed, with the arrays of the file: in its own units.

    **Arguments**: the file's description; the tree; the arrays in the file's order; what error
    messages call the file.

    **Raises** `StoredTypeError` where numbers cannot be converted.
    """
    supply = iter(arrays)

    def filled(node: Any, like: Any, path: str) -> Any:
        if node is None:
            return None
        if "fields" in node:
            own = parts(like)
            got = {
                name: filled(x, own.fields[name], f"{path}.{name}")
                for name, x in node["fields"].items()
            }
            value = own.tree.unflatten([got[name] for name in own.fields])
            return converted(value, node["static"], path, source)
        if "tree" in node:
            inside = entries(like)
            got = {p: filled(x, inside[p], path + p) for p, x in node["tree"]}
            keyed, tree = jtu.tree_flatten_with_path(like, is_leaf=is_value)
            return tree.unflatten([got.get(jtu.keystr(p), x) for p, x in keyed])
        return placed(next(supply), like)

    return filled(node, like, "")


def converted(value: Any, static: dict[str, Any], path: str, source: str) -> Any:
    """A value that was read, from the static fields that the file has to its own."""
    convert: Callable[..., Any] = reading_of(type(value)).convert
    try:
        return convert(value, static)
    except (ValueError, OverflowError) as error:
        place = f"At {path} the" if path else "The"
        raise StoredTypeError(f"{place} {source} has {error}").at(user_line()) from None


# -- arrays as they are stored --------------------------------------------------------------------


def plain(x: Any) -> Any:
    """An array, or a Python number, as one that formats can hold: the data of a key."""
    if isinstance(x, (bool, int, float, complex)):
        return np.asarray(x)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(x)
    return x


def placed(x: Any, like: Any) -> Any:
    """An entry made by `plain`, as what stands in `like`: JAX's, NumPy's, a number, a key."""
    if isinstance(like, (jax.Array, jax.ShapeDtypeStruct)):
        x = jnp.asarray(x)
        if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(x, impl=_implementation(like.dtype))
        return x
    if isinstance(like, np.ndarray):
        return np.asarray(x)
    number = np.asarray(x)[()]
    return number if isinstance(like, np.generic) else type(like)(number.item())


def _implementation(dtype: Any) -> str:
    for name in ("threefry2x32", "rbg", "unsafe_rbg"):
        if jax.random.key(0, impl=name).dtype == dtype:
            return name
    raise ValueError(f"Keys of the dtype {dtype} cannot be read.")
