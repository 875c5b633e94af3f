"""JAX's differentiation, for functions of values: derivatives come labelled as derivatives.

How they are labelled is in `tangent_labels.py`. To type checkers, a function whose result is said
to be a value gives one beside its derivative; a derivative may be anything.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, overload

import equinox as eqx
import jax
import jax.tree_util as jtu

from .._stage.captured_trees import takes_values
from .._values.kinds import is_value
from .._values.mode import boundary
from .._values.value import Value
from .calls import (
    Static,
    flat_outputs,
    held_apart,
    hold_integers,
    named_like,
    of_inexact,
    positions_of,
    run,
)
from .tangent_labels import align, derivative, label_tangent, relabel, scaled

V = TypeVar("V", bound=Value)

_leaves = functools.partial(jtu.tree_leaves, is_leaf=is_value)


@overload
def value_and_grad(
    fun: Callable[..., V],
    argnums: int | Sequence[int] = ...,
    has_aux: Literal[False] = ...,
    holomorphic: bool = ...,
    allow_int: bool = ...,
) -> Callable[..., tuple[V, Any]]: ...
@overload
def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    holomorphic: bool = ...,
    allow_int: bool = ...,
) -> Callable[..., tuple[Any, Any]]: ...
def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The value and the gradient of a function of values: `jax.value_and_grad` with types.

    If `fun` returns energy in J and the argument is a length in m, the gradient is in J/m.

    **Arguments**: those of `jax.value_and_grad`. `fun` may be quaxified or not; it returns one
    array, or a value that holds one, of shape ().

    **Returns** a function that gives `(value, gradient)`. The gradient of an argument has its tree,
    its shape, and the unit of the output divided by that of the argument.

    **Raises** TypeError if `fun` returns several arrays, or one that is no scalar.

    ```python
    >>> import sciquax
    >>> from sciquax.units import Quantity
    >>> k = Quantity(2.0, "N/m")
    >>> sciquax.value_and_grad(lambda x: 0.5 * k * x**2)(Quantity(3.0, "m"))
    (Quantity(9.0, 'm*N'), Quantity(6.0, 'N'))

    ```
    """

    @takes_values
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        positions = positions_of(argnums, args)
        varied, held = hold_integers(args)

        def scalar(*varied: Any) -> Any:
            result = run(fun, eqx.combine(varied, held), kwargs)
            out, aux = result if has_aux else (result, None)
            leaves = jtu.tree_leaves(out)
            if len(leaves) != 1:
                if is_value(out):
                    raise TypeError(
                        f"A gradient of `{type(out).__name__}`, which has {len(leaves)} arrays, is "
                        "not defined. Return one of them, or a number computed from them."
                    )
                return out, aux  # JAX says that this is not a scalar
            return leaves[0], (Static(jtu.tree_structure(out)), aux)

        (leaf, (structure, aux)), grads = jax.value_and_grad(
            scalar, tuple(positions), True, holomorphic, allow_int
        )(*varied)
        out = jtu.tree_unflatten(structure.item, [leaf])
        grads = [eqx.combine(g, held[i]) for i, g in zip(positions, grads, strict=True)]
        grads = tuple(relabel(out, args[i], g) for i, g in zip(positions, grads, strict=True))
        grads = grads[0] if isinstance(argnums, int) else grads
        return ((out, aux), grads) if has_aux else (out, grads)

    return named_like(wrapped, fun)


def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The gradient of a function of values: `jax.grad` with types.

    **Arguments, Raises**: as for [`sciquax.value_and_grad`][].

    **Returns** a function that gives the gradient, or `(gradient, aux)` with `has_aux`.

    ```python
    >>> import sciquax
    >>> from sciquax.units import Quantity
    >>> sciquax.grad(lambda t: 0.5 * Quantity(10.0, "m/s**2") * t**2)(Quantity(3.0, "s"))
    Quantity(30.0, 'm/s')

    ```
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @boundary
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return named_like(wrapped, fun)


