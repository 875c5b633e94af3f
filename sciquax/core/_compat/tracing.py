"""Tracing a function to a jaxpr, and a trace that knows the values of its variables."""

import operator
import os
import sys
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import (
    api_util,  # private: 0.10 to 0.12 (names of functions)
    core as _jax_core,  # private: 0.10 to 0.12
    linear_util as lu,  # private: 0.10 to 0.12
    source_info_util as _source_info,  # private: 0.10 to 0.12
    traceback_util,  # private: 0.10 to 0.12 (JAX's own frames left out of errors)
)
from jax._src.interpreters import partial_eval as pe  # private: 0.10 to 0.12

from .frames import outward
from .jaxprs import ClosedJaxpr, Literal, ShapedArray, Tracer, typeof
from .numpys_functions import (
    OfType,
    asks_for_numbers,
    by_conversion,
    calls_a_method,
    counterpart,
    elementwise,
)

WANTS_A_NUMBER = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
"""What JAX raises for a number that is not known while it traces."""


@traceback_util.api_boundary
def trace_to_jaxpr(
    function: Callable[..., Sequence[Any]],
    operands: Sequence[Any],
    named_after: Callable[..., Any] | None = None,
    asked: "Asked | None" = None,
) -> Any:
    """The closed jaxpr of a function that returns a flat list.

    `jax.make_jaxpr` makes a jitted function first, which takes 0.2 ms, and keeps what it traced by
    the identity of the function. This traces anew at each call.

    **Arguments**: the function; its operands, or whatever has their shapes and dtypes; which
    function of the user's JAX's errors are to name, if it is one, as the function traced; and who
    is asked what a variable is, if anybody. Then all outputs must be tracers, and the jaxpr is what
    has not been carried out meanwhile.
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
    if asked is None:
        fun = lu.wrap_init(flat, debug_info=info)
        jaxpr, _, consts = pe.trace_to_jaxpr_dynamic(fun, avals)
        return ClosedJaxpr(jaxpr, consts)
    # The same, with a trace of our own.
    trace = StagingTrace(info, _jax_core.trace_ctx.trace, asked)
    with _jax_core.ensure_no_leaks(trace), _source_info.reset_name_stack(), pe.TracebackScope():
        source = _source_info.current()
        tracers = [trace.new_arg(aval, source) for aval in avals]
        with _jax_core.set_current_trace(trace):
            outs = flat(*tracers)
        outs = [trace.to_jaxpr_tracer(x, source_info=source) for x in outs]
        jaxpr, consts = trace.frame.to_jaxpr(trace, outs, info, source)
        del trace, tracers, outs
    return ClosedJaxpr(jaxpr, consts)


@runtime_checkable
class Asked(Protocol):
    """The source of the values of variables in a program that is being staged.

    `refused` is the value, if any, that was asked for numbers and refused to give them.
    """

    refused: str | None

    def value_of(self, tracer: "StagingTracer") -> Any:
        """The value, array or tracer that a variable stands for."""

    def number_of(self, tracer: "StagingTracer") -> Any:
        """The concrete array that a variable stands for, or None."""

    def operand_of(self, tracer: "StagingTracer", operation: str) -> Any:
        """The operand that a method of Python's or NumPy's converts, or None."""

    def is_value(self, tracer: "StagingTracer") -> bool:
        """Whether a variable stands for a value rather than an array."""
        ...

    def outside(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function under the trace in which the program is carried out."""


def _converted(operation: str, convert: Callable[..., Any]) -> Callable[..., Any]:
    """A method that needs the number of a variable; a value answers or refuses by itself."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        known = self._trace.asked.operand_of(self, operation)
        if known is not None and _jax_core.is_concrete(known):
            return convert(known, *args, **kwargs)
        found = getattr(pe.DynamicJaxprTracer, operation, None)  # and its error
        return (found or getattr(self.aval, operation))(self, *args, **kwargs)

    method.__name__ = operation
    return method


def _shown(convert: Callable[[Any], str]) -> Callable[[Any], str]:
    """A method for `print`, which shows the number of a variable where that is known."""

    def method(self: Any) -> str:
        try:
            known = self._trace.asked.value_of(self)
        except Exception:  # an operation before it is refused, and that is told where it matters
            known = self
        return pe.DynamicJaxprTracer.__repr__(self) if isinstance(known, Tracer) else convert(known)

    return method


@OfType
def _function_of_numpys(
    self: Any, function: Callable[..., Any], _: Any, args: Any, kwargs: dict[str, Any]
) -> Any:
    """Call a function of NumPy's: JAX's of the same name on values, else NumPy's, on numbers."""
    like = counterpart(function, jnp)
    if like is not None and asks_for_numbers(function) and not calls_a_method(function):
        if _holds_a_value((args, kwargs)):
            return like(*args, **kwargs)
    return by_conversion(function)(*args, **kwargs)


