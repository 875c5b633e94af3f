"""Whole functions of a `Zero`: solutions for a right-hand side of zeros are zero, unsolved."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import jax.tree_util as jtu

from sciquax.core import aval_of, is_value, register_rule, strip

from ._array import Zero


def _solution(function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a function of a matrix, or its factors, and a right-hand side."""

    def rule(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
        if type(strip(b)) is not Zero:
            return NotImplemented
        leaves, tree = jtu.tree_flatten((a, b), is_leaf=is_value)
        shaped = [i for i, x in enumerate(leaves) if hasattr(x, "shape") or is_value(x)]

        def of_arrays(arrays: Any) -> Any:
            for i, x in zip(shaped, arrays, strict=True):
                leaves[i] = x
            return function(*jtu.tree_unflatten(tree, leaves), *args, **kwargs)

        avals = [aval_of(strip(leaves[i])) for i in shaped]
        structs = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals]
        out = jax.eval_shape(of_arrays, structs)
        return Zero(out.shape, out.dtype)

    rule.__name__ = f"_{function.__name__}"
    return rule


for _function in (
    jnp.linalg.solve,
    jsl.solve,
    jsl.solve_triangular,
    jsl.cho_solve,
    jsl.lu_solve,
):
    register_rule(Zero, _function, _solution(_function))
