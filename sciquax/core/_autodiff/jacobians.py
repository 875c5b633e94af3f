"""Jacobians and Hessians of functions of values, each block labelled."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.tree_util as jtu

from .._stage.captured_trees import takes_values
from .._values.kinds import is_value
from .tangent_labels import relabel
from .transforms import _flat, _like, _positions


def jacfwd(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """As `jax.jacfwd`, unit-aware: each block in output units per input unit."""
    return _jacobian(jax.jacfwd, fun, argnums, has_aux, holomorphic=holomorphic)


def jacrev(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """As `jax.jacrev`, unit-aware: each block in output units per input unit."""
    return _jacobian(
        jax.jacrev, fun, argnums, has_aux, holomorphic=holomorphic, allow_int=allow_int
    )


def hessian(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """As `jax.hessian`, unit-aware: output units per both inputs' units."""
    return jacfwd(
        jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic=holomorphic
    )


def _jacobian(
    transform: Callable, fun: Callable, argnums: Any, has_aux: bool, **options: Any
) -> Callable:
    @takes_values
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        positions = _positions(argnums, args)
        flat = _flat(fun, kwargs, has_aux)
        # JAX puts blocks of other shapes where the arguments' leaves were, which a value's own
        # flattening need not bear: it gets the bare leaves.
        structures = {i: jtu.tree_structure(args[i]) for i in positions}
        given = [jtu.tree_leaves(x) if i in structures else x for i, x in enumerate(args)]

        def call(*xs: Any) -> Any:
            rebuilt = [
                jtu.tree_unflatten(structures[i], x) if i in structures else x
                for i, x in enumerate(xs)
            ]
            return _with_primal(flat(*rebuilt))

        blocks, (structure, aux, leaves) = transform(call, tuple(positions), True, **options)(
            *given
        )
        out = jtu.tree_unflatten(structure.item, leaves)
        out_values, out_tree = jtu.tree_flatten(out, is_leaf=is_value)
        rows, position = [], 0
        for value in out_values:
            n = len(jtu.tree_leaves(value))
            if n != 1:
                raise TypeError(
                    f"A Jacobian of `{type(value).__name__}`, which has {n} arrays, is not defined."
                )
            row = tuple(
                relabel(value, args[i], jtu.tree_unflatten(structures[i], block))
                for i, block in zip(positions, blocks[position], strict=True)
            )
            rows.append(row[0] if isinstance(argnums, int) else row)
            position += n
        result = jtu.tree_unflatten(out_tree, rows)
        return (result, aux) if has_aux else result

    return _like(wrapped, fun)


def _with_primal(result: Any) -> Any:
    leaves, (structure, aux) = result
    return leaves, (structure, aux, leaves)
