"""Hypothesis strategies for units and quantities.

```python
@given(quantities("[length]"), quantities("m/s", shape=(3,)))
def test_something(x, v): ...
```
"""

import functools
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from sciquax.units import Quantity, get_registry
from sciquax.units.internal import PINT, as_unit, base_names, intern

_COMMON = (
    "m", "km", "cm", "inch", "s", "hour", "ms", "kg", "g", "lb", "A", "kelvin", "mol", "radian",
    "degree", "percent", "N", "J", "eV", "W", "Pa", "Hz", "km/hour", "m/s**2",
)  # fmt: skip


def units(
    dimension: Any = None, *, among: Sequence[str] | None = None, max_factors: int = 2
) -> st.SearchStrategy[Any]:
    """Units, as `pint.Unit`s of the registry in use.

    **Arguments**

    - `dimension`: all have this dimension: dimensions in brackets (`"[length]/[time]"`), or a unit
      that has it.
    - `among`: the names to choose from; by default common ones, or the registry's of the dimension.
    - `max_factors`: without a dimension, products of up to so many powers of them.
    """
    if dimension is not None:
        return st.deferred(lambda: st.sampled_from(_of_dimension(dimension, among)))
    powers = st.sampled_from([1, 2, -1, -2, Fraction(1, 2)])
    factors = st.lists(
        st.tuples(st.sampled_from(among or _COMMON), powers), min_size=1, max_size=max_factors
    )
    return factors.map(_product)


def _undisturbed(function: Callable) -> Callable:
    """`function` without a trace in Python's random numbers, which Hypothesis watches.

    beartype draws from them when it checks a sequence, anywhere below.
    """

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        state = random.getstate()
        try:
            return function(*args)
        finally:
            random.setstate(state)

    return wrapper


@_undisturbed
def _product(factors: Any) -> Any:
    product = as_unit("")
    for name, power in factors:
        product = product * as_unit(name) ** power
    return product.pint


@_undisturbed
def _of_dimension(dimension: Any, among: Any) -> Any:
    registry: Any = get_registry()
    text = str(dimension)
    with PINT:
        wanted = (
            registry.get_dimensionality(text) if "[" in text else as_unit(dimension).dimensionality
        )
        if among is not None:
            candidates = [as_unit(name) for name in among]
        else:
            names = sorted(str(u) for u in registry.get_compatible_units(wanted))
            candidates = [as_unit(name) for name in names]
            base = [
                (registry.UnitsContainer({name: power}))
                for name, power in _root(registry, wanted).items()
            ]
            product = as_unit("")
            for part in base:
                product = product * intern(registry, part)
            candidates.append(product)
    found = [u for u in candidates if u.dimensionality == wanted and not u.offset]
    return sorted({u.pint for u in found}, key=str)


def _root(registry: Any, dimensionality: Any) -> Any:
    names = base_names(registry)
    return {names[d]: power for d, power in dimensionality.items()}


def quantities(
    unit: Any = None,
    *,
    shape: Any = (),
    dtype: Any = np.float32,
    elements: st.SearchStrategy[Any] | None = None,
) -> st.SearchStrategy[Any]:
    """Quantities.

    **Arguments**

    - `unit`: a unit, dimensions in brackets (then any unit that has them), or a strategy of units.
    - `shape`: a shape, or a strategy of shapes.
    - `dtype`, and `elements`: a strategy of numbers, by default those between -1000 and 1000.
    """
    if unit is None:
        unit = units()
    elif not isinstance(unit, st.SearchStrategy):
        unit = units(unit) if "[" in str(unit) else st.just(unit)
    if not isinstance(shape, st.SearchStrategy):
        shape = st.just(shape)
    if elements is None:
        inexact = jnp.issubdtype(dtype, jnp.inexact)
        elements = st.floats(-1000, 1000, width=16) if inexact else st.integers(-100, 100)

    def arrays(shape: Any) -> Any:
        count = int(np.prod(shape, dtype=int))
        numbers = st.lists(elements, min_size=count, max_size=count)
        return numbers.map(lambda x: np.array(x).reshape(shape))

    return st.builds(lambda x, u: _quantity(x, dtype, u), shape.flatmap(arrays), unit)


@_undisturbed
def _quantity(numbers: Any, dtype: Any, unit: Any) -> Any:
    return Quantity(jnp.asarray(numbers, dtype), unit)
