"""Numbers that the program itself says belong to every unit: the safe divide."""

from typing import Any

import jax.numpy as jnp

from sciquax.core import UnitPolymorphic, is_value, quaxify, strip
from sciquax.core.internal import takes_foreign


@takes_foreign
def any_unit(x: Any) -> Any:
    """Mark a bare number that takes the unit of any operand, as literal 0, inf and nan do.

    For numbers that only keep a masked element harmless, `where(d == 0, 1, d)`: without the mark
    the 1 is refused beside a length.

    **Arguments**: a number or an array without a unit.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.units import Quantity, any_unit
    >>> def inverse(d):
    ...     nonzero = jnp.where(d == 0, any_unit(1.0), d)
    ...     return jnp.where(d == 0, 0.0, 1 / nonzero)
    >>> quaxify(inverse)(Quantity(jnp.array([0.0, 4.0]), "m"))
    Quantity([0.  , 0.25], '1/m')

    ```

    **Raises** TypeError for what has a unit.
    """
    x = strip(x)
    if is_value(x):
        raise TypeError(f"`any_unit` takes a bare number, and got {x!r}.")
    return UnitPolymorphic(jnp.asarray(x))


@takes_foreign
def safe_divide(x: Any, y: Any, where_zero: Any = 0.0) -> Any:
    """`x / y`, and `where_zero` where y is zero. Its gradients are finite there too.

    **Arguments**: quantities or arrays; `where_zero`, in units of x / y, or 0, inf or nan.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.units import Quantity, safe_divide
    >>> safe_divide(Quantity(1.0, "m"), Quantity(jnp.array([0.0, 4.0]), "s"))
    Quantity([0.  , 0.25], 'm/s')

    ```
    """

    def divide(x: Any, y: Any, otherwise: Any) -> Any:
        nonzero = jnp.where(y == 0, any_unit(1.0), y)
        return jnp.where(y == 0, otherwise, x / nonzero)

    if isinstance(where_zero, (int, float)):
        return quaxify(lambda x, y: divide(x, y, where_zero))(x, y)
    return quaxify(divide)(x, y, where_zero)
