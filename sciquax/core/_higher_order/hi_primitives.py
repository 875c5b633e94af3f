"""JAX 0.12's `HiPrim`s, such as `SearchSorted`, `Ldexp` and `CustomRoot`: one primitive for all.

Each knows what it computes in terms of other primitives (`expand`), which is interpreted, and how
it is differentiated, which is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._compat import derivatives
from .._compat.tracing import trace_to_jaxpr
from .._values.kinds import aval_of
from .._values.mode import staging
from .custom_derivatives import with_jvp


def hi_primitive(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Interpret the expansion of the primitive; its derivative is interpreted too."""
    avals = [aval_of(x) for x in operands]
    structs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals]
    with staging():
        body: Any = trace_to_jaxpr(
            lambda *xs: derivatives.expand_hi_primitive(primitive, xs, params), structs
        )
    differentiable = [jnp.issubdtype(a.dtype, jnp.inexact) for a in avals]

    linear = _LINEAR.get(type(params["_prim"]).__name__, lambda bind: bind)

    def bind(*xs: Any) -> list[Any]:
        return primitive.bind(*xs, **params)

    def jvp_jaxpr(zeros: Sequence[bool]) -> tuple[Any, Sequence, Sequence[bool]]:
        moving = [i for i, zero in enumerate(zeros) if not zero and differentiable[i]]
        out_zeros = [not jnp.issubdtype(a.dtype, jnp.inexact) for a in body.out_avals]

        def differentiated(*given: Any) -> list[Any]:
            primals, tangents = given[: len(structs)], given[len(structs) :]
            given_tangents = [
                t for t, i in zip(tangents, _given(zeros), strict=True) if i in moving
            ]
            at = [primals[i] for i in moving]

            def partially(*points: Any) -> list[Any]:
                xs = list(primals)
                for i, x in zip(moving, points, strict=True):
                    xs[i] = x
                return linear(bind)(*xs)

            outs, out_tangents = jax.jvp(partially, at, given_tangents)
            kept = [t for t, zero in zip(out_tangents, out_zeros, strict=True) if not zero]
            return [*outs, *kept]

        given = [*structs, *[_tangent(structs[i]) for i in _given(zeros)]]
        closed = trace_to_jaxpr(differentiated, given)
        return closed, (), out_zeros

    return with_jvp(body, jvp_jaxpr, operands)


def _ldexp(bind: Callable) -> Callable:
    """`Ldexp` with a product for its tangent: its own is an `Ldexp`, whose bits say nothing."""

    @jax.custom_jvp
    def ldexp(x: Any, exponent: Any) -> list[Any]:
        return bind(x, exponent)

    @ldexp.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        factor = jnp.exp2(primals[1].astype(primals[0].dtype))
        return ldexp(*primals), [tangents[0] * factor]

    return ldexp


def _frexp(bind: Callable) -> Callable:
    """`Frexp` likewise: its mantissa's tangent is an `Ldexp` too."""

    @jax.custom_jvp
    def frexp(x: Any) -> list[Any]:
        return bind(x)

    @frexp.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        mantissa, exponent = frexp(*primals)
        factor = jnp.exp2(-exponent.astype(mantissa.dtype))
        still = np.zeros(exponent.shape, jax.dtypes.float0)
        return [mantissa, exponent], [tangents[0] * factor, still]

    return frexp


# Those whose tangents are an `Ldexp`, which could not be transposed once expanded.
_LINEAR = {"Ldexp": _ldexp, "Frexp": _frexp}


def _given(zeros: Sequence[bool]) -> list[int]:
    """The operands whose tangents are given."""
    return [i for i, zero in enumerate(zeros) if not zero]


def _tangent(struct: Any) -> Any:
    if jnp.issubdtype(struct.dtype, jnp.inexact):
        return struct
    return jax.ShapeDtypeStruct(struct.shape, jax.dtypes.float0)
