"""Run Run BlackJAX on positions with units.

Its samplers take any tree as a position, quantities too, but they add momenta to positions and
label a gradient as the position: a state's `logdensity_grad` would be in m where it is in 1/m. So
sample numbers, and label what comes out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import MODE, LocatedError, RuleError
from sciquax.core.internal import adopt_all
from sciquax.units import DimensionalityError
from sciquax.units.internal import as_number, dimensionless, magnitude_of, own_unit

from ._solving.tree_units import TreeUnits
from ._solving.user_functions import call, caller_line, definition_of


class WithoutUnits(NamedTuple):
    """A log density of numbers, where to start, and the way back.

    **Attributes**: `logdensity`, of bare positions; `position`, bare; `label`, which gives bare
    positions, with any axes in front, their units back.
    """

    logdensity: Callable[..., Any]
    position: Any
    label: Callable[[Any], Any]


def without_units(logdensity: Callable[..., Any], position: Any) -> WithoutUnits:
    """A log density of quantities as one of numbers, for any of BlackJAX's samplers.

    **Arguments**: the log density, whose value is a number (a logarithm of a density in 1/m is
    not: divide by a scale), of a position and possibly more, plain JAX code or code that knows of
    quantities; and a position, any tree of quantities and arrays, in whose units step sizes and
    inverse mass matrices count.

    **Raises** `DimensionalityError`, when sampled, for a log density that is not a number.

    ```python
    >>> import blackjax, jax
    >>> import jax.numpy as jnp
    >>> from sciquax.interop.blackjax import without_units
    >>> from sciquax.units import Quantity
    >>> def logdensity(length):
    ...     return -0.5 * ((length - Quantity(3.0, "m")) / Quantity(20.0, "cm")) ** 2
    >>> bare, start, label = without_units(logdensity, Quantity(300.0, "cm"))
    >>> nuts = blackjax.nuts(bare, step_size=20.0, inverse_mass_matrix=jnp.ones(1))
    >>> state, _ = nuts.step(jax.random.key(0), nuts.init(start))
    >>> print(label(state.position).units)
    centimeter

    ```
    """
    if MODE.staging:
        raise RuleError(
            "`without_units` is called within `quaxify`, where units are not known yet.",
            "Call it outside: it takes quantities by itself.",
        ).at(caller_line())
    position = adopt_all(position)
    units = TreeUnits.of(position, "position")
    start = units.strip(position)

    def label(bare: Any) -> Any:
        function, like = units.label, jtu.tree_leaves(start)
        if units.bare != units.tree:  # named arrays, say, which know their shapes
            for _ in range(jnp.ndim(jtu.tree_leaves(bare)[0]) - jnp.ndim(like[0])):
                function = jax.vmap(function)
        return function(bare)

    return WithoutUnits(_BareLogDensity(logdensity, units), start, label)


class _BareLogDensity(eqx.Module):
    fn: Callable
    units: TreeUnits = eqx.field(static=True)

    def __call__(self, position: Any, *args: Any, **kwargs: Any) -> Any:
        value = call(self.fn, self.units.label(position), *args, **kwargs)
        unit = own_unit(value)
        if not unit.dimensionless:
            error: LocatedError = DimensionalityError(
                f"The log density returned '{unit}', but it must be a number.",
                unit.pint,
                dimensionless().pint,
                "Divide by a scale before taking the logarithm.",
            )
            raise error.at(definition_of(self.fn))
        return magnitude_of(value) if unit.unitless else as_number("logdensity", value)
