"""Gather, scatter and top-k of quantities."""

import functools
from typing import Any

import jax
import numpy as np
from jax import lax

from sciquax.core import VALUE_TYPES, aval_of, bind, interpret, quaxify, register_rule

from .._quantity.arithmetic import (
    ANY,
    Operands,
    Params,
    _unify_data,
    add_units,
    as_number,
    as_plain,
    mismatch,
    multiplicative,
    unit_of,
)
from .._quantity.bare_numbers import check_bare_numbers
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity
from .._quantity.trusted_literals import beside
from .._unit.convert import convert
from .._unit.errors import DimensionalityError
from .._unit.unit import dimensionless
from .elementwise import _join


def _gather(primitive: Any, operands: Operands, params: Params) -> Any:
    """The fill value of elements outside is a number in the unit of the others."""
    x, indices = operands
    unit, fill = own_unit(x), params.get("fill_value")
    dtype = aval_of(x).dtype
    default = np.issubdtype(dtype, np.integer) and fill in (
        np.iinfo(dtype).min,
        np.iinfo(dtype).max,
    )
    if not unit.unitless and fill is not None and not default and not np.isnan(fill):
        _, given = beside((wrap(0.0, unit), fill))
        if isinstance(given, Quantity):  # trusted, and listed
            pass
        elif unit.dimensionless:
            check_bare_numbers("gather", (x, fill), (unit, dimensionless()))
            fill = float(convert(float(fill), dimensionless(), unit))
        elif unit.offset or unit_of(fill) is not ANY:
            raise mismatch("gather", (Quantity(0.0, unit), Quantity(fill, "")))
        params = {**params, "fill_value": fill}
    indices = as_plain("gather", indices, "index")
    return wrap(bind(primitive, magnitude_of(x), indices, **params), unit)


def _scatter_mul(primitive: Any, operands: Operands, params: Params) -> Any:
    operand, indices, updates = operands
    out = bind(
        primitive,
        magnitude_of(operand),
        as_plain(primitive.name, indices, "index"),
        as_number(primitive.name, updates, "factors that are numbers"),
        **params,
    )
    return wrap(out, multiplicative(primitive.name, own_unit(operand)))


def _values_and_indices(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    values, indices = bind(primitive, magnitude_of(x), **params)
    return [wrap(values, own_unit(x)), indices]


def _scatter(primitive: Any, operands: Operands, params: Params) -> Any:
    """`.at[].set`; or `.at[].apply(f)`, whose function must keep the unit."""
    function = params.get("update_jaxpr")
    if function is not None:
        scalars = [own_unit(operands[i]) for i in (0, 2)]
        unit = scalars[0]
        dtype = operands[0].dtype
        examples = [wrap(jax.ShapeDtypeStruct((), dtype), u) for u in scalars]
        (result,) = jax.eval_shape(
            lambda *xs: interpret(function, params.get("update_consts", ()), xs), *examples
        )
        if own_unit(result) is not unit:
            raise DimensionalityError(
                f"`scatter` got a function that takes '{unit}' to '{own_unit(result)}', and an "
                f"array in '{unit}' to write its results to.",
                unit.pint,
                own_unit(result).pint,
                "Apply the function to the whole array and select with `where`.",
            )
        magnitudes = [magnitude_of(x) for x in operands]
        return wrap(bind(primitive, *magnitudes, **params), unit)
    return _join(primitive, operands, params)


def _scatter_add(primitive: Any, operands: Operands, params: Params) -> Any:
    """On a scale with an offset only differences are added, as for `add`."""
    operand, indices, updates = operands
    subtract = primitive.name == "scatter-sub"
    (x, y), unit = add_units(primitive.name, operand, updates, subtract=subtract)
    own = unit_of(operand)
    if own is not None and own.offset and unit is not own:
        multiplicative(primitive.name, own)
    indices = as_plain(primitive.name, indices, "index or mask")
    return wrap(_bind_scatter(primitive, (x, indices, y), params, aval_of(operand).dtype), unit)


_SCATTERS = {
    "scatter-add": lax.scatter_add,
    "scatter-sub": getattr(lax, "scatter_sub", None),
    "scatter-min": lax.scatter_min,
    "scatter-max": lax.scatter_max,
}


def _bind_scatter(primitive: Any, magnitudes: Operands, params: Params, dtype: Any) -> Any:
    """Its combining function is of one dtype: made anew where a conversion changed that."""
    x, indices, y = magnitudes
    if x.dtype == dtype or _SCATTERS[primitive.name] is None:
        return bind(primitive, *magnitudes, **params)
    same = ("dimension_numbers", "indices_are_sorted", "unique_indices", "mode")
    options = {name: params[name] for name in same}
    function = functools.partial(_SCATTERS[primitive.name], **options)
    if any(type(z) in VALUE_TYPES for z in (x, y)):
        return quaxify(function)(x, indices, y)
    return function(x, indices, y)


def _scatter_extremum(primitive: Any, operands: Operands, params: Params) -> Any:
    magnitudes, unit = _unify_data(primitive, operands)
    return wrap(_bind_scatter(primitive, magnitudes, params, aval_of(operands[0]).dtype), unit)


register_rule(Quantity, "scatter", _scatter)
register_rule(Quantity, ("scatter-add", "scatter-sub"), _scatter_add)
register_rule(Quantity, ("scatter-min", "scatter-max"), _scatter_extremum)

register_rule(Quantity, "gather", _gather)
register_rule(Quantity, "scatter-mul", _scatter_mul)
register_rule(Quantity, ("top_k", "approx_top_k"), _values_and_indices)
