"""Integers that became floating point, which a staged program does not know about.

Integers that a rule scales (150 cm and 1 m) meet as floats, as in JAX an integer and a Python float
do. The program was staged with integers: what follows is promoted here as JAX would have promoted
it, had it known. A conversion from one integer type to another leaves the float as it is, and a
quotient of integers is cut off.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._dispatch.resolve import bind
from ._dispatch.tables import HIGHER_ORDER
from ._facts import Structure, facts_of
from ._values.environment import any_wider, is_integer
from ._values.kinds import aval_of
from ._values.unit_polymorphic import UnitPolymorphic, strip

_APART = (Structure.SORT, Structure.CALL)
"""What has operands of several dtypes."""


def promoted(eqn: Any, operands: list[Any]) -> tuple[Any, list[Any]]:
    """An equation and its operands, with integers beside floating point promoted."""
    if not any_wider(operands, eqn.invars):
        return eqn, operands
    name, params = eqn.primitive.name, eqn.params
    if name == "convert_element_type" and is_integer(eqn.outvars[0].aval):
        new = dict(params, new_dtype=aval_of(operands[0]).dtype)
        return eqn.replace(params=new), operands
    if name in HIGHER_ORDER or facts_of(eqn.primitive).structure in _APART:
        return eqn, operands
    facts = facts_of(eqn.primitive)
    data = [i for i, var in enumerate(eqn.invars) if facts.is_data(i) and is_integer(var.aval)]
    avals = [aval_of(operands[i]) for i in data]
    floats = [a for a in avals if jnp.issubdtype(a.dtype, jnp.inexact)]
    with jax.numpy_dtype_promotion("standard"):  # the mixture is a rule's
        dtype = jnp.result_type(*[a.dtype for a in floats])
    weak = all(a.weak_type for a in floats)
    operands = list(operands)
    for i, own in zip(data, avals, strict=True):
        operands[i] = operands[i] if own.dtype == dtype else _as_dtype(operands[i], dtype, weak)
    if params.get("preferred_element_type") is not None:
        eqn = eqn.replace(params=dict(params, preferred_element_type=dtype))
    return eqn, operands


def _as_dtype(x: Any, dtype: Any, weak: bool) -> Any:
    inner = strip(x)
    converted = bind(
        lax.convert_element_type_p, inner, new_dtype=dtype, weak_type=weak, sharding=None
    )
    return UnitPolymorphic(converted) if type(x) is UnitPolymorphic else converted


def cut_off(eqn: Any, results: Sequence[Any]) -> Sequence[Any]:
    """A quotient of integers held in floating point, rounded towards zero as integers are."""
    if eqn.primitive.name != "div" or not any_wider(results, eqn.outvars):
        return results
    (x,) = results
    sign = bind(lax.sign_p, x)
    negative = bind(lax.lt_p, sign, bind(lax.sub_p, sign, sign))
    return [bind(lax.select_n_p, negative, bind(lax.floor_p, x), bind(lax.ceil_p, x))]
