"""Functions without names lifted over names: `cmap`, `named_vmap`, `scan`, `map`, `fold`."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from sciquax.core import OutsideQuaxifyError, convert_to, is_value, quaxify, user_line
from sciquax.core.internal import takes_values_apart

from ._array.axes import Axes, Axis, as_names, axes, name_of
from ._array.base import bare
from ._array.coordinates import Coordinate, meet
from ._array.errors import AxisError, PositionalError, absent, show_dims
from ._by_name.alignment import size_mismatch
from ._by_name.call_jax import apply
from ._named_array import NamedArray


def _flatten(tree: Any) -> tuple[list[Any], Any]:
    return jtu.tree_flatten(tree, is_leaf=is_value)


def _named(leaves: list[Any]) -> list[Any]:
    """The leaves, values nested in another order put in canonical order."""
    return [x.canonical() if is_value(x) else x for x in leaves]


def cmap(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of plain arrays, mapped over every name of its arguments.

    The axes without a name, which `untag` puts in front, are what the function sees; names align
    and are broadcast. Of quantities it sees quantities, and may call JAX's functions on them. The
    results have the function's own axes in front, without names, to be named with `tag`, and then
    every name, in order of first appearance.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray, cmap
    >>> a = NamedArray(jnp.array([[3.0, 1.0], [2.0, 4.0]]), ("x", "y"))
    >>> cmap(jnp.sort)(a.untag("y")).tag("y").dims
    ('y', 'x')

    ```
    """

    @functools.wraps(function, updated=())
    @takes_values_apart
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = _flatten((args, kwargs))
        leaves = _named(leaves)
        known = [x for x in leaves if isinstance(x, NamedArray)]
        names, coords = _common("cmap", known)
        remaining = [list(x.dims) if isinstance(x, NamedArray) else None for x in leaves]
        in_axes: list[list[int | None]] = []
        for name in reversed(names):
            places: list[int | None] = []
            for dims in remaining:
                if dims is None or name not in dims:
                    places.append(None)
                else:
                    places.append(dims.index(name))
                    dims.remove(name)
            in_axes.append(places)
        # Only arrays go through vmap; flags and strings stay what they are.
        traced = [i for i, x in enumerate(leaves) if isinstance(x, NamedArray)]

        def inner(*arrays: Any) -> Any:
            given = list(leaves)
            for i, x in zip(traced, arrays, strict=True):
                given[i] = x
            inner_args, inner_kwargs = jtu.tree_unflatten(tree, given)
            try:
                out = function(*inner_args, **inner_kwargs)
            except OutsideQuaxifyError as outside:  # a function of JAX's own, of quantities
                try:
                    out = quaxify(function)(*inner_args, **inner_kwargs)
                except AttributeError:  # which also asks for a quantity's own methods
                    raise outside from None
            for x in _flatten(out)[0]:
                if isinstance(x, NamedArray):
                    raise PositionalError(
                        "The function of `cmap` returned a named array.",
                        "It sees and returns plain arrays; `named_vmap` takes functions of "
                        "named arrays.",
                    ).at(user_line())
            return out

        call = inner
        for places in reversed(in_axes):
            call = jax.vmap(call, in_axes=tuple(places[i] for i in traced), out_axes=-1)
        out = call(*[leaves[i].array for i in traced])

        def label(x: Any) -> Any:
            ndim = x.ndim if hasattr(x, "ndim") else 0
            return bare(
                x if hasattr(x, "ndim") else jnp.asarray(x),
                axes((None,) * (ndim - len(names)) + tuple(names), coords),
            )

        return jtu.tree_map(label, out, is_leaf=is_value)

    return mapped


def _common(op: str, arrays: list[NamedArray]) -> tuple[list[str], dict[str, Coordinate]]:
    """All names in order of first appearance, their sizes checked, and their coordinates."""
    sizes: dict[str, int] = {}
    for a in arrays:
        for name, size in a.sizes.items():
            if sizes.setdefault(name, size) != size:
                raise size_mismatch(op, name, [sizes[name], size]).at(user_line())
    return list(sizes), meet(op, *[a._axes.coords for a in arrays])


