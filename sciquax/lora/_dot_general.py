"""Contractions and convolutions of a `LoraArray`.

They meet the factors one after the other, the smaller product first, so that the update costs what
the rank says.
"""

import string
from typing import Any

import jax.numpy as jnp
from jax import lax

from sciquax.core import aval_of, bind, quaxify, register_rule, strip

from ._array import BATCH, COLUMN, ROW, LoraArray, aligned
from ._factors import Operands, Params, _add_arrays, _shape

# -- contracting ----------------------------------------------------------------------------------


def _dot_general(primitive: Any, operands: Operands, params: Params) -> Any:
    """`W @ x + s (a @ (b @ x))`, for every form of the contraction."""
    x, y = map(strip, operands)
    lora_first = type(x) is LoraArray
    lora, other = (x, y) if lora_first else (y, x)
    whole = bind(primitive, *((lora.w, other) if lora_first else (other, lora.w)), **params)

    (contract_x, contract_y), (batch_x, batch_y) = params["dimension_numbers"]
    contract, other_contract = (contract_x, contract_y) if lora_first else (contract_y, contract_x)
    batch, other_batch = (batch_x, batch_y) if lora_first else (batch_y, batch_x)
    kinds = lora.kinds
    letters = iter(string.ascii_letters)
    rank = next(letters)
    own = [next(letters) for _ in kinds]
    others = [next(letters) for _ in _shape(other)]
    for d, e in (
        *zip(contract, other_contract, strict=True),
        *zip(batch, other_batch, strict=True),
    ):
        others[e] = own[d]
    free = [c for d, c in enumerate(own) if d not in (*contract, *batch)]
    other_free = [c for e, c in enumerate(others) if e not in (*other_contract, *other_batch)]
    out = [own[d] for d in batch] + (free + other_free if lora_first else other_free + free)

    batch_letters = [c for c, k in zip(own, kinds, strict=True) if k == BATCH]
    a_spec = [c for c, k in zip(own, kinds, strict=True) if k != COLUMN] + [rank]
    b_spec = batch_letters + [rank] + [c for c, k in zip(own, kinds, strict=True) if k == COLUMN]
    factors = [(a_spec, lora.a), (b_spec, lora.b)]
    if any(kinds[d] == COLUMN for d in contract) or not any(kinds[d] == ROW for d in contract):
        factors.reverse()  # contract with `b` first
    (first_spec, first), (second_spec, second) = factors
    needed = {*second_spec, *out}
    middle = [c for c in dict.fromkeys([*others, *first_spec]) if c in needed]

    dtype = jnp.promote_types(aval_of(other).dtype, lora.a.dtype)
    first, second = first.astype(dtype), second.astype(dtype)
    options = {"precision": params["precision"]}

    def update(other: Any) -> Any:
        if aval_of(other).dtype != dtype:  # a Python number may be among them
            other = lax.convert_element_type(other, dtype)
        spec = f"{''.join(others)},{''.join(first_spec)}->{''.join(middle)}"
        partial = jnp.einsum(spec, other, first, **options)
        spec = f"{''.join(middle)},{''.join(second_spec)}->{''.join(out)}"
        return jnp.einsum(
            spec,
            partial,
            second,
            preferred_element_type=params["preferred_element_type"],
            **options,
        )

    delta = quaxify(update)(other)
    return _plus(whole, delta, lora.scaling)


def _plus(whole: Any, delta: Any, scaling: float) -> Any:
    dtype = aval_of(whole).dtype
    if scaling != 1.0:
        delta = quaxify(lambda x: x * scaling)(delta)
    if aval_of(delta).dtype != dtype:
        delta = quaxify(lambda x: x.astype(dtype))(delta)
    return _add_arrays(whole, delta)


def _conv(primitive: Any, operands: Operands, params: Params) -> Any:
    """A convolution with the update is two: with one factor, and of one pixel with the other."""
    image, kernel = map(strip, operands)
    if type(kernel) is not LoraArray or type(image) is LoraArray:
        return NotImplemented
    numbers, kinds = params["dimension_numbers"], kernel.kinds
    out_axis, in_axis, *window = numbers.rhs_spec
    rows = [d for d, k in enumerate(kinds) if k == ROW]
    columns = [d for d, k in enumerate(kinds) if k == COLUMN]
    if params["batch_group_count"] != 1:
        return NotImplemented
    groups = params["feature_group_count"]
    if len(rows) + len(columns) != len(kinds):
        return _with_whole_kernel(primitive, image, kernel, params)
    a, b = aligned(kernel)
    pixel, rest = (a, b) if rows in ([out_axis], [in_axis]) else (b, a)
    alone = rows if pixel is a else columns

    def with_rank(factor: Any, axis: int) -> Any:
        """The factor as a kernel whose axis `axis` is the rank."""
        return jnp.squeeze(jnp.moveaxis(factor, -1, axis), axis + 1)

    if alone == [out_axis]:
        # First the window, to `rank` channels a group; then one pixel, to the output channels.
        first = jnp.concatenate([with_rank(rest, out_axis)] * groups, out_axis)
        order = ((first, False), (with_rank(pixel, in_axis), True))
    elif alone == [in_axis] and groups == 1:
        # First one pixel, from the input channels to `rank`; then the window.
        order = ((with_rank(pixel, out_axis), True), (with_rank(rest, in_axis), False))
    else:
        return _with_whole_kernel(primitive, image, kernel, params)
    whole = bind(primitive, image, kernel.w, **params)
    spatial = len(window)
    one = {
        **params,
        "window_strides": (1,) * spatial,
        "padding": ((0, 0),) * spatial,
        "lhs_dilation": (1,) * spatial,
        "rhs_dilation": (1,) * spatial,
    }
    out = image
    for factor, single in order:
        arguments = one if single else params
        lhs_spec = numbers.lhs_spec if out is image else numbers.out_spec
        arguments = {
            **arguments,
            "dimension_numbers": lax.ConvDimensionNumbers(
                lhs_spec, numbers.rhs_spec, numbers.out_spec
            ),
        }
        out = bind(primitive, out, factor, **arguments)
    return _plus(whole, out, kernel.scaling)


def _with_whole_kernel(primitive: Any, image: Any, kernel: LoraArray, params: Params) -> Any:
    """Where the factors are no kernels: the update, small beside an image, multiplied out."""
    whole = _add_arrays(kernel.w, kernel.update())
    return bind(primitive, image, whole, **params)


register_rule(LoraArray, "dot_general", _dot_general)
register_rule(LoraArray, "conv_general_dilated", _conv)
