"""Tracing a function to a jaxpr: `jax.make_jaxpr` without its fixed cost."""

from collections.abc import Callable, Sequence
from typing import Any

from jax._src import (
    api_util,  # private: 0.10 to 0.12 (names of functions)
    linear_util as lu,  # private: 0.10 to 0.12
    traceback_util,  # private: 0.10 to 0.12 (JAX's own frames left out of errors)
)
from jax._src.interpreters import partial_eval as pe  # private: 0.10 to 0.12

from .jaxprs import ClosedJaxpr, ShapedArray, typeof


@traceback_util.api_boundary
def trace_to_jaxpr(
    function: Callable[..., Sequence[Any]],
    operands: Sequence[Any],
    named_after: Callable[..., Any] | None = None,
) -> Any:
    """The closed jaxpr of a function that returns a flat list.

    `jax.make_jaxpr` makes a jitted function first, which takes 0.2 ms, and keeps what it traced by
    the identity of the function. This traces anew at each call.

    **Arguments**: the function; its operands, or whatever has their shapes and dtypes; and which
    function of the user's JAX's errors are to name, if it is one, as the function traced.
    """
    avals = [x if type(x) is ShapedArray else typeof(x) for x in operands]
    named = "" if named_after is None else "values[{}]"
    paths: list[str] = []

    def flat(*tracers: Any) -> list[Any]:
        outs = list(function(*tracers))
        paths.extend(f"result[{i}]" for i in range(len(outs)))
        return outs

    info = lu.DebugInfo(
        "jit",
        api_util.fun_sourceinfo(function if named_after is None else named_after),
        tuple(named.format(i) for i in range(len(avals))),
        lambda: tuple(paths),
    )
    jaxpr, _, consts = pe.trace_to_jaxpr_dynamic(lu.wrap_init(flat, debug_info=info), avals)
    return ClosedJaxpr(jaxpr, consts)
