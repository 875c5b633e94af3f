"""Scaling, adding, summing and converting a `LoraArray`: whatever is linear acts on both parts."""

from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax.core import bind, quaxify, register_rule, strip

from ._array import BATCH, COLUMN, ROW, LoraArray, aligned, make
from ._factors import Operands, Params, _folded, _folded_as, _result, _scaled, _shape


def _apply_all(primitive: Any, operands: Operands, params: Params) -> Any:
    """Converts or marks every part."""
    (lora,) = operands
    if primitive.name == "convert_element_type" and not jnp.issubdtype(
        params["new_dtype"], jnp.inexact
    ):
        return NotImplemented
    a, b = (primitive.bind(x, **params) for x in aligned(lora))
    return make(lora, bind(primitive, lora.w, **params), a, b, lora.kinds)


def _neg(primitive: Any, operands: Operands, params: Params) -> Any:
    (lora,) = operands
    a, b = aligned(lora)
    return make(lora, bind(primitive, lora.w, **params), a, -b, lora.kinds)


def _scale(primitive: Any, operands: Operands, params: Params) -> Any:
    """Multiplied or divided by a number, by one number a row, or by one a column."""
    lora, factor = operands
    if type(lora) is not LoraArray:
        if primitive.name == "div":
            return NotImplemented
        lora, factor = factor, lora
    factor = strip(factor)
    if type(factor) is LoraArray:
        return NotImplemented
    shape, kinds, own = _shape(lora), lora.kinds, _shape(factor)
    if own and (
        len(own) != len(shape) or any(m not in (1, n) for m, n in zip(own, shape, strict=True))
    ):
        return NotImplemented
    varies = {k for k, m in zip(kinds, own, strict=bool(own)) if m != 1}
    if ROW in varies and COLUMN in varies:
        return NotImplemented
    a, b = aligned(lora)
    number = quaxify(lambda x: lax.expand_dims(x, (x.ndim,)))(factor) if own else factor
    which = COLUMN if COLUMN in varies else ROW
    if which == ROW:
        a = bind(primitive, a, number, **params)
    else:
        b = bind(primitive, b, number, **params)
    weight = bind(primitive, *[lora.w if x is lora else strip(x) for x in operands], **params)
    return _result(lora, weight, a, b, kinds)


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    """With another LoraArray, the ranks add up; any other array is added to the weight."""
    x, y = map(strip, operands)
    if type(x) is LoraArray and type(y) is LoraArray:
        other = _folded_as(y, x.kinds)
        if other is None or _shape(x) != _shape(y):
            return NotImplemented
        (a, b), (c, d) = _folded(x), other
        d = -d if primitive.name == "sub" else d
        a, b = jnp.concatenate([a, c], -1), jnp.concatenate([b, d], -1)
        weight = bind(primitive, x.w, y.w, **params)
        return _scaled(make(x, weight, a, b, x.kinds), 1.0)
    lora = x if type(x) is LoraArray else y
    weight = bind(primitive, *[lora.w if z is lora else z for z in (x, y)], **params)
    if _shape(weight) != _shape(lora):
        return NotImplemented
    a, b = aligned(lora)
    b = -b if primitive.name == "sub" and lora is y else b
    return make(lora, weight, a, b, lora.kinds)


def _sum(primitive: Any, operands: Operands, params: Params) -> Any:
    (lora,) = operands
    axes, kinds = params["axes"], lora.kinds
    a, b = aligned(lora)
    batch = [d for d in axes if kinds[d] == BATCH]
    if batch:  # a sum of products is one product of more ranks
        a, b = (
            jnp.moveaxis(x, batch, range(-1 - len(batch), -1)).reshape(
                *[1 if d in batch else n for d, n in enumerate(x.shape[:-1])], -1
            )
            for x in (a, b)
        )
    a, b = (jnp.sum(x, axis=tuple(axes)) for x in (a, b))  # over an axis of one: nothing
    kept = [k for d, k in enumerate(kinds) if d not in axes]
    return _result(lora, bind(primitive, lora.w, **params), a, b, kept)


register_rule(
    LoraArray,
    "convert_element_type stop_gradient reduce_precision name sharding_constraint conj".split(),
    _apply_all,
)

register_rule(LoraArray, "neg", _neg)
register_rule(LoraArray, "mul div".split(), _scale)
register_rule(LoraArray, "add sub add_any".split(), _add)
register_rule(LoraArray, "reduce_sum", _sum)