@overload
def jvp(
    fun: Callable[..., V],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: Literal[False] = ...,
) -> tuple[V, Any]: ...
@overload
def jvp(
    fun: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: Literal[False] = ...,
) -> tuple[Any, Any]: ...
@overload
def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: Literal[True]
) -> tuple[Any, Any, Any]: ...
@takes_values
def jvp(
    fun: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """The value of a function of values and its derivative along a direction: `jax.jvp` with types.

    **Arguments**: those of `jax.jvp`. The tangents are in the units of the primals, or all of them
    in those units times one common unit: velocities beside positions give a change per second.

    **Returns** `(value, tangent)`, or `(value, tangent, aux)` with `has_aux`.

    **Raises** `DimensionalityError` if two tangents differ from their primals by different units.

    ```python
    >>> import sciquax
    >>> from sciquax.units import Quantity
    >>> sciquax.jvp(lambda r: r**2, (Quantity(3.0, "m"),), (Quantity(2.0, "m/s"),))
    (Quantity(9.0, 'm**2'), Quantity(12.0, 'm**2/s'))

    ```
    """
    primals = tuple(primals)
    tangents, rate = align(primals, tuple(tangents))
    varied, held = hold_integers(primals)
    moves = held_apart(tangents, held)
    result = jax.jvp(flat_outputs(fun, {}, has_aux, held), varied, moves, has_aux=True)
    leaves, tangent_leaves, (structure, aux) = result
    out = jtu.tree_unflatten(structure.item, leaves)
    tangent = label_tangent(out, tangent_leaves, rate)
    return (out, tangent, aux) if has_aux else (out, tangent)


@overload
def linearize(
    fun: Callable[..., V], *primals: Any, has_aux: Literal[False] = ...
) -> tuple[V, Callable[..., Any]]: ...
@overload
def linearize(
    fun: Callable[..., Any], *primals: Any, has_aux: Literal[False] = ...
) -> tuple[Any, Callable[..., Any]]: ...
@overload
def linearize(
    fun: Callable[..., Any], *primals: Any, has_aux: Literal[True]
) -> tuple[Any, Callable[..., Any], Any]: ...
@takes_values
def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of a function of values and its derivative as a linear function.

    **Arguments**: those of `jax.linearize`.

    **Returns** `(value, pushforward)`, and `aux` with `has_aux`. `pushforward` takes tangents as
    [`sciquax.jvp`][] does, and gives the tangent of the output.
    """
    varied, held = hold_integers(primals)
    leaves, linear, (structure, aux) = jax.linearize(
        flat_outputs(fun, {}, has_aux, held), *varied, has_aux=True
    )
    out = jtu.tree_unflatten(structure.item, leaves)

    @takes_values
    def pushforward(*tangents: Any) -> Any:
        aligned, rate = align(primals, tangents)
        return label_tangent(out, linear(*held_apart(aligned, held)), rate)

    return (out, pushforward, aux) if has_aux else (out, pushforward)


@overload
def vjp(
    fun: Callable[..., V], *primals: Any, has_aux: Literal[False] = ...
) -> tuple[V, Callable[..., tuple[Any, ...]]]: ...
@overload
def vjp(
    fun: Callable[..., Any], *primals: Any, has_aux: Literal[False] = ...
) -> tuple[Any, Callable[..., tuple[Any, ...]]]: ...
@overload
def vjp(
    fun: Callable[..., Any], *primals: Any, has_aux: Literal[True]
) -> tuple[Any, Callable[..., tuple[Any, ...]], Any]: ...
@takes_values
def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of a function of values and the function that pulls cotangents back: `jax.vjp`.

    **Arguments**: those of `jax.vjp`.

    **Returns** `(value, pull)`, and `aux` with `has_aux`. `pull` takes the derivative of some
    quantity L by the output, and gives a tuple of the derivatives of L by each input. Plain arrays
    count as dimensionless.

    ```python
    >>> import sciquax
    >>> from sciquax.units import Quantity
    >>> area, pull = sciquax.vjp(lambda r: r**2, Quantity(3.0, "m"))
    >>> pull(Quantity(1.0, "J/m**2"))
    (Quantity(6.0, 'J/m'),)

    ```
    """
    varied, held = hold_integers(primals)
    leaves, pullback, (structure, aux) = jax.vjp(
        flat_outputs(fun, {}, has_aux, held), *varied, has_aux=True
    )
    out = jtu.tree_unflatten(structure.item, leaves)

    @takes_values
    def pull(cotangents: Any) -> tuple:
        given, scale = align((out,), (cotangents,), inverse=True)
        grads = eqx.combine(pullback(of_inexact(out, given[0])), held)
        return tuple(
            jtu.tree_map(
                lambda x, g: scaled(derivative(None, x, g), scale), arg, g, is_leaf=is_value
            )
            for arg, g in zip(primals, grads, strict=True)
        )

    return (out, pull, aux) if has_aux else (out, pull)
