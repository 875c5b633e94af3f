"""Factorisations and solves of one matrix with one unit."""

from fractions import Fraction
from typing import Any

import jax

from sciquax.core import bind, convert_to, register_rule

from .._quantity.arithmetic import Operands, Params, multiplicative, unify, wrap_all
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity


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
    square = unit if unit.unitless else unit**2
    example = wrap(jax.ShapeDtypeStruct(c.shape, c.dtype), square)
    c = magnitude_of(convert_to(c, example))
    return wrap(bind(primitive, magnitude_of(a), c, **params), square)


register_rule(Quantity, "cholesky", _cholesky)
register_rule(Quantity, "tridiagonal", _factors(True, True, True, False, False))
register_rule(Quantity, "symmetric_product", _symmetric_product)
register_rule(Quantity, "lu", _factors(True, False, False))
register_rule(Quantity, "qr", _factors(False, True, False))
register_rule(Quantity, ("geqrf", "hessenberg"), _factors(True, False))
register_rule(Quantity, "eigh", _factors(False, True))
register_rule(Quantity, "eig", _factors(True, False, False))
register_rule(Quantity, "svd", _factors(True, False, False))
register_rule(Quantity, "schur", _factors(True, False))
register_rule(Quantity, "triangular_solve", _triangular_solve)
register_rule(Quantity, "tridiagonal_solve", _tridiagonal_solve)
