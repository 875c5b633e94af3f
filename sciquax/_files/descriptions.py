"""The type of a tree of values and arrays, in the words of JSON.

- A value: `{"class": name, "static": {field: ...}, "fields": {field: description}}`.
- An array: `{"dtype": ..., "shape": [...]}`, `{"key": "key<fry>", "shape": [...]}` or, of a
  Python number, `{"python": "float"}`.
- A tree of these: `{"tree": [[path, description], ...]}`. Leaves that are none are not stored.
- Nothing, in a field: null.
"""

import dataclasses
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import VALUE_TYPES, is_value, short_aval
from sciquax.core.internal import quoted

from .static_parts import dtype_text, written

PYTHON = {"bool": bool, "int": int, "float": float, "complex": complex}


class Parts(NamedTuple):
    """One value taken apart.

    **Attributes**: `fields`, by name what it holds: arrays, values, trees of them, None; `static`,
    its other fields; `tree`, what makes one of new fields.
    """

    fields: dict[str, Any]
    static: dict[str, Any]
    tree: Any


def parts(value: Any) -> Parts:
    """A value taken apart."""
    keyed, tree = jtu.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    # By attribute where there is one: flattening is free to hand JAX something else.
    fields = {
        key.name if isinstance(key, jtu.GetAttrKey) else str(key): getattr(value, key.name)
        if isinstance(key, jtu.GetAttrKey)
        else child
        for ((key,), child) in keyed
    }
    names = [f.name for f in dataclasses.fields(value) if f.name not in fields]
    return Parts(fields, {name: getattr(value, name) for name in names}, tree)


def is_array(x: Any) -> bool:
    """Whether a leaf is stored: an array, a number, or what stands for an array."""
    kinds = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct, bool, int, float, complex)
    return isinstance(x, kinds)


def describe(x: Any) -> tuple[Any, list[Any]]:
    """The description of a tree, and its arrays in their order."""
    arrays: list[Any] = []
    return _described(x, arrays), arrays


def _described(x: Any, arrays: list[Any]) -> Any:
    if is_value(x):
        own = parts(x)
        return {
            "class": class_name(type(x)),
            "static": {k: written(y) for k, y in own.static.items()},
            "fields": {k: _described(y, arrays) for k, y in own.fields.items()},
        }
    if x is None:
        return None
    if is_array(x):
        arrays.append(x)
        return described_array(x)
    return {"tree": [[path, _described(y, arrays)] for path, y in entries(x).items()]}


def entries(tree: Any) -> dict[str, Any]:
    """The entries of a tree that are neither values nor arrays, by path."""
    leaves = jtu.tree_leaves_with_path(tree, is_leaf=is_value)
    return {jtu.keystr(path): x for path, x in leaves if is_value(x) or is_array(x)}


def described_array(x: Any) -> dict[str, Any]:
    if type(x).__name__ in PYTHON:
        return {"python": type(x).__name__}
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return {"key": str(x.dtype), "shape": list(x.shape)}
    return {"dtype": dtype_text(x.dtype), "shape": list(x.shape)}


def array_nodes(node: Any) -> list[dict[str, Any]]:
    """The descriptions of arrays in a description, in the order of the arrays."""
    if node is None:
        return []
    if "fields" in node:
        return [y for x in node["fields"].values() for y in array_nodes(x)]
    if "tree" in node:
        return [y for _, x in node["tree"] for y in array_nodes(x)]
    return [node]


# -- classes --------------------------------------------------------------------------------------


def class_name(kind: type) -> str:
    """A class by the name that it is imported by: without the private modules it stands in."""
    modules = kind.__module__.split(".")
    public = next((i for i, m in enumerate(modules) if m.startswith("_") and i), len(modules))
    return ".".join([*modules[:public], kind.__qualname__])


def same_class(lhs: str, rhs: str) -> bool:
    """Whether two names may be of one class: a script's is elsewhere when it is imported."""
    if lhs == rhs:
        return True
    for one, other in ((lhs, rhs), (rhs, lhs)):
        if one.startswith("__main__.") and other.endswith(one.removeprefix("__main__")):
            return True
    return False


def find_class(name: Any) -> type:
    """The type of values of this name. Only types that are imported already are found.

    **Raises** ValueError if there is none, or are several.
    """
    found = [k for k in VALUE_TYPES if isinstance(name, str) and same_class(class_name(k), name)]
    if len(found) > 1:  # a class that was defined anew: the one that its module has
        found = [k for k in found if getattr(sys.modules.get(k.__module__), k.__name__, k) is k]
    if len(found) == 1:
        return found[0]
    many = "Several types of values are" if found else "No type of values is"
    raise ValueError(f"{many} called {quoted(name)} here: import the module that defines it.")


def shown(node: Any) -> str:
    """A description in an error message: `NamedArray(Quantity(f32[2,3]))`."""
    if node is None:
        return "nothing"
    if "class" in node:
        inside = ", ".join(shown(x) for x in node["fields"].values() if x is not None)
        return f"{node['class'].rpartition('.')[2]}({inside})"
    if "python" in node:
        return f"a Python {node['python']}"
    if "tree" in node:
        return f"a tree of {len(node['tree'])}"
    if "dtype" in node:
        return short_aval(jax.ShapeDtypeStruct(node["shape"], jnp.dtype(node["dtype"])))
    return f"{node['key']}{node['shape']}"
