"""Buckingham's pi theorem: the dimensionless products of powers of some quantities."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from sciquax.core.internal import wanted

from .._quantity.quantity import Quantity
from .._unit.exponents import rational
from .._unit.parsing import as_unit
from .._unit.registry import get_registry

Vector = dict[str, Fraction]


def pi_theorem(quantities: Mapping[str, Any]) -> list[dict[str, Fraction]]:
    """A basis of the dimensionless products of powers of some quantities.

    **Arguments**: for each name a quantity, a unit, or dimensions in brackets.

    **Returns** the exponents of each product by name; there are as many products as quantities less
    the rank of their dimensions. Exponents are coprime integers, the first one positive.

    Source: E. Buckingham, *Physical Review* 4, 345 (1914).

    ```python
    >>> from sciquax.units import pi_theorem
    >>> (product,) = pi_theorem({"period": "s", "length": "m", "gravity": "m/s**2"})
    >>> {name: int(power) for name, power in product.items()}
    {'period': 2, 'length': -1, 'gravity': 1}

    ```
    """
    wanted("pi_theorem", quantities, Mapping, "units or quantities by name")
    registry = get_registry()
    dimensions = {name: _dimension(x, registry) for name, x in quantities.items()}
    # Gaussian elimination of the dimensions, keeping what each row is made of.
    rows = [(dict(vector), {name: Fraction(1)}) for name, vector in dimensions.items()]
    basis: list[tuple[str, Vector, Vector]] = []
    products = []
    for vector, made_of in rows:
        for pivot, other, other_made_of in basis:
            if pivot in vector:
                factor = -vector[pivot] / other[pivot]
                vector = _plus(vector, other, factor)
                made_of = _plus(made_of, other_made_of, factor)
        if vector:
            basis.append((next(iter(vector)), vector, made_of))
        else:
            products.append(
                _integers({name: made_of[name] for name in quantities if name in made_of})
            )
    return products


def _dimension(x: Any, registry: Any) -> Vector:
    if isinstance(x, str) and "[" in x:
        container = registry.get_dimensionality(x)
    else:
        container = (x._unit if isinstance(x, Quantity) else as_unit(x, registry)).dimensionality
    return {name: rational(power) for name, power in container.items()}


def _plus(lhs: Vector, rhs: Vector, times: Fraction) -> Vector:
    keys = {**lhs, **rhs}
    out = {k: lhs.get(k, Fraction(0)) + times * rhs.get(k, Fraction(0)) for k in keys}
    return {k: v for k, v in out.items() if v}


def _integers(vector: Vector) -> Vector:
    scale = Fraction(math.lcm(*(v.denominator for v in vector.values())))
    scale /= math.gcd(*(int(v * scale) for v in vector.values()))
    scale = -scale if next(iter(vector.values())) < 0 else scale
    return {name: power * scale for name, power in vector.items()}
