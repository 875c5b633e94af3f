"""Elementwise results that are not zero where nothing is stored: `A < 3`, `A - A.mean()`, `exp(A)`.

Such a result has one number wherever the array stores nothing, or one for each row or column. It
may be mapped further, compared and reduced (`jnp.all`, `sum`, `max`, so `jnp.var`, `jnp.allclose`),
in the memory of the stored elements. Whoever needs all the others is refused, unless a dense
result is allowed.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from sciquax._storage.formulas import Filled
from sciquax._storage.origin import Origin, operation, refusal
from sciquax.core import (
    ArrayValue,
    Structure,
    aval_of,
    bind,
    is_value,
    register_rule,
    strip,
)
from sciquax.core.internal import ShapedArray, Tracer

from ._array import BCOO
from ._indices import array_of, data_of, number_of, standing_at, together, without_batch

Params = dict[str, Any]
Operands = Sequence[Any]


class Surrounded(ArrayValue, leaves=("inside", "outside"), static=("origin",)):
    """The elements at the stored places, none of them twice, and what is everywhere else.

    `outside` is an array of as many axes, of length one along all, or along all but one.
    """

    layer: ClassVar[int] = BCOO.layer + 1
    transient: ClassVar[bool] = True
    wants_deferred: ClassVar[bool] = True

    inside: Any
    outside: Any
    origin: Origin

    def aval(self) -> Any:
        aval = self.inside.aval()
        return ShapedArray(aval.shape, aval.dtype)

    def materialise(self) -> Any:
        if not self.inside.may_materialise():
            raise refusal(self.origin.operation).at(self.origin.location)
        return self.dense()

    def dense(self) -> Any:
        mat = without_batch(self.inside)
        out = jnp.broadcast_to(jnp.asarray(self.outside), mat.aval().shape)
        places = tuple(mat.indices[:, d] for d in range(mat.indices.shape[1]))
        return out.at[places].set(data_of(mat), mode="drop")


def surround(primitive: Any, operands: Operands, params: Params) -> Any:
    """An elementwise primitive of sparse arrays, of such results, and of numbers by row or column.

    A sparse array, where what is not stored comes to zero.
    """
    plain = [x.array if isinstance(x, Filled) else x for x in map(strip, operands)]
    mats = [x for x in plain if isinstance(x, (BCOO, Surrounded))]
    shape = mats[0].aval().shape
    if primitive.multiple_results or any(x.aval().shape != shape for x in mats):
        return NotImplemented
    ones = (1,) * len(shape)
    inner: list[Any] = []
    outer: list[Any] = []
    for x in plain:
        if isinstance(x, Surrounded):
            inner.append(x.inside)
            outer.append(x.outside)
        elif isinstance(x, BCOO):
            inner.append(x)
            outer.append(np.zeros(ones, x.dtype))
        elif is_value(x) or not (np.size(x) == 1 or np.ndim(x) == len(shape)):
            return NotImplemented
        else:
            number = number_of(x)
            inner.append(None)
            x = x if number is None else np.asarray(number, aval_of(x).dtype)
            outer.append(_reshaped(x, ones) if np.size(x) == 1 else x)
    whole = np.broadcast_shapes(*map(np.shape, outer))
    if not all(n in (1, m) for n, m in zip(whole, shape, strict=True)) or _many(whole):
        return NotImplemented
    given = [x for x in inner if x is not None]
    fills = [o for x, o in zip(inner, outer, strict=True) if x is not None]
    at_places = iter(together(given, fills))
    fitted = [next(at_places) if x is not None else None for x in inner]
    like = next(x for x in fitted if x is not None)
    arrays = [
        jnp.broadcast_to(standing_at(o, like, 0), like.data.shape) if x is None else data_of(x)
        for x, o in zip(fitted, outer, strict=True)
    ]
    outside = _of_numbers(primitive, outer, whole, params)
    made = like.with_payload(primitive.bind(*arrays, **params))
    if not isinstance(outside, Tracer) and not np.any(np.asarray(outside)):
        return made
    origin = next((x.origin for x in plain if isinstance(x, Surrounded)), None)
    out = Surrounded(made, outside, origin or Origin.here(operation(primitive, operands)))
    return out.dense() if made.may_materialise() else out


def _many(shape: Sequence[int]) -> bool:
    """Whether what is outside would be a matrix itself."""
    return sum(n > 1 for n in shape) > 1


def _reshaped(x: Any, shape: Sequence[int]) -> Any:
    dtype = aval_of(x).dtype
    if isinstance(x, (jax.Array, Tracer)):
        return jnp.reshape(x, shape)
    return np.asarray(x, dtype).reshape(shape)


def _of_numbers(primitive: Any, numbers: Sequence[Any], shape: Any, params: Params) -> Any:
    """A primitive of what is outside: known now, if that is."""

    def compute() -> Any:
        arrays = [jnp.broadcast_to(jnp.asarray(x, x.dtype), shape) for x in numbers]
        return primitive.bind(*arrays, **params)

    if any(isinstance(x, jax.Array) for x in numbers):
        return compute()
    with jax.ensure_compile_time_eval():
        return np.asarray(compute())


def _elementwise(primitive: Any, operands: Operands, params: Params) -> Any:
    """Beside a dense array of the same shape the result is dense, and is no larger than that."""
    plain = [*map(strip, operands)]
    shape = next(x.shape for x in plain if isinstance(x, Surrounded))
    if not any(not is_value(x) and np.shape(x) == shape for x in plain):
        return surround(primitive, plain, params)
    if primitive.multiple_results or any(np.shape(x) not in ((), shape) for x in plain):
        return NotImplemented
    arrays = [
        x.dense() if isinstance(x, Surrounded) else x.todense() if isinstance(x, BCOO) else x
        for x in plain
    ]
    return primitive.bind(*map(array_of, arrays), **params)


def _moved(primitive: Any, operands: Operands, params: Params) -> Any:
    """Move elements of an array that has one number everywhere else."""
    x, *rest = map(strip, operands)
    if not isinstance(x, Surrounded) or any(is_value(r) for r in rest):
        return NotImplemented
    if np.size(x.outside) != 1 and primitive.name != "transpose":
        return NotImplemented
    inside = bind(primitive, x.inside, *rest, **params)
    if not isinstance(inside, BCOO):
        return NotImplemented
    if primitive.name == "transpose":
        outside = jnp.transpose(x.outside, params["permutation"])
    else:
        outside = _reshaped(x.outside, (1,) * len(inside.aval().shape))
    return Surrounded(inside, outside, x.origin)


register_rule(Surrounded, Structure.ELEMENTWISE, _elementwise)
register_rule(
    Surrounded,
    (Structure.BROADCAST, Structure.RESHAPE, "transpose", "rev", "slice", "dynamic_slice"),
    _moved,
)
