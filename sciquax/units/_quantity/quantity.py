"""`Quantity`: an array with a unit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import (
    ArrayValue,
    aval_of,
    describe,
    from_foreign,
    is_value,
    is_value_or_foreign,
    quaxify,
)
from sciquax.core.internal import bound_methods

from .._unit.errors import DimensionalityError
from .._unit.parsing import as_unit
from .._unit.unit import InternedUnit, dimensionless
from .annotations import QuantityKind
from .arithmetic import as_number
from .array_methods import ArrayMethods
from .conversions import Conversions, _as_array, _parse
from .numpy_protocol import NumpyProtocol
from .operators import Operators
from .printing import Printing
from .value_contract import ValueContract

SCALING = jax.make_user_context(None)
"""Set while `nondimensionalise` runs a function: the units that captured values are taken to."""


def _joined(value: Any) -> Any:
    """A list of quantities as one, in the first's unit; anything else as it is."""
    if isinstance(value, (list, tuple)) and any(
        map(is_value_or_foreign, jtu.tree_leaves(value, is_leaf=is_value_or_foreign))
    ):
        return quaxify(jnp.asarray)(value)
    return value


class Quantity(
    Operators,
    ArrayMethods,
    Conversions,
    Printing,
    NumpyProtocol,
    ValueContract,
    ArrayValue,
    metaclass=QuantityKind,
    leaves=("magnitude",),
    static=("_unit",),
    unique_static="_unit",
):
    """An array of numbers that measure something: a magnitude and a unit.

    **Arguments**

    - `value`: anything `jnp.asarray` takes, or another array-ish value; or a string such as
      `"9.81 m/s**2"`; or a quantity (pint's or ours), which is converted if a unit is given.
    - `unit`: a string in pint's grammar, a `pint.Unit`, or another quantity's `.units`. Without
      one, dimensionless.

    **Raises** `UndefinedUnitError`, with near names, for a unit the registry does not know;
    `DimensionalityError` where a conversion is impossible.

    Operators, comparisons, indexing and methods work directly; JAX programs take quantities
    through [`sciquax.quaxify`][] or `sciquax.numpy`. A result whose unit is exactly dimensionless
    is a plain array.

    ```python
    >>> from sciquax.units import Quantity
    >>> Quantity(3.0, "km") / Quantity(2.0, "s")
    Quantity(1.5, 'km/s')
    >>> (Quantity(3.0, "km") + Quantity(500.0, "m")).to("m")
    Quantity(3500.0, 'm')

    ```
    """

    magnitude: Any
    _unit: InternedUnit

    layer: ClassVar[int] = 200
    polymorphic_constants: ClassVar[bool] = True
    differentiable_rules: ClassVar[bool] = True
    pure_rules: ClassVar[bool] = True
    explains_itself: ClassVar[bool] = True
    payload: ClassVar[str | None] = "magnitude"
    # Equinox's, written in Python, makes methods pytrees; it costs 0.3 us at each attribute.
    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__

    def __init__(self, value: Any, unit: Any = None):
        if not isinstance(value, jax.Array):
            value = _parse(value) if isinstance(value, str) else from_foreign(_joined(value))
        target = None if unit is None else as_unit(unit)
        if isinstance(value, Quantity):
            if target is not None:
                value = value._converted(target)
            self.magnitude, self._unit = value.magnitude, value._unit
            return
        self._unit = dimensionless() if target is None else target
        self.magnitude = value if is_value(value) else _as_array(value)

    # -- what it is -------------------------------------------------------------------------------

    def aval(self) -> Any:
        return aval_of(self.magnitude)

    def materialise(self) -> Any:
        """The magnitude of a dimensionless quantity, reduced. **Raises** `DimensionalityError`."""
        return as_number("materialise", self)

    @classmethod
    def from_pint(cls, quantity: Any) -> "Quantity":
        """The quantity that a `pint.Quantity` is, its magnitude as a JAX array."""
        return cls(quantity)

    def canonical(self) -> Any:
        """A quantity made of a quantity is that one converted; others go inside out."""
        if isinstance(self.magnitude, Quantity):
            return Quantity(self.magnitude, self._unit)
        found, scaling = super().canonical(), SCALING.value
        return scaling.apply(found) if scaling is not None and found is self else found

    @staticmethod
    def default(primitive: Any, values: Sequence[Any], params: dict[str, Any]) -> Any:
        """Refuse: a unit is never dropped for want of a rule."""
        shown = ", ".join(describe(x) for x in values)
        raise DimensionalityError(
            f"`{primitive.name}` has no rule for units, and got ({shown}).",
            remedy=f"Divide by a reference scale first, or register a rule: "
            f"`sciquax.core.register_rule(Quantity, '{primitive.name}', rule)`.",
        )


bound_methods(Conversions)
