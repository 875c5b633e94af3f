"""`Zero`: an array of zeros that holds no memory, and leaves programs as it is multiplied away.

Zero here is JAX's symbolic zero, the one of automatic differentiation: it absorbs whatever it is
multiplied with, which is not looked at. So `Zero * x` is zero where some `x` is infinite and IEEE
says nan; a factor that *stands in the program* as inf or nan, and everything that is not linear
(`0 / 0`, `log 0`, `x / 0`, `0 ** 0`), follows IEEE. A `Zero` has no sign.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sciquax.core import ArrayValue, UnitPolymorphic, Unsettled, aval_of, describe, is_value, strip
from sciquax.core.internal import ShapedArray


class Zero(ArrayValue, leaves=("_empty",), static=("_static",)):
    """An array of zeros that holds no memory.

    **Arguments**

    - `shape`: its shape.
    - `dtype`: its dtype; JAX's default float if None.
    - `weak_type`: whether it is weakly typed, as `jnp.asarray(0.0)` is.

    Adding one changes nothing and leaves no addition in the program; what it is multiplied with is
    not computed with. It meets every unit. Where zeros are not zero in the result, as in `cos`, a
    plain array comes out. A loop's carry that starts as a `Zero` becomes the array its body makes.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.zero import Zero
    >>> quaxify(lambda a, x: a @ x)(Zero((2, 3)), jnp.ones(3))
    Zero(f32[2])
    >>> quaxify(jnp.add)(Zero((3,)), jnp.arange(3.0))
    Array([0., 1., 2.], dtype=float32)

    ```
    """

    # The shape and dtype are those of an array with one more axis, of length zero: so they change
    # under `vmap`, `scan` and slices of leaves as any array's do, and cost nothing.
    _empty: Any
    _static: None
    layer: ClassVar[int] = 150
    of_every_unit: ClassVar[bool] = True
    polymorphic_constants: ClassVar[bool] = True

    def __init__(self, shape: Sequence[int] | int, dtype: Any = None, weak_type: bool = False):
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = jax.dtypes.canonicalize_dtype(float if dtype is None else dtype)
        if weak_type:
            weak = jnp.asarray({"f": 0.0, "i": 0, "c": 0j}.get(dtype.kind, 0.0))
            self._empty = lax.broadcast(weak, (*shape, 0))
        else:
            self._empty = np.zeros((*shape, 0), dtype)
        self._static = None

    def aval(self) -> Any:
        empty = aval_of(self._empty)
        return ShapedArray(empty.shape[:-1], empty.dtype, weak_type=empty.weak_type)

    def materialise(self) -> jax.Array:
        """The zeros as an array."""
        aval = self.aval()
        if aval.weak_type:
            return lax.broadcast(
                jnp.asarray({"i": 0, "c": 0j}.get(aval.dtype.kind, 0.0)), aval.shape
            )
        return jnp.zeros(aval.shape, aval.dtype)

    @classmethod
    def common_type(cls, lhs: Any, rhs: Any) -> Any:
        """The type of the other operand. Two zeros of one shape give one of the promoted dtype."""
        zero, other = (lhs, rhs) if type(lhs) is Zero else (rhs, lhs)
        if type(other) is UnitPolymorphic:
            other = strip(other)
        if zero.aval().shape != aval_of(other).shape:
            raise Unsettled
        if type(other) is Zero:
            return zero if zero.dtype == jnp.promote_types(zero.dtype, other.dtype) else other
        if is_value(other):
            return other
        aval = aval_of(other)
        dtype = jnp.promote_types(zero.dtype, aval.dtype)
        weak = aval.weak_type and dtype == aval.dtype
        return jax.ShapeDtypeStruct(aval.shape, dtype, weak_type=weak)

    @classmethod
    def convert_to(cls, value: Any, example: Any) -> Any:
        value = strip(value)
        if type(example) is Zero:
            if type(value) is not Zero:
                raise Unsettled
            return value
        if not is_value(example):
            return value.materialise() if type(value) is Zero else value
        # A structured type whose leaves are all zero is zero, if it says so.
        like = getattr(type(example), "zeros_like", None)
        if type(value) is not Zero or like is None:
            raise Unsettled
        return like(example)

    def __repr__(self) -> str:
        return describe(self)
