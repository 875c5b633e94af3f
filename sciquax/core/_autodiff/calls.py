"""Calling a function of values to differentiate it: which arguments vary, and flat outputs."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._stage.quaxify import _Quaxify, call, call_or_stage
from .._values.kinds import VALUE_TYPES, is_value
from .._values.mode import MODE
from .._values.unit_polymorphic import strip

_leaves = functools.partial(jtu.tree_leaves, is_leaf=is_value)


def run(
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    finish: Callable[[Any], Any] = strip,
) -> Any:
    """Call a function on values: quaxified, or directly if it uses the values' own attributes.

    **Arguments**: as for [`sciquax.core.call`][].
    """
    if MODE.staging:  # as all that the user's function calls
        return fun(*args, **kwargs)
    if isinstance(fun, _Quaxify):
        return call(fun.fn, tuple(args), kwargs, fun.filter_spec, finish)
    if getattr(fun, "_takes_values", False):
        return fun(*args, **kwargs)
    values = [x for x in _leaves((args, kwargs)) if is_value(x)]
    if not values or any(type(x).own_operators for x in values):
        return call_or_stage(fun, tuple(args), kwargs, finish)
    try:
        return call(fun, tuple(args), kwargs, finish=finish)
    except AttributeError:  # a tracer has no `.to`: the function knows of values and wants them
        return call_or_stage(fun, tuple(args), kwargs)


def flat_outputs(
    fun: Callable, kwargs: dict[str, Any], has_aux: bool, held: Any = None
) -> Callable:
    """`fun` as a function that returns its output's leaves, structure and auxiliary output.

    Its arguments are the varying parts; `held` are the parts that do not vary.
    """

    def flat(*varied: Any) -> Any:
        result = run(fun, varied if held is None else eqx.combine(varied, held), kwargs)
        out, aux = result if has_aux else (result, None)
        leaves, structure = jtu.tree_flatten(out)
        return leaves, (Static(structure), aux)

    return flat


@jtu.register_static
class Static:
    """A tree structure on its way through a JAX transformation's auxiliary output."""

    def __init__(self, item: Any):
        self.item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.item == other.item

    def __hash__(self) -> int:
        return hash(self.item)


def hold_integers(args: tuple) -> tuple[tuple, tuple]:
    """Split arguments into values without integers (places of sparse elements) and those.

    Integers are not differentiated; a gradient has the value's own.
    """

    def varies(x: Any) -> Any:
        if type(x) not in VALUE_TYPES:
            return jtu.tree_map(lambda _: True, x)
        inexact = jtu.tree_map(lambda y: jnp.issubdtype(jnp.result_type(y), jnp.inexact), x)
        whole_of_integers = not any(jtu.tree_leaves(inexact))  # which JAX refuses, and says so
        return jtu.tree_map(lambda y: y or whole_of_integers, inexact)

    return eqx.partition(args, jtu.tree_map(varies, args, is_leaf=is_value))


def held_apart(tangents: tuple, held: tuple) -> tuple:
    """Tangents of the varying parts alone."""
    return jtu.tree_map(lambda x, t: t if x is None else None, held, tangents, is_leaf=_is_none)


def _is_none(x: Any) -> bool:
    return x is None


def of_inexact(out: Any, cotangents: Any) -> list[Any]:
    """A cotangent's leaves; those of integers in values, such as places, are empty."""
    held = {id(x) for x in jtu.tree_leaves(hold_integers((out,))[1])}
    return [
        np.zeros(jnp.shape(x), jax.dtypes.float0) if id(x) in held else c
        for c, x in zip(jtu.tree_leaves(cotangents), jtu.tree_leaves(out), strict=True)
    ]


def positions_of(argnums: int | Sequence[int], args: Sequence[Any]) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    return [n % len(args) if -len(args) <= n < len(args) else n for n in numbers]


def named_like(wrapped: Callable, fun: Callable) -> Callable:
    try:
        wrapped = functools.wraps(fun)(wrapped)
    except (AttributeError, TypeError):
        pass
    wrapped._takes_values = True  # type: ignore[attr-defined]
    return wrapped
