"""Numbers that wrap around: angles within a turn, times within a day."""

from typing import Any

from sciquax.core import quaxify
from sciquax.core.internal import takes_foreign


@takes_foreign
def wrap(x: Any, period: Any, low: Any = 0) -> Any:
    """`x` moved by whole periods to where `low <= x < low + period`, in x's unit.

    **Arguments**: quantities of one dimension, in any units, or numbers.

    ```python
    >>> from sciquax.units import Quantity, wrap
    >>> wrap(Quantity(370.0, "degree"), Quantity(1.0, "turn"))
    Quantity(10.0, 'deg')
    >>> wrap(Quantity(350.0, "degree"), Quantity(360.0, "degree"), Quantity(-180.0, "degree"))
    Quantity(-10.0, 'deg')

    ```

    **Raises** `DimensionalityError` where they measure different things.
    """
    if isinstance(low, (int, float)) and low == 0:
        return quaxify(lambda x, period: x % period)(x, period)
    return quaxify(lambda x, period, low: (x - low) % period + low)(x, period, low)