def named_vmap(function: Callable[..., Any], over: Any) -> Callable[..., Any]:
    """`function` of named arrays, mapped over a name (or several) that it does not see.

    Arguments without the name go in whole. The name leads in every result; outputs that are plain
    arrays keep their other axes without names.

    **Raises** `AxisError` if no argument has the name, or if a result has it already.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray, named_vmap
    >>> a = NamedArray(jnp.arange(6.0).reshape(2, 3), ("x", "y"))
    >>> named_vmap(lambda row: row.sum("y"), over="x")(a).dims
    ('x',)

    ```
    """
    names = list(as_names(over))
    if not names:
        raise AxisError("`named_vmap` needs a name.").at(user_line())
    if len(names) > 1:
        for name in reversed(names):
            function = named_vmap(function, name)
        return function
    axis = names[0]
    name = name_of(axis)

    @functools.wraps(function, updated=())
    @takes_values_apart
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = _flatten((args, kwargs))
        leaves = _named(leaves)
        chosen = [
            i for i, x in enumerate(leaves) if isinstance(x, NamedArray) and name in x._axes.place
        ]
        if not chosen:
            every = dict.fromkeys(d for x in leaves if isinstance(x, NamedArray) for d in x.dims)
            raise absent("named_vmap", name, tuple(every)).at(user_line())
        _, coords = _common("named_vmap", [leaves[i] for i in chosen])
        for i in chosen:
            leaves[i]._axes.position("named_vmap", axis, leaves[i])
        sizes = [leaves[i].sizes[name] for i in chosen]
        if sizes.count(sizes[0]) != len(sizes):
            raise size_mismatch("named_vmap", name, sizes).at(user_line())
        layouts: list[Axes | None] = []
        out_tree: Any = None

        def inner(*arrays: Any) -> list[Any]:
            nonlocal out_tree
            given = list(leaves)
            for i, x in zip(chosen, arrays, strict=True):
                rest = [k for k, d in enumerate(leaves[i].dims) if d != name]
                given[i] = bare(x, leaves[i]._axes.keep(rest))
            inner_args, inner_kwargs = jtu.tree_unflatten(tree, given)
            outs, out_tree = _flatten(function(*inner_args, **inner_kwargs))
            layouts[:] = [x._axes if isinstance(x, NamedArray) else None for x in outs]
            return [x.array if isinstance(x, NamedArray) else x for x in outs]

        places = tuple(leaves[i]._axes.place[name] for i in chosen)
        outs = jax.vmap(inner, in_axes=places)(*[leaves[i].array for i in chosen])
        results = []
        for x, layout in zip(outs, layouts, strict=True):
            dims = (None,) * (x.ndim - 1) if layout is None else layout.dims
            own = {} if layout is None else layout.coords
            if name in dims:
                raise AxisError(
                    f"A result of `named_vmap` over {name!r} has the dims {show_dims(dims)}.",
                    f"Rename that axis in the function: `.rename({name}='{name}2')`.",
                ).at(user_line())
            known = {**own, name: coords[name]} if name in coords else own
            results.append(bare(x, axes((name, *dims), known)))
        return jtu.tree_unflatten(out_tree, results)

    return mapped


