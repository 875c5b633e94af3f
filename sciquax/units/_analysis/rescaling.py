"""Scales: units chosen so that a program's numbers are near one, and units chosen to be the same.

`nondimensionalise` runs a function in units of about the size of what it is about, so that float32
holds astronomical and atomic magnitudes, and their products. The scales are base units times powers
of two: exact in floating point, so that nothing is rounded on the way in and out but what a change
of unit rounds anyway.

`canonicalise` takes every input to the base unit of its dimension, so that a function is compiled
once for all units of a dimension.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import lax

from sciquax.core import (
    MODE,
    RuleError,
    from_foreign,
    is_value,
    is_value_or_foreign,
    quaxify,
    user_line,
)
from sciquax.core.internal import Tracer

from .._quantity.base import bare
from .._quantity.quantity import SCALING, Quantity
from .._unit.errors import DimensionalityError
from .._unit.exponents import rational
from .._unit.parsing import as_unit, base_unit
from .._unit.registry import PINT, get_registry
from .._unit.unit import InternedUnit, base_names, intern


@dataclasses.dataclass(frozen=True)
class Scaling:
    """For each base dimension, the exponent of two by which its base unit is multiplied."""

    registry: Any = dataclasses.field(compare=False)
    exponents: tuple[tuple[str, int], ...]

    def unit(self, unit: InternedUnit) -> InternedUnit:
        """The scaled unit of the dimension of `unit`. Numbers, angles and levels keep theirs."""
        if unit.dimensionless or unit.logarithmic:
            return unit
        exponents = dict(self.exponents)
        target = as_unit("", self.registry)
        for dimension, power in unit.dimensionality.items():
            scale = _scaled_base(self.registry, dimension, exponents.get(dimension, 0))
            target = target * scale ** rational(power)
        return target

    def apply(self, q: Quantity) -> Quantity:
        """A quantity in scaled units."""
        target = self.unit(q._unit)
        return q if target is q._unit else _apart(_rescaled(q, target))


def _apart(q: Quantity) -> Quantity:
    """`q`, kept from XLA, which would multiply our scales with each other before anything else."""
    return bare(lax.optimization_barrier(q.magnitude), q._unit)


def _rescaled(q: Quantity, target: InternedUnit) -> Quantity:
    """`q` in `target`, where the factor alone may be beyond the dtype and the result is not."""
    try:
        return q._converted(target)
    except OverflowError:
        pass
    factor, _ = q._unit.conversion(target)
    fraction, exponent = math.frexp(factor)

    def scaled(x: Any) -> Any:
        return jnp.ldexp(x * fraction, exponent)

    magnitude = q.magnitude
    out = (quaxify(scaled) if is_value(magnitude) else scaled)(magnitude)
    leaves = [*jtu.tree_leaves(magnitude), *jtu.tree_leaves(out)]
    if not any(isinstance(x, Tracer) for x in leaves):
        before, after = (np.abs(np.asarray(jtu.tree_leaves(x)[0])) for x in (magnitude, out))
        lost = np.isfinite(before) & (before > 0) & ((after == 0) | ~np.isfinite(after))
        if lost.any():
            raise OverflowError(
                f"A result in '{target}' is beyond {after.dtype.name}. Name another unit: "
                "`nondimensionalise(f, returns=...)`."
            )
    return bare(out, target)


@functools.lru_cache(maxsize=1024)
def _scaled_base(registry: Any, dimension: str, exponent: int) -> InternedUnit:
    """A base unit times a power of two, which the registry learns by a name that says so."""
    with PINT:
        root = intern(registry, registry.UnitsContainer({base_names(registry)[dimension]: 1}))
        if exponent == 0:
            return base_unit(root)
        (base,) = base_unit(root).container  # kilogram, where the registry is defined in grams
        name = f"{base}_times_2_to_the_{exponent}".replace("the_-", "the_minus_")
        if name not in registry._units:
            symbol = f"(2^{exponent}*{base_unit(root)})"  # what messages show
            registry.define(f"{name} = {2.0**exponent!r} * {base} = {symbol}")
        return intern(registry, registry.UnitsContainer({name: 1}))


def nondimensionalise(
    fn: Callable[..., Any], scales: Any = None, returns: Any = None
) -> Callable[..., Any]:
    """`quaxify(fn)`, run in units in which its numbers are near one.

    **Arguments**

    - `fn`: any function that `quaxify` takes.
    - `scales`: what is typical: a sequence of quantities or units (`["au", "year", constants.G]`),
      or a mapping from dimensions to them (`{"[length]": "au"}`). Base dimensions are given the
      scales that bring all of these nearest to one (least squares of logarithms). By default the
      quantities among the arguments are, at each call; their contents are read.
    - `returns`: the unit of the output, or a tree of units; by default what `quaxify(fn)` returns.

    **Returns** a function of the same arguments and results as `quaxify(fn)`, to rounding. Values
    that `fn` captures are taken to the scaled units as well. A scale that changes compiles anew:
    give `scales` for a function that is called often.

    **Raises** OverflowError where a result in its unit is beyond the dtype: name another one with
    `returns`. `DimensionalityError` for a scale of the wrong dimension.

    ```python
    >>> from sciquax import quaxify
    >>> from sciquax.units import Quantity, constants, nondimensionalise
    >>> G = constants.gravitational_constant
    >>> def force(m1, m2, r):
    ...     return G * (m1 * m2) / r**2
    >>> sun, earth = Quantity(1.98e30, "kg"), Quantity(5.97e24, "kg")
    >>> float(quaxify(force)(sun, earth, Quantity(1.496e11, "m")).m)
    inf
    >>> out = nondimensionalise(force, returns="N")(sun, earth, Quantity(1.496e11, "m"))
    >>> print(f"{out:.3e~}")
    3.525e+22 N

    ```
    """
    fixed = None if scales is None else _fit(*_typical(scales))

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jtu.tree_flatten((args, kwargs), is_leaf=is_value_or_foreign)
        if MODE.staging and any(isinstance(x, Tracer) for x in leaves):
            raise RuleError(
                "A function made by `nondimensionalise` was called within a quaxified function, "
                "where it cannot see units.",
                "Call it outside, and differentiate it by `sciquax.grad`.",
            )
        scaling = _fit(*_typical(leaves)) if fixed is None else fixed
        leaves = [
            scaling.apply(x) if isinstance(x, Quantity) else x for x in map(from_foreign, leaves)
        ]
        scaled_args, scaled_kwargs = jtu.tree_unflatten(tree, leaves)
        with SCALING(scaling):
            out = quaxify(fn)(*scaled_args, **scaled_kwargs)
        outs, out_tree = jtu.tree_flatten(out, is_leaf=is_value)
        targets = _targets(fn, args, kwargs, out, returns)
        outs = [
            _rescaled(_apart(x), unit) if isinstance(x, Quantity) and unit is not None else x
            for x, unit in zip(outs, targets, strict=True)
        ]
        return jtu.tree_unflatten(out_tree, outs)

    wrapper._takes_values = True  # type: ignore[attr-defined]  # so that `sciquax.grad` calls it
    return wrapper


def _targets(fn: Any, args: tuple, kwargs: dict, out: Any, returns: Any) -> list[Any]:
    """The unit of each output."""
    if returns is not None:
        wanted, tree = jtu.tree_flatten(
            returns, is_leaf=lambda x: not isinstance(x, (tuple, list, dict))
        )
        parts = [jtu.tree_leaves(x, is_leaf=is_value) for x in tree.flatten_up_to(out)]
        return [
            None if unit is None else as_unit(unit)
            for part, unit in zip(parts, wanted, strict=True)
            for _ in part
        ]
    outs = jtu.tree_leaves(out, is_leaf=is_value)
    try:
        like = jtu.tree_leaves(_shapes(fn, args, kwargs), is_leaf=is_value)
    except OverflowError:  # a conversion on the way is beyond the dtype: hence this function
        like = outs
    units = [x._unit if isinstance(x, Quantity) else None for x in like]
    return [unit if like is not outs or unit is None else base_unit(unit) for unit in units]


def _shapes(fn: Any, args: tuple, kwargs: dict) -> Any:
    """The output of `quaxify(fn)` as shapes with units, without computing it."""
    leaves, tree = jtu.tree_flatten((args, kwargs), is_leaf=is_value_or_foreign)
    leaves = list(map(from_foreign, leaves))
    chosen = [i for i, x in enumerate(leaves) if is_value(x)]

    def traced(values: list[Any]) -> Any:
        given = list(leaves)
        for i, x in zip(chosen, values, strict=True):
            given[i] = x
        args, kwargs = jtu.tree_unflatten(tree, given)
        return jtu.tree_map(
            lambda x: x if is_value(x) or hasattr(x, "dtype") else None,
            quaxify(fn)(*args, **kwargs),
            is_leaf=is_value,
        )

    return jax.eval_shape(traced, [leaves[i] for i in chosen])


def _typical(scales: Any) -> tuple[Any, list[tuple[Any, float]]]:
    """The registry, and what is typical: dimensions with the size in base units."""
    registry = get_registry()
    items = scales.items() if isinstance(scales, Mapping) else [(None, x) for x in scales]
    found = []
    for dimension, scale in items:
        scale = from_foreign(scale)
        if (
            isinstance(scale, (str, InternedUnit))
            or hasattr(scale, "dimensionality")
            and not (isinstance(scale, Quantity))
        ):
            unit, size = _parse_scale(scale)
        elif isinstance(scale, Quantity):
            unit, size = scale._unit, _size(scale.magnitude)
        else:
            continue  # a number
        registry = unit.registry
        if dimension is not None:
            wanted = registry.get_dimensionality(dimension)
            if unit.dimensionality != wanted:
                raise DimensionalityError(
                    f"The scale of {dimension} is in '{unit}', which measures "
                    f"{unit.dimensionality}.",
                    unit.pint,
                ).at(user_line())
        if unit.dimensionless or unit.logarithmic or size is None:
            continue
        base = base_unit(unit)
        with PINT:
            size = float(registry.convert(size, unit.pint, base.pint))
        if size > 0:
            found.append((unit.dimensionality, size))
    return registry, found


def _parse_scale(scale: Any) -> tuple[InternedUnit, float]:
    try:
        return as_unit(scale), 1.0
    except ValueError:  # "5.2 au" is a quantity
        with PINT:
            parsed = get_registry().Quantity(scale)
        return as_unit(parsed.units), float(parsed.magnitude)


def _size(magnitude: Any) -> float | None:
    """The geometric mean of what is neither zero nor infinite; None if nothing is."""
    if any(isinstance(x, (Tracer, jax.ShapeDtypeStruct)) for x in jtu.tree_leaves(magnitude)):
        raise TypeError(
            "Scales cannot be chosen from arrays that are being traced. Give them: "
            "`nondimensionalise(f, scales=[...])`."
        )
    if not hasattr(magnitude, "dtype") or is_value(magnitude):
        leaves = jtu.tree_leaves(magnitude)
        magnitude = np.concatenate([np.ravel(np.asarray(x)) for x in leaves]) if leaves else []
    x = np.abs(np.asarray(magnitude)).astype(float)
    x = x[(x > 0) & np.isfinite(x)]
    return float(np.exp2(np.mean(np.log2(x)))) if x.size else None


def _fit(registry: Any, typical: Sequence[tuple[Any, float]]) -> Scaling:
    """The powers of two that bring what is typical nearest to one."""
    dimensions = sorted({d for dimensionality, _ in typical for d in dimensionality})
    if not dimensions:
        return Scaling(registry, ())
    matrix = [[float(dim.get(d, 0)) for d in dimensions] for dim, _ in typical]
    sizes = [np.log2(size) for _, size in typical]
    exponents = np.linalg.lstsq(np.array(matrix), np.array(sizes), rcond=None)[0]
    return Scaling(
        registry, tuple((d, round(float(e))) for d, e in zip(dimensions, exponents, strict=True))
    )


def canonicalise(fn: Callable[..., Any], system: str | None = None) -> Callable[..., Any]:
    """`fn` with every quantity among its arguments taken to the base unit of its dimension first.

    **Arguments**: `fn`, usually a compiled function of quantities, `jax.jit(quaxify(f))`; and a
    unit `system` as in `Quantity.to_base_units`.

    **Returns** a function of the same arguments, whose results are in whatever unit `fn` makes of
    base units. A unit is a static part of a compiled function's arguments: metres and kilometres
    compile twice. Behind this boundary there are only metres. Integers with a unit become floating
    point in any case; angles are in radians, percent are plain numbers.

    ```python
    >>> import jax
    >>> from sciquax import quaxify
    >>> from sciquax.units import Quantity, canonicalise
    >>> energy = canonicalise(jax.jit(quaxify(lambda m, v: 0.5 * m * v**2)))
    >>> print(energy(Quantity(2.0, "kg"), Quantity(3.0, "m/s")))
    9.0 kilogram * meter ** 2 / second ** 2
    >>> print(energy(Quantity(2000.0, "g"), Quantity(3000.0, "mm/s")))
    9.0 kilogram * meter ** 2 / second ** 2

    ```
    """

    def canonical(x: Any) -> Any:
        x = from_foreign(x)
        if not isinstance(x, Quantity):
            return x
        x = x.to_base_units(system)
        magnitude = x.magnitude
        if not is_value(magnitude):  # of one dtype, and not of weak type, whatever came
            inexact = jnp.issubdtype(magnitude.dtype, jnp.inexact)
            dtype = magnitude.dtype if inexact else jnp.result_type(float)
            magnitude = lax.convert_element_type(magnitude, dtype)
        return magnitude if x._unit.unitless else Quantity(magnitude, x._unit)

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = jtu.tree_map(canonical, (args, kwargs), is_leaf=is_value_or_foreign)
        return fn(*args, **kwargs)

    wrapper._takes_values = True  # type: ignore[attr-defined]
    return wrapper
