"""Elementwise operations on sparse arrays: functions that are zero where nothing is stored."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import sparse as jsparse

from sciquax._storage.formulas import Filled
from sciquax.core import (
    RuleError,
    Structure,
    aval_of,
    describe,
    facts_of,
    is_finite,
    is_value,
    register_rule,
    strip,
    vanishes,
)

from ._array import BCOO, wrap
from ._background import surround
from ._indices import (
    array_of,
    data_of,
    elements,
    fits,
    foreign,
    in_batch,
    number_of,
    same_kind,
    standing_at,
    unique,
    without_batch,
)
from ._moving import repeated

Params = dict[str, Any]
Operands = Sequence[Any]

_LINEAR = {"neg", "real", "imag", "conj", "reduce_precision", "sharding_constraint"}


def _elementwise(primitive: Any, operands: Operands, params: Params) -> Any:
    """If zeros give zero, of the stored elements. Beside a dense array of the shape, dense."""
    plain = [*map(strip, operands)]
    if primitive.multiple_results or foreign(*plain):
        return NotImplemented
    mats = [x for x in plain if isinstance(x, BCOO)]
    facts = facts_of(primitive)
    if len(plain) == 1 and facts.zero:
        (x,) = mats
        linear = (
            facts.copies
            or primitive.name in _LINEAR
            or (
                primitive.name == "convert_element_type"
                and jnp.issubdtype(params["new_dtype"], jnp.inexact)
            )
        )
        x = x if linear else unique(x)
        return x.with_payload(primitive.bind(data_of(x), **params))
    if (out := surround(primitive, plain, params)) is not NotImplemented:
        return out
    shape = mats[0].aval().shape
    dense = [x for x in plain if not is_value(x) and aval_of(x).shape == shape]
    if not dense or any(is_value(x) and not isinstance(x, BCOO) for x in plain):
        return NotImplemented
    return primitive.bind(*[x.todense() if isinstance(x, BCOO) else x for x in plain], **params)


def _select(primitive: Any, operands: Operands, params: Params) -> Any:
    """Stored elements of each case, zero where the mask asks for another: all places together."""
    which, *cases = map(strip, operands)
    mats = [x for x in cases if isinstance(x, BCOO)]
    known = all(isinstance(x, BCOO) or number_of(x, vanishes) for x in cases)
    if isinstance(which, BCOO) or not mats or not known or not same_kind(mats):
        return _elementwise(primitive, operands, params)
    if foreign(which) or not fits(which, mats[0]):
        return NotImplemented
    arrays, indices = [], []
    for i, case in enumerate(cases):
        if isinstance(case, BCOO):
            chosen = standing_at(which, case, False) == i
            data = data_of(case)
            arrays.append(jnp.where(chosen, data, jnp.zeros((), data.dtype)))
            indices.append(case.indices)
    if len(mats) == 1:
        return mats[0].with_payload(arrays[0])
    return _side_by_side(mats, arrays, indices)


def _side_by_side(mats: Sequence[BCOO], arrays: Sequence[Any], indices: Sequence[Any]) -> BCOO:
    """The sum of several of one shape."""
    n, dtype = mats[0].n_batch, indices[0].dtype
    data = jnp.concatenate(arrays, axis=n)
    places = jnp.concatenate([x.astype(dtype) for x in indices], axis=n)
    return wrap(jsparse.BCOO((data, places), shape=mats[0].aval().shape), mats[0])


def _mul(primitive: Any, operands: Operands, params: Params) -> Any:
    """The stored elements, times what stands at their places."""
    x, y = map(strip, operands)
    if foreign(x, y):
        return NotImplemented
    if isinstance(x, BCOO) and isinstance(y, BCOO):
        return _mul_sparse(primitive, x, y, params)
    mat, other = (x, y) if isinstance(x, BCOO) else (y, x)
    if number_of(other, is_finite) is False:
        return surround(primitive, [x, y], params)  # nan where nothing is stored
    if not fits(other, mat):
        return _outer(primitive, mat, other, [x, y], params)
    factor = standing_at(other, mat, 0)
    pair = (data_of(mat), factor) if mat is x else (factor, data_of(mat))
    return mat.with_payload(primitive.bind(*pair, **params))


def _outer(primitive: Any, mat: BCOO, other: Any, operands: Operands, params: Params) -> Any:
    """Along axes where the sparse array has length one, a dense one makes it repeat."""
    own, shape = aval_of(other).shape, mat.aval().shape
    if len(own) != len(shape) or any(
        m != n and 1 not in (m, n) for m, n in zip(own, shape, strict=True)
    ):
        return NotImplemented

    whole = tuple(max(m, n) if 0 not in (m, n) else 0 for m, n in zip(own, shape, strict=True))
    if len(whole) > 2 and whole[-2:] == shape[-2:]:  # one matrix, many times
        batched = in_batch(mat, whole[:-2])
        if batched is not None:
            return _mul(primitive, [batched if x is mat else x for x in operands], params)
    mats = [repeated(mat, whole) if x is mat else x for x in operands]
    return _mul(primitive, mats, params)


def _div(primitive: Any, operands: Operands, params: Params) -> Any:
    """A sparse numerator; what a zero that is not stored is divided by is not looked at."""
    x, y = map(strip, operands)
    if foreign(x, y):
        return NotImplemented
    if isinstance(y, BCOO):
        return _elementwise(primitive, operands, params)
    if number_of(y, _undefined):
        return surround(primitive, [x, y], params)
    if not fits(y, x):
        return NotImplemented
    return x.with_payload(primitive.bind(data_of(x), standing_at(y, x, 1), **params))


def _undefined(number: np.ndarray) -> bool:
    """The question whether zero divided by it is nan."""
    return bool((number == 0).any() or np.isnan(number).any())


def _mul_sparse(primitive: Any, x: BCOO, y: BCOO, params: Params) -> Any:
    """Where both are stored: the elements of the one with fewer, times what the other stores."""
    batch = next((m.aval().shape[:-2] for m in (x, y) if m.n_batch), ())
    if x.aval().shape != y.aval().shape and batch:  # one matrix, and a batch of them
        x, y = (m if (found := in_batch(m, batch)) is None else found for m in (x, y))
    if x.aval().shape != y.aval().shape:
        return _outer_sparse(primitive, x, y, params)
    if x.n_batch != y.n_batch:
        x, y = without_batch(x), without_batch(y)
    if x.indices is y.indices and (x.unique_indices or x.data is y.data):
        first = unique(x)
        second = first if x.data is y.data else y
        return first.with_payload(primitive.bind(data_of(first), data_of(second), **params))
    x, y = (x, y) if x.nse <= y.nse else (y, x)
    x = unique(x)
    find = elements
    for _ in range(x.n_batch):
        find = jax.vmap(find)
    other = find(data_of(y), y.indices, x.indices)
    return x.with_payload(primitive.bind(data_of(x), other, **params))


def _outer_sparse(primitive: Any, x: BCOO, y: BCOO, params: Params) -> Any:
    """Along every axis one of the two has length one (`kron`): every product of two elements."""
    m, n = x.aval().shape, y.aval().shape
    if len(m) != len(n) or any(1 not in pair for pair in zip(m, n, strict=True)):
        return NotImplemented
    if x.n_batch or y.n_batch:
        return NotImplemented
    x, y = unique(x), unique(y)
    shape = tuple(a if b == 1 else b for a, b in zip(m, n, strict=True))
    data = primitive.bind(
        *jnp.broadcast_arrays(data_of(x)[:, None], data_of(y)[None, :]), **params
    ).reshape(-1)
    own = jnp.asarray([b == 1 for b in n])
    left, right = x.indices[:, None, :], y.indices[None, :, :].astype(x.indices.dtype)
    places = jnp.where(own, left, right)
    padding = (left >= jnp.asarray(m)).any(-1) | (right >= jnp.asarray(n)).any(-1)
    places = jnp.where(padding[..., None], jnp.asarray(shape, places.dtype), places)
    made = jsparse.BCOO((data, places.reshape(-1, len(shape))), shape=shape, unique_indices=True)
    return wrap(made, x)


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    """Two sparse arrays' elements side by side; with a dense array of the same shape, dense."""
    x, y = map(strip, operands)
    if foreign(x, y):
        return NotImplemented
    if isinstance(x, BCOO) and isinstance(y, BCOO):
        if x.aval().shape != y.aval().shape:
            return NotImplemented
        if not same_kind([x, y]):
            x, y = without_batch(x), without_batch(y)
        if x.indices is y.indices:
            return x.with_payload(primitive.bind(data_of(x), data_of(y), **params))
        other = -data_of(y) if primitive.name == "sub" else data_of(y)
        return _side_by_side([x, y], [data_of(x), other], [x.indices, y.indices])
    mat, other = (x, y) if isinstance(x, BCOO) else (y, x)
    if number_of(other, vanishes):
        return mat.with_payload(-data_of(mat)) if primitive.name == "sub" and mat is y else mat
    if isinstance(other, Filled):
        return surround(primitive, [x, y], params)
    if is_value(other):
        other = array_of(other)
    if aval_of(other).shape != mat.aval().shape:
        return surround(primitive, [x, y], params)
    data, other = data_of(mat), jnp.asarray(other)
    if primitive.name == "sub":
        data, other = (-data, other) if mat is y else (data, -other)  # pyright: ignore[reportOperatorIssue]

    def one(dense: Any, data: Any, indices: Any) -> Any:
        places = tuple(indices[:, d] for d in range(indices.shape[1]))
        return dense.at[places].add(data, mode="drop")

    for _ in range(mat.n_batch):
        one = jax.vmap(one)
    return one(other, data, mat.indices)


register_rule(BCOO, Structure.ELEMENTWISE, _elementwise)
register_rule(BCOO, "select_n", _select)
register_rule(BCOO, "mul", _mul)
register_rule(BCOO, "div", _div)
register_rule(BCOO, "add sub add_any".split(), _add)


# -- functions that are zero at zero, of primitives that are not -----------------------------------


def _of_elements(function: Callable) -> Callable:
    def rule(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, BCOO):
            raise RuleError(f"`{function.__name__}` takes one sparse array, not {describe(x)}.")
        x = unique(x)
        return x.with_payload(function(data_of(x), *args, **kwargs))

    return rule


for _function in (
    jax.nn.silu, jax.nn.leaky_relu, jax.nn.elu, jax.nn.celu, jax.nn.selu,
    jax.nn.hard_silu, jax.nn.soft_sign, jax.nn.relu, jax.nn.relu6, jax.nn.hard_tanh,
    jax.nn.mish, jnp.nan_to_num,
):  # fmt: skip
    register_rule(BCOO, _function, _of_elements(_function))
