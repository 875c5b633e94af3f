"""Captured values in the pytrees that JAX takes apart.

`jnp.sin(g)` asks a captured value for an array. `lax.fori_loop(0, 3, body, g)`, `jax.grad(f)(g)`
and `jax.tree.map(f, g)` do not: to them `g` is a pytree, of a magnitude, and what they do to that
they do without a rule. So while a function of the user's is staged, a captured value that JAX is
about to take apart becomes an array of the program first, and from then on is what an argument is.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .._compat.frames import a_module_is_made
from .._compat.jaxprs import Tracer
from .._compat.tracing import StagingTracer, known_value
from .._compat.trees import intercept_trees, taken_apart
from .._values.captured import CapturedValue, inject
from .._values.kinds import VALUE_TYPES, adopt_all
from .._values.masks import is_masked, is_of_shapes, unmasked
from .._values.mode import MODE, leaving, not_staging

F = TypeVar("F", bound=Callable)


def arrays_for_values(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """A pytree, its values turned into arrays of the program unless `is_leaf` wants them whole."""
    if not (MODE.staging or MODE.direct):
        return tree
    if is_leaf is None:
        leaves, treedef = taken_apart(tree, _is_value)
        met = [i for i, x in enumerate(leaves) if type(x) in VALUE_TYPES]
    else:
        leaves, treedef = taken_apart(tree, lambda x: is_leaf(x) or type(x) in VALUE_TYPES)
        met = [i for i, x in enumerate(leaves) if type(x) in VALUE_TYPES and not is_leaf(x)]
    if not met or a_module_is_made():
        return tree
    masks = {i for i in met if is_masked(leaves[i]) or is_of_shapes(leaves[i])}
    if not MODE.staging:
        if len(masks) == len(met):
            return tree
        raise CapturedValue  # so that it is staged
    for i in met:
        leaves[i] = unmasked(leaves[i]) if i in masks else inject(leaves[i])
    return treedef.unflatten(leaves)


def values_for_variables(tree: Any) -> Any:
    """A static argument, with the known values in place of variables of the program."""
    leaves, treedef = taken_apart(tree)
    if not any(isinstance(x, Tracer) for x in leaves):
        return tree
    return treedef.unflatten([_known(x) if isinstance(x, Tracer) else x for x in leaves])


def _known(x: Tracer) -> Any:
    known = x._trace.asked.value_of(x) if isinstance(x, StagingTracer) else known_value(x)
    if known is None:
        return x
    return np.asarray(known, x.dtype) if isinstance(known, (bool, int, float, complex)) else known


def _is_value(x: Any) -> bool:
    return type(x) in VALUE_TYPES


def takes_values_apart(function: F) -> F:
    """Decorator of our own functions that flatten values deliberately.

    A quaxified function that was called directly, for want of values, goes on as it does with them.
    """

    @functools.wraps(function)
    def apart(*args: Any, **kwargs: Any) -> Any:
        direct, MODE.direct = MODE.direct, False
        try:
            return function(*args, **kwargs)
        finally:
            MODE.direct = direct

    return apart  # pyright: ignore[reportReturnType]


def takes_values(function: F) -> F:
    """Decorator of our own transformations, which flatten values.

    While a function of the user's is staged they are given arrays of the program instead, as all of
    JAX is, and objects of other libraries are taken over in any case.
    """
    by_itself = takes_values_apart(function)

    @functools.wraps(function)
    def taking(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = adopt_all((args, kwargs))
        if MODE.staging and not MODE.apart:
            args, kwargs = arrays_for_values((args, kwargs))
            return function(*args, **kwargs)
        try:
            with not_staging():
                return by_itself(*args, **kwargs)
        except Exception as error:
            leaving(error)
            raise

    return taking  # pyright: ignore[reportReturnType]


@functools.cache
def install_tree_hook() -> None:
    """From now on, keep JAX from flattening values while a function is staged."""
    intercept_trees(arrays_for_values, values_for_variables)
