"""Jacobians of several arguments or outputs that a quaxified program takes itself.

JAX puts what belongs to several arguments, or outputs, into the rows of one array, which have
several units then. So `jax.jacfwd` and `jax.jacrev`, and `jax.hessian` of them, are given the block
of each argument, or output, by itself.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu

from .._compat import derivatives
from .._functions.intercept import add_hook
from .._values.mode import MODE
from .gradient_labels import PullBack, has_tracer, is_inexact


class _Basis:
    """The standard basis of several arrays, asked for while something is staged."""

    def __init__(self, tree: Any, make: Callable[..., Any]):
        self.leaves, self.structure = jtu.tree_flatten(tree)
        self.of_each = [make(x) for x in self.leaves]


class _Blocks:
    """The blocks of one Jacobian array, each of one argument or output, as a single leaf."""

    def __init__(self, blocks: list[Any]):
        self.blocks = blocks


def _std_basis(original: Callable[..., Any]) -> Callable[..., Any]:
    def std_basis(tree: Any) -> Any:
        leaves = jtu.tree_leaves(tree)
        apart = len(leaves) > 1 and MODE.staging and has_tracer(leaves)
        return _Basis(tree, original) if apart and all(map(is_inexact, leaves)) else original(tree)

    return std_basis


def _vmap(original: Callable[..., Any]) -> Callable[..., Any]:
    def vmap(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        mapped = original(fun, *args, **kwargs)
        func = getattr(fun, "func", None)
        if not MODE.staging or not (func is derivatives.push_forward or type(func) is PullBack):
            return mapped
        blocks = _columns if func is derivatives.push_forward else _rows

        @functools.wraps(mapped)
        def of_basis(*given: Any) -> Any:
            if len(given) == 1 and type(given[0]) is _Basis:
                return blocks(fun, given[0], lambda f: original(f, *args, **kwargs))
            return mapped(*given)

        return of_basis

    return vmap


def _columns(push: Any, basis: _Basis, mapped: Callable[..., Any]) -> Any:
    """The outputs of a pushforward and their derivatives by each leaf, for `jax.jacfwd`."""
    f, _ = push.args
    columns, out, rest = [], None, ()
    for i, (leaf, directions) in enumerate(zip(basis.leaves, basis.of_each, strict=True)):

        def by_one(x: Any, i: int = i) -> Any:
            leaves = [*basis.leaves]
            leaves[i] = x
            return f(*jtu.tree_unflatten(basis.structure, leaves))

        pushed = functools.partial(push.func, by_one, (leaf,), **push.keywords)
        out, column, *rest = mapped(pushed)((directions,))
        columns.append(column)
    return out, jtu.tree_map(lambda *xs: _Blocks([*xs]), *columns), *rest


def _rows(pull: Any, basis: _Basis, mapped: Callable[..., Any]) -> Any:
    """The derivatives of each leaf of the output by a pullback, for `jax.jacrev`."""
    _, _, primals = pull.args
    rows = []
    for i, directions in enumerate(basis.of_each):
        one = functools.partial(_leaf, pull.func.of, i)
        rows.append(mapped(jax.vjp(one, *primals)[1])(directions))
    return jtu.tree_map(lambda *xs: _Blocks([*xs]), *rows)


def _leaf(f: Callable[..., Any], i: int, *args: Any) -> Any:
    return jtu.tree_leaves(f(*args))[i]


def _unravel(original: Callable[..., Any]) -> Callable[..., Any]:
    def unravel(tree: Any, example: Any, found: Any) -> Any:
        if type(found) is not _Blocks:
            return original(tree, example, found)
        leaves, structure = jtu.tree_flatten(tree)
        blocks = [original(x, example, y) for x, y in zip(leaves, found.blocks, strict=True)]
        return jtu.tree_unflatten(structure, blocks)

    return unravel


add_hook(jax.vmap, _vmap)
add_hook(derivatives.standard_basis, _std_basis)
add_hook(derivatives.unravel_columns, _unravel)
add_hook(derivatives.unravel_rows, _unravel)
