"""Quantities of other libraries: taken over with their unit, or refused; never stripped of it.

pint's are taken over here, those of Astropy and of unxt (which has Astropy's units) by
`_astropy.py`. What else has a unit is refused by name. Nothing is imported that the
user has not imported: a class says by its module whose it is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pint
import pint.compat

from sciquax.core import MODE, register_foreign
from sciquax.core.internal import Guard, asked_what_it_is, captured_foreign, each_value_type

from ._astropy import from_astropy, from_astropy_unit, in_program, on_host, unit_without_mask
from ._quantity.conversions import from_pint_quantity
from ._quantity.quantity import Quantity
from ._unit.parsing import UNIT_READERS
from ._unit.unit import InternedUnit

_OTHER_LIBRARIES = frozenset(
    {"saiunit", "brainunit", "unyt", "quantities", "openmm", "forallpeople", "physipy", "misu"}
)


def find(kind: type) -> Callable[[Any], Quantity] | None:
    """The function that turns another library's quantities into ours; None for other classes."""
    if issubclass(kind, pint.Quantity):
        return from_pint_quantity
    owners = {(base.__module__.partition(".")[0], base.__name__) for base in kind.__mro__}
    if ("pint", "Measurement") in owners:
        return _refuse_uncertain
    if ("astropy", "Quantity") in owners or ("unxt", "AbstractQuantity") in owners:
        return from_astropy
    if any(m in _OTHER_LIBRARIES and "unit" not in n.lower() for m, n in owners):
        return _refuse if _has_unit(kind) else None
    if (
        _has_unit(kind)
        and not any(m == "pandas" for m, _ in owners)
        and (  # of dates: ns
            issubclass(kind, np.ndarray) or {"__array__", "__jax_array__"} & set(dir(kind))
        )
    ):
        return _refuse
    return None


def _has_unit(kind: type) -> bool:
    fields = {*dir(kind), *getattr(kind, "__annotations__", {})}
    return bool(fields & {"unit", "units"})


def _refuse_uncertain(x: Any) -> Quantity:
    raise TypeError(
        "A `pint.Measurement` has an uncertainty, which a Quantity does not carry. Take the "
        "two apart with `sciquax.interop.uncertainties.from_uncertainties`."
    )


def _refuse(x: Any) -> Quantity:
    name = f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}"
    raise TypeError(
        f"A `{name}` has a unit that sciquax cannot read, and is not treated as bare numbers. "
        "Make a quantity of its parts: `Quantity(value, unit)`."
    )


def _ours_come_first(kind: type) -> None:
    """`pint_quantity * value` is ours: pint would wrap it as the magnitude of its own otherwise."""
    pint.compat.upcast_type_map[f"{kind.__module__}.{kind.__qualname__}"] = kind  # pyright: ignore[reportIndexIssue]


each_value_type(_ours_come_first)


def __jax_array__(x: Any) -> Any:
    """What JAX finds of a `pint.Quantity` that meets an array: in a staged program, our error."""
    if MODE.staging and not asked_what_it_is(operators=False):
        raise captured_foreign(x)
    raise AttributeError("__jax_array__")


pint.Quantity.__jax_array__ = property(__jax_array__)  # pyright: ignore[reportAttributeAccessIssue]


def _astropy_unit(spec: Any) -> InternedUnit | None:
    """The unit that one of Astropy's is. **Raises** TypeError where pint has none of its size."""
    owners = {(base.__module__.partition(".")[0], base.__name__) for base in type(spec).__mro__}
    if not owners & {("astropy", "UnitBase"), ("astropy", "FunctionUnitBase")}:
        return None
    found, scale = from_astropy_unit(spec)
    if scale != 1.0:
        raise TypeError(
            f"The unit '{spec}' of Astropy is {scale:.6g} '{found}', and no unit of the registry."
        )
    return found


UNIT_READERS.append(_astropy_unit)

_GUARD = Guard("astropy.units.quantity", "Quantity", unit_without_mask, on_host, in_program)
register_foreign(find, guards=[_GUARD])
