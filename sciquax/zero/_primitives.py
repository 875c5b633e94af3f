"""Rules of `Zero` for primitives.

This follows from the facts in `core/_facts.py`: whether zero data gives zero output, and whether
the primitive is a product. Shapes, dtypes and weak types come from the primitive's own abstract
evaluation.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core.primitives import broadcast_in_dim_p, convert_element_type_p

from sciquax._storage.formulas import Filled
from sciquax.core import (
    RuleError,
    Scaling,
    Structure,
    aval_of,
    bind,
    describe,
    facts_of,
    is_finite,
    is_value,
    quaxify,
    register_rule,
    stated_number,
    strip,
    vanishes,
)
from sciquax.core.internal import wants_deferred

from ._array import Zero

Params = dict[str, Any]
Operands = Sequence[Any]


def is_zero(x: Any) -> bool:
    """Whether an operand is zero by the program: a `Zero`, or a 0 that it states."""
    x = strip(x)
    return type(x) is Zero or bool(stated_number(x, vanishes))


def _is_positive(number: np.ndarray) -> bool:
    """The question whether it is a positive number."""
    return bool(np.isrealobj(number) and (number > 0).all())


def _undefined(number: np.ndarray) -> bool:
    """The question whether zero divided by it is nan."""
    return bool((number == 0).any() or np.isnan(number).any())


def _dense(primitive: Any, operands: Operands, params: Params) -> Any:
    """On arrays of zeros, which the compiler knows to be constant; or on the formula for them."""
    stripped = [*map(strip, operands)]
    formula = facts_of(primitive).structure is Structure.ELEMENTWISE
    formula = formula and any(type(x) is not Zero and wants_deferred(x) for x in stripped)
    arrays = [_filled(x, formula) if type(x) is Zero else x for x in stripped]
    return bind(primitive, *arrays, **params)


def _filled(zero: Zero, formula: bool) -> Any:
    aval = zero.aval()
    if not formula or not aval.shape:
        return zero.materialise()
    return Filled(np.zeros([1] * len(aval.shape), aval.dtype), aval.shape)


def _output_avals(primitive: Any, operands: Operands, params: Params) -> Any:
    """The outputs' shapes, dtypes and weak types, by the primitive's abstract evaluation."""
    structs = []
    for x in map(strip, operands):
        aval = aval_of(x)
        weak = getattr(aval, "weak_type", False)
        structs.append(jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=weak))
    bound = primitive.get_bind_params(params)
    return jax.eval_shape(lambda *xs: primitive.bind(*xs, **bound), *structs)


def _zero_of(aval: Any) -> Any:
    """A zero of this shape and dtype; masks come out plain, since programs branch on them."""
    if aval.dtype == np.bool_:
        return jnp.zeros(aval.shape, bool)
    return Zero(aval.shape, aval.dtype, weak_type=aval.weak_type)


def _zeros(primitive: Any, operands: Operands, params: Params) -> Any:
    avals = _output_avals(primitive, operands, params)
    return list(map(_zero_of, avals)) if primitive.multiple_results else _zero_of(avals)


def _like_output(x: Any, primitive: Any, operands: Operands, params: Params) -> Any:
    """`x`, which the output equals, in the output's shape and dtype."""
    x = strip(x)
    out, own = _output_avals(primitive, operands, params), aval_of(x)
    if own.shape != out.shape:
        offset = len(out.shape) - len(own.shape)
        axes = tuple(range(offset, len(out.shape)))
        x = bind(broadcast_in_dim_p, x, shape=out.shape, broadcast_dimensions=axes, sharding=None)
    if own.dtype != out.dtype or getattr(own, "weak_type", False) != out.weak_type:
        x = bind(
            convert_element_type_p, x, new_dtype=out.dtype, weak_type=out.weak_type, sharding=None
        )
    return jnp.asarray(x) if isinstance(x, (bool, int, float, complex)) else x


def _by_facts(primitive: Any, operands: Operands, params: Params) -> Any:
    """Zero data gives zero output, where the facts say so. Otherwise on arrays of zeros."""
    facts = facts_of(primitive)
    if facts.zero and all(is_zero(x) for i, x in enumerate(operands) if facts.is_data(i)):
        return _zeros(primitive, operands, params)
    return _dense(primitive, operands, params)


def _product(primitive: Any, operands: Operands, params: Params) -> Any:
    """Zero, whatever the other factor; but a literal inf or nan in the program makes nan."""
    if any(stated_number(x, is_finite) is False for x in operands):
        return _dense(primitive, operands, params)
    facts = facts_of(primitive)
    if any(is_zero(x) for i, x in enumerate(operands) if facts.is_data(i)):
        return _zeros(primitive, operands, params)
    return _dense(primitive, operands, params)


def _div(primitive: Any, operands: Operands, params: Params) -> Any:
    """Linear in the numerator; a denominator that is zero or nan by the program follows IEEE."""
    numerator, denominator = map(strip, operands)
    if is_zero(denominator) and is_value(numerator) and type(numerator) is not Zero:
        raise RuleError(
            f"`div` of {describe(numerator)} by zero is infinite or not a number everywhere."
        )
    if is_value(denominator):  # which may be zero where it stores nothing
        return _dense(primitive, operands, params)
    undefined = stated_number(denominator, _undefined)
    if is_zero(numerator) and not is_zero(denominator) and not undefined:
        return _zeros(primitive, operands, params)
    return _dense(primitive, operands, params)


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    """Zero is neutral."""
    x, y = operands
    if is_zero(x) and is_zero(y):
        return _zeros(primitive, operands, params)
    if is_zero(y):
        return _like_output(x, primitive, operands, params)
    if is_zero(x):
        y = quaxify(lax.neg)(strip(y)) if primitive.name == "sub" else y
        return _like_output(y, primitive, operands, params)
    return _dense(primitive, operands, params)


