"""Parameters of `custom_jvp` and `custom_vjp` equations, by JAX version."""

from collections.abc import Sequence
from typing import Any

import jax.core
from jax._src import (
    ad_util,  # private: 0.10 to 0.12 (Zero is not exported)
    api,  # private: 0.10 to 0.12 (_jvp, _std_basis, _jacfwd_unravel, _jacrev_unravel)
)
from jax._src.lax import lax  # private: 0.10 to 0.12 (_replace_zero)

push_forward = api._jvp
"""What `jax.jvp` and `jax.jacfwd` call."""

standard_basis = api._std_basis
"""What `jax.jacfwd` and `jax.jacrev` push forward and pull back."""

unravel_columns, unravel_rows = api._jacfwd_unravel, api._jacrev_unravel
"""How they make a tree of what they get."""

replace_zero = lax._replace_zero
"""What is divided by in the derivative of `abs`."""


def jvp_jaxpr(
    params: dict[str, Any], zeros: Sequence[bool]
) -> tuple[Any, Sequence, Sequence[bool]]:
    """The jaxpr, constants and symbolic-zero outputs of a `custom_jvp_call` equation's rule."""
    return params["jvp_jaxpr_fun"].call_wrapped(*zeros)


def expand_hi_primitive(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The computation of JAX 0.12's `call_hi_primitive` by other primitives."""
    return primitive.to_lojax(*operands, **params)


def fwd_jaxpr(params: dict[str, Any], perturbed: Sequence[bool]) -> tuple[Any, Sequence]:
    """The jaxpr and constants of a `custom_vjp_call` equation's forward rule."""
    flags = perturbed if params["symbolic_zeros"] else [True] * len(perturbed)
    return call_maybe_wrapped(params["fwd_jaxpr_thunk"], *flags)


def backward_results(results: Any) -> Any:
    """The cotangents that a backward rule returned, without JAX 0.12's log."""
    if isinstance(results, tuple) and len(results) == 2 and isinstance(results[0], list):
        return results[0]
    return results


def call_maybe_wrapped(fun: Any, *args: Any) -> Any:
    """Call a JAX-internal function object (`lu.WrappedFun`) or a plain callable."""
    return fun.call_wrapped(*args) if hasattr(fun, "call_wrapped") else fun(*args)


def is_symbolic_zero(x: Any) -> bool:
    return isinstance(x, (jax.custom_derivatives.SymbolicZero, ad_util.Zero))


def zeros_of(x: Any) -> Any:
    """A dense array for a symbolic zero."""
    return (
        ad_util.instantiate(x) if isinstance(x, ad_util.Zero) else ad_util.zeros_like_aval(x.aval)
    )
