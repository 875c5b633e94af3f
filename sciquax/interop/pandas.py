"""Quantities to and from pandas.

A series keeps its unit in `attrs["units"]`. A table has two levels of columns, names and units, as
`pint_pandas` writes when it takes units off, so that it survives a CSV file. Series of
`pint_pandas`'s own type are read too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sciquax.core.internal import takes_foreign, wanted
from sciquax.units import Quantity


@takes_foreign
def to_series(q: Quantity, **options: Any) -> pd.Series:
    """A series of a quantity's numbers, with its unit in `attrs["units"]`.

    **Arguments**: a quantity of one axis; `options` are those of `pandas.Series` (index, name).
    """
    wanted("to_series", q, Quantity, "a quantity")
    series = pd.Series(np.asarray(q.magnitude), **options)
    series.attrs["units"] = str(q.units)
    return series


def from_series(series: pd.Series, unit: Any = None) -> Quantity:
    """The quantity that a series is.

    **Arguments**: the series; `unit`, needed where the series has none, and else converted to.

    **Raises** ValueError for a series without a unit.
    """
    wanted("from_series", series, (pd.Series, pd.Index), "a series of pandas")
    pint_array = getattr(series.array, "quantity", None)
    if pint_array is not None:  # pint_pandas
        return Quantity(pint_array, unit)
    own = series.attrs.get("units")
    return _labelled(series.to_numpy(), own, unit, f"series {series.name!r}")


@takes_foreign
def to_dataframe(columns: Mapping[str, Any], index: Any = None) -> pd.DataFrame:
    """A table of quantities and plain arrays; its columns' second level is their units.

    ```python
    >>> from sciquax.interop.pandas import from_dataframe, to_dataframe
    >>> from sciquax.units import Quantity
    >>> import jax.numpy as jnp
    >>> table = to_dataframe({"x": Quantity(jnp.array([1.0, 2.0]), "m"), "n": [3, 4]})
    >>> list(table.columns)
    [('x', 'meter'), ('n', '')]
    >>> from_dataframe(table)["x"]
    Quantity([1., 2.], 'm')

    ```
    """
    wanted("to_dataframe", columns, Mapping, "columns by name")
    data = {
        (name, str(x.units)) if isinstance(x, Quantity) else (name, ""): np.asarray(
            x.magnitude if isinstance(x, Quantity) else x
        )
        for name, x in columns.items()
    }
    table = pd.DataFrame(data, index=index)
    table.columns = pd.MultiIndex.from_tuples(list(data), names=["name", "unit"])
    return table


def from_dataframe(table: pd.DataFrame) -> dict[str, Any]:
    """The columns of a table that `to_dataframe` made: quantities, and arrays where there is none.

    **Raises** ValueError for columns of one level, which have no units.
    """
    wanted("from_dataframe", table, pd.DataFrame, "a table of pandas")
    if table.columns.nlevels != 2:
        raise ValueError(
            "The table's columns have no units: their second level is to be the unit, as "
            "`to_dataframe` makes it."
        )
    return {
        name: Quantity(table[name, unit].to_numpy(), unit) if unit else table[name, unit].to_numpy()
        for name, unit in table.columns
    }


def _labelled(array: Any, own: str | None, unit: Any, what: str) -> Quantity:
    """Numbers in their own unit or the one that is given; converted if both are there."""
    if own is None and unit is None:
        raise ValueError(f'The {what} has no unit (`attrs["units"]`). Name one: `unit="m"`.')
    return Quantity(Quantity(array, unit if own is None else own), unit)
