"""What units do to JAX's primitives: a rule for each scaling, and the exceptions in full.

The scalings are facts of the primitives, kept in `sciquax/core/_families.py`.
"""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import numpy as np
from jax import lax

from sciquax.core import (
    VALUE_TYPES,
    Polymorphic,
    Scaling,
    aval_of,
    bind,
    coerce,
    describe,
    facts_of,
    interpret,
    quaxify,
    register_family,
)

from ._algebra import (
    ANY,
    add_units,
    as_number,
    as_plain,
    convert,
    magnitude_of,
    mismatch,
    multiplicative,
    own_unit,
    radian,
    unify,
    unit_of,
    wrap,
    wrap_all,
)
from ._errors import DimensionalityError
from ._quantity import Quantity
from ._unit import InternedUnit, as_unit, dimensionless

Params = dict[str, Any]
Operands = Sequence[Any]

_AFFINE = {  # of `Scaling.FIRST`, those that only move or pick elements: fine on offset scales
    "broadcast_in_dim", "broadcast_to", "tile", "reshape", "squeeze", "expand_dims", "transpose",
    "rev", "slice", "split", "unstack", "dynamic_slice", "gather", "copy", "copy_p",
    "convert_element_type", "reduce_precision", "stop_gradient", "name", "nonbatchable",
    "nontraceable", "nondifferentiable_backward", "pvary", "sharding_constraint", "reduce_max",
    "layout_constraint", "reduce_min", "cummax", "cummin", "reduce_window_max", "real",
    "reduce_window_min", "zeros_like", "reshard",
}  # fmt: skip


def _first(primitive: Any, operands: Operands, params: Params) -> Any:
    """Linear in the data: its unit passes through."""
    facts = facts_of(primitive)
    name = primitive.name
    first = 0 if facts.data is None else facts.data[0]
    unit = own_unit(operands[first])
    if name not in _AFFINE:
        multiplicative(name, unit)
    magnitudes = [
        magnitude_of(x) if facts.is_data(i) else as_plain(name, x, "index")
        for i, x in enumerate(operands)
    ]
    out = bind(primitive, *magnitudes, **params)
    if name == "convert_element_type" and params["new_dtype"] == np.bool_:
        return out  # "is it zero", as `jnp.any` asks
    return wrap_all(primitive, out, unit)


def _each(primitive: Any, operands: Operands, params: Params) -> Any:
    """Every output in the unit of its operand."""
    units = [own_unit(x) for x in operands]
    if primitive.name in ("psum", "reduce_scatter", "psum_invariant"):
        for unit in units:
            multiplicative(primitive.name, unit)
    out = bind(primitive, *map(magnitude_of, operands), **params)
    if not primitive.multiple_results:
        return wrap(out, units[0])
    labelled = [wrap(x, u) for x, u in zip(out, units, strict=True)]
    return [
        Polymorphic(x) if type(y) is Polymorphic else x
        for x, y in zip(labelled, operands, strict=True)
    ]


def _join(primitive: Any, operands: Operands, params: Params) -> Any:
    """The data in one unit, which the output keeps."""
    magnitudes, unit = _unify_data(primitive, operands)
    return wrap_all(primitive, bind(primitive, *magnitudes, **params), unit)


def _compare(primitive: Any, operands: Operands, params: Params) -> Any:
    magnitudes, _ = _unify_data(primitive, operands, finest=True)
    return bind(primitive, *magnitudes, **params)


def _unify_data(
    primitive: Any, operands: Operands, finest: bool = False
) -> tuple[list[Any], InternedUnit]:
    facts = facts_of(primitive)
    positions = [i for i in range(len(operands)) if facts.is_data(i)]
    data, unit = unify(primitive.name, [operands[i] for i in positions], finest)
    magnitudes = [
        None if i in positions else as_plain(primitive.name, x, "index or mask")
        for i, x in enumerate(operands)
    ]
    for i, x in zip(positions, data, strict=True):
        magnitudes[i] = x
    return magnitudes, unit


def _add(primitive: Any, operands: Operands, params: Params) -> Any:
    magnitudes, unit = add_units(primitive.name, *operands, subtract=primitive.name == "sub")
    return wrap(bind(primitive, *magnitudes, **params), unit)


def _product(primitive: Any, operands: Operands, params: Params) -> Any:
    facts = facts_of(primitive)
    unit = dimensionless()
    for i, x in enumerate(operands):
        if facts.is_data(i):
            own = own_unit(x)
            unit = own if unit.plain else unit if own.plain else unit * own
    if unit.offset:
        multiplicative(primitive.name, unit)
    magnitudes = [
        magnitude_of(x) if facts.is_data(i) else as_plain(primitive.name, x, "group sizes")
        for i, x in enumerate(operands)
    ]
    return wrap_all(primitive, bind(primitive, *magnitudes, **params), unit)


def _quotient(primitive: Any, operands: Operands, params: Params) -> Any:
    numerator, denominator = map(own_unit, operands)
    unit = multiplicative(
        primitive.name, numerator / denominator if not denominator.plain else numerator
    )
    return wrap(bind(primitive, *map(magnitude_of, operands), **params), unit)


