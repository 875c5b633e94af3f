"""The common type that two branches, or a loop's carry before and after its body, both become.

`common_type(a, b)` gives an example of it; `convert_to(x, example)` takes a value there. Types say
what they do in `Value.common_type` and `Value.convert_to`; here is what holds for all of them.
"""

from typing import Any

import jax.tree_util as jtu

from .._compat.jaxprs import as_array
from .kinds import VALUE_TYPES
from .unit_polymorphic import UnitPolymorphic, strip


def common_type(lhs: Any, rhs: Any) -> Any:
    """An example of the type that two values both become, in branches or round a loop.

    **Arguments**: two values or arrays of one shape.

    **Returns** a value, or a `jax.ShapeDtypeStruct` for a plain array. Its type, its static fields,
    and the shapes and dtypes of its leaves count, not their numbers.

    **Raises** `Unsettled` if the two have no common type.

    ```python
    >>> from sciquax.core import common_type, convert_to
    >>> from sciquax.units import Quantity
    >>> metres = common_type(Quantity(1.0, "m"), Quantity(50.0, "cm"))
    >>> convert_to(Quantity(50.0, "cm"), metres)
    Quantity(0.5, 'm')

    ```
    """
    if type(lhs) not in VALUE_TYPES and type(rhs) not in VALUE_TYPES:
        return lhs
    lhs, rhs = _mark(_shaped(lhs), rhs), _mark(_shaped(rhs), lhs)
    if type(lhs) is UnitPolymorphic and type(rhs) is UnitPolymorphic:
        return UnitPolymorphic(common_type(lhs.inner, rhs.inner))
    owner = _owner(lhs, rhs)
    if owner is None:  # a polymorphic constant and a plain array
        return rhs if type(lhs) is UnitPolymorphic else lhs
    if type(lhs) is UnitPolymorphic and type(rhs) in VALUE_TYPES:
        lhs, rhs = rhs, lhs
    return owner.common_type(lhs, rhs if owner.polymorphic_constants else strip(rhs))


def convert_to(value: Any, example: Any) -> Any:
    """Convert a value to the type of an example.

    **Arguments**: the value, and what [`sciquax.core.common_type`][] gave for it and another.

    **Raises** `Unsettled` if the value's type has no such conversion.
    """
    if type(value) not in VALUE_TYPES and type(example) not in VALUE_TYPES:
        return value
    if _form(value) == _form(example):
        return value
    value = _mark(_shaped(value), example)
    if type(example) is UnitPolymorphic:
        return UnitPolymorphic(convert_to(value, example.inner))
    owner = _owner(value, example)
    if owner is None:
        return strip(value)
    return owner.convert_to(value if owner.polymorphic_constants else strip(value), example)


def _shaped(x: Any) -> Any:
    """`x`, or an array for a number that stands in the program: types may ask for its shape."""
    inner = strip(x)
    if type(inner) in VALUE_TYPES or hasattr(inner, "shape"):
        return x
    return UnitPolymorphic(as_array(inner)) if type(x) is UnitPolymorphic else as_array(inner)


def _form(x: Any) -> Any:
    """The structure and its leaves' shapes: a type may store one array in more or fewer leaves."""
    leaves, structure = jtu.tree_flatten(x)
    return structure, [getattr(leaf, "shape", ()) for leaf in leaves]


def _mark(x: Any, other: Any) -> Any:
    """`x` as a polymorphic constant, if its type is one and the other type asks for that."""
    if type(x) in VALUE_TYPES and x.of_every_unit and type(other) in VALUE_TYPES:
        return UnitPolymorphic(x) if other.polymorphic_constants and not other.of_every_unit else x
    return x


def _owner(lhs: Any, rhs: Any) -> Any:
    """The outermost value type among two operands, looking into polymorphic constants."""
    types = [type(x) for x in (strip(lhs), strip(rhs)) if type(x) in VALUE_TYPES]
    return max(types, key=lambda t: t.layer, default=None)
