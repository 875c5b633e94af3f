"""Python's operators of every array type, from one table.

They are JAX's functions on the value, as `quaxify` calls them. What calls is on a higher floor:
`_stage/compiled.py` puts it into [`CALLER`][] when it is loaded.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .kinds import VALUE_TYPES, from_foreign
from .materialisation_log import materialised
from .mode import MODE

if TYPE_CHECKING:
    V = TypeVar("V", bound="Operators")
    """To type checkers, a result is of the value's own type."""
else:
    V = TypeVar("V")  # to a checker at run time anything: what comes out, the rules decide


class _Caller:
    """The function that stages functions. `_stage/compiled.py` fills it in.

    `call(function, args, kwargs)` is `quaxify(function)(*args, **kwargs)`; `compiled` the same for
    functions that close over nothing, compiled when they are called again alike;
    `has_rule(primitive, operands)` says whether anybody registered one.
    """

    call: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
    compiled: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
    has_rule: Callable[[Any, Sequence[Any]], bool]


CALLER = _Caller()

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "truediv": jnp.true_divide,
    "floordiv": jnp.floor_divide, "mod": jnp.remainder, "divmod": jnp.divmod, "pow": jnp.power,
    "matmul": jnp.matmul, "and": jnp.bitwise_and, "or": jnp.bitwise_or, "xor": jnp.bitwise_xor,
    "lshift": jnp.left_shift, "rshift": jnp.right_shift,
    "lt": jnp.less, "le": jnp.less_equal, "gt": jnp.greater, "ge": jnp.greater_equal,
    "eq": jnp.equal, "ne": jnp.not_equal,
    "neg": jnp.negative, "abs": jnp.abs, "invert": jnp.invert, "round": jnp.round,
}  # fmt: skip
"""Python's operators by the name between the underscores."""


_EQUALITIES = {"eq": jax.lax.eq_p, "ne": jax.lax.ne_p}

_PLAIN = (jax.Array, np.ndarray, np.generic, int, float, complex)


