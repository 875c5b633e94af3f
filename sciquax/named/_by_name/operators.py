"""Operators by name. Arrays laid out alike cost what their arrays cost; others are aligned.

How two layouts align is worked out once per pair of `Axes` and kept. Un-jitted, the alignment and
the operation are one compiled function; a per-call `vmap` costs a hundred times that.
"""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import MODE, VALUE_TYPES, from_foreign, is_value, user_line
from sciquax.core.internal import OPERATORS, Tracer

from .._array.base import N, NamedBase, bare, plain_operand
from .._array.errors import PositionalError
from .._array.host import NO_NUMBERS, for_jax, host_leaf
from .alignment import _LIMIT, alignment
from .call_jax import apply
from .on_host import computed, of_no_numbers

_fused: dict[Any, Callable] = {}


def _aligned(op: str, function: Callable, lhs: Any, rhs: Any) -> Any:
    a, b = lhs.array, rhs.array
    if (
        type(a) in VALUE_TYPES
        or type(b) in VALUE_TYPES
        or (isinstance(a, Tracer) or isinstance(b, Tracer))
    ):
        plan = alignment(op, (lhs._axes, rhs._axes))
        plan.check(op, (a.shape, b.shape))
        return bare(function(plan.steps[0](a), plan.steps[1](b)), plan.axes)
    plan = alignment(op, (lhs._axes, rhs._axes))
    key = (
        function,
        lhs._axes.dims,
        rhs._axes.dims,
    )  # coordinates do not matter to what is compiled
    found = _fused.get(key)
    if found is None:
        first, second = plan.steps

        def fused(x: Any, y: Any) -> Any:
            return function(first(x), second(y))

        if len(_fused) >= _LIMIT:
            _fused.clear()
        found = _fused[key] = jax.jit(fused)
    plan.check(op, (a.shape, b.shape))
    return bare(found(for_jax(a), for_jax(b)), plan.axes)


_SCALARS = (int, float, complex, np.generic)


def _operate(op: str, function: Callable, lhs: Any, rhs: Any) -> Any:
    """An operator of two operands, one of them a named array."""
    for x in (lhs, rhs):
        if isinstance(x, NamedBase) and host_leaf(x.array) is not None:
            out = computed(op, function, lhs, rhs)
            if out is not NotImplemented:
                return out
            if np.dtype(x.dtype).kind in NO_NUMBERS:
                return of_no_numbers(op, function, lhs, rhs)
            lhs, rhs = (
                bare(for_jax(v.array), v._axes) if isinstance(v, NamedBase) else v
                for v in (lhs, rhs)
            )
            break
    if isinstance(lhs, NamedBase) and isinstance(rhs, NamedBase):
        known = lhs._axes
        a, b = lhs.array, rhs.array
        if known is rhs._axes and a.shape == b.shape and known.named:
            return bare(function(a, b), known.plain)
        return _aligned(op, function, lhs, rhs)
    swapped = not isinstance(lhs, NamedBase)
    own, other = (rhs, lhs) if swapped else (lhs, rhs)
    if not isinstance(other, _SCALARS):
        other = from_foreign(other)
        if is_value(other):
            other = other.canonical()
            if isinstance(other, NamedBase):
                return _operate(op, function, *((other, own) if swapped else (own, other)))
        shape = getattr(other, "shape", None)
        if type(shape) is not tuple:
            return NotImplemented
        if shape != ():
            if MODE.staging or MODE.direct:  # positional code, and it may stand for a named array
                given = own._jax_array()
                return function(other, given) if swapped else function(given, other)
            raise plain_operand(op, other)
    layout = own._axes.plain
    return bare(function(other, own.array) if swapped else function(own.array, other), layout)


_PYTHON: dict[str, Callable[..., Any]] = {
    name: getattr(operator, f"__{name}__") for name in OPERATORS if hasattr(operator, f"__{name}__")
}


class Operators(NamedBase):
    """Operators of [`sciquax.named.NamedArray`][], which align by name."""

    def _binary(self, name: str, lhs: Any, rhs: Any) -> Any:
        if name == "divmod":
            return lhs // rhs, lhs % rhs
        return _operate(name, _PYTHON[name], lhs, rhs)

    def _unary(self, name: str, *args: Any) -> Any:
        if name == "round":
            return bare(apply(jnp.round, self.array, *args), self._axes.plain)
        if name in ("abs", "neg") and host_leaf(self.array) is not None:
            function = jnp.abs if name == "abs" else jnp.negative
            return bare(apply(function, self.array), self._axes.plain)
        return bare(_PYTHON[name](self.array), self._axes.plain)

    def __lt__(self: N, other: Any) -> N:
        return _operate("lt", operator.lt, self, other)

    def __le__(self: N, other: Any) -> N:
        return _operate("le", operator.le, self, other)

    def __gt__(self: N, other: Any) -> N:
        return _operate("gt", operator.gt, self, other)

    def __ge__(self: N, other: Any) -> N:
        return _operate("ge", operator.ge, self, other)

    def __matmul__(self, other: Any) -> Any:
        raise PositionalError(
            "`@` does not name the axes to contract.", "Use `a.dot(b, 'x')` or `named.einsum`."
        ).at(user_line())

    __rmatmul__ = __matmul__
