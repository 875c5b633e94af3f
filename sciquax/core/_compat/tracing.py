"""Tracing to a jaxpr, without the fixed cost of `jax.make_jaxpr`; what is known meanwhile."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import (
    api_util,  # private: 0.10 to 0.12 (names of functions)
    linear_util as lu,  # private: 0.10 to 0.12
    traceback_util,  # private: 0.10 to 0.12 (JAX's own frames left out of errors)
)
from jax._src.interpreters import partial_eval as pe  # private: 0.10 to 0.12

from .jaxprs import ClosedJaxpr, Literal, ShapedArray, Tracer, typeof


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


def known_value(x: Any) -> np.ndarray | None:
    """What an array is, if that is known while a program is traced; else None.

    In a jitted function even `jnp.array([1.0, 2.0])` is a tracer: its value, and what is computed
    of such, is found in the program so far, and computed as JAX would.
    """
    found = _known(x, {})
    return None if found is None else np.asarray(found)


def _known(x: Any, seen: dict[int, Any]) -> Any:
    if not isinstance(x, Tracer):
        return x
    if id(x) in seen:
        return seen[id(x)]
    seen[id(x)] = out = None
    frame = getattr(getattr(x, "_trace", None), "frame", None)  # private: 0.10 to 0.12
    if frame is None:  # of a derivative, or of `vmap`
        return None
    var, parent = getattr(x, "val", None), getattr(x, "parent", None)
    if isinstance(var, Literal):
        out = np.asarray(var.val).astype(x.dtype)
    elif parent is None:
        out = frame.constvar_to_val.get(var)
        out = getattr(out, "canonical", out)
    elif not parent.effects:
        operands = [_known(t, seen) for t in parent.in_tracers]
        if all(o is not None for o in operands):
            with jax.ensure_compile_time_eval():
                outs = parent.primitive.bind(*operands, **parent.params)
            place = [i for i, v in enumerate(parent.outvars) if v is var]
            out = (outs[place[0]] if parent.primitive.multiple_results else outs) if place else None
    seen[id(x)] = out
    return out
