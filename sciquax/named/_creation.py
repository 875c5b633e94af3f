"""Making named arrays by their sizes."""

from typing import Any

import jax.numpy as jnp

from sciquax.core import is_value, user_line

from ._array.axes import axes, name_of, size_given, sizes_of
from ._array.base import as_named, bare
from ._array.errors import AxisError, AxisSizeError
from ._by_name.call_jax import apply
from ._by_name.shapes import scalar
from ._labels.distances import with_leaf
from ._named_array import NamedArray


def zeros(sizes: Any, dtype: Any = None) -> NamedArray:
    """Create zeros of these sizes: a dictionary of name to size, or `Axis` objects.

    ```python
    >>> from sciquax.named import zeros
    >>> zeros({"x": 2, "y": 3}).sizes
    {'x': 2, 'y': 3}

    ```
    """
    return _filled("zeros", sizes, lambda shape: jnp.zeros(shape, dtype))


def ones(sizes: Any, dtype: Any = None) -> NamedArray:
    """Create ones of these sizes."""
    return _filled("ones", sizes, lambda shape: jnp.ones(shape, dtype))


def empty(sizes: Any, dtype: Any = None) -> NamedArray:
    """An array of these sizes whose elements are arbitrary."""
    return _filled("empty", sizes, lambda shape: jnp.empty(shape, dtype))


def full(sizes: Any, fill_value: Any, dtype: Any = None) -> NamedArray:
    """One value at every place: a number, a scalar quantity, or an array with some of the names."""
    known = sizes_of("full", sizes)
    value = as_named(fill_value, "full")
    if is_value(value.array) or value.dims:
        value = value if dtype is None else value.astype(dtype)
        return value.broadcast_to(known)
    given = fill_value if not isinstance(fill_value, NamedArray) else value.array
    return bare(jnp.full(tuple(known.values()), given, dtype), axes(tuple(known)))


def _filled(op: str, sizes: Any, make: Any) -> NamedArray:
    known = sizes_of(op, sizes)
    return bare(make(tuple(known.values())), axes(tuple(known)))


def zeros_like(a: Any, dtype: Any = None) -> NamedArray:
    """Zeros with the names, sizes and coordinates of `a`, in its unit."""
    a = as_named(a, "zeros_like")
    made = bare(with_leaf(a, lambda x: apply(jnp.zeros_like, x)), a._axes.plain)
    return made if dtype is None else made.astype(dtype)


def ones_like(a: Any, dtype: Any = None) -> NamedArray:
    """Ones with the names, sizes and coordinates of `a`. They have no unit."""
    a = as_named(a, "ones_like")
    aval = a.aval()
    made = jnp.ones(aval.shape, aval.dtype if dtype is None else dtype)
    return bare(made, a._axes.plain)


def full_like(a: Any, fill_value: Any, dtype: Any = None) -> NamedArray:
    """One value at every place of `a`."""
    a = as_named(a, "full_like")
    made = full(
        a.sizes, fill_value, a.dtype if dtype is None and not is_value(fill_value) else dtype
    )
    return bare(made.array, a._axes.plain)


def arange(axis: Any, *args: Any, dtype: Any = None) -> NamedArray:
    """`arange("x", 4)`: the numbers from 0 along a name; or `start, stop[, step]`, as `jnp.arange`.

    `arange(Axis("x", 4))` takes the size from the axis.
    """
    name, stated = name_of(axis), size_given(axis)
    if not args:
        if stated is None:
            raise AxisError("`arange` needs a size.", f"Write `arange({name!r}, 4)`.").at(
                user_line()
            )
        args = (stated,)
    out = jnp.arange(*args, dtype=dtype)
    if stated is not None and out.shape[0] != stated:
        raise AxisSizeError(f"`arange` got {axis!r}, and makes {out.shape[0]} elements.").at(
            user_line()
        )
    return bare(out, axes((name,)))


def linspace(axis: Any, start: Any, stop: Any, num: int | None = None, **kwargs: Any) -> NamedArray:
    """`linspace("x", 0.0, 1.0, 5)`: equally spaced numbers or quantities along a name."""
    name, stated = name_of(axis), size_given(axis)
    num = stated if num is None else num
    if num is None or stated is not None and stated != num:
        raise AxisSizeError(
            f"`linspace` got {axis!r} and {num} elements.", "Give one number of them."
        ).at(user_line())
    first, last = scalar("linspace", start), scalar("linspace", stop)
    return bare(apply(jnp.linspace, first, last, num, **kwargs), axes((name,)))


def eye(row: Any, column: Any, size: int | None = None, dtype: Any = None) -> NamedArray:
    """The identity matrix over two names of one size."""
    rows, columns = name_of(row), name_of(column)
    sizes = {s for s in (size, size_given(row), size_given(column)) if s is not None}
    if len(sizes) != 1:
        raise AxisSizeError(
            f"`eye` got the sizes {sorted(sizes)}.", "Give one size, that of both."
        ).at(user_line())
    return NamedArray(jnp.eye(sizes.pop(), dtype=dtype), (rows, columns))