def _power(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    degree = facts_of(primitive).degree
    return wrap(bind(primitive, magnitude_of(x), **params), own_unit(x) ** degree)


def _predicate(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    if primitive.name == "sign":
        multiplicative("sign", own_unit(x))
    return bind(primitive, magnitude_of(x), **params)


def _round(primitive: Any, operands: Operands, params: Params) -> Any:
    """Keeps the unit, as NumPy does with pint; `km/m` is a number and is reduced first."""
    (x,) = operands
    unit = own_unit(x)
    if unit.pure:
        return bind(primitive, as_number(primitive.name, x), **params)
    return wrap(bind(primitive, magnitude_of(x), **params), unit)


def _pure(primitive: Any, operands: Operands, params: Params) -> Any:
    """Numbers in, numbers out."""
    return bind(primitive, *[as_number(primitive.name, x) for x in operands], **params)


def _angle(primitive: Any, operands: Operands, params: Params) -> Any:
    """An angle or a number in, a number out."""
    (x,) = operands
    return bind(primitive, as_number(primitive.name, x, "angles or numbers"), **params)


def _arc(primitive: Any, operands: Operands, params: Params) -> Any:
    """Radians out, as pint has it."""
    if len(operands) == 1:
        magnitudes = [as_number(primitive.name, operands[0])]
    else:
        magnitudes, unit = unify(primitive.name, operands)
        multiplicative(primitive.name, unit)
    return wrap(bind(primitive, *magnitudes, **params), radian())


def _bits(primitive: Any, operands: Operands, params: Params) -> Any:
    """Bits have no unit."""
    return bind(primitive, *[as_plain(primitive.name, x, "operand") for x in operands], **params)


register_family(Quantity, Scaling.FIRST, _first)
register_family(Quantity, Scaling.EACH, _each)
register_family(Quantity, Scaling.JOIN, _join)
register_family(Quantity, Scaling.COMPARE, _compare)
register_family(Quantity, ("add", "sub"), _add)
register_family(Quantity, Scaling.PRODUCT, _product)
register_family(Quantity, Scaling.QUOTIENT, _quotient)
register_family(Quantity, Scaling.POWER, _power)
register_family(Quantity, Scaling.PREDICATE, _predicate)
register_family(Quantity, Scaling.ROUND, _round)
register_family(Quantity, Scaling.PURE, _pure)
register_family(Quantity, Scaling.ANGLE, _angle)
register_family(Quantity, Scaling.ARC, _arc)
register_family(Quantity, Scaling.BITS, _bits)


# -- exceptions -----------------------------------------------------------------------------------


def _integer_pow(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    unit = own_unit(x)
    if not unit.plain:
        unit = unit ** params["y"]
    return wrap(bind(primitive, magnitude_of(x), **params), unit)


def _pow(primitive: Any, operands: Operands, params: Params) -> Any:
    """The exponent is a number; a dimensional base needs one that the program states."""
    base, exponent = operands
    unit = own_unit(base)
    exponent = as_number("pow", exponent, "an exponent that is a number")
    if unit.pure:
        return bind(primitive, as_number("pow", base), exponent, **params)
    number = _static_scalar(exponent)
    if number is None and unit.must_be_pure():  # found to be a number, by `infer`
        return bind(primitive, as_number("pow", base), exponent, **params)
    if number is None:
        raise DimensionalityError(
            f"`pow` got a base in '{unit}' and an exponent ({describe(exponent)}) that is only "
            "known when the program runs, so that the result's unit is not known.",
            unit.pint,
            dimensionless().pint,
            "Write the exponent as a Python number, or divide the base by a reference scale first.",
        )
    power = Fraction(number).limit_denominator(10_000)
    return wrap(bind(primitive, magnitude_of(base), exponent, **params), unit**power)


def _reduce_prod(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    magnitude, unit = magnitude_of(x), own_unit(x)
    count = math.prod(magnitude.shape[axis] for axis in params["axes"])
    return wrap(bind(primitive, magnitude, **params), unit**count)


def _gather(primitive: Any, operands: Operands, params: Params) -> Any:
    """What stands for elements outside is a number, and measures what the others do."""
    x, indices = operands
    unit, fill = own_unit(x), params.get("fill_value")
    dtype = aval_of(x).dtype
    default = np.issubdtype(dtype, np.integer) and fill in (
        np.iinfo(dtype).min,
        np.iinfo(dtype).max,
    )
    if not unit.plain and fill is not None and not default and not np.isnan(fill):
        if unit.pure:
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


def _static_scalar(x: Any) -> float | None:
    """The value of a number that stands in the program; None for an array of run time."""
    if isinstance(x, (int, float)):
        return float(x)
    if isinstance(x, (np.ndarray, np.generic)) and x.ndim == 0 and np.isrealobj(x):
        return float(x)
    return None


def _mul(primitive: Any, operands: Operands, params: Params) -> Any:
    """A product; but `deg2rad` and `rad2deg`, of which only a factor is left, are conversions."""
    for x, factor in (operands, operands[::-1]):
        if isinstance(x, Quantity) and (target := _converted_by(factor, x._unit)) is not None:
            return wrap(bind(primitive, *map(magnitude_of, operands), **params), target)
    return _product(primitive, operands, params)


def _converted_by(factor: Any, unit: InternedUnit) -> InternedUnit | None:
    """The other unit of angle that a literal pi/180 or 180/pi converts `unit` to.

    **Raises** `DimensionalityError` for an angle in the wrong one, where it is not known whether
    `deg2rad` was meant or a product.
    """
    number = _static_scalar(factor)
    if number is None or not unit.pure or unit.plain:
        return None
    degree = as_unit("degree")
    for ratio, source, target in (
        (math.pi / 180, degree, radian()),
        (180 / math.pi, radian(), degree),
    ):
        if math.isclose(number, ratio, rel_tol=1e-3):
            if unit is source:
                return target
            if not _is_angle(unit):
                return None
            raise DimensionalityError(
                f"`mul` got an angle in '{unit}' and a literal {number:.6g}, which takes "
                f"'{source}' to '{target}'.",
                unit.pint,
                source.pint,
                f"A quantity knows its unit: leave the factor out, or write `.to('{target}')`.",
            )
    return None


def _is_angle(unit: InternedUnit) -> bool:
    """Whether a unit is made of radians: degrees, arcminutes, turns."""
    root = unit.registry.get_root_units(unit.pint)[1]
    return root == radian().pint


register_family(Quantity, "mul", _mul)
register_family(Quantity, "integer_pow", _integer_pow)
register_family(Quantity, "pow", _pow)
register_family(Quantity, "reduce_prod", _reduce_prod)


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


def _join_differences(primitive: Any, operands: Operands, params: Params) -> Any:
    """`rem`, `complex`: not meaningful on a scale with an offset."""
    magnitudes, unit = _unify_data(primitive, operands)
    multiplicative(primitive.name, unit)
    return wrap_all(primitive, bind(primitive, *magnitudes, **params), unit)


register_family(Quantity, "scatter", _scatter)
register_family(Quantity, ("scatter-add", "scatter-sub"), _scatter_add)
register_family(Quantity, ("scatter-min", "scatter-max"), _scatter_extremum)
register_family(Quantity, ("rem", "complex", "add_any", "nextafter"), _join_differences)
register_family(Quantity, "gather", _gather)
register_family(Quantity, "scatter-mul", _scatter_mul)
register_family(Quantity, ("top_k", "approx_top_k"), _values_and_indices)


def _factors(*outputs: bool):
    """A factorisation whose outputs marked True carry the matrix's unit; the others are plain."""

    def factorise(primitive: Any, operands: Operands, params: Params) -> Any:
        (x,) = operands
        unit = multiplicative(primitive.name, own_unit(x))
        out = bind(primitive, magnitude_of(x), **params)
        return [
            wrap(y, unit) if marked else y
            for y, marked in zip(out, outputs[: len(out)], strict=True)
        ]

    return factorise


def _cholesky(primitive: Any, operands: Operands, params: Params) -> Any:
    (x,) = operands
    return wrap(bind(primitive, magnitude_of(x), **params), own_unit(x) ** Fraction(1, 2))


def _triangular_solve(primitive: Any, operands: Operands, params: Params) -> Any:
    """The solution has b's unit over a's. A unit diagonal is a number: a is then L of an LU."""
    a, b = operands
    unit = own_unit(b)
    if not params["unit_diagonal"]:
        unit = unit / own_unit(a)
    return wrap(bind(primitive, magnitude_of(a), magnitude_of(b), **params), unit)


def _tridiagonal_solve(primitive: Any, operands: Operands, params: Params) -> Any:
    *diagonals, b = operands
    magnitudes, unit = unify(primitive.name, diagonals)
    out = bind(primitive, *magnitudes, magnitude_of(b), **params)
    unit = own_unit(b) / unit
    return wrap_all(primitive, out, unit)


def _symmetric_product(primitive: Any, operands: Operands, params: Params) -> Any:
    """`alpha a a^T + beta c`: c is in the square of a's unit."""
    a, c = operands
    unit = multiplicative(primitive.name, own_unit(a))
    square = unit if unit.plain else unit**2
    example = wrap(jax.ShapeDtypeStruct(c.shape, c.dtype), square)
    c = magnitude_of(coerce(c, example))
    return wrap(bind(primitive, magnitude_of(a), c, **params), square)


register_family(Quantity, "cholesky", _cholesky)
register_family(Quantity, "tridiagonal", _factors(True, True, True, False, False))
register_family(Quantity, "symmetric_product", _symmetric_product)
register_family(Quantity, "lu", _factors(True, False, False))
register_family(Quantity, "qr", _factors(False, True, False))
register_family(Quantity, ("geqrf", "hessenberg"), _factors(True, False))
register_family(Quantity, "eigh", _factors(False, True))
register_family(Quantity, "eig", _factors(True, False, False))
register_family(Quantity, "svd", _factors(True, False, False))
register_family(Quantity, "schur", _factors(True, False))
register_family(Quantity, "triangular_solve", _triangular_solve)
register_family(Quantity, "tridiagonal_solve", _tridiagonal_solve)
