"""Python's operators and the array methods on structured matrices: `jnp`'s functions, quaxified."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from sciquax.core import VALUE_TYPES, call_compiled, is_compiled_function, quaxify

_PLAIN = (jax.Array, np.ndarray, np.generic, int, float, complex)


def _apply(function: Callable, *operands: Any) -> Any:
    """`NotImplemented` for operands of unknown type, so that Python asks the other side."""
    for x in operands:
        if type(x) not in VALUE_TYPES and not isinstance(x, _PLAIN):
            return NotImplemented
    if is_compiled_function(function):
        return call_compiled(function, operands, {})
    return quaxify(function)(*operands)


def _forward(name: str) -> Callable:
    def operator(self: Any, other: Any) -> Any:
        if type(other) in VALUE_TYPES and other.layer > self.layer:
            return NotImplemented
        return _apply(getattr(jnp, name), self, other)

    return operator


def _reflected(name: str) -> Callable:
    def operator(self: Any, other: Any) -> Any:
        return _apply(getattr(jnp, name), other, self)

    return operator


class Operators:
    """What `StructuredMatrix` has in common with `jax.Array` beyond shape and dtype."""

    if TYPE_CHECKING:  # a matrix, a value around one or an array, as the structures have it

        def __add__(self, other: Any, /) -> Any: ...
        def __radd__(self, other: Any, /) -> Any: ...
        def __sub__(self, other: Any, /) -> Any: ...
        def __rsub__(self, other: Any, /) -> Any: ...
        def __mul__(self, other: Any, /) -> Any: ...
        def __rmul__(self, other: Any, /) -> Any: ...
        def __truediv__(self, other: Any, /) -> Any: ...
        def __rtruediv__(self, other: Any, /) -> Any: ...
        def __matmul__(self, other: Any, /) -> Any: ...
        def __rmatmul__(self, other: Any, /) -> Any: ...
        def __pow__(self, other: Any, /) -> Any: ...
        def __lt__(self, other: Any, /) -> Any: ...
        def __le__(self, other: Any, /) -> Any: ...
        def __gt__(self, other: Any, /) -> Any: ...
        def __ge__(self, other: Any, /) -> Any: ...
        def __eq__(self, other: Any, /) -> Any: ...
        def __ne__(self, other: Any, /) -> Any: ...

        __hash__: Any
    else:
        __add__, __radd__ = _forward("add"), _reflected("add")
        __sub__, __rsub__ = _forward("subtract"), _reflected("subtract")
        __mul__, __rmul__ = _forward("multiply"), _reflected("multiply")
        __truediv__, __rtruediv__ = _forward("true_divide"), _reflected("true_divide")
        __matmul__, __rmatmul__ = _forward("matmul"), _reflected("matmul")
        __pow__ = _forward("power")
        __lt__, __le__ = _forward("less"), _forward("less_equal")
        __gt__, __ge__ = _forward("greater"), _forward("greater_equal")
        __eq__, __ne__ = _forward("equal"), _forward("not_equal")
        __hash__ = None

    __array_priority__: ClassVar[int] = 1000  # NumPy's arrays leave the operators to us

    def __neg__(self) -> Any:
        return _apply(jnp.negative, self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _apply(jnp.abs, self)

    def __getitem__(self, index: Any) -> Any:
        return quaxify(lambda a, index: a[index])(self, index)

    def __len__(self) -> int:
        return self.shape[0]  # type: ignore[attr-defined]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    @property
    def T(self) -> Any:
        return quaxify(lambda a: a.T)(self)

    @property
    def mT(self) -> Any:
        return quaxify(lambda a: a.mT)(self)

    @property
    def at(self) -> Any:
        raise TypeError(
            "A structured matrix has no `.at`: elements outside of its structure cannot change. "
            "Update its arrays with `eqx.tree_at`, or `.materialise()` it."
        )

    def sum(self: Any, *args: Any, **kwargs: Any) -> Any:
        return quaxify(jnp.sum)(self, *args, **kwargs)

    def trace(self: Any) -> Any:
        return quaxify(jnp.trace)(self)

    def dot(self, other: Any) -> Any:
        return _apply(jnp.dot, self, other)
