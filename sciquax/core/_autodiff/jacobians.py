"""Jacobians and Hessians of functions of values, each block labelled."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.tree_util as jtu

from .._stage.captured_trees import takes_values
from .._values.kinds import is_value
from .calls import flat_outputs, named_like, positions_of
from .tangent_labels import relabel


def jacfwd(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of a function of values by forward mode: `jax.jacfwd` with types.

    **Arguments**: those of `jax.jacfwd`.

    **Returns** a function that gives the Jacobian. Its block for one output and one input has the
    shape of the output followed by that of the input, and the unit of the output divided by that of
    the input.

    ```python
    >>> import jax.numpy as jnp
    >>> import sciquax
    >>> from sciquax.units import Quantity
    >>> speeds = Quantity(jnp.array([1.0, 2.0]), "m/s")
    >>> sciquax.jacfwd(lambda t: t * speeds)(Quantity(3.0, "s"))
    Quantity([1., 2.], 'm/s')

    ```
    """
    return _jacobian(jax.jacfwd, fun, argnums, has_aux, holomorphic=holomorphic)


def jacrev(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of a function of values by reverse mode: `jax.jacrev` with types.

    **Arguments**: those of `jax.jacrev`. **Returns** what [`sciquax.jacfwd`][] does.
    """
    return _jacobian(
        jax.jacrev, fun, argnums, has_aux, holomorphic=holomorphic, allow_int=allow_int
    )


def hessian(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """The matrix of second derivatives of a function of values: `jax.hessian` with types.

    **Arguments**: those of `jax.hessian`.

    **Returns** a function that gives the Hessian. Its block for two inputs has the shape of the
    output followed by the shapes of both, and the unit of the output divided by the units of both.

    ```python
    >>> import sciquax
    >>> from sciquax.units import Quantity
    >>> sciquax.hessian(lambda t: Quantity(5.0, "m/s**2") * t**2)(Quantity(3.0, "s"))
    Quantity(10.0, 'm/s**2')

    ```
    """
    return jacfwd(
        jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic=holomorphic
    )


def _jacobian(
    transform: Callable, fun: Callable, argnums: Any, has_aux: bool, **options: Any
) -> Callable:
    @takes_values
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        positions = positions_of(argnums, args)
        flat = flat_outputs(fun, kwargs, has_aux)
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

    return named_like(wrapped, fun)


def _with_primal(result: Any) -> Any:
    leaves, (structure, aux) = result
    return leaves, (structure, aux, leaves)
