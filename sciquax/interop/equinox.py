"""Equinox's serialisation, keeping the whole type of every value.

`eqx.tree_serialise_leaves` writes a value's arrays alone, and reads them back as whatever the tree
that it is given has: metres as seconds, rows as columns. These functions write in front of the
arrays what each of them belongs to: classes, units, names, coordinates, sizes, properties. Reading
compares, converts units, and refuses everything else. They may also be given to Equinox's own
functions, as `filter_spec` together with `is_leaf=is_value`; what is written so is read so.

Files of before, which have units alone, are still read.
"""

import warnings
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from sciquax._files.comparison import StoredTypeError as StoredTypeError
from sciquax._files.descriptions import describe, is_array, shown
from sciquax._files.filling import converted
from sciquax._files.static_parts import written
from sciquax._files.streams import has_description, read, reading, write, writing
from sciquax.core import is_value, is_value_or_foreign, user_line
from sciquax.core.internal import adopt_all
from sciquax.units import DimensionalityError, Quantity
from sciquax.units.internal import as_unit


def serialise_filter_spec(f: Any, x: Any) -> None:
    """Write a leaf to an open file: what it is, then its arrays."""
    if is_value_or_foreign(x) or is_array(x):
        write(f, x)


def deserialise_filter_spec(f: Any, x: Any) -> Any:
    """Read a leaf like `x` from an open file; a quantity comes in the unit of `x`.

    **Raises** `DimensionalityError` if the file's measures something else; `StoredTypeError` (a
    ValueError) where it is something else.
    """
    if not (is_value_or_foreign(x) or is_array(x)):
        return x
    if has_description(f):
        return read(f, x)
    _warn([("", x)])
    return _read_before(f, "", x)


def tree_serialise_leaves(path_or_file: Any, pytree: Any) -> None:
    """`eqx.tree_serialise_leaves` with types: units, names, structure.

    A file at the path is replaced once all is written: if something raises, it stays as it was.

    **Arguments**: a path, which gets the suffix `.eqx` if it has none, or a binary file; the tree.

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
    with writing(path_or_file) as f:
        write(f, pytree)


def tree_deserialise_leaves(path_or_file: Any, like: Any) -> Any:
    """`eqx.tree_deserialise_leaves` of what `tree_serialise_leaves` wrote.

    **Arguments**: a path or a binary file that can seek; a tree of the same types. Its arrays may
    be `jax.ShapeDtypeStruct`s. Leaves that are no arrays and no numbers are taken from it.

    **Returns** the tree, its quantities in the units of `like`.

    **Raises** `DimensionalityError` for a quantity whose counterpart in `like` measures something
    else; `StoredTypeError` (a ValueError) where places, classes, names, coordinates, properties,
    shapes or dtypes differ, or numbers cannot be converted.
    """
    with reading(path_or_file) as f:
        if has_description(f):
            return read(f, like)
        keyed, tree = jtu.tree_flatten_with_path(adopt_all(like), is_leaf=is_value)
        placed = [(jtu.keystr(path), x) for path, x in keyed]
        _warn(placed)
        found = tree.unflatten([_read_before(f, path, x) for path, x in placed])
        if f is not path_or_file and f.read(1):  # an open file may go on
            raise StoredTypeError("The file has more leaves than `like`.").at(user_line())
        return found


# -- files of before: a quantity's unit, and arrays -----------------------------------------------


def _warn(leaves: list[tuple[str, Any]]) -> None:
    """Warn that the file holds only the arrays of values other than quantities of arrays."""
    untold = [
        f"{path} {shown(describe(x)[0])}".strip()
        for path, x in leaves
        if is_value(x) and not (isinstance(x, Quantity) and not is_value(x.magnitude))
    ]
    if untold:
        warnings.warn(
            "The file holds arrays alone, as earlier releases wrote them. Their types, units and "
            f"names are taken from `like`. Write the file again. {'; '.join(untold)}",
            stacklevel=3,
        )


def _read_before(f: Any, path: str, like: Any) -> Any:
    place = f"At {path} the" if path else "The"
    source = _unit_before(f, place, like) if isinstance(like, Quantity) else None
    leaves, tree = jtu.tree_flatten(like)
    arrays = [_array_before(f, place, x) for x in leaves]
    for new, old in zip(arrays, leaves, strict=True):
        if is_array(old) and (stored := describe(new)[0]) != (wanted := describe(old)[0]):
            raise StoredTypeError(f"{place} file has {shown(stored)}, `like` {shown(wanted)}.").at(
                user_line()
            )
    value = tree.unflatten(arrays)
    if source is None:
        return value
    return converted(value, {"_unit": written(source)}, path, "file")


def _unit_before(f: Any, place: str, like: Quantity) -> Any:
    text = _load(f, place)
    if text.dtype.kind != "U" or text.shape != ():
        raise StoredTypeError(
            f"{place} file has no unit where a quantity in '{like._unit}' is to be read. Write it "
            "with `sciquax.interop.equinox.tree_serialise_leaves`."
        ).at(user_line())
    source = as_unit(str(text), like._unit.registry)
    if not source.compatible(like._unit):
        raise DimensionalityError(
            f"{place} file has a quantity in '{source}', `like` one in '{like._unit}'.",
            source.pint,
            like.units,
        ).at(user_line())
    return source


def _array_before(f: Any, place: str, like: Any) -> Any:
    """An array of int4 or float8, which NumPy's format lacks, as bytes after the dtype's name."""
    dtype = getattr(like, "dtype", None)
    if dtype is None or dtype.itemsize != 1 or np.dtype(dtype).kind in "biuSU":
        try:
            return eqx.default_deserialise_filter_spec(f, like)
        except (ValueError, EOFError, TypeError) as error:
            raise StoredTypeError(f"{place} file is damaged or truncated: {error}") from error
    name = str(_load(f, place))
    if name != dtype.name:
        raise StoredTypeError(f"{place} file has codes of {name}, `like` of {dtype.name}.")
    return jnp.asarray(_load(f, place).view(dtype))


def _load(f: Any, place: str) -> np.ndarray:
    try:
        return np.load(f, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise StoredTypeError(f"{place} file is damaged or truncated: {error}") from error
