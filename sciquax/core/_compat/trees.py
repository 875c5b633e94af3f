"""Intercepting pytrees that JAX is about to flatten."""

from collections.abc import Callable
from functools import partial
from typing import Any

from jax._src import (
    pjit,  # private: _infer_params (0.10 to 0.12)
    tree_util,  # private: the registries (0.10 to 0.12)
)

from .code import pass_through
from .jaxprs import SCALARS, as_array

taken_apart: Callable[..., tuple[list[Any], Any]] = tree_util.default_registry.flatten
"""`jax.tree.flatten`, whatever is intercepted."""


def with_arrays(x: Any) -> Any:
    """A pytree whose numbers that are literals of jaxprs are JAX's arrays."""
    leaves, tree = taken_apart(x)
    if not any(isinstance(leaf, SCALARS) for leaf in leaves):
        return x
    made = [as_array(leaf) if isinstance(leaf, SCALARS) else leaf for leaf in leaves]
    return tree.unflatten(made)


def intercept_trees(
    changed: Callable[[Any, Callable[[Any], bool] | None], Any], known: Callable[[Any], Any]
) -> None:
    """Make JAX flatten `changed(tree, is_leaf)` where it is given `tree`.

    A static argument of `jit` becomes `known(tree)`: it is not flattened.

    JAX's Python code asks registries, which are C++ objects that take attributes. `jit` hands one
    of them to C++ itself, so what it is called on is changed before.
    """
    names = ("default_registry", "none_leaf_registry", "tracing_registry")
    for registry in (getattr(tree_util, name) for name in names):
        for method, place in (("flatten", 0), ("flatten_with_path", 1)):
            setattr(registry, method, _changing(getattr(registry, method), changed, place))

    def hook_for(original: Callable[..., Any]) -> Callable[..., Any]:
        def infer(fun: Any, info: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if not info.static_argnums and not info.static_argnames:
                return original(fun, info, changed(args, None), changed(kwargs, None))
            places, names = set(info.static_argnums), set(info.static_argnames)
            return original(
                fun,
                info,
                tuple(known(x) if i in places else changed(x, None) for i, x in enumerate(args)),
                {k: known(x) if k in names else changed(x, None) for k, x in kwargs.items()},
            )

        return infer

    pass_through(pjit._infer_params, hook_for)


def _changing(original: Callable[..., Any], changed: Callable[..., Any], place: int) -> Callable:
    """A registry's method, of a tree and `is_leaf`, which may be given a path before the leaf."""

    def method(tree: Any, is_leaf: Callable[..., bool] | None = None) -> Any:
        asked = partial(is_leaf, ()) if is_leaf is not None and place else is_leaf
        return original(changed(tree, asked), is_leaf)

    return method