def _or(primitive: Any, operands: Operands, params: Params) -> Any:
    """Neutral for bits."""
    return _add(primitive, operands, params)


def _and(primitive: Any, operands: Operands, params: Params) -> Any:
    """Absorbing for bits."""
    return _zeros(primitive, operands, params)


def _solve(primitive: Any, operands: Operands, params: Params) -> Any:
    """Linear in the right-hand side, which comes last; the matrix is not looked at."""
    return (_zeros if is_zero(operands[-1]) else _dense)(primitive, operands, params)


def _shift(primitive: Any, operands: Operands, params: Params) -> Any:
    x, count = operands
    if is_zero(x):
        return _zeros(primitive, operands, params)
    return _dense(primitive, [x, count], params)


def _integer_pow(primitive: Any, operands: Operands, params: Params) -> Any:
    rule = _zeros if params["y"] > 0 else _dense
    return rule(primitive, operands, params)


def _pow(primitive: Any, operands: Operands, params: Params) -> Any:
    """0 ** y is 0 for a positive y that the program states, 1 for 0, infinite below."""
    positive = is_zero(operands[0]) and stated_number(operands[1], _is_positive)
    return (_zeros if positive else _dense)(primitive, operands, params)


def _reduce(primitive: Any, operands: Operands, params: Params) -> Any:
    """Zero over any elements; over none, the operation's neutral element."""
    if primitive.name == "reduce_sum":
        return _zeros(primitive, operands, params)
    (x,) = operands
    empty = math.prod(aval_of(strip(x)).shape[axis] for axis in params["axes"]) == 0
    return (_dense if empty else _zeros)(primitive, operands, params)


def _select(primitive: Any, operands: Operands, params: Params) -> Any:
    which, *cases = operands
    if all(map(is_zero, cases)):
        return _zeros(primitive, operands, params)
    if type(strip(which)) is Zero:  # False everywhere: the first case
        return _like_output(cases[0], primitive, operands, params)
    return _dense(primitive, operands, params)


def _gather(primitive: Any, operands: Operands, params: Params) -> Any:
    """Places out of range read as nan under `mode="fill"`, so that the result is not zero."""
    x, indices = operands
    fills = params["mode"] is lax.GatherScatterMode.FILL_OR_DROP and params["fill_value"] != 0
    if is_zero(x) and not fills:
        return _zeros(primitive, operands, params)
    return _dense(primitive, [x, indices], params)


def _scatter_add(primitive: Any, operands: Operands, params: Params) -> Any:
    x, indices, updates = operands
    if is_zero(updates):
        return _like_output(x, primitive, operands, params)
    return _dense(primitive, [x, indices, updates], params)


def _scatter_mul(primitive: Any, operands: Operands, params: Params) -> Any:
    zero = is_zero(operands[0])
    return (_zeros if zero else _dense)(primitive, operands, params)


def _each(primitive: Any, operands: Operands, params: Params) -> Any:
    """Every output from its own operand."""
    if all(map(is_zero, operands)):
        return _zeros(primitive, operands, params)
    if primitive.name not in ("optimization_barrier", "device_put"):
        return _dense(primitive, operands, params)
    others = [x for x in operands if not is_zero(x)]
    given = iter(bind(primitive, *others, **params))
    return [strip(x) if is_zero(x) else next(given) for x in operands]


register_rule(Zero, [s for s in Scaling if s not in (Scaling.BODY, Scaling.REFUSED)], _by_facts)
register_rule(Zero, "device_put optimization_barrier psum sort".split(), _each)
register_rule(Zero, "mul dot_general ragged_dot_general conv_general_dilated".split(), _product)
register_rule(Zero, "div", _div)
register_rule(Zero, "add sub add_any".split(), _add)
register_rule(Zero, "triangular_solve tridiagonal_solve".split(), _solve)
register_rule(Zero, "or xor".split(), _or)
register_rule(Zero, "and", _and)
register_rule(Zero, "shift_left shift_right_arithmetic shift_right_logical".split(), _shift)
register_rule(Zero, "integer_pow", _integer_pow)
register_rule(Zero, "pow", _pow)
register_rule(
    Zero,
    "reduce_sum reduce_max reduce_min reduce_prod reduce_or reduce_xor reduce_and".split(),
    _reduce,
)
register_rule(Zero, "select_n", _select)
register_rule(Zero, "gather", _gather)
register_rule(Zero, "scatter-add scatter-sub".split(), _scatter_add)
register_rule(Zero, "scatter-mul", _scatter_mul)
# 0 rem 0 is nan, a window of nothing but padding is -inf, and zeros may be ties among others.
register_rule(
    Zero,
    "rem reduce_window_max reduce_window_min select_and_scatter_add select_and_gather_add".split(),
    _dense,
)
register_rule(Zero, ("cumprod", "sign", "population_count"), _zeros)