@takes_values_apart
def scan(
    function: Callable[..., Any],
    init: Any,
    xs: Any,
    axis: Any,
    *,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """`jax.lax.scan` over a name: `carry, y = function(carry, x)` for each place along it.

    **Arguments**: a function of named arrays; the initial carry; what is scanned, every array of
    which has the name (or None, with `Axis(name, size)`); and the name.

    **Returns** the last carry, and the outputs stacked along the name, which leads.

    The carry keeps its names: axes that come back in another order are put in order, other names
    are refused, and quantities are converted to the carry's units.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import named
    >>> a = named.NamedArray(jnp.arange(6.0).reshape(2, 3), ("x", "time"))
    >>> total, sums = named.scan(lambda c, x: (c + x, c + x), named.zeros({"x": 2}), a, "time")
    >>> total.array.tolist(), sums.sizes
    ([3.0, 12.0], {'time': 3, 'x': 2})

    ```
    """
    name = name_of(axis)
    leaves, tree = _flatten(xs)
    leaves = _named(leaves)
    moved, layouts = [], []
    for x in leaves:
        if not isinstance(x, NamedArray):
            raise PositionalError(
                f"`scan` over {name!r} got {type(x).__name__} without names.",
                "Name its axes, or let the function capture it.",
            ).at(user_line())
        i = x._axes.position("scan", axis, x)
        rest = [k for k in range(x.ndim) if k != i]
        moved.append(x.array if i == 0 else apply(jnp.moveaxis, x.array, i, 0))
        layouts.append(x._axes.keep(rest))
    _, coords = _common("scan", leaves)
    length = axis.size if isinstance(axis, Axis) else None
    if not leaves and length is None:
        raise AxisError(
            "`scan` without arrays needs the number of steps.", f"Axis({name!r}, 5)."
        ).at(user_line())
    out_layouts: list[Axes | None] = []
    out_tree: Any = None

    def step(carry: Any, arrays: list[Any]) -> Any:
        nonlocal out_tree
        given = [bare(x, layout) for x, layout in zip(arrays, layouts, strict=True)]
        new, y = function(carry, jtu.tree_unflatten(tree, given))
        outs, out_tree = _flatten(y)
        out_layouts[:] = [x._axes if isinstance(x, NamedArray) else None for x in outs]
        outs = [x.array if isinstance(x, NamedArray) else x for x in outs]
        return _same_carry(carry, new), outs

    carry, outs = jax.lax.scan(step, init, moved, length=length, reverse=reverse, unroll=unroll)
    results = []
    for x, layout in zip(outs, out_layouts, strict=True):
        dims = (None,) * (x.ndim - 1) if layout is None else layout.dims
        if name in dims:
            raise AxisError(
                f"An output of `scan` over {name!r} has the dims {show_dims(dims)}.",
                f"Rename that axis: `.rename({name}='{name}2')`.",
            ).at(user_line())
        known = dict({} if layout is None else layout.coords)
        if name in coords:
            known[name] = coords[name]
        results.append(bare(x, axes((name, *dims), known)))
    return carry, jtu.tree_unflatten(out_tree, results)


def _same_carry(old: Any, new: Any) -> Any:
    """The new carry laid out as the old one. **Raises** `AxisError` for other names."""
    olds, tree = _flatten(old)
    news, new_tree = _flatten(new)
    if tree != new_tree and len(olds) != len(news):
        return new  # JAX says how the trees differ
    out = []
    for number, (a, b) in enumerate(zip(olds, news, strict=True)):
        if isinstance(a, NamedArray) or isinstance(b, NamedArray):
            dims = [x.dims if isinstance(x, NamedArray) else None for x in (a, b)]
            a_dims, b_dims = dims
            if a_dims is None and b_dims == ():
                out.append(b.array)
                continue
            if b_dims is None and a_dims == ():
                b, b_dims = bare(b, axes(())), ()
            if a_dims is None or b_dims is None or set(a_dims) != set(b_dims):
                raise AxisError(
                    f"Carry {number} of `scan` goes in with the dims "
                    f"{'none' if a_dims is None else show_dims(a_dims)} and comes out with "
                    f"{'none' if b_dims is None else show_dims(b_dims)}.",
                    "Start the loop with the names that the function returns.",
                ).at(user_line())
            if a.sizes != b.sizes:
                name = next(n for n in a.sizes if a.sizes[n] != b.sizes[n])
                raise size_mismatch("scan", name, [a.sizes[name], b.sizes[name]]).at(user_line())
            meet("scan", a._axes.coords, b._axes.coords)
            if a_dims != b_dims:
                b = b.transpose(*a_dims)
            held = (
                convert_to(b.array, a.array) if is_value(a.array) or is_value(b.array) else b.array
            )
            out.append(bare(held, a._axes))
        elif is_value(a) or is_value(b):
            out.append(convert_to(b, a))
        else:
            out.append(b)
    return jtu.tree_unflatten(tree if tree == new_tree else new_tree, out)


def map(function: Callable[..., Any], xs: Any, axis: Any) -> Any:
    """`function` at each place along a name, one after another, as `jax.lax.map`.

    Results are stacked along the name, which leads. `named_vmap` does all places at once.
    """
    _, out = scan(lambda carry, x: (carry, function(x)), (), xs, axis)
    return out


def fold(
    function: Callable[..., Any], init: Any, xs: Any, axis: Any, *, reverse: bool = False
) -> Any:
    """`carry = function(carry, x)` for each place along a name; the last carry."""
    carry, _ = scan(lambda carry, x: (function(carry, x), ()), init, xs, axis, reverse=reverse)
    return carry
