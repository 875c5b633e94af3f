"""The two factors of a `LoraArray`'s update: scaled, folded into the weight, added up."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax.core import aval_of, quaxify

from ._array import BATCH, COLUMN, ROW, LoraArray, aligned, make
from ._factor_arrays import combine

Params = dict[str, Any]
Operands = Sequence[Any]

_add_arrays = quaxify(lax.add)  # of the weight's part, which may be a value, and the update's


def _shape(x: Any) -> tuple[int, ...]:
    return aval_of(x).shape


def _result(like: LoraArray, weight: Any, a: Any, b: Any, kinds: Sequence[str]) -> Any:
    """A LoraArray while there are rows and columns; what is left of a single row is an array."""
    shape = _shape(weight)
    # What an operation repeated, `a` repeats (or `b`, along its own axes).
    a_shape = [1 if k == COLUMN else n for n, k in zip(shape, kinds, strict=True)]
    b_shape = [1 if k == ROW else n for n, k in zip(shape, kinds, strict=True)]
    a = jnp.broadcast_to(a, (*a_shape, a.shape[-1]))
    b = jnp.broadcast_to(b, (*b_shape, b.shape[-1]))
    if ROW in kinds and COLUMN in kinds:
        return make(like, weight, a, b, kinds)
    return _add_arrays(weight, combine(a, b, like.scaling))


# -- scaling, adding, summing ---------------------------------------------------------------------


def _scaled(lora: LoraArray, scaling: float) -> LoraArray:
    object.__setattr__(lora, "scaling", scaling)  # only on values that were just made
    return lora


def _folded(lora: LoraArray) -> tuple[Any, Any]:
    """Aligned factors whose product is the whole update, scaling and all."""
    a, b = aligned(lora)
    return a, b if lora.scaling == 1.0 else b * lora.scaling


def _folded_as(lora: LoraArray, kinds: Sequence[str]) -> tuple[Any, Any] | None:
    """The folded factors for axes of these kinds: rows and columns may change places."""
    a, b = _folded(lora)
    swapped = {ROW: COLUMN, COLUMN: ROW, BATCH: BATCH}
    if lora.kinds == tuple(kinds):
        return a, b
    return (b, a) if tuple(swapped[k] for k in lora.kinds) == tuple(kinds) else None
