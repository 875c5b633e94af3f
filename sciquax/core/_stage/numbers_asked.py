"""Numbers that a function asks for while it is staged: by `if` and `while`, `float(x)`, `x[mask]`.

JAX knows every number as it runs a function un-jitted. Here a function is staged before there are
any. So when it asks, what has been staged so far is carried out on the values, and it goes on with
the number; at the end what is left is carried out. A function that never asks is staged whole.

Within `jax.jit` nobody knows the number, as in JAX, and JAX's own error says so.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .._compat.execution import current_trace, under
from .._compat.jaxprs import Tracer
from .._compat.tracing import StagingTracer
from .._errors import LocatedError
from .._functions.rules import labels
from .._interpret import Interpretation
from .._values.formulas import settle
from .._values.kinds import VALUE_TYPES, describe
from .._values.materialisation_log import materialised
from .._values.mode import not_staging
from .._values.unit_polymorphic import strip
from .._values.value import Value
from .staging import Staged, passed_among


class Program:
    """A call of a function, which is staged and carried out.

    **Arguments**: the values, and all leaves of the call.

    **Attributes**: `in_parts`, whether it was carried out in part while it was staged.
    """

    def __init__(self, values: Sequence[Any], leaves: Sequence[Any]):
        self._run, self._leaves = Interpretation(values), leaves
        self._trace, self.in_parts = current_trace(), False
        self.refused: str | None = None

    def finish(self, staged: Staged) -> list[Any]:
        """Carry out the rest of the program and return its outputs. Nothing of it is kept.

        JAX keeps the trace of a staged function for as long as the jaxpr of a derivative in it.
        """
        try:
            return self._run.finish(staged.jaxpr, staged.consts, staged.data)
        finally:
            self._run, self._leaves, self._trace = Interpretation(()), (), None

    def value_of(self, tracer: StagingTracer) -> Any:
        """The value that a tracer of the function stands for."""
        trace, var = tracer._trace, tracer.val
        if (constant := trace.get_const(tracer)) is not None:
            return constant
        if var not in self._run.env:
            self.in_parts = True
            jaxpr, consts = trace.so_far(tracer)
            data, done = passed_among(consts, self._leaves), set()
            try:
                with under(self._trace):
                    self._run.so_far(jaxpr, consts, data, done)
            finally:
                self._run.forget(trace.forget(done))
        return strip(self.outside(settle, self._run.env[var]))

    def number_of(self, tracer: StagingTracer) -> Any:
        """The array that a variable stands for, or None if it is unknown or no plain array.

        What any operation without a rule would make a plain array, or what says that it may be
        made one (`allow_materialise`), is made one here too.
        """
        value = self.value_of(tracer)
        if type(value) in VALUE_TYPES:
            self.refused = f"Numbers of {describe(value)} were needed, which is not a plain array."
            allowed = getattr(value, "allow_materialise", type(value).default is Value.default)
            if value.shape and not allowed:
                return None
            try:
                value = self.outside(materialised, value, "a number")
            except LocatedError:
                return None
            self.refused = None
        return value.to_concrete_value() if isinstance(value, Tracer) else value

    def operand_of(self, tracer: StagingTracer, operation: str) -> Any:
        """The operand of Python's or NumPy's method: a value that converts itself, or a number.

        NumPy's functions do not know what labels axes, and would drop it.
        """
        value = self.value_of(tracer)
        if type(value) not in VALUE_TYPES:
            return value
        if not hasattr(type(value), operation) or value.shape and labels(type(value)):
            return self.number_of(tracer)
        return value

    def is_value(self, tracer: StagingTracer) -> bool:
        """Whether a variable stands for a value rather than an array."""
        return type(self.value_of(tracer)) in VALUE_TYPES

    def outside(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function under the trace in which the program is carried out."""
        self.in_parts = True
        with not_staging(), under(self._trace):
            return function(*args)
