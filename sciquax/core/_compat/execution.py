"""JAX's execution of operations: settings, compiled primitives, a trace of our own."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax.core
from jax._src import (
    config,  # private: 0.10 to 0.12 (trace_context)
    core as _jax_core,  # private: typeof (0.10 to 0.12)
    dispatch,  # private: 0.10 to 0.12
)

from .jaxprs import Tracer, bind_equation, equations, eval_jaxpr, open_jaxpr


def nothing_is_traced() -> bool:
    """Whether operations run at once: nothing is being traced, and `disable_jit` is off."""
    return _jax_core.trace_state_clean() and not getattr(jax.config, "jax_disable_jit")  # noqa: B009


def eager_callable(eqn: Any) -> Callable[..., Any]:
    """A function that runs an equation on concrete arrays, as binding its primitive does.

    Most primitives are compiled alone when bound, and JAX keeps the compiled function; asking it
    for that function (private, 0.10 to 0.12) leaves out the way there, four fifths of the time.
    For a call of a compiled function that takes ten times as long as calling one, so that a short
    one is compiled once more.
    """
    primitive, params = eqn.primitive, eqn.params
    if primitive.name == "jit" and _is_plain_call(params) and _is_short(params["jaxpr"]):
        jaxpr, consts = open_jaxpr(params["jaxpr"])
        return jax.jit(lambda *operands: eval_jaxpr(jaxpr, consts, *operands))
    implementation = getattr(primitive, "impl", None)
    if getattr(implementation, "func", None) is dispatch.apply_primitive:
        return dispatch.xla_primitive_callable(primitive, **params)
    return lambda *operands: bind_equation(eqn, operands)


def _is_short(jaxpr: Any) -> bool:
    return sum(1 for _ in equations(jaxpr)) <= 60


def _is_plain_call(params: dict[str, Any]) -> bool:
    """Whether a call of a compiled function has no options of its own."""
    stated = [*params["in_shardings"], *params["out_shardings"]]
    return (
        all(type(x).__name__ == "UnspecifiedValue" for x in stated)
        and not any(params["donated_invars"])
        and not any(x is not None for x in (*params["in_layouts"], *params["out_layouts"]))
        and not params["compiler_options_kvs"]
        and params["ctx_mesh"].empty
    )


_NOTHING = contextlib.nullcontext()


def current_context() -> Any:
    """The current settings that equations carry (compute type, mesh...), an interned object."""
    return _jax_core.JaxprEqnContext()


def current_trace() -> Any:
    """JAX's trace under which operations are bound now, or None between two traces."""
    return _jax_core.trace_ctx.trace


def under(trace: Any) -> Any:
    """The context manager in which operations are bound under a trace."""
    return _jax_core.set_current_trace(trace)


def under_trace_of(operands: Iterable[Any], otherwise: Any) -> Any:
    """The context manager of the innermost trace: JAX's current one, or that of one of `operands`.

    JAX takes the results of a function apart when the trace that it was called under is no longer
    the current one, or there is none, or only the one that computes (0.10 to 0.12). Where operands
    have none either, it is `otherwise`.
    """
    current = current_trace()
    innermost = otherwise if current in (None, _jax_core.eval_trace) else current
    for trace in [x._trace for x in operands if isinstance(x, Tracer)]:
        if innermost is None or _is_within(trace, innermost):
            innermost = trace
    return _NOTHING if innermost is current else _jax_core.set_current_trace(innermost)


def _is_within(trace: Any, outer: Any) -> bool:
    while trace is not None and trace is not outer:
        trace = getattr(trace, "parent_trace", None)
    return trace is outer


def equation_context(eqn: Any, here: Any) -> Any:
    """A context manager of the settings of an equation's staging; none if they are `here`.

    Entering the same settings again is not idle in 0.10: JAX then keys its trace caches apart, and
    compiled functions would not be found.
    """
    return _NOTHING if eqn.ctx is here else eqn.ctx.manager


def trace_context() -> Any:
    """The settings that change the result of tracing (x64, promotion, precision, mesh...)."""
    return config.trace_context()


@contextlib.contextmanager
def default_promotion() -> Iterator[None]:
    """Promote ranks and dtypes as by default: strict settings are not meant for rules."""
    set_to = jax.config.jax_numpy_rank_promotion, jax.config.jax_numpy_dtype_promotion
    if set_to == ("allow", "standard"):
        yield
        return
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


# -- a trace of our own: private in 0.10 to 0.12 --------------------------------------------------


class AtOnceTracer(_jax_core.Tracer):
    """A value, to a function that is called with rules applied at once."""

    __slots__ = ("value",)

    def __init__(self, trace: Any, value: Any, aval: Any):
        super().__init__(trace, aval)
        self.value = value


class AtOnceTrace(_jax_core.Trace):
    """Hands each operation, with the values its operands stand for, to a function."""

    __slots__ = ("operation", "parent")

    def __init__(self, parent: Any, operation: Callable[..., Any]):
        super().__init__()
        self.parent, self.operation = parent, operation

    def process_primitive(self, primitive: Any, tracers: Any, params: Any) -> Any:
        operands = [x.value if type(x) is AtOnceTracer and x._trace is self else x for x in tracers]
        with _jax_core.set_current_trace(self.parent):
            results = self.operation(primitive, operands, params)
        # Arrays stay what they are: operations on them are bound under this trace too.
        out = [x if aval is None else AtOnceTracer(self, x, aval) for x, aval in results]
        return out if primitive.multiple_results else out[0]


@contextlib.contextmanager
def called_at_once(operation: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """While active, operations are handed to `operation`. Yields what makes a value an operand."""
    with _jax_core.take_current_trace() as parent:
        trace = AtOnceTrace(parent, operation)
        with _jax_core.set_current_trace(trace):
            yield lambda value, aval: AtOnceTracer(trace, value, aval)
