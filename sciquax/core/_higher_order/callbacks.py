"""Callbacks to the host: a value that does not materialise reaches the host function whole.

`jax.debug.print("{}", q)` prints the quantity with its unit; the function of a `pure_callback` is
called with the quantity. A value that materialises arrives as an array. What a host function
returns is what it declared: plain arrays.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.tree_util as jtu

from .._errors import LocatedError
from .._values.kinds import VALUE_TYPES, is_value
from .._values.types import flatten, type_of, unflatten
from .._values.unit_polymorphic import strip


def _for_host(x: Any) -> Any:
    x = strip(x)
    if type(x) not in VALUE_TYPES:
        return x
    try:
        return x.materialise()
    except LocatedError:
        return x


def debug_callback(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    operands = list(map(_for_host, operands))
    types = [type_of(x) for x in operands]
    inner = params["callback"]

    def callback(*leaves: Any) -> Any:
        return inner(*unflatten(types, leaves))

    return primitive.bind(*flatten(operands), **{**params, "callback": callback})


def debug_print(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    operands = list(map(_for_host, operands))
    static = dict(params["static_args"])
    given = iter(operands)
    tree = params["in_tree"]
    everything = [static[i] if i in static else next(given) for i in range(tree.num_leaves)]
    new_static: list[tuple[int, Any]] = []
    position = 0
    for i, x in enumerate(everything):
        if i in static:
            new_static.append((position, x))
        position += len(jtu.tree_leaves(x)) if type(x) in VALUE_TYPES else 1
    new = {**params, "in_tree": _with_values(tree, everything), "static_args": tuple(new_static)}
    return primitive.bind(*flatten(operands), **new)


@dataclasses.dataclass(frozen=True)  # equal for equal functions, by which JAX caches
class _HostFunction:
    """A host function whose results are arrays: a value among them materialises, or is refused."""

    function: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        out = self.function(*args, **kwargs)
        return jtu.tree_map(
            lambda x: x.materialise() if type(x) in VALUE_TYPES else x, out, is_leaf=is_value
        )


def host_callback(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """`pure_callback` and `io_callback`."""
    operands = list(map(_for_host, operands))
    callback = params["callback"]
    tree = _with_values(callback.in_tree, operands)
    function = _HostFunction(callback.callback_func)
    new = {
        **params,
        "callback": dataclasses.replace(callback, callback_func=function, in_tree=tree),
    }
    return primitive.bind(*flatten(operands), **new)


def _with_values(tree: Any, items: Sequence[Any]) -> Any:
    """`tree` with values in the places of leaves: their own leaves are its leaves then."""
    items = [x if type(x) in VALUE_TYPES else _LEAF for x in items]
    return jtu.tree_structure(jtu.tree_unflatten(tree, items))


_LEAF = object()