@OfType
def _ufunc_of_numpys(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Call a ufunc such as `np.sqrt` likewise; NumPy's arrays call these for operators too.

    For these, `array * variable`, nobody asks for numbers. Objects of a stranger's class that take
    such functions themselves go first.
    """
    if any(map(_takes_ufuncs, inputs)):
        return NotImplemented
    like = elementwise(ufunc, method, kwargs, jnp)
    operator = method == "__call__" and any(isinstance(x, (np.ndarray, np.generic)) for x in inputs)
    if like is not None and (operator or _holds_a_value(inputs)):
        return like(*inputs)
    numbers = [np.asarray(x) if isinstance(x, StagingTracer) else x for x in inputs]
    return getattr(ufunc, method)(*numbers, **kwargs)


def _takes_ufuncs(x: Any) -> bool:
    known = isinstance(x, (np.ndarray, np.generic, StagingTracer))
    return not known and isinstance(getattr(x, "__array_ufunc__", None), types.MethodType)


def _holds_a_value(tree: Any) -> bool:
    leaves = jax.tree.leaves(tree)
    return any(isinstance(x, StagingTracer) and x._trace.asked.is_value(x) for x in leaves)


class StagingTracer(pe.DynamicJaxprTracer):
    """A variable of a program that is being staged. It gives its number to code that needs one."""

    __slots__ = ()

    _trace: Any  # a `StagingTrace`

    def to_concrete_value(self) -> Any:
        return self._trace.asked.number_of(self) if _is_wanted() else None

    __bool__ = _converted("__bool__", bool)
    __int__ = _converted("__int__", int)
    __float__ = _converted("__float__", float)
    __complex__ = _converted("__complex__", complex)
    __index__ = _converted("__index__", operator.index)
    __array__ = _converted("__array__", np.asarray)
    __array_function__ = _function_of_numpys
    __array_ufunc__ = _ufunc_of_numpys
    __format__ = _converted("__format__", format)
    item = _converted("item", lambda x, *args: x.item(*args))
    tolist = _converted("tolist", lambda x: x.tolist())

    __repr__ = _shown(repr)  # pyright: ignore[reportAssignmentType]
    __str__ = _shown(str)  # pyright: ignore[reportAssignmentType]


def _is_wanted() -> bool:
    """Whether JAX needs the number that it asks for, and does not only take a shortcut with it."""
    for frame in outward(sys._getframe()):
        code = frame.f_code
        if code.co_filename.startswith(_JAX) and code.co_name not in _PASSES_ON:
            return code.co_name in _NEEDS_IT
    return False


_JAX = os.path.join(os.path.dirname(jax.__file__), "")
_PASSES_ON = {"is_concrete", "to_concrete_value"}
_NEEDS_IT = {
    "__bool__", "__int__", "__index__", "__hex__", "__oct__", "concrete_or_error",
    "expand_bool_indices", "_is_slice_element_none_or_constant_or_symbolic",
}  # fmt: skip

_jax_core.pytype_aval_mappings[StagingTracer] = lambda x: x.aval


class StagingTrace(pe.DynamicJaxprTrace):
    """Stages a program that may be carried out in part meanwhile, where its numbers are asked for.

    What has been carried out is no longer part of the program.
    """

    __slots__ = ("_tracers", "asked")

    def __init__(self, info: Any, parent: Any, asked: Asked):
        super().__init__(info, parent_trace=parent)
        self.asked = asked
        self._tracers: list[tuple[Any, Any]] = []

    def new_arg(self, aval: Any, source_info: Any) -> StagingTracer:
        var = self.frame.newvar(aval)
        self.frame.invars.append(var)
        return self.var_to_tracer(var, source_info)

    def _new_const(self, *args: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        tracer = super()._new_const(*args)
        tracer.__class__ = StagingTracer  # it has the same fields
        return tracer

    def var_to_tracer(self, var: Any, source_info: Any, parent: Any = None) -> StagingTracer:
        tracer = StagingTracer(self, var.aval, var, source_info, parent)
        self._tracers.append((var, weakref.ref(tracer)))
        return tracer

    def so_far(self, asked: StagingTracer) -> tuple[Any, list[Any]]:
        """The program so far, as a jaxpr with one output and its constants."""
        frame: Any = self.frame
        return frame.to_jaxpr(self, [asked], frame.debug_info, asked._line_info)

    def forget(self, carried_out: set[int]) -> set[Any]:
        """Drop the equations at these places.

        **Returns** the variables that neither the function nor what is left can use again.
        """
        frame: Any = self.frame
        left: list[Any] = []
        for i, eqn in enumerate(frame.tracing_eqns):
            if i in carried_out:
                eqn.in_tracers = []  # they hold all that led to them
            else:
                left.append(eqn)
        frame.tracing_eqns = left
        used = {t.val for eqn in left for t in eqn.in_tracers if type(t.val) is not Literal}
        gone = {v for v, tracer in self._tracers if tracer() is None and v not in used}
        self._tracers = [(v, tracer) for v, tracer in self._tracers if v not in gone]
        return gone


def known_value(x: Any) -> np.ndarray | None:
    """The array behind a tracer, or None if it is not known while the program is traced.

    In a jitted function even `jnp.array([1.0, 2.0])` is a tracer: its value, and what is computed
    of such, is found in the program so far, and computed as JAX would.
    """
    found = _known(x, {})
    return None if found is None else np.asarray(found)


def _known(x: Any, seen: dict[int, Any]) -> Any:
    if not isinstance(x, Tracer):
        return x
    if isinstance(x, StagingTracer):
        return x._trace.asked.number_of(x)
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
