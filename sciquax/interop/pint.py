"""Trees of pint's quantities to and from ours. Single ones: `Quantity(x)` and `q.to_pint()`."""

from typing import Any

import jax.tree_util as jtu
import pint

from sciquax.units import Quantity


def from_pint(tree: Any) -> Any:
    """A tree with every `pint.Quantity` in it taken over.

    A quantity of another registry is taken over where both registries define its unit alike.
    **Raises** ValueError where they do not.

    ```python
    >>> import pint
    >>> from sciquax.interop.pint import from_pint, to_pint
    >>> from_pint({"x": pint.UnitRegistry().Quantity(3.0, "km"), "n": 2})
    {'n': 2, 'x': Quantity(3.0, 'km')}

    ```
    """
    return jtu.tree_map(
        lambda x: Quantity(x) if isinstance(x, pint.Quantity) else x,
        tree,
        is_leaf=lambda x: isinstance(x, pint.Quantity),
    )


def to_pint(tree: Any) -> Any:
    """A tree with every quantity of ours as pint's, its magnitude a NumPy array or number."""
    return jtu.tree_map(
        lambda x: x.to_pint() if isinstance(x, Quantity) else x,
        tree,
        is_leaf=lambda x: isinstance(x, Quantity),
    )
