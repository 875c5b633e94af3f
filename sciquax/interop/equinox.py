"""Equinox's serialisation, keeping units and the codes of quantised arrays.

`eqx.tree_serialise_leaves` writes a quantity's bare numbers, and reads them back in whatever unit
the tree that it is given has. These functions write the unit in front of the numbers; reading
converts, and refuses another dimension. They may also be given to Equinox's own functions, as
`filter_spec` together with `is_leaf=is_value`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax.core import LocatedError, is_value, user_line
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import as_unit


def serialise_filter_spec(f: Any, x: Any) -> None:
    """Write a leaf to an open file; a quantity's unit goes first."""
    if isinstance(x, Quantity):
        np.save(f, np.array(str(x.units)), allow_pickle=False)
    for leaf in jtu.tree_leaves(x):
        _write(f, leaf)


def _is_code(x: Any) -> bool:
    """Whether NumPy's files do not know the dtype: int4, uint4, float8."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and dtype.itemsize == 1 and np.dtype(dtype).kind not in "biuSU"


def _write(f: Any, leaf: Any) -> None:
    """As bytes, where NumPy's format has no name for the dtype."""
    if _is_code(leaf):
        np.save(f, np.array(leaf.dtype.name), allow_pickle=False)
        leaf = np.asarray(leaf).view(np.uint8)
    eqx.default_serialise_filter_spec(f, leaf)


def _read(f: Any, like: Any) -> Any:
    if not _is_code(like):
        return eqx.default_deserialise_filter_spec(f, like)
    name = str(np.load(f, allow_pickle=False))
    if name != like.dtype.name:
        raise ValueError(f"The file has codes of {name} where {like.dtype.name} is to be read.")
    codes = np.load(f, allow_pickle=False)
    return jnp.asarray(codes.view(like.dtype))


def deserialise_filter_spec(f: Any, x: Any) -> Any:
    """Read a leaf like `x` from an open file; a quantity comes in the unit of `x`.

    **Raises** `DimensionalityError` if the file's measures something else; ValueError where there
    is no unit in the file.
    """
    leaves, tree = jtu.tree_flatten(x)
    if not isinstance(x, Quantity):
        return jtu.tree_unflatten(tree, [_read(f, y) for y in leaves])
    text = np.load(f, allow_pickle=False)
    if text.dtype.kind != "U" or text.shape != ():
        raise ValueError(
            f"The file has no unit where a quantity in '{x._unit}' is to be read. Write it with "
            "`sciquax.interop.equinox.tree_serialise_leaves`."
        )
    source = as_unit(str(text), x._unit.registry)
    if not source.compatible(x._unit):
        raise DimensionalityError(
            f"The file has a quantity in '{source}' where one in '{x._unit}' is to be read.",
            source.pint,
            x.units,
        )
    read = jtu.tree_unflatten(tree, [_read(f, y) for y in leaves])
    if source is x._unit or any(isinstance(y, jax.ShapeDtypeStruct) for y in jtu.tree_leaves(read)):
        return read
    converted = Quantity(read.magnitude, source).to(x)
    return jtu.tree_map(lambda y, old: y.astype(old.dtype), converted, x)


def tree_serialise_leaves(path_or_file: Any, pytree: Any) -> None:
    """`eqx.tree_serialise_leaves` with units.

    ```python
    >>> import io
    >>> from sciquax.interop.equinox import tree_deserialise_leaves, tree_serialise_leaves
    >>> from sciquax.units import Quantity
    >>> file = io.BytesIO()
    >>> tree_serialise_leaves(file, {"x": Quantity(1.5, "km")})
    >>> _ = file.seek(0)
    >>> tree_deserialise_leaves(file, {"x": Quantity(0.0, "m")})
    {'x': Quantity(1500.0, 'm')}

    ```
    """
    eqx.tree_serialise_leaves(path_or_file, pytree, serialise_filter_spec, is_leaf=is_value)


def tree_deserialise_leaves(path_or_file: Any, like: Any) -> Any:
    """`eqx.tree_deserialise_leaves` of what `tree_serialise_leaves` wrote.

    **Raises** `DimensionalityError` for a quantity whose counterpart in `like` measures something
    else.
    """
    leaves, tree = jtu.tree_flatten(like, is_leaf=is_value)
    # Equinox compares what is read with what was there before, and knows no leaf of ours: give it
    # numbers to compare.
    read: list[Any] = []
    refused: list[Exception] = []

    def spec(f: Any, number: int) -> int:
        try:
            read.append(deserialise_filter_spec(f, leaves[number]))
        except (DimensionalityError, ValueError) as error:
            refused.append(error)
            raise
        return number

    try:
        eqx.tree_deserialise_leaves(path_or_file, list(range(len(leaves))), spec)
    except Exception:  # Equinox's, with the leaf's number in our list
        if not refused:
            raise
    if refused:
        error = refused[0]
        raise error.at(user_line()) if isinstance(error, LocatedError) else error
    for new, old in zip(jtu.tree_leaves(read), jtu.tree_leaves(leaves), strict=True):
        if hasattr(old, "shape") and (new.shape != old.shape or new.dtype != old.dtype):
            raise RuntimeError(
                f"The file has an array {new.dtype}{list(new.shape)} where one "
                f"{old.dtype}{list(old.shape)} is to be read."
            )
    return jtu.tree_unflatten(tree, read)
