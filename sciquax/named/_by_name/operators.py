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

from sciquax.core import MODE, VALUE_TYPES, is_value, quaxify, user_line
from sciquax.core.internal import Tracer

from .._array.base import NamedBase, bare, plain_operand
from .._array.errors import PositionalError
from .alignment import _LIMIT, Alignment, alignment
from .call_jax import apply

_fused: dict[Any, tuple[Callable, Alignment]] = {}


def _binary(what: str, op: Callable, lhs: Any, rhs: Any) -> Any:
    a, b = lhs.array, rhs.array
    if (
        type(a) in VALUE_TYPES
        or type(b) in VALUE_TYPES
        or (isinstance(a, Tracer) or isinstance(b, Tracer))
    ):
        plan = alignment(what, (lhs._axes, rhs._axes))
        plan.check(what, (a.shape, b.shape))
        return bare(op(plan.steps[0](a), plan.steps[1](b)), plan.axes)
    key = (op, lhs._axes, rhs._axes)
    found = _fused.get(key)
    if found is None:
        plan = alignment(what, (lhs._axes, rhs._axes))
        first, second = plan.steps

        def fused(x: Any, y: Any) -> Any:
            return op(first(x), second(y))

        if len(_fused) >= _LIMIT:
            _fused.clear()
        found = _fused[key] = (jax.jit(fused), plan)
    compiled, plan = found
    plan.check(what, (a.shape, b.shape))
    return bare(compiled(a, b), plan.axes)


_SCALARS = (int, float, complex, np.generic)


def _operate(what: str, op: Callable, lhs: Any, rhs: Any) -> Any:
    """An operator of two operands, one of them a named array."""
    if isinstance(lhs, NamedBase) and isinstance(rhs, NamedBase):
        known = lhs._axes
        a, b = lhs.array, rhs.array
        if known is rhs._axes and a.shape == b.shape and known.named:
            return bare(op(a, b), known.plain)
        return _binary(what, op, lhs, rhs)
    swapped = not isinstance(lhs, NamedBase)
    own, other = (rhs, lhs) if swapped else (lhs, rhs)
    if not isinstance(other, _SCALARS):
        if is_value(other):
            other = other.canonical()
            if isinstance(other, NamedBase):
                return _operate(what, op, *((other, own) if swapped else (own, other)))
        shape = getattr(other, "shape", None)
        if type(shape) is not tuple:
            return NotImplemented
        if shape != ():
            if MODE.staging and isinstance(other, Tracer):  # it may stand for a named array
                return quaxify(op)(lhs, rhs)
            raise plain_operand(what, other)
    layout = own._axes.plain
    return bare(op(other, own.array) if swapped else op(own.array, other), layout)


def _unary(function: Callable, a: Any) -> Any:
    return bare(function(a.array), a._axes.plain)


def _binary_method(name: str, op: Callable) -> tuple[Callable, Callable]:
    def forward(self: Any, other: Any) -> Any:
        return _operate(name, op, self, other)

    def reflected(self: Any, other: Any) -> Any:
        return _operate(name, op, other, self)

    forward.__name__, reflected.__name__ = f"__{name}__", f"__r{name}__"
    return forward, reflected


class Operators:
    """The operators of [`sciquax.named.NamedArray`][]."""

    __add__, __radd__ = _binary_method("add", operator.add)
    __sub__, __rsub__ = _binary_method("sub", operator.sub)
    __mul__, __rmul__ = _binary_method("mul", operator.mul)
    __truediv__, __rtruediv__ = _binary_method("truediv", operator.truediv)
    __floordiv__, __rfloordiv__ = _binary_method("floordiv", operator.floordiv)
    __mod__, __rmod__ = _binary_method("mod", operator.mod)
    __pow__, __rpow__ = _binary_method("pow", operator.pow)
    __and__, __rand__ = _binary_method("and", operator.and_)
    __or__, __ror__ = _binary_method("or", operator.or_)
    __xor__, __rxor__ = _binary_method("xor", operator.xor)
    __lshift__, __rlshift__ = _binary_method("lshift", operator.lshift)
    __rshift__, __rrshift__ = _binary_method("rshift", operator.rshift)
    __lt__, _ = _binary_method("lt", operator.lt)
    __le__, _ = _binary_method("le", operator.le)
    __gt__, _ = _binary_method("gt", operator.gt)
    __ge__, _ = _binary_method("ge", operator.ge)
    _equal, _ = _binary_method("eq", operator.eq)
    _unequal, _ = _binary_method("ne", operator.ne)
    del _

    def __eq__(self, other: Any) -> Any:
        return self._equal(other)

    def __ne__(self, other: Any) -> Any:
        return self._unequal(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __neg__(self) -> Any:
        return _unary(operator.neg, self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _unary(operator.abs, self)

    def __invert__(self) -> Any:
        return _unary(operator.invert, self)

    def __round__(self, ndigits: int = 0) -> Any:
        return _unary(lambda x: apply(jnp.round, x, ndigits), self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __matmul__(self, other: Any) -> Any:
        raise PositionalError(
            "`@` says nothing about names.", "Use `a.dot(b, 'x')` or `named.einsum`."
        ).at(user_line())

    __rmatmul__ = __matmul__