class Operators:
    """Python's operators, which each array type inherits.

    Each is the JAX function of its name on the value, and gives what `quaxify` of that function
    does: a value of this type, of another or a plain array, as the rules have it. It is
    NotImplemented for operands that are neither arrays, numbers nor values, and for a value of an
    outer layer, whose own operator is then asked. What a type defines itself comes first, a field
    included.

    **Hooks for subclasses** that know a shorter way, or another meaning

    - `_binary(name, lhs, rhs)`: an operator of two operands, at least one of this type; `name` is
      Python's, as in `__add__` and `__radd__`.
    - `_unary(name, *args)`: one of a single operand.

    `==` and `!=` are elementwise, so values do not hash, as arrays do not, unless a type says so.
    Two values of a type that has no rule for them, and that refuses to be materialised, are
    compared as the trees of arrays that they are, as Equinox's modules are.
    """

    __array_priority__ = 1000  # NumPy's arrays leave the operators to us

    def _binary(self, name: str, lhs: Any, rhs: Any) -> Any:
        other, forward = (rhs, True) if lhs is self else (lhs, False)
        given, other = other, from_foreign(other)
        kind = type(other)
        if kind in VALUE_TYPES:
            if kind.own_operators:
                if not MODE.staging and kind is not type(self):
                    return NotImplemented
            elif forward and other is given and kind.layer > type(self).layer:  # pyright: ignore[reportAttributeAccessIssue]
                return NotImplemented
        elif not isinstance(other, _PLAIN):
            return NotImplemented
        operands = (lhs, other) if forward else (other, rhs)
        try:
            return CALLER.compiled(OPERATORS[name], operands, {})
        except Exception:
            if name not in _EQUALITIES or kind is not type(self) or MODE.staging:
                raise
            if CALLER.has_rule(_EQUALITIES[name], operands):
                raise
            return bool(eqx.tree_equal(*operands)) == (name == "eq")

    def _unary(self, name: str, *args: Any) -> Any:
        return CALLER.compiled(OPERATORS[name], (self, *args), {})

    # -- operators --------------------------------------------------------------------------------

    def __add__(self: V, other: Any) -> V:
        return self._binary("add", self, other)

    def __radd__(self: V, other: Any) -> V:
        return self._binary("add", other, self)

    def __sub__(self: V, other: Any) -> V:
        return self._binary("sub", self, other)

    def __rsub__(self: V, other: Any) -> V:
        return self._binary("sub", other, self)

    def __mul__(self: V, other: Any) -> V:
        return self._binary("mul", self, other)

    def __rmul__(self: V, other: Any) -> V:
        return self._binary("mul", other, self)

    def __truediv__(self: V, other: Any) -> V:
        return self._binary("truediv", self, other)

    def __rtruediv__(self: V, other: Any) -> V:
        return self._binary("truediv", other, self)

    def __floordiv__(self: V, other: Any) -> V:
        return self._binary("floordiv", self, other)

    def __rfloordiv__(self: V, other: Any) -> V:
        return self._binary("floordiv", other, self)

    def __mod__(self: V, other: Any) -> V:
        return self._binary("mod", self, other)

    def __rmod__(self: V, other: Any) -> V:
        return self._binary("mod", other, self)

    def __pow__(self: V, other: Any) -> V:
        return self._binary("pow", self, other)

    def __rpow__(self: V, other: Any) -> V:
        return self._binary("pow", other, self)

    def __matmul__(self: V, other: Any) -> V:
        return self._binary("matmul", self, other)

    def __rmatmul__(self: V, other: Any) -> V:
        return self._binary("matmul", other, self)

    def __and__(self: V, other: Any) -> V:
        return self._binary("and", self, other)

    def __rand__(self: V, other: Any) -> V:
        return self._binary("and", other, self)

    def __or__(self: V, other: Any) -> V:
        return self._binary("or", self, other)

    def __ror__(self: V, other: Any) -> V:
        return self._binary("or", other, self)

    def __xor__(self: V, other: Any) -> V:
        return self._binary("xor", self, other)

    def __rxor__(self: V, other: Any) -> V:
        return self._binary("xor", other, self)

    def __lshift__(self: V, other: Any) -> V:
        return self._binary("lshift", self, other)

    def __rlshift__(self: V, other: Any) -> V:
        return self._binary("lshift", other, self)

    def __rshift__(self: V, other: Any) -> V:
        return self._binary("rshift", self, other)

    def __rrshift__(self: V, other: Any) -> V:
        return self._binary("rshift", other, self)

    def __divmod__(self: V, other: Any) -> tuple[Any, V]:
        return self._binary("divmod", self, other)

    def __rdivmod__(self: V, other: Any) -> tuple[Any, V]:
        return self._binary("divmod", other, self)

    def __lt__(self, other: Any) -> Any:
        return self._binary("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return self._binary("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return self._binary("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return self._binary("ge", self, other)

    def __eq__(self, other: Any) -> Any:
        return self._binary("eq", self, other)

    def __ne__(self, other: Any) -> Any:
        return self._binary("ne", self, other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __neg__(self: V) -> V:
        return self._unary("neg")

    def __abs__(self: V) -> V:
        return self._unary("abs")

    def __invert__(self: V) -> V:
        return self._unary("invert")

    def __pos__(self: V) -> V:
        return self

    def __round__(self: V, ndigits: int = 0) -> V:
        return self._unary("round", ndigits)

    # -- Python's sequences and numbers -----------------------------------------------------------

    def __getitem__(self: V, index: Any) -> V:
        return CALLER.call(operator.getitem, (self, index), {})

    def __len__(self) -> int:
        shape = _shape(self)
        if not shape:
            raise TypeError(f"len() of a `{type(self).__name__}` without axes")
        return shape[0]

    def __iter__(self: V) -> Iterator[V]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(materialised(self, "bool"))

    def __float__(self) -> float:
        return float(materialised(self, "float"))

    def __int__(self) -> int:
        return int(materialised(self, "int"))

    def __complex__(self) -> complex:
        return complex(materialised(self, "complex"))

    def item(self, *args: Any) -> Any:
        """The Python number of one element."""
        return materialised(self, "item").item(*args)

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return materialised(self, "tolist").tolist()


def _shape(value: Any) -> tuple[int, ...]:
    return value.shape
